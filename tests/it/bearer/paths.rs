//! A token opens plain paths of its own route and nothing else.

use serde_json::json;

use super::{BEARER, bearing, for_itself, taking};
use crate::support::{
    front::{HOST, front},
    upstream,
    wire::{PROTOCOLS, ask},
};

#[tokio::test]
async fn every_spelling_that_is_not_plain_needs_a_session() {
    // S-034, S-037, S-038, S-039, S-040, S-041, S-042
    let (front, app) = super::api().await;
    let session = front.session(HOST).await;
    let token = front.idp.access_token(&for_itself(&front, &json!({})));
    let field = format!("Bearer {token}");
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for target in [
            "//api",
            "/api//x",
            "/./api",
            "/api/../x",
            "/api/..",
            "/api/%2e%2e/x",
            "/api/%2E%2E/x",
            "/api/.%2e/x",
            "/api/..%2fx",
            "/api%2fx",
            "/api%5cx",
            "/api\\x",
            "/api;x",
            "/api/..;/x",
            "/api%3bx",
            "/api%23x",
            "/api%3fx",
            "/api%252e",
            "/api%09x",
            "/api%7f",
        ] {
            let reply = wire.ask(&bearing(&token, target)).await;
            let refused = (reply.status, &*reply.reason());
            assert_eq!(refused, (401, "no_session"), "{protocol:?} {target}");
            // As on any route that takes no tokens.
            let asked = bearing(&token, target).with("Cookie", &session);
            assert_eq!(wire.ask(&asked).await.status, 200, "{target}");
            let seen = app.requests().pop().unwrap();
            assert_eq!(seen.header("authorization"), Some(&*field));
            assert_eq!(seen.header("x-forwarded-user"), Some("ann@corp.example"));
        }
        for target in ["/", "/api", "/api/x?next=/../y;z//", "/%C3%A4", "/a%20b"] {
            assert_eq!(
                wire.ask(&bearing(&token, target)).await.status,
                200,
                "{target}"
            );
        }
    }
}

#[tokio::test]
async fn public_paths_stay_public_and_keep_the_field() {
    let app = upstream::echo().run();
    let rules = format!("allow = \"signed-in\"\n[[public]]\npath = \"/public/*\"\n{BEARER}");
    let front = taking(&app, &rules).await;
    let token = front.idp.access_token(&for_itself(&front, &json!({})));
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for token in [&*token, "x"] {
            let reply = wire.ask(&bearing(token, "/public/a")).await;
            assert_eq!(reply.status, 200);
            let seen = app.requests().pop().unwrap();
            assert_eq!(
                seen.header("authorization"),
                Some(&*format!("Bearer {token}"))
            );
            assert_eq!(seen.header("x-forwarded-user"), None);
        }
        assert_eq!(wire.ask(&bearing("x", "/publi")).await.status, 401);
        assert_eq!(wire.ask(&bearing(&token, "/publi")).await.status, 200);
    }
}

#[tokio::test]
async fn a_rule_holds_for_its_own_route_and_not_for_what_could_be_another() {
    // S-043
    let (app, other) = (upstream::echo().run(), upstream::echo().run());
    let rules = format!("allow = \"signed-in\"\n{BEARER}");
    let front = front(|it| {
        it.route("wiki", HOST, &rules, &app).route(
            "admin",
            &format!("{HOST}/admin"),
            "allow = \"signed-in\"",
            &other,
        )
    });
    front.provider_is_known(HOST).await;
    let token = front.idp.access_token(&for_itself(&front, &json!({})));
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        assert_eq!(wire.ask(&bearing(&token, "/api")).await.status, 200);
        for target in [
            "/admin",
            "/admin/x",
            "/ADMIN/x",
            "/%61dmin/x",
            "/admin%20/x",
        ] {
            let reply = wire.ask(&bearing(&token, target)).await;
            let refused = (reply.status, &*reply.reason());
            assert_eq!(refused, (401, "no_session"), "{protocol:?} {target}");
        }
        let plain = wire.ask(&ask("GET", "/admin")).await;
        assert_eq!(plain.header("www-authenticate"), None);
    }
    other.assert_silent().await;
}

#[tokio::test]
async fn a_token_good_for_one_route_is_judged_anew_by_another() {
    // S-058
    let app = upstream::echo().run();
    let two = "erp.example";
    let rules = format!("allow = \"signed-in\"\n{BEARER}");
    let others = "allow = \"signed-in\"\n[bearer]\naudiences = [\"api://erp\"]\nroles = [\"Sync\"]";
    let front = front(|it| {
        it.route("wiki", HOST, &rules, &app)
            .route("erp", two, others, &app)
    });
    front.provider_is_known(HOST).await;
    let wikis = front.idp.access_token(&for_itself(&front, &json!({})));
    let erps = front
        .idp
        .access_token(&for_itself(&front, &json!({"aud": "api://erp"})));
    for protocol in PROTOCOLS {
        for (host, token, status) in [
            (HOST, &wikis, 200),
            (two, &wikis, 401),
            (two, &erps, 200),
            (HOST, &erps, 401),
        ] {
            let reply = front.wire(protocol, host).ask(&bearing(token, "/")).await;
            assert_eq!(reply.status, status, "{host}");
        }
    }
}
