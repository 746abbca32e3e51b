//! Where each key of a file stands: a file as a tree whose nodes know line and column.
//!
//! Figment keeps no positions and stops at the first fault, so each file is parsed once more, here.
//! The text of a file must never reach a finding: any line of it may hold a secret.

use std::{collections::BTreeMap, fmt, ops::Range};

use toml::de::{DeTable, DeValue};

/// Line and column, both from one; the column counts characters.
pub(super) type Position = (usize, usize);

/// A value and where it stands; nowhere if it is not from a file. Not `Debug`: it may be a secret.
#[derive(Clone)]
pub(super) struct Node {
    /// Where its key begins.
    pub(super) key_at: Option<Position>,
    /// Where the value begins; for a table with a header, the header.
    pub(super) value_at: Option<Position>,
    /// The value.
    pub(super) content: Content,
}

/// What can be written. Not `Debug`: it may be a secret.
#[derive(Clone)]
pub(super) enum Content {
    Boolean(bool),
    Date,
    Float,
    Integer(i128),
    List(Vec<Node>),
    Table(Table),
    Text(String),
}

/// The entries of a table.
pub(super) type Table = BTreeMap<String, Node>;

impl Node {
    /// A value from elsewhere than a file.
    pub(super) fn nowhere(content: Content) -> Self {
        Self {
            key_at: None,
            value_at: None,
            content,
        }
    }

    /// The node at a path below this one.
    pub(super) fn find(&self, path: &KeyPath) -> Option<&Self> {
        path.0.iter().try_fold(self, |node, step| match step {
            Step::Index(index) => match &node.content {
                Content::List(list) => list.get(*index),
                _ => None,
            },
            Step::Key(key) => node.table().and_then(|table| table.get(key)),
        })
    }

    /// The entries, if it is a table.
    pub(super) fn table(&self) -> Option<&Table> {
        match &self.content {
            Content::Table(table) => Some(table),
            _ => None,
        }
    }
}

/// The way to a value: `public[0].path`.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct KeyPath(pub(super) Vec<Step>);

/// One step of a [`KeyPath`].
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Step {
    Index(usize),
    Key(String),
}

impl KeyPath {
    /// The path of keys, from the outermost.
    pub(super) fn of(keys: &[&str]) -> Self {
        Self(
            keys.iter()
                .map(|key| Step::Key((*key).to_owned()))
                .collect(),
        )
    }

    /// One key further.
    pub(super) fn key(&self, key: &str) -> Self {
        self.then(Step::Key(key.to_owned()))
    }

    /// One element further.
    pub(super) fn index(&self, index: usize) -> Self {
        self.then(Step::Index(index))
    }

