//! The header of a front that says for whom it speaks: read once, in one way, or not at all.

use std::net::SocketAddr;

use vestibule::listener::proxy_protocol::{LONGEST_HEADER, Parsed, parse};

/// Reads the header that `input` begins with.
///
/// # Panics
/// If a promise is broken.
pub fn check(input: &[u8]) {
    match parse(input) {
        Ok(Parsed::Incomplete) => {
            assert!(
                input.len() < LONGEST_HEADER,
                "S-008: waits for more than the longest header"
            );
        }
        Ok(Parsed::Header { length, source }) => {
            assert!(length <= input.len() && length <= LONGEST_HEADER);
            assert_eq!(
                parse(&input[..length]),
                Ok(Parsed::Header { length, source }),
                "what follows a header is none of its business"
            );
            for end in 0..length {
                assert_eq!(
                    parse(&input[..end]),
                    Ok(Parsed::Incomplete),
                    "a part of a header was taken for a whole, or for none"
                );
            }
            if let Some(source) = source {
                is_written_again(source);
            }
        }
        Err(fault) => {
            let more = [input, b"\r\nPROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"].concat();
            assert_eq!(parse(&more), Err(fault), "more bytes put a fault right");
        }
    }
}

/// Whoever was read can be said in the other version, too.
fn is_written_again(source: SocketAddr) {
    let (family, other) = match source {
        SocketAddr::V4(_) => ("TCP4", "192.0.2.2"),
        SocketAddr::V6(_) => ("TCP6", "2001:db8::2"),
    };
    let (address, port) = (source.ip(), source.port());
    let line = format!("PROXY {family} {address} {other} {port} 443\r\n");
    let again = Parsed::Header {
        length: line.len(),
        source: Some(source),
    };
    assert_eq!(parse(line.as_bytes()), Ok(again), "{line:?}");
}
