//! The whole way of a request in one thread: a gateway of three routes, the apps behind it, and a
//! client that writes bytes as they are given.
//!
//! Nothing is waited for by the clock: the house goes on to the next input once nothing moves any
//! more. Only where an answer must still come is it waited for.

mod app;
mod files;
mod log;
mod observed;

use std::{
    cell::RefCell,
    fmt,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, duplex, split},
    runtime::{Builder, Runtime},
    task::yield_now,
};
use vestibule::{
    clock::{Clock, ManualClock, Timestamp},
    config::AccessLog,
    gateway::{Gateway, Providers, RouteTable, Worker},
    identity::Standing,
    key_ring::KeyRing,
    listener::{Pressure, Shutdown, Terms, stream::serve_stream},
    login::Login,
    oidc::RelyingParty,
    peer::Transport,
    session::{MemoryStore, SessionStore, SessionToken},
    telemetry::{AccessWriter, Metrics, SharedMetrics},
    upstream::{Apps, RouteTls, Seats},
};

use self::{
    app::run_app,
    files::{configured, session_of},
    log::Log,
    observed::Observed,
};
use super::http1;

/// The host of the routes `wiki` and `admin`.
pub const APP: &str = "app.test";
/// The host of the route `other`.
pub const OTHER: &str = "other.test";
/// What an input writes where the session of [`APP`] shall stand.
pub const SESSION: &[u8] = b"{session}";
/// What an input writes where the session of [`OTHER`] shall stand.
pub const OTHER_SESSION: &[u8] = b"{other}";
/// The app behind `wiki` and `other`.
pub const WIKI: usize = 0;
/// The app behind `admin`, which lets nobody in who has a session here.
pub const ADMIN: usize = 1;
/// Where every client of the house comes from.
pub const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
/// The user name of whoever has a session.
pub const USER: &str = "ann@example.com";

/// How long an answer that must come may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// What came of one input.
#[derive(Debug, Default)]
pub struct Conversation {
    /// What reached the gateway, in order.
    pub calls: Vec<Call>,
    /// What reached the apps, in the order of their first bytes.
    pub heard: Vec<Heard>,
    /// What the client was told.
    pub said: Vec<u8>,
    /// Whether its connection was closed.
    pub closed: bool,
    /// Requests that were still being answered when nothing moved any more.
    pub under_way: usize,
    /// Connections that were made to the apps.
    pub connections: usize,
}

/// A request as the gateway got it from hyper.
pub struct Call {
    /// Its method.
    pub method: Vec<u8>,
    /// Path and query.
    pub target: Vec<u8>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, target } = self;
        write!(f, "{} {}", method.escape_ascii(), target.escape_ascii())
    }
}

/// What an app heard because of one request.
#[derive(Clone)]
pub struct Heard {
    /// [`WIKI`] or [`ADMIN`].
    pub app: usize,
    /// The call that was under way when it began.
    pub call: usize,
    /// Every byte.
    pub bytes: Vec<u8>,
    /// Whether the connection ended behind them.
    pub closed: bool,
}

impl fmt::Debug for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            app, call, closed, ..
        } = self;
        let bytes = self.bytes.escape_ascii();
        write!(f, "app {app}, call {call}, closed {closed}: {bytes}")
    }
}

impl Heard {
    fn has_a_request(&self) -> bool {
        !http1::requests(&self.bytes).whole.is_empty()
    }
}

/// What the apps answer to a target that begins with `/answer` or `/open/answer`.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Whether the connection closes behind them.
    pub closes: bool,
}

/// A house of this thread, made when it is first needed; one in which a promise was broken is torn
/// down.
pub fn with<T>(act: impl FnOnce(&mut House) -> T) -> T {
    thread_local! {
        static HOUSE: RefCell<Option<House>> = const { RefCell::new(None) };
    }
    let mut house = HOUSE.take().unwrap_or_else(House::new);
    house.renew_sessions();
    let outcome = act(&mut house);
    HOUSE.set(Some(house));
    outcome
}

/// See the module.
pub struct House {
    runtime: Runtime,
    worker: Arc<Worker>,
    terms: Terms,
    metrics: SharedMetrics,
    store: Arc<dyn SessionStore>,
    clock: Clock,
    sessions: [SessionToken; 2],
    log: Log,
    standing: Standing,
    _folder: TempDir,
}

impl House {
    fn new() -> Self {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("the system has what a runtime needs");
        let time = ManualClock::starting_at(Timestamp::from_unix_seconds(1_795_289_400));
        let clock = time.clock();
        let metrics = Arc::new(Metrics::new(clock.clone()));
        let store: Arc<dyn SessionStore> =
            Arc::new(MemoryStore::new(1_000, clock.clone(), Arc::clone(&metrics)));
        let log = Log::default();
        let apps = [WIKI, ADMIN].map(|app| runtime.block_on(run_app(app, log.clone())));
        let (folder, config) = configured(apps);
        let standing = config.providers[0].standing();
        let providers: Providers = config
            .providers
            .iter()
            .map(|it| {
                let party = RelyingParty::new(it.clone(), clock.clone());
                (it.name.clone(), party.expect("the provider is one"))
            })
            .collect();
        let seats = Arc::new(Seats::new(100, 3));
        let known = Apps::new(Arc::clone(&seats), Arc::clone(&metrics));
        let upstreams = (&known, &RouteTls::new());
        let table = RouteTable::new(&config, &providers, upstreams, &metrics);
        let table = table.expect("the routes fit");
        let login = Login::new(
            Arc::clone(&store),
            Arc::new(KeyRing::in_memory(clock.clone())),
            clock.clone(),
            Arc::clone(&metrics),
            runtime.handle().clone(),
        );
        let (access, _) = AccessWriter::to_stdout(AccessLog::Off);
        let gateway = Gateway::new(
            table,
            login,
            Arc::clone(&store),
            clock.clone(),
            Arc::clone(&metrics),
            access,
            seats,
        );
        let terms = Terms {
            limits: Arc::new(config.limits),
            metrics: Arc::clone(&metrics),
            shutdown: Shutdown::default(),
            pressure: Pressure::default(),
        };
        let worker = runtime.block_on(async { Worker::new(Arc::new(gateway)) });
        Self {
            sessions: [APP, OTHER].map(|host| session_of(host, standing, &*store, &clock)),
            runtime,
            worker,
            terms,
            metrics,
            store,
            clock,
            log,
            standing,
            _folder: folder,
        }
    }

