//! How a `Cookie` line is taken apart: at `;` alone (RFC 6265 5.4; S-188, S-235), so that no quote or
//! comma can hide a cookie of ours inside another, or make one.
//!
//! Judges nothing, and changes no byte.

use memchr::memchr;

/// The pieces of one line, in order, each with the blanks around it.
pub fn pieces(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest?;
        let end = memchr(b';', line);
        rest = end.map(|end| &line[end + 1..]);
        Some(&line[..end.unwrap_or(line.len())])
    })
}

/// Name and value of a piece, without the blanks around them. Without `=` the name is empty, as
/// browsers hold it.
#[must_use]
pub fn parted(piece: &[u8]) -> (&[u8], &[u8]) {
    let piece = piece.trim_ascii();
    match memchr(b'=', piece) {
        Some(at) => (
            piece[..at].trim_ascii_end(),
            piece[at + 1..].trim_ascii_start(),
        ),
        None => (&piece[..0], piece),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces_of(line: &[u8]) -> Vec<&[u8]> {
        pieces(line).collect()
    }

    #[test]
    fn a_line_is_split_at_semicolons_and_nowhere_else() {
        // S-188, S-235
        assert_eq!(pieces_of(b""), [b""]);
        assert_eq!(pieces_of(b";"), [b"", b""]);
        assert_eq!(
            pieces_of(b"a=1; b=\"2,3\";c"),
            [&b"a=1"[..], b" b=\"2,3\"", b"c"]
        );
        assert_eq!(pieces_of(b"a=1;"), [&b"a=1"[..], b""]);
    }

    #[test]
    fn the_first_equals_sign_parts_name_and_value() {
        assert_eq!(parted(b" a = b=c "), (&b"a"[..], &b"b=c"[..]));
        assert_eq!(parted(b"=a"), (&b""[..], &b"a"[..]));
        assert_eq!(parted(b" a "), (&b""[..], &b"a"[..]));
        assert_eq!(parted(b""), (&b""[..], &b""[..]));
    }
}
