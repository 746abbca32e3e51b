//! Starts everything in order.
//!
//! Each data thread has a current-thread runtime, a listening socket and connections to the apps of
//! its own. Sign-ins, providers and the operators' listener run on a small runtime beside them, so
//! that they never hold up a data thread.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::Context;
use arc_swap::ArcSwap;
use tokio::runtime::{Builder, Handle, Runtime};
use tracing_appender::non_blocking::WorkerGuard;

use super::{
    checkups::Checkups,
    front_sockets::{FrontSockets, sockets},
    handover::Handover,
    inherited::Inherited,
    open_files,
    prepare::Ready,
    reload::{Fresh, InForce, Swaps},
    running::Running,
    threads::{DataThread, Reception, Started, serve_beside},
};
use crate::{
    clock::Clock,
    config::Config,
    gateway::{Gateway, Providers, RouteTable},
    key_ring::{KeyRing, SharedKeyRing},
    listener::{
        Doorstep, Entrance, FrontDoor, Phase, Pressure, Room, Shutdown, Sockets, Terms,
        certs::Certificates, expect_cuts, tls,
    },
    login::{self, Login},
    oidc::ProviderStatus,
    ops::{Ops, ProviderLine},
    session::{MemoryStore, SessionStore},
    telemetry::{AccessWriter, Metrics, SharedMetrics, chain},
    upstream::{Apps, Checkup, RouteTls, Seats, apps},
};

/// Threads of the runtime for sign-ins, providers and operators.
const CONTROL_THREADS: usize = 2;

/// Starts serving. Returns once every address is bound; a provider may still be unknown then.
///
/// # Errors
/// Returns an error if an address is taken, a thread cannot be started, or the trusted roots of a
/// provider cannot be read.
pub fn start(ready: Ready, clock: &Clock) -> anyhow::Result<Running> {
    start_with(Inherited::default(), ready, clock)
}

/// The same on the sockets that were handed over; where there is none, an address is bound.
///
/// # Errors
/// As [`start`]; also if there is neither a socket nor an address to serve people at.
pub fn start_with(inherited: Inherited, ready: Ready, clock: &Clock) -> anyhow::Result<Running> {
    let access = AccessWriter::to_stdout(ready.config.log);
    start_with_access_log(inherited, ready, clock, access)
}

/// The same with an access log that goes elsewhere than to standard output, and what writes out the
/// rest of it at the end.
///
/// # Errors
/// As [`start_with`].
pub fn start_with_access_log(
    inherited: Inherited,
    ready: Ready,
    clock: &Clock,
    access: (AccessWriter, Option<WorkerGuard>),
) -> anyhow::Result<Running> {
    let front = FrontSockets::open(&inherited, &ready)?;
    start_on(front, inherited, ready, clock, access)
}

