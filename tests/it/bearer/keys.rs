//! Keys that change, that nobody knows, and issuers that are down.

use std::time::Duration;

use serde_json::json;

use super::{
    AUDIENCE, BEARER, INVALID_TOKEN, OBJECT, api, bearing, for_bob, for_itself, refusal, with,
};
use crate::support::{
    clock,
    front::{Front, HOST},
    issuer::{self, PublishedKey, TENANT},
    upstream, vestibule,
    wire::{PROTOCOLS, Protocol},
};

#[tokio::test]
async fn a_new_key_is_found_by_the_first_token_and_old_ones_go_on() {
    // S-199
    let (front, _app) = api().await;
    let claims = for_itself(&front, &json!({}));
    let old = front.idp.access_token(&claims);
    let fetched = front.idp.key_fetches();
    front.idp.publishes(vec![PublishedKey::numbered(1)]);
    let new = front.idp.access_token(&claims);
    for protocol in PROTOCOLS {
        for token in [&new, &old, &new] {
            let reply = front.wire(protocol, HOST).ask(&bearing(token, "/")).await;
            assert_eq!(reply.status, 200);
        }
    }
    assert_eq!(front.idp.key_fetches(), fetched + 1);
}

#[tokio::test]
async fn a_storm_of_unknown_keys_costs_two_fetches_and_then_one_a_minute() {
    // S-142, S-199
    let (front, app) = api().await;
    let good = front.idp.access_token(&for_itself(&front, &json!({})));
    let fetched = front.idp.key_fetches();
    let storm = |round: usize| {
        let front = &front;
        let asked = (0..20).map(move |n| async move {
            let protocol = PROTOCOLS[n % 2];
            let header = json!({"alg": "RS256", "kid": format!("unknown-{round}-{n}")});
            let token = front.idp.signed(&header, &for_itself(front, &json!({})));
            let reply = front.wire(protocol, HOST).ask(&bearing(&token, "/")).await;
            let expected = (401, "unknown_key".to_owned(), INVALID_TOKEN);
            assert_eq!(refusal(&reply), expected);
        });
        futures_util::future::join_all(asked)
    };
    for round in 0..3 {
        storm(round).await;
    }
    assert_eq!(front.idp.key_fetches(), fetched + 2);
    front.vestibule.time().advance(Duration::from_mins(1));
    storm(3).await;
    storm(4).await;
    assert_eq!(front.idp.key_fetches(), fetched + 3);
    app.assert_silent().await;
    let reply = front
        .wire(Protocol::Http1, HOST)
        .ask(&bearing(&good, "/"))
        .await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn with_known_keys_everything_goes_on_while_the_provider_is_down() {
    // S-290
    let (front, _app) = api().await;
    let good = front.idp.access_token(&for_itself(&front, &json!({})));
    let unknown = json!({"alg": "RS256", "kid": "unknown"});
    let unknown = front.idp.signed(&unknown, &for_itself(&front, &json!({})));
    front.idp.go_down().await;
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        assert_eq!(wire.ask(&bearing(&good, "/")).await.status, 200);
        let reply = wire.ask(&bearing(&unknown, "/")).await;
        assert_eq!((reply.status, &*reply.reason()), (401, "unknown_key"));
    }
}

#[tokio::test]
async fn before_its_issuer_is_known_a_token_is_503_and_not_the_programs_fault() {
    let time = clock::manual();
    let idp = issuer::honest(&time).entra().run();
    idp.go_down().await;
    let app = upstream::echo().run();
    let rules = format!("allow = \"signed-in\"\n{BEARER}");
    let vestibule = vestibule::at(&time)
        .route("wiki", HOST, &rules, &app)
        .entra(&idp)
        .run();
    let front = Front { idp, vestibule };
    let token = front.idp.access_token(&for_bob(&front, &json!({})));
    for protocol in PROTOCOLS {
        let reply = front.wire(protocol, HOST).ask(&bearing(&token, "/")).await;
        assert_eq!(refusal(&reply), (503, "keys_unavailable".to_owned(), None));
        let seconds: u64 = reply.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds));
    }
    let counted = "vestibule_refusals_total{reason=\"keys_unavailable\"}";
    assert_eq!(front.metric(counted), 2);
    app.assert_silent().await;
    front.idp.come_back();
    front.vestibule.time().advance(Duration::from_secs(40));
    front.provider_is_known(HOST).await;
    let reply = front
        .wire(Protocol::Http2, HOST)
        .ask(&bearing(&token, "/"))
        .await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn listed_issuers_count_and_no_other() {
    // S-195, S-196
    let time = clock::manual();
    let builder = issuer::honest(&time).run();
    builder.publishes(vec![PublishedKey::numbered(2).named("key-0")]);
    let idp = issuer::honest(&time).entra().run();
    let app = upstream::echo().run();
    let v1 = format!("https://sts.windows.net/{TENANT}/");
    let (v2, build) = (idp.issuer(), builder.issuer());
    let rules = format!("allow = \"signed-in\"\n{BEARER}\nissuers = [\"{v1}\", \"{build}\"]");
    let vestibule = vestibule::at(&time)
        .route("wiki", HOST, &rules, &app)
        .entra(&idp)
        .run();
    let front = Front { idp, vestibule };
    front.provider_is_known(HOST).await;
    let of_v1 = json!({"iss": v1, "ver": "1.0", "azp": null, "appid": super::CLIENT});
    let of_build = json!({
        "iss": build, "aud": AUDIENCE, "iat": clock::START, "exp": clock::START + 60,
        "sub": "build", "client_id": "build", "scope": "read",
    });
    let fresh = builder.access_token(&of_build);
    let polling = async {
        let mut wire = front.wire(Protocol::Http1, HOST);
        while wire.ask(&bearing(&fresh, "/")).await.status == 503 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(crate::support::PATIENCE, polling)
        .await
        .unwrap();
    for (token, verdict) in [
        (
            front.idp.access_token(&for_itself(&front, &of_v1)),
            (200, ""),
        ),
        (fresh, (200, "")),
        // Version 2 is not listed.
        (
            front
                .idp
                .access_token(&for_itself(&front, &json!({"iss": v2}))),
            (401, "wrong_issuer"),
        ),
        // Nobody signs for another issuer: same key ids, other keys.
        (
            builder.access_token(&for_itself(&front, &of_v1)),
            (401, "invalid_signature"),
        ),
        (
            builder.access_token(&with(
                of_build.clone(),
                &json!({"iss": "https://id.example"}),
            )),
            (401, "wrong_issuer"),
        ),
        (
            front.idp.access_token(&for_itself(
                &front,
                &json!({"iss": format!("https://sts.windows.net/{OBJECT}/"), "ver": "1.0"}),
            )),
            (401, "wrong_issuer"),
        ),
    ] {
        for protocol in PROTOCOLS {
            let reply = front.wire(protocol, HOST).ask(&bearing(&token, "/")).await;
            assert_eq!((reply.status, &*reply.reason()), verdict);
        }
    }
}
