//! Small text matters of the demo: made-up identifiers and percent-decoding.

use crate::secret::random_bytes;

/// A random GUID in lower case.
pub(super) fn random_guid() -> String {
    let [mut high, low] = [random_bytes::<8>(), random_bytes::<8>()].map(u64::from_be_bytes);
    high = (high & !0xf000) | 0x4000;
    let low = (low & !(0xc0 << 56)) | (0x80 << 56);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

/// Undoes percent-encoding; what is not well-formed stays as it is, odd UTF-8 is replaced.
pub(super) fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first == b'%'
            && let Some((&[high, low], behind)) = after.split_first_chunk::<2>()
            && let (Some(high), Some(low)) = (hexadecimal(high), hexadecimal(low))
        {
            bytes.push(high << 4 | low);
            rest = behind;
        } else {
            bytes.push(first);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Undoes `application/x-www-form-urlencoded` for one value.
pub(super) fn form_decoded(text: &str) -> String {
    percent_decoded(&text.replace('+', " "))
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::is_guid;

    #[test]
    fn random_guids_are_guids_of_version_4() {
        for _ in 0..100 {
            let guid = random_guid();
            assert!(is_guid(&guid), "{guid}");
            assert_eq!(guid.as_bytes()[14], b'4');
            assert!(matches!(guid.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
        }
    }

    #[test]
    fn percent_decoding_leaves_alone_what_is_not_encoded() {
        for (encoded, decoded) in [
            ("Zo%C3%AB M%c3%bcller", "Zoë Müller"),
            ("100%", "100%"),
            ("%4", "%4"),
            ("%zz%25", "%zz%"),
            ("a+b", "a+b"),
            ("%ff", "\u{fffd}"),
        ] {
            assert_eq!(percent_decoded(encoded), decoded);
        }
        assert_eq!(form_decoded("a+b%2B"), "a b+");
    }
}
