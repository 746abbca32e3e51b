//! What operators see: logs, the access log, metrics.
//!
//! No secret may get here: what is logged is named field by field, never a whole request; a path is
//! logged without its query, because codes and tokens travel there.

use std::{
    io::{self, Write},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use serde::Serialize;
use tracing_appender::non_blocking::{
    DEFAULT_BUFFERED_LINES_LIMIT, ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard,
};
use tracing_subscriber::EnvFilter;

use crate::{
    clock::{Clock, Timestamp},
    config::AccessLog,
};

/// What was decided about a request; the word in log and metric.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decision {
    /// Forwarded with an identity.
    Allow,
    /// Signed in, but not let in.
    Forbid,
    /// Needs a sign-in: redirected, or told so.
    Login,
    /// Answered by vestibule itself, below its own prefix.
    Own,
    /// Forwarded without an identity, by a public rule.
    Public,
    /// Not a request that can be answered: malformed, for another host, of a refused method.
    Refuse,
    /// Could not be answered because of a fault, ours or the app's.
    Unavailable,
}

impl Decision {
    /// The word in log and metric.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Forbid => "forbid",
            Self::Login => "login",
            Self::Own => "own",
            Self::Public => "public",
            Self::Refuse => "refuse",
            Self::Unavailable => "unavailable",
        }
    }
}

/// One line of the access log.
#[derive(Debug, Serialize)]
pub struct AccessRecord<'a> {
    /// When the answer's head was ready.
    pub time: String,
    /// The id that the app and our pages were given.
    pub request_id: &'a str,
    /// The client's address.
    pub peer: String,
    /// The protocol: `h1` or `h2`.
    pub protocol: &'static str,
    /// The method.
    pub method: &'a str,
    /// The host of the route, or the one that was asked for in vain.
    pub host: Option<&'a str>,
    /// The path, without the query.
    pub path: &'a str,
    /// The route that decided.
    pub route: Option<&'a str>,
    /// What was decided.
    pub decision: &'static str,
    /// Why, in one word.
    pub reason: &'a str,
    /// The status of the answer.
    pub status: u16,
    /// The user name the app was told.
    pub user: Option<&'a str>,
    /// From the request's head to the answer's, in microseconds.
    pub micros: u64,
}

/// Writes access records from whatever thread, without waiting for the disk.
#[derive(Clone)]
pub struct AccessWriter(Option<(AccessLog, NonBlocking)>);

impl AccessWriter {
    /// Writes to standard output in the configured form. The guard writes out what is pending
    /// when it is dropped.
    #[must_use]
    pub fn to_stdout(form: AccessLog) -> (Self, Option<WorkerGuard>) {
        if form == AccessLog::Off {
            return (Self(None), None);
        }
        let (writer, guard) = Self::to(io::stdout(), form, DEFAULT_BUFFERED_LINES_LIMIT);
        (writer, Some(guard))
    }

    /// Keeps so many lines for a sink that does not take them; what comes on top is dropped.
    fn to(sink: impl Write + Send + 'static, form: AccessLog, lines: usize) -> (Self, WorkerGuard) {
        let builder = NonBlockingBuilder::default().lossy(true);
        let (writer, guard) = builder.buffered_lines_limit(lines).finish(sink);
        (Self(Some((form, writer))), guard)
    }

    /// Whether a record would be written at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Writes one line.
    pub fn write(&self, record: &AccessRecord<'_>) {
        let Some((form, writer)) = &self.0 else {
            return;
        };
        let mut line = match form {
            AccessLog::Json | AccessLog::Off => serde_json::to_vec(record).unwrap_or_default(),
            AccessLog::Text => text_line(record).into_bytes(),
        };
        line.push(b'\n');
        // A full queue drops the line rather than holding up a request; the writer counts those.
        let _ = writer.clone().write_all(&line);
    }
}

fn text_line(record: &AccessRecord<'_>) -> String {
    format!(
        "{} {} {} {} {}{} {} route={} {}({}) user={} id={} {}us",
        record.time,
        record.peer,
        record.protocol,
        record.method,
        record.host.unwrap_or("-").escape_debug(),
        record.path.escape_debug(),
        record.status,
        record.route.unwrap_or("-"),
        record.decision,
        record.reason,
        record
            .user
            .map_or_else(|| "-".to_owned(), |user| user.escape_debug().to_string()),
        record.request_id,
        record.micros,
    )
}

