//! What a server said on one connection, frame by frame, and what that amounts to.

use std::fmt;

use super::case::NO_ERROR;
use crate::support::{
    h2::Frame,
    h2_frames::{self, flag, kind},
};

/// The stream of the good request that follows each case.
pub(super) const PROBE: u32 = 0x7fff_fffd;
/// What the PING after each case holds.
pub(super) const PROBE_PING: [u8; 8] = *b"and now?";

/// What a server said on one connection.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) frames: Vec<Frame>,
    pub(super) closed: bool,
}

impl Heard {
    /// The code of the last GOAWAY.
    pub(super) fn goaway(&self) -> Option<u32> {
        let last = self.frames.iter().rfind(|it| it.kind == kind::GOAWAY)?;
        word(last.payload.get(4..)?)
    }

    /// The code with which a stream was reset.
    pub(super) fn reset(&self, stream: u32) -> Option<u32> {
        let mut frames = self.on(stream);
        word(&frames.find(|it| it.kind == kind::RST_STREAM)?.payload)
    }

    /// The status of a final answer.
    pub(super) fn status(&self, stream: u32) -> Option<u16> {
        let heads = self.on(stream).filter(|it| it.kind == kind::HEADERS);
        let mut statuses = heads.filter_map(|it| h2_frames::status(&it.payload));
        statuses.find(|it| *it >= 200)
    }

    /// The whole body so far.
    pub(super) fn body(&self, stream: u32) -> Vec<u8> {
        let pieces = self.on(stream).filter(|it| it.kind == kind::DATA);
        pieces.flat_map(|it| it.payload.clone()).collect()
    }

    /// The length of each DATA frame, in order; empty ones left out.
    pub(super) fn pieces(&self, stream: u32) -> Vec<usize> {
        let pieces = self.on(stream).filter(|it| it.kind == kind::DATA);
        pieces
            .map(|it| it.payload.len())
            .filter(|it| *it > 0)
            .collect()
    }

    /// Whether nothing more can come on a stream.
    pub(super) fn ended(&self, stream: u32) -> bool {
        self.on(stream).any(|it| match it.kind {
            kind::DATA | kind::HEADERS => it.flags & flag::END_STREAM != 0,
            other => other == kind::RST_STREAM,
        })
    }

    /// Whether a stream has a whole answer of status 200.
    pub(super) fn is_answered(&self, stream: u32) -> bool {
        self.status(stream) == Some(200) && self.is_complete(stream)
    }

    fn is_complete(&self, stream: u32) -> bool {
        self.ended(stream) && self.reset(stream).is_none_or(|it| it == NO_ERROR)
    }

    /// The answers to PINGs, in order.
    pub(super) fn pongs(&self) -> Vec<&[u8]> {
        let acks = self.frames.iter().filter(|it| is_ack(it, kind::PING));
        acks.map(|it| &it.payload[..])
            .filter(|it| *it != PROBE_PING)
            .collect()
    }

    /// How many SETTINGS were acknowledged, those of the opening among them.
    pub(super) fn acknowledged_settings(&self) -> usize {
        let acks = self.frames.iter().filter(|it| is_ack(it, kind::SETTINGS));
        acks.count()
    }

    /// How many frames there are on a stream.
    pub(super) fn on(&self, stream: u32) -> impl Iterator<Item = &Frame> {
        self.frames.iter().filter(move |it| it.stream == stream)
    }

    /// Whether the PING after the case was answered, and the good request if there is one.
    pub(super) fn is_through(&self, is_probed: bool) -> bool {
        let mut acks = self.frames.iter().filter(|it| is_ack(it, kind::PING));
        acks.any(|it| it.payload == PROBE_PING) && (!is_probed || self.ended(PROBE))
    }

    /// Whether the connection serves on after the case.
    pub(super) fn goes_on(&self, is_probed: bool) -> bool {
        let served = !is_probed || self.is_answered(PROBE);
        self.goaway().is_none() && self.is_through(is_probed) && served
    }
}

impl fmt::Display for Heard {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        for frame in &self.frames {
            let stream = frame.stream;
            words.push(match frame.kind {
                kind::HEADERS => match h2_frames::status(&frame.payload) {
                    Some(status) => format!("{status} on {stream}"),
                    None => format!("trailers on {stream}"),
                },
                kind::DATA => format!("{} bytes on {stream}", frame.payload.len()),
                kind::RST_STREAM => {
                    let code = word(&frame.payload);
                    format!("reset {code:?} of {stream}")
                }
                kind::PING => "PING".to_owned(),
                kind::GOAWAY => format!("GOAWAY {:?}", frame.payload.get(4..).and_then(word)),
                _ => continue,
            });
        }
        words.push(if self.closed { "the end" } else { "silence" }.to_owned());
        write!(to, "[{}]", words.join(", "))
    }
}

fn is_ack(frame: &Frame, kind: u8) -> bool {
    frame.kind == kind && frame.flags & flag::ACK != 0
}

pub(super) fn word(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|it| u32::from_be_bytes(*it))
}
