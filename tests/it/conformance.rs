//! The relying-party modules of the OpenID Foundation's conformance suite that a client of the code
//! flow can be put to, by their names, at a provider that does what each module describes.
//!
//! Stricter than the suite where it leaves a choice: an unsigned token, a token without a key id
//! among several keys and a signature that cannot be checked are refused.
//!
//! What does not apply:
//!
//! | module | why |
//! |---|---|
//! | userinfo-bearer-body, userinfo-invalid-sub, userinfo-signed | userinfo is not asked; one test says so |
//! | invalid-chash, missing-chash, missing-athash of hybrid | no hybrid flow; front-channel tokens are refused (`login/callbacks.rs`) |
//! | nonce-unless-code-flow | a nonce is always sent (`login/whole_way.rs`) |
//! | form-post-error | answers come by query; a POST is 405 (`login/callbacks.rs`) |
//! | aggregated-claims, distributed-claims | claim sources are never followed; one test says so |
//! | mtls-endpoint-aliases, request-uri-signed-*, dynamic-registration, discovery-webfinger-* | not offered |
//! | refresh-token, refresh-token-invalid-issuer, -invalid-sub | no refresh token is asked for or kept |
//! | idtoken-sig-es256 | RS256 alone unless an operator says otherwise (`oidc` has the tests) |
//! | session-management | no session iframe |
//! | rp-backchannel-* | there is no back-channel address |
//! | 3rd-party-init-login | nobody else starts a sign-in here but by a plain link |

mod beyond;
mod entra;

use serde_json::{Value, json};

use crate::support::{
    client::Answer,
    clock,
    house::{HOST, House, SESSION, around, assert_refused_kindly, house},
    issuer::{self, FOREIGN_KEY, Lies, PublishedKey, Reply, Signature, field},
    upstream, vestibule,
};

/// A provider that lies is not believed: a page that offers to start again, the reason in the
/// metrics, no session, and not a byte to the app.
async fn refuses(house: &House, reason: &str, lie: impl FnOnce(&mut Lies)) -> Answer {
    house.idp.tells_the_truth();
    house.idp.lie(lie);
    let before = house.sign_ins(reason);
    let mut browser = house.browser();
    let answer = house.come_back(&mut browser).await;
    assert_refused_kindly(&answer);
    assert_eq!(
        house.sign_ins(reason),
        before + 1,
        "{reason}\n{}",
        house.vestibule.metrics()
    );
    assert_eq!(browser.cookie(&house.url("/"), SESSION), None);
    assert_eq!(house.vestibule.sessions().live(), 0);
    house.app.assert_silent().await;
    answer
}

/// Nobody is refused for this.
async fn accepts(house: &House, lie: impl FnOnce(&mut Lies)) {
    house.idp.tells_the_truth();
    house.idp.lie(lie);
    let before = house.sign_ins("signed_in");
    house.browser_of("ann").await;
    assert_eq!(house.sign_ins("signed_in"), before + 1);
}

#[tokio::test]
async fn oidcc_client_test() {
    // S-129
    accepts(&house().await, |_| ()).await;
}

#[tokio::test]
async fn oidcc_client_test_invalid_iss() {
    // S-122
    let house = house().await;
    refuses(&house, "wrong_issuer", |it| {
        it.claim("iss", "https://evil.test");
    })
    .await;
}

#[tokio::test]
async fn oidcc_client_test_missing_sub() {
    // S-123
    refuses(&house().await, "malformed_claim", |it| {
        it.without_claim("sub");
    })
    .await;
}

#[tokio::test]
async fn oidcc_client_test_invalid_aud() {
    // S-124
    refuses(&house().await, "wrong_audience", |it| {
        it.claim("aud", "another client");
    })
    .await;
}

#[tokio::test]
async fn oidcc_client_test_missing_aud() {
    // S-125
    refuses(&house().await, "wrong_audience", |it| {
        it.without_claim("aud");
    })
    .await;
}

#[tokio::test]
async fn oidcc_client_test_missing_iat() {
    // S-126
    refuses(&house().await, "malformed_claim", |it| {
        it.without_claim("iat");
    })
    .await;
}

#[tokio::test]
async fn oidcc_client_test_kid_absent_single_jwks() {
    // S-127
    accepts(&house().await, |it| it.header("kid", Value::Null)).await;
}

