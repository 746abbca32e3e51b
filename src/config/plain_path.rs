//! Plain paths: those that every server in the world reads the same way.
//!
//! A rule that opens something only ever matches a plain path, and no rule can be written for
//! another; any other spelling of a request counts as protected (S-034 to S-042). Paths are compared
//! byte for byte and never rewritten: what was matched is what is sent (S-004).

use std::borrow::Cow;

use thiserror::Error;

/// Why a path has more than one reading, or none.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum NotPlain {
    /// A byte that no URL may hold.
    #[error("holds a character that a path cannot hold; write it percent-encoded")]
    Byte,
    /// A `.` or `..` segment.
    #[error("has a `.` or `..` segment")]
    DotSegment,
    /// An empty segment that is not the last.
    #[error("has an empty segment")]
    EmptySegment,
    /// An escape of what could stand there as it is, of a control character, in lower-case digits,
    /// or of half a character.
    #[error("has an escape that a path rule never matches")]
    Escape,
    /// `;`, `\\`, `?` or `#`.
    #[error("holds `;`, `\\`, `?` or `#`, which a path rule never matches")]
    Separator,
    /// No slash at the beginning.
    #[error("does not begin with a slash")]
    Slash,
    /// A `%` without two hexadecimal digits.
    #[error("has a malformed percent escape")]
    Unfinished,
}

/// Whether nobody could make sense of a path: refused with or without a session.
///
/// That is a byte outside visible ASCII, a `%` without two hexadecimal digits, or one that stands
/// for NUL or for a byte that only an overlong UTF-8 sequence begins with.
#[must_use]
pub fn is_unreadable(path: &str) -> bool {
    let bytes = path.as_bytes();
    bytes.iter().enumerate().any(|(at, byte)| match byte {
        b'%' => matches!(escaped(bytes, at), None | Some(0 | 0xc0 | 0xc1)),
        0x21..=0x7e => false,
        _ => true,
    })
}

/// Checks that a path has one spelling only.
///
/// Besides the classics (`..`, `//`, `;`, `%2f`) an escape is refused for every character that could
/// stand there as it is: `/%61dmin` is `/admin` to an app, but not to a rule that compares bytes.
/// What remains are blanks and bytes of other alphabets, in upper-case digits.
///
/// # Errors
/// Returns the first [`NotPlain`] that is found.
pub fn check(path: &str) -> Result<(), NotPlain> {
    let rest = path.strip_prefix('/').ok_or(NotPlain::Slash)?;
    let bytes = path.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b';' | b'\\' | b'?' | b'#' => return Err(NotPlain::Separator),
            b'%' => match escaped(bytes, at).ok_or(NotPlain::Unfinished)? {
                0xc0 | 0xc1 => return Err(NotPlain::Escape),
                b' ' | 0x80.. if has_upper_case_digits(bytes, at) => {}
                _ => return Err(NotPlain::Escape),
            },
            0x21..=0x7e => {}
            _ => return Err(NotPlain::Byte),
        }
    }
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "." | ".." => return Err(NotPlain::DotSegment),
            "" if segments.peek().is_some() => return Err(NotPlain::EmptySegment),
            _ => {}
        }
    }
    Ok(())
}

/// Whether a path has one spelling only; see [`check`].
#[must_use]
pub fn is_plain(path: &str) -> bool {
    check(path).is_ok()
}

/// Whether some reading of a path could change what lies below what: an encoded or backward slash, a
/// dot segment, an escape of an escape.
#[must_use]
pub fn may_restructure(path: &str) -> bool {
    let bytes = path.as_bytes();
    let odd_byte = bytes.iter().enumerate().any(|(at, byte)| match byte {
        b'\\' => true,
        b'%' => matches!(escaped(bytes, at), None | Some(b'/' | b'\\' | b'%' | b'.')),
        _ => false,
    });
    let is_dots = |segment: &str| {
        let name = segment.split([';', ':']).next().unwrap_or_default();
        !name.is_empty() && name.bytes().all(|byte| matches!(byte, b'.' | b' '))
    };
    odd_byte || path.split('/').any(is_dots)
}

/// How the least particular app would read a path: escapes decoded, letters in lower case, empty
/// segments gone, and of each segment what stands before `;`, `:` or blanks and dots at its end.
///
/// Only for asking which other route may be meant; what is matched and sent stays as it is.
#[must_use]
pub fn loosest_reading(path: &str) -> Cow<'_, str> {
    let end = path.strip_suffix('/').unwrap_or(path);
    if is_loosest(end) {
        return Cow::Borrowed(end);
    }
    Cow::Owned(read_loosely(path))
}

/// Whether a path is read so as it stands, as most are.
fn is_loosest(path: &str) -> bool {
    let mut before = b'/';
    let is_plain = path.bytes().enumerate().all(|(at, byte)| {
        let ends_well = at == 0 || !matches!(before, b'/' | b'.' | b' ');
        before = byte;
        match byte {
            b'/' => ends_well,
            b'A'..=b'Z' | b'%' | b'\\' | b';' | b':' | 0x80.. => false,
            _ => at > 0,
        }
    });
    is_plain && (path.is_empty() || !matches!(before, b'/' | b'.' | b' '))
}

