//! The addresses by which an app names itself in its answer, as people know them: `Location`,
//! `Content-Location` and `Refresh` (RFC 9110 8.7, 10.2.2; `Refresh` as the HTML standard reads it).
//!
//! Only what names the app itself is changed, and then only its beginning: relative references and other
//! hosts pass byte for byte. What was rewritten never leads to another origin than the public one.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_LOCATION, Entry, LOCATION, REFRESH},
};

use super::path_mapping::PathMapping;

const FIELDS: [HeaderName; 2] = [CONTENT_LOCATION, LOCATION];

/// What an app may call itself, and what people call it.
#[derive(Clone, Debug)]
pub struct AppAddresses {
    /// Host, with its port unless that is the usual one: where the app is, and what `Host` it sees.
    own: Vec<Box<str>>,
    /// Host, with its port unless that is 443.
    public: Box<str>,
    /// Where paths lie.
    pub(super) paths: PathMapping,
}

impl AppAddresses {
    /// An app that people know as `public`, and that may call itself any of `own`.
    pub fn new<'a>(
        own: impl IntoIterator<Item = &'a str>,
        public: &str,
        paths: PathMapping,
    ) -> Self {
        let own = own.into_iter().map(Box::from).collect();
        let public = public.into();
        Self { own, public, paths }
    }

    /// The hosts that the app has for itself, without ports and brackets; not the public one.
    pub(super) fn own_hosts(&self) -> impl Iterator<Item = &str> {
        let public = self.public_host();
        let own = self.own.iter().map(|it| host_of(it));
        own.filter(move |host| !host.eq_ignore_ascii_case(public))
    }

    /// The public host, without port and brackets.
    pub(super) fn public_host(&self) -> &str {
        host_of(&self.public)
    }

    /// A reference as people can follow it; `None` if it is to stay as it is.
    #[must_use]
    pub fn rewritten(&self, reference: &[u8]) -> Option<Vec<u8>> {
        let Some((scheme, behind)) = Scheme::of(reference) else {
            return self.rewritten_path(reference);
        };
        let end = behind.iter().position(|it| b"/?#\\".contains(it));
        let (authority, tail) = behind.split_at(end.unwrap_or(behind.len()));
        // A browser would read the first as the second; nobody writes it who means well.
        if tail.starts_with(b"\\") || !self.is_own(scheme, authority) {
            return None;
        }
        let (path, query) = path_of(tail);
        let mapped = self.paths.to_public(path);
        let is_as_it_should_be = scheme != Scheme::Http
            && mapped.front.is_empty()
            && mapped.rest.len() == path.len()
            && authority.eq_ignore_ascii_case(self.public.as_bytes());
        (!is_as_it_should_be).then(|| self.absolute(mapped.front, mapped.rest, query))
    }

    /// A path from the root on; anything else stays.
    fn rewritten_path(&self, reference: &[u8]) -> Option<Vec<u8>> {
        if !reference.starts_with(b"/") || reference.starts_with(b"/\\") {
            return None;
        }
        let (path, query) = path_of(reference);
        let mapped = self.paths.to_public(path);
        if mapped.front.is_empty() && mapped.rest.len() == path.len() {
            return None;
        }
        let mut written = [mapped.front.as_bytes(), mapped.rest].concat();
        if written.is_empty() {
            written.push(b'/');
        }
        // What stood behind the prefix might be a host by itself; browsers leave blanks out.
        let is_odd = |byte: &u8| matches!(byte, b'/' | b'\\' | 0..=b' ' | 0x7f);
        if written.get(1).is_some_and(is_odd) {
            return Some(self.absolute(mapped.front, mapped.rest, query));
        }
        written.extend_from_slice(query);
        Some(written)
    }

    fn absolute(&self, front: &str, rest: &[u8], query: &[u8]) -> Vec<u8> {
        let public = self.public.as_bytes();
        [b"https://", public, front.as_bytes(), rest, query].concat()
    }

    /// Whether an authority is one of the app's: with or without the usual port of its scheme.
    fn is_own(&self, scheme: Scheme, authority: &[u8]) -> bool {
        let usual: &[u8] = match scheme {
            Scheme::Http => b":80",
            Scheme::Https | Scheme::OfThePage => b":443",
        };
        let authority = authority.strip_suffix(usual).unwrap_or(authority);
        let mut all = self.own.iter().chain([&self.public]);
        all.any(|own| authority.eq_ignore_ascii_case(own.as_bytes()))
    }
}

