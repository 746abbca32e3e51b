//! Sizes as they are written, `"32KiB"`, and read. Knows no key and none of its bounds.

use super::values::{Fault, Format, shown};

/// A number of bytes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Size(pub(super) u64);

/// Largest unit first, so that a size is written in the largest that fits.
const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("B", 1),
];

impl Format for Size {
    const NAME: &'static str = "size";
    const ALLOWED: &'static str = "write a whole number with its unit, B, KB, MB, GB or KiB, MiB, \
                                   GiB: \"512B\", \"32KiB\", \"1MiB\"";

    fn parse(text: &str) -> Result<Self, Fault> {
        let fault = || Fault::new(format!("{} is not a size", shown(text)), Self::ALLOWED);
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(fault)?;
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| fault())?;
        let (_, bytes) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(fault)?;
        number.checked_mul(*bytes).map(Self).ok_or_else(|| {
            let message = format!("{text} is more than can be counted");
            Fault::new(message, Self::ALLOWED)
        })
    }
}

/// A number of bytes, or no limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct SizeOrOff(pub(super) Option<Size>);

impl Format for SizeOrOff {
    const NAME: &'static str = "size-or-off";
    const ALLOWED: &'static str = "write a size, \"512KiB\" or \"10MiB\", or \"off\"";

    fn parse(text: &str) -> Result<Self, Fault> {
        if text == "off" {
            return Ok(Self(None));
        }
        Size::parse(text)
            .map(|size| Self(Some(size)))
            .map_err(|fault| Fault::new(fault.message, Self::ALLOWED))
    }
}

/// The size as an operator would write it.
pub(super) fn written(bytes: u64) -> String {
    let fitting = UNITS
        .iter()
        .find(|(name, unit)| name.ends_with("iB") && bytes >= *unit && bytes.is_multiple_of(*unit));
    let (name, unit) = fitting.unwrap_or(&("B", 1));
    format!("{}{name}", bytes / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_with_a_unit() {
        for (text, bytes) in [
            ("0B", 0),
            ("512B", 512),
            ("8KB", 8_000),
            ("8KiB", 8_192),
            ("1MB", 1_000_000),
            ("1MiB", 1_048_576),
            ("2GB", 2_000_000_000),
            ("2GiB", 2_147_483_648),
        ] {
            assert_eq!(Size::parse(text), Ok(Size(bytes)));
        }
        for text in [
            "",
            "8",
            "KiB",
            "8 KiB",
            " 8KiB",
            "8KiB ",
            "-1B",
            "+1B",
            "1.5MiB",
            "8kb",
            "8Kib",
            "8K",
            "8k",
            "1MiB1KiB",
            "\u{661}B",
            "99999999999999999999B",
            "18446744073709551615GiB",
        ] {
            assert!(Size::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_size_may_be_off_where_the_key_says_so() {
        assert_eq!(SizeOrOff::parse("off"), Ok(SizeOrOff(None)));
        assert_eq!(SizeOrOff::parse("1KiB"), Ok(SizeOrOff(Some(Size(1024)))));
        assert!(SizeOrOff::parse("none").unwrap_err().remedy.contains("off"));
        assert!(Size::parse("off").is_err());
    }

    #[test]
    fn a_size_is_written_as_it_would_be_read() {
        for text in ["0B", "1023B", "1025B", "8KiB", "1MiB", "1025KiB", "3GiB"] {
            assert_eq!(written(Size::parse(text).unwrap().0), text);
        }
    }
}
