//! Which bytes may stand where: one table, looked up byte for byte (RFC 9110 5.5, 5.6.2; RFC 9112 3).

/// What a byte may be part of; one bit each.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Class(u8);

/// A field name.
pub(super) const TOKEN: Class = Class(1);
/// A field value, a reason phrase or a chunk extension.
pub(super) const VALUE: Class = Class(2);
/// A request target.
pub(super) const TARGET: Class = Class(4);
/// A method as we take them: registered ones are upper case, some with a hyphen.
pub(super) const METHOD: Class = Class(8);

static CLASSES: [u8; 256] = classes();

impl Class {
    /// Whether this byte is of the class.
    pub(super) fn has(self, byte: u8) -> bool {
        CLASSES[usize::from(byte)] & self.0 != 0
    }

    /// How many bytes at the beginning are of the class.
    pub(super) fn run(self, bytes: &[u8]) -> usize {
        let end = bytes.iter().position(|byte| !self.has(*byte));
        end.unwrap_or(bytes.len())
    }
}

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut index = 0;
    let mut byte = 0u8;
    while index < classes.len() {
        let mut class = 0;
        if matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
            || byte.is_ascii_alphanumeric()
        {
            class |= TOKEN.0;
        }
        if matches!(byte, b'\t' | b' '..=b'~' | 0x80..) {
            class |= VALUE.0;
        }
        if matches!(byte, b'!'..=b'~') && byte != b'#' {
            class |= TARGET.0;
        }
        if byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-' {
            class |= METHOD.0;
        }
        classes[index] = class;
        index += 1;
        byte = byte.wrapping_add(1);
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(class: Class) -> Vec<u8> {
        (0..=u8::MAX).filter(|byte| class.has(*byte)).collect()
    }

    #[test]
    fn a_class_has_the_bytes_of_its_rfc_and_no_other() {
        // S-215, S-216: the lists as the RFCs write them.
        let alphanumeric: Vec<u8> = [b'0'..=b'9', b'A'..=b'Z', b'a'..=b'z']
            .into_iter()
            .flatten()
            .collect();
        let mut token = [b"!#$%&'*+-.^_`|~", &alphanumeric[..]].concat();
        token.sort_unstable();
        assert_eq!(members(TOKEN), token);
        let value: Vec<u8> = [9]
            .into_iter()
            .chain(0x20..=0x7e)
            .chain(0x80..=0xff)
            .collect();
        assert_eq!(members(VALUE), value);
        let target: Vec<u8> = (0x21..=0x7e).filter(|byte| *byte != b'#').collect();
        assert_eq!(members(TARGET), target);
        assert_eq!(members(METHOD), b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    }
}
