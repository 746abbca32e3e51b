//! Plain paths: those that every server in the world reads the same way.
//!
//! A rule that opens something only ever matches a plain path; any other spelling counts as
//! protected (S-034 to S-042). Paths are compared byte for byte and never rewritten: what was matched
//! is what is sent (S-004).

/// Why a path is refused with or without a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PathFault {
    /// A byte that no URL may hold.
    Byte,
    /// A `%` without two hexadecimal digits, or one that stands for NUL or for half of an overlong
    /// UTF-8 sequence.
    Escape,
}

/// Checks what no reading could make sense of.
///
/// # Errors
/// Returns the first [`PathFault`] from the left.
pub(super) fn check(path: &str) -> Result<(), PathFault> {
    let bytes = path.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'%' => {
                if matches!(escaped(bytes, at), None | Some(0 | 0xc0 | 0xc1)) {
                    return Err(PathFault::Escape);
                }
                at += 3;
            }
            0x21..=0x7e => at += 1,
            _ => return Err(PathFault::Byte),
        }
    }
    Ok(())
}

/// Whether a path has one reading only: no empty, `.` or `..` segment, no `;` or `\`, no escape that
/// stands for a character with a meaning of its own in a path or for a control character.
pub(super) fn is_plain(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else {
        return false;
    };
    let bytes = path.as_bytes();
    let odd = |byte: u8| byte.is_ascii_control() || matches!(byte, b';' | b'\\' | b'#' | b'?');
    let escapes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%');
    for (at, _) in escapes {
        match escaped(bytes, at) {
            None => return false,
            Some(byte) if odd(byte) || matches!(byte, b'/' | b'.' | b'%') => return false,
            Some(_) => {}
        }
    }
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        if matches!(segment, "." | "..") || (segment.is_empty() && !last) {
            return false;
        }
    }
    !bytes
        .iter()
        .any(|byte| odd(*byte) || *byte >= 0x80 || *byte == b' ')
}

fn escaped(bytes: &[u8], at: usize) -> Option<u8> {
    let digit = |offset: usize| {
        let byte = bytes.get(at.checked_add(offset)?)?;
        u8::try_from(char::from(*byte).to_digit(16)?).ok()
    };
    Some(digit(1)? * 16 + digit(2)?)
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
    fn what_nobody_can_read_is_refused() {
        // S-036
        for (path, fault) in [
            ("/%", PathFault::Escape),
            ("/%zz", PathFault::Escape),
            ("/%2", PathFault::Escape),
            ("/%c0%af", PathFault::Escape),
            ("/%C1x", PathFault::Escape),
            ("/%00", PathFault::Escape),
            ("/\u{80}", PathFault::Byte),
            ("/\u{7f}", PathFault::Byte),
            ("/a\tb", PathFault::Byte),
            ("/a b", PathFault::Byte),
        ] {
            assert_eq!(check(path), Err(fault), "{path:?}");
        }
        for path in ["/", "/a//../b;c\\d", "/%c3%a4", "/%2e%2F", "*"] {
            assert_eq!(check(path), Ok(()), "{path}");
        }
    }
}
