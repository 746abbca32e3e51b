//! `[[public]] path`: a whole path, or everything below one.
//!
//! A pattern opens something, so it is a plain path or it is refused.

use super::{
    plain_path,
    route::PathPattern,
    values::{Fault, Format, shown},
};
use crate::reserved::is_own_path;

impl Format for PathPattern {
    const NAME: &'static str = "path-pattern";
    const ALLOWED: &'static str = "write a whole path, \"/health\", or everything below one, \
                                   \"/static/*\"";

    fn parse(text: &str) -> Result<Self, Fault> {
        let fault = |why: &str| Fault::new(format!("{} {why}", shown(text)), Self::ALLOWED);
        let (path, below) = match text.strip_suffix('*') {
            Some(path) if path.ends_with('/') => (path, true),
            _ => (text, false),
        };
        plain_path::check(path).map_err(|why| fault(&why.to_string()))?;
        if path.contains('*') {
            return Err(fault("has a `*` elsewhere than behind its last slash"));
        }
        if is_own_path(path) {
            return Err(fault("lies below /.vestibule/, which is vestibule's own"));
        }
        Ok(if below {
            Self::Below(path.to_owned())
        } else {
            Self::Exact(path.to_owned())
        })
    }
}

impl PathPattern {
    /// The pattern as it was written.
    pub(super) fn written(&self) -> String {
        match self {
            Self::Below(path) => format!("{path}*"),
            Self::Exact(path) => path.clone(),
        }
    }

    /// Whether it opens nothing outside of a route's prefix.
    pub(super) fn lies_under(&self, prefix: &str) -> bool {
        let (Self::Below(path) | Self::Exact(path)) = self;
        path.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether it opens all of a route.
    pub(super) fn opens_all_of(&self, prefix: &str) -> bool {
        matches!(self, Self::Below(path) if path.strip_suffix('/') == Some(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_exact_or_everything_below() {
        let parse = |text| PathPattern::parse(text).unwrap();
        assert_eq!(parse("/health"), PathPattern::Exact("/health".to_owned()));
        assert_eq!(parse("/"), PathPattern::Exact("/".to_owned()));
        assert_eq!(parse("/s/*"), PathPattern::Below("/s/".to_owned()));
        assert_eq!(parse("/s/*").written(), "/s/*");
    }

    #[test]
    fn a_pattern_with_a_second_reading_is_refused() {
        // S-037
        for text in [
            "",
            "health",
            "*",
            "/a*",
            "/*/b",
            "/a/**",
            "//a",
            "/a/../b",
            "/a;b",
            "/%2e",
            "/a b",
            "/.vestibule/*",
            "/.vestibule/me",
            "/a?b",
            "/\u{fc}",
        ] {
            assert!(PathPattern::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_pattern_lies_under_a_prefix_at_a_segment_border() {
        let parse = |text| PathPattern::parse(text).unwrap();
        assert!(parse("/app/x").lies_under("/app") && parse("/app").lies_under("/app"));
        assert!(parse("/app/*").lies_under("/app") && parse("/x").lies_under(""));
        assert!(!parse("/application").lies_under("/app") && !parse("/").lies_under("/app"));
        assert!(parse("/app/*").opens_all_of("/app") && parse("/*").opens_all_of(""));
        assert!(!parse("/app/x/*").opens_all_of("/app") && !parse("/app").opens_all_of("/app"));
    }
}
