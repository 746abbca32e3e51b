//! `vestibule routes`: the route table as it would be served.

use std::{path::Path, process::ExitCode};

use serde::Serialize;

use super::{Format, environment, findings};
use crate::{
    app,
    clock::Clock,
    config::{
        bearer::Bearer,
        route::{Allow, PathPattern, PublicRule, Route, Rules, UpstreamAddresses},
    },
};

#[derive(Serialize)]
struct Row {
    id: String,
    from: String,
    to: To,
    allow: String,
    deny: String,
    public: Vec<String>,
    bearer: String,
    idp: String,
}

/// As it stands in a route file: a text, or a list of them.
#[derive(Serialize)]
#[serde(untagged)]
enum To {
    One(String),
    Several(Vec<String>),
}

impl To {
    fn new(addresses: &UpstreamAddresses) -> Self {
        let mut written: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        match (written.pop(), written.as_slice()) {
            (Some(only), []) => Self::One(only),
            (last, _) => {
                written.extend(last);
                Self::Several(written)
            }
        }
    }

    fn cell(&self) -> String {
        match self {
            Self::One(only) => only.clone(),
            Self::Several(all) => all.join(" "),
        }
    }
}

/// Prints one row a route; findings, if any, to standard error.
pub(super) fn run(config: &Path, format: Format) -> ExitCode {
    let prepared = app::prepare(config, &environment(), &Clock::system());
    eprint!("{}", findings::render(&prepared.findings, Format::Text));
    let Some(ready) = prepared.ready else {
        return ExitCode::FAILURE;
    };
    let rows: Vec<_> = ready.config.routes.iter().map(Row::new).collect();
    match format {
        Format::Json => println!(
            "{}",
            serde_json::to_string_pretty(&rows).unwrap_or_default()
        ),
        Format::Text => print!("{}", table(&rows)),
    }
    ExitCode::SUCCESS
}

impl Row {
    fn new(route: &Route) -> Self {
        let from = &route.from;
        Self {
            id: route.id.0.clone(),
            from: format!("https://{}{}", from.authority.in_https_url(), from.prefix),
            to: To::new(&route.to),
            allow: match &route.allow {
                Allow::SignedIn => "signed-in".to_owned(),
                Allow::Any(rules) => described(rules),
            },
            deny: described(&route.deny),
            public: route.public.iter().map(opened).collect(),
            bearer: route.bearer.as_ref().map(taken).unwrap_or_default(),
            idp: route.provider.0.clone(),
        }
    }

    fn cells(&self) -> [String; 8] {
        [
            self.id.clone(),
            self.from.clone(),
            self.to.cell(),
            self.allow.clone(),
            self.deny.clone(),
            self.public.join(" "),
            self.bearer.clone(),
            self.idp.clone(),
        ]
    }
}

fn described(rules: &Rules) -> String {
    let parts = [
        ("role", &rules.roles),
        ("group", &rules.groups),
        ("user", &rules.users),
        ("domain", &rules.domains),
    ];
    listed(&parts)
}

/// What a token needs to let somebody in.
fn taken(rules: &Bearer) -> String {
    let parts = [
        ("role", &rules.roles),
        ("scope", &rules.scopes),
        ("client", &rules.clients),
    ];
    listed(&parts)
}

fn listed(parts: &[(&str, &Vec<String>)]) -> String {
    parts
        .iter()
        .flat_map(|(kind, names)| names.iter().map(move |name| format!("{kind}:{name}")))
        .collect::<Vec<_>>()
        .join(" ")
}

fn opened(rule: &PublicRule) -> String {
    let path = match &rule.path {
        PathPattern::Below(start) => format!("{start}*"),
        PathPattern::Exact(whole) => whole.clone(),
    };
    match &rule.methods {
        None => path,
        Some(methods) => {
            let methods: Vec<_> = methods.iter().map(http::Method::as_str).collect();
            format!("{}:{path}", methods.join(","))
        }
    }
}

/// Columns as wide as their longest cell.
fn table(rows: &[Row]) -> String {
    let head = [
        "ID", "FROM", "TO", "ALLOW", "DENY", "PUBLIC", "BEARER", "IDP",
    ]
    .map(str::to_owned);
    let lines: Vec<_> = std::iter::once(head)
        .chain(rows.iter().map(Row::cells))
        .collect();
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: [usize; 8] = std::array::from_fn(width);
    let line = |cells: &[String; 8]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| {
            let cell = if cell.is_empty() { "-" } else { cell };
            format!("{cell:width$}")
        });
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    lines.iter().map(line).collect()
}
