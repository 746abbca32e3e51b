//! Which variable was meant by a name that is none: one underscore where two belong, or a slip.
//!
//! Looks at names alone, never at values. What a cluster injects (`VESTIBULE_SERVICE_HOST`) is far from
//! every key, and nothing is said of it.

use serde_json::Value;

use super::{
    environment::place, finding::Finding, near::UNKNOWN_KEY, remedies::branches, schema,
    values::folded,
};

/// How a finding begins about a variable of a route that is not there.
pub(super) const NO_SUCH_ROUTE: &str = "no route has the id";

/// The variables that are configuration, in the form in which they are documented.
#[derive(Default)]
pub(super) struct Variables(Vec<String>);

impl Variables {
    /// Those of a main file with these providers, and of these routes.
    pub(super) fn of<'a>(providers: impl Iterator<Item = &'a str>, routes: &[String]) -> Self {
        let providers: Vec<_> = providers.collect();
        let mut variables = Self::default();
        let main = schema::main_file();
        let sections = main.get("properties").and_then(Value::as_object);
        for (section, schema) in sections.into_iter().flatten() {
            let begin = format!("VESTIBULE_{}", in_variables(section));
            variables.add(&main, schema, &begin, &providers);
        }
        let route = schema::route_file();
        for id in routes {
            let begin = format!("VESTIBULE_ROUTE_{}", in_variables(id));
            variables.add(&route, &route, &begin, &[]);
        }
        variables
    }

    /// Whether anything was said of a variable that is none, or kept silent.
    pub(super) fn are_wanted(ignored: &[String], findings: &[Finding]) -> bool {
        !ignored.is_empty() || findings.iter().any(is_about_none)
    }

    /// Names the variable that was meant: in the findings about one that says nothing, and in a warning
    /// for each that was ignored.
    pub(super) fn say_what_was_meant(&self, ignored: &[String], findings: &mut Vec<Finding>) {
        for finding in findings.iter_mut() {
            let variable = finding.place.variable.as_deref();
            let variable = variable.filter(|_| is_about_none(finding));
            if let Some(meant) = variable.and_then(|variable| self.meant(variable)) {
                finding.remedy = format!("did you mean {meant}?");
            }
        }
        for name in ignored {
            if let Some(meant) = self.meant(name) {
                let message = "the variable is not configuration and was ignored";
                let remedy = format!("did you mean {meant}? two underscores stand before each key");
                findings.push(Finding::warning(place(name), message, remedy));
            }
        }
    }

    /// The one nearest to this name, if it is near enough to be meant.
    fn meant(&self, written: &str) -> Option<&str> {
        const SHORT: usize = 24;
        let plain = |name: &str| name.to_ascii_uppercase().replace("__", "_");
        let written = plain(written);
        let distance = |name: &String| strsim::damerau_levenshtein(&written, &plain(name));
        let (distance, name) = self.0.iter().map(|name| (distance(name), name)).min()?;
        let most = if name.len() < SHORT { 1 } else { 2 };
        (distance <= most).then_some(name)
    }

    /// Every key at and below a schema, with one more name in front for each that an operator chose.
    fn add(&mut self, root: &Value, schema: &Value, begin: &str, chosen: &[&str]) {
        for table in branches(root, schema) {
            let properties = table.get("properties").and_then(Value::as_object);
            let others = table
                .get("additionalProperties")
                .filter(|it| it.is_object());
            let own = properties.into_iter().flatten();
            let own = own.map(|(key, schema)| (key.as_str(), schema));
            let further = others.into_iter();
            let further = further.flat_map(|schema| chosen.iter().map(move |name| (*name, schema)));
            for (key, schema) in own.chain(further) {
                self.add(
                    root,
                    schema,
                    &format!("{begin}__{}", in_variables(key)),
                    &[],
                );
            }
            if properties.is_none() && others.is_none() {
                self.0.push(begin.to_owned());
            }
        }
    }
}

fn is_about_none(finding: &Finding) -> bool {
    let message = &finding.message;
    let is_unknown = message == UNKNOWN_KEY || message.starts_with(NO_SUCH_ROUTE);
    is_unknown && finding.place.variable.is_some()
}

fn in_variables(key: &str) -> String {
    folded(key).to_ascii_uppercase()
}
