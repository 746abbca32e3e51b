//! A provider that is down, slow or talks nonsense: those who are in go on, those who are not are
//! told so, and nobody has to restart anything.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};

use crate::support::{
    PATIENCE,
    client::Answer,
    clock, eventually,
    house::{ATTEMPT, HOST, House, SESSION, cookies_set, house},
    issuer::{self, PublishedKey, Reply, person},
    upstream, vestibule,
};

/// A house whose provider is down when it starts, with a public path and an operators' address.
async fn begun_without_provider() -> House {
    let time = clock::manual();
    let idp = issuer::honest(&time).run();
    idp.go_down().await;
    let app = upstream::echo().run();
    let rules = "allow = \"signed-in\"\n[[public]]\npath = \"/public\"";
    let vestibule = vestibule::at(&time)
        .route("wiki", HOST, rules, &app)
        .main("[ops]\nlisten = \"127.0.0.1:0\"")
        .provider("corp", &idp)
        .run();
    House {
        vestibule,
        idp,
        app,
    }
}

async fn ops(house: &House, path: &str) -> Answer {
    let address = house.vestibule.ops().unwrap();
    house
        .browser()
        .get(&format!("http://{address}{path}"))
        .await
}

fn assert_unavailable(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds));
    assert_eq!(answer.header("location"), None);
    assert!(cookies_set(answer, SESSION).is_empty());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn it_starts_without_its_provider_and_signs_in_once_that_is_back() {
    // S-290
    let house = begun_without_provider().await;
    let mut browser = house.browser();
    assert_eq!(browser.get(&house.url("/public")).await.status, 200);
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(ops(&house, path).await.status, 200, "{path}");
    }
    assert_eq!(
        ops(&house, "/readyz").await.json()["providers"][0]["ready"],
        false
    );

    let page = browser.view(&house.url("/page")).await;
    assert_unavailable(&page);
    assert!(page.text().contains("not possible right now"));
    assert!(page.text().contains("return=%2Fpage"));
    assert_eq!(page.header("set-cookie"), None);
    assert_unavailable(&browser.view(&house.url("/.vestibule/login")).await);
    // Whoever is no person is told what they are always told: that a sign-in is needed.
    assert_eq!(browser.get(&house.url("/page")).await.status, 401);
    let callback = house.url("/.vestibule/callback?code=A&state=B");
    assert_eq!(browser.view(&callback).await.status, 400);
    assert_eq!(house.app.requests().len(), 1, "only what is public");

    house.idp.come_back();
    let polling = async {
        while browser.view(&house.url("/page")).await.status != 302 {
            house.wait(Duration::from_secs(1));
        }
    };
    let polled = tokio::time::timeout(PATIENCE, polling).await;
    polled.expect("the provider is known without a restart");
    house.browser_of("ann").await;
    assert_eq!(
        ops(&house, "/readyz").await.json()["providers"][0]["ready"],
        true
    );
    house.assert_no_panic();
}

#[tokio::test]
async fn attempts_at_a_provider_that_is_down_cost_it_nothing() {
    // S-288: a page view causes no fetch of its own.
    let house = begun_without_provider().await;
    house
        .idp
        .lie(|it| it.discovery = Reply::Bare(500, "text/plain", "no".to_owned()));
    house.idp.come_back();
    eventually("it was asked", || {
        house.wait(Duration::from_secs(2));
        house.idp.discovery_fetches() > 0
    })
    .await;
    let before = house.idp.discovery_fetches();
    for _ in 0..50 {
        assert_unavailable(&house.browser().view(&house.url("/")).await);
    }
    assert!(house.idp.discovery_fetches() <= before + 1);
}

#[tokio::test]
async fn sessions_go_on_while_the_provider_is_down() {
    // S-289
    let house = house().await;
    let mut ann = house.browser_of("ann").await;
    let mut bob = house.browser();
    let back = house.way_back(&mut bob, "/page").await;
    house.idp.go_down().await;
    for _ in 0..12 {
        house.wait(Duration::from_hours(1));
        assert!(house.is_in(&mut ann).await);
    }
    // Known metadata still begins a sign-in; it cannot end it.
    let mut eve = house.browser();
    assert_eq!(eve.view(&house.url("/")).await.status, 302);
    drop(back);
    house.idp.come_back();
    house.sign_in(&mut bob, person("bob")).await;
}

