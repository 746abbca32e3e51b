//! Who comes in with a token, as whom, and who does not.

use serde_json::json;

use super::{
    BEARER, CLIENT, INVALID_TOKEN, OBJECT, api, bearing, for_bob, for_itself, refusal, taking,
};
use crate::support::{
    clock::START,
    front::HOST,
    issuer::person,
    upstream,
    wire::{PROTOCOLS, ask},
};

#[tokio::test]
async fn an_app_comes_in_under_its_own_name_and_no_other() {
    let (front, app) = api().await;
    let named = json!({
        "name": "Ann Example", "email": "ann@corp.example", "groups": ["staff"],
        "preferred_username": "ann@corp.example",
    });
    let token = front.idp.access_token(&for_itself(&front, &named));
    for protocol in PROTOCOLS {
        let asked = bearing(&token, "/api/pages?x=1")
            .with("X-Forwarded-User", "ann@corp.example")
            .with("X-Forwarded-Email", "ann@corp.example")
            .with("X_Forwarded_User", "ann@corp.example");
        let reply = front.wire(protocol, HOST).ask(&asked).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let seen = app.requests().pop().unwrap();
        assert_eq!(seen.target, "/api/pages?x=1");
        assert_eq!(seen.all("x-forwarded-user"), [format!("app:{CLIENT}")]);
        for absent in [
            "authorization",
            "x-forwarded-email",
            "x-forwarded-preferred-username",
            "x-forwarded-groups",
            "x_forwarded_user",
        ] {
            assert_eq!(seen.header(absent), None, "{absent}");
        }
        assert!(seen.header("x-request-id").is_some());
    }
    let allowed = "vestibule_requests_total{route=\"wiki\",decision=\"allow\"}";
    assert_eq!(front.metric(allowed), 2);
}

#[tokio::test]
async fn an_app_that_acts_for_a_person_comes_in_as_that_person() {
    let (front, app) = api().await;
    let token = front
        .idp
        .access_token(&for_bob(&front, &json!({"scp": "other read"})));
    for protocol in PROTOCOLS {
        for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS"] {
            let asked = ask(method, "/api").with("Authorization", &format!("Bearer {token}"));
            let reply = front.wire(protocol, HOST).ask(&asked).await;
            assert_eq!(reply.status, 200, "{method}");
            let seen = app.requests().pop().unwrap();
            assert_eq!(&*seen.method, method);
            assert_eq!(seen.header("x-forwarded-user"), Some("bob@corp.example"));
            assert_eq!(seen.header("authorization"), None);
        }
    }
}

#[tokio::test]
async fn a_token_that_does_not_stand_up_is_401_with_the_reason() {
    // S-168, S-169, S-170, S-173, S-195; all of them one by one in oidc/tests/access_tokens.rs
    let (front, app) = api().await;
    let other = "99999999-2222-4333-8444-555555555555";
    for (changes, reason) in [
        (json!({"aud": "api://other"}), "wrong_audience"),
        (
            json!({"aud": ["api://wiki", "api://other"]}),
            "wrong_audience",
        ),
        (
            json!({"aud": crate::support::issuer::CLIENT_ID}),
            "wrong_audience",
        ),
        (json!({"iss": "https://evil.example"}), "wrong_issuer"),
        (json!({"tid": other}), "wrong_issuer"),
        (json!({"exp": START - 60}), "expired_token"),
        (json!({"nbf": START + 61}), "not_yet_valid"),
        (json!({"exp": START + 90_000}), "lives_too_long"),
        (json!({"nonce": "n"}), "not_an_access_token"),
        (json!({"cnf": {}}), "sender_constrained"),
        (json!({"scp": null}), "holder_unclear"),
    ] {
        let token = front.idp.access_token(&for_bob(&front, &changes));
        for protocol in PROTOCOLS {
            let reply = front
                .wire(protocol, HOST)
                .ask(&bearing(&token, "/api"))
                .await;
            let expected = (401, reason.to_owned(), INVALID_TOKEN);
            assert_eq!(refusal(&reply), expected, "{changes}");
            assert!(!reply.text().contains(&token[..40]));
            assert!(!reply.text().contains("login"));
        }
        let counted = format!("vestibule_refusals_total{{reason=\"{reason}\"}}");
        assert!(front.metric(&counted) >= 2, "{reason}");
    }
    app.assert_silent().await;
}

