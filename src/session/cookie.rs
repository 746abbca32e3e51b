//! The session cookie: its name, its attributes, and how it is found in a request.
//!
//! Cookies are split at `;` alone and names compared byte for byte (RFC 6265 5.4; S-188, S-235): a
//! quote, a comma or another spelling of the name can neither hide our cookie nor make one.

use http::{HeaderMap, HeaderValue, header::COOKIE};

use super::model::{SessionKey, SessionToken};
use crate::{
    cookie_pairs::{parted, pieces},
    reserved,
};

/// The cookie that carries a session.
const SESSION_COOKIE: &str = reserved::COOKIES;

/// What the request's cookies say about a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Presented {
    /// There is no session cookie.
    Absent,
    /// There is one, and it has the form of a token.
    Key(SessionKey),
    /// There is one that has not, or there are several: it counts as none.
    Unusable,
}

/// Name and value of every cookie, in order, without the blanks around them.
///
/// A piece without `=` has an empty name, as browsers hold it.
pub fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    let lines = headers.get_all(COOKIE).iter();
    lines.flat_map(|line| pieces(line.as_bytes()).map(parted))
}

/// The session cookie of a request. Two of them count as none (S-050).
#[must_use]
pub fn presented(headers: &HeaderMap) -> Presented {
    let mut found = Presented::Absent;
    for line in headers.get_all(COOKIE) {
        // Most cookies are others: only what begins so is taken apart.
        let name = SESSION_COOKIE.as_bytes();
        let begin_so = pieces(line.as_bytes()).filter(|it| it.trim_ascii_start().starts_with(name));
        for (_, value) in begin_so.map(parted).filter(|pair| pair.0 == name) {
            found = match (found, SessionKey::of_cookie_value(value)) {
                (Presented::Absent, Some(key)) => Presented::Key(key),
                _ => Presented::Unusable,
            };
        }
    }
    found
}

/// `Set-Cookie` for a new session: for this browser session, this host, all paths.
///
/// # Panics
/// Never: a token is base64url.
#[must_use]
pub fn set(token: &SessionToken) -> HeaderValue {
    let line = format!(
        "{SESSION_COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Lax",
        token.expose()
    );
    let mut value =
        HeaderValue::try_from(line).expect("base64url and attributes are visible ASCII");
    value.set_sensitive(true);
    value
}

/// `Set-Cookie` that removes the session cookie: the same name and attributes, an age of zero.
#[must_use]
pub fn clear() -> HeaderValue {
    HeaderValue::from_static("__Host-vestibule=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn only_the_exact_name_is_the_session_cookie() {
        // S-188
        let token = SessionToken::random();
        let value = token.expose();
        for odd in [
            format!("__host-vestibule={value}"),
            format!("__HOST-vestibule={value}"),
            format!("=__Host-vestibule={value}"),
            format!("__Host-vestibule-login={value}"),
            format!("x__Host-vestibule={value}"),
        ] {
            assert_eq!(presented(&headers(&[&odd])), Presented::Absent, "{odd}");
        }
    }

    #[test]
    fn quotes_and_commas_hide_nothing() {
        // S-235: the cookie sandwich.
        let token = SessionToken::random();
        let line = format!("a=\"; __Host-vestibule={}; b=\"", token.expose());
        assert_eq!(presented(&headers(&[&line])), Presented::Key(token.key()));
        let line = format!("a=1, __Host-vestibule={}", token.expose());
        assert_eq!(presented(&headers(&[&line])), Presented::Absent);
    }

    #[test]
    fn two_session_cookies_are_none() {
        // S-050: good and bad, bad and good, good twice; on one line or on two.
        let good = format!("__Host-vestibule={}", SessionToken::random().expose());
        let bad = "__Host-vestibule=x".to_owned();
        for (first, second) in [(&good, &bad), (&bad, &good), (&good, &good)] {
            let one_line = format!("{first}; {second}");
            assert_eq!(presented(&headers(&[&one_line])), Presented::Unusable);
            assert_eq!(presented(&headers(&[first, second])), Presented::Unusable);
        }
    }

    #[test]
    fn the_cookie_is_set_and_removed_with_the_same_attributes() {
        // S-053
        let set = set(&SessionToken::random());
        let attributes = "Path=/; Secure; HttpOnly; SameSite=Lax";
        assert!(set.to_str().unwrap().ends_with(attributes));
        assert!(set.is_sensitive());
        let cleared = clear();
        let expected = format!("{SESSION_COOKIE}=; {attributes}; Max-Age=0");
        assert_eq!(cleared.to_str().unwrap(), expected);
    }
}
