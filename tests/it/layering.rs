//! Keeps the table "who may know whom" true: reads what every file under `src/` imports.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// What everybody may know: these know nothing above themselves.
const LEAVES: &[&str] = &[
    "clock",
    "config",
    "cookie_pairs",
    "handover",
    "head_guard",
    "identity",
    "key_ring",
    "peer",
    "reserved",
    "secret",
    "telemetry",
    "trust",
];

/// Beside the leaves: which module may know which. A module that is not listed may know leaves only.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    ("cli", &["app", "demo"]),
    (
        "app",
        &[
            "admin",
            "assertion",
            "directory",
            "gateway",
            "listener",
            "login",
            "oidc",
            "ops",
            "pages",
            "session",
            "upstream",
        ],
    ),
    (
        "gateway",
        &[
            "admin",
            "assertion",
            "directory",
            "login",
            "oidc",
            "pages",
            "session",
            "upstream",
        ],
    ),
    ("login", &["directory", "oidc", "pages", "session"]),
    ("admin", &["directory", "pages", "session"]),
];

/// Who imports whom, with the files that do it.
type Edges = BTreeMap<(String, String), BTreeSet<PathBuf>>;

#[test]
fn every_module_knows_only_whom_it_may() {
    let forbidden: Vec<_> = edges_of_the_crate()
        .into_iter()
        .filter(|((from, to), _)| !may_know(from, to))
        .map(|((from, to), files)| format!("{from} -> {to} in {files:?}"))
        .collect();
    assert!(forbidden.is_empty(), "{forbidden:#?}");
}

#[test]
fn the_table_of_the_crate_says_the_same() {
    let text = fs::read_to_string(source_dir().join("lib.rs")).unwrap();
    let declared = text
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod "));
    let declared: BTreeSet<_> = declared.map(|it| it.trim_end_matches(';')).collect();
    let rows = rows_of_the_table(&text);
    let named: Vec<_> = rows.iter().flat_map(|(names, _)| names).copied().collect();
    assert_eq!(
        named.iter().copied().collect::<BTreeSet<_>>(),
        declared,
        "the table names every module"
    );
    assert_eq!(named.len(), declared.len(), "and none of them twice");
    for (place, (names, knows)) in rows.iter().enumerate() {
        for name in names {
            let is_leaf = LEAVES.contains(name);
            assert_eq!(is_leaf, *knows == "one another at most", "{name}");
            let below = rows[place + 1..].iter().flat_map(|(names, _)| names);
            let told: BTreeSet<_> = match *knows {
                "everything below" => below.filter(|it| !LEAVES.contains(it)).copied().collect(),
                "leaves only" | "one another at most" => BTreeSet::new(),
                listed => quoted(listed).into_iter().collect(),
            };
            let known = MAY_KNOW.iter().find(|(it, _)| it == name);
            let known = known.into_iter().flat_map(|(_, known)| *known).copied();
            // The list knows of modules that are yet to come.
            let known: BTreeSet<_> = known.filter(|it| declared.contains(it)).collect();
            assert_eq!(told, known, "what `{name}` may know");
        }
    }
}

#[test]
fn no_two_modules_know_each_other_in_a_circle() {
    let edges = edges_of_the_crate().into_keys().collect();
    assert_eq!(circle(&edges), None);
}

#[test]
fn every_file_says_its_duty_first() {
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|file| !fs::read_to_string(file).unwrap().starts_with("//! "))
        .collect();
    assert!(
        silent.is_empty(),
        "files that do not open with `//!`: {silent:#?}"
    );
}

