//! The environment: which variables are configuration, and which key each of them sets.
//!
//! Only names with `__` behind `VESTIBULE_` are configuration; clusters inject other names that begin
//! with `VESTIBULE_` (service links), and those are ignored, with a warning where one looks like a key
//! that was meant. `VESTIBULE_ROUTE_<ID>__...` belongs to a
//! route. Keys are split at `__` and lower-cased; where a file has a key that differs only by case or
//! by `-` and `.` against `_`, that key is meant. No value is ever shown from here.

use std::collections::BTreeMap;

use super::{
    document::Source,
    finding::{Finding, Place},
    spans::{Content, Node, Table},
    values::folded,
};

const PREFIX: &str = "VESTIBULE_";
const ROUTE: &str = "ROUTE_";

/// One variable that is configuration.
#[derive(Clone)]
pub(super) struct Variable {
    /// Its name.
    name: String,
    /// The keys it names, from the outermost, in lower case.
    keys: Vec<String>,
    value: String,
}

/// The variables that are configuration.
#[derive(Default)]
pub(super) struct Environment {
    /// Those of the main file.
    pub(super) main: Vec<Variable>,
    /// Those of routes, by the folded id.
    pub(super) routes: BTreeMap<String, Vec<Variable>>,
    /// Whether somebody hands over sockets (`LISTEN_FDS`, `sd_listen_fds(3)`).
    pub(super) hands_over_sockets: bool,
    /// The names of others that begin alike.
    pub(super) ignored: Vec<String>,
}

/// Sorts the variables; two that set the same key are an error.
pub(super) fn read(environment: &[(String, String)], findings: &mut Vec<Finding>) -> Environment {
    let mut sorted: Vec<_> = environment.iter().collect();
    sorted.sort();
    let mut seen: BTreeMap<Vec<String>, &str> = BTreeMap::new();
    let mut found = Environment::default();
    for (name, value) in sorted {
        found.hands_over_sockets |= name == "LISTEN_FDS";
        let Some(key) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let Some((first, rest)) = key.split_once("__") else {
            found.ignored.push(name.clone());
            continue;
        };
        let rest = rest.split("__").map(str::to_ascii_lowercase);
        let mut keys: Vec<String> = Vec::new();
        let route = first
            .split_at_checked(ROUTE.len())
            .filter(|(begin, _)| begin.eq_ignore_ascii_case(ROUTE))
            .map(|(_, id)| folded(id));
        if route.is_none() {
            keys.push(first.to_ascii_lowercase());
        }
        keys.extend(rest);
        let whole: Vec<String> = std::iter::once(first.to_ascii_lowercase())
            .chain(keys.iter().cloned())
            .collect();
        if let Some(other) = seen.insert(whole, name) {
            findings.push(Finding::error(
                place(name),
                format!("{other} sets the same key"),
                "set one of the two",
            ));
        }
        let variable = Variable {
            name: name.clone(),
            keys,
            value: value.clone(),
        };
        match route {
            Some(id) => found.routes.entry(id).or_default().push(variable),
            None => found.main.push(variable),
        }
    }
    found
}

/// The place of a variable.
pub(super) fn place(name: &str) -> Place {
    Place {
        variable: Some(name.to_owned()),
        ..Place::default()
    }
}

impl Variable {
    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What it says, as a source with a tree; `file` is what the file says.
    pub(super) fn tree(&self, file: Option<&Node>) -> (Source, Node) {
        let mut keys = Vec::with_capacity(self.keys.len());
        let mut at = file;
        for key in &self.keys {
            let table = at.and_then(Node::table);
            let key = table.map_or_else(|| key.clone(), |table| meant(key, table));
            at = table.and_then(|table| table.get(&key));
            keys.push(key);
        }
        let leaf = Node::nowhere(Content::Text(self.value.clone()));
        let root = keys.into_iter().rev().fold(leaf, |node, key| {
            Node::nowhere(Content::Table(Table::from([(key, node)])))
        });
        (Source::Variable(self.name.clone()), root)
    }
}

/// The key of the file that is meant: the same, or the only one that folds to the same.
fn meant(key: &str, table: &Table) -> String {
    if table.contains_key(key) {
        return key.to_owned();
    }
    let fold = folded(key);
    let mut same = table.keys().filter(|known| folded(known) == fold);
    match (same.next(), same.next()) {
        (Some(known), None) => known.clone(),
        _ => key.to_owned(),
    }
}
