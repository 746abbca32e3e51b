//! Tests of the loader as a whole: files and variables in, a configuration or its faults out.

mod bearer;
mod broken_files;
mod changes;
mod front_door;
mod layers;
mod plain;
mod prefixes;
mod remedies;
mod upstreams;

use std::{fs, path::Path, time::Duration};

use proptest::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

use super::{
    AccessLog, Config,
    bearer::KeySource,
    finding::Severity,
    listener::{DEFAULT_GRACE, DEFAULT_HSTS},
    load::{Loaded, load},
    provider::{ProviderKind, Tenants},
    route::{
        Allow, BrowserAnswer, Encoding, GroupsSent, Guests, HostHeader, PathPattern, Placeholder,
        Segment,
    },
    schema,
    session::{DEFAULT_SESSION_CAPACITY, MAX_SESSION_LIFETIME},
};

const MAIN: &str = r#"
[listen]
https = "0.0.0.0:443"
[entra]
tenant = "contoso.onmicrosoft.com"
client_id = "app"
client_secret_file = "secret"
"#;

const WIKI: &str = r#"
from = "https://wiki.example.com"
to = "http://127.0.0.1:8080"
allow = "signed-in"
"#;

/// A base folder with certificates and a secret.
struct Base(TempDir);

impl Base {
    fn new(main: &str, routes: &[(&str, &str)]) -> Self {
        let base = Self(tempfile::tempdir().unwrap());
        for folder in ["config/routes.d", "certs"] {
            fs::create_dir_all(base.path().join(folder)).unwrap();
        }
        base.write("config/vestibule.toml", main);
        base.write("certs/apps.crt", "");
        base.write("certs/apps.key", "");
        base.write("secret", "s3cret\n");
        for (name, text) in routes {
            base.write(&format!("config/routes.d/{name}.toml"), text);
        }
        base
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        self.write_bytes(name, text.as_bytes());
    }

    fn write_bytes(&self, name: &str, bytes: &[u8]) {
        let path = self.path().join(name);
        fs::write(&path, bytes).unwrap();
        private(&path);
    }

    fn load(&self, environment: &[(&str, &str)]) -> Loaded {
        let environment: Vec<_> = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        load(&self.path().join("config"), &environment)
    }

    /// The findings as an operator reads them, with paths from the base.
    fn findings(&self, environment: &[(&str, &str)]) -> Vec<String> {
        let loaded = self.load(environment);
        let is_refused = loaded
            .findings
            .iter()
            .any(|f| f.severity == Severity::Error);
        assert_eq!(loaded.config.is_none(), is_refused);
        let base = format!("{}/", self.path().display());
        let lines = loaded.findings.iter();
        lines
            .map(|finding| finding.to_string().replace(&base, ""))
            .collect()
    }

    fn config(&self, environment: &[(&str, &str)]) -> Config {
        let loaded = self.load(environment);
        assert_eq!(loaded.findings, []);
        loaded.config.unwrap()
    }
}

#[cfg(unix)]
fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[cfg(not(unix))]
fn private(_: &Path) {}

/// Loads a main file (with one good route) or a route file (with a good main file).
fn findings_of_main(main: &str) -> Vec<String> {
    Base::new(main, &[("wiki", WIKI)]).findings(&[])
}

fn findings_of_route(route: &str) -> Vec<String> {
    Base::new(MAIN, &[("a", route)]).findings(&[])
}

