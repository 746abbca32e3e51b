//! Walks what was written against the schema: every unknown key, wrong type and bad value at once.
//!
//! Gives back what is well-formed, for figment to extract, and remembers what was not, so that it is
//! not also called missing. Never shows the value of a key that the schema marks `writeOnly`.

use figment::value::{Dict, Value as Plain};
use serde_json::Value;

use super::{
    document::{Layer, Source},
    finding::Finding,
    near,
    remedies::{self, bounds, branches, found, is, strings, wanted, words, words_of},
    spans::{Content, KeyPath, Node, Table, parse_value},
    values::{self, Fault, shown},
};

/// Walks the tree of one source; the findings name its places.
pub(super) fn walk(
    schema: &Value,
    source: Source,
    root: Node,
    findings: &mut Vec<Finding>,
) -> Layer {
    let mut walk = Walk {
        root: schema,
        from_variable: matches!(source, Source::Variable(_)),
        faults: Vec::new(),
    };
    let path = KeyPath::default();
    let dict = match &root.content {
        Content::Table(table) => {
            let object = branches(schema, schema)
                .into_iter()
                .find(|b| is(b, "object"));
            object.map(|object| walk.table(object, table, &path))
        }
        _ => None,
    };
    let faults = walk.faults;
    let layer = Layer {
        source,
        under: KeyPath::default(),
        root,
        dict: dict.unwrap_or_default(),
        faulty: faults.iter().map(|found| found.path.clone()).collect(),
    };
    findings.extend(faults.into_iter().map(|found| {
        let place = layer.place(&found.path, found.at_key);
        Finding::error(place, found.fault.message, found.fault.remedy)
    }));
    layer
}

/// Every required key that is not there, in what all sources together say. A key that was written
/// but is faulty counts as there.
pub(super) fn missing(
    schema: &Value,
    dict: &Dict,
    is_faulty: &dyn Fn(&KeyPath) -> bool,
) -> Vec<KeyPath> {
    let walk = Walk {
        root: schema,
        from_variable: false,
        faults: Vec::new(),
    };
    let mut missing = Vec::new();
    walk.required(schema, dict, &KeyPath::default(), is_faulty, &mut missing);
    missing
}

struct Found {
    path: KeyPath,
    at_key: bool,
    fault: Fault,
}

struct Walk<'s> {
    root: &'s Value,
    from_variable: bool,
    faults: Vec<Found>,
}

impl<'s> Walk<'s> {
    fn value(&mut self, schema: &'s Value, node: &Node, path: &KeyPath) -> Option<Plain> {
        let branches = branches(self.root, schema);
        let wanted = match &node.content {
            Content::Text(text) if self.from_variable => as_wanted(&branches, text),
            _ => None,
        };
        self.content(&branches, wanted.as_ref().unwrap_or(&node.content), path)
    }