    /// The cookie value of the session at [`APP`].
    pub fn session(&self) -> &str {
        self.sessions[0].expose()
    }

    /// The cookie value of the session at [`OTHER`].
    pub fn other_session(&self) -> &str {
        self.sessions[1].expose()
    }

    /// The input with the sessions where it wants them.
    pub fn fill_in(&self, input: &[u8]) -> Vec<u8> {
        let filled = replace(input, SESSION, self.session().as_bytes());
        replace(&filled, OTHER_SESSION, self.other_session().as_bytes())
    }

    /// How many requests ended in a panic so far.
    pub fn panics(&self) -> u64 {
        let text = self.metrics.text(0);
        let mut lines = text.lines().filter_map(|line| line.rsplit_once(' '));
        let sample = lines.find(|(name, _)| name.contains("panics_total"));
        sample.map_or(0, |(_, count)| {
            count.parse().expect("a counter is a number")
        })
    }

    /// Says `pieces` on a new connection, one write each, and keeps what comes of it.
    ///
    /// `is_whole` says that every request in them is: then all of them are answered.
    pub fn converse(&mut self, pieces: &[&[u8]], is_whole: bool) -> Conversation {
        let talking = talk(self, Transport::Http1, pieces, is_whole);
        self.runtime.block_on(talking)
    }

    /// As [`House::converse`], over HTTP/2; `said` is the client's side of a whole connection.
    pub fn converse_http2(&mut self, said: &[u8]) -> Conversation {
        let pieces = [said];
        let talking = talk(self, Transport::Http2, &pieces, true);
        self.runtime.block_on(talking)
    }

    /// As [`House::converse`], with apps that answer by a script.
    pub fn converse_about(&mut self, script: Script, said: &[u8]) -> Conversation {
        self.log.lock().script = Some(script);
        let conversation = self.converse(&[said], false);
        self.log.lock().script = None;
        conversation
    }

    /// An input may sign out.
    fn renew_sessions(&mut self) {
        for (token, host) in self.sessions.iter_mut().zip([APP, OTHER]) {
            let found = self.store.find(&token.key());
            if found.expect("the store is in memory").is_none() {
                *token = session_of(host, self.standing, &*self.store, &self.clock);
            }
        }
    }
}

async fn talk(
    house: &House,
    transport: Transport,
    pieces: &[&[u8]],
    is_whole: bool,
) -> Conversation {
    let log = &house.log;
    log.lock().conversation = Conversation::default();
    let length: usize = pieces.iter().map(|it| it.len()).sum();
    // Room for all of it: a client that cannot write need not be waited for.
    let (client, server) = duplex(length + 256 * 1024);
    let (worker, terms) = (Arc::clone(&house.worker), house.terms.clone());
    let observed = log.clone();
    let serving = tokio::spawn(async move {
        let address = SocketAddr::from((PEER, 40_000));
        let make = |peer| Observed {
            service: worker.service(peer),
            log: observed,
        };
        serve_stream(server, address, transport, make, &terms).await;
    });
    let (reader, mut writer) = split(client);
    let reading = tokio::spawn(listen(reader, log.clone()));
    for (at, piece) in pieces.iter().enumerate() {
        if at > 0 {
            yield_now().await;
            yield_now().await;
        }
        if writer.write_all(piece).await.is_err() {
            break;
        }
    }
    log.settle().await;
    if is_whole {
        log.until("every request is answered", |it| {
            it.conversation.under_way == 0
        })
        .await;
        log.settle().await;
    }
    {
        let mut log = log.lock();
        log.conversation.closed = reading.is_finished();
        // What is still under way now is broken off below.
        log.frozen = log.conversation.under_way;
    }
    reading.abort();
    let _ = reading.await;
    drop(writer);
    log.settle().await;
    // A client that is gone is not noticed while an app is silent and more requests wait.
    serving.abort();
    let is_panic = serving.await.is_err_and(|it| it.is_panic());
    assert!(!is_panic, "S-006: a connection ended in a panic");
    log.until("what was broken off ends at the app", |it| {
        let heard = &it.conversation.heard;
        heard.iter().all(|it| it.closed || it.has_a_request())
    })
    .await;
    let mut log = log.lock();
    log.conversation.under_way = log.frozen;
    std::mem::take(&mut log.conversation)
}

/// Keeps what the client is told.
async fn listen(mut reader: ReadHalf<DuplexStream>, log: Log) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = reader.read(&mut buffer).await {
        log.moved();
        log.lock()
            .conversation
            .said
            .extend_from_slice(&buffer[..read]);
    }
    log.moved();
}

fn replace(input: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len() + to.len());
    let mut rest = input;
    while let Some(at) = rest.windows(from.len()).position(|it| it == from) {
        output.extend_from_slice(&rest[..at]);
        output.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    output.extend_from_slice(rest);
    output
}
