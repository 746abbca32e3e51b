//! Tests of remedies: what a finding says to write is accepted as it stands.

use std::collections::BTreeSet;

use super::*;

/// Keys with a value of a form, and how each is written into its file.
const KEYS: &[(&str, &str)] = &[
    ("listen", "grace"),
    ("listen", "hsts"),
    ("listen", "http"),
    ("listen", "proxy_protocol"),
    ("listen", "trusted_proxies"),
    ("listen", "workers"),
    ("limits", "body_bytes"),
    ("limits", "body_idle"),
    ("limits", "connections"),
    ("limits", "connections_per_address"),
    ("limits", "head_bytes"),
    ("limits", "head_timeout"),
    ("limits", "headers"),
    ("limits", "idle"),
    ("limits", "public_body_bytes"),
    ("limits", "streams"),
    ("limits", "target_bytes"),
    ("limits", "tls_timeout"),
    ("log", "access"),
    ("ops", "listen"),
    ("session", "capacity"),
    ("session", "max"),
    ("upstream", "timeout"),
    ("upstream", "reachable"),
    ("unauthenticated", "browser"),
    ("identity", "groups"),
    ("identity", "user_claims"),
];

/// What somebody could type where something else belongs.
const TYPED: &[&str] = &[
    "0",
    "1048576",
    "-1",
    "1e6",
    "5.5",
    "true",
    "false",
    "[]",
    "[5]",
    "{}",
    "\"\"",
    "\"0\"",
    "\"10\"",
    "\"0B\"",
    "\"0s\"",
    "\"10MB\"",
    "\"10mb\"",
    "\"10 MB\"",
    "\"2TiB\"",
    "\"9999999GiB\"",
    "\"99999999999999999GiB\"",
    "\"4KiB\"",
    "\"30s\"",
    "\"2h\"",
    "\"9999d\"",
    "\"off\"",
    "\"OFF\"",
    "\"none\"",
    "\"true\"",
    "\"yes\"",
    "\"100\"",
    "\"x\"",
    "\"x y\"",
    "\"x, y\"",
    "\":9000\"",
    "\"9000\"",
    "\"*:9000\"",
    "\"localhost:9000\"",
    "\"127.0.0.1\"",
    "\"0.0.0.0/0\"",
    "\"10.0.0.1\"",
    "\"10.0.0.1, 10.0.0.2\"",
    "[\"10.0.0.1/8\"]",
    "[\"10.0.0.1/2\"]",
    "[\"::ffff:0:0/96\"]",
    "[\"::ffff:0:0/95\"]",
    "[\"::ffff:10.1.2.3/104\"]",
    "[\"::/0\"]",
    "[\"*\"]",
];

/// The findings about one key of the file that has its table.
fn said_of(table: &str, key: &str, value: &str) -> Vec<String> {
    let (mut main, mut route) = (MAIN.to_owned(), WIKI.to_owned());
    let line = format!("{key} = {value}\n");
    match table {
        "listen" if key == "proxy_protocol" => {
            let fronts = "trusted_proxies = [\"192.0.2.7\"]\n";
            main = main.replacen("[entra]", &format!("{fronts}{line}[entra]"), 1);
        }
        "listen" => main = main.replacen("[entra]", &format!("{line}[entra]"), 1),
        "limits" | "log" | "ops" | "session" => main = format!("{main}[{table}]\n{line}"),
        _ => route = format!("{route}[{table}]\n{line}"),
    }
    let loaded = Base::new(&main, &[("wiki", &route)]).load(&[]);
    let about = format!("{table}.{key}");
    let findings = loaded.findings.iter().filter(|finding| {
        let key = finding.place.key.as_deref();
        key.is_some_and(|key| key.starts_with(&about))
    });
    findings.map(|finding| finding.remedy.clone()).collect()
}

/// What stands in quotes, or between brackets, in a remedy.
fn examples(remedy: &str) -> Vec<String> {
    if let Some((_, bare)) = remedy.split_once("without quotes: ") {
        return vec![bare.to_owned()];
    }
    if let Some((_, list)) = remedy.split_once(" = [")
        && !list.starts_with("...")
    {
        return vec![format!("[{list}")];
    }
    let quoted = remedy.split('"').skip(1).step_by(2);
    quoted.map(|example| format!("\"{example}\"")).collect()
}

