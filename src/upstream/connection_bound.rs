//! NTLM, Negotiate and their like: authentication that an app ties to a connection instead of a
//! request.
//!
//! A connection on which somebody proved who they are that way must never carry the request of
//! anybody else (S-095). So none is used again that carried a request with such a proof, or an answer
//! that asks for one or says that one holds; and the app's offers to begin are not passed on: the
//! several rounds of NTLM would each meet a new connection (RFC 4559 6, MS-NLMP 3.1.5). What is for a
//! proxy (`Proxy-Authorization`, `Proxy-Authenticate`) ends here in both directions, and so proves
//! nothing to an app.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AUTHORIZATION, PROXY_AUTHENTICATE, WWW_AUTHENTICATE},
};

/// The word in the log for an app whose offers are not passed on.
pub(super) const REASON: &str = "connection_bound";

/// What an app adds to say that the proof goes on to hold for the connection.
const PERSISTENT_AUTH: HeaderName = HeaderName::from_static("persistent-auth");

/// The schemes that hold for a connection, or take several rounds on one.
const SCHEMES: &[&str] = &["CredSSP", "Kerberos", "Nego2", "Negotiate", "NTLM"];

/// Whether a request tries to authenticate the connection.
pub(super) fn is_asked_for(headers: &HeaderMap) -> bool {
    headers.get_all(AUTHORIZATION).iter().any(names_a_scheme)
}

/// Whether an answer offers, or goes on with, authenticating the connection.
pub(super) fn is_offered(headers: &HeaderMap) -> bool {
    let offers = |name| headers.get_all(name).iter().any(names_a_scheme);
    offers(WWW_AUTHENTICATE) || offers(PROXY_AUTHENTICATE) || headers.contains_key(PERSISTENT_AUTH)
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
    headers.remove(PERSISTENT_AUTH);
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
        let end = element
            .iter()
            .position(|byte| !byte.is_ascii_alphanumeric());
        let begun = &element[..end.unwrap_or(element.len())];
        SCHEMES
            .iter()
            .any(|scheme| begun.eq_ignore_ascii_case(scheme.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(name: &HeaderName, values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn every_spelling_of_such_a_proof_is_known() {
        // S-095
        for proof in [
            "NTLM",
            "ntlm TlRMTVNTUAAB",
            "Negotiate YII=",
            "\tNegotiate\tYII=",
            "Kerberos YII=",
            "CredSSP x",
            "Nego2 x",
            "Basic YTpi, Negotiate x",
            "Negotiate=x",
        ] {
            assert!(is_asked_for(&fields(&AUTHORIZATION, &[proof])), "{proof}");
            assert!(
                is_offered(&fields(&WWW_AUTHENTICATE, &["Basic", proof])),
                "{proof}"
            );
            assert!(
                is_offered(&fields(&PROXY_AUTHENTICATE, &[proof])),
                "{proof}"
            );
        }
        for other in ["Basic YTpi", "Bearer NTLM.x.y", "NTLMv2x", "", "Digest a=b"] {
            assert!(!is_asked_for(&fields(&AUTHORIZATION, &[other])), "{other}");
            assert!(!is_offered(&fields(&WWW_AUTHENTICATE, &[other])), "{other}");
        }
    }

    #[test]
    fn offers_are_removed_and_others_kept() {
        let mut headers = fields(
            &WWW_AUTHENTICATE,
            &["Negotiate", "Basic realm=\"x\"", "NTLM"],
        );
        headers.insert(PERSISTENT_AUTH, HeaderValue::from_static("true"));
        assert!(refuse_offers(&mut headers));
        let kept: Vec<_> = headers.values().collect();
        assert_eq!(kept, ["Basic realm=\"x\""]);
        assert!(!refuse_offers(&mut headers));
    }
}
