//! Any bytes as a route file: they load into something sound, or are found wrong in a place that an
//! operator can go to.

use std::{cell::RefCell, fs, path::PathBuf};

use tempfile::TempDir;
use vestibule::{
    config::{
        Config,
        finding::{Finding, Severity},
        load::load,
        plain_path::is_plain,
        route::{Allow, PathPattern, Route},
    },
    reserved,
};

const MAIN: &str = r#"
[listen]
https = "127.0.0.1:8443"
[idp.house]
issuer = "https://id.test"
client_id = "vestibule"
client_secret = "hunter2hunter2"
[aliases.groups]
staff = "staff-of-the-house"
"#;

/// A folder with everything but the route.
struct Folder {
    folder: TempDir,
    route: PathBuf,
}

thread_local! {
    static FOLDER: RefCell<Option<Folder>> = const { RefCell::new(None) };
}

/// Loads `input`.
///
/// # Panics
/// If a promise is broken.
pub fn check(input: &[u8]) {
    FOLDER.with_borrow_mut(|folder| {
        let folder = folder.get_or_insert_with(Folder::new);
        fs::write(&folder.route, input).expect("the folder can be written");
        let loaded = load(&folder.folder.path().join("config"), &[]);
        let lines = input.split(|it| *it == b'\n').count();
        for finding in &loaded.findings {
            is_of_use(finding, lines);
        }
        let errors = loaded.findings.iter();
        let has_errors = errors.clone().any(|it| it.severity == Severity::Error);
        assert_eq!(
            loaded.config.is_none(),
            has_errors,
            "{:#?}",
            loaded.findings
        );
        if let Some(config) = &loaded.config {
            is_sound(config);
        }
    });
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let write = |file: &str, text: &str| {
            let file = folder.path().join(file);
            fs::write(file, text).expect("the folder can be written");
        };
        for name in ["config/routes.d", "certs"] {
            fs::create_dir_all(folder.path().join(name)).expect("the folder can be written");
        }
        write("config/vestibule.toml", MAIN);
        write("certs/house.crt", "");
        write("certs/house.key", "");
        let route = folder.path().join("config/routes.d/wiki.toml");
        Self { folder, route }
    }
}

/// Says where, in one line, and nothing that is secret.
fn is_of_use(finding: &Finding, lines: usize) {
    let place = &finding.place;
    assert!(place.file.is_some(), "no place: {finding}");
    let is_route = place
        .file
        .as_ref()
        .is_some_and(|it| it.ends_with("wiki.toml"));
    if let Some((line, column)) = place.position.filter(|_| is_route) {
        assert!(
            (1..=lines).contains(&line) && column > 0,
            "no such place: {finding}"
        );
    }
    assert!(!finding.message.is_empty(), "says nothing: {finding:?}");
    let text = finding.to_string();
    assert!(!text.contains("hunter2hunter2"), "S-009: a secret is told");
    assert!(!text.contains(['\n', '\r']), "not on one line: {text:?}");
}

fn is_sound(config: &Config) {
    let [route] = &config.routes[..] else {
        panic!("one file, {} routes", config.routes.len());
    };
    let Route {
        from, to, identity, ..
    } = route;
    let host = &from.authority.host;
    assert!(
        !host.is_empty() && *host == host.to_ascii_lowercase(),
        "{host:?}"
    );
    assert!(from.authority.port > 0);
    for to in to.iter().filter_map(|address| address.authority()) {
        assert!(to.port > 0 && !to.host.is_empty());
    }
    let prefix = &from.prefix;
    let is_prefix = prefix.is_empty() || is_plain(prefix) && !prefix.ends_with('/');
    assert!(is_prefix, "{prefix:?}");
    assert!(!reserved::is_own_path(prefix), "{prefix:?}");
    if let Allow::Any(rules) = &route.allow {
        let lists = [&rules.roles, &rules.groups, &rules.users, &rules.domains];
        let named: Vec<_> = lists.into_iter().flatten().collect();
        assert!(!named.is_empty(), "nobody, and loaded");
        assert!(
            named.iter().all(|it| !it.is_empty()),
            "an empty name: {named:?}"
        );
    }
    for rule in &route.public {
        let path = match &rule.path {
            PathPattern::Below(start) => start,
            PathPattern::Exact(whole) => whole,
        };
        assert!(is_plain(path), "S-034: a rule for an odd path: {path:?}");
    }
    let fold = |name: &str| name.replace(|it: char| !it.is_ascii_alphanumeric(), "_");
    let mut names: Vec<_> = identity
        .headers
        .iter()
        .map(|it| fold(it.name.as_str()))
        .collect();
    for name in &names {
        let is_taken = reserved::REQUEST_FIELDS.contains(&name.as_str());
        assert!(
            !is_taken && name != "cookie",
            "S-001: {name} is no identity header"
        );
    }
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(
        names.len(),
        count,
        "S-001: two headers that an app may take for one"
    );
    assert!(!route.upstream.timeout.is_zero(), "a timeout of nothing");
}