#[test]
fn what_a_remedy_says_to_write_is_accepted() {
    let mut tried = BTreeSet::new();
    for (table, key) in KEYS {
        for typed in TYPED {
            for remedy in said_of(table, key, typed) {
                assert!(!remedy.is_empty(), "{table}.{key} = {typed}: nothing to do");
                for example in examples(&remedy) {
                    if !tried.insert((table, key, example.clone())) {
                        continue;
                    }
                    let accepted = |value: &str| said_of(table, key, value).is_empty();
                    assert!(
                        accepted(&example) || accepted(&format!("[{example}]")),
                        "{table}.{key} = {typed}: {remedy}: {example} is refused"
                    );
                }
            }
        }
    }
    assert!(tried.len() > 80, "{} examples", tried.len());
}

#[test]
fn whole_numbers_within_the_bounds_that_are_told_are_accepted() {
    for (table, key) in KEYS {
        let Some(remedy) = said_of(table, key, "-1").pop() else {
            continue;
        };
        let Some((_, bounds)) = remedy.split_once("a whole number from ") else {
            continue;
        };
        let numbers = bounds.split(' ').filter_map(|it| it.parse::<i64>().ok());
        let numbers: Vec<_> = numbers.collect();
        assert_eq!(numbers.len(), 2, "{remedy}");
        for number in &numbers {
            assert!(
                said_of(table, key, &number.to_string()).is_empty(),
                "{remedy}"
            );
        }
        assert!(!said_of(table, key, &(numbers[1] + 1).to_string()).is_empty());
    }
}

#[test]
fn sizes_and_durations_beyond_the_bounds_that_are_told_are_refused() {
    for (key, beyond) in [
        ("head_bytes", ["8191B", "262145B"]),
        ("target_bytes", ["255B", "64513B"]),
        ("body_bytes", ["1023B", "1025GiB"]),
        ("public_body_bytes", ["1023B", "1025GiB"]),
        ("head_timeout", ["999ms", "3601s"]),
        ("tls_timeout", ["999ms", "3601s"]),
        ("idle", ["999ms", "3601s"]),
        ("body_idle", ["999ms", "3601s"]),
    ] {
        for value in beyond {
            let said = said_of("limits", key, &format!("\"{value}\""));
            assert_eq!(said.len(), 1, "{key} {value}");
        }
    }
}

#[test]
fn a_scalar_where_a_list_belongs_is_shown_as_a_list() {
    for (lines, said) in [
        (
            "users = \"bob@example.com\"",
            "users = [\"bob@example.com\"]",
        ),
        ("users = \"bob, ann\"", "users = [\"bob\", \"ann\"]"),
        ("domains = \"example.com\"", "domains = [\"example.com\"]"),
        ("domains = \"@\"", "domains = [...]: "),
    ] {
        let findings = findings_of_route(&format!("{WIKI}[deny]\n{lines}\n"));
        assert_eq!(findings.len(), 1, "{findings:#?}");
        assert!(findings[0].contains("expected a list, found a text"));
        assert!(findings[0].contains(said), "{findings:#?}");
    }
    for lines in ["public = \"/x\"", "[public]\npath = \"/x\""] {
        let findings = findings_of_route(&format!("{WIKI}{lines}\n"));
        assert!(findings[0].contains("write [[public]], "), "{findings:#?}");
    }
}

#[test]
fn an_unknown_key_leads_to_those_it_could_have_been() {
    for (lines, said) in [
        ("[limits]\nidle_timeout = \"60s\"", "did you mean `idle`?"),
        (
            "[limits]\nbody_size = \"1MiB\"",
            "`body_bytes` or `body_idle`?",
        ),
        (
            "[limits]\nhead-bytes = \"9KiB\"",
            "did you mean `head_bytes`?",
        ),
        ("[session]\nlifetime = \"8h\"", "known here: capacity, max"),
        // It slipped into the table above it.
        (
            "log = \"text\"",
            "entra.log: unknown key (`log` is a table of its own: write [log])",
        ),
    ] {
        let findings = findings_of_main(&format!("{MAIN}{lines}\n"));
        assert_eq!(findings.len(), 1, "{findings:#?}");
        assert!(findings[0].contains(said), "{findings:#?}");
    }
    let findings = findings_of_route(&format!("{WIKI}[help]\nguests = \"allow\"\n"));
    assert!(
        findings[0].contains("before the first [table]"),
        "{findings:#?}"
    );
    let findings = findings_of_main(&format!("{MAIN}[idp]\nissuer = \"https://a.example\"\n"));
    let named = "idp.issuer: expected a table, found a text (write [idp.NAME]";
    assert!(
        findings.iter().any(|it| it.contains(named)),
        "{findings:#?}"
    );
}

