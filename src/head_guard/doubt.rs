//! What a byte that breaks the grammar makes of its message.
//!
//! From that byte on everything is withheld. Which fault it is may show only in what follows: a CR may
//! stand alone, a version may be one that we do not speak or none at all. No way leads back.

use super::{HeadFault, classes::value_run};

/// How a piece of a message ended: not yet, after so many bytes, or with a fault.
pub(super) type Scanned = Result<Option<usize>, Offence>;

/// Most digits of a version that is told from rubbish.
const MAX_VERSION_DIGITS: u8 = 16;

/// A byte that breaks the grammar.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Offence {
    /// Where it is in the bytes that were looked at.
    pub(super) at: usize,
    pub(super) doubt: Doubt,
}

/// Which fault it is, as far as is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Doubt {
    /// This one.
    Settled(HeadFault),
    /// A CR came: this one if its LF does, else one of line ends.
    UntilLineFeed(HeadFault),
    /// Behind so many digits of `HTTP/`.
    Major { digits: u8, end: u8 },
    /// Behind `HTTP/d.`.
    Dot { end: u8 },
    /// Behind `HTTP/d.d`.
    Minor { end: u8 },
}

impl Offence {
    /// A byte that is out of place: a line end is one of its own kind, all else `fault`.
    pub(super) fn of(byte: u8, at: usize, fault: HeadFault) -> Self {
        Self {
            at,
            doubt: Doubt::of(byte, fault),
        }
    }

    pub(super) fn settled(at: usize, fault: HeadFault) -> Self {
        let doubt = Doubt::Settled(fault);
        Self { at, doubt }
    }

    /// The same in bytes that begin `by` earlier.
    pub(super) fn shifted(self, by: usize) -> Self {
        let at = self.at.saturating_add(by);
        Self { at, ..self }
    }
}

impl Doubt {
    fn of(byte: u8, fault: HeadFault) -> Self {
        match byte {
            b'\n' => Self::Settled(HeadFault::LineEnd),
            b'\r' => Self::UntilLineFeed(fault),
            _ => Self::Settled(fault),
        }
    }

    /// What is known after one more byte.
    pub(super) fn after(self, byte: u8) -> Self {
        match self {
            Self::Settled(_) => self,
            Self::UntilLineFeed(fault) if byte == b'\n' => Self::Settled(fault),
            Self::UntilLineFeed(_) => Self::Settled(HeadFault::LineEnd),
            Self::Major { digits, end } => match byte {
                b'0'..=b'9' if digits < MAX_VERSION_DIGITS => Self::Major {
                    digits: digits.saturating_add(1),
                    end,
                },
                b'.' if digits == 1 => Self::Dot { end },
                _ => Self::behind_version(byte, end),
            },
            Self::Dot { end } if byte.is_ascii_digit() => Self::Minor { end },
            Self::Dot { .. } => Self::of(byte, HeadFault::MalformedStart),
            Self::Minor { end } => Self::behind_version(byte, end),
        }
    }

    /// A version that we do not speak ends here, or it is none.
    pub(super) fn behind_version(byte: u8, end: u8) -> Self {
        if byte == end {
            Self::of(byte, HeadFault::Version)
        } else {
            Self::of(byte, HeadFault::MalformedStart)
        }
    }
}

/// Text up to the CR that ends its line: how many bytes were taken, and whether the CR is among them.
pub(super) fn text_of_line(bytes: &[u8], fault: HeadFault) -> Result<(usize, bool), Offence> {
    let run = value_run(bytes);
    match bytes.get(run) {
        None => Ok((run, false)),
        Some(b'\r') => Ok((run.saturating_add(1), true)),
        Some(byte) => Err(Offence::of(*byte, run, fault)),
    }
}

/// Looks at as many bytes as there is room for; one more is a head too large.
pub(super) fn within(
    room: &mut usize,
    bytes: &[u8],
    scan: impl FnOnce(&[u8]) -> Scanned,
) -> Scanned {
    let (window, beyond) = bytes.split_at(bytes.len().min(*room));
    let scanned = scan(window)?;
    if scanned.is_none() {
        *room = room.saturating_sub(window.len());
        if !beyond.is_empty() {
            return Err(Offence::settled(window.len(), HeadFault::TooLarge));
        }
    }
    Ok(scanned)
}
