//! Foreign text made fit to be shown: names, groups, paths. Escaping is the template's part.
//!
//! Nothing here may let a name rearrange or outgrow the page around it: controls and the Unicode
//! overrides of direction (UAX #9, 2.1-2.4) become U+FFFD, and a long text is cut visibly.

use std::fmt::{self, Write as _};

use crate::clock::Timestamp;

/// How many characters of one foreign text are shown.
const MAX_SHOWN_CHARS: usize = 300;

/// A text from outside, as a page may show it.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a>(pub(super) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.chars();
        for character in rest.by_ref().take(MAX_SHOWN_CHARS) {
            f.write_char(if disturbs(character) {
                char::REPLACEMENT_CHARACTER
            } else {
                character
            })?;
        }
        if rest.next().is_some() {
            f.write_char('…')?;
        }
        Ok(())
    }
}

fn disturbs(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}'
        )
}

/// A link within this host: what is not a plain absolute path is shown as `/`.
///
/// Callers pass paths they made or checked; this keeps a mistake there from becoming an open
/// redirect or a `javascript:` link. Browsers drop tabs and line ends from URLs and read `\` as `/`.
#[derive(Clone, Copy)]
pub(super) struct LocalLink<'a>(pub(super) &'a str);

impl fmt::Display for LocalLink<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if is_local(self.0) { self.0 } else { "/" })
    }
}

fn is_local(link: &str) -> bool {
    link.starts_with('/')
        && !link.starts_with("//")
        && link
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

/// A time as people read it, in UTC as the log has it: `2026-11-21 19:29:53 UTC`.
#[derive(Clone, Copy)]
pub(super) struct ShownTime(pub(super) Timestamp);

impl fmt::Display for ShownTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        match text.strip_suffix('Z').and_then(|text| text.split_once('T')) {
            Some((day, time)) => write!(f, "{day} {time} UTC"),
            None => f.write_str(&text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_and_overrides_are_made_visible() {
        // S-083
        let odd = "a\u{202E}b\u{2028}c\u{0}d\u{85}e\u{2066}f\ng";
        assert_eq!(
            Shown(odd).to_string(),
            "a\u{FFFD}b\u{FFFD}c\u{FFFD}d\u{FFFD}e\u{FFFD}f\u{FFFD}g"
        );
    }

    #[test]
    fn names_of_all_scripts_stay_as_they_are() {
        for name in [
            "Zoë O'Neil",
            "محمد",
            "שרה",
            "王小明",
            "Иван",
            "e\u{301}",
            "👩‍💻",
        ] {
            assert_eq!(Shown(name).to_string(), name);
        }
    }

    #[test]
    fn a_time_reads_as_in_the_log_also_beyond_the_calendar() {
        let shown = |seconds| ShownTime(Timestamp::from_unix_seconds(seconds)).to_string();
        assert_eq!(shown(1_795_289_393), "2026-11-21 19:29:53 UTC");
        assert_eq!(shown(i64::MAX / 1000), "9223372036854775s after 1970");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(Shown(&"é".repeat(300)).to_string(), "é".repeat(300));
        assert_eq!(
            Shown(&"é".repeat(10_000)).to_string(),
            format!("{}…", "é".repeat(300))
        );
    }

    #[test]
    fn only_a_path_of_this_host_becomes_a_link() {
        let local = "/.vestibule/login?return=%2Fa%3Fb%3D1";
        assert_eq!(LocalLink(local).to_string(), local);
        for foreign in [
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "\n//evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "",
            " /",
            "/é",
        ] {
            assert_eq!(LocalLink(foreign).to_string(), "/", "{foreign:?}");
        }
    }
}