fn read_loosely(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let (byte, length) = match (byte, escaped(bytes, at)) {
            (b'%', Some(byte)) => (byte, 3),
            _ => (*byte, 1),
        };
        decoded.push(byte.to_ascii_lowercase());
        at += length;
    }
    let decoded = String::from_utf8_lossy(&decoded);
    let mut reading = String::with_capacity(decoded.len());
    for segment in decoded.split(['/', '\\']) {
        let name = segment.split([';', ':']).next().unwrap_or_default();
        let name = name.trim_end_matches(['.', ' ']);
        if !name.is_empty() {
            reading.push('/');
            reading.push_str(name);
        }
    }
    reading
}

fn escaped(bytes: &[u8], at: usize) -> Option<u8> {
    let digit = |offset: usize| {
        let byte = bytes.get(at.checked_add(offset)?)?;
        u8::try_from(char::from(*byte).to_digit(16)?).ok()
    };
    Some(digit(1)? * 16 + digit(2)?)
}

fn has_upper_case_digits(bytes: &[u8], at: usize) -> bool {
    let digits = bytes.get(at..).and_then(|rest| rest.get(1..3));
    digits.is_some_and(|digits| !digits.iter().any(u8::is_ascii_lowercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spelling_with_a_second_reading_is_not_plain() {
        // S-037, S-039
        for odd in [
            "",
            "x",
            "*",
            "//",
            "//admin",
            "/public//../admin",
            "/public/../admin",
            "/public/..",
            "/public/.",
            "/public/%2e%2e/admin",
            "/public/%2E%2e%2fadmin",
            "/public/..%2fadmin",
            "/public/..;/admin",
            "/public/.%2e/admin",
            "/public/%252e%252e/admin",
            "/public/%5c..%5cadmin",
            "/public\\..\\admin",
            "/a;b",
            "/a%3bb",
            "/a%23b",
            "/a%3Fb",
            "/a%0ab",
            "/a%7f",
            "/a%1f",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a#b",
            "/a/%2e",
            "/\u{e4}",
        ] {
            assert!(!is_plain(odd), "{odd}");
        }
        for plain in [
            "/", "/a", "/a/", "/a/b.c", "/a/..b", "/...", "/a%20b", "/%C3%A4", "/~u/x,y",
        ] {
            assert!(is_plain(plain), "{plain}");
        }
    }

    #[test]
    fn an_escape_that_need_not_be_is_a_second_spelling() {
        // `/static/%70rivate` is `/static/private` to an app (S-038, S-040).
        for byte in 0x21..=0x7e_u8 {
            let path = format!("/a%{byte:02X}");
            assert!(!is_plain(&path), "{path}");
        }
        for odd in ["/%c3%a4", "/%C3%a4", "/%C0%80", "/a%0A"] {
            assert!(!is_plain(odd), "{odd}");
        }
    }

    #[test]
    fn what_nobody_can_read_is_told_apart() {
        // S-036
        for odd in [
            "/%", "/%zz", "/%2", "/%c0%af", "/%C1x", "/%00", "/\u{80}", "/\u{7f}", "/a\tb", "/a b",
        ] {
            assert!(is_unreadable(odd), "{odd:?}");
        }
        for path in ["/", "/a//../b;c\\d", "/%c3%a4", "/%2e%2F", "*"] {
            assert!(!is_unreadable(path), "{path}");
        }
    }

    #[test]
    fn what_is_read_as_it_stands_is_what_reading_it_comes_to() {
        let pieces = [
            "", "/", "a", "B", ".", " ", ";", ":", "%41", "%2f", "\\", "\u{e9}", "..", "x.y",
        ];
        for first in pieces {
            for second in pieces {
                for third in pieces {
                    for fourth in pieces {
                        let path = format!("/{first}{second}{third}{fourth}");
                        assert_eq!(loosest_reading(&path), read_loosely(&path), "{path}");
                    }
                }
            }
        }
        assert!(matches!(
            loosest_reading("/docs/a.b/c-d/"),
            Cow::Borrowed("/docs/a.b/c-d")
        ));
    }

    #[test]
    fn every_spelling_of_a_path_has_the_same_loosest_reading() {
        for spelling in [
            "/docs/internal/x",
            "/Docs/INTERNAL/x",
            "/docs/%69nternal/x",
            "/docs/internal./x",
            "/docs/internal%20/x",
            "/docs/internal::$DATA/x",
            "/docs;v=1/internal/x",
            "//docs//internal/x/",
            "/docs\\internal/x",
            "/docs%2finternal/x",
        ] {
            assert_eq!(loosest_reading(spelling), "/docs/internal/x", "{spelling}");
        }
    }

    #[test]
    fn what_could_lie_elsewhere_is_told_apart_from_what_is_only_odd() {
        for odd in [
            "/a/../b",
            "/a/..;/b",
            "/a/.%2e/b",
            "/a/%2e/b",
            "/a%2fb",
            "/a%5Cb",
            "/a\\b",
            "/a%252fb",
            "/a/. ./b",
            "/a/.",
            "/a%",
        ] {
            assert!(may_restructure(odd), "{odd}");
        }
        for odd in ["/a;b", "//a", "/%61", "/a.b", "/a..b", "/A", "/a%20b", "/"] {
            assert!(!may_restructure(odd), "{odd}");
        }
    }
}