    /// Whether this is the other path or one above it.
    pub(super) fn holds(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    fn then(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    let dot = if position == 0 { "" } else { "." };
                    if !key.is_empty() && key.bytes().all(bare) {
                        write!(f, "{dot}{key}")?;
                    } else {
                        write!(f, "{dot}{key:?}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// A fault of TOML itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct SyntaxFault {
    pub(super) at: Option<Position>,
    pub(super) message: String,
}

/// Parses a file.
///
/// # Errors
/// Returns every fault of TOML, one for each line: what follows on a line is mostly of the first's
/// making. The messages quote nothing.
pub(super) fn parse(text: &str) -> Result<Node, Vec<SyntaxFault>> {
    let lines = Lines::of(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut faults: Vec<SyntaxFault> = errors
        .iter()
        .map(|error| SyntaxFault {
            at: error.span().map(|span| lines.position(span.start)),
            message: error.message().to_owned(),
        })
        .collect();
    faults.sort_by_key(|fault| fault.at);
    faults.dedup_by_key(|fault| fault.at.map(|(line, _)| line));
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Node {
        key_at: None,
        value_at: None,
        content: Content::Table(table(document.get_ref(), Some(&lines))),
    })
}

/// Parses a single TOML value that is not from a file.
pub(super) fn parse_value(text: &str) -> Option<Content> {
    let value = DeValue::parse(text).ok()?;
    Some(content(value.get_ref(), None))
}

fn table(table: &DeTable<'_>, lines: Option<&Lines<'_>>) -> Table {
    let node = |key: Range<usize>, value: &toml::Spanned<DeValue<'_>>| Node {
        key_at: lines.map(|lines| lines.position(key.start)),
        value_at: lines.map(|lines| lines.position(value.span().start)),
        content: content(value.get_ref(), lines),
    };
    table
        .iter()
        .map(|(key, value)| (key.get_ref().to_string(), node(key.span(), value)))
        .collect()
}

fn content(value: &DeValue<'_>, lines: Option<&Lines<'_>>) -> Content {
    match value {
        DeValue::Array(list) => Content::List(
            list.iter()
                .map(|value| Node {
                    key_at: None,
                    value_at: lines.map(|lines| lines.position(value.span().start)),
                    content: content(value.get_ref(), lines),
                })
                .collect(),
        ),
        DeValue::Boolean(boolean) => Content::Boolean(*boolean),
        DeValue::Datetime(_) => Content::Date,
        DeValue::Float(_) => Content::Float,
        DeValue::Integer(integer) => Content::Integer(
            // What does not fit is out of every range that a key has.
            i128::from_str_radix(integer.as_str(), integer.radix()).unwrap_or(i128::MAX),
        ),
        DeValue::String(text) => Content::Text(text.to_string()),
        DeValue::Table(entries) => Content::Table(table(entries, lines)),
    }
}

/// Turns offsets into lines and columns.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(breaks.map(|(offset, _)| offset + 1));
        Self {
            text,
            starts: starts.collect(),
        }
    }

    fn position(&self, offset: usize) -> Position {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let before = self.text.as_bytes().get(start..offset).unwrap_or_default();
        // Every character has one byte that is not a continuation.
        let characters = before.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
        (line, characters + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_know_line_and_column() {
        let text = "\u{fc} = 1\n[a.\"b c\"]\nx = [1,\n  { y = \"t\" }]\n[[p]]\nq.r = true\n";
        let text = text.replacen('\u{fc}', "\"\u{fc}\"", 1);
        let root = parse(&text).unwrap();
        let at = |path: KeyPath| {
            let node = root.find(&path).unwrap();
            (node.key_at, node.value_at)
        };
        assert_eq!(at(KeyPath::of(&["\u{fc}"])), (Some((1, 1)), Some((1, 7))));
        assert_eq!(at(KeyPath::of(&["a", "b c"])).0, Some((2, 4)));
        let x = KeyPath::of(&["a", "b c", "x"]);
        assert_eq!(at(x.clone()), (Some((3, 1)), Some((3, 5))));
        assert_eq!(at(x.index(1).key("y")), (Some((4, 5)), Some((4, 9))));
        assert_eq!(x.index(1).key("y").to_string(), "a.\"b c\".x[1].y");
        let p = KeyPath::of(&["p"]).index(0);
        assert_eq!(at(p.clone()).1, Some((5, 1)));
        assert_eq!(at(p.key("q").key("r")), (Some((6, 3)), Some((6, 7))));
    }

    #[test]
    fn every_broken_line_is_reported_and_none_is_quoted() {
        let faults = parse("a = hunter2\nb = 1\nc = \"hunter2\n[d\n")
            .err()
            .unwrap();
        let lines: Vec<_> = faults.iter().filter_map(|fault| fault.at).collect();
        assert_eq!(lines, [(1, 5), (3, 13), (4, 3)]);
        assert!(
            faults
                .iter()
                .all(|fault| !fault.message.contains("hunter2"))
        );
    }

    #[test]
    fn a_deeply_nested_file_is_refused_rather_than_followed() {
        assert!(parse(&format!("a = {}", "[".repeat(100_000))).is_err());
    }
}