/// The same on sockets that are listening already, one for each data thread.
fn start_on(
    front: FrontSockets,
    inherited: Inherited,
    ready: Ready,
    clock: &Clock,
    (access, access_guard): (AccessWriter, Option<WorkerGuard>),
) -> anyhow::Result<Running> {
    let Ready {
        config,
        certificates,
        providers,
        tls,
    } = ready;
    let http = sockets(inherited.http.as_ref(), config.listen.http, 1)?;
    let ops = sockets(inherited.ops.as_ref(), config.ops, 1)?;
    let control = control_runtime()?;
    let shutdown = Shutdown::default();
    let (begun, crippled) = <(Arc<AtomicBool>, Arc<AtomicBool>)>::default();
    let metrics = front.expected(Metrics::new(clock.clone()));
    let store = session_store(&config, clock, &metrics);
    let fresh = Fresh::new(control.handle().clone(), Arc::clone(&metrics), &providers);
    metrics.watch(&access);
    expect_cuts(&metrics);
    let key_ring = key_ring(&config, clock);
    let handover = handover(&config, &key_ring, clock, &store);
    let apps = known_apps(&config, &metrics);
    let parts = Parts {
        clock: clock.clone(),
        metrics: Arc::clone(&metrics),
        upstreams: (&apps, &tls),
        store: Arc::clone(&store),
        key_ring,
        sign_ins: handover.sign_ins(),
        providers: &providers,
    };
    let (gateway, found) = parts.gateway(&config, access, control.handle())?;
    let certificates = Arc::new(Certificates::new(certificates));
    let reception = reception(Arc::clone(&certificates), &config, clock)?;
    let providers = Arc::new(ArcSwap::from_pointee(providers));
    let swaps = Arc::new(Swaps {
        gateway: Arc::clone(&gateway),
        reception: Arc::clone(&reception),
        certificates,
        providers: Arc::clone(&providers),
        metrics: Arc::clone(&metrics),
        apps,
        clock: clock.clone(),
    });
    let checkups = Checkups::of(found, control.handle(), clock, &metrics);
    let config = Arc::new(config);
    let in_force = InForce::new(swaps, Arc::clone(&config), fresh, (tls, checkups));
    let mut running = Running {
        https: front.https(),
        plain: front.plain(),
        http: http.as_ref().map(Sockets::address),
        ops: ops.as_ref().map(Sockets::address),
        store: Arc::clone(&store),
        handover: Arc::clone(&handover),
        metrics: Arc::clone(&metrics),
        shutdown: shutdown.clone(),
        ops_shutdown: Shutdown::default(),
        grace: config.listen.grace,
        threads: Vec::new(),
        control: None,
        in_force: Some(in_force),
        asked: Arc::default(),
        clock: clock.clone(),
        access_guard,
        _inherited: inherited,
    };
    let terms = Terms {
        limits: Arc::new(config.limits.clone()),
        metrics: Arc::clone(&metrics),
        shutdown: shutdown.clone(),
        pressure: Pressure::default(),
    };
    if let Some(sockets) = http {
        let redirect = gateway.redirect_to_https();
        serve_beside(control.handle(), sockets, &terms, &reception, &redirect);
    }
    if let Some(sockets) = ops {
        let serving = readiness(&begun, &crippled, &shutdown);
        let service = ops_service(metrics, store, providers, serving);
        let terms = Terms {
            shutdown: running.ops_shutdown.clone(),
            ..terms.clone()
        };
        serve_beside(control.handle(), sockets, &terms, &reception, &service);
    }
    running.control = Some(control);
    let threads = data_threads(front, &reception, &gateway, &terms, &crippled)?;
    // Nothing can fail from here on: what the last process left is good once.
    handover.take_over();
    running.threads = threads.into_iter().map(Started::begin).collect();
    begun.store(true, Ordering::Release);
    running.say_ready(config.routes.len());
    Ok(running)
}

/// One for each listening socket; they serve once they are told to.
fn data_threads(
    front: FrontSockets,
    reception: &Arc<ArcSwap<Reception>>,
    gateway: &Arc<Gateway>,
    terms: &Terms,
    crippled: &Arc<AtomicBool>,
) -> anyhow::Result<Vec<Started>> {
    let room = Room::new(terms.limits.connections, terms.pressure.clone());
    let sockets = front.of_threads();
    let threads = sockets.map(|(https, plain)| DataThread {
        https,
        plain,
        reception: Arc::clone(reception),
        gateway: Arc::clone(gateway),
        room: room.clone(),
        terms: terms.clone(),
        crippled: Arc::clone(crippled),
    });
    let threads = (0..).zip(threads);
    threads
        .map(|(number, thread)| thread.start(number))
        .collect()
}

/// No app yet, and as many connections to all of them as there are files for.
fn known_apps(config: &Config, metrics: &SharedMetrics) -> Arc<Apps> {
    let connections = open_files::allow_for(config);
    let seats = Seats::new(connections, apps::apps(&config.routes));
    Arc::new(Apps::new(Arc::new(seats), Arc::clone(metrics)))
}

