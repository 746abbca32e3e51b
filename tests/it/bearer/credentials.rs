//! How a token may be presented, and what it is worth beside a session or without a rule.

use http::Request;
use serde_json::json;

use super::{
    BEARER, INVALID_REQUEST, INVALID_TOKEN, api, bearing, for_bob, for_itself, refusal, taking,
};
use crate::support::{
    front::{HOST, wiki},
    issuer::person,
    upstream,
    wire::{PROTOCOLS, ask},
};

#[tokio::test]
async fn exactly_one_token_is_presented_in_one_way() {
    let (front, app) = api().await;
    let good = front.idp.access_token(&for_itself(&front, &json!({})));
    let malformed = (400, "malformed_authorization");
    for (value, verdict) in [
        (format!("Bearer {good}"), (200, "")),
        (format!("bearer {good}"), (200, "")),
        (format!("BEARER {good}"), (200, "")),
        (format!("Bearer   {good}"), (200, "")),
        ("Bearer".to_owned(), malformed),
        (format!("Bearer\t{good}"), malformed),
        (format!("Bearer,{good}"), malformed),
        (format!("Bearer={good}"), malformed),
        (format!("Bearer {good}, Bearer {good}"), malformed),
        (format!("Bearer {good},Bearer {good}"), malformed),
        (format!("Bearer {good} x"), malformed),
        (format!("Bearer \"{good}\""), malformed),
        (format!("Bearer {good}\u{e4}"), malformed),
        (format!("Bearer {}", "a".repeat(16 * 1024 + 1)), malformed),
        (format!("Bearer {good}="), (401, "malformed_token")),
        ("Bearer x".to_owned(), (401, "malformed_token")),
        // Other schemes are the app's own, and let nobody in.
        (format!("Bearer{good}"), (401, "no_session")),
        (format!("Basic {good}"), (401, "no_session")),
        (good.clone(), (401, "no_session")),
    ] {
        for protocol in PROTOCOLS {
            let asked = ask("GET", "/api").with("Authorization", &value);
            let reply = front.wire(protocol, HOST).ask(&asked).await;
            let shown = &value[..value.len().min(60)];
            assert_eq!(
                (reply.status, &*reply.reason()),
                verdict,
                "{protocol:?} {shown}"
            );
            if verdict.0 == 400 {
                assert_eq!(refusal(&reply).2, INVALID_REQUEST, "{shown}");
            }
        }
    }
    let let_in = app.requests();
    assert_eq!(let_in.len(), 8);
    assert!(let_in.iter().all(|it| it.header("authorization").is_none()));
}

#[tokio::test]
async fn two_fields_are_refused_whichever_comes_first() {
    let (front, app) = api().await;
    let good = format!(
        "Bearer {}",
        front.idp.access_token(&for_itself(&front, &json!({})))
    );
    let session = front.session(HOST).await;
    for (first, second) in [
        (&*good, &*good),
        (&good, "Bearer x"),
        ("Bearer x", &good),
        (&good, "Basic x"),
        ("Basic x", &good),
        ("", &good),
    ] {
        for protocol in PROTOCOLS {
            for cookie in ["a=b", &session] {
                let asked = ask("GET", "/api")
                    .with("Authorization", first)
                    .with("Cookie", cookie)
                    .with("authorization", second);
                let reply = front.wire(protocol, HOST).ask(&asked).await;
                let expected = (400, "two_authorizations".to_owned(), INVALID_REQUEST);
                assert_eq!(refusal(&reply), expected, "{protocol:?}");
            }
        }
    }
    app.assert_silent().await;
}

#[tokio::test]
async fn without_a_rule_a_token_is_worth_nothing_and_passes_to_the_app() {
    // S-046
    let app = upstream::echo().run();
    let front = wiki(&app, "");
    let session = front.session(HOST).await;
    let token = front.idp.access_token(&for_bob(&front, &json!({})));
    let form = format!("access_token={token}");
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for asked in [
            bearing(&token, "/api"),
            bearing("x", "/api"),
            ask("GET", &format!("/api?access_token={token}")),
            ask("GET", "/api").with("Cookie", &format!("IdToken={token}")),
            ask("POST", "/api")
                .with("Content-Type", "application/x-www-form-urlencoded")
                .body(form.clone()),
        ] {
            let reply = wire.ask(&asked).await;
            assert_eq!((reply.status, &*reply.reason()), (401, "no_session"));
            assert_eq!(reply.header("www-authenticate"), None);
        }
        app.assert_silent().await;
    }
    for protocol in PROTOCOLS {
        for value in [&*format!("Bearer {token}"), "bearer x", "Basic eDp5"] {
            let asked = ask("GET", "/api").with("Authorization", value);
            let asked = asked.with("Cookie", &session);
            assert_eq!(front.wire(protocol, HOST).ask(&asked).await.status, 200);
            let seen = app.requests().pop().unwrap();
            assert_eq!(seen.header("authorization"), Some(value));
            assert_eq!(seen.header("x-forwarded-user"), Some("ann@corp.example"));
        }
    }
}

