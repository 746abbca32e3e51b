//! The application itself, booted in this process from real files, on a clock of the test's.

use std::{
    fmt::Write,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;
use vestibule::{
    app::{self, Inherited, Ready, Running},
    clock::ManualClock,
    config::{AccessLog, Config, finding::Finding, plain_address::PlainAddress},
    session::SessionStore,
    telemetry::AccessWriter,
};

use super::{
    PATIENCE,
    client::{self, Browser, raw_tls::RawTls},
    clock,
    issuer::{CLIENT_ID, CLIENT_SECRET, Issuer},
    lines::Lines,
    pki::{self, Pki, write_private},
};

/// Something with an address that a route can lead to.
pub(crate) trait Upstream {
    fn address(&self) -> SocketAddr;
}

impl Upstream for super::upstream::Echo {
    fn address(&self) -> SocketAddr {
        self.address()
    }
}

impl Upstream for super::upstream::Raw {
    fn address(&self) -> SocketAddr {
        self.address()
    }
}

/// For routes whose app is somewhere else, or nowhere.
impl Upstream for SocketAddr {
    fn address(&self) -> SocketAddr {
        *self
    }
}

/// Builds a [`Vestibule`]: what is written here becomes the operator's files.
pub(crate) struct Builder {
    time: ManualClock,
    folder: TempDir,
    pki: Pki,
    port: u16,
    hosts: Vec<String>,
    has_https: bool,
    routes: Vec<String>,
    main: String,
    environment: Vec<(String, String)>,
    adjusting: Box<dyn Fn(&mut Config) + Send + Sync>,
    lines: Option<Lines>,
}

/// An application without routes and providers that goes by a clock of its own.
pub(crate) fn new() -> Builder {
    at(&clock::manual())
}

/// An application without routes and providers that goes by `time`.
pub(crate) fn at(time: &ManualClock) -> Builder {
    let port = free_port();
    let folder = tempfile::tempdir().unwrap();
    for name in ["config/routes.d", "certs", "secrets"] {
        fs::create_dir_all(folder.path().join(name)).unwrap();
    }
    Builder {
        time: time.clone(),
        main: format!("[listen]\nhttps = \"127.0.0.1:{port}\"\nworkers = 2\ngrace = \"1s\"\n"),
        pki: pki::fresh(),
        hosts: Vec::new(),
        has_https: true,
        routes: Vec::new(),
        environment: Vec::new(),
        adjusting: Box::new(|_| ()),
        lines: None,
        folder,
        port,
    }
}

/// `from` names the port, so it has to be known before anything listens: one below those that the
/// system hands out by itself, so that no connection takes it meanwhile, and each once per process.
fn free_port() -> u16 {
    static USED: AtomicU32 = AtomicU32::new(0);
    let ports = 10_000..30_000;
    let length = u32::try_from(ports.len()).unwrap();
    loop {
        let offset = std::process::id().wrapping_mul(997);
        let offset = offset.wrapping_add(USED.fetch_add(1, Ordering::Relaxed));
        let port = ports.start + u16::try_from(offset % length).unwrap();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

impl Builder {
    /// A route `id` for all of `host` (`wiki.example`, or `erp.example/app` for a part of it).
    ///
    /// `rules` is TOML that stands after `from` and `to`: `allow = "signed-in"`, and tables.
    pub(crate) fn route(self, id: &str, host: &str, rules: &str, to: &impl Upstream) -> Self {
        let to = format!("\"http://{}\"", to.address());
        self.route_to(id, host, rules, &to)
    }

    /// The same, with `to` as it is written.
    pub(crate) fn route_to(mut self, id: &str, host: &str, rules: &str, to: &str) -> Self {
        let (name, prefix) = host.split_once('/').unwrap_or((host, ""));
        let slash = if prefix.is_empty() { "" } else { "/" };
        let from = format!("https://{name}:{}{slash}{prefix}", self.port);
        if self.has_https {
            self.hosts.push(name.to_owned());
        }
        self.routes.push(id.to_owned());
        let text = format!("from = \"{from}\"\nto = {to}\n{rules}\n");
        fs::write(self.route_file(id), text).unwrap();
        self
    }

    /// Signs people in at `issuer`, as `[idp.NAME]`.
    pub(crate) fn provider(mut self, name: &str, issuer: &Issuer) -> Self {
        let secret = self.secret_file(name);
        let authority = issuer.authority();
        write!(
            self.main,
            "[idp.{name}]\nissuer = \"{authority}\"\nclient_id = \"{CLIENT_ID}\"\n\
             client_secret_file = \"{secret}\"\n"
        )
        .unwrap();
        self
    }

    /// Signs people in at `issuer`, as `[entra]`.
    pub(crate) fn entra(mut self, issuer: &Issuer) -> Self {
        let secret = self.secret_file("entra");
        let authority = issuer.authority();
        write!(
            self.main,
            "[entra]\nendpoint = \"{authority}\"\nclient_id = \"{CLIENT_ID}\"\n\
             client_secret_file = \"{secret}\"\n"
        )
        .unwrap();
        self
    }

    /// More lines for the main file; they follow the last table so far.
    pub(crate) fn main(mut self, toml: &str) -> Self {
        writeln!(self.main, "{toml}").unwrap();
        self
    }

    /// Listens for HTTPS nowhere; to be called before there is a table.
    pub(crate) fn without_https(mut self) -> Self {
        let lines = self.main.lines().filter(|it| !it.starts_with("https ="));
        let lines: Vec<_> = lines.collect();
        self.main = format!("{}\n", lines.join("\n"));
        self.hosts.clear();
        self.has_https = false;
        self
    }

    /// One environment variable; the process's own are never read.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Changes the configuration once it is read.
    pub(crate) fn adjusted(
        mut self,
        adjusting: impl Fn(&mut Config) + Send + Sync + 'static,
    ) -> Self {
        self.adjusting = Box::new(adjusting);
        self
    }

    /// Writes the access log there, as JSON.
    pub(crate) fn telling(mut self, lines: &Lines) -> Self {
        self.lines = Some(lines.clone());
        self
    }

    /// What `check` says about these files; nothing is started.
    pub(crate) fn findings(self) -> Vec<Finding> {
        self.write_rest();
        app::prepare(&self.config_dir(), &self.environment, &self.time.clock()).findings
    }

    /// What would be started; nothing is.
    ///
    /// # Panics
    /// If the files cannot be served; the findings are in the message.
    pub(crate) fn prepared(&self) -> Ready {
        self.write_rest();
        let prepared = app::prepare(&self.config_dir(), &self.environment, &self.time.clock());
        let findings: Vec<_> = prepared.findings.iter().map(ToString::to_string).collect();
        let mut ready = prepared.ready.unwrap_or_else(|| panic!("{findings:#?}"));
        (self.adjusting)(&mut ready.config);
        ready
    }

    /// Boots it.
    ///
    /// # Panics
    /// If the files cannot be served; the findings are in the message.
    pub(crate) fn run(self) -> Vestibule {
        let (ready, clock) = (self.prepared(), self.time.clock());
        let running = match &self.lines {
            None => app::start(ready, &clock),
            Some(lines) => {
                let (writer, guard) = AccessWriter::to(lines.clone(), AccessLog::Json);
                app::start_with_access_log(
                    Inherited::default(),
                    ready,
                    &clock,
                    (writer, Some(guard)),
                )
            }
        };
        let running = running.unwrap();
        let https = running.https().map(|it| it.port());
        assert_eq!(https, self.has_https.then_some(self.port));
        Vestibule {
            running: Some(running),
            built: self,
        }
    }

    /// The program itself on these files; its environment is what [`Builder::variable`] said.
    pub(crate) fn command(&self) -> Command {
        self.write_rest();
        let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
        command
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .arg("--config")
            .arg(self.config_dir())
            .stdin(Stdio::null());
        command
    }

    /// The folder above `config`, with `certs` and `secrets`.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A browser that trusts the certificates and goes by the clock.
    pub(crate) fn browser(&self) -> Browser {
        client::browser(&self.pki, self.time.clock())
    }

    /// `https://HOST:PORT/PATH`.
    pub(crate) fn url(&self, host: &str, path: &str) -> String {
        format!("https://{host}:{}{path}", self.port)
    }

    pub(crate) fn pki(&self) -> &Pki {
        &self.pki
    }

    /// The port of HTTPS.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    fn write_rest(&self) {
        fs::write(self.config_dir().join("vestibule.toml"), &self.main).unwrap();
        for host in &self.hosts {
            let leaf = self.pki.leaf(&[host]);
            leaf.write(&self.folder.path().join("certs"), host);
        }
    }

    fn secret_file(&self, name: &str) -> String {
        let file = self.folder.path().join("secrets").join(name);
        write_private(&file, &format!("{CLIENT_SECRET}\n"));
        file.to_str().unwrap().to_owned()
    }

    fn config_dir(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    fn route_file(&self, id: &str) -> PathBuf {
        self.config_dir().join(format!("routes.d/{id}.toml"))
    }
}

/// A running application.
pub(crate) struct Vestibule {
    /// `None` once it was stopped.
    running: Option<Running>,
    built: Builder,
}

impl Vestibule {
    /// `https://HOST:PORT/PATH` on this application.
    pub(crate) fn url(&self, host: &str, path: &str) -> String {
        self.built.url(host, path)
    }

    /// A browser that trusts its certificates and goes by its clock.
    pub(crate) fn browser(&self) -> Browser {
        self.built.browser()
    }

    /// A client for raw bytes that names `host` in the handshake.
    pub(crate) fn raw(&self, host: &str) -> RawTls {
        client::raw_tls::raw_tls(self.https(), host, &self.built.pki)
    }

    /// `HOST:PORT`, for a raw `Host` line.
    pub(crate) fn authority(&self, host: &str) -> String {
        format!("{host}:{}", self.built.port)
    }

    pub(crate) fn time(&self) -> &ManualClock {
        &self.built.time
    }

    pub(crate) fn pki(&self) -> &Pki {
        &self.built.pki
    }

    /// The folder above `config`, with `certs` and `secrets`.
    pub(crate) fn folder(&self) -> &Path {
        self.built.folder()
    }

    pub(crate) fn ops(&self) -> Option<SocketAddr> {
        self.running().ops()
    }

    /// The address that redirects to HTTPS.
    pub(crate) fn http(&self) -> Option<SocketAddr> {
        self.running().http()
    }

    pub(crate) fn https(&self) -> SocketAddr {
        self.running().https().expect("it serves HTTPS")
    }

    /// Where fronts that end TLS are served.
    pub(crate) fn plain(&self) -> Option<&PlainAddress> {
        self.running().plain()
    }

    /// Follows its files from now on, and looks at them very often.
    pub(crate) fn follow(&mut self) {
        const EVERY: Duration = Duration::from_millis(20);
        let (config_dir, time) = (self.built.config_dir(), self.built.time.clock());
        let environment = self.built.environment.clone();
        let sources = app::prepare(&config_dir, &environment, &time).sources;
        let running = self.running.as_mut().expect("it was not stopped yet");
        running.follow(&config_dir, environment, sources, EVERY);
    }

    /// Has its files read at once.
    pub(crate) fn reload(&self) {
        self.running().reload();
    }

    /// What a second signal does while [`Vestibule::stop`] waits.
    pub(crate) fn hard_stop(&self) -> impl FnOnce() + Send + 'static {
        self.running().hard_stop()
    }

    pub(crate) fn sessions(&self) -> Arc<dyn SessionStore> {
        self.running().sessions()
    }

    pub(crate) fn metrics(&self) -> String {
        self.running().metrics_text()
    }

    /// Stops it softly and waits for the end; its files stay until it is dropped.
    pub(crate) async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }

    /// Ends it without the care of a stop: nothing is left to the next one.
    pub(crate) fn crash(&mut self) {
        drop(self.running.take());
    }

    /// Starts it from the same files again, once the port is free.
    ///
    /// # Panics
    /// If the files cannot be served; the findings are in the message.
    pub(crate) async fn start(&mut self) {
        let polling = async {
            while TcpListener::bind((Ipv4Addr::LOCALHOST, self.built.port)).is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let freed = tokio::time::timeout(PATIENCE, polling).await;
        freed.expect("the port becomes free");
        let ready = self.built.prepared();
        self.running = Some(app::start(ready, &self.built.time.clock()).unwrap());
    }

    /// Stops it, and starts it again from the same files.
    pub(crate) async fn restarted(mut self) -> Self {
        self.stop().await;
        self.built.run()
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("it was not stopped yet")
    }
}