/// Ready is who serves: from when every thread does until one cannot or a stop begins.
fn readiness(
    begun: &Arc<AtomicBool>,
    crippled: &Arc<AtomicBool>,
    shutdown: &Shutdown,
) -> impl Fn() -> bool + Send + Sync + 'static {
    let (begun, crippled, shutdown) = (Arc::clone(begun), Arc::clone(crippled), shutdown.clone());
    move || {
        begun.load(Ordering::Acquire)
            && shutdown.phase() == Phase::Serving
            && !crippled.load(Ordering::Acquire)
    }
}

fn control_runtime() -> anyhow::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
        .context("failed to start the control runtime")
}

/// What connections are received with at first.
fn reception(
    certificates: Arc<Certificates>,
    config: &Config,
    clock: &Clock,
) -> anyhow::Result<Arc<ArcSwap<Reception>>> {
    let acceptor = tls::acceptor(certificates).context("failed to set up TLS")?;
    Ok(Arc::new(ArcSwap::from_pointee(Reception {
        entrance: Entrance::new(acceptor, &config.listen, &config.limits, clock.clone()),
        front_door: FrontDoor::new(&config.listen, &config.limits, clock.clone()),
        doorstep: Doorstep::new(&config.listen, &config.limits, clock.clone()),
        limits: Arc::new(config.limits.clone()),
    })))
}

fn session_store(config: &Config, clock: &Clock, metrics: &SharedMetrics) -> Arc<dyn SessionStore> {
    let capacity = config.session.capacity;
    Arc::new(MemoryStore::new(
        capacity,
        clock.clone(),
        Arc::clone(metrics),
    ))
}

fn key_ring(config: &Config, clock: &Clock) -> SharedKeyRing {
    let (key_ring, kept) = KeyRing::open(&config.state_dir, clock.clone());
    if let Some(error) = kept {
        let error = chain(&error);
        tracing::warn!(
            error,
            "the key ring is not kept as it should be: sessions and sign-ins under way may be lost \
             at a restart; make the state folder writable, or name another one as [state] dir"
        );
    }
    Arc::new(key_ring)
}

/// What passes sessions and sign-ins on to the next process.
fn handover(
    config: &Config,
    ring: &SharedKeyRing,
    clock: &Clock,
    store: &Arc<dyn SessionStore>,
) -> Arc<Handover> {
    let (ring, store) = (Arc::clone(ring), Arc::clone(store));
    Arc::new(Handover::new(config, ring, clock.clone(), store))
}

/// What the gateway is made of.
struct Parts<'a> {
    clock: Clock,
    metrics: SharedMetrics,
    upstreams: (&'a Apps, &'a RouteTls),
    store: Arc<dyn SessionStore>,
    key_ring: SharedKeyRing,
    sign_ins: Arc<login::Memory>,
    providers: &'a Providers,
}

impl Parts<'_> {
    /// The gateway, and the checks of apps that its routes ask for.
    fn gateway(
        self,
        config: &Config,
        access: AccessWriter,
        control: &Handle,
    ) -> anyhow::Result<(Arc<Gateway>, Vec<Checkup>)> {
        let login = Login::new(
            Arc::clone(&self.store),
            self.key_ring,
            self.clock.clone(),
            Arc::clone(&self.metrics),
            control.clone(),
        )
        .with_memory(self.sign_ins);
        let table = RouteTable::new(config, self.providers, self.upstreams, &self.metrics)
            .map_err(|route| anyhow::anyhow!("failed to build the route `{route}`"))?;
        let checkups = table.checkups();
        let gateway = Gateway::new(
            table,
            login,
            self.store,
            self.clock,
            self.metrics,
            access,
            self.upstreams.0.seats(),
        );
        Ok((Arc::new(gateway), checkups))
    }
}

