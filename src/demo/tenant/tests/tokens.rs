//! The token endpoint and what its tokens say.

use super::*;

#[tokio::test]
async fn the_code_flow_ends_in_an_id_token_that_verifies() {
    let tenant = tenant().await;
    let mut browser = Browser::of(tenant.address());
    let form = authorize(&mut browser, &[]).await;
    assert_eq!(form.status, StatusCode::OK);
    assert!(form.body.contains("Zoë Müller"), "{}", form.body);

    let back = sign_in(&mut browser, &Person::zoe()).await;
    assert!(back.location().as_str().starts_with(WIKI));
    assert_eq!(back.answered("state").as_deref(), Some("st&te"));
    let code = back.answered("code").unwrap();
    assert!(code.len() > 1024);

    let body = redeem(&mut browser, &code, &[]).await.json();
    assert_eq!(body["token_type"], "Bearer");
    assert!((3599..=5400).contains(&body["expires_in"].as_u64().unwrap()));
    let id_token = body["id_token"].as_str().unwrap();
    let claims = verified(&mut browser, id_token).await;
    let zoe = Person::zoe();
    for (name, value) in [
        ("iss", json!(tenant.authority())),
        ("tid", json!(DEFAULT_TENANT_ID)),
        ("oid", json!(zoe.id)),
        ("name", json!("Zoë Müller")),
        ("nonce", json!("n-1")),
        ("ver", json!("2.0")),
        ("groups", json!([STAFF_GROUP])),
        ("sid", json!(back.answered("session_state"))),
    ] {
        assert_eq!(claims[name], value, "{name}");
    }
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        3900
    );
    assert_eq!(claims["sub"].as_str().unwrap().len(), 43);
    for absent in ["roles", "acct", "idp", "email_verified", "at_hash"] {
        assert!(claims.get(absent).is_none(), "{absent}");
    }
    tenant.stop().await;
}

#[tokio::test]
async fn the_three_people_are_who_the_demo_says_they_are() {
    let tenant = tenant().await;
    for person in Person::three() {
        let claims = claims_of(&tenant, &person).await;
        let provider = ProviderName("entra".to_owned());
        let claims = claims.as_object().unwrap();
        let identity = Identity::from_verified_claims(provider, ClaimRules::Entra, claims).unwrap();
        assert_eq!(identity.name(), Some(person.name.as_str()));
        assert_eq!(
            identity.preferred_username(),
            Some(person.user_name.as_str())
        );
        assert_eq!(identity.email(), person.email.as_deref());
        assert_eq!(identity.roles(), person.roles);
        assert_eq!(identity.is_guest(), person.guest.is_some());
    }
}

#[tokio::test]
async fn claims_follow_the_scopes_asked_for() {
    let tenant = tenant().await;
    let mut browser = Browser::of(tenant.address());
    sign_in(&mut browser, &Person::ann()).await;
    let back = authorize(&mut browser, &[("scope", "openid")]).await;
    let body = redeem(&mut browser, &back.answered("code").unwrap(), &[])
        .await
        .json();
    let claims = verified(&mut browser, body["id_token"].as_str().unwrap()).await;
    for absent in ["oid", "name", "preferred_username", "email"] {
        assert!(claims.get(absent).is_none(), "{absent}");
    }
}

#[tokio::test]
async fn a_code_is_good_once_and_for_one_redeemer() {
    let tenant = tenant().await;
    let mut browser = Browser::of(tenant.address());
    let code = async || {
        sign_in(&mut Browser::of(tenant.address()), &Person::ann())
            .await
            .answered("code")
            .unwrap()
    };

    let spent = code().await;
    assert_eq!(
        redeem(&mut browser, &spent, &[]).await.status,
        StatusCode::OK
    );
    let again = redeem(&mut browser, &spent, &[]).await;
    assert_refused(&again, 400, "invalid_grant", 54_005);

    for (changes, number) in [
        ([("code_verifier", "wrong")], 501_481),
        ([("code_verifier", "")], 501_481),
        ([("redirect_uri", ORDERS)], 500_112),
        ([("code", "made-up")], 70_000),
    ] {
        let refused = redeem(&mut browser, &code().await, &changes).await;
        assert_refused(&refused, 400, "invalid_grant", number);
    }
}

#[tokio::test]
async fn a_code_ends_after_ten_minutes() {
    let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_800_000_000));
    let tenant = tenant_at(clock.clock()).await;
    let mut browser = Browser::of(tenant.address());
    let code = sign_in(&mut browser, &Person::ann())
        .await
        .answered("code")
        .unwrap();
    clock.advance(Duration::from_mins(10));
    let refused = redeem(&mut browser, &code, &[]).await;
    assert_refused(&refused, 400, "invalid_grant", 70_008);
}

#[tokio::test]
async fn a_client_must_prove_itself_and_be_no_browser() {
    let tenant = tenant().await;
    let mut browser = Browser::of(tenant.address());
    let code = sign_in(&mut browser, &Person::ann())
        .await
        .answered("code")
        .unwrap();
    for (changes, status, error, number) in [
        (
            [("client_secret", "wrong")],
            401,
            "invalid_client",
            7_000_215,
        ),
        ([("client_secret", "")], 401, "invalid_client", 7_000_218),
        (
            [("client_id", "nobody")],
            400,
            "unauthorized_client",
            700_016,
        ),
        (
            [("grant_type", "password")],
            400,
            "unsupported_grant_type",
            70_003,
        ),
        ([("grant_type", "")], 400, "invalid_request", 900_144),
    ] {
        let refused = redeem(&mut browser, &code, &changes).await;
        assert_refused(&refused, status, error, number);
    }
    let token = path("oauth2/v2.0/token");
    let from_browser = [("origin", "https://wiki.localhost:8443")];
    let refused = browser.post_with(&token, &[], &from_browser).await;
    assert_refused(&refused, 400, "invalid_request", 9_002_326);
    let refused = browser.get(&token).await;
    assert_refused(&refused, 400, "invalid_request", 900_561);
    // None of these spent the code.
    assert_eq!(
        redeem(&mut browser, &code, &[]).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn basic_credentials_are_form_encoded_first() {
    let tenant = tenant().await;
    let mut browser = Browser::of(tenant.address());
    let secret = encoded(&[("", SECRET)]);
    for (sent, status) in [
        (secret.trim_start_matches('='), StatusCode::OK),
        (SECRET, StatusCode::UNAUTHORIZED),
    ] {
        let code = sign_in(&mut browser, &Person::ann())
            .await
            .answered("code")
            .unwrap();
        let basic = format!(
            "Basic {}",
            BASE64_STANDARD.encode(format!("{CLIENT}:{sent}"))
        );
        let form = [
            ("grant_type", "authorization_code"),
            ("redirect_uri", WIKI),
            ("code_verifier", VERIFIER),
            ("code", code.as_str()),
        ];
        let headers = [("authorization", basic.as_str())];
        let received = browser
            .post_with(&path("oauth2/v2.0/token"), &form, &headers)
            .await;
        assert_eq!(received.status, status, "{}", received.body);
    }
}

#[tokio::test]
async fn tokens_can_be_issued_in_the_past() {
    let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(4_000_000_000));
    let tenant = tenant_at(clock.clock()).await;
    tenant.backdate_tokens(Duration::from_mins(5));
    let claims = claims_of(&tenant, &Person::ann()).await;
    assert_eq!(
        (claims["iat"].clone(), claims["exp"].clone()),
        (json!(3_999_999_700_i64), json!(4_000_003_900_i64))
    );
}
