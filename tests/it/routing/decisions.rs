//! Who is let in where: rules against people, with the page for browsers and the problem for
//! machines.

use crate::support::{
    front::{Front, HOST, front},
    issuer::{Person, TENANT, person},
    upstream::{self, Echo},
    wire::{PROTOCOLS, Protocol, ask},
};

const STAFF: &str = "aaaaaaaa-0000-4000-8000-000000000001";
const TEMPS: &str = "aaaaaaaa-0000-4000-8000-000000000002";

/// A route with these rules on `HOST`.
fn ruled(rules: &str) -> (Front, Echo) {
    let app = upstream::echo().run();
    let front = front(|it| it.route("erp", HOST, rules, &app));
    (front, app)
}

/// Holds a table of people and verdicts against one set of rules; an empty word lets in.
async fn judge(rules: &str, table: Vec<(Person, &str)>) {
    let (front, app) = ruled(rules);
    for (who, reason) in table {
        let what = format!("{rules}: {who:?}");
        let session = front.session_of(HOST, who).await;
        for protocol in PROTOCOLS {
            let before = app.requests().len();
            let asked = ask("GET", "/").with("Cookie", &session);
            let reply = front.wire(protocol, HOST).ask(&asked).await;
            let status = if reason.is_empty() { 200 } else { 403 };
            assert_eq!((reply.status, &*reply.reason()), (status, reason), "{what}");
            let forwarded = app.requests().len() - before;
            assert_eq!(forwarded, usize::from(reason.is_empty()), "{what}");
        }
    }
}

#[tokio::test]
async fn signed_in_is_for_members_and_guests_are_asked_in() {
    let guest = || person("guest").claim("acct", 1);
    let foreign = || person("foreign").claim("idp", "https://sts.windows.net/other/");
    judge(
        "allow = \"signed-in\"",
        vec![
            (person("ann"), ""),
            (guest(), "guest"),
            (foreign(), "guest"),
        ],
    )
    .await;
    judge(
        "allow = \"signed-in\"\nguests = \"allow\"",
        vec![(person("ann"), ""), (guest(), ""), (foreign(), "")],
    )
    .await;
}