#[tokio::test]
async fn with_a_rule_a_token_counts_in_its_field_alone() {
    // S-046, RFC 6750 5.3
    let (front, app) = api().await;
    let token = front.idp.access_token(&for_itself(&front, &json!({})));
    let form = format!("access_token={token}");
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for asked in [
            ask("GET", "/api"),
            ask("GET", &format!("/api?access_token={token}")),
            ask("GET", "/api").with("Cookie", &format!("__Host-vestibule={token}")),
            ask("GET", "/api").with("X-Authorization", &format!("Bearer {token}")),
            ask("GET", "/api").with("Proxy-Authorization", &format!("Bearer {token}")),
            ask("POST", "/api")
                .with("Content-Type", "application/x-www-form-urlencoded")
                .body(form.clone()),
        ] {
            let reply = wire.ask(&asked).await;
            assert_eq!(reply.status, 401);
            assert!(reply.reason().ends_with("session") || reply.reason() == "unusable_cookie");
            let challenge = format!("Bearer realm=\"{}\"", front.vestibule.authority(HOST));
            assert_eq!(reply.header("www-authenticate"), Some(&*challenge));
        }
    }
    // A person still gets what a person gets.
    let url = front.vestibule.url(HOST, "/api");
    let page = front.vestibule.browser().view(&url).await;
    assert_eq!(page.status, 302);
    assert_eq!(page.header("www-authenticate"), None);
    app.assert_silent().await;
}

#[tokio::test]
async fn a_token_decides_alone_whatever_session_comes_along() {
    let (front, app) = api().await;
    let session = front.session_of(HOST, person("ann")).await;
    let good = front.idp.access_token(&for_bob(&front, &json!({})));
    let weak = front
        .idp
        .access_token(&for_bob(&front, &json!({"scp": "x"})));
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        let reply = wire
            .ask(&bearing(&good, "/").with("Cookie", &session))
            .await;
        assert_eq!(reply.status, 200);
        let seen = app.requests().pop().unwrap();
        assert_eq!(seen.all("x-forwarded-user"), ["bob@corp.example"]);
        assert_eq!(seen.header("authorization"), None);
        assert_eq!(seen.header("cookie"), None);
        let asked = app.requests().len();
        for (token, verdict) in [
            ("x", (401, "malformed_token")),
            (&*weak, (403, "insufficient_scope")),
        ] {
            let reply = wire
                .ask(&bearing(token, "/").with("Cookie", &session))
                .await;
            assert_eq!((reply.status, &*reply.reason()), verdict);
        }
        assert_eq!(app.requests().len(), asked);
        // Another scheme is the app's own business.
        let basic = ask("GET", "/").with("Authorization", "Basic eDp5");
        let reply = wire.ask(&basic.with("Cookie", &session)).await;
        assert_eq!(reply.status, 200);
        let seen = app.requests().pop().unwrap();
        assert_eq!(seen.header("x-forwarded-user"), Some("ann@corp.example"));
        assert_eq!(seen.header("authorization"), Some("Basic eDp5"));
    }
}

#[tokio::test]
async fn a_refused_program_never_gets_a_page() {
    let app = upstream::echo().run();
    let rules =
        format!("allow = \"signed-in\"\nunauthenticated = {{ browser = \"page\" }}\n{BEARER}");
    let front = taking(&app, &rules).await;
    let url = front.vestibule.url(HOST, "/api");
    let request = Request::get(&url)
        .header("accept", "text/html")
        .header("sec-fetch-mode", "navigate")
        .header("authorization", "Bearer x");
    let answer = front
        .vestibule
        .browser()
        .send(request.body(bytes::Bytes::new()).unwrap())
        .await;
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(answer.header("www-authenticate"), INVALID_TOKEN);
    assert!(answer.json().get("login").is_none());
    app.assert_silent().await;
}

#[tokio::test]
async fn endpoints_of_ours_take_no_token() {
    let (front, app) = api().await;
    let token = front.idp.access_token(&for_bob(&front, &json!({})));
    for protocol in PROTOCOLS {
        let reply = front
            .wire(protocol, HOST)
            .ask(&bearing(&token, "/.vestibule/me"))
            .await;
        assert_eq!((reply.status, &*reply.reason()), (401, "no_session"));
    }
    app.assert_silent().await;
}
