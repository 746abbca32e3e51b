//! People with an account at the provider of the tests.

use aws_lc_rs::digest;
use serde_json::{Map, Value};

/// The tenant of the Entra shape.
pub(crate) const TENANT: &str = "11111111-2222-4333-8444-555555555555";

/// Somebody with an account.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    login: String,
    tenant: String,
    claims: Map<String, Value>,
}

/// A person by their login; the rest follows from it, the same in every run.
pub(crate) fn person(login: &str) -> Person {
    Person {
        login: login.to_owned(),
        tenant: TENANT.to_owned(),
        claims: Map::new(),
    }
}

impl Person {
    /// One more claim, or another value for one: `("acct", 1)` makes a guest.
    pub(crate) fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn groups(self, groups: &[&str]) -> Self {
        self.claim("groups", groups.to_vec())
    }

    pub(crate) fn roles(self, roles: &[&str]) -> Self {
        self.claim("roles", roles.to_vec())
    }

    /// Signs in to another tenant.
    pub(crate) fn in_tenant(self, tenant: &str) -> Self {
        let tenant = tenant.to_owned();
        Self { tenant, ..self }
    }

    pub(crate) fn tenant(&self) -> &str {
        &self.tenant
    }

    /// `LOGIN@corp.example`: address and user principal name in one.
    pub(crate) fn address(&self) -> String {
        format!("{}@corp.example", self.login)
    }

    /// The `name` claim.
    pub(crate) fn name(&self) -> String {
        format!("{} Example", self.login)
    }

    /// The `oid` claim of the Entra shape.
    pub(crate) fn object(&self) -> String {
        guid_of(&self.login)
    }

    /// The `sub` claim.
    pub(crate) fn subject(&self) -> String {
        format!("subject-of-{}", self.login)
    }

    pub(super) fn further_claims(&self) -> &Map<String, Value> {
        &self.claims
    }
}

/// A GUID that follows from a text.
pub(super) fn guid_of(text: &str) -> String {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    let mut first = [0; 16];
    first.copy_from_slice(&digest.as_ref()[..16]);
    let digits = format!("{:032x}", u128::from_be_bytes(first));
    [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)]
        .map(|(from, to)| &digits[from..to])
        .join("-")
}
