//! `strip_prefix` and `add_prefix`: plain paths, so that what lies below one has one reading.

use super::{
    document::Document,
    finding::Finding,
    plain_path,
    spans::KeyPath,
    values::{Fault, Format, shown},
};
use crate::reserved::is_own_path;

/// A path without a slash at its end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct PathPrefix(pub(super) String);

impl Format for PathPrefix {
    const NAME: &'static str = "path-prefix";
    const ALLOWED: &'static str = "write a path from the root on, \"/app\"";

    fn parse(text: &str) -> Result<Self, Fault> {
        let fault = |why: &str| Fault::new(format!("{} {why}", shown(text)), Self::ALLOWED);
        plain_path::check(text).map_err(|why| fault(&why.to_string()))?;
        let prefix = text.strip_suffix('/').unwrap_or(text);
        if prefix.is_empty() {
            return Err(fault("is no part of a path"));
        }
        if prefix.contains('*') {
            return Err(fault("has a wildcard; there are none"));
        }
        if is_own_path(prefix) {
            return Err(fault("lies below /.vestibule/, which is vestibule's own"));
        }
        Ok(Self(prefix.to_owned()))
    }
}

/// Only what every path of the route begins with can be taken away from it.
pub(super) fn check(
    strip: &str,
    prefix: Option<&str>,
    document: &Document,
    findings: &mut Vec<Finding>,
) {
    let Some(prefix) = prefix.filter(|_| !strip.is_empty()) else {
        return;
    };
    let rest = prefix.strip_prefix(strip);
    if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        return;
    }
    let fault = if prefix.is_empty() {
        Fault::new(
            "`from` has no path, so there is nothing to take away",
            format!("write from = \"https://host{strip}\", or leave strip_prefix out"),
        )
    } else {
        Fault::new(
            format!("not every path of the route begins with {strip}: `from` has {prefix}"),
            format!("write \"{prefix}\", or whole segments of its beginning"),
        )
    };
    let key = KeyPath::of(&["upstream", "strip_prefix"]);
    findings.push(document.error(&key, fault));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_plain_path_without_its_last_slash() {
        // S-038
        for (text, prefix) in [("/app", "/app"), ("/app/", "/app"), ("/a/b.c", "/a/b.c")] {
            let parsed = PathPrefix::parse(text);
            assert_eq!(parsed, Ok(PathPrefix(prefix.to_owned())));
        }
        for text in [
            "",
            "/",
            "app",
            "//app",
            "/app//",
            "/a/../b",
            "/a/./b",
            "/a%2fb",
            "/a;b",
            "/a\\b",
            "/a?b",
            "/a#b",
            "/a b",
            "/a/*",
            "/.vestibule",
            "/.vestibule/x",
            "https://app/x",
        ] {
            assert!(PathPrefix::parse(text).is_err(), "{text}");
        }
    }
}
