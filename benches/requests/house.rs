//! A gateway as an operator would have configured it, in one thread with an app, and connections to it
//! that are no sockets.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{DuplexStream, duplex},
    net::TcpListener,
    runtime::{Builder, Runtime},
    time::{sleep, timeout},
};
use vestibule::{
    clock::Clock,
    config::{AccessLog, Config, load::load},
    gateway::{Gateway, Providers, RouteTable, Worker},
    identity::RouteId,
    key_ring::KeyRing,
    listener::{Pressure, Shutdown, Terms, stream::serve_stream},
    login::Login,
    oidc::{ProviderStatus, RelyingParty},
    peer::Transport,
    session::{MemoryStore, SessionStore, SessionToken},
    telemetry::{AccessWriter, Metrics},
    upstream::{Apps, RouteTls, Seats},
};

use crate::{
    app,
    browser::HOST,
    people::{self, PROVIDER, ROUTE},
};

/// How long the provider's documents may take to arrive before the first measurement.
const PATIENCE: Duration = Duration::from_secs(20);

/// How routes beside the first are told from it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Spread {
    /// Each has a host of its own.
    Hosts,
    /// Each has a part of the first one's host.
    Prefixes,
}

/// A configuration of so many routes, whose app is nowhere.
pub(crate) fn config(routes: usize, spread: Spread) -> Config {
    config_before(SocketAddr::from((Ipv4Addr::LOCALHOST, 9)), routes, spread)
}

/// The relying parties of a configuration.
pub(crate) fn providers(config: &Config, clock: &Clock) -> Providers {
    let parties = config.providers.iter().map(|it| {
        let party = RelyingParty::new(it.clone(), clock.clone());
        (it.name.clone(), party.expect("the provider is one"))
    });
    parties.collect()
}

/// See the module.
pub(crate) struct House {
    pub(crate) runtime: Runtime,
    worker: Arc<Worker>,
    terms: Terms,
    session: SessionToken,
}

impl House {
    /// A house of so many routes on one host.
    pub(crate) fn new(routes: usize) -> Self {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("the system has what a runtime needs");
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let listener = listener.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        runtime.spawn(app::run(listener));

        let config = config_before(address, routes, Spread::Prefixes);
        let clock = Clock::system();
        let metrics = Arc::new(Metrics::new(clock.clone()));
        let providers = providers(&config, &clock);
        runtime.block_on(known(&providers));
        let store = Arc::new(MemoryStore::new(
            config.session.capacity,
            clock.clone(),
            Arc::clone(&metrics),
        ));
        let session = SessionToken::random();
        let standing = config.providers[0].standing();
        let begun = people::session(1, &session, standing, &clock);
        store.insert(begun).expect("the store is in memory");
        let login = Login::new(
            Arc::clone(&store) as Arc<dyn SessionStore>,
            Arc::new(KeyRing::in_memory(clock.clone())),
            clock.clone(),
            Arc::clone(&metrics),
            runtime.handle().clone(),
        );
        let seats = Arc::new(Seats::new(1_000, routes));
        let known = Apps::new(Arc::clone(&seats), Arc::clone(&metrics));
        let upstreams = (&known, &RouteTls::new());
        let table = RouteTable::new(&config, &providers, upstreams, &metrics);
        let (access, _) = AccessWriter::to_stdout(AccessLog::Off);
        let gateway = Gateway::new(
            table.expect("the routes fit"),
            login,
            store,
            clock,
            Arc::clone(&metrics),
            access,
            seats,
        );
        let terms = Terms {
            limits: Arc::new(config.limits),
            metrics,
            shutdown: Shutdown::default(),
            pressure: Pressure::default(),
        };
        let worker = runtime.block_on(async { Worker::new(Arc::new(gateway)) });
        Self {
            runtime,
            worker,
            terms,
            session,
        }
    }

    /// The cookie value of the one session.
    pub(crate) fn session(&self) -> &str {
        self.session.expose()
    }

    /// A connection to the gateway, behind the handshake.
    pub(crate) fn connect(&self, transport: Transport) -> DuplexStream {
        let (client, server) = duplex(256 * 1024);
        let (worker, terms) = (Arc::clone(&self.worker), self.terms.clone());
        self.runtime.spawn(async move {
            let address = SocketAddr::from(([192, 0, 2, 7], 40_000));
            let make = |peer| worker.service(peer);
            serve_stream(server, address, transport, make, &terms).await;
        });
        client
    }
}

/// Waits until people can be sent to every provider.
async fn known(providers: &Providers) {
    for provider in providers.values() {
        tokio::spawn(Arc::clone(provider).keep_fresh());
        let ready = async {
            while provider.status() != ProviderStatus::Ready {
                sleep(Duration::from_millis(1)).await;
            }
        };
        let waited = timeout(PATIENCE, ready).await;
        assert!(waited.is_ok(), "{:?}", provider.status());
    }
}

/// A configuration of so many routes to the app at `address`, which is the provider too.
fn config_before(address: SocketAddr, routes: usize, spread: Spread) -> Config {
    let main = format!(
        r#"
[listen]
https = "127.0.0.1:8443"
[idp.{PROVIDER}]
issuer = "http://{address}"
client_id = "vestibule"
client_secret = "of no account"
[log]
access = "off"
"#
    );
    let route = format!(
        r#"
from = "https://{HOST}"
to = "http://{address}"
allow = "signed-in"
[[public]]
path = "/static/*"
[identity.headers]
X-Remote-User = "{{user}}"
X-Remote-Name = "{{name}}"
"#
    );
    let folder = tempfile::tempdir().expect("there is room for a folder");
    for (file, text) in [
        ("config/vestibule.toml", main.as_str()),
        (&format!("config/routes.d/{ROUTE}.toml"), &route),
        // Nobody opens them here, but there have to be some.
        ("certs/house.crt", ""),
        ("certs/house.key", ""),
    ] {
        let path = folder.path().join(file);
        let parent = path.parent().expect("it is in a folder");
        fs::create_dir_all(parent).expect("the folder can be written");
        fs::write(path, text).expect("the folder can be written");
    }
    let loaded = load(&folder.path().join("config"), &[]);
    let config = loaded.config;
    let mut config = config.unwrap_or_else(|| panic!("{:#?}", loaded.findings));
    // Written as files they would be checked against one another, which takes longer than all else.
    let first = config.routes[0].clone();
    for number in 1..routes {
        let mut route = first.clone();
        route.id = RouteId(format!("{ROUTE}-{number}"));
        match spread {
            Spread::Hosts => route.from.authority.host = format!("{number}.{HOST}"),
            Spread::Prefixes => route.from.prefix = format!("/part-{number}"),
        }
        config.routes.push(route);
    }
    config
}
