//! What a person's claims look like at the app, however they were written.

use crate::support::{
    clock,
    front::{Front, HOST, front},
    issuer::{self, Person, person},
    upstream::{self, Echo, Seen},
    vestibule,
    wire::{Protocol, ask},
};

const STAFF: &str = "aaaaaaaa-0000-4000-8000-000000000001";
const SALES: &str = "aaaaaaaa-0000-4000-8000-000000000002";

/// An app whose route sends name and roles, and the rest of `rules`.
fn telling(rules: &str) -> (Front, Echo) {
    let app = upstream::echo().run();
    let rules = format!(
        "{rules}\n[identity.headers]\nX-Remote-User = \"{{user}}\"\n\
         X-Remote-Name = \"name={{name}};\"\n\
         X-Remote-Roles = {{ value = \"{{roles}}\", join = \",\" }}\n\
         X-Remote-Groups = {{ value = \"{{groups}}\", join = \"; \" }}\n"
    );
    let front = front(|it| it.route("wiki", HOST, &rules, &app));
    (front, app)
}

/// What the app sees of a person.
async fn told(front: &Front, app: &Echo, person: Person) -> Seen {
    let session = front.session_of(HOST, person).await;
    let asked = ask("GET", "/").with("Cookie", &session);
    let reply = front.wire(Protocol::Http2, HOST).ask(&asked).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    app.requests().pop().unwrap()
}

#[tokio::test]
async fn a_claim_can_neither_end_a_line_nor_add_one() {
    // S-228
    let (front, app) = telling("allow = \"signed-in\"");
    for (claimed, told_as) in [
        (
            "Bob\r\nX-Remote-Roles: admin",
            "Bob%0D%0AX-Remote-Roles: admin",
        ),
        ("Bob\n", "Bob%0A"),
        ("a\0b", "a%00b"),
        // Cut to bytes these would be CR and LF.
        ("\u{10d}\u{10a}X: 1", "%C4%8D%C4%8AX: 1"),
        ("a\u{2028}b\u{85}c", "a%E2%80%A8b%C2%85c"),
        ("J\u{fc}rgen", "J%C3%BCrgen"),
        ("\u{1f600}", "%F0%9F%98%80"),
        ("\u{202e}nimda", "%E2%80%AEnimda"),
        ("100%0D%0A", "100%250D%250A"),
        (" edges ", "%20edges%20"),
        ("\ttab\u{7f}", "%09tab%7F"),
        ("a, b; c=\"d\"", "a, b; c=\"d\""),
        ("{user}", "{user}"),
    ] {
        let seen = told(&front, &app, person("bob").claim("name", claimed)).await;
        let expected = format!("name={told_as};");
        assert_eq!(
            seen.all("x-remote-name"),
            [expected.as_str()],
            "{claimed:?}"
        );
        assert!(seen.all("x-remote-roles").is_empty(), "{claimed:?}");
        assert_eq!(seen.all("x-remote-user"), ["bob@corp.example"]);
    }
}

#[tokio::test]
async fn an_address_is_told_if_it_is_one() {
    // S-014, S-061: a provider of the generic shape, whose people have addresses
    let time = clock::manual();
    let idp = issuer::honest(&time).run();
    let app = upstream::echo().run();
    let vestibule = vestibule::at(&time)
        .route("wiki", HOST, "allow = \"signed-in\"", &app)
        .provider("op", &idp)
        .main("[log]\naccess = \"off\"")
        .run();
    let front = Front { idp, vestibule };
    for (claimed, told_as) in [
        ("bob@corp.example", Some("bob@corp.example")),
        ("b\u{f6}b@corp.example", Some("b%C3%B6b@corp.example")),
        ("bob@evil.test@corp.example", None),
        ("bob@corp.example, boss@corp.example", None),
        ("\"bob\"@corp.example", None),
        ("bob", None),
    ] {
        let seen = told(&front, &app, person("bob").claim("email", claimed)).await;
        assert_eq!(seen.header("x-forwarded-email"), told_as, "{claimed}");
        assert_eq!(seen.header("x-forwarded-user"), Some("bob@corp.example"));
    }
}

