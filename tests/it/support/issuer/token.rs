//! The token endpoint: checks what a strict provider checks, then makes the ID token.

use aws_lc_rs::{digest, hmac};
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine};
use http::StatusCode;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::{
    CLIENT_ID, CLIENT_SECRET, Fields, Grant, Lies, PublishedKey, Signature, State, TokenRequest,
    field, keys,
};

/// How long an ID token of Entra's is valid, in seconds.
const LIFETIME: i64 = 3900;

/// What an honest provider answers.
pub(super) fn respond(state: &State, asked: &TokenRequest) -> (StatusCode, Value) {
    if !is_authenticated(asked) {
        let body = error(
            "invalid_client",
            "AADSTS7000215: Invalid client secret provided.",
        );
        return (StatusCode::UNAUTHORIZED, body);
    }
    match redeem(state, &asked.form) {
        Ok(grant) => {
            let id_token = id_token(state, &grant);
            state.mind().log.id_tokens.push(id_token.clone());
            let body = json!({
                "token_type": "Bearer",
                "scope": grant.scope,
                "expires_in": 3599,
                "access_token": "opaque.access~token",
                "id_token": id_token,
            });
            (StatusCode::OK, body)
        }
        Err(fault) => (StatusCode::BAD_REQUEST, error("invalid_grant", fault)),
    }
}

fn error(code: &str, description: &str) -> Value {
    json!({"error": code, "error_description": description})
}

/// By one way and no other: the header, or the form (RFC 6749 2.3).
fn is_authenticated(asked: &TokenRequest) -> bool {
    let in_form = (
        field(&asked.form, "client_id"),
        field(&asked.form, "client_secret"),
    );
    match (&asked.authorization, in_form) {
        (None, (Some(id), Some(secret))) => (id, secret) == (CLIENT_ID, CLIENT_SECRET),
        (Some(header), (None | Some(CLIENT_ID), None)) => {
            basic(header).is_some_and(|(id, secret)| (&*id, &*secret) == (CLIENT_ID, CLIENT_SECRET))
        }
        _ => false,
    }
}

/// Both halves are form-encoded before they are joined (RFC 6749 2.3.1).
fn basic(header: &str) -> Option<(String, String)> {
    let pair = BASE64_STANDARD
        .decode(header.strip_prefix("Basic ")?)
        .ok()?;
    let pair = String::from_utf8(pair).ok()?;
    let (id, secret) = pair.split_once(':')?;
    let decoded = |text: &str| {
        let mut fields = form_urlencoded::parse(text.as_bytes());
        Some(fields.next()?.0.into_owned())
    };
    Some((decoded(id)?, decoded(secret)?))
}

/// A code is good once, also when the attempt was a bad one.
fn redeem(state: &State, form: &Fields) -> Result<Grant, &'static str> {
    if field(form, "grant_type") != Some("authorization_code") {
        return Err("AADSTS70003: the grant type is not supported.");
    }
    let code = field(form, "code").ok_or("AADSTS900144: the body must contain 'code'.")?;
    let grant = state.mind().grants.remove(code);
    let grant = grant.ok_or("AADSTS54005: the code was redeemed already or is unknown.")?;
    if field(form, "redirect_uri") != Some(&grant.redirect_uri) {
        return Err("AADSTS500112: the reply address does not match.");
    }
    let verifier = field(form, "code_verifier").unwrap_or_default();
    let digest = digest::digest(&digest::SHA256, verifier.as_bytes());
    if BASE64_URL_SAFE_NO_PAD.encode(digest) != grant.challenge {
        return Err("AADSTS501481: the code_verifier does not match.");
    }
    Ok(grant)
}

fn id_token(state: &State, grant: &Grant) -> String {
    let mind = state.mind();
    let (lies, key) = (&mind.lies, &mind.keys[0]);
    let mut claims = honest_claims(state, grant, lies.issued);
    claims.extend(lies.claims.clone());
    claims.retain(|name, _| !lies.missing_claims.contains(name));
    let payload = match &lies.payload {
        Some(write) => write(&claims),
        None => Value::Object(claims).to_string(),
    };
    let header = header(lies, key);
    let message = format!(
        "{}.{}",
        BASE64_URL_SAFE_NO_PAD.encode(header),
        BASE64_URL_SAFE_NO_PAD.encode(payload)
    );
    let signature = signature(&lies.signature, key, message.as_bytes());
    format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

fn honest_claims(state: &State, grant: &Grant, shift: i64) -> Map<String, Value> {
    let person = &grant.person;
    let issued = state.clock.now().wall.unix_seconds() + shift;
    let mut claims = json!({
        "iss": state.issuer_for(person),
        "aud": CLIENT_ID,
        "sub": person.subject(),
        "iat": issued,
        "exp": issued + LIFETIME,
        "nonce": grant.nonce,
        "name": person.name(),
        "preferred_username": person.address(),
        "sid": grant.sid,
    });
    if state.shape.entra {
        claims["nbf"] = json!(issued);
        claims["oid"] = json!(person.object());
        claims["tid"] = json!(person.tenant());
        claims["ver"] = json!("2.0");
        claims["aio"] = json!("opaque");
        claims["rh"] = json!("0.opaque");
        claims["uti"] = json!("opaque");
        claims["login_hint"] = json!(format!("O.{}", person.address()));
    } else {
        claims["email"] = json!(person.address());
        claims["email_verified"] = json!(true);
    }
    let mut claims = claims.as_object().cloned().unwrap_or_default();
    claims.extend(person.further_claims().clone());
    claims
}

fn header(lies: &Lies, key: &PublishedKey) -> String {
    let algorithm = match lies.signature {
        Signature::Broken | Signature::By(_) => "RS256",
        Signature::HmacWithPublicKey => "HS256",
        Signature::None => "none",
        Signature::Rsa(algorithm) => algorithm,
    };
    let mut header = Map::new();
    header.insert("typ".to_owned(), json!("JWT"));
    header.insert("alg".to_owned(), json!(algorithm));
    header.insert("kid".to_owned(), json!(key.kid));
    keys::put(&mut header, &lies.header);
    Value::Object(header).to_string()
}

fn signature(how: &Signature, key: &PublishedKey, message: &[u8]) -> Vec<u8> {
    match how {
        Signature::Broken => {
            let mut signature = keys::sign(key.number, "RS256", message);
            signature[100] ^= 1;
            signature
        }
        Signature::By(number) => keys::sign(*number, "RS256", message),
        Signature::HmacWithPublicKey => {
            let pem = keys::public_pem(key.number);
            let secret = hmac::Key::new(hmac::HMAC_SHA256, pem.as_bytes());
            hmac::sign(&secret, message).as_ref().to_vec()
        }
        Signature::None => Vec::new(),
        Signature::Rsa(algorithm) => keys::sign(key.number, algorithm, message),
    }
}
