//! `to` and `[upstream]`: what is read out of them, and what is wrong with them.

use std::path::PathBuf;

use super::{
    super::{
        difference::{Change, Difference},
        route::{ClientCertificate, HealthCheck, UpstreamTls},
    },
    *,
};
use crate::identity::RouteId;

/// A route whose app is there.
fn to(written: &str) -> String {
    WIKI.replacen("\"http://127.0.0.1:8080\"", written, 1)
}

fn base(route: &str) -> Base {
    let base = Base::new(MAIN, &[("wiki", route)]);
    for file in ["ca.pem", "own.pem", "own.key"] {
        base.write(file, "");
    }
    base
}

/// The findings without their remedies, from the place in the file on.
fn said(route: &str) -> Vec<String> {
    let findings = base(route).findings(&[]);
    let brief = findings.iter().map(|line| {
        let line = line.strip_prefix("error: ").unwrap_or(line);
        let line = line
            .strip_prefix("config/routes.d/wiki.toml")
            .unwrap_or(line);
        line.split(" (").next().unwrap_or_default().to_owned()
    });
    brief.collect()
}

fn addresses(base: &Base, environment: &[(&str, &str)]) -> Vec<String> {
    let config = base.config(environment);
    config.routes[0]
        .to
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn an_app_is_at_an_address_a_socket_or_at_several_of_a_kind() {
    for (written, read) in [
        ("\"http://127.0.0.1\"", vec!["http://127.0.0.1:80"]),
        ("\"https://app.example\"", vec!["https://app.example:443"]),
        ("\"unix:/run/app.sock\"", vec!["unix:/run/app.sock"]),
        ("[\"http://[::1]:81\"]", vec!["http://[::1]:81"]),
        (
            "[\"https://b:8443\", \"https://a:8443\"]",
            vec!["https://b:8443", "https://a:8443"],
        ),
        (
            "[\"unix:/run/1\", \"unix:/run/2\"]",
            vec!["unix:/run/1", "unix:/run/2"],
        ),
    ] {
        assert_eq!(addresses(&base(&to(written)), &[]), read, "{written}");
    }
}

#[test]
fn a_relative_socket_lies_beside_the_config_folder() {
    let base = base(&to("\"unix:run/app.sock\""));
    let there = format!("unix:{}/run/app.sock", base.path().display());
    assert_eq!(addresses(&base, &[]), [there]);
}

#[test]
fn a_variable_may_hold_one_address_or_a_list() {
    let base = base(WIKI);
    for (value, read) in [
        ("https://a", vec!["https://a:443"]),
        (
            " [\"https://a\", \"https://b\"]",
            vec!["https://a:443", "https://b:443"],
        ),
    ] {
        let read_from = addresses(&base, &[("VESTIBULE_ROUTE_WIKI__TO", value)]);
        assert_eq!(read_from, read, "{value}");
    }
}

#[test]
fn what_is_wrong_with_a_list_is_said_with_its_element() {
    let long = "x".repeat(108);
    let many: Vec<_> = (1..=65)
        .map(|it| format!("\"http://127.0.0.1:{it}\""))
        .collect();
    for (written, expected) in [
        ("[]".to_owned(), ":3:6: to: the list is empty"),
        (
            "[\"http://127.0.0.1\", \"https://b\"]".to_owned(),
            ":3:27: to[1]: the list mixes http: and https: addresses",
        ),
        (
            "[\"http://127.0.0.1\", \"unix:/run/b\"]".to_owned(),
            ":3:27: to[1]: the list mixes http: and unix: addresses",
        ),
        (
            "[\"https://b\", \"https://B:443\"]".to_owned(),
            ":3:20: to[1]: https://b:443 is in the list already",
        ),
        (
            "[\"https://b\", \"htps://c\"]".to_owned(),
            ":3:20: to[1]: \"htps://c\" does not begin with http://, https:// or unix:",
        ),
        (
            "[\"http://127.0.0.1\", \"http://10.0.0.1\"]".to_owned(),
            ":3:6: to: the app is spoken to in plain HTTP across a network, where others could read \
             along or reach it without vestibule",
        ),
        (
            format!("[{}]", many.join(", ")),
            ":3:6: to: the list has more than 64 addresses",
        ),
        (
            format!("\"unix:/{long}\""),
            ":3:6: to: the path of the socket, /",
        ),
    ] {
        let said = said(&to(&written));
        assert_eq!(said.len(), 1, "{written}: {said:#?}");
        assert!(said[0].starts_with(expected), "{written}: {said:#?}");
    }
    assert_eq!(said(&to(&format!("\"unix:/{}\"", &long[2..]))), [""; 0]);
}

#[test]
fn neither_tls_nor_a_socket_needs_a_promise_about_the_network() {
    for written in ["\"https://10.0.0.1\"", "\"unix:/run/app.sock\""] {
        assert_eq!(said(&to(written)), [""; 0], "{written}");
    }
}

#[test]
fn tls_is_spoken_as_the_table_says() {
    let route = to("\"https://10.0.0.7:8443\"")
        + "[upstream]\nca_file = \"ca.pem\"\nclient_cert_file = \"own.pem\"\n\
           client_key_file = \"own.key\"\nserver_name = \"App.Example\"\n\
           [upstream.health]\npath = \"/health?x=1\"\nevery = \"30s\"\ntimeout = \"500ms\"";
    let base = base(&route);
    let upstream = base.config(&[]).routes[0].upstream.clone();
    let at = |name: &str| base.path().join(name);
    let client = ClientCertificate {
        cert_file: at("own.pem"),
        key_file: at("own.key"),
    };
    let tls = UpstreamTls {
        ca_file: Some(at("ca.pem")),
        client: Some(client),
        server_name: Some("app.example".to_owned()),
    };
    assert_eq!(upstream.tls, tls);
    let health = HealthCheck {
        path: "/health?x=1".to_owned(),
        every: Duration::from_secs(30),
        timeout: Duration::from_millis(500),
    };
    assert_eq!(upstream.health, Some(health));
}

#[test]
fn checks_have_defaults_and_no_table_means_none() {
    let plain = base(WIKI).config(&[]);
    assert_eq!(plain.routes[0].upstream.health, None);
    assert_eq!(plain.routes[0].upstream.tls, UpstreamTls::default());
    let route = format!("{WIKI}[upstream.health]\npath = \"/\"");
    let health = base(&route).config(&[]).routes[0]
        .upstream
        .health
        .clone()
        .unwrap();
    assert_eq!(health.every, Duration::from_secs(10));
    assert_eq!(health.timeout, Duration::from_secs(2));
}

#[test]
fn what_does_not_fit_together_is_an_error() {
    let https = to("\"https://10.0.0.7\"");
    let no_effect = "no TLS is spoken to the app, and so this has no effect";
    for (route, upstream, expected) in [
        (
            WIKI,
            "ca_file = \"ca.pem\"",
            format!("upstream.ca_file: {no_effect}"),
        ),
        (
            WIKI,
            "server_name = \"a.example\"",
            format!("upstream.server_name: {no_effect}"),
        ),
        (
            &to("\"unix:/run/a\""),
            "client_cert_file = \"own.pem\"\nclient_key_file = \"own.key\"",
            format!("upstream.client_cert_file: {no_effect}"),
        ),
        (
            &https,
            "client_cert_file = \"own.pem\"",
            "upstream.client_key_file: there is no private key beside the other half".to_owned(),
        ),
        (
            &https,
            "client_key_file = \"own.key\"",
            "upstream.client_cert_file: there is no certificate beside the other half".to_owned(),
        ),
        (
            &https,
            "ca_file = \"missing.pem\"",
            "upstream.ca_file: ".to_owned(),
        ),
        (
            &https,
            "server_name = \"a b\"",
            "upstream.server_name: \"a b\" names no valid host".to_owned(),
        ),
        (
            WIKI,
            "health = { every = \"10s\" }",
            "upstream.health.path: the key is missing".to_owned(),
        ),
        (
            WIKI,
            "health = { path = \"health\" }",
            "upstream.health.path: \"health\" is no path of an app".to_owned(),
        ),
        (
            WIKI,
            "health = { path = \"/\", every = \"999ms\" }",
            "upstream.health.every: checks more than once a second".to_owned(),
        ),
        (
            WIKI,
            "health = { path = \"/\", timeout = \"0s\" }",
            "upstream.health.timeout: no app answers in no time".to_owned(),
        ),
    ] {
        let said = said(&format!("{route}[upstream]\n{upstream}"));
        let found = said.iter().any(|line| line.contains(&expected));
        assert!(found, "{upstream}: {said:#?}");
    }
}

#[test]
fn every_file_for_an_app_is_looked_at_also_while_it_is_not_there() {
    let main = format!("{MAIN}[defaults.upstream]\nca_file = \"new-ca.pem\"");
    let route = to("\"https://10.0.0.7\"")
        + "[upstream]\nclient_cert_file = \"new.pem\"\nclient_key_file = \"new.key\"";
    let base = Base::new(&main, &[("wiki", &route)]);
    let loaded = base.load(&[]);
    assert!(loaded.config.is_none());
    let mut before = loaded.sources.look();
    for file in ["new-ca.pem", "new.pem", "new.key"] {
        base.write(file, "changed");
        let after = loaded.sources.look();
        assert_ne!(before, after, "{file}");
        before = after;
    }
}

#[test]
fn a_change_of_how_an_app_is_spoken_to_is_named_by_its_keys() {
    let https = to("\"https://10.0.0.7\"");
    let client = "client_cert_file = \"own.pem\"\nclient_key_file = \"own.key\"";
    for (upstream, keys) in [
        ("ca_file = \"ca.pem\"", vec!["upstream.ca_file"]),
        (client, vec!["upstream.client_cert_file"]),
        ("server_name = \"a.example\"", vec!["upstream.server_name"]),
        ("health = { path = \"/\" }", vec!["upstream.health"]),
    ] {
        let base = base(&https);
        let before = base.config(&[]);
        base.write(
            "config/routes.d/wiki.toml",
            &format!("{https}[upstream]\n{upstream}"),
        );
        let difference = Difference::between(&before, &base.config(&[]));
        let wiki = (RouteId("wiki".to_owned()), Change::Keys(keys));
        assert_eq!(difference.routes, [wiki], "{upstream}");
    }
    let base = base(&to("[\"https://a\", \"https://b\"]"));
    let before = base.config(&[]);
    base.write("config/routes.d/wiki.toml", &to("[\"https://a\"]"));
    let difference = Difference::between(&before, &base.config(&[]));
    let wiki = (RouteId("wiki".to_owned()), Change::Keys(vec!["to"]));
    assert_eq!(difference.routes, [wiki]);
}

#[test]
fn a_private_key_that_everybody_can_read_is_a_warning() {
    use std::os::unix::fs::PermissionsExt as _;

    let route = to("\"https://10.0.0.7\"")
        + "[upstream]\nclient_cert_file = \"own.pem\"\nclient_key_file = \"own.key\"";
    let base = base(&route);
    let key: PathBuf = base.path().join("own.key");
    fs::set_permissions(key, fs::Permissions::from_mode(0o644)).unwrap();
    let findings = base.findings(&[]);
    assert_eq!(
        findings,
        ["warning: own.key: everybody on this machine can read the private key (chmod o-r)"]
    );
}
