//! Whole flows against the tenant, over the wire.

use std::{net::SocketAddr, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use http::{Method, StatusCode};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use serde_json::{Value, json};

use crate::{
    clock::{Clock, ManualClock, Timestamp},
    demo::client::{Client as Browser, Received, encoded},
    identity::{ClaimRules, Identity, ProviderName},
    secret::Secret,
};

use super::*;

const CLIENT: &str = "4b8d2f60-93ae-4f1c-8e75-6d0c1a7b5e94";
/// With all that has to be encoded on its way.
const SECRET: &str = "s~e.c@r+e%t[1]";
const WIKI: &str = "https://wiki.localhost:8443/.vestibule/callback";
const ORDERS: &str = "https://orders.localhost:8443/.vestibule/callback";
const FRONT_CHANNEL: &str = "https://wiki.localhost:8443/.vestibule/frontchannel-logout";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

fn client() -> Client {
    Client {
        client_id: CLIENT.to_owned(),
        secret: Secret::new(SECRET.to_owned()),
        redirect_uris: vec![WIKI.to_owned(), ORDERS.to_owned()],
        front_channel_logout_uri: Some(FRONT_CHANNEL.to_owned()),
    }
}

async fn tenant() -> Tenant {
    tenant_at(Clock::system()).await
}

async fn tenant_at(clock: Clock) -> Tenant {
    let settings = TenantSettings {
        clients: vec![client()],
        ..TenantSettings::new(clock)
    };
    Tenant::start(settings).await.unwrap()
}

fn path(endpoint: &str) -> String {
    format!("/{DEFAULT_TENANT_ID}/{endpoint}")
}

fn challenge() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()))
}