/// Starts the log on standard error. What is logged follows `RUST_LOG`, `info` by default.
///
/// The guard writes out what is pending when it is dropped. A second call is ignored, so that tests
/// may each ask for it.
pub fn start_log() -> WorkerGuard {
    let (writer, guard) = tracing_appender::non_blocking(io::stderr());
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let _ = tracing_subscriber::fmt()
        .with_writer(writer)
        .with_env_filter(filter)
        .with_ansi(false)
        .with_target(false)
        .try_init();
    guard
}

/// An error with every cause behind it, in one line: for the log, never for a client.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RequestLabels {
    route: String,
    decision: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct SignInLabels {
    provider: String,
    outcome: &'static str,
    reason: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct EndLabels {
    cause: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RefusalLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct UpstreamFailureLabels {
    route: String,
    reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ConnectionLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ReloadLabels {
    outcome: &'static str,
}

/// What became of configuration that was read while serving.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReloadOutcome {
    /// It is in force.
    Applied,
    /// Something in it is an error; what was in force stays.
    Refused,
    /// It says what is in force already.
    Unchanged,
}

impl ReloadOutcome {
    /// All outcomes.
    const ALL: [Self; 3] = [Self::Applied, Self::Refused, Self::Unchanged];

    fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Refused => "refused",
            Self::Unchanged => "unchanged",
        }
    }
}

/// The counters and gauges of `/metrics`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    refusals: Family<RefusalLabels, Counter>,
    upstream_failures: Family<UpstreamFailureLabels, Counter>,
    connections_cut: Family<ConnectionLabels, Counter>,
    sign_ins: Family<SignInLabels, Counter>,
    sessions_live: Gauge,
    sessions_ended: Family<EndLabels, Counter>,
    panics: Counter,
    access_lines_dropped: Counter,
    reloads: Family<ReloadLabels, Counter>,
    config_stale: Gauge,
    config_applied: Gauge,
    /// Where the access log counts what it dropped.
    access_log: OnceLock<ErrorCounter>,
    full_store: Seldom,
    clock: Clock,
}

/// Lets something be said at most once a minute, whoever brings it about.
#[derive(Debug)]
pub struct Seldom {
    /// Unix seconds.
    said_at: AtomicI64,
}

impl Default for Seldom {
    fn default() -> Self {
        let said_at = AtomicI64::new(i64::MIN);
        Self { said_at }
    }
}

