//! Where a path of ours lies at the app, and back: `strip_prefix` and `add_prefix`.
//!
//! Applied when every rule has seen the public path (S-038, S-039). The bytes of the rest are never
//! changed, and a path that some reading would lead out of what was added, or whose rest begins with two
//! slashes, is not sent at all.

use bytes::{BufMut, Bytes, BytesMut};
use http::uri::PathAndQuery;

use super::headers::HeaderRefusal;

/// More escapes of escapes than this nobody means.
const MOST_DECODINGS: usize = 3;

/// What is taken from the beginning of a path, and what is put there instead; both may be empty, and
/// neither ends in a slash.
#[derive(Clone, Debug, Default)]
pub struct PathMapping {
    strip: Box<str>,
    add: Box<str>,
}

/// A path in two pieces: what stands before the bytes that were there, and those.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mapped<'a> {
    /// What comes first.
    pub front: &'a str,
    /// The rest as it was, empty or from a slash on.
    pub rest: &'a [u8],
}

impl PathMapping {
    /// Takes `strip` away, then puts `add` in front. Each is empty or a plain path without a slash at its
    /// end.
    #[must_use]
    pub fn new(strip: &str, add: &str) -> Self {
        Self {
            strip: strip.into(),
            add: add.into(),
        }
    }

    /// Whether every path stays as it is.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.strip.is_empty() && self.add.is_empty()
    }

    /// What is taken away.
    #[must_use]
    pub fn stripped(&self) -> &str {
        &self.strip
    }

    /// The target that the app gets for one of ours; `None` if it is the same.
    ///
    /// # Errors
    /// Returns [`HeaderRefusal::Path`] if its path could be read as one outside of what is mapped, or as
    /// a host.
    pub fn to_app(&self, target: &PathAndQuery) -> Result<Option<PathAndQuery>, HeaderRefusal> {
        // The whole server is asked, not a path of it.
        if self.is_nothing() || target.path() == "*" {
            return Ok(None);
        }
        let path = target.path();
        let rest = below(path.as_bytes(), &*self.strip).ok_or(HeaderRefusal::Path)?;
        if may_lead_out(rest) {
            return Err(HeaderRefusal::Path);
        }
        let query = target.query();
        let length = self.add.len() + rest.len() + 2 + query.map_or(0, str::len);
        let mut mapped = BytesMut::with_capacity(length);
        mapped.put_slice(self.add.as_bytes());
        mapped.put_slice(rest);
        if mapped.is_empty() {
            mapped.put_u8(b'/');
        }
        if let Some(query) = query {
            mapped.put_u8(b'?');
            mapped.put_slice(query.as_bytes());
        }
        let mapped = PathAndQuery::from_maybe_shared(Bytes::from(mapped));
        mapped.map(Some).map_err(|_| HeaderRefusal::Target)
    }

    /// Where one of the app's paths, from a slash on, lies for the public.
    ///
    /// One that is there already, because the app knows of `X-Forwarded-Prefix`, stays; so does one that
    /// lies beside what is added, which nobody can reach from outside.
    #[must_use]
    pub fn to_public<'a>(&'a self, path: &'a [u8]) -> Mapped<'a> {
        let as_it_is = Mapped {
            front: "",
            rest: path,
        };
        match below(path, &*self.add) {
            Some(rest) if !self.add.is_empty() => Mapped {
                front: &self.strip,
                rest,
            },
            Some(rest) if !self.is_public_already(rest) => Mapped {
                front: &self.strip,
                rest,
            },
            _ => as_it_is,
        }
    }

    /// The same for the path of a cookie, which always ends up within the route: one that holds all that
    /// is added holds all of the route.
    #[must_use]
    pub fn cookie_to_public<'a>(&'a self, path: &'a [u8]) -> Mapped<'a> {
        let whole = path.strip_suffix(b"/").unwrap_or(path);
        let holds_all = below(self.add.as_bytes(), whole).is_some();
        let mut mapped = if holds_all {
            Mapped {
                front: &self.strip,
                rest: b"",
            }
        } else {
            self.to_public(path)
        };
        let is_outside = mapped.front.is_empty() && !self.is_public_already(mapped.rest);
        if is_outside {
            mapped.front = &self.strip;
        }
        // `/app/` would not be sent with `/app`.
        if mapped.rest == b"/" && !mapped.front.is_empty() {
            mapped.rest = b"";
        }
        mapped
    }

    fn is_public_already(&self, path: &[u8]) -> bool {
        !self.strip.is_empty() && below(path, &*self.strip).is_some()
    }
}

