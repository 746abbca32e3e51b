//! One message after another, as their framing has it (RFC 9112 2.1, 6.3).
//!
//! Goes along in step with hyper: where hyper sees a head begin, so does this, or it has refused what
//! came before. Knows no socket; what a byte is does not depend on the piece it came in.

use super::{
    HeadFault, HeadLimits,
    chunked::{Chunked, take},
    doubt::{Doubt, Offence, Scanned},
    fields::Framing,
    head::Head,
    start_line::StartLine,
};

/// Most interim answers before the one that counts.
const MAX_INTERIM_ANSWERS: u8 = 16;

/// The messages of one direction of a connection.
#[derive(Debug)]
pub(super) struct Messages {
    limits: HeadLimits,
    phase: Phase,
    side: Side,
    /// What is known of the fault from which on everything is withheld.
    doubt: Option<Doubt>,
    heads: u64,
}

#[derive(Debug)]
enum Side {
    Requests(Switch),
    Answers(Option<Awaited>),
}

/// Whether what comes may be of another protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Switch {
    /// The newest request has not asked for one.
    No,
    /// It has, and is still under way.
    Asked,
    /// It has come to its end: what follows is of no protocol before it is answered.
    Open,
}

/// An answer that somebody waits for.
#[derive(Clone, Copy, Debug)]
struct Awaited {
    without_body: bool,
    interim_room: u8,
}

#[derive(Debug)]
enum Phase {
    Before(EmptyLine),
    Head(Head),
    Length(u64),
    Chunked(Chunked),
    /// Up to the connection's end.
    Rest,
}

/// How much has come of the one empty line that may stand before a head (RFC 9112 2.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum EmptyLine {
    Nothing,
    Half,
    Whole,
}

impl Messages {
    pub(super) fn requests(limits: HeadLimits) -> Self {
        Self::new(limits, Side::Requests(Switch::No))
    }

    pub(super) fn answers(limits: HeadLimits) -> Self {
        Self::new(limits, Side::Answers(None))
    }

    fn new(limits: HeadLimits, side: Side) -> Self {
        Self {
            limits,
            phase: Phase::Before(EmptyLine::Nothing),
            side,
            doubt: None,
            heads: 0,
        }
    }

