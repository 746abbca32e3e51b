//! A body in chunks, with its extensions and trailers (RFC 9112 7.1).
//!
//! Every offence is a [`HeadFault::Chunk`]; what is looked at for the sake of heads is the same here.

use super::{
    HeadFault, HeadLimits,
    classes::VALUE,
    doubt::{Offence, Scanned, within},
    fields::{Fields, Section},
};

/// Most bytes of extensions in one message.
const MAX_EXTENSION_BYTES: usize = 4 * 1024;

/// Most digits of a size: all such numbers fit 64 bits.
const MAX_SIZE_DIGITS: u8 = 16;

/// A chunked body under way.
#[derive(Debug)]
pub(super) struct Chunked {
    place: Place,
    limits: HeadLimits,
    extension_room: usize,
}

#[derive(Debug)]
enum Place {
    Size { digits: u8, value: u64 },
    Extension { size: u64, quote: Quote },
    SizeLineFeed { size: u64 },
    Data { left: u64 },
    DataLineFeed,
    Trailers { fields: Fields, room: usize },
}

/// Where in a quoted string an extension is (RFC 9110 5.6.4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Quote {
    Outside,
    Inside,
    Escaped,
}

impl Chunked {
    pub(super) fn new(limits: HeadLimits) -> Self {
        Self {
            place: Place::next_chunk(),
            limits,
            extension_room: MAX_EXTENSION_BYTES,
        }
    }

    /// Looks at bytes of the body; it ends behind the empty line of its trailers.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Scanned {
        let mut at = 0;
        while let Some((&byte, _)) = bytes[at..].split_first() {
            if let Place::Trailers { fields, room } = &mut self.place {
                let scanned = within(room, &bytes[at..], |window| fields.scan(window));
                return match scanned {
                    Ok(end) => Ok(end.map(|end| at + end)),
                    Err(offence) => Err(Offence::settled(at + offence.at, HeadFault::Chunk)),
                };
            }
            let taken = self.step(byte, &bytes[at..]);
            at += taken.ok_or(Offence::settled(at, HeadFault::Chunk))?;
        }
        Ok(None)
    }

    /// Takes at least one byte, or none of what is left is as it must be.
    fn step(&mut self, byte: u8, bytes: &[u8]) -> Option<usize> {
        let next = match self.place {
            Place::Size { digits, value } => size(digits, value, byte)?,
            Place::Extension { size, quote } => self.extension(size, quote, byte)?,
            Place::SizeLineFeed { size } if byte == b'\n' => self.behind_size(size),
            Place::Data { left: 0 } if byte == b'\r' => Place::DataLineFeed,
            Place::Data { left: 1.. } => return Some(self.data(bytes)),
            Place::DataLineFeed if byte == b'\n' => Place::next_chunk(),
            Place::SizeLineFeed { .. }
            | Place::Data { left: 0 }
            | Place::DataLineFeed
            | Place::Trailers { .. } => return None,
        };
        self.place = next;
        Some(1)
    }

    fn extension(&mut self, size: u64, quote: Quote, byte: u8) -> Option<Place> {
        if byte == b'\r' {
            // A quoted string that goes on in the next line is a chunk for one reader alone.
            return (quote == Quote::Outside).then_some(Place::SizeLineFeed { size });
        }
        if !VALUE.has(byte) {
            return None;
        }
        self.extension_room = self.extension_room.checked_sub(1)?;
        let quote = match (quote, byte) {
            (Quote::Outside, b'"') | (Quote::Escaped, _) => Quote::Inside,
            (Quote::Inside, b'"') => Quote::Outside,
            (Quote::Inside, b'\\') => Quote::Escaped,
            (unchanged, _) => unchanged,
        };
        Some(Place::Extension { size, quote })
    }

    fn behind_size(&self, size: u64) -> Place {
        if size > 0 {
            return Place::Data { left: size };
        }
        Place::Trailers {
            fields: Fields::new(Section::Trailers, self.limits.headers),
            room: self.limits.head_bytes,
        }
    }

    fn data(&mut self, bytes: &[u8]) -> usize {
        let Place::Data { left } = &mut self.place else {
            return 0;
        };
        take(left, bytes)
    }
}

/// Takes as many bytes as are left of a length and have come.
pub(super) fn take(left: &mut u64, bytes: &[u8]) -> usize {
    let taken = usize::try_from(*left)
        .unwrap_or(usize::MAX)
        .min(bytes.len());
    *left = left.saturating_sub(taken as u64);
    taken
}

fn size(digits: u8, value: u64, byte: u8) -> Option<Place> {
    match byte {
        b'\r' if digits > 0 => return Some(Place::SizeLineFeed { size: value }),
        b';' if digits > 0 => {
            return Some(Place::Extension {
                size: value,
                quote: Quote::Outside,
            });
        }
        _ if digits == MAX_SIZE_DIGITS => return None,
        _ => {}
    }
    let digit = char::from(byte).to_digit(16)?;
    Some(Place::Size {
        digits: digits + 1,
        value: (value << 4) | u64::from(digit),
    })
}

impl Place {
    fn next_chunk() -> Self {
        Self::Size {
            digits: 0,
            value: 0,
        }
    }
}
