//! The first line of a head: a request line or a status line (RFC 9112 3, 4).
//!
//! Takes one spelling of each, with single spaces, and leaves nothing to the recipient's judgement.

use super::{
    HeadFault,
    classes::{METHOD, TARGET},
    doubt::{Doubt, Offence, Scanned, text_of_line},
};

/// Most bytes of a method.
const MAX_METHOD_BYTES: usize = 32;

/// What stands before the digit that distinguishes the versions we speak.
const VERSION: &[u8; 7] = b"HTTP/1.";

/// A first line under way, and what it has said.
#[derive(Debug)]
pub(super) struct StartLine {
    place: Place,
    side: Side,
    /// Whether the version is HTTP/1.1, and not HTTP/1.0.
    pub(super) is_http_11: bool,
    /// The status; 0 in a request.
    pub(super) status: u16,
}

#[derive(Clone, Copy, Debug)]
enum Side {
    Request { target_bytes: usize },
    Answer { may_be_interim: bool },
}

/// What comes next; the numbers say how much of it has come.
#[derive(Clone, Copy, Debug)]
enum Place {
    Method(usize),
    Target(usize),
    Version(usize),
    VersionEnd,
    Status(u8),
    StatusEnd,
    Reason,
    LineFeed,
}

impl StartLine {
    pub(super) fn of_request(target_bytes: usize) -> Self {
        Self {
            place: Place::Method(0),
            side: Side::Request { target_bytes },
            is_http_11: false,
            status: 0,
        }
    }

    pub(super) fn of_answer(may_be_interim: bool) -> Self {
        Self {
            place: Place::Version(0),
            side: Side::Answer { may_be_interim },
            is_http_11: false,
            status: 0,
        }
    }

    /// Whether another answer to the same request follows.
    pub(super) fn is_interim(&self) -> bool {
        matches!(self.status, 100 | 102..=199)
    }

    pub(super) fn scan(&mut self, bytes: &[u8]) -> Scanned {
        let mut at = 0;
        while let Some((&byte, _)) = bytes[at..].split_first() {
            at += match self.place {
                Place::Method(length) => self.method(length, &bytes[at..]),
                Place::Target(length) => self.target(length, &bytes[at..]),
                Place::Version(length) => self.version(length, byte),
                Place::VersionEnd => self.version_end(byte),
                Place::Status(digits) => self.status_digit(digits, byte),
                Place::StatusEnd => self.status_end(byte),
                Place::Reason => self.reason(&bytes[at..]),
                Place::LineFeed if byte == b'\n' => return Ok(Some(at + 1)),
                Place::LineFeed => Err(Offence::settled(0, HeadFault::LineEnd)),
            }
            .map_err(|offence| offence.shifted(at))?;
        }
        Ok(None)
    }

    fn method(&mut self, length: usize, bytes: &[u8]) -> Result<usize, Offence> {
        let run = METHOD.run(bytes);
        let begins_well = length > 0 || bytes.first().is_some_and(u8::is_ascii_uppercase);
        let room = if begins_well {
            MAX_METHOD_BYTES.saturating_sub(length)
        } else {
            0
        };
        match bytes.get(run.min(room)) {
            None => self.place = Place::Method(length + run),
            Some(b' ') if begins_well => {
                self.place = Place::Target(0);
                return Ok(run + 1);
            }
            Some(byte) => {
                // A line that ends with its first word, or begins with a space, has no method.
                let fault = match byte {
                    b'\r' | b' ' => HeadFault::MalformedStart,
                    _ => HeadFault::MalformedMethod,
                };
                return Err(Offence::of(*byte, run.min(room), fault));
            }
        }
        Ok(run)
    }

