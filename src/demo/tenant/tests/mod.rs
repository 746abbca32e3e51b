//! Whole flows against the tenant, over the wire.

mod discovery;
mod sign_in;
mod sign_out;
mod tokens;

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
