//! One document, the main file or a route, as all its sources together say it: figment merges and
//! extracts, its provenance leads each value back to the line or variable it came from.
//!
//! Lists are replaced by a later source, tables are merged. No message of figment's is ever passed
//! on: they quote values.

use std::{collections::BTreeSet, path::PathBuf};

use figment::{
    Figment, Metadata, Profile, Provider,
    value::{Dict, Map, Value as Plain},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    finding::{Finding, Place},
    remedies,
    spans::{Content, KeyPath, Node, Step},
    values::Fault,
    walk,
};

/// Where a layer comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Source {
    BuiltIn,
    File(PathBuf),
    Variable(String),
}

/// What one source says. Not `Debug`: there may be a secret in it.
#[derive(Clone)]
pub(super) struct Layer {
    pub(super) source: Source,
    /// Where in its source the document begins: `defaults` for a route's share of the main file.
    pub(super) under: KeyPath,
    pub(super) root: Node,
    /// What is well-formed of it.
    pub(super) dict: Dict,
    /// What was written but is not well-formed.
    pub(super) faulty: Vec<KeyPath>,
}

impl Layer {
    /// What holds unless anything else is written.
    pub(super) fn built_in(dict: Dict) -> Self {
        Self {
            source: Source::BuiltIn,
            under: KeyPath::default(),
            root: Node::nowhere(Content::Table(super::spans::Table::new())),
            dict,
            faulty: Vec::new(),
        }
    }

    /// The part of this layer below a table, as a layer of another document.
    pub(super) fn below(&self, key: &str) -> Option<Self> {
        let root = self.root.table()?.get(key)?.clone();
        root.table()?;
        let above = KeyPath::of(&[key]);
        let dict = self.dict.get(key).and_then(Plain::as_dict).cloned();
        let faulty = self.faulty.iter().filter(|path| above.holds(path));
        Some(Self {
            source: self.source.clone(),
            under: above.clone(),
            root,
            dict: dict.unwrap_or_default(),
            faulty: faulty
                .map(|path| KeyPath(path.0[above.0.len()..].to_vec()))
                .collect(),
        })
    }

    /// Takes a value out, because a later layer replaces it as a whole.
    pub(super) fn remove(&mut self, path: &[&str]) {
        fn remove(dict: &mut Dict, path: &[&str]) {
            match path {
                [] => {}
                [last] => drop(dict.remove(*last)),
                [first, rest @ ..] => {
                    if let Some(Plain::Dict(_, inner)) = dict.get_mut(*first) {
                        remove(inner, rest);
                    }
                }
            }
        }
        remove(&mut self.dict, path);
    }

    /// Whether anything is written at this path, well-formed or not.
    pub(super) fn has(&self, path: &KeyPath) -> bool {
        self.root.find(path).is_some() || find(&self.dict, path).is_some()
    }

    /// The place of a key in this layer; of the table it belongs to if it is not there.
    pub(super) fn place(&self, path: &KeyPath, at_key: bool) -> Place {
        let mut whole = self.under.clone();
        whole.0.extend(path.0.iter().cloned());
        let mut place = Place {
            key: Some(whole.to_string()).filter(|key| !key.is_empty()),
            ..Place::default()
        };
        match &self.source {
            Source::BuiltIn => {}
            Source::File(file) => {
                place.file = Some(file.clone());
                let mut above = (0..=path.0.len()).rev();
                let node =
                    above.find_map(|length| self.root.find(&KeyPath(path.0[..length].to_vec())));
                place.position = node.and_then(|node| {
                    let key = node.key_at.filter(|_| at_key);
                    key.or(node.value_at)
                });
            }
            Source::Variable(name) => place.variable = Some(name.clone()),
        }
        place
    }

    /// What figment's provenance knows this layer by.
    fn name(&self) -> String {
        match &self.source {
            Source::BuiltIn => "built-in defaults".to_owned(),
            Source::File(file) => format!("{} {}", file.display(), self.under),
            Source::Variable(name) => format!("variable {name} {}", self.under),
        }
    }
}

impl Provider for &Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.dict.clone()))
    }
}

/// The main file or a route, merged from its layers. Not `Debug`: there may be a secret in it.
pub(super) struct Document {
    layers: Vec<Layer>,
    figment: Figment,
    dict: Dict,
}

impl Document {
    /// Merges the layers, the later one first in rank.
    pub(super) fn of(layers: Vec<Layer>) -> Self {
        let figment = layers.iter().fold(Figment::new(), Figment::merge);
        let dict = figment
            .data()
            .ok()
            .and_then(|mut profiles| profiles.remove(&Profile::Default))
            .unwrap_or_default();
        Self {
            layers,
            figment,
            dict,
        }
    }

