//! Broken files, and exactly what is said about them.

use std::fs;

use super::{Base, MAIN, WIKI, findings_of_main, findings_of_route};

/// What is found in a route file: `line:column: key: message`, without the remedy.
fn in_route(route: &str) -> Vec<String> {
    let findings = findings_of_route(route);
    findings
        .iter()
        .map(|line| brief(line, "config/routes.d/a.toml"))
        .collect()
}

fn in_main(main: &str) -> Vec<String> {
    let findings = findings_of_main(main);
    findings
        .iter()
        .map(|line| brief(line, "config/vestibule.toml"))
        .collect()
}

fn brief(line: &str, file: &str) -> String {
    let line = line.strip_prefix("error: ").unwrap_or(line);
    let line = line.strip_prefix(file).unwrap_or(line);
    let line = line.split(" (").next().unwrap_or_default();
    line.trim_start_matches([':', ' ']).to_owned()
}

/// A good route file with a change.
fn route(from: &str, to: &str) -> String {
    assert!(WIKI.contains(from), "{from}");
    WIKI.replacen(from, to, 1)
}

fn main(from: &str, to: &str) -> String {
    assert!(MAIN.contains(from), "{from}");
    MAIN.replacen(from, to, 1)
}

#[test]
fn six_faults_of_one_file_are_reported_in_one_run() {
    let text = r#"from = "http://erp.example.com"
to = ["http://10.0.0.7"]
alow = "signed-in"
[[public]]
path = "/static*"
[identity.headers]
X-Remote-User = "{upn}"
[upstream]
timeout = 60
"#;
    let file = "error: config/routes.d/a.toml";
    assert_eq!(
        findings_of_route(text),
        [
            format!(
                "{file}: allow: the key is missing (write \"signed-in\" or [allow], a table with domains, \
                 groups, roles, users)"
            ),
            format!(
                "{file}:1:8: from: \"http://erp.example.com\" does not begin with https:// (write the \
                 address people type: \"https://app.example.com\", with a port or a path if need be: \
                 \"https://app.example.com:8443/app\")"
            ),
            format!(
                "{file}:2:6: to: the app is spoken to in plain HTTP across a network, where others could \
                 read along or reach it without vestibule (speak https:// to it; or if nothing but \
                 vestibule can reach it, write upstream.reachable = \"only-through-vestibule\")"
            ),
            format!("{file}:3:1: alow: unknown key (did you mean `allow`?)"),
            format!(
                "{file}:5:8: public[0].path: \"/static*\" has a `*` elsewhere than behind its last \
                 slash (write a whole path, \"/health\", or everything below one, \"/static/*\")"
            ),
            format!(
                "{file}:7:17: identity.headers.X-Remote-User: \"upn\" is not a placeholder (allowed \
                 are {{user}}, {{email}}, {{name}}, {{preferred_username}}, {{groups}}, {{roles}}, and \
                 visible ASCII around them)"
            ),
            format!(
                "{file}:9:11: upstream.timeout: expected a text, found a number (write a whole number \
                 with its unit, ms, s, m, h or d: \"20s\", \"30m\", \"8h\", \"1d\")"
            ),
        ]
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_is_wrong_with_a_main_file_is_said_with_its_place() {
    let https = "https = \"0.0.0.0:443\"";
    let table: [(&str, String, &[&str]); 25] = [
        (
            "no main section",
            MAIN.replace("[listen]\nhttps = \"0.0.0.0:443\"", ""),
            &[
                "warning: config/vestibule.toml: listen.https: the key is missing, and no socket is \
                 handed over here",
            ],
        ),
        (
            "wrong type",
            main(https, "https = 443"),
            &["3:9: listen.https: expected a text, found a number"],
        ),
        (
            "date",
            main(https, "https = 1979-05-27"),
            &["3:9: listen.https: expected a text, found a date"],
        ),
        (
            "not an address",
            main(https, "https = \":443\""),
            &["3:9: listen.https: \":443\" is not an address to listen on"],
        ),
        (
            "taken twice",
            main(https, "https = \"0.0.0.0:443\"\nhttp = \"127.0.0.1:443\""),
            &["4:8: listen.http: the port is taken by `listen.https`"],
        ),
        (
            "out of range",
            main(https, "https = \"0.0.0.0:443\"\nworkers = 1025"),
            &["4:11: listen.workers: the number is out of range"],
        ),
        (
            "far out of range",
            main(
                https,
                "https = \"0.0.0.0:443\"\nworkers = 99999999999999999999",
            ),
            &["4:11: listen.workers: the number is out of range"],
        ),
        (
            "word",
            format!("{MAIN}[log]\naccess = \"jsn\""),
            &["9:10: log.access: \"jsn\" is not known here"],
        ),
        (
            "not built yet",
            format!("{MAIN}[session]\nidle = \"30m\""),
            &["9:1: session.idle: unknown key"],
        ),
        (
            "unknown section",
            format!("{MAIN}[directory]"),
            &["8:2: directory: unknown key"],
        ),
        (
            "too long",
            format!("{MAIN}[session]\nmax = \"25h\""),
            &[
                "9:7: session.max: a session lives longer than nothing and at most 24 hours; that limit is a constant",
            ],
        ),
        (
            "no time",
            format!("{MAIN}[session]\nmax = \"0s\""),
            &[
                "9:7: session.max: a session lives longer than nothing and at most 24 hours; that limit is a constant",
            ],
        ),
        (
            "defaults",
            format!("{MAIN}[defaults]\nfrom = \"https://x\"\nguests = \"no\""),
            &[
                "9:1: defaults.from: unknown key",
                "10:10: defaults.guests: \"no\" is not known here",
            ],
        ),
        (
            "an origin that is none",
            format!("{MAIN}[defaults]\norigins = [\"none\", \"https://other.example/\"]"),
            &[
                "9:20: defaults.origins[1]: \"https://other.example/\" has something behind the host; no origin has",
            ],
        ),
        (
            "both tenant and endpoint",
            format!("{MAIN}endpoint = \"https://h/a.b/v2.0\""),
            &["8:12: entra.endpoint: tenant and endpoint both say where"],
        ),
        (
            "no credential",
            main("client_secret_file = \"secret\"", ""),
            &["4:1: entra.client_secret: the key is missing"],
        ),
        (
            "two credentials",
            format!("{MAIN}client_secret = \"x\""),
            &[
                "7:22: entra.client_secret_file: client_secret and client_secret_file are both there",
            ],
        ),
        (
            "unreadable credential",
            main("\"secret\"", "\"nowhere\""),
            &[
                "7:22: entra.client_secret_file: nowhere cannot be read: there is no such file or folder",
            ],
        ),
        (
            "shared tenant",
            main("contoso.onmicrosoft.com", "common"),
            &["4:1: entra.tenants: people of any tenant meet at `common`"],
        ),
        (
            "algorithms",
            format!("{MAIN}algorithms = [\"none\", \"HS256\", \"RS257\"]"),
            &[
                "8:15: entra.algorithms[0]: \"none\" is never accepted: it proves nothing about who made the token",
                "8:23: entra.algorithms[1]: \"HS256\" is never accepted: it proves nothing about who made the token",
                "8:32: entra.algorithms[2]: \"RS257\" is not a signature algorithm known here",
            ],
        ),
        (
            "scopes",
            format!("{MAIN}scopes = [\"profile\"]"),
            &["8:10: entra.scopes: openid is not among the scopes, and without it nobody signs in"],
        ),
        (
            "empty list",
            format!("{MAIN}scopes = []"),
            &["8:10: entra.scopes: the list is empty"],
        ),
        (
            "kind",
            main("[entra]", "[idp.x]"),
            &[
                "4:1: idp.x.issuer: the key is missing",
                "5:10: idp.x.tenant: a provider of kind `oidc` has no tenant",
            ],
        ),
        (
            "certificate files",
            format!("{MAIN}[tls]\ncertificates = [{{ cert_file = \"a\" }}]"),
            &[
                "9:17: tls.certificates[0].key_file: the key is missing",
                "9:31: tls.certificates[0].cert_file: a cannot be read: there is no such file or folder",
            ],
        ),
        (
            "twice the same provider",
            format!("{MAIN}[idp.entra]\nclient_id = \"app\""),
            &["8:1: idp.entra: [entra] is short for [idp.entra], and both are there"],
        ),
    ];
    for (what, text, expected) in table {
        assert_eq!(in_main(&text), expected, "{what}");
    }
}

#[test]
fn what_is_wrong_with_a_route_is_said_with_its_place() {
    let allow = "allow = \"signed-in\"";
    let table: [(&str, String, &[&str]); 21] = [
        ("no rule", route(allow, ""), &["allow: the key is missing"]),
        (
            "empty table",
            route(allow, "[allow]\nusers = []"),
            &["4:1: allow: the table names nobody, so nobody could come in"],
        ),
        (
            "a list",
            route(allow, "allow = []"),
            &["4:9: allow: expected a text or a table, found a list"],
        ),
        (
            "a word",
            route(allow, "allow = \"anyone\""),
            &["4:9: allow: \"anyone\" is not known here"],
        ),
        (
            "group",
            route(allow, "allow.groups = [\"erp-eu\"]"),
            &["4:17: allow.groups[0]: \"erp-eu\" is neither an object id nor an alias"],
        ),
        (
            "domain",
            route(allow, "allow.domains = [\"@example.com\"]"),
            &["4:18: allow.domains[0]: \"@example.com\" names no valid host"],
        ),
        (
            "provider",
            format!("{WIKI}idp = \"entrra\""),
            &["5:7: idp: there is no provider \"entrra\""],
        ),
        (
            "upstream of another scheme",
            route("http://127.0.0.1:8080", "htps://127.0.0.1"),
            &["3:6: to: \"htps://127.0.0.1\" does not begin with http://, https:// or unix:"],
        ),
        (
            "upstream path",
            route("http://127.0.0.1:8080", "http://127.0.0.1/x"),
            &["3:6: to: \"http://127.0.0.1/x\" has something behind the host"],
        ),
        (
            "plain off loopback",
            route("http://127.0.0.1:8080", "http://10.0.0.1"),
            &[
                "3:6: to: the app is spoken to in plain HTTP across a network, where others could read along or reach it without vestibule",
            ],
        ),
        (
            "public outside",
            route("https://wiki.example.com", "https://wiki.example.com/app")
                + "[[public]]\npath = \"/health\"",
            &["6:8: public[0].path: /health lies outside of the route, which begins at /app"],
        ),
        (
            "public all",
            format!("{WIKI}[[public]]\npath = \"/*\""),
            &["6:8: public[0].path: /* would open the whole route"],
        ),
        (
            "public nothing",
            format!("{WIKI}[[public]]\nmethods = [\"TRACE\"]"),
            &[
                "5:1: public[0].path: the key is missing",
                "6:12: public[0].methods[0]: TRACE never reaches an app",
            ],
        ),
        (
            "reserved header",
            format!("{WIKI}[identity.headers]\nx_forwarded_for = \"{{user}}\""),
            &[
                "6:1: identity.headers.x_forwarded_for: \"x_forwarded_for\" cannot carry an identity: it frames or routes the request, or vestibule sets it",
            ],
        ),
        (
            "folding headers",
            format!("{WIKI}[identity.headers]\nX-User = \"{{user}}\"\nx_user = \"{{user}}\""),
            &["5:1: identity.headers: an app may take the headers x-user and x_user for one"],
        ),
        (
            "header without value",
            format!("{WIKI}[identity.headers.X-User]\njoin = \"\\n\""),
            &[
                "5:1: identity.headers.X-User.value: the key is missing",
                "6:8: identity.headers.X-User.join: \"\\n\" cannot separate values in a header",
            ],
        ),
        (
            "browser",
            format!("{WIKI}[unauthenticated]\nbrowser = 401"),
            &["6:11: unauthenticated.browser: expected a text, found a number"],
        ),
        (
            "host",
            format!("{WIKI}[upstream]\nhost = \"a b\""),
            &["6:8: upstream.host: \"a b\" names no valid host"],
        ),
        (
            "key below a table",
            format!(
                "{}[identity.headers]\nX-U = \"{{user}}\"\nallow = \"signed-in\"",
                WIKI.replace("allow = \"signed-in\"", "")
            ),
            &[
                "7:9: identity.headers.allow: `allow` is missing here; the one below \
               [identity.headers] is that table's",
            ],
        ),
        (
            "not built yet",
            format!("mode = \"pilot\"{WIKI}"),
            &["1:1: mode: unknown key"],
        ),
        (
            "strange key",
            format!("\"a\\u001bb\" = 1{WIKI}"),
            &["1:1: \"a\\u{1b}b\": unknown key"],
        ),
    ];
    for (what, text, expected) in table {
        assert_eq!(in_route(&text), expected, "{what}");
    }
}

#[test]
fn a_secret_is_in_no_finding_whatever_is_wrong_with_it() {
    // S-318
    let with = |line: &str| main("client_secret_file = \"secret\"", line);
    for text in [
        with("client_secret = 8112358132134"),
        with("client_secret = [\"8112358132134\"]"),
        with("client_secret = { x = \"8112358132134\" }"),
        with("client_secret = 8112358132134hunter"),
        with("client_secret = \"8112358132134"),
        with("client_secret = \"8112358132134\\q\""),
        with("client_secret = \"8112358132134\"\nclient_secret = \"8112358132134\""),
        with("client_secret = \"8112358132134\"\nclient_secret_file = \"secret\""),
        with("client_secret = \"8112358132134\" trailing"),
        with("= \"8112358132134\""),
    ] {
        let base = Base::new(&text, &[("wiki", WIKI)]);
        let loaded = base.load(&[]);
        assert!(loaded.config.is_none(), "{text}");
        let said = format!("{:?} {:?}", base.findings(&[]), loaded);
        assert!(!said.contains("8112358132134"), "{said}");
    }
    let base = Base::new(MAIN, &[("wiki", WIKI)]);
    let loaded = base.load(&[("VESTIBULE_ENTRA__CLIENT_SECRET", "8112358132134")]);
    assert!(loaded.config.is_none());
    let said = base.findings(&[("VESTIBULE_ENTRA__CLIENT_SECRET", "8112358132134")]);
    assert!(
        said[0].contains("client_secret (from the variable VESTIBULE_ENTRA__CLIENT_SECRET) and"),
        "{said:?}"
    );
    assert!(!format!("{loaded:?}").contains("8112358132134"));
    base.write("secret", "8112358132134\n");
    assert!(!format!("{:?}", base.load(&[])).contains("8112358132134"));
}

#[test]
fn every_broken_line_of_toml_is_reported_and_the_rest_of_the_files_too() {
    let base = Base::new("https = x\n[listen\n", &[("wiki", "to = 1\n")]);
    let findings = base.findings(&[]);
    let starts = [
        "error: config/routes.d/wiki.toml:1:6: to: expected a text or a list, found a number",
        "error: config/vestibule.toml:1:9: this is not TOML: ",
        "error: config/vestibule.toml:2:8: this is not TOML: ",
    ];
    assert_eq!(findings.len(), starts.len(), "{findings:#?}");
    for (finding, start) in findings.iter().zip(starts) {
        assert!(finding.starts_with(start), "{finding}");
    }
}

#[test]
fn what_is_wrong_with_the_folders_is_said() {
    let base = Base::new(MAIN, &[]);
    assert_eq!(
        brief(&base.findings(&[])[0], ""),
        "config/routes.d: there is no route"
    );
    fs::remove_dir(base.path().join("config/routes.d")).unwrap();
    fs::remove_file(base.path().join("certs/apps.key")).unwrap();
    base.write("certs/other.key", "");
    let findings: Vec<_> = base
        .findings(&[])
        .iter()
        .map(|line| brief(line, ""))
        .collect();
    assert_eq!(
        findings,
        [
            "certs: there is no certificate with its key",
            "certs/apps.crt: the certificate has no key of the same name beside it",
            "certs/other.key: the key has no certificate of the same name beside it",
            "config/routes.d: cannot look for routes: there is no such file or folder",
        ]
    );
    fs::remove_file(base.path().join("config/vestibule.toml")).unwrap();
    let findings = base.findings(&[]);
    assert!(
        findings.iter().any(|line| line.starts_with(
            "error: config/vestibule.toml: cannot read the file: there is no such file or folder"
        )),
        "{findings:#?}"
    );
}

#[test]
fn routes_are_checked_against_one_another() {
    let other = WIKI.replace("wiki.example.com", "WIKI.example.com/");
    let findings =
        Base::new(MAIN, &[("a", WIKI), ("b", &format!("id = \"A\"{other}"))]).findings(&[]);
    let found: Vec<_> = findings
        .iter()
        .map(|line| brief(line, "config/routes.d/b.toml"))
        .collect();
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("1:6: id: another route has the id `A`"));
    assert!(found[1].starts_with("2:8: from: another route has the same address"));
}

const TWO_PROVIDERS: &str = r#"
[idp.google]
issuer = "https://accounts.google.com"
client_id = "app"
client_secret_file = "secret"
"#;

#[test]
fn with_several_providers_each_route_names_its_own_and_a_host_has_one() {
    let main = format!("{MAIN}{TWO_PROVIDERS}");
    let entra = format!("{WIKI}idp = \"entra\"\n");
    let google = route("\"signed-in\"", "{ users = [\"a@b.c\"] }")
        .replace("wiki.example.com", "wiki.example.com/g")
        + "idp = \"google\"\n";
    let none = WIKI.replace("wiki.", "third.");
    let base = Base::new(&main, &[("a", &entra), ("b", &google), ("c", &none)]);
    let findings: Vec<_> = base
        .findings(&[])
        .iter()
        .map(|line| brief(line, ""))
        .collect();
    assert_eq!(
        findings,
        [
            "config/routes.d/b.toml:5:7: idp: route `a` of the same host wiki.example.com has another provider",
            "config/routes.d/c.toml: idp: several providers are configured, and the route names none",
        ]
    );
}

#[test]
fn signed_in_is_refused_where_everybody_on_earth_signs_in() {
    let consumers = main("contoso.onmicrosoft.com", "consumers")
        + "tenants = [\"9188040D-6C67-4C5B-B112-36A304B66DAD\"]";
    let google = MAIN.split("[entra]").next().unwrap_or_default().to_owned() + TWO_PROVIDERS;
    for main in [consumers, google] {
        let findings = findings_of_main(&main);
        let [finding] = findings.as_slice() else {
            panic!("{findings:#?}")
        };
        assert!(finding.starts_with(
            "error: config/routes.d/wiki.toml:4:9: allow: everybody on earth can sign in"
        ));
    }
}

#[cfg(unix)]
#[test]
fn a_secret_that_everybody_can_read_is_a_warning() {
    use std::os::unix::fs::PermissionsExt as _;
    let base = Base::new(MAIN, &[("wiki", WIKI)]);
    for name in ["secret", "certs/apps.key"] {
        let mode = fs::Permissions::from_mode(0o644);
        fs::set_permissions(base.path().join(name), mode).unwrap();
    }
    let findings = base.findings(&[]);
    assert_eq!(findings.len(), 2, "{findings:#?}");
    assert!(
        findings
            .iter()
            .all(|line| line.starts_with("warning: ") && line.contains("everybody"))
    );
    assert!(base.load(&[]).config.is_some());
}

#[test]
fn an_app_that_is_vestibule_itself_is_a_warning() {
    let text = route("http://127.0.0.1:8080", "http://localhost:443");
    let findings = findings_of_route(&text);
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert!(
        findings[0]
            .starts_with("warning: config/routes.d/a.toml:3:6: to: the app's address is one")
    );
}

#[test]
fn an_uncovered_host_is_found_where_it_was_written() {
    let config = Base::new(MAIN, &[("wiki", WIKI)]).config(&[]);
    let findings = super::super::check::uncovered_hosts(&config.routes, |host| host == "x");
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].place, config.routes[0].place);
    assert!(super::super::check::uncovered_hosts(&config.routes, |_| true).is_empty());
}