/// What stands behind a prefix that ends at a segment border: nothing, or all from a slash on.
fn below(path: &[u8], prefix: impl AsRef<[u8]>) -> Option<&[u8]> {
    let rest = path.strip_prefix(prefix.as_ref())?;
    (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
}

/// Whether some reading of a path has a segment that leads upwards, or begins with two slashes.
fn may_lead_out(rest: &[u8]) -> bool {
    if !rest.contains(&b'%') {
        return leads_out(rest);
    }
    let mut reading = rest.to_vec();
    for _ in 0..MOST_DECODINGS {
        let decoded = decoded(&reading);
        if decoded.len() == reading.len() {
            return leads_out(&reading);
        }
        if leads_out(&reading) {
            return true;
        }
        reading = decoded;
    }
    // It is escaped still.
    decoded(&reading).len() != reading.len() || leads_out(&reading)
}

fn leads_out(reading: &[u8]) -> bool {
    let is_slash = |byte: &u8| matches!(byte, b'/' | b'\\');
    let name_of = |segment: &'_ [u8]| {
        let end = segment.iter().position(|it| matches!(it, b';' | b':'));
        end.unwrap_or(segment.len())
    };
    let mut segments = reading.split(is_slash).skip(1);
    let begins_empty = segments.next().is_some_and(|first| {
        let is_all = first.len() + 1 == reading.len();
        name_of(first) == 0 && !is_all
    });
    let is_dots = |segment: &[u8]| {
        let name = segment.get(..name_of(segment)).unwrap_or_default();
        !name.is_empty() && name.iter().all(|byte| matches!(byte, b'.' | b' '))
    };
    begins_empty || reading.split(is_slash).any(is_dots)
}

