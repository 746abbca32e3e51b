//! Whether a front that ends TLS has said so for a request: `X-Forwarded-Proto: https`, exactly once.
//!
//! Believed is only who may be (S-023, S-026), and nothing else of what the field says has any effect:
//! without it the request ends here, because its cookies could not come back.

use http::{HeaderMap, HeaderName};

use super::error::Refusal;
use crate::{
    config::listener::TrustedProxies,
    peer::{Peer, Transport},
};

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Checks a request that came without TLS of ours; any other passes.
///
/// # Errors
/// Returns a [`Refusal`] if the front is not believed any more, or does not say that the client came
/// over HTTPS.
pub(super) fn check(
    peer: &Peer,
    headers: &HeaderMap,
    believed: &TrustedProxies,
) -> Result<(), Refusal> {
    let Transport::BehindFront(front) = peer.transport else {
        return Ok(());
    };
    // Asked with each request: whom the operator believes may change while a connection lasts.
    if !believed.may_end_tls(front) {
        return Err(Refusal::FrontUntrusted);
    }
    let mut lines = headers.get_all(X_FORWARDED_PROTO).iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) if line.as_bytes() == b"https" => Ok(()),
        _ => Err(Refusal::FrontWithoutHttps),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn verdict(front: &str, lines: &[&str]) -> Result<(), Refusal> {
        let believed = TrustedProxies(vec!["10.0.0.0/8".parse().unwrap()]);
        let peer = Peer {
            address: ([192, 0, 2, 1], 1).into(),
            unnamed: false,
            server_name: None,
            transport: Transport::BehindFront(front.parse().unwrap()),
        };
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_PROTO, HeaderValue::from_str(line).unwrap());
        }
        check(&peer, &headers, &believed)
    }

    #[test]
    fn a_front_of_this_machine_or_one_that_is_believed_says_https_once() {
        // S-023, S-026
        for front in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "::ffff:127.0.0.1",
            "10.0.0.7",
        ] {
            assert_eq!(verdict(front, &["https"]), Ok(()), "{front}");
        }
        for front in ["192.0.2.1", "11.0.0.1", "::2"] {
            let refused = Err(Refusal::FrontUntrusted);
            assert_eq!(verdict(front, &["https"]), refused, "{front}");
        }
    }

    #[test]
    fn whatever_else_is_said_of_the_scheme_is_refused() {
        // S-026
        for lines in [
            &[][..],
            &[""],
            &["http"],
            &["HTTPS"],
            &["https,http"],
            &["http, https"],
            &["https, https"],
            &["https", "https"],
            &["https", "http"],
            &["https://"],
            &["wss"],
        ] {
            let verdict = verdict("127.0.0.1", lines);
            assert_eq!(verdict, Err(Refusal::FrontWithoutHttps), "{lines:?}");
        }
    }
}