#[tokio::test]
async fn an_id_token_of_our_own_sign_in_is_no_access_token() {
    // S-060
    let app = upstream::echo().run();
    let client = crate::support::issuer::CLIENT_ID;
    let rules = format!(
        "allow = \"signed-in\"\n[bearer]\naudiences = [\"{client}\"]\nroles = [\"Sync\"]\nscopes = [\"read\"]"
    );
    let front = taking(&app, &rules).await;
    front.session_of(HOST, person("ann").roles(&["Sync"])).await;
    let token = front.idp.last_id_token();
    for protocol in PROTOCOLS {
        let reply = front.wire(protocol, HOST).ask(&bearing(&token, "/")).await;
        let expected = (401, "not_an_access_token".to_owned(), INVALID_TOKEN);
        assert_eq!(refusal(&reply), expected);
    }
    app.assert_silent().await;
}

#[tokio::test]
async fn a_sound_token_without_role_or_scope_is_403() {
    let (front, app) = api().await;
    let mut tokens = Vec::new();
    for roles in [json!(null), json!([]), json!(["sync"]), json!(["Sync.All"])] {
        tokens.push(for_itself(&front, &json!({ "roles": roles })));
    }
    for scope in ["Read", "read.all", "reader write", "Sync"] {
        // The roles are those of the person, and say nothing of what the app may do.
        tokens.push(for_bob(&front, &json!({"scp": scope, "roles": ["Sync"]})));
    }
    for claims in &tokens {
        let token = front.idp.access_token(claims);
        for protocol in PROTOCOLS {
            let reply = front
                .wire(protocol, HOST)
                .ask(&bearing(&token, "/api"))
                .await;
            let challenge = Some("Bearer error=\"insufficient_scope\"");
            let expected = (403, "insufficient_scope".to_owned(), challenge);
            assert_eq!(refusal(&reply), expected, "{claims}");
        }
    }
    let counted = "vestibule_refusals_total{reason=\"insufficient_scope\"}";
    assert_eq!(front.metric(counted), 2 * tokens.len() as u64);
    app.assert_silent().await;
}

#[tokio::test]
async fn deny_wins_over_every_token() {
    let app = upstream::echo().run();
    for (denied, reason) in [
        (format!("users = [\"app:{CLIENT}\"]"), "denied"),
        (
            format!("users = [\"APP:{}\"]", CLIENT.to_uppercase()),
            "denied",
        ),
        (format!("users = [\"{OBJECT}\"]"), "denied"),
        ("roles = [\"Sync\"]".to_owned(), "denied"),
        ("users = [\"bob@corp.example\"]".to_owned(), ""),
    ] {
        let rules = format!("allow = \"signed-in\"\n[deny]\n{denied}\n{BEARER}");
        let front = taking(&app, &rules).await;
        let own = front.idp.access_token(&for_itself(&front, &json!({})));
        let bobs = front.idp.access_token(&for_bob(&front, &json!({})));
        for protocol in PROTOCOLS {
            let mut wire = front.wire(protocol, HOST);
            let reply = wire.ask(&bearing(&own, "/")).await;
            let status = if reason.is_empty() { 200 } else { 403 };
            assert_eq!(
                (reply.status, &*reply.reason()),
                (status, reason),
                "{denied}"
            );
            let reply = wire.ask(&bearing(&bobs, "/")).await;
            let status = if reason.is_empty() { 403 } else { 200 };
            assert_eq!(reply.status, status, "{denied}");
        }
    }
}