/// Rewrites what names the app itself. Allocates nothing where there is nothing to rewrite.
pub(super) fn rewrite(headers: &mut HeaderMap, addresses: &AppAddresses) {
    for name in FIELDS {
        replace_each(headers, &name, |line| addresses.rewritten(line));
    }
    replace_each(headers, &REFRESH, |line| {
        let (before, reference, behind) = parts_of_refresh(line)?;
        let rewritten = addresses.rewritten(reference)?;
        Some([before, &rewritten, behind].concat())
    });
}

/// Puts something else in the place of each line for which there is something.
pub(super) fn replace_each(
    headers: &mut HeaderMap,
    name: &HeaderName,
    rewritten: impl Fn(&[u8]) -> Option<Vec<u8>>,
) {
    // Most answers have none of these, and looking at an entry makes room for it.
    if !headers.contains_key(name) {
        return;
    }
    let Entry::Occupied(mut lines) = headers.entry(name) else {
        return;
    };
    for line in lines.iter_mut() {
        let value =
            rewritten(line.as_bytes()).map(|it| HeaderValue::from_maybe_shared(Bytes::from(it)));
        if let Some(Ok(value)) = value {
            *line = value;
        }
    }
}

/// How a reference begins that names a host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Scheme {
    Http,
    Https,
    /// HTTPS, because the page has it.
    OfThePage,
}