    /// Reads the well-formed values; that they do not fit after all is a finding, though the walk
    /// should have said so before.
    pub(super) fn extract<T: Default + DeserializeOwned>(&self, findings: &mut Vec<Finding>) -> T {
        self.figment.extract().unwrap_or_else(|error| {
            let steps = error.path.iter().map(|key| Step::Key(key.clone()));
            let path = KeyPath(steps.collect());
            let message = "the value does not fit its key";
            findings.push(self.error(&path, Fault::new(message, "compare with the reference")));
            T::default()
        })
    }

    /// Reports every required key that is not there.
    pub(super) fn report_missing(&self, schema: &Value, findings: &mut Vec<Finding>) {
        for path in walk::missing(schema, &self.dict, &|path| self.is_faulty(path)) {
            if let Some((table, swallowed)) = self.swallowed(&path) {
                let message =
                    format!("`{path}` is missing here; the one below [{table}] is that table's");
                let remedy =
                    "move it up: the keys of the file itself stand before its first [table]";
                findings.push(self.error(&swallowed, Fault::new(message, remedy)));
                continue;
            }
            let fault = Fault::new("the key is missing", remedies::allowed(schema, &path));
            findings.push(self.error(&path, fault));
        }
    }

    /// A key of this name in a table further down, with that table: in TOML everything below the head
    /// of a table belongs to it, and a table of free names takes whatever comes.
    fn swallowed(&self, path: &KeyPath) -> Option<(KeyPath, KeyPath)> {
        fn below(dict: &Dict, key: &str, above: &KeyPath) -> Option<KeyPath> {
            dict.iter().find_map(|(name, value)| {
                let Plain::Dict(_, inner) = value else {
                    return None;
                };
                let table = above.key(name);
                if inner.contains_key(key) {
                    return Some(table);
                }
                below(inner, key, &table)
            })
        }
        let [Step::Key(key)] = path.0.as_slice() else {
            return None;
        };
        let table = below(&self.dict, key, &KeyPath::default())?;
        let swallowed = table.key(key);
        Some((table, swallowed))
    }

    /// Whether something at, above or below this path was written and is not well-formed.
    pub(super) fn is_faulty(&self, path: &KeyPath) -> bool {
        let mut all = self.layers.iter().flat_map(|layer| &layer.faulty);
        all.any(|faulty| faulty.holds(path) || path.holds(faulty))
    }

    /// The keys that are written in the table at this path, well-formed or not.
    pub(super) fn keys(&self, path: &KeyPath) -> BTreeSet<String> {
        let tables = self
            .layers
            .iter()
            .filter_map(|layer| layer.root.find(path)?.table());
        tables.flat_map(|table| table.keys().cloned()).collect()
    }

    /// Whether anything but the built-in defaults says something here.
    pub(super) fn has(&self, path: &KeyPath) -> bool {
        let mut written = self
            .layers
            .iter()
            .filter(|layer| layer.source != Source::BuiltIn);
        written.any(|layer| layer.has(path))
    }

    /// Where the value at this path came from, or where it would have to stand.
    pub(super) fn place(&self, path: &KeyPath) -> Place {
        let metadata =
            find(&self.dict, path).and_then(|value| self.figment.get_metadata(value.tag()));
        let layer = metadata
            .and_then(|metadata| {
                self.layers
                    .iter()
                    .find(|layer| layer.name() == metadata.name)
            })
            .filter(|layer| layer.source != Source::BuiltIn)
            .or_else(|| {
                self.layers
                    .iter()
                    .rev()
                    .find(|layer| layer.has(path) && layer.source != Source::BuiltIn)
            })
            .or_else(|| {
                let is_file = |layer: &&Layer| matches!(layer.source, Source::File(_));
                self.layers.iter().rev().find(is_file)
            });
        layer.map_or_else(Place::default, |layer| layer.place(path, false))
    }

    /// An error about the value at this path.
    pub(super) fn error(&self, path: &KeyPath, fault: Fault) -> Finding {
        Finding::error(self.place(path), fault.message, fault.remedy)
    }

    /// A warning about the value at this path.
    pub(super) fn warning(&self, path: &KeyPath, fault: Fault) -> Finding {
        Finding::warning(self.place(path), fault.message, fault.remedy)
    }
}

fn find<'a>(dict: &'a Dict, path: &KeyPath) -> Option<&'a Plain> {
    let (first, rest) = path.0.split_first()?;
    let Step::Key(key) = first else { return None };
    rest.iter()
        .try_fold(dict.get(key)?, |value, step| match (step, value) {
            (Step::Index(index), Plain::Array(_, list)) => list.get(*index),
            (Step::Key(key), Plain::Dict(_, dict)) => dict.get(key),
            _ => None,
        })
}
