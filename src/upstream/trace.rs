//! `traceparent` and `tracestate`: a valid trace is continued, any other is begun anew.
//!
//! Source: W3C Trace Context, level 1 (<https://www.w3.org/TR/trace-context/>).

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::secret::random_name;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// `00-` + 32 digits + `-` + 16 digits + `-` + 2 digits.
const LENGTH: usize = 55;

/// Makes us the parent of what the app does, within the client's trace if it brought a valid one.
///
/// `tracestate` belongs to the client's trace and goes where that goes.
pub(super) fn carry_on(headers: &mut HeaderMap) {
    let mut presented = headers.get_all(TRACEPARENT).iter();
    let continued = match (presented.next(), presented.next()) {
        (Some(one), None) => continued(one.as_bytes()),
        _ => None,
    };
    if continued.is_none() {
        headers.remove(TRACESTATE);
    }
    let value = continued.unwrap_or_else(begun);
    if let Ok(value) = HeaderValue::from_bytes(&value) {
        headers.insert(TRACEPARENT, value);
    } else {
        headers.remove(TRACEPARENT);
    }
}

/// The same trace and flags with a parent of our own; `None` if the value is not valid.
fn continued(presented: &[u8]) -> Option<[u8; LENGTH]> {
    let mut value: [u8; LENGTH] = presented.get(..LENGTH)?.try_into().ok()?;
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let well_formed = value.iter().enumerate().all(|(at, byte)| match at {
        2 | 35 | 52 => *byte == b'-',
        _ => is_digit(byte),
    });
    let [v0, v1, ..] = value;
    let whole = match [v0, v1] {
        [b'f', b'f'] => false,
        [b'0', b'0'] => presented.len() == LENGTH,
        _ => matches!(presented.get(LENGTH), None | Some(b'-')),
    };
    let names_something = |field: &[u8]| field.iter().any(|byte| *byte != b'0');
    if !(well_formed && whole && names_something(&value[3..35]) && names_something(&value[36..52]))
    {
        return None;
    }
    if [v0, v1] != *b"00" {
        // Of a later version only `sampled` is known to mean what it means in ours.
        let sampled = matches!(
            value[54],
            b'1' | b'3' | b'5' | b'7' | b'9' | b'b' | b'd' | b'f'
        );
        value[..2].copy_from_slice(b"00");
        value[53..].copy_from_slice(if sampled { b"01" } else { b"00" });
    }
    write_hex(&mut value[36..52], random_name::<8>());
    Some(value)
}

/// A trace of our own. It says `sampled`: an app that follows its parent would otherwise record
/// nothing, only because we stand in front of it.
fn begun() -> [u8; LENGTH] {
    let mut value = *b"00-00000000000000000000000000000000-0000000000000000-01";
    write_hex(&mut value[3..35], random_name::<16>());
    write_hex(&mut value[36..52], random_name::<8>());
    value
}

fn write_hex<const N: usize>(field: &mut [u8], bytes: [u8; N]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (digits, byte) in field.chunks_exact_mut(2).zip(bytes) {
        digits[0] = DIGITS[usize::from(byte >> 4)];
        digits[1] = DIGITS[usize::from(byte & 0x0F)];
    }
}
