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

/// How many bytes at the beginning may stand in a value: as [`VALUE`] says, but eight at a time as
/// long as there is nothing among them that needs a look. Most of a head is values.
pub(super) fn value_run(bytes: &[u8]) -> usize {
    let (words, _) = bytes.as_chunks::<8>();
    let plain = words.iter().take_while(|word| is_plain(**word)).count() * 8;
    plain + VALUE.run(&bytes[plain..])
}

/// Whether none of eight bytes is a control byte, a tab included.
fn is_plain(word: [u8; 8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    const BLANKS: u64 = u64::from_ne_bytes([b' '; 8]);
    const DELETES: u64 = u64::from_ne_bytes([0x7F; 8]);
    let word = u64::from_ne_bytes(word);
    // A byte below the one that is taken from it borrows, and its high bit shows that; those that have
    // a high bit of their own are above. What a borrow makes of its neighbours does not matter: one
    // such byte is enough.
    let below_blank = word.wrapping_sub(BLANKS) & !word;
    let deletes = word ^ DELETES;
    let is_delete = deletes.wrapping_sub(ONES) & !deletes;
    (below_blank | is_delete) & HIGHS == 0
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

    #[test]
    fn eight_at_a_time_is_the_same_as_one_by_one() {
        for fill in [b' ', b'!', b'a', b'~', 0x80, 0x81, 0xA0, 0xFF] {
            for byte in 0..=u8::MAX {
                for at in 0..20 {
                    for neighbour in [fill, 0x00, 0x1F, b'\t', 0x7F, 0x80, 0xFF] {
                        let mut text = [fill; 20];
                        text[at] = byte;
                        if let Some(next) = text.get_mut(at + 1) {
                            *next = neighbour;
                        }
                        assert_eq!(value_run(&text), VALUE.run(&text), "{text:?}");
                    }
                }
            }
        }
    }
}
