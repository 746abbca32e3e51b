//! Finds what lies over a path: as many looks as its prefixes have lengths, however many there are.
//!
//! Compares bytes alone; how a path is to be read is for whoever asks.

use std::{collections::HashMap, sync::Arc};

/// What is kept under prefixes of paths: empty, or `/app` without a trailing slash.
pub(super) struct Prefixes<T> {
    /// The longest first.
    by_length: Vec<(usize, OfLength<T>)>,
}

/// All prefixes of one length.
type OfLength<T> = HashMap<Box<str>, Vec<Arc<T>>>;

impl<T> Prefixes<T> {
    pub(super) fn new<'a>(entries: impl Iterator<Item = (&'a str, &'a Arc<T>)>) -> Self
    where
        T: 'a,
    {
        let mut by_length: Vec<(usize, OfLength<T>)> = Vec::new();
        for (prefix, entry) in entries {
            let length = prefix.len();
            let at = by_length.iter().position(|(it, _)| *it == length);
            let at = at.unwrap_or_else(|| {
                by_length.push((length, HashMap::new()));
                by_length.len() - 1
            });
            let of_prefix = by_length[at].1.entry(prefix.into()).or_default();
            of_prefix.push(Arc::clone(entry));
        }
        by_length.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
        Self { by_length }
    }

    /// All whose prefix `path` is or lies below, those of the longest prefix first.
    pub(super) fn over<'a>(&'a self, path: &str) -> impl Iterator<Item = &'a Arc<T>> {
        self.by_length
            .iter()
            .filter_map(move |(length, entries)| {
                let behind = path.as_bytes().get(*length);
                let is_whole = *length == 0 || matches!(behind, None | Some(b'/'));
                let start = path.get(..*length).filter(|_| is_whole)?;
                entries.get(start)
            })
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefixes(of: &[&str]) -> Prefixes<String> {
        let entries: Vec<_> = of.iter().map(|it| Arc::new((*it).to_owned())).collect();
        Prefixes::new(entries.iter().map(|it| (it.as_str(), it)))
    }

    fn found<'a>(prefixes: &'a Prefixes<String>, path: &str) -> Vec<&'a str> {
        prefixes.over(path).map(|it| it.as_str()).collect()
    }

    #[test]
    fn the_longest_prefix_comes_first_and_ends_at_a_segment() {
        // S-037
        let prefixes = prefixes(&["", "/app", "/app/admin", "/apple", "/app"]);
        assert_eq!(
            found(&prefixes, "/app/admin/x"),
            ["/app/admin", "/app", "/app", ""]
        );
        assert_eq!(
            found(&prefixes, "/app/admin"),
            ["/app/admin", "/app", "/app", ""]
        );
        assert_eq!(
            found(&prefixes, "/app/administration"),
            ["/app", "/app", ""]
        );
        assert_eq!(found(&prefixes, "/apples"), [""]);
        assert_eq!(found(&prefixes, "/"), [""]);
        assert_eq!(found(&prefixes, "*"), [""]);
        assert_eq!(found(&prefixes, "/\u{e9}\u{e9}"), [""]);
    }

    #[test]
    fn a_prefix_ends_at_a_segment_border() {
        // S-042
        for (path, prefix, under) in [
            ("/app", "/app", true),
            ("/app/", "/app", true),
            ("/app/x", "/app", true),
            ("/application", "/app", false),
            ("/app..", "/app", false),
            ("/App", "/app", false),
            ("/x", "", true),
            ("*", "", true),
        ] {
            let prefixes = prefixes(&[prefix]);
            assert_eq!(!found(&prefixes, path).is_empty(), under, "{path} {prefix}");
        }
    }

    proptest! {
        #[test]
        fn it_finds_what_looking_at_each_finds(
            of in prop::collection::vec("(/[ab]{1,2}){0,3}", 0..12),
            path in "(/[ab]{0,2}){0,4}",
        ) {
            let of: Vec<_> = of.iter().map(String::as_str).collect();
            let prefixes = prefixes(&of);
            let lies_under = |prefix: &str| {
                path.strip_prefix(prefix).is_some_and(|rest| {
                    prefix.is_empty() || rest.is_empty() || rest.starts_with('/')
                })
            };
            let mut expected: Vec<_> = of.into_iter().filter(|it| lies_under(it)).collect();
            expected.sort_by_key(|it| std::cmp::Reverse(it.len()));
            prop_assert_eq!(found(&prefixes, &path), expected);
        }
    }
}