#[test]
fn imports_are_found_in_every_form_and_only_in_code() {
    let text = r#"
        //! [`crate::comment`] is prose.
        use crate::one::Thing;
        use crate::{
            two::{self, deep::Thing},
            three, four as other,
        };
        pub(crate) use crate::five;
        /* use crate::block; */
        fn f() { let _ = "crate::text https://"; crate::six::call(); } // crate::trailing
        macro_rules! m { () => { $crate::seven::Thing } }
        use vestibule::eight::Thing;
        use some_crate::nine;
    "#;
    let expected = [
        "eight", "five", "four", "one", "seven", "six", "three", "two",
    ];
    assert_eq!(imports(text).into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_circle_is_found_with_everybody_in_it() {
    let edge = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    let mut edges = BTreeSet::from([edge("a", "b"), edge("b", "c"), edge("a", "c")]);
    assert_eq!(circle(&edges), None);
    edges.insert(edge("c", "b"));
    assert_eq!(
        circle(&edges),
        Some(vec!["b".to_owned(), "c".to_owned(), "b".to_owned()])
    );
}

/// The modules of each row of the table in the crate's documentation, and whom they may know.
fn rows_of_the_table(text: &str) -> Vec<(Vec<&str>, &str)> {
    let (_, table) = text.split_once("//! # Modules").unwrap();
    let lines = table.lines().filter_map(|line| line.strip_prefix("//! | "));
    let cells = lines.map(|line| line.trim_end_matches(" |").split(" | ").collect::<Vec<_>>());
    let rows = cells.filter(|cells| cells[0].contains('`'));
    rows.map(|cells| (quoted(cells[0]), *cells.last().unwrap()))
        .collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn may_know(from: &str, to: &str) -> bool {
    let listed = || MAY_KNOW.iter().find(|(name, _)| *name == from);
    LEAVES.contains(&to) || listed().is_some_and(|(_, known)| known.contains(&to))
}

fn edges_of_the_crate() -> Edges {
    let mut edges = Edges::new();
    for file in sources() {
        let from = module_of(&file);
        if from == "lib" {
            continue;
        }
        for to in imports(&fs::read_to_string(&file).unwrap()) {
            if to != from {
                let edge = (from.clone(), to);
                edges.entry(edge).or_default().insert(file.clone());
            }
        }
    }
    assert!(!edges.is_empty(), "no import was found: the test is blind");
    edges
}

/// The top-level module a file belongs to: `session` for `src/session/memory.rs`.
fn module_of(file: &Path) -> String {
    let inside = file.strip_prefix(source_dir()).unwrap();
    let first = inside.components().next().unwrap().as_os_str();
    Path::new(first)
        .file_stem()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned()
}

fn source_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![source_dir()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The top-level modules of this crate that a source text names.
fn imports(text: &str) -> BTreeSet<String> {
    let code = without_comments_and_texts(text);
    let mut found = BTreeSet::new();
    for root in ["crate::", "vestibule::"] {
        for (at, _) in code.match_indices(root) {
            let stands_alone = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            if stands_alone {
                found.extend(first_names(&code[at + root.len()..]));
            }
        }
    }
    found
}

/// What follows `crate::`: one name, or the first name of each branch of a group.
fn first_names(rest: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        let text = text.trim_start();
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let Some(group) = rest.strip_prefix('{') else {
        return vec![name(rest)];
    };
    let mut names = vec![name(group)];
    let mut depth = 0;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(name(&group[at + 1..])),
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn without_comments_and_texts(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("'\"'") {
            3
        } else if c == '"' {
            end_of_text(rest)
        } else {
            code.push(c);
            c.len_utf8()
        };
        rest = &rest[skipped..];
    }
    code
}

/// The length of the string literal at the start, quotes included.
fn end_of_text(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// A way from some module back to itself, if there is one.
fn circle(edges: &BTreeSet<(String, String)>) -> Option<Vec<String>> {
    fn walk(
        edges: &BTreeSet<(String, String)>,
        way: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> Option<Vec<String>> {
        let here = way.last()?.clone();
        for (_, next) in edges.iter().filter(|(from, _)| *from == here) {
            if let Some(start) = way.iter().position(|it| it == next) {
                let mut found = way[start..].to_vec();
                found.push(next.clone());
                return Some(found);
            }
            if !done.contains(next) {
                way.push(next.clone());
                if let Some(found) = walk(edges, way, done) {
                    return Some(found);
                }
                way.pop();
            }
        }
        done.insert(here);
        None
    }
    let mut done = BTreeSet::new();
    edges
        .iter()
        .find_map(|(from, _)| walk(edges, &mut vec![from.clone()], &mut done))
}
