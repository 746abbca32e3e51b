//! Access tokens for an API, signed by the provider's own key as a test writes them.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use serde_json::{Value, json};

use super::{Issuer, keys};

impl Issuer {
    /// A token with these claims.
    pub(crate) fn access_token(&self, claims: &Value) -> String {
        let kid = self.state.mind().keys[0].kid.clone();
        self.signed(&json!({"alg": "RS256", "kid": kid, "typ": "JWT"}), claims)
    }

    /// A token with this header and these claims, whatever they say, signed by the first key.
    pub(crate) fn signed(&self, header: &Value, claims: &Value) -> String {
        let [header, claims] =
            [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
        let message = format!("{header}.{claims}");
        let number = self.state.mind().keys[0].number;
        let signature = keys::sign(number, "RS256", message.as_bytes());
        format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}
