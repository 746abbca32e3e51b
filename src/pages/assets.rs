//! The files our pages refer to, compiled in: the style and the mark.
//!
//! Each lies below `/.vestibule/` under a name that holds a hash of its content, so that browsers
//! may keep it for good and a new release is never drawn with an old style. Nothing is read from
//! disk.

use std::sync::LazyLock;

use aws_lc_rs::digest;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use super::render::{PageResponse, answer};

/// Kept for a year, the longest that is customary.
const FOR_GOOD: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

pub(super) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(
        "style",
        "css",
        "text/css; charset=utf-8",
        include_str!("style.css"),
    )
});

pub(super) static MARK: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("mark", "svg", "image/svg+xml", include_str!("mark.svg")));

/// A file that pages refer to.
pub(super) struct Asset {
    /// Its path on every host.
    pub(super) path: String,
    name: String,
    content_type: &'static str,
    content: &'static str,
}

/// The file called `name` below `/.vestibule/`, if it is one of ours.
#[must_use]
pub fn asset(name: &str) -> Option<PageResponse> {
    let asset = [&*STYLE, &*MARK]
        .into_iter()
        .find(|asset| asset.name == name)?;
    let content_type = HeaderValue::from_static(asset.content_type);
    let body = Bytes::from_static(asset.content.as_bytes());
    let mut response = answer(StatusCode::OK, Some(content_type), body);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, FOR_GOOD);
    Some(response)
}

impl Asset {
    fn new(stem: &str, extension: &str, content_type: &'static str, content: &'static str) -> Self {
        let hash = digest::digest(&digest::SHA256, content.as_bytes());
        let hash = hash
            .as_ref()
            .iter()
            .take(8)
            .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let name = format!("{stem}-{hash}.{extension}");
        Self {
            path: format!("{}{name}", crate::reserved::PATHS),
            name,
            content_type,
            content,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{asset as find, *};

    #[test]
    fn an_asset_is_found_by_its_full_name_alone() {
        for asset in [&*STYLE, &*MARK] {
            let response = find(&asset.name).unwrap();
            assert_eq!(response.headers()[header::CACHE_CONTROL], FOR_GOOD);
            assert_eq!(response.headers()[header::CONTENT_TYPE], asset.content_type);
            assert_eq!(
                response.headers()[header::X_CONTENT_TYPE_OPTIONS],
                "nosniff"
            );
            assert_eq!(asset.path, format!("/.vestibule/{}", asset.name));
        }
        for unknown in [
            "",
            "style.css",
            "style-0000000000000000.css",
            "../style.css",
        ] {
            assert!(find(unknown).is_none(), "{unknown}");
        }
    }

    #[test]
    fn a_changed_content_has_another_name() {
        let name = |content| Asset::new("style", "css", "text/css", content).name;
        assert_ne!(name("a{}"), name("b{}"));
    }

    #[test]
    fn the_style_and_the_mark_fetch_nothing() {
        for asset in [&*STYLE, &*MARK] {
            let content = asset.content.replace("http://www.w3.org/2000/svg", "");
            for fetches in ["url(", "@import", "http:", "https:", "<script", "href"] {
                assert!(!content.contains(fetches), "{} has {fetches}", asset.name);
            }
        }
    }

    #[test]
    fn text_stands_out_from_its_ground_in_both_schemes() {
        let (light, dark) = STYLE
            .content
            .split_once("prefers-color-scheme: dark")
            .unwrap();
        for scheme in [light, dark] {
            for (text, grounds) in [
                ("--text", ["--ground", "--sheet"]),
                ("--soft", ["--ground", "--sheet"]),
                ("--accent", ["--ground", "--sheet"]),
                ("--accent-strong", ["--ground", "--sheet"]),
                ("--on-accent", ["--accent", "--accent-strong"]),
            ] {
                for ground in grounds {
                    let ratio = contrast(luminance(scheme, text), luminance(scheme, ground));
                    assert!(ratio >= 4.5, "{text} on {ground}: {ratio:.2}");
                }
            }
        }
    }

    /// WCAG 2.2, "contrast ratio".
    fn contrast(one: f64, other: f64) -> f64 {
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    /// WCAG 2.2, "relative luminance", of the colour first given to `variable` in `scheme`.
    fn luminance(scheme: &str, variable: &str) -> f64 {
        let (_, value) = scheme.split_once(&format!("{variable}: #")).unwrap();
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&value[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * channel(0) + 0.7152 * channel(2) + 0.0722 * channel(4)
    }
}