impl Scheme {
    fn of(reference: &[u8]) -> Option<(Self, &[u8])> {
        let named = |scheme: &[u8]| {
            let (start, behind) = reference.split_at_checked(scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then_some(behind)
        };
        let http = || Some((Self::Http, named(b"http://")?));
        let https = || Some((Self::Https, named(b"https://")?));
        let of_the_page = || Some((Self::OfThePage, named(b"//")?));
        http().or_else(https).or_else(of_the_page)
    }
}

/// The path, and what follows it.
fn path_of(tail: &[u8]) -> (&[u8], &[u8]) {
    let end = tail.iter().position(|it| matches!(it, b'?' | b'#'));
    tail.split_at(end.unwrap_or(tail.len()))
}

/// A host without its port and its brackets.
fn host_of(authority: &str) -> &str {
    let bracketed = authority
        .strip_prefix('[')
        .and_then(|it| it.split_once(']'));
    match bracketed {
        Some((host, _)) => host,
        None => authority
            .split_once(':')
            .map_or(authority, |(host, _)| host),
    }
}

/// `5; url="/x"`: what stands before the reference, the reference, what stands behind it.
fn parts_of_refresh(line: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let is_blank = |byte: &u8| byte.is_ascii_whitespace();
    let time = |byte: &u8| byte.is_ascii_digit() || *byte == b'.' || is_blank(byte);
    let rest = after(line, time);
    let rest = after(
        rest.strip_prefix(b";")
            .or_else(|| rest.strip_prefix(b","))?,
        is_blank,
    );
    let named = || {
        let (word, behind) = rest.split_at_checked(3)?;
        let behind = after(behind, is_blank).strip_prefix(b"=")?;
        word.eq_ignore_ascii_case(b"url")
            .then(|| after(behind, is_blank))
    };
    let rest = named().unwrap_or(rest);
    let (reference, behind) = match rest.split_first() {
        Some((quote @ (b'"' | b'\''), quoted)) => {
            let end = quoted.iter().position(|byte| byte == quote);
            quoted.split_at(end.unwrap_or(quoted.len()))
        }
        _ => rest.split_at(rest.trim_ascii_end().len()),
    };
    let before = line.get(..line.len() - reference.len() - behind.len())?;
    Some((before, reference, behind))
}

fn after(bytes: &[u8], skips: impl Fn(&u8) -> bool) -> &[u8] {
    let start = bytes.iter().position(|byte| !skips(byte));
    start
        .and_then(|start| bytes.get(start..))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    const PUBLIC: &str = "wiki.example:8443";

    fn addresses(strip: &str, add: &str) -> AppAddresses {
        let own = ["10.0.0.7:8080", "inner.test", "[::1]:81"];
        AppAddresses::new(own, PUBLIC, PathMapping::new(strip, add))
    }

    fn rewritten(strip: &str, add: &str, reference: &str) -> String {
        let rewritten = addresses(strip, add).rewritten(reference.as_bytes());
        rewritten.map_or_else(
            || "as it is".to_owned(),
            |it| String::from_utf8(it).unwrap(),
        )
    }

    #[test]
    fn what_names_the_app_itself_leads_to_the_public_address() {
        for (reference, expected) in [
            (
                "http://10.0.0.7:8080/x?y#z",
                "https://wiki.example:8443/x?y#z",
            ),
            ("https://10.0.0.7:8080/x", "https://wiki.example:8443/x"),
            ("HTTP://10.0.0.7:8080", "https://wiki.example:8443"),
            ("//10.0.0.7:8080/x", "https://wiki.example:8443/x"),
            ("http://10.0.0.7:8080?x", "https://wiki.example:8443?x"),
            (
                "http://10.0.0.7:8080//evil.test",
                "https://wiki.example:8443//evil.test",
            ),
            ("http://Inner.TEST/x", "https://wiki.example:8443/x"),
            ("http://inner.test:80/x", "https://wiki.example:8443/x"),
            ("https://inner.test:443/x", "https://wiki.example:8443/x"),
            ("http://[::1]:81/", "https://wiki.example:8443/"),
            ("http://wiki.example:8443/x", "https://wiki.example:8443/x"),
        ] {
            assert_eq!(rewritten("", "", reference), expected, "{reference}");
        }
    }

    #[test]
    fn what_names_somebody_else_or_nobody_stays_byte_for_byte() {
        // S-029
        for reference in [
            "",
            "x",
            "../x",
            "?x",
            "#x",
            "./",
            "https://wiki.example:8443/x",
            "https://WIKI.example:8443/x",
            "//wiki.example:8443/x",
            "https://evil.test/x",
            "http://10.0.0.7/x",
            "http://10.0.0.7:8081/x",
            "http://10.0.0.7:8080.evil.test/",
            "http://10.0.0.7:8080@evil.test/",
            "http://evil.test@10.0.0.7:8080/",
            "http://inner.test:8080/",
            "http://inner.test:443/",
            "http://xinner.test/",
            "http://inner.test./",
            "http://wiki.example/",
            "http://10.0.0.7:8080\\@evil.test/",
            "http:10.0.0.7:8080/x",
            "http:/10.0.0.7:8080/x",
            "ftp://10.0.0.7:8080/x",
            "mailto:a@10.0.0.7:8080",
            "/\\evil.test",
            "//evil.test",
            " http://10.0.0.7:8080/",
        ] {
            for (strip, add) in [("", ""), ("", "/back")] {
                assert_eq!(rewritten(strip, add, reference), "as it is", "{reference}");
            }
        }
        assert_eq!(rewritten("", "", "/x"), "as it is");
    }

    #[test]
    fn paths_lie_where_people_find_them() {
        // S-038
        for (strip, add, reference, expected) in [
            ("/app", "", "/x?y", "/app/x?y"),
            ("/app", "", "/", "/app/"),
            ("/app", "", "/app/x", "as it is"),
            ("/app", "", "https://wiki.example:8443/app/x", "as it is"),
            (
                "/app",
                "",
                "https://wiki.example:8443/x",
                "https://wiki.example:8443/app/x",
            ),
            (
                "/app",
                "",
                "http://inner.test",
                "https://wiki.example:8443/app",
            ),
            (
                "/app",
                "",
                "http://inner.test?x",
                "https://wiki.example:8443/app?x",
            ),
            (
                "/app",
                "",
                "http://inner.test/app/x",
                "https://wiki.example:8443/app/x",
            ),
            ("/app", "/back", "/back/x", "/app/x"),
            ("/app", "/back", "/back?x", "/app?x"),
            ("/app", "/back", "/other", "as it is"),
            (
                "/app",
                "/back",
                "http://inner.test/other",
                "https://wiki.example:8443/other",
            ),
            ("", "/back", "/back", "/"),
            ("", "/back", "/back#x", "/#x"),
            ("", "/back", "/back/x", "/x"),
            (
                "",
                "/back",
                "/back//evil.test",
                "https://wiki.example:8443//evil.test",
            ),
            (
                "",
                "/back",
                "/back/\\evil.test",
                "https://wiki.example:8443/\\evil.test",
            ),
            (
                "",
                "/back",
                "/back/\t/evil.test",
                "https://wiki.example:8443/\t/evil.test",
            ),
        ] {
            let found = rewritten(strip, add, reference);
            assert_eq!(found, expected, "{strip} {add} {reference}");
        }
    }

    #[test]
    fn a_refresh_has_its_reference_rewritten_and_nothing_else() {
        for (line, expected) in [
            (
                "5; url=http://inner.test/x",
                "5; url=https://wiki.example:8443/app/x",
            ),
            ("0;URL='/x'", "0;URL='/app/x'"),
            ("0, url = \"/x\" more", "0, url = \"/app/x\" more"),
            ("1.5;/x", "1.5;/app/x"),
            ("3 ; Url=/x ", "3 ; Url=/app/x "),
            ("3; url=\"/x", "3; url=\"/app/x"),
            ("5", "5"),
            ("5;", "5;"),
            ("5; url=", "5; url="),
            ("5; url=x", "5; url=x"),
            ("; url=/app/x", "; url=/app/x"),
            ("", ""),
            ("/x", "/x"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(REFRESH, HeaderValue::from_bytes(line.as_bytes()).unwrap());
            rewrite(&mut headers, &addresses("/app", ""));
            assert_eq!(headers.get(REFRESH).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn every_line_is_looked_at() {
        let mut headers = HeaderMap::new();
        for line in ["http://inner.test/a", "https://evil.test/", "/b"] {
            headers.append(LOCATION, HeaderValue::from_static(line));
            headers.append(CONTENT_LOCATION, HeaderValue::from_static(line));
        }
        rewrite(&mut headers, &addresses("/app", ""));
        for name in FIELDS {
            let lines: Vec<_> = headers.get_all(name).iter().collect();
            let expected = [
                "https://wiki.example:8443/app/a",
                "https://evil.test/",
                "/app/b",
            ];
            assert_eq!(lines, expected);
        }
    }

    proptest! {
        // S-029
        #[test]
        fn what_was_rewritten_leads_to_the_public_origin(
            start in "(http://|https://|//|HTTP://)?(inner\\.test|10\\.0\\.0\\.7:8080|wiki\\.example:8443|evil\\.test)?",
            rest in "[/\\\\.@:?#a \\t%;]{0,12}",
            path in "(/back|/app)?[/\\\\.@:a\\t]{0,8}(evil\\.test)?",
            strip in prop_oneof![Just(""), Just("/app")],
            add in prop_oneof![Just(""), Just("/back")],
        ) {
            let public = Url::parse(&format!("https://{PUBLIC}/app/page")).unwrap();
            for reference in [format!("{start}{rest}"), format!("{start}{path}"), format!("{path}{rest}")] {
                if let Some(rewritten) = addresses(strip, add).rewritten(reference.as_bytes()) {
                    let rewritten = String::from_utf8(rewritten).unwrap();
                    let leads = public.join(&rewritten).unwrap();
                    prop_assert_eq!(leads.origin(), public.origin(), "{} {}", reference, rewritten);
                    prop_assert!(leads.username().is_empty());
                }
            }
        }
    }
}
