//! What a case is: bytes to say, what the standard wants to come of them, and what was heard.

use std::fmt;

use super::{
    asks::Asks,
    heard::{Heard, PROBE, PROBE_PING},
};
use crate::support::h2_frames::{headers, kind, ping};

/// Error codes (RFC 9113 7).
pub(super) const NO_ERROR: u32 = 0;
pub(super) const PROTOCOL_ERROR: u32 = 1;
pub(super) const FLOW_CONTROL_ERROR: u32 = 3;
pub(super) const STREAM_CLOSED: u32 = 5;
pub(super) const FRAME_SIZE_ERROR: u32 = 6;
pub(super) const REFUSED_STREAM: u32 = 7;
pub(super) const CANCEL: u32 = 8;
pub(super) const COMPRESSION_ERROR: u32 = 9;
pub(super) const ENHANCE_YOUR_CALM: u32 = 11;

/// One thing a peer can do.
pub(super) struct Case {
    /// Of RFC 9113, or `HPACK` and one of RFC 7541.
    pub(super) section: &'static str,
    pub(super) name: &'static str,
    pub(super) opening: Opening,
    pub(super) steps: Vec<Step>,
    /// What the standard says.
    pub(super) expect: Expect,
    /// What comes of it here, where that is something else.
    pub(super) departs: Option<(Departure, Expect)>,
    /// Whether a good request follows on the same connection.
    pub(super) is_probed: bool,
}

/// What comes before the first step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Opening {
    /// Preface and settings of both sides, acknowledged.
    Done,
    /// Nothing: the steps begin with the preface, or with what stands in its place.
    Nothing,
}

/// One step of a case.
pub(super) enum Step {
    /// Waits until an answer, or a reset, has come to its end on a stream.
    Ended(u32),
    /// Waits until an answer has begun on a stream.
    Begun(u32),
    /// Sends DATA on each of these streams in turn until the windows that the server announced are
    /// overrun by one byte.
    Overrun(&'static [u32]),
    /// Waits for the answer to a PING: whatever the server had to say by then, it has said.
    Ping,
    Send(Vec<u8>),
}

/// How far an outcome is from what the standard says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Departure {
    /// The connection ends as it must, with a less specific code.
    Code,
    /// Something is let pass, or is refused otherwise: listed with its reason.
    Listed,
    /// The connection ends where its stream would have been enough (RFC 9113 5.4 lets it).
    Wider,
}

/// What comes of a case.
#[derive(Clone)]
pub(super) enum Expect {
    /// The stream is answered with 200, and the connection goes on.
    Answered(u32),
    /// The connection ends, with or without a word (RFC 9113 3.4).
    Closed,
    /// The connection ends with this code (RFC 9113 5.4.1).
    ConnectionError(u32),
    /// Whatever the name says; the connection may go on or not.
    Heard(&'static str, fn(&Heard) -> bool),
    /// The connection goes on, and no stream is reset.
    Ignored,
    /// The request is refused as malformed: its stream is reset, or answered with 4xx (RFC 9113
    /// 8.1.1); the connection goes on.
    Malformed(u32),
    /// One of these; the standard leaves the choice.
    OneOf(Vec<Expect>),
    /// The stream is reset with this code, and the connection goes on (RFC 9113 5.4.2).
    StreamError(u32, u32),
}

pub(super) use Expect::{
    Answered, Closed, ConnectionError, Heard as HeardThat, Ignored, Malformed, OneOf, StreamError,
};

/// A case that says `bytes` after the opening.
pub(super) fn case(
    section: &'static str,
    name: &'static str,
    bytes: Vec<u8>,
    expect: Expect,
) -> Case {
    talk(section, name, vec![Step::Send(bytes)], expect)
}

/// A case of several steps.
pub(super) fn talk(
    section: &'static str,
    name: &'static str,
    steps: Vec<Step>,
    expect: Expect,
) -> Case {
    Case {
        section,
        name,
        opening: Opening::Done,
        steps,
        expect,
        departs: None,
        is_probed: true,
    }
}

impl Case {
    /// The steps begin with the preface.
    pub(super) fn opened_by_its_steps(self) -> Self {
        let opening = Opening::Nothing;
        Self { opening, ..self }
    }

    /// No request follows, because there is no stream left for one.
    pub(super) fn without_probe(self) -> Self {
        let is_probed = false;
        Self { is_probed, ..self }
    }

