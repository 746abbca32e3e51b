//! An OpenID provider that says what a test wants it to, be it true or not.
//!
//! Honest, it is strict: it checks the client's credentials, the redirect URI and PKCE, and takes a
//! code once. [`Lies`] change single points of what it says while it runs.

mod access;
mod endpoints;
mod keys;
mod lies;
mod person;
mod token;
#[cfg(test)]
mod walks;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock},
};

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use vestibule::clock::{Clock, ManualClock};

pub(crate) use self::{
    keys::{FOREIGN_KEY, PublishedKey},
    lies::{Authorization, Lies, Reply, Signature},
    person::{Person, TENANT, person},
};
use super::{lock, server::Server};

/// The client that the provider knows; both contain what has to be encoded on the way.
pub(crate) const CLIENT_ID: &str = "vestibule+client:%";
pub(crate) const CLIENT_SECRET: &str = "s3cret ~.@+[]%&=:";

/// Names and values of a query or a form, in order.
pub(crate) type Fields = Vec<(String, String)>;

/// A request to the token endpoint, as it came.
#[derive(Clone, Debug)]
pub(crate) struct TokenRequest {
    pub(crate) form: Fields,
    /// The `Authorization` header.
    pub(crate) authorization: Option<String>,
}

/// The value of a field that came once; `None` if it did not come.
pub(crate) fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let values: Vec<_> = fields.iter().filter(|(it, _)| it == name).collect();
    assert!(values.len() <= 1, "{name} came {} times", values.len());
    values.first().map(|(_, value)| value.as_str())
}

/// What the provider looks like when it is honest.
#[derive(Clone, Copy, Debug, Default)]
struct Shape {
    entra: bool,
    /// Serves several tenants: the issuer of its metadata is a template.
    template: bool,
    announces_issuer: bool,
}

/// Builds an [`Issuer`].
pub(crate) struct IssuerBuilder {
    shape: Shape,
    clock: Clock,
}

/// An honest provider of the generic shape that goes by `time`.
pub(crate) fn honest(time: &ManualClock) -> IssuerBuilder {
    IssuerBuilder {
        clock: time.clock(),
        shape: Shape::default(),
    }
}

impl IssuerBuilder {
    /// As Entra ID does it: `tid`, `oid` and `ver`, keys without `alg` but with an issuer each.
    pub(crate) fn entra(mut self) -> Self {
        self.shape.entra = true;
        self
    }

    /// As Entra ID does it for several tenants: under `organizations`, with a template as issuer.
    pub(crate) fn template(mut self) -> Self {
        self.shape.template = true;
        self.entra()
    }

    /// Announces the `iss` parameter of the callback and sends it (RFC 9207).
    pub(crate) fn announcing_issuer(mut self) -> Self {
        self.shape.announces_issuer = true;
        self
    }

    pub(crate) fn run(self) -> Issuer {
        let state = Arc::new(State {
            shape: self.shape,
            clock: self.clock,
            base: OnceLock::new(),
            mind: Mutex::new(Mind {
                person: person("ann"),
                keys: vec![PublishedKey::numbered(0)],
                lies: Lies::default(),
                grants: HashMap::new(),
                log: Log::default(),
            }),
        });
        let serving = Arc::clone(&state);
        let server = Server::run(move |stream, _| {
            let state = Arc::clone(&serving);
            async move {
                let answering = |request| endpoints::answer(Arc::clone(&state), request);
                // A client that goes away is no fault of the provider's.
                let _ = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service_fn(answering))
                    .await;
            }
        });
        state
            .base
            .get_or_init(|| format!("http://{}", server.address()));
        Issuer { server, state }
    }
}

/// A running provider.
pub(crate) struct Issuer {
    server: Server,
    state: Arc<State>,
}

impl Issuer {
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The address an operator writes: `issuer` of the generic shape, `endpoint` of Entra's.
    pub(crate) fn authority(&self) -> String {
        self.state.authority()
    }

    /// The issuer that its metadata names.
    pub(crate) fn issuer(&self) -> String {
        self.state.issuer()
    }

