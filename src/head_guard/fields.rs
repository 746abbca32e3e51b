//! The field lines of a head or of trailers, up to the empty line (RFC 9112 5, 6.1, 6.2).
//!
//! Compares names with the two that frame a body, and the one that asks for another protocol, as it goes
//! along, and keeps nothing of the others.

use super::{
    HeadFault,
    classes::{TOKEN, VALUE, value_run},
    doubt::{Offence, Scanned, text_of_line},
};

/// Most digits of a length: all such numbers fit 64 bits.
const MAX_LENGTH_DIGITS: u8 = 19;

/// The one transfer coding that is read.
const CHUNKED: &[u8] = b"chunked";

/// What the fields of a head say about its body.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Framing {
    /// The announced length.
    pub(super) length: Option<u64>,
    /// Whether the body comes in chunks.
    pub(super) is_chunked: bool,
}

/// Where the fields stand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Section {
    Head {
        is_http_11: bool,
    },
    /// Behind a body, where nothing can be framed any more.
    Trailers,
}

/// Field lines under way, and what they have said.
#[derive(Debug)]
pub(super) struct Fields {
    place: Place,
    section: Section,
    /// How many more fields may come.
    room: usize,
    pub(super) framing: Framing,
    /// Whether there is an `Upgrade` among them.
    pub(super) asks_to_switch: bool,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    LineStart,
    Name(Name),
    Value,
    Length(Length),
    Coding { has_space: bool, matched: usize },
    LineFeed,
    EndLineFeed,
}

#[derive(Clone, Copy, Debug)]
enum Name {
    Any,
    /// So many bytes are those of a name that matters.
    Perhaps(Known, usize),
}

#[derive(Clone, Copy, Debug)]
enum Known {
    ContentLength,
    TransferEncoding,
    Upgrade,
}

#[derive(Clone, Copy, Debug, Default)]
struct Length {
    has_space: bool,
    digits: u8,
    value: u64,
}

impl Fields {
    pub(super) fn new(section: Section, most: usize) -> Self {
        Self {
            place: Place::LineStart,
            section,
            room: most,
            framing: Framing::default(),
            asks_to_switch: false,
        }
    }

    pub(super) fn scan(&mut self, bytes: &[u8]) -> Scanned {
        let mut at = 0;
        while let Some((&byte, _)) = bytes[at..].split_first() {
            if let Some(taken) = self.plain_line(&bytes[at..]) {
                at += taken;
                continue;
            }
            at += match self.place {
                Place::LineStart => self.line_start(byte),
                Place::Name(name) => self.name(name, &bytes[at..]),
                Place::Value => self.value(&bytes[at..]),
                Place::Length(length) => self.length(length, byte),
                Place::Coding { has_space, matched } => self.coding(has_space, matched, byte),
                Place::LineFeed if byte == b'\n' => {
                    self.place = Place::LineStart;
                    Ok(1)
                }
                Place::EndLineFeed if byte == b'\n' => return Ok(Some(at + 1)),
                Place::LineFeed | Place::EndLineFeed => {
                    Err(Offence::settled(0, HeadFault::LineEnd))
                }
            }
            .map_err(|offence| offence.shifted(at))?;
        }
        Ok(None)
    }

    /// Takes a line that is there as a whole and says nothing of a body: nearly every line of nearly
    /// every head. What is in any way special is left to be gone through piece by piece, which decides.
    fn plain_line(&mut self, bytes: &[u8]) -> Option<usize> {
        let Place::LineStart = self.place else {
            return None;
        };
        let room = self.room.checked_sub(1)?;
        let name = TOKEN.run(bytes);
        let value = bytes.get(name..)?.strip_prefix(b":")?;
        let end = value_run(value);
        if name == 0 || Known::may_be_of_length(name) || !value[end..].starts_with(b"\r\n") {
            return None;
        }
        self.room = room;
        Some(name + 1 + end + 2)
    }

    fn line_start(&mut self, byte: u8) -> Result<usize, Offence> {
        if byte == b'\r' {
            self.place = Place::EndLineFeed;
            return Ok(1);
        }
        // A blank here folds the line before; a colon leaves the name empty.
        if !TOKEN.has(byte) {
            return Err(Offence::of(byte, 0, HeadFault::MalformedField));
        }
        let Some(room) = self.room.checked_sub(1) else {
            return Err(Offence::settled(0, HeadFault::TooManyFields));
        };
        self.room = room;
        self.place = Place::Name(match byte {
            b'C' | b'c' => Name::Perhaps(Known::ContentLength, 1),
            b'T' | b't' => Name::Perhaps(Known::TransferEncoding, 1),
            b'U' | b'u' => Name::Perhaps(Known::Upgrade, 1),
            _ => Name::Any,
        });
        Ok(1)
    }