#[tokio::test]
async fn nobody_comes_in_by_a_token_who_would_not_by_a_browser() {
    let app = upstream::echo().run();
    let rules = format!("allow = {{ roles = [\"Reader\"] }}\n{BEARER}");
    let front = taking(&app, &rules).await;
    for (changes, verdict) in [
        (json!({"roles": ["Reader"]}), (200, "")),
        (json!({"roles": ["Writer"]}), (403, "not_allowed")),
        (json!({}), (403, "not_allowed")),
        (json!({"roles": ["Reader"], "acct": 1}), (403, "guest")),
        (
            json!({"roles": ["Reader"], "preferred_username": null}),
            (403, "no_user_name"),
        ),
        // No person may be taken for an app.
        (
            json!({"roles": ["Reader"], "preferred_username": format!("app:{CLIENT}")}),
            (403, "named_like_app"),
        ),
        (
            json!({"roles": ["Reader"], "preferred_username": "App:x"}),
            (403, "named_like_app"),
        ),
    ] {
        let token = front.idp.access_token(&for_bob(&front, &changes));
        for protocol in PROTOCOLS {
            let reply = front.wire(protocol, HOST).ask(&bearing(&token, "/")).await;
            assert_eq!((reply.status, &*reply.reason()), verdict, "{changes}");
        }
    }
    let app_like = person("eve").roles(&["Reader"]);
    let app_like = app_like.claim("preferred_username", format!("app:{CLIENT}"));
    let session = front.session_of(HOST, app_like).await;
    for protocol in PROTOCOLS {
        let asked = ask("GET", "/").with("Cookie", &session);
        let reply = front.wire(protocol, HOST).ask(&asked).await;
        assert_eq!((reply.status, &*reply.reason()), (403, "named_like_app"));
    }
}

#[tokio::test]
async fn only_listed_clients_come_in() {
    let app = upstream::echo().run();
    let rules = format!("allow = \"signed-in\"\n{BEARER}\nclients = [\"{CLIENT}\"]");
    let front = taking(&app, &rules).await;
    for (client, verdict) in [(CLIENT, (200, "")), (OBJECT, (401, "client_not_allowed"))] {
        let claims = for_itself(&front, &json!({ "azp": client }));
        let token = front.idp.access_token(&claims);
        for protocol in PROTOCOLS {
            let reply = front.wire(protocol, HOST).ask(&bearing(&token, "/")).await;
            assert_eq!((reply.status, &*reply.reason()), verdict, "{client}");
        }
    }
}

#[tokio::test]
async fn a_generic_provider_tells_apps_by_their_subject_and_gives_them_scopes() {
    let time = crate::support::clock::manual();
    let idp = crate::support::issuer::honest(&time).run();
    let app = upstream::echo().run();
    let rules = format!("allow = \"signed-in\"\n{BEARER}");
    let vestibule = crate::support::vestibule::at(&time)
        .route("wiki", HOST, &rules, &app)
        .provider("corp", &idp)
        .run();
    vestibule.can_sign_in(HOST).await;
    let front = crate::support::front::Front { idp, vestibule };
    let claims = |own: &serde_json::Value| {
        let usual = json!({
            "iss": front.idp.issuer(), "aud": "api://wiki", "iat": START, "exp": START + 60, "sub": "sync",
            "client_id": "sync",
        });
        super::with(usual, own)
    };
    for (own, verdict, user) in [
        (json!({"scope": "read"}), (200, ""), "app:sync"),
        (json!({"roles": ["Sync"]}), (200, ""), "app:sync"),
        (json!({"scope": "write"}), (403, "insufficient_scope"), ""),
        (
            json!({"sub": "ann", "scope": "read", "preferred_username": "ann"}),
            (200, ""),
            "ann",
        ),
        (
            json!({"sub": "ann", "roles": ["Sync"], "preferred_username": "ann"}),
            (401, "holder_unclear"),
            "",
        ),
    ] {
        let token = front.idp.access_token(&claims(&own));
        for protocol in PROTOCOLS {
            let reply = front.wire(protocol, HOST).ask(&bearing(&token, "/")).await;
            assert_eq!((reply.status, &*reply.reason()), verdict, "{own}");
            if verdict.0 == 200 {
                let seen = app.requests().pop().unwrap();
                assert_eq!(seen.header("x-forwarded-user"), Some(user), "{own}");
            }
        }
    }
}
