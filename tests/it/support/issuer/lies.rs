//! The single points at which the provider of the tests can be made to lie.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::Fields;

type RewriteText = dyn Fn(&str) -> String + Send + Sync;
type RewriteFields = dyn Fn(&mut Fields) + Send + Sync;
type WritePayload = dyn Fn(&Map<String, Value>) -> String + Send + Sync;

/// What the provider says otherwise than an honest one would.
#[derive(Clone, Default)]
pub(crate) struct Lies {
    /// Claims of the ID token that are added or replaced.
    pub(super) claims: Map<String, Value>,
    pub(super) missing_claims: Vec<String>,
    pub(super) payload: Option<Arc<WritePayload>>,
    /// Members of the token's header that are added or replaced; `null` removes one.
    pub(super) header: Map<String, Value>,
    pub(super) callback: Option<Arc<RewriteFields>>,
    /// How the ID token is signed.
    pub(crate) signature: Signature,
    /// By how many seconds the ID token's times are off.
    pub(crate) issued: i64,
    /// What the authorization endpoint does with a person.
    pub(crate) authorization: Authorization,
    pub(crate) discovery: Reply,
    pub(crate) keys: Reply,
    pub(crate) token: Reply,
}

impl Lies {
    /// A claim of the ID token is `value`, whatever it was.
    pub(crate) fn claim(&mut self, name: &str, value: impl Into<Value>) {
        self.claims.insert(name.to_owned(), value.into());
    }

    /// A claim of the ID token is absent.
    pub(crate) fn without_claim(&mut self, name: &str) {
        self.missing_claims.push(name.to_owned());
    }

    /// The ID token's payload is this text, made from the claims: doubled names, other types.
    pub(crate) fn payload(
        &mut self,
        write: impl Fn(&Map<String, Value>) -> String + Send + Sync + 'static,
    ) {
        self.payload = Some(Arc::new(write));
    }

    /// A member of the ID token's header is `value`; `null` removes it.
    pub(crate) fn header(&mut self, name: &str, value: impl Into<Value>) {
        self.header.insert(name.to_owned(), value.into());
    }

    /// Changes the parameters with which a person is sent back.
    pub(crate) fn callback(&mut self, change: impl Fn(&mut Fields) + Send + Sync + 'static) {
        self.callback = Some(Arc::new(change));
    }
}

/// How an ID token is signed.
#[derive(Clone, Debug)]
pub(crate) enum Signature {
    /// As the header says, with one bit turned.
    Broken,
    /// By a key of the pool that is not published under the `kid` it names.
    By(usize),
    /// HS256 with the published key's PEM as the secret.
    HmacWithPublicKey,
    /// `alg` is `none` and there is no signature.
    None,
    /// By the published key; `RS256` when honest, or `RS384`, `RS512`, `PS256`.
    Rsa(&'static str),
}

impl Default for Signature {
    fn default() -> Self {
        Self::Rsa("RS256")
    }
}

/// What the authorization endpoint does with a person who comes.
#[derive(Clone, Debug, Default)]
pub(crate) enum Authorization {
    /// Signs them in and sends them back.
    #[default]
    Approve,
    /// Sends them back with an error and, unless empty, a description.
    Error(String, String),
    /// Keeps them on a page of its own.
    Keep,
}

/// What an endpoint answers.
#[derive(Clone, Default)]
pub(crate) enum Reply {
    /// This status, content type and body.
    Bare(u16, &'static str, String),
    /// Nothing: the connection is closed.
    Close,
    /// Nothing, for as long as the client waits.
    Hang,
    /// What it should.
    #[default]
    Honest,
    /// White space of so many bytes, then what it should.
    Huge(usize),
    /// The client is sent to another address.
    Redirect(String),
    /// What it should, changed.
    Rewritten(Arc<RewriteText>),
    /// The first half of what it should, then nothing for as long as the client waits.
    Stall,
}

impl Reply {
    /// A status with a JSON body.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::Bare(status, "application/json", body.to_string())
    }

    /// The honest JSON, changed member by member.
    pub(crate) fn edited(edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        Self::rewritten(move |text| {
            let mut value = serde_json::from_str(text).expect("the honest answer is JSON");
            edit(&mut value);
            value.to_string()
        })
    }

    /// The honest text, changed: doubled members, broken JSON.
    pub(crate) fn rewritten(rewrite: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self::Rewritten(Arc::new(rewrite))
    }
}
