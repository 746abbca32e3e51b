//! Every row of the catalogue of threats that concerns the front door has a test that names it, or
//! stands here with the reason why there is none.
//!
//! | row | why no test names it |
//! |---|---|
//! | S-030 | no error pages of another service: there is nowhere a cookie could be sent to |
//! | S-230 | the signed assertion does not exist yet, and so there is nothing to verify |
//!
//! Rows that are covered by what a library makes impossible are named where that is shown from
//! outside, not taken on its word.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// What lets somebody in or lets them be somebody else if it fails: the front door, then what the
/// providers and the network do.
const FIRST: &[u16] = &[
    12, 13, 14, 15, 16, 17, 19, 20, 21, 23, 24, 25, 26, 28, 31, 32, 34, 35, 36, 37, 38, 39, 40, 41,
    42, 43, 86, 87, 89, 90, 91, 93, 94, 95, 96, 97, 207, 208, 210, 211, 212, 213, 214, 215, 216,
    217, 218, 219, 221, 222, 223, 224, 225, 228, 229, 230, 232, 239, 240, 241, 243, 244, 245, 246,
    247, 288, 289, 290, 291, 292, 296,
];

/// What costs service, leaks, or weakens a second line if it fails.
const SECOND: &[u16] = &[
    18, 27, 29, 30, 45, 92, 98, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 111, 112, 226,
    227, 233, 234, 235, 236, 237, 238, 248, 249, 250, 251, 252, 254, 255, 256, 257, 258, 259, 260,
    261, 262, 263, 265, 266, 267, 268, 269, 293, 294, 295, 298,
];

/// The table above.
const ELSEWHERE: &[u16] = &[30, 230];

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if !["node_modules", ".venv", "out"].contains(&name) {
                files_below(&path, found);
            }
        } else if path.extension().is_some_and(|it| it == "rs" || it == "mjs") {
            found.push(path);
        }
    }
}

/// The part of a file that is a test: all of it below `tests`, and in `src` what is compiled for
/// tests alone.
fn test_of(file: &Path, root: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let path = file.strip_prefix(root).unwrap();
    let is_test = path.starts_with("tests")
        || path.ends_with("tests.rs")
        || path
            .iter()
            .any(|part| part.to_str().unwrap().ends_with("tests"));
    if is_test {
        return text;
    }
    let tests = text.find("#[cfg(test)]\nmod ");
    tests.map_or_else(String::new, |at| text[at..].to_owned())
}

/// The numbers that stand behind `S-` in a text.
fn rows_in(text: &str) -> BTreeSet<u16> {
    let number = |text: &str| {
        let digits = text.get(..3)?;
        let ends = !text[3..].starts_with(|it: char| it.is_ascii_digit());
        digits.parse::<u16>().ok().filter(|_| ends)
    };
    let mut rows = BTreeSet::new();
    for part in text.split("S-").skip(1) {
        rows.extend(number(part));
    }
    rows
}

/// Which rows the tests of this crate name, and in which files.
fn named() -> BTreeMap<u16, Vec<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests"] {
        files_below(&root.join(folder), &mut files);
    }
    files.retain(|file| !file.ends_with("rows_elsewhere.rs"));
    let mut named: BTreeMap<u16, Vec<PathBuf>> = BTreeMap::new();
    for file in files {
        for row in rows_in(&test_of(&file, root)) {
            named.entry(row).or_default().push(file.clone());
        }
    }
    named
}

fn assert_each_is_named(rows: &[u16]) {
    let named = named();
    let missing: Vec<_> = rows
        .iter()
        .filter(|row| !named.contains_key(row) && !ELSEWHERE.contains(row))
        .map(|row| format!("S-{row:03}"))
        .collect();
    assert!(missing.is_empty(), "no test names {}", missing.join(", "));
}

#[test]
fn what_would_let_somebody_in_has_a_test() {
    assert_each_is_named(FIRST);
}

#[test]
fn what_would_cost_service_has_a_test() {
    assert_each_is_named(SECOND);
}

#[test]
fn what_stands_in_the_table_is_a_row_without_a_test() {
    let named = named();
    let table = include_str!("rows_elsewhere.rs");
    let table: String = table
        .lines()
        .take_while(|it| it.starts_with("//!"))
        .collect();
    assert_eq!(rows_in(&table), ELSEWHERE.iter().copied().collect());
    for row in ELSEWHERE {
        assert!(FIRST.contains(row) || SECOND.contains(row), "S-{row:03}");
        assert_eq!(named.get(row), None, "S-{row:03} has a test by now");
    }
}

#[test]
fn a_row_is_a_number_of_three_digits() {
    let found = rows_in("S-001, S-02, xS-1234 (S-123: a word) S-abc S-");
    assert_eq!(found, [1, 123].into());
}
