//! What a schema allows at a place, in words: what to write instead of what is wrong there.
//!
//! Whatever stands in quotes in a remedy is accepted as it stands. The value of a secret is never
//! repeated.

use serde_json::Value;

use super::{
    spans::{Content, KeyPath, Step},
    values::{self, shown},
};

/// What may be written for the key at this path of the schema; empty if nothing better is known.
pub(super) fn allowed(root: &Value, path: &KeyPath) -> String {
    let mut at = branches(root, root);
    for step in &path.0 {
        let inner = at.iter().filter_map(|schema| match step {
            Step::Index(_) => schema.get("items"),
            Step::Key(key) => {
                let property = schema.get("properties").and_then(|all| all.get(key));
                property.or_else(|| schema.get("additionalProperties"))
            }
        });
        at = inner.flat_map(|schema| branches(root, schema)).collect();
    }
    remedy(root, &at, path, None)
}

/// What may be written where these alternatives are, in the light of what was.
pub(super) fn remedy(
    root: &Value,
    branches: &[&Value],
    path: &KeyPath,
    written: Option<&Content>,
) -> String {
    if let Some(bare) = without_quotes(branches, written) {
        return format!("write it without quotes: {bare}");
    }
    if let Some(format) = branches.iter().find_map(|branch| of_format(branch)) {
        return format;
    }
    let of = |kind: &'static str| branches.iter().filter(move |branch| is(branch, kind));
    if let Some(list) = of("array").next() {
        return of_list(root, list, path, written);
    }
    let numbers = of("integer").map(|branch| {
        let (least, most) = bounds(branch);
        format!("a whole number from {least} to {most}")
    });
    let booleans = of("boolean").map(|_| "true or false".to_owned());
    let words = Some(one_of(&words_of(branches))).filter(|words| !words.is_empty());
    let table = of("object").next().map(|table| of_table(root, table, path));
    let forms: Vec<_> = numbers.chain(booleans).chain(words).chain(table).collect();
    match forms.as_slice() {
        [] if of("string").next().is_some() => "put it in quotes".to_owned(),
        [] => String::new(),
        forms => format!("write {}", forms.join(" or ")),
    }
}

/// The alternatives of a schema, references followed; null is never written.
pub(super) fn branches<'s>(root: &'s Value, schema: &'s Value) -> Vec<&'s Value> {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let name = reference.strip_prefix("#/$defs/").unwrap_or_default();
        let target = root.get("$defs").and_then(|defs| defs.get(name));
        return target.map_or_else(Vec::new, |target| branches(root, target));
    }
    for keyword in ["anyOf", "oneOf"] {
        if let Some(alternatives) = schema.get(keyword).and_then(Value::as_array) {
            return alternatives
                .iter()
                .flat_map(|alternative| branches(root, alternative))
                .filter(|branch| branch.get("type").is_none_or(|kind| kind != "null"))
                .collect();
        }
    }
    vec![schema]
}

pub(super) fn is(schema: &Value, kind: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(one)) => one == kind,
        Some(Value::Array(several)) => several.iter().any(|one| one == kind),
        _ => kind == "string" && !words(schema).is_empty(),
    }
}

pub(super) fn words(schema: &Value) -> Vec<&str> {
    let one = schema.get("const").and_then(Value::as_str);
    one.into_iter().chain(strings(schema.get("enum"))).collect()
}

pub(super) fn words_of<'a>(branches: &[&'a Value]) -> Vec<&'a str> {
    branches.iter().flat_map(|branch| words(branch)).collect()
}

pub(super) fn strings(list: Option<&Value>) -> impl Iterator<Item = &str> {
    list.and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// The least and the most that a whole number may be.
pub(super) fn bounds(schema: &Value) -> (i64, i64) {
    let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_i64);
    (
        bound("minimum").unwrap_or(i64::MIN),
        bound("maximum").unwrap_or(i64::MAX),
    )
}

/// The kinds of values that these alternatives take.
pub(super) fn wanted(branches: &[&Value]) -> String {
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

/// The kind of a value.
pub(super) fn found(content: &Content) -> &'static str {
    match content {
        Content::Boolean(_) => "true or false",
        Content::Date => "a date",
        Content::Float => "a decimal number",
        Content::Integer(_) => "a number",
        Content::List(_) => "a list",
        Content::Table(_) => "a table",
        Content::Text(_) => "a text",
    }
}

