//! Metadata: fetched, checked, kept.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use url::Url;

use super::{
    super::{
        jwks::KeySet,
        provider::{DiscoveryError, Metadata, issuer_url, metadata_url},
        relying_party::{ProviderStatus, RelyingParty, SetupError},
    },
    support::*,
};
use crate::config::provider::ProviderKind;

fn check(kind: &ProviderKind, document: &Value) -> Result<Metadata, DiscoveryError> {
    Metadata::check(kind, document.as_object().unwrap())
}

fn metadata(changes: &Value) -> Value {
    let usual = json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://issuer.example/authorize?policy=x",
        "token_endpoint": "https://issuer.example/token",
        "jwks_uri": "https://keys.example/keys",
    });
    with(usual, changes)
}

#[test]
fn the_metadata_lies_behind_the_issuer() {
    // S-138
    for (issuer, place) in [
        (
            "https://a.example",
            "https://a.example/.well-known/openid-configuration",
        ),
        (
            "https://a.example/",
            "https://a.example/.well-known/openid-configuration",
        ),
        (
            "https://a.example/b",
            "https://a.example/b/.well-known/openid-configuration",
        ),
        (
            "https://a.example/b/",
            "https://a.example/b/.well-known/openid-configuration",
        ),
    ] {
        assert_eq!(metadata_url(&oidc(issuer)).unwrap().as_str(), place);
    }
    let authority = format!("https://login.microsoftonline.com/{TENANT}/v2.0");
    assert_eq!(
        metadata_url(&entra(&authority, &[])).unwrap().as_str(),
        format!("{authority}/.well-known/openid-configuration")
    );
}

#[test]
fn only_https_or_this_host_can_be_an_issuer() {
    for (issuer, usable) in [
        ("https://a.example", true),
        ("http://127.0.0.1:8080", true),
        ("http://[::1]:8080", true),
        ("http://localhost/x", true),
        ("http://a.example", false),
        ("http://10.0.0.1", false),
        ("https://a.example?x", false),
        ("https://a.example#x", false),
        ("https://user@a.example", false),
        ("ftp://a.example", false),
        ("a.example", false),
        ("", false),
    ] {
        assert_eq!(issuer_url(&oidc(issuer)).is_some(), usable, "{issuer}");
    }
}

#[test]
fn the_issuer_must_be_the_configured_one_byte_for_byte() {
    // S-140 oidcc-client-test-discovery-issuer-mismatch, S-168
    assert!(check(&oidc(ISSUER), &metadata(&json!({}))).is_ok());
    for found in [
        json!("https://issuer.example/"),
        json!("https://ISSUER.example"),
        json!("https://issuer.example:443"),
        json!("https://evil.example"),
        json!("http://issuer.example"),
        json!(""),
        json!(null),
        json!([ISSUER]),
        json!("REMOVE"),
    ] {
        let document = metadata(&json!({"issuer": found}));
        assert!(check(&oidc(ISSUER), &document).is_err(), "{found}");
    }
}

#[test]
fn every_endpoint_is_https_and_its_query_has_nothing_of_ours() {
    // S-183
    for changes in [
        json!({"token_endpoint": "http://issuer.example/token"}),
        json!({"token_endpoint": "http://127.0.0.1/token"}),
        json!({"token_endpoint": "REMOVE"}),
        json!({"token_endpoint": "/token"}),
        json!({"token_endpoint": 7}),
        json!({"jwks_uri": "REMOVE"}),
        json!({"jwks_uri": null}),
        json!({"jwks_uri": "file:///etc/passwd"}),
        json!({"authorization_endpoint": "javascript:alert(1)"}),
        json!({"authorization_endpoint": "https://issuer.example/a#b"}),
        json!({"authorization_endpoint": "https://u:p@issuer.example/a"}),
        json!({"authorization_endpoint": "https://issuer.example/a?client_id=x"}),
        json!({"authorization_endpoint": "https://issuer.example/a?redirect%5Furi=x"}),
        json!({"authorization_endpoint": "https://issuer.example/a?request=x"}),
        json!({"end_session_endpoint": "https://issuer.example/l?state=x"}),
        json!({"end_session_endpoint": "http://issuer.example/l"}),
        json!({"userinfo_endpoint": "http://issuer.example/u"}),
        json!({"device_authorization_endpoint": "http://issuer.example/u"}),
        json!({"authorization_response_iss_parameter_supported": "yes"}),
        json!({"token_endpoint_auth_methods_supported": "client_secret_post"}),
        json!({"token_endpoint_auth_methods_supported": ["private_key_jwt"]}),
        json!({"token_endpoint_auth_methods_supported": []}),
    ] {
        assert!(
            check(&oidc(ISSUER), &metadata(&changes)).is_err(),
            "{changes}"
        );
    }
    // On this host, an issuer on this host may go without.
    let local = "http://127.0.0.1:9";
    let document = metadata(&json!({"issuer": local, "token_endpoint": "http://localhost:9/t"}));
    assert!(check(&oidc(local), &document).is_ok());
}