impl Seldom {
    /// Whether it may be said now; if so, it counts as said.
    pub fn is_due(&self, now: Timestamp) -> bool {
        let last = self.said_at.load(Ordering::Relaxed);
        let quiet_until = Timestamp::from_unix_seconds(last).plus(Duration::from_mins(1));
        // Of two at once one says it.
        now >= quiet_until
            && self
                .said_at
                .compare_exchange(
                    last,
                    now.unix_seconds(),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok()
    }
}

/// A request counter that a route keeps, so that counting takes no look-up.
#[derive(Clone, Debug)]
pub struct RequestCounter(Counter);

impl RequestCounter {
    /// Counts one request.
    pub fn count(&self) {
        self.0.inc();
    }
}

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("vestibule"),
            requests: Family::default(),
            refusals: Family::default(),
            upstream_failures: Family::default(),
            connections_cut: Family::default(),
            sign_ins: Family::default(),
            sessions_live: Gauge::default(),
            sessions_ended: Family::default(),
            panics: Counter::default(),
            access_lines_dropped: Counter::default(),
            reloads: Family::default(),
            config_stale: Gauge::default(),
            config_applied: Gauge::default(),
            access_log: OnceLock::new(),
            full_store: Seldom::default(),
            clock,
        };
        let registry = &mut metrics.registry;
        registry.register(
            "requests",
            "Requests by route and decision",
            metrics.requests.clone(),
        );
        registry.register(
            "refusals",
            "Refused requests by reason",
            metrics.refusals.clone(),
        );
        registry.register(
            "upstream_failures",
            "Answers of apps that did not come, or not whole, by route and reason",
            metrics.upstream_failures.clone(),
        );
        registry.register(
            "connections_cut",
            "Connections ended by a limit, by reason",
            metrics.connections_cut.clone(),
        );
        registry.register(
            "sign_ins",
            "Sign-ins by provider, outcome and reason",
            metrics.sign_ins.clone(),
        );
        registry.register(
            "sessions_live",
            "Live sessions",
            metrics.sessions_live.clone(),
        );
        registry.register(
            "sessions_ended",
            "Ended sessions by cause",
            metrics.sessions_ended.clone(),
        );
        registry.register(
            "panics",
            "Requests that ended in a fault of ours that was caught",
            metrics.panics.clone(),
        );
        registry.register(
            "access_lines_dropped",
            "Lines of the access log that were dropped because nobody took them",
            metrics.access_lines_dropped.clone(),
        );
        metrics.register_reloads();
        metrics
    }

    fn register_reloads(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "reloads",
            "Configurations that were read while serving, by outcome",
            self.reloads.clone(),
        );
        registry.register(
            "config_stale",
            "1 while the files on disk are refused and an older configuration is in force",
            self.config_stale.clone(),
        );
        registry.register(
            "config_applied_timestamp_seconds",
            "When the configuration in force was taken up, in Unix time",
            self.config_applied.clone(),
        );
        for outcome in ReloadOutcome::ALL {
            let outcome = outcome.word();
            let _ = self.reloads.get_or_create(&ReloadLabels { outcome });
        }
        self.config_applied
            .set(self.clock.now().wall.unix_seconds());
    }

    /// Counts a configuration that was read while serving.
    pub fn reloaded(&self, outcome: ReloadOutcome) {
        let labels = ReloadLabels {
            outcome: outcome.word(),
        };
        self.reloads.get_or_create(&labels).inc();
        self.config_stale
            .set(i64::from(outcome == ReloadOutcome::Refused));
        if outcome == ReloadOutcome::Applied {
            self.config_applied
                .set(self.clock.now().wall.unix_seconds());
        }
    }

    /// Shows from now on what this access log has dropped. For the one of the process.
    pub fn watch(&self, access: &AccessWriter) {
        if let Some((_, writer)) = &access.0 {
            let _ = self.access_log.set(writer.error_counter());
        }
    }

    /// The counter for requests of a route with a decision.
    #[must_use]
    pub fn request_counter(&self, route: &str, decision: Decision) -> RequestCounter {
        let labels = RequestLabels {
            route: route.to_owned(),
            decision: decision.word(),
        };
        RequestCounter(self.requests.get_or_create(&labels).clone())
    }

    /// Counts a refused request; `reason` is one of the code's own words.
    pub fn refused(&self, reason: &'static str) {
        self.refusals.get_or_create(&RefusalLabels { reason }).inc();
    }

    /// Counts a fault of the app behind a route; `reason` is one of the code's own words.
    pub fn upstream_failed(&self, route: &str, reason: &'static str) {
        let labels = UpstreamFailureLabels {
            route: route.to_owned(),
            reason,
        };
        self.upstream_failures.get_or_create(&labels).inc();
    }

    /// Counts a connection that was ended by a limit; `reason` is one of the code's own words.
    pub fn connection_cut(&self, reason: &'static str) {
        self.connections_cut
            .get_or_create(&ConnectionLabels { reason })
            .inc();
    }

    /// Counts a sign-in that succeeded or failed; `reason` is one of the code's own words.
    pub fn sign_in(&self, provider: &str, succeeded: bool, reason: &str) {
        let outcome = if succeeded { "succeeded" } else { "failed" };
        let labels = SignInLabels {
            provider: provider.to_owned(),
            outcome,
            reason: reason.to_owned(),
        };
        self.sign_ins.get_or_create(&labels).inc();
    }

    /// Counts a session's end by cause.
    pub fn session_ended(&self, cause: &'static str) {
        self.sessions_ended
            .get_or_create(&EndLabels { cause })
            .inc();
    }

    /// Shows a cause at zero before the first session ended by it.
    pub fn expect_session_end(&self, cause: &'static str) {
        let _ = self.sessions_ended.get_or_create(&EndLabels { cause });
    }

    /// Counts a caught panic.
    pub fn panicked(&self) {
        self.panics.inc();
    }

    /// Says, at most once a minute, that the session store is nearly full.
    pub fn warn_of_full_store(&self, kept: u64, capacity: u64) {
        if self.full_store.is_due(self.clock.now().wall) {
            tracing::warn!(
                kept,
                capacity,
                "the session store is nearly full; beyond its capacity the least recently used \
                 sessions end early: raise [session] capacity"
            );
        }
    }

    /// Everything in the `OpenMetrics` text format.
    #[must_use]
    pub fn text(&self, sessions_live: u64) -> String {
        self.sessions_live
            .set(i64::try_from(sessions_live).unwrap_or(i64::MAX));
        if let Some(log) = self.access_log.get() {
            let dropped = u64::try_from(log.dropped_lines()).unwrap_or(u64::MAX);
            let shown = self.access_lines_dropped.inner();
            shown.store(dropped, Ordering::Relaxed);
        }
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// Metrics that every part shares.
pub type SharedMetrics = Arc<Metrics>;

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> AccessRecord<'static> {
        AccessRecord {
            time: "2026-11-21T19:29:53Z".to_owned(),
            request_id: "0af7651916cd43dd8448eb211c80319c",
            peer: "192.0.2.1".to_owned(),
            protocol: "h2",
            method: "GET",
            host: Some("wiki.example.com"),
            path: "/a\u{1b}[31m",
            route: Some("wiki"),
            decision: Decision::Allow.word(),
            reason: "session",
            status: 200,
            user: Some("ann\n@example.com"),
            micros: 42,
        }
    }

    #[test]
    fn a_line_of_the_access_log_cannot_be_broken_from_outside() {
        let json = serde_json::to_string(&record()).unwrap();
        for line in [json, text_line(&record())] {
            assert!(!line.contains(['\n', '\u{1b}']), "{line}");
            assert!(
                line.contains("wiki.example.com") && line.contains("allow"),
                "{line}"
            );
        }
    }

    /// Takes nothing for as long as the test holds the other end.
    struct Blocked(std::sync::mpsc::Receiver<()>);

    impl Write for Blocked {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_log_that_nobody_takes_holds_nobody_up_and_counts_what_it_drops() {
        // S-267
        let metrics = Metrics::new(Clock::system());
        let (release, held) = std::sync::mpsc::channel();
        let (writer, guard) = AccessWriter::to(Blocked(held), AccessLog::Json, 10);
        metrics.watch(&writer);
        let dropped = || {
            let text = metrics.text(0);
            let (_, tail) = text
                .split_once("vestibule_access_lines_dropped_total ")
                .unwrap();
            tail.lines().next().unwrap().parse::<u64>().unwrap()
        };
        assert_eq!(dropped(), 0);
        for _ in 0..100 {
            writer.write(&record());
        }
        // Ten wait, one at most is being written.
        assert!((89..=90).contains(&dropped()), "{}", dropped());
        drop(release);
        drop(guard);
        assert!((89..=90).contains(&dropped()), "{}", dropped());
    }

    #[test]
    fn metrics_are_told_by_route_decision_outcome_and_cause() {
        let metrics = Metrics::new(Clock::system());
        metrics.request_counter("wiki", Decision::Allow).count();
        metrics.sign_in("entra", false, "nonce_mismatch");
        metrics.session_ended("signed_out");
        metrics.expect_session_end("expired");
        let text = metrics.text(3);
        for line in [
            "vestibule_requests_total{route=\"wiki\",decision=\"allow\"} 1",
            "vestibule_sign_ins_total{provider=\"entra\",outcome=\"failed\",\
             reason=\"nonce_mismatch\"} 1",
            "vestibule_sessions_live 3",
            "vestibule_sessions_ended_total{cause=\"signed_out\"} 1",
            "vestibule_sessions_ended_total{cause=\"expired\"} 0",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }
}
