//! What is not TLS where TLS should be, as far as its first bytes tell: for a word to whoever set it
//! up so. Nothing more is read of it.

use super::proxy_protocol;

/// As many bytes as are looked at.
pub(super) const LONGEST_START: usize = 16;

/// What a connection begins with in place of a handshake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ClearText {
    /// The method of a request.
    Http,
    /// Whom a front speaks for.
    ProxyHeader,
}

impl ClearText {
    /// What these bytes are the start of; `None` for TLS, and for what nobody can tell.
    pub(super) fn of(start: &[u8]) -> Option<Self> {
        if proxy_protocol::begins(start) {
            return Some(Self::ProxyHeader);
        }
        let end = start.iter().position(|byte| !byte.is_ascii_uppercase())?;
        (end > 0 && start.get(end) == Some(&b' ')).then_some(Self::Http)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_and_a_blank_are_plain_http() {
        for start in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"OPTIONS * HTTP/1",
            b"PRI * HTTP/2.0\r\n",
        ] {
            assert_eq!(ClearText::of(start), Some(ClearText::Http));
        }
    }

    #[test]
    fn either_version_of_a_proxy_header_is_one() {
        for start in [
            &b"PROXY TCP4 192.0"[..],
            b"PROXY ",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c",
        ] {
            assert_eq!(ClearText::of(start), Some(ClearText::ProxyHeader));
        }
    }

    #[test]
    fn of_anything_else_nothing_is_said() {
        for start in [
            &b""[..],
            b"\x16\x03\x01\x02\x00\x01",
            b"G",
            b"PROXY",
            b" / HTTP/1.1",
            b"get / HTTP/1.1",
            b"SSH-2.0-OpenSSH",
            b"\r\n\r\n\0\r\nQUIT",
            b"AAAAAAAAAAAAAAAA",
        ] {
            assert_eq!(ClearText::of(start), None, "{start:?}");
        }
    }
}