#[test]
fn a_template_issuer_counts_only_with_a_list() {
    // S-196
    let authority = "https://login.microsoftonline.com/common/v2.0";
    let issuer = "https://login.microsoftonline.com/{tenantid}/v2.0";
    let document = metadata(&json!({"issuer": issuer}));
    assert!(check(&entra(authority, &[TENANT]), &document).is_ok());
    assert!(check(&entra(authority, &[]), &document).is_err());
    assert!(check(&oidc(issuer), &metadata(&json!({}))).is_err());
}

#[test]
fn a_provider_that_cannot_be_trusted_is_refused_at_once() {
    let clock = clock();
    let insecure = RelyingParty::new(provider(oidc("http://a.example")), clock.clock());
    assert!(matches!(insecure, Err(SetupError::Issuer)));
    for algorithm in ["none", "HS256", "ES512"] {
        let mut provider = provider(oidc(ISSUER));
        provider.algorithms = vec![serde_json::from_value(json!(algorithm)).unwrap()];
        let refused = RelyingParty::new(provider, clock.clock());
        assert!(matches!(refused, Err(SetupError::Algorithm)), "{algorithm}");
    }
}

#[tokio::test]
async fn nothing_broken_makes_a_provider_ready() {
    // S-140, S-193
    let fake = FakeProvider::start().await;
    let party = fake.relying_party(&clock());
    let place = "/.well-known/openid-configuration";
    let good = Say::json(&fake.metadata());
    let doubled = good.body.replacen('{', r#"{"issuer":"x","#, 1);
    for broken in [
        Say::text(404, "application/json", good.body.clone()),
        Say::text(203, "application/json", good.body.clone()),
        Say::text(200, "text/html", good.body.clone()),
        Say::text(200, "application/json", doubled),
        Say::text(
            200,
            "application/json",
            format!("{} ", " ".repeat(1024 * 1024)),
        ),
        Say::text(200, "application/json", String::new()),
        Say::json(&json!({"issuer": fake.issuer()})),
        Say::json(&json!([])),
    ] {
        fake.say(place, broken);
        assert!(party.refresh().await.is_err());
        assert!(matches!(party.status(), ProviderStatus::Waiting { .. }));
    }
    fake.say(place, good);
    for broken in [json!({}), json!({"keys": []}), json!({"keys": {}})] {
        fake.say("/keys", Say::json(&broken));
        assert!(party.refresh().await.is_err());
        assert!(matches!(party.status(), ProviderStatus::Waiting { .. }));
    }
    fake.say_keys(&[rsa_jwk(0, "one")]);
    party.refresh().await.unwrap();
    assert_eq!(party.status(), ProviderStatus::Ready);
}

#[tokio::test]
async fn keys_come_from_where_the_metadata_says() {
    // S-139 oidcc-client-test-discovery-jwks-uri-keys
    let fake = FakeProvider::start().await;
    let elsewhere = format!("{}/elsewhere", fake.issuer());
    fake.say_metadata(&json!({"jwks_uri": elsewhere}));
    fake.say(
        "/elsewhere",
        Say::json(&json!({"keys": [rsa_jwk(0, "one")]})),
    );
    let party = fake.relying_party(&clock());
    party.refresh().await.unwrap();
    assert!(fake.asked("/keys").is_empty());
    assert_eq!(fake.asked("/elsewhere").len(), 1);
}

#[tokio::test]
async fn a_good_state_is_never_replaced_by_a_bad_one() {
    let fake = FakeProvider::start().await;
    let party = fake.relying_party(&clock());
    party.refresh().await.unwrap();
    let place = "/.well-known/openid-configuration";
    for (path, broken) in [
        (place, Say::text(500, "application/json", "{}".to_owned())),
        (
            place,
            Say::json(&with(
                fake.metadata(),
                &json!({"issuer": "https://evil.example"}),
            )),
        ),
        ("/keys", Say::json(&json!({"keys": []}))),
    ] {
        fake.say(place, Say::json(&fake.metadata()));
        fake.say(path, broken);
        assert!(party.refresh().await.is_err());
        assert_eq!(party.status(), ProviderStatus::Ready);
        assert!(party.redeem(&code(), &expected()).await.is_ok());
    }
}

#[tokio::test]
async fn the_tenant_behind_a_domain_name_stays_pinned() {
    // S-195
    let fake = FakeProvider::start().await;
    let base = fake.issuer();
    let place = "/contoso.example/v2.0/.well-known/openid-configuration";
    let document = |tenant: &str| {
        let issuer = format!("{base}/{tenant}/v2.0");
        Say::json(&with(fake.metadata(), &json!({"issuer": issuer})))
    };
    fake.say(place, document(TENANT));
    let kind = entra(&format!("{base}/contoso.example/v2.0"), &[]);
    let party = relying_party_of(provider(kind), &clock());
    party.refresh().await.unwrap();
    fake.say(place, document(OTHER_TENANT));
    assert!(matches!(
        party.refresh().await,
        Err(DiscoveryError::Issuer { .. })
    ));
    fake.say_token(&token(&entra_claims(&base, &json!({}))));
    let signed_in = party.redeem(&code(), &expected()).await.unwrap();
    assert_eq!(
        signed_in.identity.person().to_string(),
        format!("{TENANT}/{OBJECT}")
    );
    assert!(signed_in.id_token_hint.is_none());
}

#[tokio::test]
async fn it_tries_until_the_provider_answers_and_then_every_hour() {
    let fake = FakeProvider::start().await;
    let place = "/.well-known/openid-configuration";
    let good = Say::json(&fake.metadata());
    fake.say(place, Say::text(503, "text/plain", String::new()));
    let clock = clock();
    let party = fake.relying_party(&clock);
    let keeping = tokio::spawn(Arc::clone(&party).keep_fresh());
    until(|| matches!(party.status(), ProviderStatus::Waiting { last_error, .. } if !last_error.is_empty())).await;
    let ProviderStatus::Waiting {
        last_error,
        retry_after,
    } = party.status()
    else {
        panic!("it is not ready");
    };
    assert!(
        last_error.ends_with("the answer has status 503"),
        "{last_error}"
    );
    assert!(retry_after <= Duration::from_secs(2));
    fake.say(place, good);
    // Nothing is asked before its time, however often somebody wants to sign in.
    for _ in 0..50 {
        assert!(party.redeem(&code(), &expected()).await.is_err());
    }
    assert_eq!(fake.asked(place).len(), 1);
    clock.advance(Duration::from_secs(2));
    until(|| party.status() == ProviderStatus::Ready).await;
    assert_eq!(fake.asked(place).len(), 2);
    // The pause may not have begun yet when the time is moved, so it is moved until it is over.
    until(|| {
        clock.advance(Duration::from_mins(80));
        fake.asked(place).len() == 3
    })
    .await;
    keeping.abort();
}

/// Waits until a condition holds; fails after a while.
async fn until(mut holds: impl FnMut() -> bool) {
    let waited = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waited)
        .await
        .expect("the state is never reached");
}

#[test]
fn a_key_set_without_usable_keys_is_refused() {
    let parse = |document: &Value| KeySet::parse(document.as_object().unwrap()).err();
    for broken in [
        json!({}),
        json!({"keys": null}),
        json!({"keys": []}),
        json!({"keys": [1, "x", null, {}]}),
        json!({"keys": vec![rsa_jwk(0, "one"); 101]}),
    ] {
        assert!(parse(&broken).is_some(), "{broken:.60}");
    }
    assert!(Url::parse(ISSUER).is_ok());
}