#[tokio::test]
async fn a_role_is_compared_whole_and_as_it_is_written() {
    judge(
        "[allow]\nroles = [\"Erp.User\", \"Erp.Admin\"]",
        vec![
            (person("ann").roles(&["Erp.User"]), ""),
            (person("bob").roles(&["x", "Erp.Admin"]), ""),
            (person("cid"), "not_allowed"),
            (person("dan").roles(&["erp.user"]), "not_allowed"),
            (
                person("eve").roles(&["Erp.User,Erp.Admin", "Erp.Users", ""]),
                "not_allowed",
            ),
            (person("fay").groups(&["Erp.User"]), "not_allowed"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_group_lets_in_and_a_denied_one_keeps_out() {
    let rules = format!("[allow]\ngroups = [\"{STAFF}\"]\n[deny]\ngroups = [\"{TEMPS}\"]");
    judge(
        &rules,
        vec![
            (person("ann").groups(&[STAFF]), ""),
            (person("bob").groups(&[&STAFF.to_uppercase()]), ""),
            (person("cid").groups(&[STAFF, TEMPS]), "denied"),
            (person("dan").groups(&[TEMPS]), "denied"),
            (person("eve"), "not_allowed"),
            // Too many groups to list are never read as none.
            (person("fay").claim("hasgroups", true), "groups_unknown"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_user_is_named_by_what_the_app_is_told_or_by_the_object_id() {
    let rules = format!(
        "[allow]\nusers = [\"Ann@Corp.example\", \"{}\"]\n[deny]\nusers = [\"cid@corp.example\"]",
        person("bob").object()
    );
    judge(
        &rules,
        vec![
            (person("ann"), ""),
            (person("bob"), ""),
            (person("cid"), "denied"),
            (person("dan"), "not_allowed"),
            // Names of others, in claims that do not count.
            (
                person("eve").claim("email", "ann@corp.example"),
                "not_allowed",
            ),
            (
                person("fay").claim("name", "ann@corp.example"),
                "not_allowed",
            ),
            (
                person("gus").claim("upn", "ann@corp.example"),
                "not_allowed",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_domain_lets_in_whose_address_is_vouched_for() {
    // S-061
    let named = |login: &str, upn: &str| {
        let it = person(login);
        it.claim("preferred_username", upn).claim("upn", upn)
    };
    judge(
        "guests = \"allow\"\n[allow]\ndomains = [\"corp.example\"]",
        vec![
            (person("ann"), ""),
            (named("bob", "bob@CORP.example"), ""),
            (named("cid", "cid@corp.example.evil.test"), "not_allowed"),
            (named("dan", "dan@evil.test@corp.example"), "not_allowed"),
            (named("eve", "eve@sub.corp.example"), "not_allowed"),
            (named("fay", "fay@corp.example."), "not_allowed"),
            (named("gus", "gus@corp.example\n"), "not_allowed"),
            (person("hal").claim("acct", 1), "not_allowed"),
            (
                named("ida", "ida@other.example").claim("email", "ida@corp.example"),
                "not_allowed",
            ),
            (
                named("jon", "jon@other.example")
                    .claim("email", "jon@corp.example")
                    .claim("xms_edov", true),
                "",
            ),
        ],
    )
    .await;
    // Whoever is to be kept out is, also by an address that nobody vouches for.
    judge(
        "allow = \"signed-in\"\n[deny]\ndomains = [\"evil.test\"]",
        vec![
            (person("ann"), ""),
            (named("bob", "bob@evil.test"), "denied"),
            (person("cid").claim("email", "cid@EVIL.test"), "denied"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_refusal_is_a_page_for_people_and_a_problem_for_machines() {
    // S-238
    let rules =
        "title = \"Orders\"\n[allow]\nroles = [\"Clerk\"]\n[help]\ncontact = \"help@corp.example\"";
    let (front, app) = ruled(rules);
    let mut browser = front.sign_in(HOST).await;
    let page = browser
        .view(&front.vestibule.url(HOST, "/orders?id=7"))
        .await;
    assert_eq!(page.status, 403);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    for word in [
        "Orders",
        "ann@corp.example",
        "help@corp.example",
        "/.vestibule/logout",
    ] {
        assert!(page.text().contains(word), "{word}: {}", page.text());
    }
    for secret in ["Clerk", &app.address().to_string(), TENANT] {
        assert!(!page.text().contains(secret), "{secret}");
    }
    let problem = browser.get(&front.vestibule.url(HOST, "/orders")).await;
    assert_eq!(problem.status, 403);
    assert_eq!(
        problem.header("content-type"),
        Some("application/problem+json")
    );
    let said = problem.json();
    assert_eq!(
        (&said["status"], &said["reason"]),
        (&403.into(), &"not_allowed".into())
    );
    assert_eq!(said["request_id"].as_str().unwrap().len(), 32);
    assert_eq!(said.get("login"), None);
    app.assert_silent().await;
}

#[tokio::test]
async fn one_session_is_judged_by_each_route_for_itself() {
    // S-058
    let (one, two) = (upstream::echo().run(), upstream::echo().run());
    let front = front(|it| {
        it.route("open", HOST, "allow = \"signed-in\"", &one).route(
            "closed",
            &format!("{HOST}/closed"),
            "[allow]\nroles = [\"Clerk\"]",
            &two,
        )
    });
    let session = front.session(HOST).await;
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for _ in 0..2 {
            for (target, status) in [("/", 200), ("/closed", 403), ("/x", 200)] {
                let reply = wire.ask(&ask("GET", target).with("Cookie", &session)).await;
                assert_eq!(reply.status, status, "{target}");
            }
        }
    }
    two.assert_silent().await;
}

#[tokio::test]
async fn without_a_session_the_answer_fits_who_waits() {
    // S-239, S-243
    for (browser_gets, view, form) in [
        ("redirect", 302, 401),
        ("page", 401, 401),
        ("401", 401, 401),
    ] {
        let rules =
            format!("allow = \"signed-in\"\n[unauthenticated]\nbrowser = \"{browser_gets}\"");
        let (front, app) = ruled(&rules);
        front.provider_is_known(HOST).await;
        for protocol in PROTOCOLS {
            let mut wire = front.wire(protocol, HOST);
            let html = ("text/html; charset=utf-8", "application/problem+json");
            let reply = wire
                .ask(&ask("GET", "/a?b").with("Accept", "text/html"))
                .await;
            assert_eq!(reply.status, view, "{browser_gets}");
            match browser_gets {
                "redirect" => assert!(reply.header("set-cookie").is_some()),
                "page" => assert_eq!(reply.header("content-type"), Some(html.0)),
                _ => assert_eq!(reply.header("content-type"), Some(html.1)),
            }
            let asked = ask("POST", "/a")
                .with("Accept", "text/html")
                .body("secret=1");
            let reply = wire.ask(&asked).await;
            assert_eq!(reply.status, form);
            assert!(!reply.text().contains("secret"));
            let reply = wire.ask(&ask("GET", "/a?b")).await;
            assert_eq!((reply.status, &*reply.reason()), (401, "no_session"));
            let login = "/.vestibule/login?return=%2Fa%3Fb";
            assert!(reply.text().contains(login), "{}", reply.text());
            assert_eq!(wire.ask(&ask("OPTIONS", "/")).await.status, 401);
        }
        app.assert_silent().await;
    }
}

#[tokio::test]
async fn a_deep_link_is_found_again_after_the_sign_in() {
    let (front, app) = ruled("allow = \"signed-in\"");
    front.provider_is_known(HOST).await;
    let mut browser = front.vestibule.browser();
    let deep = "/a//b;c?d=%2F&e=/../f";
    let trail = browser.follow(&front.vestibule.url(HOST, deep), 5).await;
    let statuses: Vec<_> = trail.iter().map(|it| it.status.as_u16()).collect();
    assert_eq!(statuses, [302, 302, 303, 200]);
    assert_eq!(app.only_request().target, deep);
    let mut browser = browser.http2();
    let again = browser.view(&front.vestibule.url(HOST, "/x")).await;
    assert_eq!((again.status.as_u16(), app.requests().len()), (200, 2));
    assert_eq!(Protocol::Http2, PROTOCOLS[1]);
}

#[tokio::test]
async fn no_other_name_of_a_person_opens_a_rule_or_gets_around_one() {
    // A letter of another alphabet that folds to an ASCII one is not that letter.
    let frank = |name: &str| person("frank").claim("preferred_username", name);
    judge(
        "[allow]\nusers = [\"frank@corp.example\"]",
        vec![
            (frank("frank@corp.example"), ""),
            (frank("FRANK@Corp.Example"), ""),
            (frank("fran\u{212a}@corp.example"), "not_allowed"),
        ],
    )
    .await;
    // Whichever claim the app is told, a denied name keeps its person out.
    let numbered = |claim: &str| {
        person("temp")
            .claim("employeeid", "4711")
            .claim(claim, "Temp@corp.example")
    };
    judge(
        "allow = \"signed-in\"\n[identity]\nuser_claims = [\"employeeid\"]\n[deny]\n\
         users = [\"temp@corp.example\"]",
        vec![
            (person("ann").claim("employeeid", "1"), ""),
            (numbered("preferred_username"), "denied"),
            (numbered("email"), "denied"),
            (numbered("upn"), "denied"),
        ],
    )
    .await;
}
