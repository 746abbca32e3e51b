//! Who wins: built-in defaults, `[defaults]`, the file, the environment; and where a value is said to
//! have come from.

use std::time::Duration;

use super::{
    super::route::{Allow, Guests, Rules},
    Base, MAIN, WIKI,
};

fn allowed(base: &Base, environment: &[(&str, &str)]) -> Rules {
    match base.config(environment).routes.remove(0).allow {
        Allow::Any(rules) => rules,
        Allow::SignedIn => panic!("signed-in"),
    }
}

#[test]
fn a_number_or_text_of_a_later_source_wins() {
    let base = Base::new(MAIN, &[("wiki", WIKI)]);
    let grace = |environment: &[_]| base.config(environment).listen.grace;
    assert_eq!(grace(&[]), Duration::from_secs(20));
    assert_eq!(
        grace(&[("VESTIBULE_LISTEN__GRACE", "1s")]),
        Duration::from_secs(1)
    );
    let main = MAIN.replacen("[listen]", "[listen]\ngrace = \"5s\"\nworkers = 2", 1);
    base.write("config/vestibule.toml", &main);
    assert_eq!(grace(&[]), Duration::from_secs(5));
    assert_eq!(
        grace(&[("VESTIBULE_LISTEN__GRACE", "1s")]),
        Duration::from_secs(1)
    );
    let workers = base
        .config(&[("VESTIBULE_LISTEN__WORKERS", "3")])
        .listen
        .workers;
    assert_eq!(workers, 3);
}

#[test]
fn lists_are_replaced_and_tables_are_merged() {
    let text = WIKI.replace(
        "allow = \"signed-in\"",
        "[allow]\nusers = [\"A@x.y\", \"b\"]\nroles = [\"r\"]",
    );
    let base = Base::new(MAIN, &[("wiki", &text)]);
    assert_eq!(allowed(&base, &[]).users, ["a@x.y", "b"]);
    let rules = allowed(&base, &[("VESTIBULE_ROUTE_WIKI__ALLOW__USERS", "[\"c\"]")]);
    assert_eq!(
        (rules.users, rules.roles),
        (vec!["c".to_owned()], vec!["r".to_owned()])
    );
    let rules = allowed(&base, &[("VESTIBULE_ROUTE_WIKI__ALLOW__USERS", "c, d")]);
    assert_eq!(rules.users, ["c", "d"]);
    let config = base.config(&[("VESTIBULE_ROUTE_WIKI__ALLOW", "signed-in")]);
    assert_eq!(config.routes[0].allow, Allow::SignedIn);
}

#[test]
fn a_route_gets_the_defaults_unless_it_says_otherwise() {
    let defaults = "[defaults]\nguests = \"allow\"\n[defaults.upstream]\ntimeout = \"5s\"\n\
                  [defaults.allow]\nroles = [\"Everywhere\"]\n[defaults.help]\ncontact = \"c\"\n\
                  [defaults.identity.headers]\nX-User = \"{user}\"\n";
    let allow = "allow = \"signed-in\"";
    let without_allow = WIKI.replace(allow, "[help]\ntext = \"t\"");
    let base = Base::new(&format!("{MAIN}{defaults}"), &[("wiki", &without_allow)]);
    let route = base.config(&[]).routes.remove(0);
    assert_eq!(route.guests, Guests::Allow);
    assert_eq!(route.upstream.timeout, Duration::from_secs(5));
    assert_eq!(route.help.contact.as_deref(), Some("c"));
    assert_eq!(route.help.text.as_deref(), Some("t"));
    assert_eq!(allowed(&base, &[]).roles, ["Everywhere"]);
    assert_eq!(route.identity.headers.len(), 1);
    let by_variable = base.config(&[("VESTIBULE_DEFAULTS__GUESTS", "refuse")]);
    assert_eq!(by_variable.routes[0].guests, Guests::Refuse);

    let own = WIKI.replace(allow, "guests = \"refuse\"\n[allow]\nusers = [\"u\"]")
        + "[identity.headers]\nX-Own = \"{user}\"\n";
    base.write("config/routes.d/wiki.toml", &own);
    let route = base.config(&[]).routes.remove(0);
    assert_eq!(route.guests, Guests::Refuse);
    // Whoever reads the file sees everybody it lets in.
    assert_eq!(
        allowed(&base, &[]),
        Rules {
            users: vec!["u".to_owned()],
            ..Rules::default()
        }
    );
    let names: Vec<_> = route
        .identity
        .headers
        .iter()
        .map(|h| h.name.as_str())
        .collect();
    assert_eq!(names, ["x-own"]);
}

#[test]
fn a_variable_of_a_route_finds_it_by_its_folded_id() {
    let base = Base::new(MAIN, &[("my-wiki.eu", WIKI)]);
    let variable = "VESTIBULE_ROUTE_MY_WIKI_EU__TITLE";
    assert_eq!(base.config(&[(variable, "0123")]).routes[0].title, "0123");
    assert_eq!(
        base.findings(&[("VESTIBULE_ROUTE_WIKI__TITLE", "x")]),
        ["error: VESTIBULE_ROUTE_WIKI__TITLE: no route has the id `wiki` (routes are: my-wiki.eu)"]
    );
    assert!(
        base.findings(&[("VESTIBULE_ROUTE_MY_WIKI_EU__ID", "x")])[0]
            .contains("cannot come from one")
    );
}

