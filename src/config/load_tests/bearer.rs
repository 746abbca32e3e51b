//! `[bearer]`: what has to be written, and what is read out of it.

use super::*;

const TENANT: &str = "c0000000-0000-4000-8000-00000000000c";

fn route(bearer: &str) -> String {
    format!("{WIKI}\n[bearer]\n{bearer}")
}

#[test]
fn the_smallest_table_takes_tokens_of_the_routes_provider() {
    let text = route("audiences = [\"api://wiki\"]\nroles = [\"Sync\"]");
    let config = Base::new(MAIN, &[("wiki", &text)]).config(&[]);
    let bearer = config.routes[0].bearer.clone().unwrap();
    let [issuer] = bearer.issuers.as_slice() else {
        panic!()
    };
    assert_eq!(issuer.issuer, None);
    assert_eq!(issuer.keys.name(), config.providers[0].name);
    assert_eq!(bearer.roles, ["Sync"]);
    assert!(bearer.scopes.is_empty() && bearer.clients.is_empty());
    let plain = Base::new(MAIN, &[("wiki", WIKI)]).config(&[]);
    assert_eq!(plain.routes[0].bearer, None);
}

#[test]
fn issuers_are_kept_byte_for_byte_and_clients_folded() {
    let v1 = format!("https://sts.windows.net/{TENANT}/");
    let text = route(&format!(
        "issuers = [\"{v1}\", \"https://id.example/realms/a\"]\naudiences = [\"a\", \"b\"]\n\
         scopes = [\"read\"]\nclients = [\"{}\", \"Build\"]",
        TENANT.to_uppercase()
    ));
    let config = Base::new(MAIN, &[("wiki", &text)]).config(&[]);
    let bearer = config.routes[0].bearer.clone().unwrap();
    let issuers: Vec<_> = bearer.issuers.iter().map(|it| it.issuer.clone()).collect();
    assert_eq!(
        issuers,
        [Some(v1), Some("https://id.example/realms/a".to_owned())]
    );
    assert_eq!(
        bearer.issuers[0].keys.name().0,
        format!("https://login.microsoftonline.com/{TENANT}/v2.0")
    );
    assert_eq!(bearer.clients, [TENANT, "Build"]);
}

#[test]
fn a_table_that_would_let_in_more_than_was_meant_is_an_error() {
    for (bearer, words) in [
        ("roles = [\"a\"]", "bearer.audiences: the key is missing"),
        ("audiences = []\nroles = [\"a\"]", "bearer.audiences"),
        ("audiences = [\"a\"]", "no role and no scope is asked for"),
        (
            "audiences = [\"a\"]\nroles = []\nscopes = []",
            "no role and no scope is asked for",
        ),
        (
            "audiences = [\"a\"]\nclients = [\"b\"]",
            "no role and no scope is asked for",
        ),
        (
            "audiences = [\"a\"]\nroles = [\"a\"]\nissuers = []",
            "bearer.issuers",
        ),
        (
            "audiences = [\"a b\"]\nroles = [\"a\"]",
            "bearer.audiences[0]",
        ),
        ("audiences = \"a\"\nroles = [\"a\"]", "bearer.audiences"),
        (
            "audiences = [\"a\"]\nroles = [\"a\"]\nissuers = [\"http://id.example\"]",
            "bearer.issuers[0]",
        ),
        (
            "audiences = [\"a\"]\nroles = [\"a\"]\nissuers = \
             [\"https://login.microsoftonline.com/common/v2.0\"]",
            "bearer.issuers[0]",
        ),
        (
            "audiences = [\"a\"]\nscope = [\"a\"]",
            "did you mean `scopes`",
        ),
    ] {
        let findings = findings_of_route(&route(bearer));
        assert!(
            findings.iter().any(|it| it.contains(words)),
            "{bearer}: {findings:#?}"
        );
    }
}

#[test]
fn a_table_of_the_route_replaces_that_of_the_defaults() {
    let defaults = "[defaults.bearer]\naudiences = [\"api://all\"]\nroles = [\"All\"]\n\
                    clients = [\"one\"]";
    let main = format!("{MAIN}\n{defaults}");
    let own = route("audiences = [\"api://wiki\"]\nscopes = [\"read\"]");
    let inherited = WIKI.replace("wiki", "erp");
    let config = Base::new(&main, &[("wiki", &own), ("erp", &inherited)]).config(&[]);
    let erp = config.routes[0].bearer.as_ref().unwrap();
    assert_eq!(
        (&*erp.roles, &*erp.clients),
        (&["All".to_owned()][..], &["one".to_owned()][..])
    );
    let wiki = config.routes[1].bearer.as_ref().unwrap();
    assert!(wiki.roles.is_empty() && wiki.clients.is_empty());
    assert_eq!(wiki.audiences, ["api://wiki"]);
}