/// A number or a truth value that was written as a text.
fn without_quotes<'c>(branches: &[&Value], written: Option<&'c Content>) -> Option<&'c str> {
    let Some(Content::Text(text)) = written else {
        return None;
    };
    let fits = |branch: &&Value| {
        let number = text.parse().ok().filter(|_| is(branch, "integer"));
        let (least, most) = bounds(branch);
        number.is_some_and(|number| (least..=most).contains(&number))
            || is(branch, "boolean") && matches!(text.as_str(), "true" | "false")
    };
    branches.iter().any(fits).then_some(text)
}

/// What a text in its form is; between its bounds, if the schema has some.
fn of_format(schema: &Value) -> Option<String> {
    let format = schema.get("format")?.as_str()?;
    let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_str);
    let allowed = values::allowed(format)?;
    let (kind, or_off) = match format.strip_suffix("-or-off") {
        Some(kind) => (kind, ", or \"off\""),
        None => (format, ""),
    };
    let examples: Vec<_> = strings(schema.get("examples")).collect();
    Some(match (bound("formatMinimum"), bound("formatMaximum")) {
        (Some(least), Some(most)) if examples.is_empty() => {
            format!("write a {kind} from \"{least}\" to \"{most}\"{or_off}")
        }
        // Its bounds are no good as examples.
        (Some(least), Some(most)) => {
            format!(
                "write a {kind} from {least} to {most}: {}",
                one_of(&examples)
            )
        }
        (None, Some(most)) => format!("write a {kind} up to \"{most}\"{or_off}"),
        _ => match allowed.split_once(": ").filter(|_| !examples.is_empty()) {
            Some((what, _)) => format!("{what}: {}", one_of(&examples)),
            None => allowed.to_owned(),
        },
    })
}

fn of_list(root: &Value, list: &Value, path: &KeyPath, written: Option<&Content>) -> String {
    let items = list.get("items").map(|items| branches(root, items));
    let items = items.unwrap_or_default();
    if let Some(table) = items.iter().find(|branch| is(branch, "object")) {
        let keys = keys_of(table);
        return if can_be_headed(path) {
            format!("write [[{path}]], with two brackets, before each one's {keys}")
        } else {
            format!("write a list of tables with {keys}")
        };
    }
    let key = path.0.last().and_then(|step| match step {
        Step::Index(_) => None,
        Step::Key(key) => Some(key.as_str()),
    });
    let key = key.unwrap_or("it");
    if let Some(Content::Text(text)) = written
        && let Some(elements) = elements(&items, text)
    {
        return format!("write a list: {key} = [{elements}]");
    }
    let each = remedy(root, &items, &path.index(0), None);
    let each = each.strip_prefix("write ").unwrap_or(&each);
    format!("write a list, {key} = [...]: {each}")
}

/// The text as the elements of a list, if they would be accepted there.
fn elements(items: &[&Value], text: &str) -> Option<String> {
    let fits = |part: &&str| {
        items.iter().any(|schema| {
            let format = schema.get("format").and_then(Value::as_str);
            let checked = format.and_then(|format| values::check(format, part));
            schema.get("writeOnly").is_none() && checked == Some(Ok(()))
        })
    };
    let separated = [&[','][..], &[], &[',', ' ', ';']];
    separated.iter().find_map(|separators| {
        let parts = text.split(*separators).map(str::trim);
        let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
        let all_fit = !parts.is_empty() && parts.iter().all(fits);
        let shown: Vec<_> = parts.iter().map(|part| shown(part)).collect();
        all_fit.then(|| shown.join(", "))
    })
}

fn of_table(root: &Value, table: &Value, path: &KeyPath) -> String {
    let keys = keys_of(table);
    let others = table
        .get("additionalProperties")
        .filter(|it| it.is_object());
    match others.map(|others| branches(root, others)) {
        Some(others) if others.iter().all(|it| is(it, "object")) => {
            format!("[{path}.NAME], a table with a name of your own, for each")
        }
        Some(_) => format!("[{path}], a table with names of your own"),
        None if can_be_headed(path) => format!("[{path}], a table with {keys}"),
        None => format!("a table with {keys}"),
    }
}

/// Whether a `[table]` can have this name.
fn can_be_headed(path: &KeyPath) -> bool {
    !path.0.is_empty() && path.0.iter().all(|step| matches!(step, Step::Key(_)))
}

fn keys_of(table: &Value) -> String {
    let keys = table.get("properties").and_then(Value::as_object);
    let keys = keys.into_iter().flatten().map(|(key, _)| key.as_str());
    keys.collect::<Vec<_>>().join(", ")
}

/// `"a", "b" or "c"`.
fn one_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => format!("\"{only}\""),
        [first @ .., last] => format!("\"{}\" or \"{last}\"", first.join("\", \"")),
    }
}