#[test]
fn a_bad_value_of_a_variable_is_reported_with_its_name() {
    let base = Base::new(MAIN, &[("wiki", WIKI)]);
    let findings = base.findings(&[
        ("VESTIBULE_SESSION__MAX", "25h"),
        ("VESTIBULE_LISTEN__WORKERS", "many"),
        ("VESTIBULE_SESION__MAX", "1h"),
        ("VESTIBULE_LISTEN__HTTPS__PORT", "1"),
        ("VESTIBULE_ROUTE_WIKI__FROM", "wiki"),
    ]);
    let starts = [
        "error: VESTIBULE_LISTEN__HTTPS__PORT: listen.https: expected a text, found a table",
        "error: VESTIBULE_LISTEN__WORKERS: listen.workers: expected a whole number, found a text",
        "error: VESTIBULE_ROUTE_WIKI__FROM: from: \"wiki\" does not begin with https://",
        "error: VESTIBULE_SESION__MAX: sesion: unknown key (did you mean VESTIBULE_SESSION__MAX?)",
        "error: VESTIBULE_SESSION__MAX: session.max: a session lives longer than nothing",
    ];
    assert_eq!(findings.len(), starts.len(), "{findings:#?}");
    for (finding, start) in findings.iter().zip(starts) {
        assert!(finding.starts_with(start), "{finding}");
    }
}

#[test]
fn a_bad_value_of_the_defaults_is_reported_where_it_was_written() {
    let main = format!("{MAIN}[[defaults.public]]\npath = \"/a/x\"\n");
    let text = WIKI.replace("wiki.example.com", "wiki.example.com/b");
    let findings = Base::new(&main, &[("wiki", &text)]).findings(&[]);
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert!(
        findings[0]
            .starts_with("error: config/vestibule.toml:9:8: defaults.public[0].path: /a/x lies")
    );
}

#[test]
fn names_without_two_underscores_are_ignored() {
    let base = Base::new(MAIN, &[("wiki", WIKI)]);
    base.config(&[
        ("VESTIBULE_PORT", "tcp://10.0.0.1:443"),
        ("VESTIBULE_SERVICE_HOST", "10.0.0.1"),
        ("VESTIBULE__X", "x"),
        ("VESTIBULE_", "x"),
        ("OTHER__LISTEN", "x"),
        ("vestibule_listen__https", "x"),
    ]);
    assert_eq!(
        base.findings(&[
            ("VESTIBULE_LISTEN__GRACE", "1s"),
            ("VESTIBULE_listen__grace", "2s")
        ]),
        [
            "error: VESTIBULE_listen__grace: VESTIBULE_LISTEN__GRACE sets the same key (set one of the two)"
        ]
    );
}

#[test]
fn a_secret_from_the_environment_stays_the_text_it_is() {
    let main = MAIN.replace("client_secret_file = \"secret\"", "");
    let base = Base::new(&main, &[("wiki", WIKI)]);
    for secret in ["0123", "true", "[1]", "{a = 1}", "1,2", " x "] {
        let config = base.config(&[("VESTIBULE_ENTRA__CLIENT_SECRET", secret)]);
        assert_eq!(config.providers[0].client_secret.expose(), secret);
    }
    let config = base.config(&[("VESTIBULE_ENTRA__CLIENT_SECRET_FILE", "secret")]);
    assert_eq!(config.providers[0].client_secret.expose(), "s3cret");
    for (name, text) in [("empty", ""), ("newline", "\r\n")] {
        base.write(name, text);
        let findings = base.findings(&[("VESTIBULE_ENTRA__CLIENT_SECRET_FILE", name)]);
        assert!(
            findings[0].starts_with("error: VESTIBULE_ENTRA__CLIENT_SECRET_FILE: "),
            "{findings:#?}"
        );
        assert!(findings[0].contains("is empty"), "{findings:#?}");
    }
}

#[test]
fn a_provider_is_known_to_variables_by_its_folded_name() {
    let main = format!(
        "{}[idp.My-Id]\nissuer = \"https://id.example.com/\"\nclient_id = \"app\"\n",
        MAIN.split("[entra]").next().unwrap_or_default()
    );
    let base = Base::new(&main, &[("wiki", WIKI)]);
    let config = base.config(&[("VESTIBULE_IDP__MY_ID__CLIENT_SECRET", "x")]);
    assert_eq!(config.providers[0].name.0, "My-Id");
}

#[test]
fn groups_are_named_by_object_id_or_alias() {
    let id = "6F9619FF-8B86-D011-B42D-00C04FC964FF";
    let main = format!("{MAIN}[aliases.groups]\nerp-eu = \"{id}\"\nbad = \"x\"\n");
    let text = WIKI.replace(
        "\"signed-in\"",
        &format!("{{ groups = [\"erp-eu\", \"{id}\"] }}"),
    );
    let base = Base::new(&main, &[("wiki", &text)]);
    let id = id.to_lowercase();
    assert_eq!(allowed(&base, &[]).groups, [id.clone(), id]);
    for (written, said) in [
        ("erp-e", "did you mean \"erp-eu\"?"),
        ("bad", "does not stand for"),
    ] {
        let findings = base.findings(&[("VESTIBULE_ROUTE_WIKI__ALLOW__GROUPS", written)]);
        assert_eq!(findings.len(), 1, "{findings:#?}");
        assert!(findings[0].contains(said), "{findings:#?}");
    }
}