#[tokio::test]
async fn a_provider_that_goes_down_during_a_sign_in_is_named_and_the_code_is_not_sent_twice() {
    // S-291
    let house = house().await;
    let mut browser = house.browser();
    let back = house.way_back(&mut browser, "/page").await;
    house.idp.go_down().await;
    let answer = browser.view(back.as_str()).await;
    assert_unavailable(&answer);
    assert!(answer.text().contains("return=%2Fpage"));
    assert_eq!(house.sign_ins("provider_unreachable"), 1);
    house.idp.come_back();
    let again = browser.view(back.as_str()).await;
    assert_eq!(again.status, 400);
    assert!(house.idp.token_requests().is_empty());
    house.sign_in(&mut browser, person("ann")).await;
}

#[tokio::test]
async fn sign_ins_with_known_keys_go_on_while_keys_or_metadata_are_broken() {
    // S-289: an empty, broken or failing answer replaces nothing.
    let house = house().await;
    for broken in [
        Reply::json(500, &json!({})),
        Reply::json(200, &json!({"keys": []})),
        Reply::json(200, &json!({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]})),
        Reply::json(200, &json!([])),
        Reply::Bare(200, "text/html", "<html>".to_owned()),
        Reply::Redirect("https://evil.test/".to_owned()),
        Reply::Close,
        Reply::Huge(4 << 20),
    ] {
        for keys in [true, false] {
            let reply = broken.clone();
            house.idp.lie(|it| {
                if keys {
                    it.keys = reply;
                } else {
                    it.discovery = reply;
                }
            });
            let before = house.idp.discovery_fetches();
            eventually("it was fetched again", || {
                house.wait(Duration::from_mins(10));
                house.idp.discovery_fetches() > before
            })
            .await;
            house.browser_of("ann").await;
            house.idp.tells_the_truth();
        }
    }
    // But a key that is not known is not believed.
    house.idp.publishes(vec![PublishedKey::numbered(1)]);
    house.idp.lie(|it| it.keys = Reply::json(500, &json!({})));
    let answer = house.come_back(&mut house.browser()).await;
    assert_eq!(answer.status, 400);
    assert_eq!(house.sign_ins("unknown_key"), 1);
}

#[tokio::test]
async fn unknown_keys_do_not_make_us_the_providers_flood() {
    // S-288: a burst of two, then one a minute, whoever signs in.
    let house = house().await;
    let before = house.idp.key_fetches();
    for number in 0..20 {
        house
            .idp
            .lie(|it| it.header("kid", format!("random-{number}")));
        let answer = house.come_back(&mut house.browser()).await;
        assert_eq!(answer.status, 400);
    }
    assert_eq!(house.idp.key_fetches(), before + 2);
    house.wait(Duration::from_mins(1));
    for _ in 0..5 {
        house.come_back(&mut house.browser()).await;
    }
    assert_eq!(house.idp.key_fetches(), before + 3);
    house.idp.tells_the_truth();
    house.browser_of("ann").await;
}

#[tokio::test]
async fn a_token_endpoint_that_says_nothing_keeps_a_browser_waiting_for_seconds_only() {
    // S-291: neither an answer that never comes nor one that never ends; others are not held up.
    let waiting = async |reply| {
        let house = house().await;
        let mut ann = house.browser_of("ann").await;
        house.idp.lie(|it| it.token = reply);
        let asked = house.idp.token_requests().len();
        let mut bob = house.browser();
        let back = house.way_back(&mut bob, "/page").await;
        let (answer, ()) = tokio::join!(bob.view(back.as_str()), async {
            eventually("the code was sent", || {
                house.idp.token_requests().len() > asked
            })
            .await;
            assert!(house.is_in(&mut ann).await);
        });
        assert_unavailable(&answer);
        assert_eq!(
            house.idp.token_requests().len(),
            asked + 1,
            "the code was sent once"
        );
        assert_eq!(house.sign_ins("provider_unreachable"), 1);
    };
    tokio::join!(waiting(Reply::Hang), waiting(Reply::Stall));
}