#[tokio::test]
async fn one_role_never_looks_like_two() {
    // S-229
    let (front, app) = telling("allow = \"signed-in\"");
    let roles = ["user,admin", " admin", "admin ", "a;b", "R\u{f6}le"];
    let seen = told(&front, &app, person("bob").roles(&roles)).await;
    assert_eq!(
        seen.all("x-remote-roles"),
        ["user%2Cadmin,%20admin,admin%20,a;b,R%C3%B6le"]
    );
}

#[tokio::test]
async fn a_long_name_passes_whole_or_not_at_all() {
    // S-228
    let (front, app) = telling("allow = \"signed-in\"");
    let long = "n".repeat(8 * 1024);
    let seen = told(&front, &app, person("bob").claim("name", &*long)).await;
    assert_eq!(
        seen.header("x-remote-name"),
        Some(&*format!("name={long};"))
    );

    let longer = "n".repeat(16 * 1024);
    let session = front
        .session_of(HOST, person("bob").claim("name", &*longer))
        .await;
    let asked = ask("GET", "/").with("Cookie", &session);
    let reply = front.wire(Protocol::Http1, HOST).ask(&asked).await;
    assert_eq!(
        (reply.status, &*reply.reason()),
        (403, "unrenderable_identity")
    );
    assert_eq!(app.requests().len(), 1);
}

#[tokio::test]
async fn only_the_groups_that_the_route_names_are_told() {
    let rules = format!("[allow]\ngroups = [\"{STAFF}\"]");
    let (front, app) = telling(&rules);
    let bob = person("bob").groups(&[SALES, STAFF]);
    let seen = told(&front, &app, bob).await;
    assert_eq!(seen.all("x-remote-groups"), [STAFF]);
}

#[tokio::test]
async fn all_groups_are_told_where_the_route_says_so() {
    let rules = "allow = \"signed-in\"\n[identity]\ngroups = \"all\"";
    let (front, app) = telling(rules);
    let bob = person("bob").groups(&[SALES, STAFF]);
    let seen = told(&front, &app, bob).await;
    let all = format!("{SALES}; {STAFF}");
    assert_eq!(seen.all("x-remote-groups"), [all.as_str()]);
    // S-014
    let seen = told(&front, &app, person("eve")).await;
    assert!(seen.all("x-remote-groups").is_empty());
}

#[tokio::test]
async fn groups_too_many_to_list_are_never_told_as_none() {
    let (front, app) = telling("allow = \"signed-in\"\n[identity]\ngroups = \"all\"");
    let many = person("bob").claim("hasgroups", true);
    let session = front.session_of(HOST, many).await;
    let asked = ask("GET", "/").with("Cookie", &session);
    let reply = front.wire(Protocol::Http1, HOST).ask(&asked).await;
    assert_eq!(reply.status, 403, "{}", reply.text());
    app.assert_silent().await;
}

#[tokio::test]
async fn the_claim_that_names_a_person_is_the_first_that_counts() {
    let (front, app) =
        telling("allow = \"signed-in\"\n[identity]\nuser_claims = [\"employeeid\", \"oid\"]");
    for (claim, told_as) in [
        (serde_json::json!("E-17"), "E-17"),
        (serde_json::json!(17), "17"),
        (serde_json::json!(["E-17"]), &person("bob").object()),
        (serde_json::json!({"id": "E-17"}), &person("bob").object()),
        (serde_json::json!(""), &person("bob").object()),
        (serde_json::json!("  "), &person("bob").object()),
        (serde_json::json!(true), &person("bob").object()),
    ] {
        let bob = person("bob").claim("employeeid", claim.clone());
        let seen = told(&front, &app, bob).await;
        assert_eq!(seen.all("x-remote-user"), [told_as], "{claim}");
    }
}

#[tokio::test]
async fn a_person_whom_no_claim_names_does_not_come_in() {
    // S-006
    let (front, app) = telling("allow = \"signed-in\"\n[identity]\nuser_claims = [\"employeeid\"]");
    let browser = front.sign_in(HOST).await;
    let mut browser = browser.http2();
    let answer = browser.view(&front.vestibule.url(HOST, "/")).await;
    assert_eq!(answer.status, 403);
    // The page says which claims did come.
    assert!(
        answer.text().contains("preferred_username"),
        "{}",
        answer.text()
    );
    app.assert_silent().await;
}
