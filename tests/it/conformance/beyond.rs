//! Rules of the standards that the suite has no module for: tables of claims, headers and keys.

use serde_json::{Map, Value, json};

use super::{accepts, refuses};
use crate::support::{
    house::{House, assert_refused_kindly, house},
    issuer::{CLIENT_ID, PublishedKey, Signature},
    upstream,
};

/// Puts each value of a claim to the test on one house.
async fn refuses_each(house: &House, claim: &str, odd: Vec<(Value, &str)>) {
    for (value, reason) in odd {
        refuses(house, reason, |it| it.claim(claim, value)).await;
    }
}

#[tokio::test]
async fn the_issuer_is_compared_byte_for_byte() {
    // S-168
    let house = house().await;
    let issuer = house.idp.issuer();
    let odd = [
        format!("{issuer}/"),
        issuer.replace("http", "HTTP"),
        issuer.replace("http:", "https:"),
        issuer.replace("127.0.0.1", "localhost"),
        issuer.replace("127", "%3127"),
        format!("{issuer}?"),
        format!("{issuer}#"),
        format!("{issuer} "),
        format!("\u{feff}{issuer}"),
    ];
    let odd = odd.into_iter().map(|it| (json!(it), "wrong_issuer"));
    refuses_each(&house, "iss", odd.collect()).await;
    for shape in [json!([issuer]), json!({"0": issuer}), json!(1), Value::Null] {
        refuses(&house, "malformed_claim", |it| it.claim("iss", shape)).await;
    }
}

#[tokio::test]
async fn a_token_is_for_us_alone() {
    // S-169
    let house = house().await;
    refuses_each(
        &house,
        "aud",
        vec![
            (json!([CLIENT_ID, "other"]), "wrong_audience"),
            (json!(["other", CLIENT_ID]), "wrong_audience"),
            (json!([]), "wrong_audience"),
            (json!(format!("{CLIENT_ID} ")), "wrong_audience"),
            (json!(CLIENT_ID.to_uppercase()), "wrong_audience"),
        ],
    )
    .await;
    for azp in ["other", ""] {
        refuses(&house, "wrong_audience", |it| it.claim("azp", azp)).await;
    }
    refuses(&house, "wrong_audience", |it| {
        it.claim("aud", json!([CLIENT_ID, "other"]));
        it.claim("azp", CLIENT_ID);
    })
    .await;
    accepts(&house, |it| it.claim("aud", json!([CLIENT_ID]))).await;
    accepts(&house, |it| it.claim("azp", CLIENT_ID)).await;
}

#[tokio::test]
async fn only_the_configured_algorithm_counts() {
    // S-170
    let house = house().await;
    for algorithm in ["RS384", "RS512", "PS256"] {
        refuses(&house, "algorithm_not_allowed", |it| {
            it.signature = Signature::Rsa(algorithm);
        })
        .await;
    }
    for named in ["ES256", "EdDSA", "HS256", "HS512", "rs256", "RS256 "] {
        refuses(&house, "algorithm_not_allowed", |it| {
            it.header("alg", named);
        })
        .await;
    }
    refuses(&house, "algorithm_not_allowed", |it| {
        it.header("alg", Value::Null);
    })
    .await;
}

#[tokio::test]
async fn nothing_in_a_tokens_header_is_fetched_or_trusted() {
    // S-171
    let house = house().await;
    let elsewhere = upstream::echo().run();
    let url = format!("http://{}/keys", elsewhere.address());
    for (member, value, reason) in [
        ("crit", json!(["exp"]), "unacceptable_header"),
        ("crit", json!([]), "unacceptable_header"),
        ("b64", json!(false), "unacceptable_header"),
        ("kid", json!(7), "unacceptable_header"),
        ("kid", json!(["key-0"]), "unacceptable_header"),
        ("kid", json!("../../../etc/passwd"), "unknown_key"),
        ("kid", json!("' OR 1=1 --"), "unknown_key"),
        ("enc", json!("A256GCM"), "unacceptable_header"),
        ("zip", json!("DEF"), "unacceptable_header"),
        ("cty", json!("JWT"), "unacceptable_header"),
    ] {
        refuses(&house, reason, |it| it.header(member, value)).await;
    }
    // Keys that a token brings along do not verify it: the one it was made with is nobody's.
    for (member, value) in [
        ("jku", json!(url)),
        ("x5u", json!(url)),
        ("jwk", PublishedKey::numbered(3).public()),
    ] {
        refuses(&house, "invalid_signature", |it| {
            it.signature = Signature::By(3);
            it.header(member, value);
        })
        .await;
    }
    elsewhere.assert_silent().await;
}

#[tokio::test]
async fn times_are_judged_by_our_own_clock() {
    // S-173: a minute of skew, five minutes of age.
    let house = house().await;
    let now = house.vestibule.time().clock().now().wall.unix_seconds();
    for (claim, from_now, reason) in [
        ("exp", -60, Some("expired_token")),
        ("exp", -3600, Some("expired_token")),
        ("exp", -59, None),
        ("iat", 61, Some("issued_in_future")),
        ("iat", 600, Some("issued_in_future")),
        ("iat", 59, None),
        ("iat", -361, Some("issued_too_long_ago")),
        ("iat", -86_400, Some("issued_too_long_ago")),
        ("iat", -299, None),
        ("nbf", 61, Some("not_yet_valid")),
        ("nbf", 59, None),
    ] {
        if let Some(reason) = reason {
            refuses(&house, reason, |it| it.claim(claim, now + from_now)).await;
        }
    }
    for (claim, from_now) in [("exp", -59), ("iat", 59), ("iat", -299), ("nbf", 59)] {
        accepts(&house, |it| it.claim(claim, now + from_now)).await;
    }
}