    fn name(&mut self, name: Name, bytes: &[u8]) -> Result<usize, Offence> {
        let run = TOKEN.run(bytes);
        let (more, behind) = bytes.split_at(run);
        let name = name.and(more);
        self.place = match behind.first() {
            None => Place::Name(name),
            Some(b':') => self
                .value_of(name)
                .map_err(|offence| offence.shifted(run))?,
            Some(byte) => return Err(Offence::of(*byte, run, HeadFault::MalformedField)),
        };
        Ok(run + usize::from(!behind.is_empty()))
    }

    /// What follows the colon behind a name, if it may stand here.
    fn value_of(&mut self, name: Name) -> Result<Place, Offence> {
        let fault = match (name.known(), self.section) {
            (None, _) => return Ok(Place::Value),
            (Some(Known::Upgrade), section) => {
                self.asks_to_switch |= section != Section::Trailers;
                return Ok(Place::Value);
            }
            (Some(_), Section::Trailers) => HeadFault::Chunk,
            (Some(_), _) if self.framing.length.is_some() => HeadFault::AmbiguousLength,
            (Some(Known::ContentLength), _) if self.framing.is_chunked => {
                HeadFault::AmbiguousLength
            }
            (Some(Known::ContentLength), _) => return Ok(Place::Length(Length::default())),
            (Some(Known::TransferEncoding), Section::Head { is_http_11: true })
                if !self.framing.is_chunked =>
            {
                return Ok(Place::Coding {
                    has_space: false,
                    matched: 0,
                });
            }
            (Some(Known::TransferEncoding), _) => HeadFault::TransferCoding,
        };
        Err(Offence::settled(0, fault))
    }

    fn value(&mut self, bytes: &[u8]) -> Result<usize, Offence> {
        let (taken, is_whole) = text_of_line(bytes, HeadFault::MalformedField)?;
        if is_whole {
            self.place = Place::LineFeed;
        }
        Ok(taken)
    }

    fn length(&mut self, length: Length, byte: u8) -> Result<usize, Offence> {
        self.place = match byte {
            b' ' if !length.has_space && length.digits == 0 => Place::Length(Length {
                has_space: true,
                ..length
            }),
            b'0'..=b'9' if length.takes_a_digit() => Place::Length(Length {
                digits: length.digits + 1,
                value: length.value * 10 + u64::from(byte - b'0'),
                ..length
            }),
            b'\r' if length.digits > 0 => {
                self.framing.length = Some(length.value);
                Place::LineFeed
            }
            _ => {
                return Err(Offence::of(
                    byte,
                    0,
                    in_value(byte, HeadFault::AmbiguousLength),
                ));
            }
        };
        Ok(1)
    }

    fn coding(&mut self, has_space: bool, matched: usize, byte: u8) -> Result<usize, Offence> {
        self.place = match (byte, CHUNKED.get(matched)) {
            (b' ', _) if !has_space && matched == 0 => Place::Coding {
                has_space: true,
                matched,
            },
            (_, Some(expected)) if byte.eq_ignore_ascii_case(expected) => Place::Coding {
                has_space,
                matched: matched + 1,
            },
            (b'\r', None) => {
                self.framing.is_chunked = true;
                Place::LineFeed
            }
            _ => {
                return Err(Offence::of(
                    byte,
                    0,
                    in_value(byte, HeadFault::TransferCoding),
                ));
            }
        };
        Ok(1)
    }
}

/// A control byte is one whatever the value means.
fn in_value(byte: u8, fault: HeadFault) -> HeadFault {
    if VALUE.has(byte) || byte == b'\r' {
        fault
    } else {
        HeadFault::MalformedField
    }
}

impl Name {
    fn and(self, more: &[u8]) -> Self {
        let Self::Perhaps(known, matched) = self else {
            return Self::Any;
        };
        let end = matched.saturating_add(more.len());
        match known.spelled().get(matched..end) {
            Some(expected) if expected.eq_ignore_ascii_case(more) => Self::Perhaps(known, end),
            _ => Self::Any,
        }
    }

    fn known(self) -> Option<Known> {
        match self {
            Self::Perhaps(known, matched) if matched == known.spelled().len() => Some(known),
            Self::Any | Self::Perhaps(..) => None,
        }
    }
}

impl Known {
    const ALL: [Self; 3] = [Self::ContentLength, Self::TransferEncoding, Self::Upgrade];

    /// Whether one of these names has so many bytes.
    fn may_be_of_length(bytes: usize) -> bool {
        Self::ALL.iter().any(|it| it.spelled().len() == bytes)
    }

    fn spelled(self) -> &'static [u8] {
        match self {
            Self::ContentLength => b"content-length",
            Self::TransferEncoding => b"transfer-encoding",
            Self::Upgrade => b"upgrade",
        }
    }
}

impl Length {
    /// A zero in front is read as octal by some.
    fn takes_a_digit(self) -> bool {
        self.digits < MAX_LENGTH_DIGITS && !(self.digits == 1 && self.value == 0)
    }
}
