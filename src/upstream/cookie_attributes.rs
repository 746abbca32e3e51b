//! Where the app's cookies hold, as browsers have to be told: the `Domain` and `Path` of `Set-Cookie`
//! (RFC 6265 4.1.2, 5.2).
//!
//! A `Domain` that is the app's own host, which no browser sees, is dropped, so that the cookie is for
//! the public host alone; a `Path` is mapped as all paths are. Neither name nor value is ever changed,
//! and no cookie gets to hold for more than it did.

use http::{HeaderMap, header::SET_COOKIE};

use super::answer_addresses::{AppAddresses, replace_each};

/// Cookies of this prefix have to be for all of a host, or browsers refuse them (RFC 6265bis 4.1.3.2).
const OF_A_WHOLE_HOST: &[u8] = b"__Host-";

/// Rewrites every cookie of an answer. Allocates nothing where there is nothing to rewrite.
pub(super) fn rewrite(headers: &mut HeaderMap, addresses: &AppAddresses) {
    replace_each(headers, &SET_COOKIE, |line| rewritten(line, addresses));
}

/// A line as browsers should get it; `None` if it is to stay as it is.
fn rewritten(line: &[u8], addresses: &AppAddresses) -> Option<Vec<u8>> {
    let has_free_path = !addresses.paths.is_nothing() && !is_of_a_whole_host(line);
    let change = |attribute: &'_ [u8]| change_of(attribute, has_free_path, addresses);
    let attributes = || line.split(|byte| *byte == b';').skip(1);
    if attributes().all(|it| matches!(change(it), Change::None)) {
        return None;
    }
    let pair = line.split(|byte| *byte == b';').next().unwrap_or(line);
    let mut written = pair.to_vec();
    for attribute in attributes() {
        match change(attribute) {
            Change::Dropped => {}
            Change::None => {
                written.push(b';');
                written.extend_from_slice(attribute);
            }
            Change::Path(path) => {
                written.extend_from_slice(b"; Path=");
                written.extend_from_slice(&path);
            }
        }
    }
    Some(written)
}

/// What becomes of an attribute.
enum Change {
    Dropped,
    None,
    Path(Vec<u8>),
}

fn change_of(attribute: &[u8], has_free_path: bool, addresses: &AppAddresses) -> Change {
    let Some(equals) = attribute.iter().position(|byte| *byte == b'=') else {
        return Change::None;
    };
    let (name, value) = attribute.split_at(equals);
    let (name, value) = (
        name.trim_ascii(),
        value.get(1..).unwrap_or_default().trim_ascii(),
    );
    if name.eq_ignore_ascii_case(b"domain") && is_the_app(value, addresses) {
        return Change::Dropped;
    }
    // What does not begin so is no path, and browsers go by the address of the page.
    if !(has_free_path && name.eq_ignore_ascii_case(b"path") && value.starts_with(b"/")) {
        return Change::None;
    }
    let mapped = addresses.paths.cookie_to_public(value);
    if mapped.front.is_empty() && mapped.rest.len() == value.len() {
        return Change::None;
    }
    let mut path = [mapped.front.as_bytes(), mapped.rest].concat();
    if path.is_empty() {
        path.push(b'/');
    }
    Change::Path(path)
}

/// Whether a domain is the app's own host or one above it, and not above the public one as well: then
/// browsers take it as it is.
fn is_the_app(domain: &[u8], addresses: &AppAddresses) -> bool {
    let domain = domain.strip_prefix(b".").unwrap_or(domain);
    let holds = |host: &str| {
        let start = host.len().checked_sub(domain.len());
        let parts = start.and_then(|start| host.as_bytes().split_at_checked(start));
        parts.is_some_and(|(before, end)| {
            (before.is_empty() || before.ends_with(b".")) && end.eq_ignore_ascii_case(domain)
        })
    };
    !domain.is_empty() && !holds(addresses.public_host()) && addresses.own_hosts().any(holds)
}

fn is_of_a_whole_host(line: &[u8]) -> bool {
    let name = line.trim_ascii_start();
    let start = name.get(..OF_A_WHOLE_HOST.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(OF_A_WHOLE_HOST))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::upstream::path_mapping::PathMapping;

    fn after(strip: &str, add: &str, line: &str) -> String {
        let own = [
            "app.inner.test:8080",
            "10.0.0.7",
            "erp.example.com",
            "wiki.example.com:8443",
        ];
        let paths = PathMapping::new(strip, add);
        let addresses = AppAddresses::new(own, "wiki.example.com:8443", paths);
        let rewritten = rewritten(line.as_bytes(), &addresses);
        rewritten.map_or_else(
            || "as it is".to_owned(),
            |it| String::from_utf8(it).unwrap(),
        )
    }

    #[test]
    fn a_cookie_of_the_apps_own_host_becomes_one_of_the_public_host() {
        for (line, expected) in [
            ("a=1; Domain=app.inner.test; Secure", "a=1; Secure"),
            ("a=1; Secure;domain = .APP.inner.test ", "a=1; Secure"),
            ("a=1; Domain=inner.test", "a=1"),
            (
                "a=1; Domain=test; Domain=10.0.0.7; HttpOnly",
                "a=1; HttpOnly",
            ),
        ] {
            assert_eq!(after("", "", line), expected, "{line}");
        }
        for line in [
            "a=1",
            "a=1; Domain=",
            "a=1; Domain=.",
            "a=1; Domain",
            "a=1; Domain=wiki.example.com",
            "a=1; Domain=.example.com; Path=/x",
            "a=1; Domain=com",
            "a=1; Domain=evil.test.example",
            "a=1; Domain=ner.test",
            "a=1; Domain=x.app.inner.test",
            "Domain=inner.test",
            "a=Domain=inner.test",
            "a=1; Path=/; SameSite=Lax; Max-Age=5",
        ] {
            assert_eq!(after("", "", line), "as it is", "{line}");
        }
    }

    #[test]
    fn its_path_lies_where_people_find_it() {
        for (strip, add, line, expected) in [
            ("/app", "", "a=1; Path=/; Secure", "a=1; Path=/app; Secure"),
            ("/app", "", "a=1;path=/x", "a=1; Path=/app/x"),
            ("/app", "", "a=1; Path=/app", "as it is"),
            ("/app", "", "a=1; Path=x", "as it is"),
            ("/app", "", "a=1; Path=", "as it is"),
            ("/app", "", "a=1", "as it is"),
            ("/app", "", "Path=/x", "as it is"),
            ("/app", "/back", "a=1; Path=/back/", "a=1; Path=/app"),
            ("", "/back", "a=1; Path=/back", "a=1; Path=/"),
            ("", "/back", "a=1; Path=/", "a=1; Path=/"),
            ("/app", "", "__Host-a=1; Path=/; Secure", "as it is"),
            ("/app", "", "__HOST-a=1; Path=/; Secure", "as it is"),
            (
                "/app",
                "",
                "__Secure-a=1; Path=/",
                "__Secure-a=1; Path=/app",
            ),
            (
                "/app",
                "",
                "a=1; Path=/x; Path=/y",
                "a=1; Path=/app/x; Path=/app/y",
            ),
        ] {
            assert_eq!(after(strip, add, line), expected, "{strip} {add} {line}");
        }
    }

    proptest! {
        #[test]
        fn the_pair_is_never_touched(line in "[ -~]{0,40}", strip in "(/app)?", add in "(/back)?") {
            let after = after(&strip, &add, &line);
            let pair = line.split(';').next().unwrap();
            prop_assert!(after == "as it is" || after.split(';').next() == Some(pair));
        }
    }
}
