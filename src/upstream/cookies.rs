//! Our cookies never cross: not to the app, and not from it.
//!
//! Cookies are split at `;` alone (RFC 6265 5.4), so that no quote or comma can hide ours inside
//! another (S-235). A pair counts as ours wherever our name stands in it and whatever its case,
//! because apps read `=__Host-x=1`, `"__Host-x"=1` and `__HOST-x=1` in ways of their own; the same
//! goes for a pair that carries our value under another name. Everything else keeps order and bytes.

use std::cell::OnceCell;

use bytes::{BufMut, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderValue,
    header::{COOKIE, SET_COOKIE},
};
use memchr::{memchr_iter, memmem::Finder};

use crate::{cookie_pairs::pieces, reserved::COOKIES};

/// What the names of all our cookies begin with.
const OUR_NAME: &[u8] = COOKIES.as_bytes();

/// Shorter values are not searched for: a session's is 43 bytes, and whoever presents something
/// shorter under our name must not be able to cut the app's cookies by it.
const SHORTEST_SECRET: usize = 32;

/// One session, five attempts, the trail, and some to spare.
const MAX_SECRETS: usize = 12;

/// Cuts our cookies out of the request and joins what is left, in order, into one line.
///
/// A request without cookies of ours on a single line is left as it is.
pub fn cut_from_request(headers: &mut HeaderMap) {
    let mut lines = headers.get_all(COOKIE).iter();
    let (Some(first), second) = (lines.next(), lines.next()) else {
        return;
    };
    if second.is_none() && !contains_our_name(first.as_bytes()) {
        return;
    }
    let kept = kept_pairs(headers);
    headers.remove(COOKIE);
    if let Some(mut kept) = kept {
        kept.set_sensitive(true);
        headers.insert(COOKIE, kept);
    }
}

/// Removes every `Set-Cookie` of the app that could set a cookie of ours (S-232).
pub fn cut_from_answer(headers: &mut HeaderMap) {
    let is_ours = |line: &HeaderValue| {
        let line = line.as_bytes();
        pieces(line).next().is_some_and(contains_our_name)
    };
    if !headers.get_all(SET_COOKIE).iter().any(is_ours) {
        return;
    }
    let kept: Vec<_> = headers
        .get_all(SET_COOKIE)
        .iter()
        .filter(|line| !is_ours(line))
        .cloned()
        .collect();
    headers.remove(SET_COOKIE);
    for line in kept {
        headers.append(SET_COOKIE, line);
    }
}

fn kept_pairs(headers: &HeaderMap) -> Option<HeaderValue> {
    let secrets: Vec<&[u8]> = pairs(headers)
        .filter_map(our_secret)
        .take(MAX_SECRETS + 1)
        .collect();
    if secrets.len() > MAX_SECRETS {
        // No browser holds so many of ours: somebody wants us to search.
        return None;
    }
    let secrets: Vec<_> = secrets.into_iter().map(Sought::new).collect();
    let carries_ours =
        |pair: &[u8]| contains_our_name(pair) || secrets.iter().any(|secret| secret.is_in(pair));
    let mut kept = BytesMut::new();
    for line in headers.get_all(COOKIE) {
        let mut line_has_begun = false;
        for pair in pieces(line.as_bytes()).filter(|pair| !carries_ours(pair)) {
            match (kept.is_empty(), line_has_begun) {
                (true, _) => kept.put_slice(pair.trim_ascii_start()),
                (false, true) => {
                    kept.put_u8(b';');
                    kept.put_slice(pair);
                }
                (false, false) => {
                    kept.put_slice(b"; ");
                    kept.put_slice(pair.trim_ascii_start());
                }
            }
            line_has_begun = true;
        }
    }
    if kept.trim_ascii().is_empty() {
        return None;
    }
    // Pieces of valid values joined by `; ` are valid; if not, no cookies are the safe reading.
    HeaderValue::from_maybe_shared(Bytes::from(kept)).ok()
}

fn pairs(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(COOKIE).iter();
    lines.flat_map(|line| pieces(line.as_bytes()))
}

/// The value of a pair that bears our name, if it is long enough to be a secret.
fn our_secret(pair: &[u8]) -> Option<&[u8]> {
    let at = position_of_our_name(pair)?;
    let behind = &pair[at + OUR_NAME.len()..];
    let equals = behind.iter().position(|byte| *byte == b'=')?;
    let value = behind[equals + 1..].trim_ascii();
    let value = value.strip_prefix(b"\"").unwrap_or(value);
    let value = value.strip_suffix(b"\"").unwrap_or(value);
    (value.len() >= SHORTEST_SECRET).then_some(value)
}

/// A secret that is looked for in pairs of other names.
struct Sought<'a> {
    secret: &'a [u8],
    finder: OnceCell<Finder<'a>>,
}

impl<'a> Sought<'a> {
    fn new(secret: &'a [u8]) -> Self {
        Self {
            secret,
            finder: OnceCell::new(),
        }
    }

    /// A look at every place where it could begin. Where there are more of them than in any text that
    /// was not made for it, it is sought in a time that is in proportion to the text alone, however
    /// often it nearly fits; that takes preparing, which most requests are spared.
    fn is_in(&self, pair: &[u8]) -> bool {
        const MOST_LOOKS: usize = 16;
        let Some(first) = self.secret.first() else {
            return false;
        };
        let Some(last) = pair.len().checked_sub(self.secret.len()) else {
            return false;
        };
        for (look, at) in memchr_iter(*first, &pair[..=last]).enumerate() {
            if look == MOST_LOOKS {
                let finder = self.finder.get_or_init(|| Finder::new(self.secret));
                return finder.find(pair).is_some();
            }
            if pair[at..].starts_with(self.secret) {
                return true;
            }
        }
        false
    }
}

fn contains_our_name(text: &[u8]) -> bool {
    position_of_our_name(text).is_some()
}

fn position_of_our_name(text: &[u8]) -> Option<usize> {
    // It begins with a byte that has no other case, and that few cookies have.
    let (first, end) = (*OUR_NAME.first()?, text.len().checked_sub(OUR_NAME.len())?);
    memchr_iter(first, &text[..=end])
        .find(|at| text[*at..*at + OUR_NAME.len()].eq_ignore_ascii_case(OUR_NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_wherever_it_stands_and_however_often_something_nearly_fits() {
        // S-235
        let secret = [&b"a".repeat(40)[..], b"b"].concat();
        let sought = Sought::new(&secret);
        for before in [0, 1, 15, 16, 17, 40, 41, 300] {
            for behind in [0, 1, 50] {
                let text = [&b"a".repeat(before)[..], &secret, &b"c".repeat(behind)].concat();
                assert!(sought.is_in(&text), "{before} {behind}");
            }
            let nearly = [&b"a".repeat(before)[..], &b"a".repeat(39), b"b"].concat();
            assert_eq!(sought.is_in(&nearly), before > 0, "{before}");
            assert!(!sought.is_in(&b"a".repeat(before)), "{before}");
        }
    }

    #[test]
    fn our_name_is_found_in_any_case_and_nowhere_else() {
        // S-235
        for text in [
            &b"__Host-vestibule"[..],
            b"x__hOST-VESTIBULE",
            b"____Host-vestibule-login",
        ] {
            assert!(contains_our_name(text), "{text:?}");
        }
        for text in [
            &b""[..],
            b"_",
            b"__Host-vestibul",
            b"_Host-vestibule",
            b"--Host-vestibule",
        ] {
            assert!(!contains_our_name(text), "{text:?}");
        }
    }
}