    /// Where people are sent to sign in.
    pub(crate) fn authorization_endpoint(&self) -> String {
        endpoints::authorization_endpoint(&self.state)
    }

    /// Whoever is sent here from now on comes back as `person`; `ann` until then.
    pub(crate) fn signs_in(&self, person: Person) {
        self.state.mind().person = person;
    }

    /// Lies from now on; what was changed before stays so.
    pub(crate) fn lie(&self, change: impl FnOnce(&mut Lies)) {
        change(&mut self.state.mind().lies);
    }

    /// Is honest again.
    pub(crate) fn tells_the_truth(&self) {
        self.state.mind().lies = Lies::default();
    }

    /// Signs with the first of these and publishes them all.
    pub(crate) fn publishes(&self, keys: Vec<PublishedKey>) {
        self.state.mind().keys = keys;
    }

    /// Refuses connections and ends those there are.
    pub(crate) async fn go_down(&self) {
        self.server.go_down().await;
    }

    pub(crate) fn come_back(&self) {
        self.server.come_back();
    }

    pub(crate) fn connections(&self) -> usize {
        self.server.accepted()
    }

    /// The parameters of every authorization request.
    pub(crate) fn authorization_requests(&self) -> Vec<Fields> {
        self.state.mind().log.authorizations.clone()
    }

    /// Every token request, also those that were answered with an error or not at all.
    pub(crate) fn token_requests(&self) -> Vec<TokenRequest> {
        self.state.mind().log.tokens.clone()
    }

    /// The parameters of every request to end the session.
    pub(crate) fn logout_requests(&self) -> Vec<Fields> {
        self.state.mind().log.logouts.clone()
    }

    /// The ID token that was made last, whether it was handed out or not.
    pub(crate) fn last_id_token(&self) -> String {
        self.state.mind().log.id_tokens.last().unwrap().clone()
    }

    /// How often the metadata was fetched.
    pub(crate) fn discovery_fetches(&self) -> usize {
        self.state.mind().log.discoveries
    }

    /// How often the keys were fetched.
    pub(crate) fn key_fetches(&self) -> usize {
        self.state.mind().log.key_sets
    }
}

/// What the provider's connections share.
struct State {
    shape: Shape,
    clock: Clock,
    base: OnceLock<String>,
    mind: Mutex<Mind>,
}

/// What a test may change.
struct Mind {
    person: Person,
    keys: Vec<PublishedKey>,
    lies: Lies,
    /// By code.
    grants: HashMap<String, Grant>,
    log: Log,
}

/// What was asked.
#[derive(Default)]
struct Log {
    authorizations: Vec<Fields>,
    tokens: Vec<TokenRequest>,
    id_tokens: Vec<String>,
    logouts: Vec<Fields>,
    discoveries: usize,
    key_sets: usize,
}

/// What a code stands for.
#[derive(Clone)]
struct Grant {
    person: Person,
    redirect_uri: String,
    challenge: String,
    nonce: String,
    scope: String,
    sid: String,
}

impl State {
    fn mind(&self) -> std::sync::MutexGuard<'_, Mind> {
        lock(&self.mind)
    }

    fn base(&self) -> &str {
        self.base.get().expect("nobody knows the address earlier")
    }

    fn authority(&self) -> String {
        if self.shape.entra {
            format!("{}/{}/v2.0", self.base(), self.segment())
        } else {
            self.base().to_owned()
        }
    }

    /// The tenant in the paths of the Entra shape.
    fn segment(&self) -> &'static str {
        if self.shape.template {
            "organizations"
        } else {
            TENANT
        }
    }

    fn issuer(&self) -> String {
        if self.shape.template {
            format!("{}/{{tenantid}}/v2.0", self.base())
        } else {
            self.authority()
        }
    }

    /// The issuer that a token for `person` names.
    fn issuer_for(&self, person: &Person) -> String {
        if self.shape.entra {
            format!("{}/{}/v2.0", self.base(), person.tenant())
        } else {
            self.issuer()
        }
    }
}