#[tokio::test]
async fn oidcc_client_test_kid_absent_multiple_jwks() {
    // S-128: stricter.
    let house = house().await;
    house
        .idp
        .publishes(vec![PublishedKey::numbered(0), PublishedKey::numbered(1)]);
    house.vestibule.can_sign_in(HOST).await;
    house.wait(std::time::Duration::from_hours(2));
    crate::support::eventually("the keys were fetched again", || {
        house.idp.key_fetches() == 2
    })
    .await;
    // A sign-in with the second key makes sure that both are known.
    let mut swapped = vec![PublishedKey::numbered(1), PublishedKey::numbered(0)];
    house.idp.publishes(swapped.clone());
    let browser = house.browser_of("ann").await;
    drop(browser);
    swapped.reverse();
    house.idp.publishes(swapped);
    house.idp.lie(|it| it.header("kid", Value::Null));
    assert_refused_kindly(&house.come_back(&mut house.browser()).await);
    assert_eq!(house.sign_ins("ambiguous_key"), 1);
}

#[tokio::test]
async fn oidcc_client_test_idtoken_sig_rs256() {
    // S-129
    accepts(&house().await, |it| it.signature = Signature::Rsa("RS256")).await;
}

#[tokio::test]
async fn oidcc_client_test_idtoken_sig_none() {
    // S-130: stricter; also in other spellings.
    let house = house().await;
    refuses(&house, "algorithm_not_allowed", |it| {
        it.signature = Signature::None;
    })
    .await;
    for spelling in ["None", "NONE", "nOnE", ""] {
        refuses(&house, "algorithm_not_allowed", |it| {
            it.signature = Signature::None;
            it.header("alg", spelling);
        })
        .await;
    }
}

#[tokio::test]
async fn oidcc_client_test_invalid_sig_rs256() {
    // S-131
    let house = house().await;
    refuses(&house, "invalid_signature", |it| {
        it.signature = Signature::Broken;
    })
    .await;
    refuses(&house, "invalid_signature", |it| {
        it.signature = Signature::By(FOREIGN_KEY);
    })
    .await;
}

#[tokio::test]
async fn oidcc_client_test_invalid_sig_es256() {
    // S-144
    refuses(&house().await, "algorithm_not_allowed", |it| {
        it.header("alg", "ES256");
    })
    .await;
}

#[tokio::test]
async fn oidcc_client_test_invalid_sig_hs256() {
    // S-170: with the public key as the secret.
    let house = house().await;
    refuses(&house, "algorithm_not_allowed", |it| {
        it.signature = Signature::HmacWithPublicKey;
    })
    .await;
}

#[tokio::test]
async fn oidcc_client_test_nonce_invalid() {
    // S-135
    let house = house().await;
    refuses(&house, "nonce_mismatch", |it| it.claim("nonce", "another")).await;
}

#[tokio::test]
async fn oidcc_client_test_invalid_athash() {
    // S-145
    let house = house().await;
    refuses(&house, "at_hash_mismatch", |it| {
        it.claim("at_hash", "77QmUPtjPfzWtF2AnpK9RQ");
    })
    .await;
}

#[tokio::test]
async fn oidcc_client_test_missing_athash() {
    // S-145: in the code flow it may be absent.
    accepts(&house().await, |it| it.without_claim("at_hash")).await;
}

#[tokio::test]
async fn oidcc_client_test_scope_userinfo_claims() {
    // S-136, S-133, S-134, S-150: the scopes are asked for; userinfo is not, whatever is announced.
    let time = clock::manual();
    let idp = issuer::honest(&time).run();
    let userinfo = upstream::echo().run();
    let url = format!("http://{}/userinfo", userinfo.address());
    idp.lie(|it| it.discovery = Reply::edited(move |it| it["userinfo_endpoint"] = json!(url)));
    let house = around(idp, &time).await;
    house.browser_of("ann").await;
    let asked = house.idp.authorization_requests();
    assert_eq!(field(&asked[0], "scope"), Some("openid profile email"));
    userinfo.assert_silent().await;
}