#[test]
fn a_variable_with_one_underscore_too_few_is_told_of() {
    let base = Base::new(
        &format!("{MAIN}[idp.my-okta]\nissuer = \"https://a.example\"\nclient_id = \"x\"\n"),
        &[("wiki", &format!("idp = \"entra\"\n{WIKI}"))],
    );
    let base_findings = base.findings(&[]);
    for (name, meant) in [
        ("VESTIBULE_LIMITS_STREAMS", "VESTIBULE_LIMITS__STREAMS"),
        ("VESTIBULE_LIMITS_STREAM", "VESTIBULE_LIMITS__STREAMS"),
        ("VESTIBULE_ENTRA_CLIENT_ID", "VESTIBULE_ENTRA__CLIENT_ID"),
        (
            "VESTIBULE_IDP_MY_OKTA_CLIENT_ID",
            "VESTIBULE_IDP__MY_OKTA__CLIENT_ID",
        ),
        ("VESTIBULE_SESION_MAX", "VESTIBULE_SESSION__MAX"),
        (
            "VESTIBULE_ROUTE_WIKI_UPSTREAM_TIMEOUT",
            "VESTIBULE_ROUTE_WIKI__UPSTREAM__TIMEOUT",
        ),
    ] {
        let mut findings = base.findings(&[(name, "s3cret")]);
        findings.retain(|it| !base_findings.contains(it));
        assert_eq!(findings.len(), 1, "{findings:#?}");
        let start = format!("warning: {name}: the variable is not configuration and was ignored");
        assert!(findings[0].starts_with(&start), "{findings:#?}");
        assert!(
            findings[0].contains(&format!("did you mean {meant}?")),
            "{findings:#?}"
        );
        assert!(!findings[0].contains("s3cret"));
    }
    for (name, meant) in [
        ("VESTIBULE_LIMITS__STREAM", "VESTIBULE_LIMITS__STREAMS"),
        ("VESTIBULE__LIMITS__STREAMS", "VESTIBULE_LIMITS__STREAMS"),
        (
            "VESTIBULE_ROUTES_WIKI__GUESTS",
            "VESTIBULE_ROUTE_WIKI__GUESTS",
        ),
        (
            "VESTIBULE_ROUTE_WIKY__GUESTS",
            "VESTIBULE_ROUTE_WIKI__GUESTS",
        ),
        (
            "VESTIBULE_ROUTE_WIKI__UPSTREAM_TIMEOUT",
            "VESTIBULE_ROUTE_WIKI__UPSTREAM__TIMEOUT",
        ),
    ] {
        let mut findings = base.findings(&[(name, "5")]);
        findings.retain(|it| !base_findings.contains(it));
        assert_eq!(findings.len(), 1, "{findings:#?}");
        assert!(
            findings[0].starts_with(&format!("error: {name}: ")),
            "{findings:#?}"
        );
        assert!(
            findings[0].contains(&format!("did you mean {meant}?")),
            "{findings:#?}"
        );
    }
}

#[test]
fn what_a_cluster_injects_is_never_told_of() {
    let base = Base::new(MAIN, &[("wiki", WIKI)]);
    for service in [
        "",
        "OPS_",
        "LOG_",
        "TLS_",
        "LISTEN_",
        "ROUTE_WIKI_",
        "SESSION_",
        "STATE_",
    ] {
        for rest in [
            "SERVICE_HOST",
            "SERVICE_PORT",
            "SERVICE_PORT_HTTPS",
            "PORT",
            "PORT_443_TCP",
            "PORT_443_TCP_PROTO",
            "PORT_443_TCP_PORT",
            "PORT_443_TCP_ADDR",
            "VERSION",
            "HOME",
        ] {
            let name = format!("VESTIBULE_{service}{rest}");
            assert_eq!(
                base.findings(&[(&name, "tcp://10.0.0.1:443")]),
                [""; 0],
                "{name}"
            );
        }
    }
}