#[test]
fn the_smallest_useful_files_are_enough() {
    let config = Base::new(MAIN, &[("wiki", WIKI)]).config(&[]);
    assert_eq!(config.listen.https.unwrap().port(), 443);
    assert_eq!(config.listen.http, None);
    assert_eq!(config.listen.grace, DEFAULT_GRACE);
    assert_eq!(config.listen.hsts, Some(DEFAULT_HSTS));
    assert!(config.listen.workers >= 1);
    assert_eq!(config.session.max.duration(), MAX_SESSION_LIFETIME);
    assert_eq!(config.session.capacity, DEFAULT_SESSION_CAPACITY);
    assert_eq!(config.log, AccessLog::Json);
    assert_eq!(config.ops, None);
    let [entra] = config.providers.as_slice() else {
        panic!()
    };
    assert_eq!(entra.client_secret.expose(), "s3cret");
    assert_eq!(entra.scopes, ["openid", "profile", "email"]);
    let ProviderKind::Entra { authority, tenants } = &entra.kind else {
        panic!()
    };
    assert_eq!(
        authority.as_str(),
        "https://login.microsoftonline.com/contoso.onmicrosoft.com/v2.0"
    );
    assert_eq!(*tenants, Tenants::Single);
    let [wiki] = config.routes.as_slice() else {
        panic!()
    };
    assert_eq!((wiki.id.0.as_str(), wiki.title.as_str()), ("wiki", "wiki"));
    assert_eq!(config.provider(&wiki.provider).unwrap().name, entra.name);
    assert_eq!(wiki.allow, Allow::SignedIn);
    assert_eq!(wiki.guests, Guests::Refuse);
    assert_eq!(wiki.browser, BrowserAnswer::Redirect);
    assert_eq!(wiki.upstream.host, HostHeader::Preserve);
    assert_eq!(wiki.upstream.timeout, Duration::from_mins(1));
    assert_eq!(wiki.identity.groups, GroupsSent::Named);
    assert_eq!(wiki.identity.user_claims, ["preferred_username"]);
    let names: Vec<_> = wiki
        .identity
        .headers
        .iter()
        .map(|h| h.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "x-forwarded-email",
            "x-forwarded-groups",
            "x-forwarded-preferred-username",
            "x-forwarded-user",
        ]
    );
    assert_eq!(wiki.place.position, Some((2, 8)));
}

#[test]
fn relative_paths_are_taken_from_the_parent_of_the_config_folder() {
    let base = Base::new(MAIN, &[("wiki", WIKI)]);
    let config = base.config(&[]);
    assert_eq!(config.state_dir, base.path().join("state"));
    assert_eq!(
        config.tls.pairs[0].cert_file,
        base.path().join("certs/apps.crt")
    );
    assert_eq!(
        config.tls.pairs[0].key_file,
        base.path().join("certs/apps.key")
    );
}

const ERP_MAIN: &str = include_str!("../../../config/vestibule.toml");
const EXAMPLES: [(&str, &str); 3] = [
    ("erp", include_str!("../../../config/routes.d/erp.toml")),
    ("shop", include_str!("../../../config/routes.d/shop.toml")),
    ("wiki", include_str!("../../../config/routes.d/wiki.toml")),
];