#[tokio::test]
async fn oidcc_client_test_client_secret_basic() {
    // S-137
    let house = house().await;
    accepts(&house, |_| ()).await;
    let asked = house.idp.token_requests();
    assert!(
        asked[0]
            .authorization
            .as_deref()
            .unwrap()
            .starts_with("Basic ")
    );
}

#[tokio::test]
async fn oidcc_client_test_discovery_openid_config() {
    // S-138, S-139 discovery-jwks-uri-keys: every address is taken from the metadata.
    let house = house().await;
    accepts(&house, |_| ()).await;
    assert!(house.idp.discovery_fetches() >= 1 && house.idp.key_fetches() >= 1);
}

#[tokio::test]
async fn oidcc_client_test_discovery_jwks_uri_keys() {
    // S-139
    let time = clock::manual();
    let idp = issuer::honest(&time).run();
    idp.lie(|it| {
        it.discovery = Reply::edited(|it| {
            let uri = it["jwks_uri"]
                .as_str()
                .unwrap()
                .replace("/keys", "/elsewhere/of/today/keys");
            it["jwks_uri"] = json!(uri);
        });
    });
    let house = around(idp, &time).await;
    house.browser_of("ann").await;
}

#[tokio::test]
async fn oidcc_client_test_discovery_issuer_mismatch() {
    // S-140: such metadata is not used; nobody can begin a sign-in.
    let time = clock::manual();
    let idp = issuer::honest(&time).run();
    idp.lie(|it| it.discovery = Reply::edited(|it| it["issuer"] = json!("https://evil.test")));
    let app = upstream::echo().run();
    let vestibule = vestibule::at(&time)
        .route("wiki", HOST, "allow = \"signed-in\"", &app)
        .provider("corp", &idp)
        .run();
    crate::support::eventually("it was asked again", || {
        time.advance(std::time::Duration::from_secs(5));
        idp.discovery_fetches() >= 3
    })
    .await;
    let answer = vestibule.browser().view(&vestibule.url(HOST, "/")).await;
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
    assert_eq!(idp.key_fetches(), 0);
    app.assert_silent().await;
    // Once it tells the truth, people come in without a restart.
    idp.tells_the_truth();
    let house = House {
        vestibule,
        idp,
        app,
    };
    let mut browser = house.browser();
    let polling = async {
        while browser.view(&house.url("/")).await.status != 302 {
            house.wait(std::time::Duration::from_secs(5));
        }
    };
    tokio::time::timeout(crate::support::PATIENCE, polling)
        .await
        .unwrap();
}

#[tokio::test]
async fn oidcc_client_test_signing_key_rotation() {
    // S-141: new keys between two sign-ins cost one fetch.
    let house = house().await;
    accepts(&house, |_| ()).await;
    let before = house.idp.key_fetches();
    house.idp.publishes(vec![PublishedKey::numbered(1)]);
    accepts(&house, |_| ()).await;
    assert_eq!(house.idp.key_fetches(), before + 1);
    accepts(&house, |_| ()).await;
    assert_eq!(house.idp.key_fetches(), before + 1);
}

#[tokio::test]
async fn oidcc_client_test_signing_key_rotation_just_before_signing() {
    // S-142: also a new key under the old id; a key that is published nowhere is not believed.
    let house = house().await;
    let mut browser = house.browser();
    let back = house.way_back(&mut browser, "/").await;
    house
        .idp
        .publishes(vec![PublishedKey::numbered(1).named("key-0")]);
    assert_eq!(browser.view(back.as_str()).await.status, 303);
    let answer = {
        house.idp.lie(|it| it.header("kid", "unknown"));
        house.come_back(&mut house.browser()).await
    };
    assert_refused_kindly(&answer);
    assert_eq!(house.sign_ins("unknown_key"), 1);
}

#[tokio::test]
async fn oidcc_client_test_distributed_claims() {
    // S-149, and -aggregated-claims: sources are never followed.
    let elsewhere = upstream::echo().run();
    let endpoint = format!("http://{}/claims", elsewhere.address());
    let house = house().await;
    accepts(&house, |it| {
        it.claim(
            "_claim_names",
            json!({"groups": "src1", "shoe_size": "src1"}),
        );
        it.claim(
            "_claim_sources",
            json!({"src1": {"endpoint": endpoint, "access_token": "x"}}),
        );
    })
    .await;
    elsewhere.assert_silent().await;
}
