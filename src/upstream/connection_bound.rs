//! NTLM and Negotiate: authentication that an app ties to a connection instead of a request.
//!
//! A connection on which somebody proved who they are that way must never carry the request of
//! anybody else (S-095). So it is not used again, and the app's offers to begin are not passed on:
//! the several rounds of NTLM would each meet a new connection (RFC 4559 6, MS-NLMP 3.1.5).

use http::{
    HeaderMap, HeaderValue,
    header::{AUTHORIZATION, WWW_AUTHENTICATE},
};

/// Whether a request tries to authenticate the connection.
pub(super) fn is_asked_for(headers: &HeaderMap) -> bool {
    headers.get_all(AUTHORIZATION).iter().any(names_a_scheme)
}

/// Whether an answer offers, or goes on with, authenticating the connection.
pub(super) fn is_offered(headers: &HeaderMap) -> bool {
    let mut offers = headers.get_all(WWW_AUTHENTICATE).iter();
    offers.any(names_a_scheme)
}

/// Removes the offers; says whether there were any.
pub(super) fn refuse_offers(headers: &mut HeaderMap) -> bool {
    if !is_offered(headers) {
        return false;
    }
    let kept: Vec<_> = headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter(|offer| !names_a_scheme(offer))
        .cloned()
        .collect();
    headers.remove(WWW_AUTHENTICATE);
    for offer in kept {
        headers.append(WWW_AUTHENTICATE, offer);
    }
    true
}

/// Whether any element of the list begins with such a scheme; quotes are not looked at, which can
/// only find too many.
fn names_a_scheme(value: &HeaderValue) -> bool {
    value.as_bytes().split(|byte| *byte == b',').any(|element| {
        let element = element.trim_ascii();
        let end = element.iter().position(u8::is_ascii_whitespace);
        let scheme = &element[..end.unwrap_or(element.len())];
        scheme.eq_ignore_ascii_case(b"NTLM") || scheme.eq_ignore_ascii_case(b"Negotiate")
    })
}
