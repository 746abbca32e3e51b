//! Walks what was written against the schema: every unknown key, wrong type and bad value at once.
//!
//! Gives back what is well-formed, for figment to extract, and remembers what was not, so that it is
//! not also called missing. Never shows the value of a key that the schema marks `writeOnly`.

use figment::value::{Dict, Value as Plain};
use serde_json::Value;

use super::{
    document::{Layer, Source},
    finding::Finding,
    spans::{Content, KeyPath, Node, Step, Table, parse_value},
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
            let object = walk.branches(schema).into_iter().find(|b| is(b, "object"));
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

/// What may be written for the key at this path of the schema; empty if nothing better is known.
pub(super) fn allowed(schema: &Value, path: &KeyPath) -> String {
    let walk = Walk {
        root: schema,
        from_variable: false,
        faults: Vec::new(),
    };
    let mut at = vec![schema];
    for step in &path.0 {
        let Step::Key(key) = step else {
            at = at
                .iter()
                .flat_map(|s| walk.branches(s))
                .filter_map(|s| s.get("items"))
                .collect();
            continue;
        };
        at = at
            .iter()
            .flat_map(|schema| walk.branches(schema))
            .filter_map(|object| {
                let property = object.get("properties").and_then(|all| all.get(key));
                property.or_else(|| object.get("additionalProperties"))
            })
            .collect();
    }
    let leaves: Vec<&Value> = at.iter().flat_map(|schema| walk.branches(schema)).collect();
    remedy(&leaves)
}

/// The known key nearest to the one written, if it is near enough to be meant.
pub(super) fn nearest<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_lowercase();
    known
        .map(|key| (strsim::damerau_levenshtein(&written, key), key))
        .min()
        .filter(|(distance, key)| *distance <= 1 + key.len() / 3)
        .map(|(_, key)| key)
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
        let branches = self.branches(schema);
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
                self.integer(branches, of("integer")?, *number, path)
            }
            Content::List(list) if of("array").is_some() => self.list(of("array")?, list, path),
            Content::Table(table) if of("object").is_some() => {
                Some(self.table(of("object")?, table, path).into())
            }
            Content::Text(text) if of("string").is_some() => self.text(branches, text, path),
            _ => {
                let message = format!("expected {}, found {}", wanted(branches), found(content));
                self.fault(path, Fault::new(message, remedy(branches)))
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
            if known.is_none() {
                let name = schema
                    .get("propertyNames")
                    .and_then(|names| names.get("format"));
                let fault = match (others, name.and_then(Value::as_str)) {
                    (None, _) => Some(unknown_key(key, properties)),
                    (Some(_), Some(format)) => values::check(format, key).and_then(Result::err),
                    (Some(_), None) => None,
                };
                if let Some(fault) = fault {
                    self.faults.push(Found {
                        path,
                        at_key: true,
                        fault,
                    });
                    continue;
                }
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

    fn integer(
        &mut self,
        branches: &[&'s Value],
        schema: &Value,
        number: i128,
        path: &KeyPath,
    ) -> Option<Plain> {
        let (least, most) = bounds(schema);
        match i64::try_from(number) {
            Ok(number) if (least..=most).contains(&number) => Some(number.into()),
            _ => {
                let message = "the number is out of range";
                self.fault(path, Fault::new(message, remedy(branches)))
            }
        }
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
            return self.fault(path, Fault::new(message, remedy(branches)));
        };
        if schema.get("minLength").is_some() && text.is_empty() {
            return self.fault(
                path,
                Fault::new("the text is empty", "write it, or leave the key out"),
            );
        }
        let format = schema.get("format").and_then(Value::as_str);
        match format.and_then(|format| values::check(format, text)) {
            Some(Err(fault)) => self.fault(path, fault),
            Some(Ok(())) | None => Some(text.into()),
        }
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
        let Some(schema) = self.branches(schema).into_iter().find(|b| is(b, "object")) else {
            return;
        };
        for key in strings(schema.get("required")) {
            let path = path.key(key);
            if dict.contains_key(key) || is_faulty(&path) {
                continue;
            }
            let before = missing.len();
            let inner = schema.get("properties").and_then(|all| all.get(key));
            if let Some(inner) = inner.filter(|inner| self.branches(inner).len() == 1) {
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
                let lists = self.branches(schema).into_iter().find(|b| is(b, "array"));
                if let Some(items) = lists.and_then(|list| list.get("items")) {
                    for (index, value) in list.iter().enumerate() {
                        self.required_in(items, value, &path.index(index), is_faulty, missing);
                    }
                }
            }
            _ => {}
        }
    }

    /// The alternatives of a schema, references followed; null is never written.
    fn branches(&self, schema: &'s Value) -> Vec<&'s Value> {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let name = reference.strip_prefix("#/$defs/").unwrap_or_default();
            let target = self.root.get("$defs").and_then(|defs| defs.get(name));
            return target.map_or_else(Vec::new, |target| self.branches(target));
        }
        for keyword in ["anyOf", "oneOf"] {
            if let Some(alternatives) = schema.get(keyword).and_then(Value::as_array) {
                return alternatives
                    .iter()
                    .flat_map(|alternative| self.branches(alternative))
                    .filter(|branch| branch.get("type").is_none_or(|kind| kind != "null"))
                    .collect();
            }
        }
        vec![schema]
    }
}

/// A text from a variable, read as what the schema wants if that is not a text.
fn as_wanted(branches: &[&Value], text: &str) -> Option<Content> {
    let wants = |kind: &str| branches.iter().any(|branch| is(branch, kind));
    let free_text = |branch: &&Value| is(branch, "string") && words(branch).is_empty();
    if branches.iter().any(free_text) || words_of(branches).contains(&text) {
        return None;
    }
    let trimmed = text.trim();
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

fn unknown_key(key: &str, known: Option<&serde_json::Map<String, Value>>) -> Fault {
    let known: Vec<&str> = known
        .into_iter()
        .flatten()
        .map(|(key, _)| key.as_str())
        .collect();
    let remedy = match nearest(key, known.iter().copied()) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("known here: {}", known.join(", ")),
    };
    Fault::new("unknown key", remedy)
}

fn is(schema: &Value, kind: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(one)) => one == kind,
        Some(Value::Array(several)) => several.iter().any(|one| one == kind),
        _ => kind == "string" && !words(schema).is_empty(),
    }
}

