//! Writes one request as the client's side of an HTTP/2 connection (RFC 9113), every field spelled
//! out (RFC 7541 6.2.2), whatever the field is.

use super::http1::Request;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Preface, settings, and the request on stream 1. The fields called `host` become `:authority`.
pub fn bytes_of(request: &Request) -> Vec<u8> {
    let mut block = Vec::new();
    field(&mut block, b":method", &request.method);
    field(&mut block, b":scheme", b"https");
    field(&mut block, b":path", &request.target);
    let is_host = |name: &[u8]| name.eq_ignore_ascii_case(b"host");
    for (_, value) in request.fields.iter().filter(|(name, _)| is_host(name)) {
        field(&mut block, b":authority", value);
    }
    for (name, value) in request.fields.iter().filter(|(name, _)| !is_host(name)) {
        field(&mut block, &name.to_ascii_lowercase(), value);
    }
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frame(&mut bytes, SETTINGS, 0, 0, b"");
    let has_body = !request.body.is_empty();
    let flags = if has_body {
        END_HEADERS
    } else {
        END_HEADERS | END_STREAM
    };
    frame(&mut bytes, HEADERS, flags, 1, &block);
    if has_body {
        frame(&mut bytes, DATA, END_STREAM, 1, &request.body);
    }
    bytes
}

fn frame(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a frame is small");
    bytes.extend_from_slice(&length.to_be_bytes()[1..]);
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
}

/// Without indexing, with a new name, without Huffman.
fn field(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    block.push(0);
    text(block, name);
    text(block, value);
}

fn text(block: &mut Vec<u8>, text: &[u8]) {
    match u8::try_from(text.len()) {
        Ok(length) if length < 127 => block.push(length),
        _ => {
            block.push(127);
            let mut rest = text.len() - 127;
            while rest >= 128 {
                block.push(u8::try_from(rest % 128 + 128).expect("it is below 256"));
                rest /= 128;
            }
            block.push(u8::try_from(rest).expect("it is below 128"));
        }
    }
    block.extend_from_slice(text);
}
