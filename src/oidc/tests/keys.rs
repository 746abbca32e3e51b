//! Signing keys: which are usable, how they come and go, how often they are asked for.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{
    super::jwks::{KeyRing, KeySet, SelectError},
    support::*,
};

fn select(ring: &KeyRing, kid: &str, algorithm: &str) -> Result<(), SelectError> {
    let now = clock().clock().now();
    ring.select(Some(kid), algorithm, now).map(|_| ())
}

#[test]
fn unusable_keys_are_skipped_and_good_ones_beside_them_work() {
    // S-192, S-171
    let n = rsa_jwk(0, "x")["n"].clone();
    let bad = |changes: Value| with(rsa_jwk(0, "bad"), &changes);
    let zeros = |count: usize| b64(vec![0; count]);
    let mut off_curve = ec_jwk("bad");
    off_curve["y"] = off_curve["x"].clone();
    let weak = b64([&[0x80][..], &[0xff; 127]].concat());
    let padded_weak = b64([&[0; 128][..], &[0x80], &[0xff; 127]].concat());
    for (bad, algorithm) in [
        (bad(json!({"kty": "XXX"})), "RS256"),
        (bad(json!({"kty": "REMOVE"})), "RS256"),
        (bad(json!({"kty": "oct", "k": n})), "RS256"),
        (bad(json!({"kty": "EC"})), "RS256"),
        (bad(json!({"use": "enc"})), "RS256"),
        (bad(json!({"use": 1})), "RS256"),
        (bad(json!({"key_ops": ["encrypt"]})), "RS256"),
        (bad(json!({"alg": "RSA-OAEP"})), "RS256"),
        (bad(json!({"alg": "ES256"})), "RS256"),
        (bad(json!({"alg": 7})), "RS256"),
        (bad(json!({"n": weak})), "RS256"),
        (bad(json!({"n": padded_weak})), "RS256"),
        (
            bad(json!({"n": format!("{}=", n.as_str().unwrap())})),
            "RS256",
        ),
        (bad(json!({"n": "!!"})), "RS256"),
        (bad(json!({"n": ""})), "RS256"),
        (bad(json!({"n": zeros(256)})), "RS256"),
        (bad(json!({"n": b64(vec![0xff; 513])})), "RS256"),
        (
            bad(json!({"n": b64([&[0xff; 255][..], &[0xfe]].concat())})),
            "RS256",
        ),
        (bad(json!({"e": "AQ"})), "RS256"),
        (bad(json!({"e": "Ag"})), "RS256"),
        (bad(json!({"e": "AQAA"})), "RS256"),
        (bad(json!({"e": zeros(3)})), "RS256"),
        (bad(json!({"e": b64([0xff; 9])})), "RS256"),
        (bad(json!({"issuer": 7})), "RS256"),
        (bad(json!({"kid": 7})), "RS256"),
        (off_curve, "ES256"),
        (with(ec_jwk("bad"), &json!({"crv": "P-521"})), "ES256"),
        (with(ec_jwk("bad"), &json!({"crv": "P-384"})), "ES384"),
        (with(ec_jwk("bad"), &json!({"x": "AA"})), "ES256"),
        (
            json!({"kty": "OKP", "crv": "Ed25519", "kid": "bad", "x": "AA"}),
            "EdDSA",
        ),
    ] {
        let ring = key_ring(&[bad.clone(), rsa_jwk(0, "good"), json!("nonsense")]);
        assert_eq!(
            select(&ring, "bad", algorithm),
            Err(SelectError::Unknown),
            "{bad}"
        );
        assert_eq!(select(&ring, "good", "RS256"), Ok(()), "{bad}");
    }
}

#[test]
fn private_parts_are_not_kept() {
    // S-192
    let ring = key_ring(&[with(
        rsa_jwk(0, "one"),
        &json!({"d": "aHVudGVyMg", "p": "AQ"}),
    )]);
    assert_eq!(select(&ring, "one", "RS256"), Ok(()));
    let hidden = format!("{:?}", b"hunter2".as_slice());
    assert!(!format!("{ring:?}").contains(hidden.trim_matches(['[', ']'])));
}

#[test]
fn two_keys_under_one_id_are_never_guessed_between() {
    // S-192
    let ring = key_ring(&[rsa_jwk(0, "one"), rsa_jwk(1, "one"), rsa_jwk(0, "two")]);
    assert_eq!(select(&ring, "one", "RS256"), Err(SelectError::Ambiguous));
    assert_eq!(select(&ring, "two", "RS256"), Ok(()));
    let twice_the_same = key_ring(&[rsa_jwk(0, "one"), rsa_jwk(0, "one")]);
    assert_eq!(select(&twice_the_same, "one", "RS256"), Ok(()));
}

#[test]
fn a_key_with_an_algorithm_serves_that_one_alone() {
    let ring = key_ring(&[with(rsa_jwk(0, "one"), &json!({"alg": "PS256"}))]);
    assert_eq!(select(&ring, "one", "PS256"), Ok(()));
    assert_eq!(select(&ring, "one", "RS256"), Err(SelectError::Unfit));
    assert_eq!(select(&ring, "one", "ES256"), Err(SelectError::Unfit));
}