    /// The connection error has the code of an unspecific one.
    pub(super) fn but_unspecific(self) -> Self {
        self.departing(Departure::Code, ConnectionError(PROTOCOL_ERROR))
    }

    /// The stream error is an error of the connection.
    pub(super) fn but_wider(self) -> Self {
        self.departing(Departure::Wider, ConnectionError(PROTOCOL_ERROR))
    }

    /// Something else comes of it, for a reason in the table of the module.
    pub(super) fn but_listed(self, instead: Expect) -> Self {
        self.departing(Departure::Listed, instead)
    }

    fn departing(self, departure: Departure, instead: Expect) -> Self {
        let departs = Some((departure, instead));
        Self { departs, ..self }
    }

    /// Whether a malformed request of this case reaches the app, as the table of the module says.
    pub(super) fn reaches_the_app(&self) -> bool {
        matches!(self.departs, Some((Departure::Listed, Answered(_))))
    }

    /// The steps behind those of the case.
    pub(super) fn last_words(&self, asks: &Asks) -> Vec<u8> {
        let mut bytes = ping(PROBE_PING);
        if self.is_probed {
            bytes.extend(headers(PROBE, &asks.good()));
        }
        bytes
    }

    /// Whether enough was heard to judge.
    pub(super) fn is_settled(&self, heard: &Heard) -> bool {
        let mut outcomes = vec![&self.expect];
        outcomes.extend(self.departs.as_ref().map(|(_, instead)| instead));
        let fits = |it: &&Expect| it.fits(heard, self.is_probed);
        heard.closed
            || (heard.is_through(self.is_probed)
                && (outcomes.iter().any(fits)
                    || !outcomes.iter().any(|it| it.may_still_come(heard))))
    }

    /// What is wrong with what was heard, if anything is.
    pub(super) fn fault(&self, heard: &Heard) -> Option<String> {
        let fits = self.expect.fits(heard, self.is_probed);
        let (section, name, expect) = (self.section, self.name, &self.expect);
        match &self.departs {
            None if fits => None,
            None => Some(format!("{section} {name}: expected {expect}, got {heard}")),
            Some(_) if fits => Some(format!("{section} {name}: departs no longer, got {heard}")),
            Some((_, instead)) if instead.fits(heard, self.is_probed) => None,
            Some((_, instead)) => Some(format!(
                "{section} {name}: expected {expect}, or {instead} as listed, got {heard}"
            )),
        }
    }
}

impl Expect {
    fn fits(&self, heard: &Heard, is_probed: bool) -> bool {
        let alive = heard.goes_on(is_probed);
        match self {
            Answered(stream) => alive && heard.is_answered(*stream),
            Closed => heard.closed,
            ConnectionError(code) => heard.closed && heard.goaway() == Some(*code),
            HeardThat(_, holds) => holds(heard),
            Ignored => alive && !heard.frames.iter().any(|it| it.kind == kind::RST_STREAM),
            Malformed(stream) => {
                let refused = heard.reset(*stream) == Some(PROTOCOL_ERROR);
                let status = heard.status(*stream);
                alive && (refused || status.is_some_and(|it| (400..500).contains(&it)))
            }
            OneOf(all) => all.iter().any(|it| it.fits(heard, is_probed)),
            StreamError(stream, code) => alive && heard.reset(*stream) == Some(*code),
        }
    }

    /// Whether this can come although a later request on the connection was answered.
    fn may_still_come(&self, heard: &Heard) -> bool {
        match self {
            Answered(stream) | Malformed(stream) | StreamError(stream, _) => !heard.ended(*stream),
            Closed | ConnectionError(_) | Ignored => false,
            HeardThat(..) => true,
            OneOf(all) => all.iter().any(|it| it.may_still_come(heard)),
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answered(stream) => write!(to, "200 on stream {stream}"),
            Closed => write!(to, "the end of the connection"),
            ConnectionError(code) => write!(to, "a connection error {code}"),
            HeardThat(what, _) => write!(to, "{what}"),
            Ignored => write!(to, "nothing"),
            Malformed(stream) => write!(to, "stream {stream} refused as malformed"),
            OneOf(all) => {
                let all: Vec<_> = all.iter().map(ToString::to_string).collect();
                write!(to, "{}", all.join(" or "))
            }
            StreamError(stream, code) => write!(to, "an error {code} of stream {stream}"),
        }
    }
}
