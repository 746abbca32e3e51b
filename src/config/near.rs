//! What somebody meant who wrote something that is not known: the nearest keys.
//!
//! Looks at names alone, never at values.

use serde_json::{Map, Value};

use super::{
    remedies::{branches, is},
    values::{Fault, folded},
};

/// What is wrong with a key that nobody knows.
pub(super) const UNKNOWN_KEY: &str = "unknown key";

/// The known word nearest to the one written, if it is near enough to be meant.
pub(super) fn nearest<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_lowercase();
    known
        .map(|key| (strsim::damerau_levenshtein(&written, key), key))
        .min()
        .filter(|(distance, key)| *distance <= 1 + key.len() / 3)
        .map(|(_, key)| key)
}

/// An unknown key where these are known; `top` is the schema of the whole file, if the key could have
/// slipped into a table of it.
pub(super) fn unknown_key(
    written: &str,
    known: Option<&Map<String, Value>>,
    top: Option<&Value>,
) -> Fault {
    let known: Vec<&str> = known
        .into_iter()
        .flatten()
        .map(|(key, _)| key.as_str())
        .collect();
    let above = top.and_then(|top| Some((top, top.get("properties")?.get(written)?)));
    let remedy = match (above, meant(written, &known).as_slice()) {
        (Some((top, schema)), _) => belongs_to_the_file(written, top, schema),
        (None, []) => format!("known here: {}", known.join(", ")),
        (None, [only]) => format!("did you mean `{only}`?"),
        (None, [first @ .., last]) => {
            format!("did you mean `{}` or `{last}`?", first.join("`, `"))
        }
    };
    Fault::new(UNKNOWN_KEY, remedy)
}

fn belongs_to_the_file(key: &str, top: &Value, schema: &Value) -> String {
    let branches = branches(top, schema);
    if branches.iter().all(|branch| is(branch, "object")) {
        format!("`{key}` is a table of its own: write [{key}]")
    } else {
        format!("`{key}` belongs to no table: move it up, before the first [table] of the file")
    }
}

/// The known keys that were most likely meant.
fn meant<'a>(written: &str, known: &[&'a str]) -> Vec<&'a str> {
    const MOST: usize = 3;
    let written = folded(written);
    let distance = |key: &&str| strsim::damerau_levenshtein(&written, key);
    let slip = known.iter().min_by_key(|key| distance(key));
    let slip = slip.filter(|key| distance(key) <= 2.min(key.len() / 3));
    if let Some(slip) = slip {
        return vec![slip];
    }
    let first = written.split('_').next().unwrap_or_default();
    let begin_alike = |key: &&&str| key.split('_').next() == Some(first);
    let share = |key: &&&str| {
        key.split('_')
            .any(|word| written.split('_').any(|it| it == word))
    };
    for alike in [
        known
            .iter()
            .filter(begin_alike)
            .copied()
            .collect::<Vec<_>>(),
        known.iter().filter(share).copied().collect(),
    ] {
        if (1..=MOST).contains(&alike.len()) {
            return alike;
        }
    }
    nearest(&written, known.iter().copied())
        .into_iter()
        .collect()
}