/// The lines of an example that are keys behind a `#`, without it.
fn uncommented(text: &str, keep: impl Fn(&str) -> bool) -> String {
    let lines = text.lines().map(|line| match line.strip_prefix("# ") {
        Some(bare) if (bare.starts_with('[') || bare.contains(" = ")) && keep(bare) => bare,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_examples_are_in_order() {
    let base = Base::new(ERP_MAIN, &EXAMPLES);
    let secret = base.path().join("secret").display().to_string();
    let config = base.config(&[("VESTIBULE_ENTRA__CLIENT_SECRET_FILE", &secret)]);
    let ids: Vec<_> = config
        .routes
        .iter()
        .map(|route| route.id.0.as_str())
        .collect();
    assert_eq!(ids, ["erp", "shop", "wiki"]);
    let erp = &config.routes[0];
    assert_eq!(erp.title, "Orders (ERP)");
    assert_eq!(erp.from.prefix, "/app");
    let Allow::Any(rules) = &erp.allow else {
        panic!()
    };
    assert_eq!(rules.users, ["bob@example.com"]);
    assert_eq!(erp.deny.users, ["temp@example.com"]);
    assert_eq!(erp.identity.headers[0].join, ";");
    assert_eq!(erp.identity.headers[0].encoding, Encoding::Percent);
    let bearer = erp.bearer.as_ref().unwrap();
    assert_eq!(bearer.audiences, ["api://erp"]);
    assert_eq!(bearer.scopes, ["orders.read"]);
    assert!(matches!(bearer.issuers[0].keys, KeySource::Issuer(_)));
    let user = &erp.identity.headers[1].template;
    assert_eq!(user.0, [Segment::Value(Placeholder::User)]);
    let shop = &config.routes[1];
    assert_eq!(
        shop.public[1].path,
        PathPattern::Below("/static/".to_owned())
    );
}

#[test]
fn the_defaults_the_examples_show_are_the_defaults() {
    let base = Base::new(MAIN, &[("wiki", WIKI)]);
    let plain = base.config(&[]);
    let is_default = |line: &str| {
        let key = line.split(" = ").next().unwrap_or_default();
        [
            "grace",
            "hsts",
            "dir",
            "max",
            "capacity",
            "access",
            "scopes",
            "algorithms",
            "[limits]",
            "head_bytes",
            "headers",
            "target_bytes",
            "head_timeout",
            "tls_timeout",
            "idle",
            "body_idle",
            "streams",
            "connections",
            "connections_per_address",
            "body_bytes",
            "public_body_bytes",
            "proxy_protocol",
        ]
        .contains(&key)
    };
    let written = uncommented(ERP_MAIN, is_default)
        .replace("/run/secrets/entra", "secret")
        .replace("00000000-0000-0000-0000-000000000000", "app");
    let written = Base::new(&written, &[("wiki", WIKI)]);
    let config = written.config(&[]);
    assert_eq!(config.listen.grace, plain.listen.grace);
    assert_eq!(config.listen.hsts, plain.listen.hsts);
    assert_eq!(config.listen.proxy_protocol, plain.listen.proxy_protocol);
    assert_eq!(config.limits, plain.limits);
    assert_eq!(config.session.max, plain.session.max);
    assert_eq!(config.session.capacity, plain.session.capacity);
    assert_eq!(config.log, plain.log);
    assert_eq!(config.state_dir, written.path().join("state"));
    assert_eq!(config.providers[0].scopes, plain.providers[0].scopes);
    assert_eq!(
        config.providers[0].algorithms,
        plain.providers[0].algorithms
    );
}

#[test]
fn the_examples_show_every_key() {
    let main = uncommented(ERP_MAIN, |_| true);
    let keys = |schema: &Value, table: &str| -> Vec<String> {
        let table = if table.is_empty() {
            schema
        } else {
            &schema["$defs"][table]
        };
        table["properties"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    };
    let schema = schema::main_file();
    for table in [
        "", "Listen", "Limits", "Tls", "State", "Session", "Log", "Ops", "Entra", "Provider",
        "Help",
    ] {
        for key in keys(&schema, table) {
            assert!(main.contains(&key), "{table}: {key}");
        }
    }
    let erp = uncommented(EXAMPLES[0].1, |_| true);
    let schema = schema::route_file();
    for table in [
        "",
        "Rules",
        "Bearer",
        "Unauthenticated",
        "Identity",
        "Upstream",
        "Health",
        "Help",
        "HeaderTable",
    ] {
        for key in keys(&schema, table) {
            assert!(erp.contains(&key), "{table}: {key}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_loader_panic(
        main in prop::collection::vec(any::<u8>(), 0..300),
        route in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let base = Base::new("", &[]);
        base.write_bytes("config/vestibule.toml", &main);
        base.write_bytes("config/routes.d/a.toml", &route);
        let loaded = base.load(&[]);
        prop_assert!(loaded.config.is_none() && !loaded.findings.is_empty());
    }

    #[test]
    fn no_mutation_of_the_examples_makes_the_loader_panic(
        cuts in prop::collection::vec((0_usize..6000, 0_usize..12, "\\PC{0,8}"), 1..6),
        name in "VESTIBULE_[A-Z_]{0,30}",
        value in "\\PC{0,20}",
    ) {
        let mutated = |text: &str| {
            let mut characters: Vec<char> = text.chars().collect();
            for (at, length, insert) in &cuts {
                let start = at % characters.len().max(1);
                let end = (start + length).min(characters.len());
                characters.splice(start..end, insert.chars());
            }
            String::from_iter(characters)
        };
        let main = mutated(&uncommented(ERP_MAIN, |_| true));
        let erp = mutated(&uncommented(EXAMPLES[0].1, |_| true));
        let base = Base::new(&main, &[("erp", &erp), ("shop", &mutated(EXAMPLES[1].1))]);
        let loaded = base.load(&[(&name, &value), ("VESTIBULE_ROUTE_ERP__PUBLIC", &value)]);
        let is_refused = loaded.findings.iter().any(|f| f.severity == Severity::Error);
        prop_assert_eq!(loaded.config.is_none(), is_refused);
    }
}
