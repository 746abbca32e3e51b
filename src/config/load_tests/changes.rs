//! What a changed file amounts to: which keys are different, and that it is looked at in the first place.

use std::fs;

use super::{
    super::difference::{Change, Difference},
    Base, MAIN, WIKI,
};
use crate::identity::{ProviderName, RouteId};

/// The difference that another main file makes.
fn of_main(main: &str) -> Difference {
    let base = Base::new(MAIN, &[("wiki", WIKI)]);
    let before = base.config(&[]);
    base.write("config/vestibule.toml", main);
    Difference::between(&before, &base.config(&[]))
}

fn of_route(route: &str) -> Difference {
    let base = Base::new(MAIN, &[("wiki", WIKI)]);
    let before = base.config(&[]);
    base.write("config/routes.d/wiki.toml", route);
    Difference::between(&before, &base.config(&[]))
}

#[test]
fn remarks_order_and_defaults_that_are_written_are_no_difference() {
    let main = format!("# a remark\n\n{MAIN}scopes = [\"openid\", \"profile\", \"email\"]\n");
    assert_eq!(of_main(&main), Difference::default());
    let route = format!("# a remark\nguests = \"refuse\"\n{WIKI}[upstream]\ntimeout = \"60s\"\n");
    assert!(of_route(&route).is_nothing());
}

#[test]
fn every_key_of_a_route_that_changes_is_named_and_no_other() {
    let other_app = WIKI.replace("8080", "8081");
    let other_rule = WIKI.replace("\"signed-in\"", "{ users = [\"ann@example.com\"] }");
    for (route, keys) in [
        (format!("title = \"W\"\n{WIKI}"), vec!["title"]),
        (other_app, vec!["to"]),
        (other_rule, vec!["allow"]),
        (format!("{WIKI}guests = \"allow\"\n"), vec!["guests"]),
        (format!("{WIKI}[deny]\nroles = [\"x\"]\n"), vec!["deny"]),
        (format!("{WIKI}[[public]]\npath = \"/a\"\n"), vec!["public"]),
        (
            format!("{WIKI}[bearer]\naudiences = [\"a\"]\nroles = [\"r\"]\n"),
            vec!["bearer"],
        ),
        (format!("origins = [\"none\"]\n{WIKI}"), vec!["origins"]),
        (
            format!("{WIKI}[unauthenticated]\nbrowser = \"page\"\n[help]\ntext = \"t\"\n"),
            vec!["unauthenticated.browser", "help.text"],
        ),
        (
            format!("{WIKI}[identity]\ngroups = \"all\"\n[identity.headers]\nX-A = \"{{user}}\"\n"),
            vec!["identity.groups", "identity.headers"],
        ),
        (
            format!("{WIKI}[upstream]\ntimeout = \"5s\"\nhost = \"upstream\"\n"),
            vec!["upstream.host", "upstream.timeout"],
        ),
    ] {
        let wiki = (RouteId("wiki".to_owned()), Change::Keys(keys));
        let expected = Difference {
            routes: vec![wiki],
            ..Difference::default()
        };
        assert_eq!(of_route(&route), expected, "{route}");
    }
}

#[test]
fn what_changes_at_once_is_told_from_what_waits_for_the_next_start() {
    for (key, in_listen, at_once, at_start) in [
        ("hsts = \"2d\"", true, vec!["listen.hsts"], vec![]),
        (
            "trusted_proxies = [\"10.0.0.1\"]",
            true,
            vec!["listen.trusted_proxies"],
            vec![],
        ),
        ("http = \"0.0.0.0:80\"", true, vec![], vec!["listen.http"]),
        ("grace = \"3s\"", true, vec![], vec!["listen.grace"]),
        (
            "[limits]\nidle = \"5s\"\nconnections = 7",
            false,
            vec!["limits.idle"],
            vec!["limits.connections"],
        ),
        (
            "[session]\nmax = \"1h\"\ncapacity = 7",
            false,
            vec!["session.max"],
            vec!["session.capacity"],
        ),
        (
            "[state]\ndir = \"other\"\n[log]\naccess = \"off\"",
            false,
            vec![],
            vec!["state.dir", "log.access"],
        ),
        (
            "[ops]\nlisten = \"127.0.0.1:9090\"",
            false,
            vec![],
            vec!["ops.listen"],
        ),
    ] {
        let main = if in_listen {
            MAIN.replace("[entra]", &format!("{key}\n[entra]"))
        } else {
            format!("{MAIN}{key}\n")
        };
        let expected = Difference {
            settings: at_once,
            at_next_start: at_start,
            ..Difference::default()
        };
        assert_eq!(of_main(&main), expected, "{key}");
    }
}

#[test]
fn a_secret_that_changes_is_named_and_not_shown() {
    // S-318
    let base = Base::new(MAIN, &[("wiki", WIKI)]);
    let before = base.config(&[]);
    base.write("secret", "the n3w one\n");
    base.write("config/routes.d/erp.toml", &WIKI.replace("wiki", "erp"));
    fs::remove_file(base.path().join("config/routes.d/wiki.toml")).unwrap();
    let difference = Difference::between(&before, &base.config(&[]));
    let entra = ProviderName("entra".to_owned());
    assert_eq!(
        difference.providers,
        [(entra, Change::Keys(vec!["client_secret"]))]
    );
    let route = |id: &str, change| (RouteId(id.to_owned()), change);
    let routes = [route("erp", Change::Added), route("wiki", Change::Removed)];
    assert_eq!(difference.routes, routes);
    let shown = format!("{difference:?}");
    assert!(
        !shown.contains("n3w") && !shown.contains("s3cret"),
        "{shown}"
    );
}

#[test]
fn every_file_that_takes_part_is_looked_at_also_while_it_is_not_there() {
    let main = format!("{MAIN}ca_file = \"tls/ca.pem\"\n");
    let base = Base::new(&main, &[("wiki", WIKI)]);
    fs::remove_file(base.path().join("secret")).unwrap();
    fs::create_dir(base.path().join("tls")).unwrap();
    let loaded = base.load(&[]);
    assert!(loaded.config.is_none());
    let mut before = loaded.sources.look();
    for file in [
        "secret",
        "tls/ca.pem",
        "certs/new.crt",
        "certs/new.key",
        "config/routes.d/new.toml",
        "config/vestibule.toml",
    ] {
        base.write(file, "changed");
        let after = loaded.sources.look();
        assert_ne!(before, after, "{file}");
        before = after;
    }
    let listed = "[tls]\ncertificates = [{ cert_file = \"a.pem\", key_file = \"b.pem\" }]\n";
    let base = Base::new(&format!("{MAIN}{listed}"), &[("wiki", WIKI)]);
    let loaded = base.load(&[]);
    let mut before = loaded.sources.look();
    for (file, counts) in [("a.pem", true), ("b.pem", true), ("certs/new.crt", false)] {
        base.write(file, "changed");
        let after = loaded.sources.look();
        assert_eq!(before != after, counts, "{file}");
        before = after;
    }
}
