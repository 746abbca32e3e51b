//! The running tenant: its address, what answers where, and the switches for tests.

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};

use crate::{
    clock::Clock,
    demo::server::{Answer, Bound, Server, answer},
    secret::Secret,
};

use super::{
    authorize, discovery,
    fault::Fault,
    keys::KeyRing,
    logout, pages,
    registration::{Client, Person},
    state::State,
    token,
};

/// The made-up tenant id unless another is given.
pub const DEFAULT_TENANT_ID: &str = "c0a5e1b2-7d3f-4e96-8a41-2f9b6d0e5c73";
/// The made-up domain name of the tenant; good in the place of its id.
pub const DEFAULT_TENANT_DOMAIN: &str = "contoso.example";

/// What a tenant is started with.
#[derive(Clone, Debug)]
pub struct TenantSettings {
    /// A loopback address; port 0 asks the system for a free one.
    pub listen: SocketAddr,
    /// A GUID, in lower case.
    pub tenant_id: String,
    /// A verified domain of the tenant, in lower case.
    pub domain: String,
    /// The registered applications.
    pub clients: Vec<Client>,
    /// The directory.
    pub people: Vec<Person>,
    /// Stamps the tokens, ends codes and sessions.
    pub clock: Clock,
}

impl TenantSettings {
    /// Any free port, the made-up tenant, its three people and no application.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tenant_id: DEFAULT_TENANT_ID.to_owned(),
            domain: DEFAULT_TENANT_DOMAIN.to_owned(),
            clients: Vec::new(),
            people: Person::three(),
            clock,
        }
    }
}

/// A running tenant; dropping it stops it without waiting.
///
/// A program signs somebody in by sending the query of the authorization request to
/// `/{tenant}/login` once more, as a POST with the form field `person` (a [`Person::id`]) or
/// `cancel`.
pub struct Tenant {
    directory: Arc<Directory>,
    server: Server,
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenant")
            .field("authority", &self.authority())
            .finish_non_exhaustive()
    }
}

impl Tenant {
    /// Makes the signing keys, binds the address and serves.
    ///
    /// # Errors
    /// Returns `InvalidInput` if the address is not loopback; why it cannot be bound; or why there
    /// are no keys.
    pub async fn start(settings: TenantSettings) -> io::Result<Self> {
        let keys = tokio::task::spawn_blocking(KeyRing::initial)
            .await
            .map_err(io::Error::other)?
            .map_err(io::Error::other)?;
        let bound = Bound::to(settings.listen).await?;
        let port = bound.address().port();
        let directory = Arc::new(Directory {
            origin: format!("http://localhost:{port}"),
            cookie_name: format!("entra-demo-{port}"),
            tenant_id: settings.tenant_id,
            domain: settings.domain,
            clock: settings.clock,
            down: AtomicBool::new(false),
            state: Mutex::new(State::new(settings.clients, settings.people, keys)),
        });
        let answering = Arc::clone(&directory);
        let server = bound.serve(move |request| answering.answer(request));
        Ok(Self { directory, server })
    }

    /// What goes into the configuration: `http://localhost:<port>/<tenant>/v2.0`.
    #[must_use]
    pub fn authority(&self) -> String {
        self.directory.issuer()
    }

    /// The address that was bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Signs with a new key from now on; the older ones stay published for a while.
    ///
    /// # Errors
    /// Returns an error if no key can be made.
    pub fn rotate_keys(&self) -> io::Result<()> {
        self.directory
            .state()
            .keys
            .rotate()
            .map_err(io::Error::other)
    }

    /// While down, every connection is dropped without an answer.
    pub fn set_down(&self, down: bool) {
        self.directory.down.store(down, Ordering::SeqCst);
    }

    /// Says from now on in each token that it was issued this much earlier than it was.
    ///
    /// The token ends where it would have ended: `exp` stays 3900 seconds after its making.
    pub fn backdate_tokens(&self, by: Duration) {
        self.directory.state().backdating = by;
    }