    /// Looks at what has come; says how many bytes of it may be let through.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while self.doubt.is_none() && at < bytes.len() && !self.stands_open() {
            match self.step(&bytes[at..]) {
                Ok(taken) => at += taken,
                Err(offence) => {
                    at += offence.at;
                    self.doubt = Some(offence.doubt);
                    self.withhold(bytes.get(at + 1..).unwrap_or_default());
                    return at;
                }
            }
        }
        self.withhold(&bytes[at..]);
        at
    }

    /// The fault that ended it, once it is known.
    pub(super) fn fault(&self) -> Option<HeadFault> {
        match self.doubt {
            Some(Doubt::Settled(fault)) => Some(fault),
            _ => None,
        }
    }

    /// How many heads came to their end.
    pub(super) fn heads(&self) -> u64 {
        self.heads
    }

    /// Whether no message is under way.
    pub(super) fn is_between(&self) -> bool {
        self.doubt.is_none()
            && matches!(self.phase, Phase::Before(EmptyLine::Nothing))
            && !self.is_awaited()
    }

    /// Whether what follows is of no known protocol: a request has asked for another one. Nothing is
    /// looked at meanwhile.
    pub(super) fn stands_open(&self) -> bool {
        matches!(self.side, Side::Requests(Switch::Open))
    }

    /// Another protocol was refused: what follows is the next message.
    pub(super) fn go_on(&mut self) {
        if self.stands_open() {
            self.side = Side::Requests(Switch::No);
        }
    }

    /// Whether the side is one of answers and there is nobody yet to whom one may come.
    pub(super) fn wants_to_be_awaited(&self) -> bool {
        matches!(self.side, Side::Answers(None))
    }

    /// The next answer has somebody who waits for it.
    pub(super) fn await_answer(&mut self, without_body: bool) {
        self.side = Side::Answers(Some(Awaited {
            without_body,
            interim_room: MAX_INTERIM_ANSWERS,
        }));
    }

    fn is_awaited(&self) -> bool {
        matches!(self.side, Side::Answers(Some(_)))
    }

    fn withhold(&mut self, bytes: &[u8]) {
        let Some(mut doubt) = self.doubt else {
            return;
        };
        for byte in bytes {
            if matches!(doubt, Doubt::Settled(_)) {
                break;
            }
            doubt = doubt.after(*byte);
        }
        self.doubt = Some(doubt);
    }

    /// Takes some bytes of the phase, and goes on to the next where one ends.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Offence> {
        match &mut self.phase {
            Phase::Before(line) => {
                let line = *line;
                self.before(line, bytes)
            }
            Phase::Head(head) => {
                let scanned = head.scan(bytes);
                self.ended(scanned, bytes.len(), Self::behind_head)
            }
            Phase::Length(left) => {
                let taken = take(left, bytes);
                if *left == 0 {
                    self.behind_message();
                }
                Ok(taken)
            }
            Phase::Chunked(chunked) => {
                let scanned = chunked.scan(bytes);
                self.ended(scanned, bytes.len(), Self::behind_message)
            }
            Phase::Rest => Ok(bytes.len()),
        }
    }

    fn ended(
        &mut self,
        scanned: Scanned,
        came: usize,
        go_on: impl FnOnce(&mut Self),
    ) -> Result<usize, Offence> {
        let Some(end) = scanned? else {
            return Ok(came);
        };
        go_on(self);
        Ok(end)
    }

    fn before(&mut self, line: EmptyLine, bytes: &[u8]) -> Result<usize, Offence> {
        if self.wants_to_be_awaited() {
            return Err(Offence::settled(0, HeadFault::Surplus));
        }
        let next = match (line, bytes.first()) {
            (EmptyLine::Nothing, Some(b'\r')) => EmptyLine::Half,
            (EmptyLine::Half, Some(b'\n')) => EmptyLine::Whole,
            (EmptyLine::Half, _) | (EmptyLine::Whole, Some(b'\r')) | (_, Some(b'\n')) => {
                return Err(Offence::settled(0, HeadFault::LineEnd));
            }
            (EmptyLine::Nothing | EmptyLine::Whole, _) => {
                self.phase = Phase::Head(Head::new(self.start_line(), self.limits));
                return Ok(0);
            }
        };
        self.phase = Phase::Before(next);
        Ok(1)
    }

    fn start_line(&self) -> StartLine {
        match &self.side {
            Side::Requests(_) => StartLine::of_request(self.limits.target_bytes),
            Side::Answers(awaited) => {
                let room = awaited.map_or(0, |awaited| awaited.interim_room);
                StartLine::of_answer(room > 0)
            }
        }
    }

    fn behind_head(&mut self) {
        let Phase::Head(head) = &self.phase else {
            return;
        };
        self.heads = self.heads.saturating_add(1);
        let is_interim = self.is_awaited() && head.start().is_interim();
        if let Side::Requests(switch) = &mut self.side
            && head.asks_to_switch()
        {
            *switch = Switch::Asked;
        }
        let next = self.side.behind(head, self.limits);
        match next {
            Some(body) => self.phase = body,
            None if is_interim => self.phase = Phase::Before(EmptyLine::Nothing),
            None => self.behind_message(),
        }
    }

    fn behind_message(&mut self) {
        self.phase = Phase::Before(EmptyLine::Nothing);
        match &mut self.side {
            Side::Answers(awaited) => *awaited = None,
            Side::Requests(switch) if *switch == Switch::Asked => *switch = Switch::Open,
            Side::Requests(_) => {}
        }
    }
}

impl Side {
    /// The body behind a head, if it has one.
    fn behind(&mut self, head: &Head, limits: HeadLimits) -> Option<Phase> {
        let framing = head.framing();
        if let Self::Answers(awaited) = self {
            let without_body = awaited.is_some_and(|awaited| awaited.without_body);
            match head.start().status {
                101 => return Some(Phase::Rest),
                100 | 102..=199 => {
                    if let Some(awaited) = awaited {
                        awaited.interim_room = awaited.interim_room.saturating_sub(1);
                    }
                    return None;
                }
                204 | 304 => return None,
                _ if without_body => return None,
                _ if framing == Framing::default() => return Some(Phase::Rest),
                _ => {}
            }
        }
        match framing {
            Framing {
                is_chunked: true, ..
            } => Some(Phase::Chunked(Chunked::new(limits))),
            Framing {
                length: Some(length @ 1..),
                ..
            } => Some(Phase::Length(length)),
            Framing {
                length: None | Some(0),
                ..
            } => None,
        }
    }
}