#[tokio::test]
async fn a_token_answer_that_is_none_signs_nobody_in() {
    // S-193
    let house = house().await;
    let bare = |status, kind, body: &str| Reply::Bare(status, kind, body.to_owned());
    let member = |name: &'static str, value: Value| {
        Reply::edited(move |answer| {
            if value.is_null() {
                answer.as_object_mut().unwrap().remove(name);
            } else {
                answer[name] = value.clone();
            }
        })
    };
    let json = "application/json";
    let garbage = [
        bare(200, json, ""),
        bare(200, json, "[]"),
        bare(200, json, "null"),
        bare(200, json, "{}"),
        bare(200, json, "{\"id_token\""),
        bare(200, json, &("[".repeat(10_000) + &"]".repeat(10_000))),
        bare(
            200,
            json,
            &("{\"a\":".repeat(10_000) + "1" + &"}".repeat(10_000)),
        ),
        bare(204, json, ""),
        bare(200, "text/html", "<html>"),
        bare(200, json, "{\"error\":\"invalid_grant\"}"),
        Reply::rewritten(|text| format!("\u{feff}{text}")),
        Reply::rewritten(|text| format!("{text}{text}")),
        Reply::rewritten(|text| text.replacen('{', "{\"id_token\":\"a.b.c\",", 1)),
        Reply::rewritten(|text| text[..text.len() - 1].to_owned()),
        member("token_type", json!("mac")),
        member("token_type", Value::Null),
        member("id_token", Value::Null),
        member("id_token", json!("")),
        member("id_token", json!(["a"])),
        member("access_token", Value::Null),
        member("error", json!("invalid_grant")),
        Reply::Redirect("https://evil.test/".to_owned()),
        Reply::Huge(1 << 20),
        Reply::Close,
        bare(500, "text/plain", "down"),
        bare(429, json, "{}"),
    ];
    for (number, reply) in garbage.into_iter().enumerate() {
        let asked = house.idp.token_requests().len();
        house.idp.lie(|it| it.token = reply);
        let mut browser = house.browser();
        let answer = house.come_back(&mut browser).await;
        let status = answer.status.as_u16();
        assert!(matches!(status, 400 | 503), "{number}: {status}");
        assert!(cookies_set(&answer, SESSION).is_empty(), "{number}");
        assert!(
            answer.text().contains("/.vestibule/login?return=%2Fpage"),
            "{number}"
        );
        assert!(
            !browser
                .cookie_names(&house.url("/"))
                .iter()
                .any(|it| it.starts_with(ATTEMPT))
        );
        assert_eq!(
            house.idp.token_requests().len(),
            asked + 1,
            "{number}: sent once"
        );
    }
    assert_eq!(house.vestibule.sessions().live(), 0);
    house.app.assert_silent().await;
    house.assert_no_panic();
    house.idp.tells_the_truth();
    house.browser_of("ann").await;
}

#[tokio::test]
async fn a_token_endpoint_that_refuses_is_explained_without_its_own_words() {
    // S-291, S-203
    let house = house().await;
    for (status, word, description, shown, reason) in [
        (
            400,
            "invalid_grant",
            "AADSTS54005: secret words",
            400,
            "code_rejected",
        ),
        (
            401,
            "invalid_client",
            "AADSTS7000215: secret words",
            500,
            "invalid_client",
        ),
        (
            400,
            "unauthorized_client",
            "secret words",
            500,
            "unauthorized_client",
        ),
        (
            400,
            "invalid_request",
            "AADSTS50011 secret words",
            500,
            "token_request_refused",
        ),
        (400, "<svg>", "secret words", 403, "token_request_refused"),
    ] {
        let before = house.sign_ins(reason);
        let body = json!({"error": word, "error_description": description});
        house.idp.lie(|it| it.token = Reply::json(status, &body));
        let answer = house.come_back(&mut house.browser()).await;
        assert_eq!(answer.status, shown, "{word}");
        assert!(!answer.text().contains("secret words") && !answer.text().contains("<svg>"));
        assert_eq!(house.sign_ins(reason), before + 1, "{word}");
    }
}

#[tokio::test]
async fn machines_are_told_of_a_provider_that_is_down_as_a_problem() {
    let house = begun_without_provider().await;
    let request = Request::get(house.url("/.vestibule/login"))
        .body(Bytes::new())
        .unwrap();
    let answer = house.browser().send(request).await;
    assert_unavailable(&answer);
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(answer.json()["reason"], "provider_unavailable");
}
