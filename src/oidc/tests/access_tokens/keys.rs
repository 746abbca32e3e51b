//! Keys: how often they are asked for, and from whom.

use std::time::Duration;

use super::*;

#[tokio::test]
async fn unknown_keys_cost_two_fetches_and_then_one_a_minute_and_new_ones_are_found() {
    // S-142, S-199
    let bench = Bench::oidc().await;
    let of = |kid: &str, which: usize| {
        let header = json!({"alg": "RS256", "kid": kid}).to_string();
        sign_raw(
            &header,
            &bench.claims(&json!({})).to_string(),
            "RS256",
            which,
        )
    };
    assert_eq!(bench.fake.asked("/keys").len(), 1);
    bench.fake.say_keys(&[rsa_jwk(1, "two")]);
    assert_eq!(bench.verdict(&of("two", 1)).await, "accepted");
    assert_eq!(bench.fake.asked("/keys").len(), 2);
    // The one that vanished still counts.
    assert_eq!(bench.verdict(&of("one", 0)).await, "accepted");
    for fetches in [3, 3, 3] {
        assert_eq!(bench.verdict(&of("three", 1)).await, "unknown_key");
        assert_eq!(bench.fake.asked("/keys").len(), fetches);
    }
    bench.clock.advance(Duration::from_mins(1));
    for _ in 0..3 {
        assert_eq!(bench.verdict(&of("three", 1)).await, "unknown_key");
    }
    assert_eq!(bench.fake.asked("/keys").len(), 4);
    // What else is wrong with a token, a broken signature too, costs no fetch at all.
    bench.clock.advance(Duration::from_mins(1));
    let payload = bench.claims(&json!({"exp": NOW - 60})).to_string();
    let expired = sign_raw(r#"{"alg":"RS256","kid":"four"}"#, &payload, "RS256", 1);
    assert_eq!(bench.verdict(&expired).await, "expired_token");
    assert_eq!(bench.verdict(&of("one", 1)).await, "invalid_signature");
    assert_eq!(bench.fake.asked("/keys").len(), 4);
}

#[tokio::test]
async fn an_issuer_that_is_not_known_yet_is_no_fault_of_the_token() {
    let bench = Bench::oidc().await;
    let unknown = bench.fake.relying_party(&bench.clock);
    let tokens = AccessTokens::new(&bench.rules, |_| Some(Arc::clone(&unknown))).unwrap();
    let token = token(&bench.claims(&json!({})));
    let refused = tokens.verify(&token).await.unwrap_err();
    assert_eq!(refused.reason(), "keys_unavailable");
}

#[tokio::test]
async fn an_issuer_of_tokens_alone_needs_no_endpoint_but_its_keys() {
    let bench = Bench::oidc().await;
    let bare =
        json!({"issuer": bench.fake.issuer(), "jwks_uri": format!("{}/keys", bench.fake.issuer())});
    let metadata = "/.well-known/openid-configuration";
    bench.fake.say(metadata, Say::json(&bare));
    assert!(bench.party.refresh().await.is_err());
    let name = ProviderName(bench.fake.issuer());
    let kind = oidc(&bench.fake.issuer());
    let party = RelyingParty::for_keys(name, kind, bench.clock.clock()).unwrap();
    party.refresh().await.unwrap();
    let tokens = AccessTokens::new(&bench.rules, |_| Some(Arc::clone(&party))).unwrap();
    let good = token(&bench.claims(&json!({})));
    assert!(tokens.verify(&good).await.is_ok());
    // Nothing but the endpoints is forgiven.
    let foreign = with(bare, &json!({"issuer": "https://evil.example"}));
    bench.fake.say(metadata, Say::json(&foreign));
    assert!(party.refresh().await.is_err());
}