fn words(schema: &Value) -> Vec<&str> {
    let one = schema.get("const").and_then(Value::as_str);
    one.into_iter().chain(strings(schema.get("enum"))).collect()
}

fn words_of<'a>(branches: &[&'a Value]) -> Vec<&'a str> {
    branches.iter().flat_map(|branch| words(branch)).collect()
}

fn strings(list: Option<&Value>) -> impl Iterator<Item = &str> {
    list.and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

fn wanted(branches: &[&Value]) -> String {
    let names = [
        ("string", "a text"),
        ("integer", "a whole number"),
        ("boolean", "true or false"),
        ("array", "a list"),
        ("object", "a table"),
    ];
    let wanted: Vec<&str> = names
        .iter()
        .filter(|(kind, _)| branches.iter().any(|branch| is(branch, kind)))
        .map(|(_, name)| *name)
        .collect();
    wanted.join(" or ")
}

fn found(content: &Content) -> &'static str {
    match content {
        Content::Boolean(_) => "true or false",
        Content::Date => "a date",
        Content::Float | Content::Integer(_) => "a number",
        Content::List(_) => "a list",
        Content::Table(_) => "a table",
        Content::Text(_) => "a text",
    }
}

/// What may be written where these alternatives are.
fn remedy(branches: &[&Value]) -> String {
    let format = branches
        .iter()
        .find_map(|branch| branch.get("format").and_then(Value::as_str));
    if let Some(allowed) = format.and_then(values::allowed) {
        return allowed.to_owned();
    }
    let of = |kind: &'static str| branches.iter().filter(move |branch| is(branch, kind));
    let numbers = of("integer").map(|branch| {
        let (least, most) = bounds(branch);
        format!("a whole number from {least} to {most}")
    });
    let booleans = of("boolean").map(|_| "true or false".to_owned());
    let words = Some(one_of(&words_of(branches))).filter(|words| !words.is_empty());
    let keys = of("object")
        .filter_map(|branch| branch.get("properties").and_then(Value::as_object))
        .flat_map(|properties| properties.keys().map(String::as_str))
        .collect::<Vec<_>>();
    let table = of("object").next();
    let table = table.map(|_| format!("a table with {}", keys.join(", ")));
    let forms: Vec<_> = numbers.chain(booleans).chain(words).chain(table).collect();
    match forms.as_slice() {
        [] if of("string").next().is_some() => "put it in quotes".to_owned(),
        [] => String::new(),
        forms => format!("write {}", forms.join(" or ")),
    }
}

/// The least and the most that a whole number may be.
fn bounds(schema: &Value) -> (i64, i64) {
    let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_i64);
    (
        bound("minimum").unwrap_or(i64::MIN),
        bound("maximum").unwrap_or(i64::MAX),
    )
}

/// `"a", "b" or "c"`.
fn one_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => format!("\"{only}\""),
        [first @ .., last] => format!("\"{}\" or \"{last}\"", first.join("\", \"")),
    }
}