#[test]
fn a_vanished_key_counts_for_a_day_after_its_last_sight() {
    // S-199
    let manual = clock();
    let set = |keys: Value| KeySet::parse(json!({ "keys": keys }).as_object().unwrap()).unwrap();
    let now = || manual.clock().now();
    let first = KeyRing::default().merged_with(set(json!([rsa_jwk(0, "old")])), now());
    manual.advance(Duration::from_hours(1));
    let second = first.merged_with(set(json!([rsa_jwk(1, "new")])), now());
    let left = Duration::from_hours(23).checked_sub(Duration::from_millis(1));
    manual.advance(left.unwrap());
    assert!(second.select(Some("old"), "RS256", now()).is_ok());
    // Without a key id only the latest document counts, so the two do not make it ambiguous.
    assert!(second.select(None, "RS256", now()).is_ok());
    manual.advance(Duration::from_millis(1));
    let gone = second.select(Some("old"), "RS256", now()).err();
    assert_eq!(gone, Some(SelectError::Unknown));
    assert!(second.select(Some("new"), "RS256", now()).is_ok());
}

#[test]
fn what_is_remembered_is_bounded() {
    // S-008
    let manual = clock();
    let now = manual.clock().now();
    let mut ring = KeyRing::default();
    for round in 0..20 {
        let keys: Vec<Value> = (0..100)
            .map(|n| rsa_jwk(0, &format!("{round}-{n}")))
            .collect();
        let set = KeySet::parse(json!({ "keys": keys }).as_object().unwrap()).unwrap();
        ring = ring.merged_with(set, now);
    }
    assert!(ring.select(Some("19-99"), "RS256", now).is_ok());
    assert!(ring.select(Some("15-99"), "RS256", now).is_ok());
    let dropped = ring.select(Some("14-99"), "RS256", now).err();
    assert_eq!(dropped, Some(SelectError::Unknown));
}

fn token_of(fake: &FakeProvider, which: usize, kid: &str) -> String {
    let header = json!({"alg": "RS256", "kid": kid}).to_string();
    sign_raw(
        &header,
        &fake.claims(&json!({})).to_string(),
        "RS256",
        which,
    )
}

#[tokio::test]
async fn a_new_key_is_asked_for_once() {
    // S-141 oidcc-client-test-signing-key-rotation, S-142 -just-before-signing, S-199
    let fake = FakeProvider::start().await;
    let party = fake.relying_party(&clock());
    party.refresh().await.unwrap();
    assert!(party.redeem(&code(), &expected()).await.is_ok());
    assert_eq!(fake.asked("/keys").len(), 1);
    fake.say_keys(&[rsa_jwk(1, "two")]);
    fake.say_token(&token_of(&fake, 1, "two"));
    for _ in 0..3 {
        assert!(party.redeem(&code(), &expected()).await.is_ok());
    }
    assert_eq!(fake.asked("/keys").len(), 2);
    // The key that vanished still counts.
    fake.say_token(&token_of(&fake, 0, "one"));
    assert!(party.redeem(&code(), &expected()).await.is_ok());
    assert_eq!(fake.asked("/keys").len(), 2);
}

#[tokio::test]
async fn a_key_that_changed_under_its_id_is_asked_for_once() {
    let fake = FakeProvider::start().await;
    let party = fake.relying_party(&clock());
    party.refresh().await.unwrap();
    fake.say_keys(&[rsa_jwk(1, "one")]);
    fake.say_token(&token_of(&fake, 1, "one"));
    assert!(party.redeem(&code(), &expected()).await.is_ok());
    assert_eq!(fake.asked("/keys").len(), 2);
}

#[tokio::test]
async fn unknown_keys_cost_two_fetches_and_then_one_a_minute() {
    // S-142, S-199
    let fake = FakeProvider::start().await;
    let clock = clock();
    let party = fake.relying_party(&clock);
    party.refresh().await.unwrap();
    fake.say_token(&token_of(&fake, 1, "unknown"));
    for fetches in [2, 3, 3, 3] {
        let refused = party.redeem(&code(), &expected()).await.unwrap_err();
        assert_eq!(refused.reason(), "unknown_key");
        assert_eq!(fake.asked("/keys").len(), fetches);
    }
    clock.advance(Duration::from_mins(1));
    for _ in 0..3 {
        assert!(party.redeem(&code(), &expected()).await.is_err());
    }
    assert_eq!(fake.asked("/keys").len(), 4);
    // Meanwhile everybody whose key is known comes in, also while the keys cannot be fetched.
    fake.say("/keys", Say::text(500, "text/plain", String::new()));
    fake.say_token(&token_of(&fake, 0, "one"));
    assert!(party.redeem(&code(), &expected()).await.is_ok());
}

#[tokio::test]
async fn many_unknown_keys_at_once_wait_for_one_fetch() {
    let fake = FakeProvider::start().await;
    let party = fake.relying_party(&clock());
    party.refresh().await.unwrap();
    fake.say_keys(&[rsa_jwk(1, "two")]);
    fake.say_token(&token_of(&fake, 1, "two"));
    let attempts: Vec<_> = (0..20)
        .map(|_| {
            let party = Arc::clone(&party);
            tokio::spawn(async move { party.redeem(&code(), &expected()).await.is_ok() })
        })
        .collect();
    for attempt in attempts {
        assert!(attempt.await.unwrap());
    }
    assert!(fake.asked("/keys").len() <= 3);
}

#[tokio::test]
async fn a_token_that_its_claims_refuse_costs_no_fetch() {
    let fake = FakeProvider::start().await;
    let party = fake.relying_party(&clock());
    party.refresh().await.unwrap();
    let claims = fake.claims(&json!({"nonce": "another"})).to_string();
    fake.say_token(&sign_raw(
        r#"{"alg":"RS256","kid":"new"}"#,
        &claims,
        "RS256",
        0,
    ));
    let refused = party.redeem(&code(), &expected()).await.unwrap_err();
    assert_eq!(refused.reason(), "nonce_mismatch");
    assert_eq!(fake.asked("/keys").len(), 1);
}