/// An authorization request's query; `changes` replace, an empty value removes.
fn query(changes: &[(&str, &str)]) -> String {
    let challenge = challenge();
    let mut pairs = vec![
        ("client_id", CLIENT),
        ("redirect_uri", WIKI),
        ("response_type", "code"),
        ("scope", "openid profile email"),
        ("state", "st&te"),
        ("nonce", "n-1"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    for &(name, value) in changes {
        pairs.retain(|(known, _)| *known != name);
        if !value.is_empty() {
            pairs.push((name, value));
        }
    }
    encoded(&pairs)
}

async fn authorize(browser: &mut Browser, changes: &[(&str, &str)]) -> Received {
    let query = query(changes);
    browser
        .get(&path(&format!("oauth2/v2.0/authorize?{query}")))
        .await
}

async fn sign_in(browser: &mut Browser, person: &Person) -> Received {
    let login = path(&format!("login?{}", query(&[])));
    browser.post(&login, &[("person", &person.id)]).await
}

/// A token request's form; `changes` replace, an empty value removes.
async fn redeem(browser: &mut Browser, code: &str, changes: &[(&str, &str)]) -> Received {
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("client_id", CLIENT),
        ("client_secret", SECRET),
        ("redirect_uri", WIKI),
        ("code_verifier", VERIFIER),
        ("code", code),
    ];
    for &(name, value) in changes {
        form.retain(|(known, _)| *known != name);
        if !value.is_empty() {
            form.push((name, value));
        }
    }
    browser.post(&path("oauth2/v2.0/token"), &form).await
}

fn assert_refused(received: &Received, status: u16, error: &str, code: u32) {
    let body = received.json();
    assert_eq!(
        (received.status, &body["error"]),
        (StatusCode::from_u16(status).unwrap(), &json!(error)),
        "{body}"
    );
    assert_eq!(body["error_codes"], json!([code]), "{body}");
    let description = body["error_description"].as_str().unwrap();
    assert!(
        description.starts_with(&format!("AADSTS{code}: ")),
        "{description}"
    );
    assert!(description.contains("\r\nTrace ID: ") && description.contains("\r\nTimestamp: "));
}

/// The claims of a token, verified with the published keys as a client would.
async fn verified(browser: &mut Browser, id_token: &str) -> Value {
    let published = browser.get(&path("discovery/v2.0/keys")).await.body;
    let keys: JwkSet = serde_json::from_str(&published).unwrap();
    let kid = decode_header(id_token).unwrap().kid.unwrap();
    let key = DecodingKey::from_jwk(keys.find(&kid).unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[CLIENT]);
    decode::<Value>(id_token, &key, &validation).unwrap().claims
}

async fn claims_of(tenant: &Tenant, person: &Person) -> Value {
    let mut browser = Browser::of(tenant.address());
    let code = sign_in(&mut browser, person)
        .await
        .answered("code")
        .unwrap();
    let body = redeem(&mut browser, &code, &[]).await.json();
    verified(&mut browser, body["id_token"].as_str().unwrap()).await
}

#[tokio::test]
async fn discovery_names_the_tenant_by_id_and_leaves_out_what_entra_leaves_out() {
    let tenant = tenant().await;
    let mut browser = Browser::of(tenant.address());
    let by_id = browser
        .get(&path("v2.0/.well-known/openid-configuration"))
        .await;
    assert_eq!(by_id.header("cache-control"), "max-age=86400, private");
    let by_domain = browser
        .get("/Contoso.example/v2.0/.well-known/openid-configuration")
        .await;
    let document = by_id.json();
    assert_eq!(by_domain.json(), document);
    assert_eq!(document["issuer"], tenant.authority());
    for absent in [
        "code_challenge_methods_supported",
        "authorization_response_iss_parameter_supported",
        "backchannel_logout_supported",
        "revocation_endpoint",
    ] {
        assert!(document.get(absent).is_none(), "{absent}");
    }
    tenant.stop().await;
}

#[tokio::test]
async fn an_unknown_tenant_is_refused() {
    let tenant = tenant().await;
    let mut browser = Browser::of(tenant.address());
    for endpoint in [
        "v2.0/.well-known/openid-configuration",
        "discovery/v2.0/keys",
    ] {
        let received = browser.get(&format!("/fabrikam.example/{endpoint}")).await;
        assert_refused(&received, 400, "invalid_tenant", 90_002);
    }
}

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
async fn nothing_is_sent_to_an_address_that_is_not_registered() {
    let tenant = tenant().await;
    let mut browser = Browser::of(tenant.address());
    sign_in(&mut browser, &Person::ann()).await;
    for (changes, number) in [
        (
            [(
                "redirect_uri",
                "https://wiki.localhost:9443/.vestibule/callback",
            )],
            "AADSTS50011",
        ),
        (
            [(
                "redirect_uri",
                "https://wiki.localhost:8443/.vestibule/Callback",
            )],
            "AADSTS50011",
        ),
        ([("redirect_uri", "")], "AADSTS900144"),
        ([("client_id", "nobody")], "AADSTS700016"),
        ([("response_mode", "carrier_pigeon")], "AADSTS90014"),
    ] {
        let page = authorize(&mut browser, &changes).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        assert!(page.body.contains(number), "{}", page.body);
    }
}

#[tokio::test]
async fn other_faults_go_back_to_the_client_with_its_state() {
    let tenant = tenant().await;
    let mut browser = Browser::of(tenant.address());
    for (changes, error) in [
        ([("response_type", "id_token")], "unsupported_response_type"),
        ([("scope", "profile")], "invalid_scope"),
        ([("code_challenge_method", "plain")], "invalid_request"),
        ([("code_challenge_method", "")], "invalid_request"),
        ([("code_challenge", "short")], "invalid_request"),
        ([("prompt", "create")], "invalid_request"),
        ([("prompt", "none")], "login_required"),
    ] {
        let back = authorize(&mut browser, &changes).await;
        assert_eq!(
            back.answered("error").as_deref(),
            Some(error),
            "{changes:?}"
        );
        assert_eq!(back.answered("state").as_deref(), Some("st&te"));
        assert!(back.answered("code").is_none());
    }
}

#[tokio::test]
async fn a_second_app_signs_in_silently_in_the_same_session() {
    let tenant = tenant().await;
    let mut browser = Browser::of(tenant.address());
    let first = sign_in(&mut browser, &Person::ann()).await;
    let second = authorize(
        &mut browser,
        &[("redirect_uri", ORDERS), ("prompt", "none")],
    )
    .await;
    assert!(second.location().as_str().starts_with(ORDERS));
    assert_eq!(
        first.answered("session_state"),
        second.answered("session_state")
    );

    for asking in ["login", "select_account"] {
        let form = authorize(&mut browser, &[("prompt", asking)]).await;
        assert_eq!(form.status, StatusCode::OK, "{asking}");
    }
    let hinted = authorize(&mut browser, &[("login_hint", "ann@contoso.example")]).await;
    assert!(hinted.answered("code").is_some());
    let other = authorize(&mut browser, &[("login_hint", "zoe@contoso.example")]).await;
    assert!(
        other.body.contains("suggested by the app"),
        "{}",
        other.body
    );
}

#[tokio::test]
async fn cancelling_is_told_without_a_description() {
    let tenant = tenant().await;
    let mut browser = Browser::of(tenant.address());
    let login = path(&format!("login?{}", query(&[])));
    let back = browser.post(&login, &[("cancel", "cancel")]).await;
    assert_eq!(back.answered("error").as_deref(), Some("access_denied"));
    assert_eq!(back.answered("error_subcode").as_deref(), Some("cancel"));
    assert_eq!(back.answered("error_description"), None);
}

#[tokio::test]
async fn a_form_post_carries_the_answer_escaped() {
    let tenant = tenant().await;
    let mut browser = Browser::of(tenant.address());
    sign_in(&mut browser, &Person::ann()).await;
    let odd = [
        ("response_mode", "form_post"),
        ("state", "\"><script>alert(1)</script>"),
    ];
    let page = authorize(&mut browser, &odd).await;
    assert!(page.body.contains("document.forms[0].submit()"));
    assert!(page.body.contains(r#"name="code""#));
    assert!(!page.body.contains("<script>alert"), "{}", page.body);
}

#[tokio::test]
async fn a_disabled_person_gets_no_further() {
    let tenant = tenant().await;
    let mut browser = Browser::of(tenant.address());
    let ann = Person::ann();
    let code = sign_in(&mut browser, &ann).await.answered("code").unwrap();
    tenant.disable(&ann.id);
    let refused = redeem(&mut browser, &code, &[]).await;
    assert_refused(&refused, 400, "invalid_grant", 50_057);
    let silent = authorize(&mut browser, &[]).await;
    assert!(silent.body.contains("AADSTS50057"));
    let form = sign_in(&mut browser, &ann).await;
    assert!(form.body.contains("AADSTS50057"));
}

#[tokio::test]
async fn signing_out_asks_tells_the_apps_and_returns() {
    let tenant = tenant().await;
    let mut browser = Browser::of(tenant.address());
    let sid = sign_in(&mut browser, &Person::ann())
        .await
        .answered("session_state")
        .unwrap();
    let logout = path(&format!(
        "oauth2/v2.0/logout?{}",
        encoded(&[("post_logout_redirect_uri", WIKI), ("state", "bye")])
    ));
    let picker = browser.get(&logout).await;
    assert!(picker.body.contains("Which account"), "{}", picker.body);
    assert!(
        authorize(&mut browser, &[])
            .await
            .answered("code")
            .is_some()
    );

    let leaving = browser
        .post(&logout, &[("person", &Person::ann().id)])
        .await;
    let frame = format!("{FRONT_CHANNEL}?sid={sid}\"");
    assert!(leaving.body.contains(&frame), "{}", leaving.body);
    assert!(leaving.body.contains(&format!("{WIKI}?state=bye\"")));
    assert_eq!(authorize(&mut browser, &[]).await.status, StatusCode::OK);

    // Nobody is signed in any more: straight back.
    assert_eq!(
        browser.get(&logout).await.answered("state").as_deref(),
        Some("bye")
    );
}

#[tokio::test]
async fn a_hint_spares_the_question_and_a_foreign_address_is_not_gone_to() {
    let tenant = tenant().await;
    tenant.register(Client {
        front_channel_logout_uri: None,
        ..client()
    });
    let mut browser = Browser::of(tenant.address());
    let code = sign_in(&mut browser, &Person::ann())
        .await
        .answered("code")
        .unwrap();
    let id_token = redeem(&mut browser, &code, &[]).await.json()["id_token"].clone();
    let claims = verified(&mut browser, id_token.as_str().unwrap()).await;
    for (name, hint, spared) in [
        ("logout_hint", "ann@contoso.example", false),
        ("logout_hint", claims["login_hint"].as_str().unwrap(), true),
        ("id_token_hint", id_token.as_str().unwrap(), true),
    ] {
        sign_in(&mut browser, &Person::ann()).await;
        let target = ("post_logout_redirect_uri", "https://evil.example/");
        let query = encoded(&[target, (name, hint)]);
        let page = browser
            .get(&path(&format!("oauth2/v2.0/logout?{query}")))
            .await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(!page.body.contains("href=\"https://evil.example"));
        let done = page.body.contains("You signed out of your account");
        assert_eq!(done, spared, "{name} {hint}");
    }
}

#[tokio::test]
async fn tokens_verify_after_a_rotation_and_the_new_key_is_unknown_before() {
    let tenant = tenant().await;
    let mut browser = Browser::of(tenant.address());
    let before = browser.get(&path("discovery/v2.0/keys")).await.body;
    tenant.rotate_keys().unwrap();
    let code = sign_in(&mut browser, &Person::ann())
        .await
        .answered("code")
        .unwrap();
    let body = redeem(&mut browser, &code, &[]).await.json();
    let id_token = body["id_token"].as_str().unwrap();
    let kid = decode_header(id_token).unwrap().kid.unwrap();
    assert!(!before.contains(&kid));
    verified(&mut browser, id_token).await;
}

#[tokio::test]
async fn a_tenant_that_is_down_drops_connections_and_comes_back() {
    let tenant = tenant().await;
    let mut browser = Browser::of(tenant.address());
    tenant.set_down(true);
    let keys = path("discovery/v2.0/keys");
    assert!(browser.send(Method::GET, &keys, &[], "").await.is_err());
    tenant.set_down(false);
    assert_eq!(browser.get(&keys).await.status, StatusCode::OK);
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

#[tokio::test]
async fn a_tenant_listens_on_loopback_alone() {
    let settings = TenantSettings {
        listen: SocketAddr::from(([0, 0, 0, 0], 0)),
        ..TenantSettings::new(Clock::system())
    };
    assert!(Tenant::start(settings).await.is_err());
}