    /// Registers an application, or registers it anew.
    pub fn register(&self, client: Client) {
        let mut state = self.directory.state();
        state
            .clients
            .retain(|known| known.client_id != client.client_id);
        state.clients.push(client);
    }

    /// Disables a person: they cannot sign in and their codes are worth nothing.
    pub fn disable(&self, person_id: &str) {
        self.change_person(person_id, |person| person.disabled = true);
    }

    /// Changes what the directory says about a person; an unknown id changes nothing.
    pub fn change_person(&self, person_id: &str, change: impl FnOnce(&mut Person)) {
        let mut state = self.directory.state();
        if let Some(person) = state.people.iter_mut().find(|it| it.id == person_id) {
            change(person);
        }
    }

    /// Takes no new connections, lets requests under way end, and waits for that.
    pub async fn stop(&self) {
        self.server.stop().await;
    }
}

/// What the endpoints share.
pub(super) struct Directory {
    /// `http://localhost:<port>`.
    pub(super) origin: String,
    /// Carries the port: browsers share cookies between the ports of a host.
    pub(super) cookie_name: String,
    pub(super) tenant_id: String,
    domain: String,
    pub(super) clock: Clock,
    down: AtomicBool,
    state: Mutex<State>,
}

impl Directory {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn issuer(&self) -> String {
        format!("{}/{}/v2.0", self.origin, self.tenant_id)
    }

    /// The value of this tenant's own cookie, if the browser sent one.
    pub(super) fn cookie(&self, request: &Request<Bytes>) -> Option<Secret> {
        request
            .headers()
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| *name == self.cookie_name)
            .map(|(_, value)| Secret::new(value.to_owned()))
    }

    fn answer(&self, request: &Request<Bytes>) -> Option<Answer> {
        if self.down.load(Ordering::SeqCst) {
            return None;
        }
        let path = request.uri().path();
        let (tenant, endpoint) = path
            .strip_prefix('/')
            .and_then(|path| path.split_once('/'))
            .unwrap_or_default();
        let known = tenant.eq_ignore_ascii_case(&self.tenant_id)
            || tenant.eq_ignore_ascii_case(&self.domain);
        Some(match (endpoint, request.method()) {
            ("v2.0/.well-known/openid-configuration", &Method::GET) => {
                self.discovery(known, tenant)
            }
            ("discovery/v2.0/keys", &Method::GET) => self.keys(known, tenant),
            ("oauth2/v2.0/token", _) if !known => {
                Fault::unknown_tenant(tenant).json(&self.origin, self.clock.now().wall)
            }
            ("oauth2/v2.0/token", _) => token::token(self, request),
            ("oauth2/v2.0/authorize" | "oauth2/v2.0/logout" | "login", _) if !known => {
                pages::fault(&Fault::unknown_tenant(tenant))
            }
            ("oauth2/v2.0/authorize", &Method::GET | &Method::POST) => {
                authorize::authorize(self, request)
            }
            ("login", &Method::POST) => authorize::sign_in(self, request),
            ("oauth2/v2.0/logout", &Method::GET | &Method::POST) => logout::logout(self, request),
            _ => pages::not_found(),
        })
    }

    fn discovery(&self, known: bool, tenant: &str) -> Answer {
        if !known {
            return Fault::unknown_tenant(tenant).json(&self.origin, self.clock.now().wall);
        }
        let document = discovery::document(&self.origin, &self.tenant_id);
        cacheable(document.to_string())
    }

    fn keys(&self, known: bool, tenant: &str) -> Answer {
        if !known {
            return Fault::unknown_tenant(tenant).json(&self.origin, self.clock.now().wall);
        }
        let document = self.state().keys.document(&self.issuer());
        cacheable(document.to_string())
    }
}

/// A JSON document with the caching headers Entra ID sends along.
fn cacheable(body: String) -> Answer {
    let mut answer = answer(StatusCode::OK, "application/json; charset=utf-8", body);
    let headers = answer.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("max-age=86400, private"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    answer
}