fn ops_service(
    metrics: SharedMetrics,
    store: Arc<dyn SessionStore>,
    providers: Arc<ArcSwap<Providers>>,
    serving: impl Fn() -> bool + Send + Sync + 'static,
) -> Ops {
    let providers = move || {
        let providers = providers.load();
        let mut lines: Vec<_> = providers
            .values()
            .map(|provider| ProviderLine {
                name: provider.name().0.clone(),
                ready: matches!(provider.status(), ProviderStatus::Ready),
            })
            .collect();
        lines.sort_by(|one, other| one.name.cmp(&other.name));
        lines
    };
    Ops::new(metrics, move || store.live(), serving, providers)
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File, OpenOptions},
        io::{Read, Write},
        net::{TcpListener, TcpStream},
        os::{fd::OwnedFd, unix::fs::OpenOptionsExt},
        path::Path,
        thread,
        time::Duration,
    };

    use super::*;
    use crate::{app::prepare, clock::ManualClock, config::AccessLog};

    fn write(file: &Path, text: &str) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .mode(0o600)
            .open(file)
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// One route, operators on a port of the system's choice, and a provider that is nowhere.
    fn ready(folder: &Path, clock: &Clock) -> Ready {
        let made = rcgen::generate_simple_self_signed(vec!["wiki.example".to_owned()]).unwrap();
        for (file, text) in [
            ("certs/wiki.crt", made.cert.pem()),
            ("certs/wiki.key", made.signing_key.serialize_pem()),
            ("secret", "a secret that is never printed".to_owned()),
            (
                "config/vestibule.toml",
                format!(
                    "[listen]\nhttps = \"127.0.0.1:8443\"\n[ops]\nlisten = \"127.0.0.1:0\"\n\
                     [idp.nowhere]\nissuer = \"http://127.0.0.1:9\"\nclient_id = \"x\"\n\
                     client_secret_file = \"{}\"\n[log]\naccess = \"off\"",
                    folder.join("secret").display()
                ),
            ),
            (
                "config/routes.d/wiki.toml",
                "from = \"https://wiki.example:8443\"\nto = \"http://127.0.0.1:9\"\n\
                 allow = \"signed-in\""
                    .to_owned(),
            ),
        ] {
            write(&folder.join(file), &text);
        }
        let prepared = prepare(&folder.join("config"), &[], clock);
        let findings = prepared.findings;
        prepared.ready.unwrap_or_else(|| panic!("{findings:?}"))
    }

    /// Status line and body of `/readyz`.
    fn readiness(running: &Running) -> String {
        let mut stream = TcpStream::connect(running.ops().unwrap()).unwrap();
        let request = b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(request).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Two data threads, the second on `listener`.
    fn running_with(listener: TcpListener, folder: &Path) -> Running {
        // The certificates are of today.
        let clock = ManualClock::starting_at(Clock::system().now().wall).clock();
        let first = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = first.local_addr().unwrap();
        for listener in [&first, &listener] {
            listener.set_nonblocking(true).unwrap();
        }
        start_on(
            FrontSockets {
                https: Some((address, vec![first, listener])),
                plain: None,
            },
            Inherited::default(),
            ready(folder, &clock),
            &clock,
            AccessWriter::to_stdout(AccessLog::Off),
        )
        .unwrap()
    }

    #[test]
    fn a_data_thread_that_cannot_accept_makes_the_process_unready() {
        // A file in place of the socket: nothing that a runtime could wait for.
        let folder = tempfile::tempdir().unwrap();
        let file = File::create(folder.path().join("no socket")).unwrap();
        let running = running_with(TcpListener::from(OwnedFd::from(file)), folder.path());
        for attempt in 0.. {
            let answer = readiness(&running);
            if answer.starts_with("HTTP/1.1 503 ") {
                assert!(answer.contains("\"ready\":false"), "{answer}");
                break;
            }
            assert!(attempt < 1000, "{answer}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn data_threads_that_accept_are_ready() {
        let folder = tempfile::tempdir().unwrap();
        let second = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = second.local_addr().unwrap();
        let running = running_with(second, folder.path());
        // Both have had their turn.
        for address in [running.https().unwrap(), address] {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"no TLS at all\r\n\r\n").unwrap();
            let _ = stream.read(&mut [0; 16]);
        }
        let answer = readiness(&running);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}
