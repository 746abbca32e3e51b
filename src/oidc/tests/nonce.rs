//! Our own comparison of the nonce. The library that verifies the signature compares it as well, so
//! only a token that it is never asked about shows whether ours is there.

use openidconnect::AccessToken;
use serde_json::{Value, json};

use super::{
    super::{
        id_token::{IdTokenError, Judge},
        provider::IssuerRule,
    },
    support::*,
};
use crate::secret::Secret;

/// What is found first in a token of a key that nobody knows.
fn found_first(claims: &Value, nonce: &str) -> IdTokenError {
    let provider = provider(oidc(ISSUER));
    let issuer = IssuerRule::Exact(ISSUER.to_owned());
    let judge = Judge {
        provider: &provider,
        issuer: &issuer,
        cloud: None,
        keys: &key_ring(&[rsa_jwk(0, "one")]),
        now: clock().clock().now(),
    };
    let header = r#"{"alg":"RS256","kid":"unknown","typ":"JWT"}"#;
    let token = sign_raw(header, &claims.to_string(), "RS256", 0);
    let (access_token, nonce) = (
        AccessToken::new("at".to_owned()),
        Secret::new(nonce.to_owned()),
    );
    let judged = judge.verified_claims(&token, &access_token, &nonce);
    judged.expect_err("nobody knows the key")
}

#[test]
fn a_foreign_nonce_is_found_before_any_key_is_looked_for() {
    // S-135, S-174
    for nonce in [
        json!("another"),
        json!(format!("{NONCE}x")),
        json!(NONCE.to_uppercase()),
        json!(""),
        json!([NONCE]),
        json!(null),
        json!("REMOVE"),
    ] {
        let found = found_first(&claims(&json!({"nonce": nonce})), NONCE);
        assert_eq!(found, IdTokenError::Nonce, "{nonce}");
    }
    let found = found_first(&claims(&json!({})), NONCE);
    assert_eq!(found, IdTokenError::UnknownKey, "ours would have passed");
}

#[test]
fn an_empty_nonce_of_ours_lets_nothing_pass() {
    // S-174
    for nonce in [json!(""), json!(null), json!("x"), json!("REMOVE")] {
        let found = found_first(&claims(&json!({"nonce": nonce})), "");
        assert_eq!(found, IdTokenError::Nonce, "{nonce}");
    }
}
