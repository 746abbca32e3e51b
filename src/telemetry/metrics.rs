//! The counters and gauges of `/metrics`, in the `OpenMetrics` text format.
//!
//! A label is a word of the code's own, or a name that the operator wrote; nothing from the network.

use std::sync::{Arc, OnceLock, atomic::Ordering};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use tracing_appender::non_blocking::ErrorCounter;

use super::{AccessWriter, Decision, Seldom};
use crate::clock::Clock;

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
struct AnswerLabels {
    route: String,
    reason: &'static str,
}

impl AnswerLabels {
    fn of(route: &str, reason: &'static str) -> Self {
        let route = route.to_owned();
        Self { route, reason }
    }
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct AddressLabels {
    route: String,
    address: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ConnectionLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ListenerLabels {
    listener: &'static str,
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
    upstream_failures: Family<AnswerLabels, Counter>,
    upstream_up: Family<AddressLabels, Gauge>,
    upstream_ejections: Family<AddressLabels, Counter>,
    answers_cut: Family<AnswerLabels, Counter>,
    connections_cut: Family<ConnectionLabels, Counter>,
    connections_open: Family<ListenerLabels, Gauge>,
    tunnels_open: Gauge,
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

/// A connection that counts as open until this is dropped.
#[derive(Debug)]
pub struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A tunnel that counts as open until this is dropped.
#[derive(Debug)]
pub struct OpenTunnel(Gauge);

impl Drop for OpenTunnel {
    fn drop(&mut self) {
        self.0.dec();
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

/// What is shown of one address of an app, which keeps it: telling takes no look-up.
#[derive(Clone, Debug)]
pub struct AddressStatus {
    up: Gauge,
    ejections: Counter,
}

impl AddressStatus {
    /// It gets requests again.
    pub fn came_back(&self) {
        self.up.set(1);
    }

    /// It gets no requests for a while.
    pub fn went_out(&self) {
        self.up.set(0);
        self.ejections.inc();
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
            upstream_up: Family::default(),
            upstream_ejections: Family::default(),
            answers_cut: Family::default(),
            connections_cut: Family::default(),
            connections_open: Family::default(),
            tunnels_open: Gauge::default(),
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
            "answers_cut",
            "Answers that did not come to their end, by route and reason",
            metrics.answers_cut.clone(),
        );
        registry.register(
            "connections_cut",
            "Connections ended by a limit, by reason",
            metrics.connections_cut.clone(),
        );
        registry.register(
            "connections_open",
            "Open connections by listener",
            metrics.connections_open.clone(),
        );
        registry.register(
            "tunnels_open",
            "Open WebSockets, whatever they are carried over",
            metrics.tunnels_open.clone(),
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
        metrics.register_addresses();
        metrics.register_reloads();
        metrics
    }

    fn register_addresses(&mut self) {
        self.registry.register(
            "upstream_up",
            "1 while an address of an app gets requests, 0 while it is out, by route",
            self.upstream_up.clone(),
        );
        self.registry.register(
            "upstream_ejections",
            "How often an address of an app went out, by route",
            self.upstream_ejections.clone(),
        );
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
        if let Some(dropped) = access.dropped() {
            let _ = self.access_log.set(dropped);
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

    /// Shows a reason at zero before the first request was refused for it.
    pub fn expect_refusal(&self, reason: &'static str) {
        let _ = self.refusals.get_or_create(&RefusalLabels { reason });
    }

    /// Counts a fault of the app behind a route; `reason` is one of the code's own words.
    pub fn upstream_failed(&self, route: &str, reason: &'static str) {
        let labels = AnswerLabels::of(route, reason);
        self.upstream_failures.get_or_create(&labels).inc();
    }

    /// Shows a fault of an app at zero before it came about.
    pub fn expect_upstream_failure(&self, route: &str, reason: &'static str) {
        let labels = AnswerLabels::of(route, reason);
        let _ = self.upstream_failures.get_or_create(&labels);
    }

    /// Shows an address of the app behind a route from now on, as one that gets requests.
    #[must_use]
    pub fn expect_address(&self, route: &str, address: &str) -> AddressStatus {
        let labels = AddressLabels {
            route: route.to_owned(),
            address: address.to_owned(),
        };
        let status = AddressStatus {
            up: self.upstream_up.get_or_create(&labels).clone(),
            ejections: self.upstream_ejections.get_or_create(&labels).clone(),
        };
        status.came_back();
        status
    }

    /// Shows an address no longer: the route does not lead there.
    pub fn forget_address(&self, route: &str, address: &str) {
        let labels = AddressLabels {
            route: route.to_owned(),
            address: address.to_owned(),
        };
        self.upstream_up.remove(&labels);
        self.upstream_ejections.remove(&labels);
    }

    /// Counts an answer that did not come to its end; `reason` is one of the code's own words.
    pub fn answer_cut(&self, route: &str, reason: &'static str) {
        let labels = AnswerLabels::of(route, reason);
        self.answers_cut.get_or_create(&labels).inc();
    }

    /// Shows a reason at zero before the first answer was cut for it.
    pub fn expect_answer_cut(&self, route: &str, reason: &'static str) {
        let labels = AnswerLabels::of(route, reason);
        let _ = self.answers_cut.get_or_create(&labels);
    }

    /// Counts a connection that was ended by a limit; `reason` is one of the code's own words.
    pub fn connection_cut(&self, reason: &'static str) {
        self.connections_cut
            .get_or_create(&ConnectionLabels { reason })
            .inc();
    }

    /// Shows a reason at zero before the first connection was ended for it.
    pub fn expect_connection_cut(&self, reason: &'static str) {
        let _ = self
            .connections_cut
            .get_or_create(&ConnectionLabels { reason });
    }

    /// Shows the connections to `listener` at zero before the first one came.
    pub fn expect_connections(&self, listener: &'static str) {
        let _ = self
            .connections_open
            .get_or_create(&ListenerLabels { listener });
    }

    /// Counts a connection to `listener` as open until what is returned is dropped.
    #[must_use]
    pub fn connection_opened(&self, listener: &'static str) -> OpenConnection {
        let gauge = self
            .connections_open
            .get_or_create(&ListenerLabels { listener })
            .clone();
        gauge.inc();
        OpenConnection(gauge)
    }

    /// Counts a tunnel as open until what is returned is dropped.
    #[must_use]
    pub fn tunnel_opened(&self) -> OpenTunnel {
        self.tunnels_open.inc();
        OpenTunnel(self.tunnels_open.clone())
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
