//! Bytes of HTTP/2 frames and of their field blocks, right or wrong as a test wants them, and what
//! the field block of an answer says (RFC 9113 4 and 6, RFC 7541). Checks nothing and sends nothing.

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames (RFC 9113 6).
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const PRIORITY: u8 = 2;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PUSH_PROMISE: u8 = 5;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
    /// A type that no standard defines.
    pub(crate) const UNKNOWN: u8 = 0xbb;
}

/// Flags of frames (RFC 9113 6).
pub(crate) mod flag {
    pub(crate) const ACK: u8 = 0x1;
    pub(crate) const END_STREAM: u8 = 0x1;
    pub(crate) const END_HEADERS: u8 = 0x4;
    pub(crate) const PADDED: u8 = 0x8;
    pub(crate) const PRIORITY: u8 = 0x20;
}

/// Settings (RFC 9113 6.5.2, RFC 8441 3).
pub(crate) mod setting {
    pub(crate) const HEADER_TABLE_SIZE: u16 = 1;
    pub(crate) const ENABLE_PUSH: u16 = 2;
    pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(crate) const MAX_FRAME_SIZE: u16 = 5;
    pub(crate) const MAX_HEADER_LIST_SIZE: u16 = 6;
    pub(crate) const ENABLE_CONNECT_PROTOCOL: u16 = 8;
}

/// A frame; the highest bit of `stream` is the reserved one.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame");
    frame_saying(length, kind, flags, stream, payload)
}

/// A frame that says it is `length` long, whatever it is.
pub(crate) fn frame_saying(
    length: u32,
    kind: u8,
    flags: u8,
    stream: u32,
    payload: &[u8],
) -> Vec<u8> {
    let mut bytes = length.to_be_bytes()[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

pub(crate) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let values = values.iter().flat_map(|(name, value)| {
        let value = value.to_be_bytes();
        [&name.to_be_bytes()[..], &value[..]].concat()
    });
    frame(kind::SETTINGS, 0, 0, &values.collect::<Vec<_>>())
}

pub(crate) fn settings_ack() -> Vec<u8> {
    frame(kind::SETTINGS, flag::ACK, 0, &[])
}

/// A whole request without a body: one HEADERS frame that ends block and stream.
pub(crate) fn headers(stream: u32, block: &[u8]) -> Vec<u8> {
    let flags = flag::END_STREAM | flag::END_HEADERS;
    frame(kind::HEADERS, flags, stream, block)
}

/// A HEADERS frame after which DATA may follow.
pub(crate) fn head(stream: u32, block: &[u8]) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_HEADERS, stream, block)
}

pub(crate) fn data(flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    frame(kind::DATA, flags, stream, payload)
}

pub(crate) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(kind::RST_STREAM, 0, stream, &code.to_be_bytes())
}

pub(crate) fn ping(payload: [u8; 8]) -> Vec<u8> {
    frame(kind::PING, 0, 0, &payload)
}

pub(crate) fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

/// A PRIORITY frame that makes `stream` depend on `on`.
pub(crate) fn priority(stream: u32, on: u32) -> Vec<u8> {
    frame(kind::PRIORITY, 0, stream, &dependency(on))
}

/// What a PRIORITY frame holds.
pub(crate) fn dependency(on: u32) -> Vec<u8> {
    [&on.to_be_bytes()[..], &[15]].concat()
}

/// A number behind the `bits` lowest bits of its first byte, the others of which are `pattern`
/// (RFC 7541 5.1).
pub(crate) fn integer(pattern: u8, bits: u8, value: usize) -> Vec<u8> {
    let most = (1_usize << bits) - 1;
    let byte = |value: usize| u8::try_from(value).expect("masked to a byte");
    if value < most {
        return vec![pattern | byte(value)];
    }
    let mut bytes = vec![pattern | byte(most)];
    let mut rest = value - most;
    while rest >= 128 {
        bytes.push(byte(rest % 128) | 128);
        rest /= 128;
    }
    bytes.push(byte(rest));
    bytes
}

/// A string without Huffman coding (RFC 7541 5.2).
pub(crate) fn string(text: &[u8]) -> Vec<u8> {
    [&integer(0, 7, text.len())[..], text].concat()
}

/// A string whose Huffman code is given as it stands (RFC 7541 5.2).
pub(crate) fn coded(code: &[u8]) -> Vec<u8> {
    [&integer(0x80, 7, code.len())[..], code].concat()
}

/// A field that stands in a table (RFC 7541 6.1).
pub(crate) fn indexed(index: usize) -> Vec<u8> {
    integer(0x80, 7, index)
}

/// A field that goes into the dynamic table (RFC 7541 6.2.1).
pub(crate) fn kept(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[0x40][..], &string(name), &string(value)].concat()
}

/// A field that goes into no table (RFC 7541 6.2.2).
pub(crate) fn plain(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[0][..], &string(name), &string(value)].concat()
}

/// A change of the dynamic table's size (RFC 7541 6.3).
pub(crate) fn table_size(size: usize) -> Vec<u8> {
    integer(0x20, 5, size)
}

/// The status that the field block of an answer begins with, from a server that was told to use no
/// dynamic table.
pub(crate) fn status(block: &[u8]) -> Option<u16> {
    /// The entries 8 to 14 of the static table.
    const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    let mut rest = block;
    while let [first @ 0x20..=0x3f, after @ ..] = rest {
        rest = after;
        while *first == 0x3f
            && let [byte, after @ ..] = rest
        {
            rest = after;
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    match rest {
        [first @ 0x88..=0x8e, ..] => Some(INDEXED[usize::from(first - 0x88)]),
        [0x48 | 0x08 | 0x18, length, text @ ..] => {
            let text = text.get(..usize::from(length & 0x7f))?;
            if length & 0x80 == 0 {
                std::str::from_utf8(text).ok()?.parse().ok()
            } else {
                three_digits(text)
            }
        }
        _ => None,
    }
}

/// Digits in the Huffman code: `0` to `2` have five bits, the others six (RFC 7541 B).
fn three_digits(code: &[u8]) -> Option<u16> {
    let bits = code
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1));
    let mut bits = bits.map(u16::from);
    let mut number = 0;
    for _ in 0..3 {
        let mut digit = 0;
        for _ in 0..5 {
            digit = digit << 1 | bits.next()?;
        }
        if digit > 2 {
            digit = (digit << 1 | bits.next()?).checked_sub(0x19)? + 3;
        }
        number = number * 10 + digit;
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_strings_are_written_as_the_standard_shows_them() {
        // RFC 7541 C.1.1 to C.1.3, C.2.1
        assert_eq!(integer(0, 5, 10), [0b0_1010]);
        assert_eq!(integer(0, 5, 1337), [0b1_1111, 0b1001_1010, 0b0000_1010]);
        assert_eq!(integer(0, 8, 42), [42]);
        let field = kept(b"custom-key", b"custom-header");
        assert_eq!(field, b"\x40\x0acustom-key\x0dcustom-header");
    }

    #[test]
    fn a_status_is_read_however_it_is_written() {
        // RFC 7541 C.6.1: 302 in the Huffman code.
        for (block, expected) in [
            (&b"\x88"[..], Some(200)),
            (b"\x20\x8c", Some(400)),
            (b"\x20\x3e\x08\x03431", Some(431)),
            (b"\x3f\xe1\x1f\x88", Some(200)),
            (b"\x48\x82\x64\x02", Some(302)),
            (b"\x48\x82\x64", None),
            (b"", None),
            (b"\x00\x01a\x01b", None),
        ] {
            assert_eq!(status(block), expected, "{block:x?}");
        }
    }
}