    fn content(
        &mut self,
        branches: &[&'s Value],
        content: &Content,
        path: &KeyPath,
    ) -> Option<Plain> {
        let of = |kind: &'static str| branches.iter().copied().find(|branch| is(branch, kind));
        match content {
            Content::Boolean(boolean) if of("boolean").is_some() => Some((*boolean).into()),
            Content::Integer(number) if of("integer").is_some() => {
                let (least, most) = bounds(of("integer")?);
                let fitting = i64::try_from(*number).ok();
                let fitting = fitting.filter(|number| (least..=most).contains(number));
                if fitting.is_none() {
                    let remedy = self.remedy(branches, path, content);
                    self.fault(path, Fault::new("the number is out of range", remedy));
                }
                fitting.map(Plain::from)
            }
            Content::List(list) if of("array").is_some() => self.list(of("array")?, list, path),
            Content::Table(table) if of("object").is_some() => {
                Some(self.table(of("object")?, table, path).into())
            }
            Content::Text(text) if of("string").is_some() => self.text(branches, text, path),
            _ => {
                let message = format!("expected {}, found {}", wanted(branches), found(content));
                let remedy = self.remedy(branches, path, content);
                self.fault(path, Fault::new(message, remedy))
            }
        }
    }

    fn table(&mut self, schema: &'s Value, table: &Table, path: &KeyPath) -> Dict {
        let properties = schema.get("properties").and_then(Value::as_object);
        let others = schema
            .get("additionalProperties")
            .filter(|other| other.is_object());
        let mut dict = Dict::new();
        for (key, node) in table {
            let path = path.key(key);
            let known = properties.and_then(|properties| properties.get(key));
            if known.is_none()
                && let Some(fault) = self.foreign(schema, key, node, &path)
            {
                self.faults.push(Found {
                    path,
                    at_key: true,
                    fault,
                });
                continue;
            }
            if let Some(value) = known
                .or(others)
                .and_then(|schema| self.value(schema, node, &path))
            {
                dict.insert(key.clone(), value);
            }
        }
        dict
    }

    /// What is wrong with a key that the table does not name itself.
    fn foreign(&self, table: &'s Value, key: &str, node: &Node, path: &KeyPath) -> Option<Fault> {
        let Some(others) = table
            .get("additionalProperties")
            .filter(|it| it.is_object())
        else {
            let known = table.get("properties").and_then(Value::as_object);
            let top = Some(self.root).filter(|top| !self.from_variable && *top != table);
            return Some(near::unknown_key(key, known, top));
        };
        let is_table = branches(self.root, others)
            .iter()
            .all(|it| is(it, "object"));
        if is_table && node.table().is_none() {
            let message = format!("expected a table, found {}", found(&node.content));
            let above = KeyPath(path.0[..path.0.len().saturating_sub(1)].to_vec());
            let remedy =
                format!("write [{above}.NAME], with a name of your own, and this key below it");
            return Some(Fault::new(message, remedy));
        }
        let names = table.get("propertyNames")?.get("format")?.as_str()?;
        values::check(names, key).and_then(Result::err)
    }

    fn list(&mut self, schema: &'s Value, list: &[Node], path: &KeyPath) -> Option<Plain> {
        if list.is_empty() && schema.get("minItems").is_some() {
            let fault = Fault::new(
                "the list is empty",
                "write at least one, or leave the key out",
            );
            return self.fault(path, fault);
        }
        let items = schema.get("items")?;
        let values: Vec<Option<Plain>> = list
            .iter()
            .enumerate()
            .map(|(index, node)| self.value(items, node, &path.index(index)))
            .collect();
        // A list without some of its elements would be another list.
        let values: Option<Vec<Plain>> = values.into_iter().collect();
        values.map(Plain::from)
    }

    fn text(&mut self, branches: &[&'s Value], text: &str, path: &KeyPath) -> Option<Plain> {
        let texts = branches.iter().filter(|branch| is(branch, "string"));
        let free: Vec<_> = texts.filter(|branch| words(branch).is_empty()).collect();
        let Some(schema) = free.first() else {
            if branches
                .iter()
                .flat_map(|branch| words(branch))
                .any(|word| word == text)
            {
                return Some(text.into());
            }
            let message = format!("{} is not known here", shown(text));
            let remedy = self.remedy(branches, path, &Content::Text(text.to_owned()));
            return self.fault(path, Fault::new(message, remedy));
        };
        if schema.get("minLength").is_some() && text.is_empty() {
            return self.fault(
                path,
                Fault::new("the text is empty", "write it, or leave the key out"),
            );
        }
        let format = schema.get("format").and_then(Value::as_str);
        match format.and_then(|format| values::check(format, text)) {
            Some(Err(mut fault)) => {
                // The key may be narrower than its form.
                let is_general = format.and_then(values::allowed) == Some(fault.remedy.as_str());
                if is_general || schema.get("formatMaximum").is_some() {
                    let content = Content::Text(text.to_owned());
                    fault.remedy = self.remedy(branches, path, &content);
                }
                self.fault(path, fault)
            }
            Some(Ok(())) | None => Some(text.into()),
        }
    }

    fn remedy(&self, branches: &[&'s Value], path: &KeyPath, written: &Content) -> String {
        remedies::remedy(self.root, branches, path, Some(written))
    }

    fn fault(&mut self, path: &KeyPath, fault: Fault) -> Option<Plain> {
        self.faults.push(Found {
            path: path.clone(),
            at_key: false,
            fault,
        });
        None
    }

    fn required(
        &self,
        schema: &'s Value,
        dict: &Dict,
        path: &KeyPath,
        is_faulty: &dyn Fn(&KeyPath) -> bool,
        missing: &mut Vec<KeyPath>,
    ) {
        let Some(schema) = branches(self.root, schema)
            .into_iter()
            .find(|b| is(b, "object"))
        else {
            return;
        };
        for key in strings(schema.get("required")) {
            let path = path.key(key);
            if dict.contains_key(key) || is_faulty(&path) {
                continue;
            }
            let before = missing.len();
            let inner = schema.get("properties").and_then(|all| all.get(key));
            if let Some(inner) = inner.filter(|inner| branches(self.root, inner).len() == 1) {
                self.required(inner, &Dict::new(), &path, is_faulty, missing);
            }
            if missing.len() == before {
                missing.push(path);
            }
        }
        for (key, value) in dict {
            let known = schema.get("properties").and_then(|all| all.get(key));
            let Some(inner) = known.or_else(|| schema.get("additionalProperties")) else {
                continue;
            };
            self.required_in(inner, value, &path.key(key), is_faulty, missing);
        }
    }

    fn required_in(
        &self,
        schema: &'s Value,
        value: &Plain,
        path: &KeyPath,
        is_faulty: &dyn Fn(&KeyPath) -> bool,
        missing: &mut Vec<KeyPath>,
    ) {
        match value {
            Plain::Dict(_, dict) => self.required(schema, dict, path, is_faulty, missing),
            Plain::Array(_, list) => {
                let lists = branches(self.root, schema)
                    .into_iter()
                    .find(|b| is(b, "array"));
                if let Some(items) = lists.and_then(|list| list.get("items")) {
                    for (index, value) in list.iter().enumerate() {
                        self.required_in(items, value, &path.index(index), is_faulty, missing);
                    }
                }
            }
            _ => {}
        }
    }
}

/// A text from a variable, read as what the schema wants if that is not a text.
fn as_wanted(branches: &[&Value], text: &str) -> Option<Content> {
    let wants = |kind: &str| branches.iter().any(|branch| is(branch, kind));
    let free_text = |branch: &&Value| is(branch, "string") && words(branch).is_empty();
    let trimmed = text.trim();
    // No text that could stand in place of a list begins like one.
    let is_list = wants("array") && trimmed.starts_with('[');
    let is_text = branches.iter().any(free_text) && !is_list;
    if is_text || words_of(branches).contains(&text) {
        return None;
    }
    let value = match trimmed.bytes().next() {
        Some(b'[') if wants("array") => parse_value(trimmed),
        Some(b'{') if wants("object") => parse_value(trimmed),
        Some(b'0'..=b'9' | b'-' | b'+') if wants("integer") => parse_value(trimmed),
        Some(b't' | b'f') if wants("boolean") => parse_value(trimmed),
        _ => None,
    };
    if value.is_none() && wants("array") && !trimmed.starts_with(['[', '{']) {
        let parts = trimmed
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        let nodes = parts.map(|part| Node::nowhere(Content::Text(part.to_owned())));
        return Some(Content::List(nodes.collect()));
    }
    value
}