#[tokio::test]
async fn a_time_that_is_no_number_is_no_time() {
    // S-063
    let house = house().await;
    for claim in ["exp", "iat", "nbf"] {
        for odd in [
            json!("9999999999"),
            json!({}),
            json!([]),
            json!(true),
            json!(1e300),
            json!(null),
        ] {
            refuses(&house, "malformed_claim", |it| it.claim(claim, odd)).await;
        }
    }
    refuses(&house, "malformed_claim", |it| it.without_claim("exp")).await;
}

#[tokio::test]
async fn a_token_answers_this_sign_in_and_no_other() {
    // S-174
    let house = house().await;
    let mut nonces = Vec::new();
    for _ in 0..2 {
        house.way_back(&mut house.browser(), "/").await;
        let asked = house.idp.authorization_requests();
        let asked = asked.last().unwrap();
        nonces.push(
            crate::support::issuer::field(asked, "nonce")
                .unwrap()
                .to_owned(),
        );
    }
    for (odd, reason) in [
        (json!(nonces[0]), "nonce_mismatch"),
        (json!(""), "nonce_mismatch"),
        (json!([nonces[0]]), "malformed_claim"),
        (json!(0), "malformed_claim"),
    ] {
        refuses_with_either(&house, &[reason, "nonce_mismatch"], odd).await;
    }
    refuses(&house, "nonce_mismatch", |it| it.without_claim("nonce")).await;
}

async fn refuses_with_either(house: &House, reasons: &[&str], nonce: Value) {
    let count = |house: &House| reasons.iter().map(|it| house.sign_ins(it)).sum::<u64>();
    house.idp.tells_the_truth();
    house.idp.lie(|it| it.claim("nonce", nonce));
    let before = count(house);
    assert_refused_kindly(&house.come_back(&mut house.browser()).await);
    assert!(count(house) > before);
}

#[tokio::test]
async fn a_token_of_a_finished_sign_in_is_good_for_no_other() {
    // S-174: the provider hands out the very token of an earlier sign-in.
    let house = house().await;
    house.browser_of("ann").await;
    let old = house.idp.last_id_token();
    house.idp.lie(|it| {
        it.token =
            crate::support::issuer::Reply::edited(move |answer| answer["id_token"] = json!(old));
    });
    assert_refused_kindly(&house.come_back(&mut house.browser()).await);
    assert_eq!(house.sign_ins("nonce_mismatch"), 1);
}

type Write = fn(&Map<String, Value>) -> String;

#[tokio::test]
async fn a_payload_that_can_be_read_in_two_ways_is_read_in_none() {
    // S-193: doubled names, other spellings, things that are no object.
    let house = house().await;
    let writes: [(Write, &str); 5] = [
        (|it| doubled(it, r#"{"sub":"boss","#), "malformed_token"),
        (
            |it| doubled(it, r#"{"iss":"https://evil.test","#),
            "malformed_token",
        ),
        (|it| doubled(it, r#"{"SUB":"boss","#), "duplicate_claim"),
        (|_| "[]".to_owned(), "malformed_token"),
        (|it| format!("{} ,", text(it)), "malformed_token"),
    ];
    for (write, reason) in writes {
        refuses(&house, reason, |it| it.payload(write)).await;
    }
    let deep = |_: &Map<String, Value>| "{\"a\":".repeat(10_000) + "1" + &"}".repeat(10_000);
    refuses(&house, "malformed_token", |it| it.payload(deep)).await;
    house.assert_no_panic();
}

fn text(claims: &Map<String, Value>) -> String {
    Value::Object(claims.clone()).to_string()
}

fn doubled(claims: &Map<String, Value>, start: &str) -> String {
    text(claims).replacen('{', start, 1)
}

#[tokio::test]
async fn a_key_set_is_used_for_what_is_good_in_it() {
    // S-192: odd keys beside a good one change nothing.
    let house = house().await;
    house.idp.publishes(vec![
        PublishedKey::numbered(1),
        PublishedKey::numbered(2).named("enc").member("use", "enc"),
        PublishedKey::numbered(2)
            .named("oct")
            .member("kty", "oct")
            .member("k", "c2VjcmV0"),
        PublishedKey::numbered(2).named("odd").member("kty", "WHAT"),
        PublishedKey::numbered(2)
            .named("broken")
            .member("n", "!!!!"),
        PublishedKey::numbered(2).named("one").member("e", "AQ"),
        PublishedKey::numbered(2).named("short").member("n", "wAAB"),
        PublishedKey::numbered(2)
            .named("without")
            .member("n", Value::Null),
    ]);
    accepts(&house, |_| ()).await;
    for kid in ["enc", "oct", "odd", "broken", "one", "short", "without"] {
        house.idp.tells_the_truth();
        house.idp.lie(|it| {
            it.signature = Signature::By(2);
            it.header("kid", kid);
        });
        assert_refused_kindly(&house.come_back(&mut house.browser()).await);
        // The budget for fetching keys again must not be what refuses.
        house.wait(std::time::Duration::from_mins(1));
    }
}

#[tokio::test]
async fn two_keys_under_one_id_are_never_guessed_between() {
    // S-192
    let house = house().await;
    house.idp.publishes(vec![
        PublishedKey::numbered(1).named("same"),
        PublishedKey::numbered(2).named("same"),
        PublishedKey::numbered(0),
    ]);
    // The first sign-in fetches the keys; from then on the id is known to be two keys'.
    for _ in 0..2 {
        assert_refused_kindly(&house.come_back(&mut house.browser()).await);
    }
    assert_eq!(house.sign_ins("ambiguous_key"), 2);
    assert_eq!(house.vestibule.sessions().live(), 0);
}
