//! Secrets and randomness: values that must never be printed, and the only place that makes them.
//!
//! A [`Secret`] must never reach a log, an error, a page or `Debug`; reading one takes the word
//! [`Secret::expose`], so that every use can be found by searching for it.

use std::{cell::RefCell, fmt};

use aws_lc_rs::{constant_time, digest};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// A text that must not be seen: client secret, code, verifier, token, cookie value.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text into custody.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// 32 random bytes as 43 characters of base64url without padding.
    #[must_use]
    pub fn random() -> Self {
        Self::new(BASE64_URL_SAFE_NO_PAD.encode(random_bytes::<32>()))
    }

    /// The text itself, for the one place that has to send or compare it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Compares with what somebody presents, in a time that depends on the lengths alone.
    #[must_use]
    pub fn matches(&self, presented: &str) -> bool {
        equal_in_constant_time(self.0.as_bytes(), presented.as_bytes())
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// Compares two byte strings in a time that depends on their lengths alone.
#[must_use]
pub fn equal_in_constant_time(ours: &[u8], presented: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(ours, presented).is_ok()
}

/// `N` bytes from the operating system's generator (by way of AWS-LC's, seeded from it).
///
/// # Panics
/// If the system has no randomness to give: nothing that vestibule does is safe without it, and
/// AWS-LC itself aborts in that case before this line could be reached.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that asks for randomness"
)]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("AWS-LC aborts rather than fail to give randomness");
    bytes
}

/// How many bytes are drawn at once for identifiers.
const DRAWN_AHEAD: usize = 1024;

/// Bytes that were drawn ahead of their use, from the end of which is taken.
struct Drawn {
    bytes: [u8; DRAWN_AHEAD],
    left: usize,
}

thread_local! {
    static DRAWN: RefCell<Drawn> = const {
        RefCell::new(Drawn {
            bytes: [0; DRAWN_AHEAD],
            left: 0,
        })
    };
}

/// `N` random bytes for a name that may be seen by anybody: nobody can foresee it, none comes twice.
///
/// Never for a secret: those of the next names lie in memory already. A draw costs the same however
/// little is drawn, and each request has three names.
#[must_use]
pub fn random_name<const N: usize>() -> [u8; N] {
    const { assert!(N <= DRAWN_AHEAD, "no name is so long") };
    DRAWN.with_borrow_mut(|drawn| {
        if drawn.left < N {
            drawn.bytes = random_bytes();
            drawn.left = DRAWN_AHEAD;
        }
        drawn.left -= N;
        let mut name = [0; N];
        name.copy_from_slice(&drawn.bytes[drawn.left..drawn.left + N]);
        name
    })
}

/// The SHA-256 digest of the parts one after another, each preceded by its length.
///
/// The lengths keep bytes from moving across a border between parts unnoticed (S-047).
#[must_use]
pub fn digest_of(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut output = [0; 32];
    output.copy_from_slice(context.finish().as_ref());
    output
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(format!("{secret:?}"), "Secret(redacted)");
        assert_eq!(
            format!("{:#?}", Some(secret)),
            "Some(\n    Secret(redacted),\n)"
        );
    }

    #[test]
    fn random_secrets_are_256_bits_and_differ() {
        // S-067
        let made: HashSet<_> = (0..10_000)
            .map(|_| Secret::random().expose().to_owned())
            .collect();
        assert_eq!(made.len(), 10_000);
        assert!(made.iter().all(|secret| secret.len() == 43));
    }

    #[test]
    fn bytes_cannot_move_across_the_border_of_two_digested_parts() {
        // S-047
        assert_ne!(digest_of(&[b"ab", b"c"]), digest_of(&[b"a", b"bc"]));
    }

    #[test]
    fn comparison_needs_every_byte() {
        let secret = Secret::new("abc".to_owned());
        assert!(secret.matches("abc"));
        assert!(!secret.matches("abd") && !secret.matches("ab") && !secret.matches(""));
    }
}
