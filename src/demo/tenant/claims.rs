//! The claims of an ID token, as Entra ID's v2.0 endpoint puts them (`entra.md` 4.2).
//!
//! A claim is there only if it has a value; `email_verified`, `at_hash` and `amr` never are.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use crate::secret::random_bytes;

use super::{emulator::Directory, registration::Person, state::Grant};

/// From `iat` to `exp`: 65 minutes in every sample recorded.
const LIFETIME: Duration = Duration::from_mins(65);

/// The claims about a person for the client that redeemed a grant.
pub(super) fn id_token(
    directory: &Directory,
    person: &Person,
    grant: &Grant,
    backdating: Duration,
) -> Map<String, Value> {
    let now = directory.clock.now().wall;
    let issued_at = now.minus(backdating).unix_seconds();
    let mut claims = Claims(Map::new());
    claims.set("aud", grant.client_id.as_str());
    claims.set("iss", directory.issuer());
    claims.set("iat", issued_at);
    claims.set("nbf", issued_at);
    claims.set("exp", now.plus(LIFETIME).unix_seconds());
    claims.set("aio", opaque::<60>());
    claims.set("rh", format!("0.{}", opaque::<42>()));
    claims.set("sid", grant.sid.as_str());
    claims.set("sub", person.subject_at(&grant.client_id));
    claims.set("tid", directory.tenant_id.as_str());
    claims.set("uti", opaque::<16>());
    claims.set("ver", "2.0");
    claims.set("login_hint", person.login_hint());
    if let Some(nonce) = &grant.nonce {
        claims.set("nonce", nonce.as_str());
    }
    if !person.roles.is_empty() {
        claims.set("roles", json!(person.roles));
    }
    if !person.groups.is_empty() {
        claims.set("groups", json!(person.groups));
    }
    if let Some(guest) = &person.guest {
        claims.set("acct", 1);
        claims.set("idp", guest.idp.as_str());
    }
    let asked_for = |scope: &str| grant.scopes.iter().any(|it| it == scope);
    if asked_for("profile") {
        claims.set("oid", person.id.as_str());
        claims.set("name", person.name.as_str());
        claims.set("preferred_username", person.user_name.as_str());
    }
    if let Some(email) = &person.email
        && (asked_for("email") || person.guest.is_some())
    {
        claims.set("email", email.as_str());
    }
    claims.0
}

struct Claims(Map<String, Value>);

impl Claims {
    fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }
}

/// Something of `N` bytes that nobody reads.
fn opaque<const N: usize>() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(random_bytes::<N>())
}
