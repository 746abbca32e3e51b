//! Prints findings: lines for people, or one JSON document.

use std::fmt::Write;

use serde::Serialize;

use super::Format;
use crate::config::finding::{Finding, Severity};

#[derive(Serialize)]
struct Printed<'a> {
    severity: &'static str,
    file: Option<String>,
    line: Option<usize>,
    column: Option<usize>,
    variable: Option<&'a str>,
    key: Option<&'a str>,
    message: &'a str,
    remedy: &'a str,
}

/// The findings as text, one a line, or as one JSON list.
pub(super) fn render(findings: &[Finding], format: Format) -> String {
    match format {
        Format::Text => findings.iter().fold(String::new(), |mut text, finding| {
            // Writing into a string cannot fail.
            let _ = writeln!(text, "{finding}");
            text
        }),
        Format::Json => {
            let lines: Vec<_> = findings.iter().map(Printed::new).collect();
            // Texts and numbers are always JSON.
            let mut json = serde_json::to_string_pretty(&lines).unwrap_or_default();
            json.push('\n');
            json
        }
    }
}

/// How many errors and warnings there are.
pub(super) fn count(findings: &[Finding]) -> (usize, usize) {
    let errors = findings
        .iter()
        .filter(|it| it.severity == Severity::Error)
        .count();
    (errors, findings.len() - errors)
}

impl<'a> Printed<'a> {
    fn new(finding: &'a Finding) -> Self {
        let place = &finding.place;
        Self {
            severity: match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            file: place.file.as_ref().map(|file| file.display().to_string()),
            line: place.position.map(|(line, _)| line),
            column: place.position.map(|(_, column)| column),
            variable: place.variable.as_deref(),
            key: place.key.as_deref(),
            message: &finding.message,
            remedy: &finding.remedy,
        }
    }
}