/// Each escape decoded once; what is none stays.
fn decoded(bytes: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut left = bytes;
    while let Some((first, behind)) = left.split_first() {
        let escaped =
            (*first == b'%').then(|| Some(digit(behind.first())? * 16 + digit(behind.get(1))?));
        let escaped = escaped.flatten().and_then(|it| u8::try_from(it).ok());
        decoded.push(escaped.unwrap_or(*first));
        left = behind
            .get(if escaped.is_some() { 2 } else { 0 }..)
            .unwrap_or_default();
    }
    decoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::plain_path::{is_plain, is_unreadable};

    fn to_app(strip: &str, add: &str, target: &str) -> Result<String, HeaderRefusal> {
        let target: PathAndQuery = target.parse().unwrap();
        let mapped = PathMapping::new(strip, add).to_app(&target)?;
        Ok(mapped.unwrap_or(target).to_string())
    }

    fn written(mapped: Mapped<'_>) -> String {
        format!("{}{}", mapped.front, String::from_utf8_lossy(mapped.rest))
    }

    #[test]
    fn the_app_gets_the_rest_byte_for_byte() {
        // S-038
        for (strip, add, target, expected) in [
            ("", "", "/a//../b?x", "/a//../b?x"),
            ("/app", "", "/app", "/"),
            ("/app", "", "/app/", "/"),
            ("/app", "", "/app?x=/y", "/?x=/y"),
            (
                "/app",
                "",
                "/app/x%20y;z=1/?q=%2e%2e/&",
                "/x%20y;z=1/?q=%2e%2e/&",
            ),
            ("/app", "", "/app/app/x", "/app/x"),
            ("/app", "", "/app/a//b", "/a//b"),
            ("/app", "", "/app/a%2Fb", "/a%2Fb"),
            (
                "/app",
                "",
                "/app/.well-known/x..y/...z",
                "/.well-known/x..y/...z",
            ),
            ("/app", "", "/app/100%25", "/100%25"),
            ("/app/v1", "", "/app/v1/x", "/x"),
            ("/app", "/back", "/app", "/back"),
            ("/app", "/back", "/app/x?y", "/back/x?y"),
            ("", "/back", "/", "/back/"),
            ("", "/back", "/x", "/back/x"),
            ("", "/back", "*", "*"),
        ] {
            let mapped = to_app(strip, add, target);
            assert_eq!(mapped.as_deref(), Ok(expected), "{strip} {add} {target}");
        }
    }

    #[test]
    fn nothing_leads_out_of_what_is_mapped() {
        // S-037, S-038, S-042
        for rest in [
            "//x",
            "//",
            "/../x",
            "/..",
            "/.",
            "/a/../../x",
            "/./x",
            "/%2e%2e/x",
            "/.%2E/x",
            "/..%2fx",
            "/a%2f..%2fx",
            "/..%5cx",
            "/\\x",
            "/..\\x",
            "/%5cx",
            "/%2fx",
            "/%252fx",
            "/..;/x",
            "/..;a=b/x",
            "/;/x",
            "/;a/x",
            "/..:x/y",
            "/%252e%252e/x",
            "/%25252e%25252e/x",
            "/%2525252525252e",
            "/..%20/x",
            "/.../x",
        ] {
            for (strip, add) in [("/app", ""), ("", "/back"), ("/app", "/back")] {
                let target = format!("{strip}{rest}?q");
                let mapped = to_app(strip, add, &target);
                assert_eq!(mapped, Err(HeaderRefusal::Path), "{target}");
            }
        }
        for target in ["/application", "/app%2f..", "/app;x/y", "/App/x", "/x"] {
            let mapped = to_app("/app", "", target);
            assert_eq!(mapped, Err(HeaderRefusal::Path), "{target}");
        }
    }

    #[test]
    fn a_path_of_the_app_is_shown_where_people_find_it() {
        for (strip, add, path, expected) in [
            ("/app", "", "/x", "/app/x"),
            ("/app", "", "/", "/app/"),
            ("/app", "", "/app/x", "/app/x"),
            ("/app", "", "/application", "/app/application"),
            ("/app", "/back", "/back/x", "/app/x"),
            ("/app", "/back", "/back", "/app"),
            ("/app", "/back", "/app/x", "/app/x"),
            ("/app", "/back", "/other", "/other"),
            ("/app", "/app/v2", "/app/v2/x", "/app/x"),
            ("", "/back", "/back/x", "/x"),
            ("", "/back", "/backx", "/backx"),
            ("", "", "/x", "/x"),
        ] {
            let mapping = PathMapping::new(strip, add);
            let mapped = written(mapping.to_public(path.as_bytes()));
            assert_eq!(mapped, expected, "{strip} {add} {path}");
        }
    }

    #[test]
    fn the_path_of_a_cookie_stays_within_the_route() {
        for (strip, add, path, expected) in [
            ("/app", "", "/", "/app"),
            ("/app", "", "/x", "/app/x"),
            ("/app", "", "/x/", "/app/x/"),
            ("/app", "", "/app", "/app"),
            ("/app", "/back", "/", "/app"),
            ("/app", "/back", "/back", "/app"),
            ("/app", "/back", "/back/", "/app"),
            ("/app", "/back", "/back/x", "/app/x"),
            ("/app", "/back", "/other", "/app/other"),
            ("/app", "/a/b", "/a", "/app"),
            ("", "/back", "/", ""),
            ("", "/back", "/back/", ""),
            ("", "/back", "/back/x", "/x"),
            ("", "/back", "/other", "/other"),
        ] {
            let mapping = PathMapping::new(strip, add);
            let mapped = written(mapping.cookie_to_public(path.as_bytes()));
            assert_eq!(mapped, expected, "{strip} {add} {path}");
        }
    }

    proptest! {
        // S-038
        #[test]
        fn there_and_back_again(
            strip in "(/[a-z]{1,3}){0,2}",
            add in "(/[a-z]{1,3}){0,2}",
            rest in "(/[a-z%2e.;\\\\ ]{0,4}){0,4}",
        ) {
            let path = format!("{strip}{rest}");
            prop_assume!(path.starts_with('/') && !is_unreadable(&path));
            let Ok(target) = path.parse::<PathAndQuery>() else { return Ok(()); };
            let mapping = PathMapping::new(&strip, &add);
            match mapping.to_app(&target) {
                Ok(mapped) => {
                    let mapped = mapped.unwrap_or(target);
                    prop_assert!(mapped.path().starts_with('/'));
                    prop_assert!(mapping.is_nothing() || !mapped.path().starts_with("//"));
                    let back = written(mapping.to_public(mapped.path().as_bytes()));
                    let is_twice = add.is_empty() && below(rest.as_bytes(), &strip).is_some();
                    let is_root = rest.is_empty() && add.is_empty();
                    let expected = if is_root { format!("{path}/") } else { path };
                    prop_assert!(back == expected || (is_twice && !strip.is_empty()), "{back}");
                }
                // Three dots lead upwards in some file systems.
                Err(_) => prop_assert!(!is_plain(&path) || path.contains("..."), "{path}"),
            }
        }
    }
}