    fn target(&mut self, length: usize, bytes: &[u8]) -> Result<usize, Offence> {
        let Side::Request { target_bytes } = self.side else {
            return Err(Offence::settled(0, HeadFault::MalformedStart));
        };
        let run = TARGET.run(bytes);
        let room = target_bytes.saturating_sub(length);
        if run > room {
            return Err(Offence::settled(room, HeadFault::TargetTooLong));
        }
        let is_empty = length + run == 0;
        match bytes.get(run) {
            None => self.place = Place::Target(length + run),
            Some(b' ') if !is_empty => {
                self.place = Place::Version(0);
                return Ok(run + 1);
            }
            // A line without a version, or with one space too many.
            Some(byte @ (b'\r' | b' ')) => {
                return Err(Offence::of(*byte, run, HeadFault::MalformedStart));
            }
            Some(byte) => return Err(Offence::of(*byte, run, HeadFault::MalformedTarget)),
        }
        Ok(run)
    }

    fn version(&mut self, length: usize, byte: u8) -> Result<usize, Offence> {
        let end = self.byte_behind_version();
        let doubt = match (length, byte) {
            (..VERSION_LENGTH, _) if VERSION.get(length) == Some(&byte) => {
                self.place = Place::Version(length + 1);
                return Ok(1);
            }
            (VERSION_LENGTH, b'0' | b'1') => {
                self.is_http_11 = byte == b'1';
                self.place = Place::VersionEnd;
                return Ok(1);
            }
            (MAJOR_AT, b'0'..=b'9') => Doubt::Major { digits: 1, end },
            (DOT_AT, b'0'..=b'9') => Doubt::Major { digits: 2, end },
            (DOT_AT, _) => Doubt::behind_version(byte, end),
            (VERSION_LENGTH, b'0'..=b'9') => Doubt::Minor { end },
            _ => return Err(Offence::of(byte, 0, HeadFault::MalformedStart)),
        };
        Err(Offence { at: 0, doubt })
    }

    fn byte_behind_version(&self) -> u8 {
        match self.side {
            Side::Request { .. } => b'\r',
            Side::Answer { .. } => b' ',
        }
    }

    fn version_end(&mut self, byte: u8) -> Result<usize, Offence> {
        self.place = match (byte, self.side) {
            (b'\r', Side::Request { .. }) => Place::LineFeed,
            (b' ', Side::Answer { .. }) => Place::Status(0),
            _ => return Err(Offence::of(byte, 0, HeadFault::MalformedStart)),
        };
        Ok(1)
    }

    fn status_digit(&mut self, digits: u8, byte: u8) -> Result<usize, Offence> {
        if !byte.is_ascii_digit() || (digits == 0 && !matches!(byte, b'1'..=b'5')) {
            return Err(Offence::of(byte, 0, HeadFault::MalformedStart));
        }
        self.status = self.status * 10 + u16::from(byte - b'0');
        self.place = if digits == 2 {
            Place::StatusEnd
        } else {
            Place::Status(digits + 1)
        };
        let may_be_interim = matches!(
            self.side,
            Side::Answer {
                may_be_interim: true
            }
        );
        if digits == 2 && self.is_interim() && !may_be_interim {
            return Err(Offence::settled(0, HeadFault::Surplus));
        }
        Ok(1)
    }

    fn status_end(&mut self, byte: u8) -> Result<usize, Offence> {
        self.place = match byte {
            b' ' => Place::Reason,
            // Many a plain app leaves the reason out with its space.
            b'\r' => Place::LineFeed,
            _ => return Err(Offence::of(byte, 0, HeadFault::MalformedStart)),
        };
        Ok(1)
    }

    fn reason(&mut self, bytes: &[u8]) -> Result<usize, Offence> {
        let (taken, is_whole) = text_of_line(bytes, HeadFault::MalformedStart)?;
        if is_whole {
            self.place = Place::LineFeed;
        }
        Ok(taken)
    }
}

const VERSION_LENGTH: usize = VERSION.len();
const MAJOR_AT: usize = VERSION_LENGTH - 2;
const DOT_AT: usize = VERSION_LENGTH - 1;
