//! Where a person goes after signing in or out: a path of the same origin, and nothing else.
//!
//! Whatever could be read as another origin by any browser becomes `/` (S-072): a second slash, a
//! backslash anywhere, a control character, a scheme. What passes is handed back byte for byte.

use std::fmt;

use crate::reserved;

/// The longest path with query that is kept, in bytes.
const MAX_BYTES: usize = 2_048;

/// A path with query on our own origin.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReturnTo(String);

impl ReturnTo {
    /// The path, or `/` if it is not one of our own origin.
    ///
    /// A page of ours that would start another round (`/.vestibule/login`) is not one either; only
    /// `/.vestibule/me` is.
    #[must_use]
    pub fn new(path: &str) -> Self {
        if is_own_path(path) {
            Self(path.to_owned())
        } else {
            Self::default()
        }
    }

    /// The path with query, as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.0.split(['?', '#']).next().unwrap_or("/")
    }

    /// The whole URL on `authority`, for a `Location`.
    #[must_use]
    pub fn on(&self, authority: &str) -> String {
        format!("https://{authority}{}", self.0)
    }
}

impl Default for ReturnTo {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl fmt::Display for ReturnTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_own_path(path: &str) -> bool {
    let bytes = path.as_bytes();
    bytes.len() <= MAX_BYTES
        && bytes.first() == Some(&b'/')
        && bytes.get(1) != Some(&b'/')
        && bytes
            .iter()
            .all(|byte| (0x21..=0x7e).contains(byte) && *byte != b'\\')
        && !has_dot_segment(path)
        && (!path.starts_with(reserved::PATHS) || path == reserved::ME)
}

/// A browser would resolve such a segment, and so end on another path than the one that was judged.
fn has_dot_segment(path: &str) -> bool {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    path.split('/').any(|segment| {
        let decoded = segment.replace("%2e", ".").replace("%2E", ".");
        decoded == "." || decoded == ".."
    })
}

/// The value of one query parameter, decoded, if it is there exactly once.
#[must_use]
pub fn single_parameter(query: Option<&str>, name: &str) -> Option<String> {
    let mut values = url::form_urlencoded::parse(query?.as_bytes())
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned());
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// Whether a query parameter is there, however often.
#[must_use]
pub fn has_parameter(query: Option<&str>, name: &str) -> bool {
    let query = query.unwrap_or_default().as_bytes();
    url::form_urlencoded::parse(query).any(|(key, _)| key == name)
}

/// `/.vestibule/login?return=...` for a path, encoded.
#[must_use]
pub fn login_path(return_to: &ReturnTo) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("return", return_to.as_str())
        .finish();
    format!("{}?{query}", reserved::LOGIN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_any_browser_could_take_for_another_origin_becomes_the_root() {
        // S-072, S-073: the shapes of every published open redirect of the peers.
        for odd in [
            "",
            "//evil.test",
            "///evil.test",
            "/\\evil.test",
            "\\\\evil.test",
            "/\t/evil.test",
            "/\n/evil.test",
            "https://evil.test",
            "https:evil.test",
            "javascript:alert(1)",
            "evil.test",
            "@evil.test",
            ".evil.test",
            "/a\\..\\evil",
            "/\u{2028}/evil",
            "/a b",
            "/\u{e4}",
            "/\u{7f}",
            "/.vestibule/login",
            "/./.vestibule/login",
            "/a/../.vestibule/logout",
            "/%2e/.vestibule/logout",
            "/a/%2E./.vestibule/login",
            "/a/..",
            "/.",
            "/.vestibule/logout?return=/",
            "/.vestibule/callback?code=x",
            " /a",
            "?a",
            "#a",
            "http:/\\evil.test",
            "/\u{0}",
        ] {
            assert_eq!(ReturnTo::new(odd).as_str(), "/", "{odd:?}");
        }
        assert_eq!(
            ReturnTo::new(&format!("/{}", "a".repeat(MAX_BYTES))).as_str(),
            "/"
        );
    }

    #[test]
    fn an_own_path_comes_back_byte_for_byte() {
        let longest = format!("/{}", "a".repeat(MAX_BYTES - 1));
        for own in [
            "/",
            "/a//b",
            "/a?b=c&d=%2F%2f",
            "/a;b=c",
            "/%5c%5cevil",
            "/a?u=https://x",
            "/a#part",
            "/.vestibule/me",
            "/.vestibulex",
            longest.as_str(),
        ] {
            assert_eq!(ReturnTo::new(own).as_str(), own);
            let login = login_path(&ReturnTo::new(own));
            let query = login.split_once('?').map(|(_, query)| query);
            assert_eq!(single_parameter(query, "return").as_deref(), Some(own));
        }
    }

    #[test]
    fn a_doubled_parameter_counts_as_none() {
        // S-079
        assert_eq!(
            single_parameter(Some("return=%2Fa&return=%2Fb"), "return"),
            None
        );
        assert_eq!(single_parameter(Some("x=1"), "return"), None);
        assert_eq!(single_parameter(None, "return"), None);
    }

    proptest! {
        #[test]
        fn whatever_is_given_the_url_stays_on_the_authority(text in "\\PC{0,40}|[/\\\\.:@a-z\\t]{0,12}") {
            let location = ReturnTo::new(&text).on("wiki.example.com");
            let url = url::Url::parse(&location).unwrap();
            prop_assert_eq!(url.host_str(), Some("wiki.example.com"));
            prop_assert_eq!(url.scheme(), "https");
            let relative = url::Url::parse("https://wiki.example.com/x").unwrap();
            let joined = relative.join(ReturnTo::new(&text).as_str()).unwrap();
            prop_assert_eq!(joined.host_str(), Some("wiki.example.com"));
        }
    }
}
