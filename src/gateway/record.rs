//! What is kept of a request for its one line in the access log, and that line.
//!
//! A path is logged without its query, and no field but `Host`: nothing secret gets here.

use std::sync::Arc;

use http::{HeaderValue, Method, Uri, header::HOST, request::Parts};

use super::{
    context::RequestContext,
    handle::{Outcome, Worker},
    page_view::Waiting,
    routes::RouteEntry,
};
use crate::{pages::Language, peer::Transport, telemetry::AccessRecord};

/// What the log says about a request; filled in as the steps go by.
#[derive(Default)]
pub(super) struct Trace {
    pub(super) route: Option<Arc<RouteEntry>>,
    pub(super) user: Option<String>,
}

/// What is still wanted of a request's head once it is on its way to the app.
pub(super) struct Seen {
    pub(super) method: Method,
    uri: Uri,
    /// `Host` as it came; for the log alone.
    host: Option<HeaderValue>,
    pub(super) waiting: Waiting,
    pub(super) language: Language,
}

impl Worker {
    /// Counts an answered request, and writes its line.
    pub(super) fn record(
        &self,
        context: &RequestContext<'_>,
        seen: &Seen,
        trace: &Trace,
        outcome: &Outcome,
    ) {
        if let Some(entry) = &trace.route {
            entry.count(outcome.decision);
        }
        if !self.access().is_on() {
            return;
        }
        let asked = || seen.asked_host();
        let host = trace
            .route
            .as_ref()
            .map_or_else(asked, |it| Some(it.host.clone()));
        let now = self.clock().now();
        let micros = now.elapsed_since(context.began).as_micros();
        self.access().write(&AccessRecord {
            time: now.wall.to_string(),
            request_id: context.id.as_str(),
            peer: context.client.address.to_string(),
            protocol: match context.peer.transport {
                Transport::Http1 | Transport::Plain => "h1",
                Transport::Http2 => "h2",
            },
            method: seen.method.as_str(),
            host: host.as_deref(),
            path: seen.uri.path(),
            route: trace.route.as_ref().map(|entry| entry.route.id.0.as_str()),
            decision: outcome.decision.word(),
            reason: outcome.reason,
            status: outcome.response.status().as_u16(),
            user: trace.user.as_deref(),
            micros: u64::try_from(micros).unwrap_or(u64::MAX),
        });
    }
}

impl Seen {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            host: parts.headers.get(HOST).cloned(),
            waiting: Waiting::of(&parts.method, &parts.headers),
            language: Language::from_accept_language(&parts.headers),
        }
    }

    /// The host that a request asked for, as far as it can be told; cut, since anybody writes it.
    fn asked_host(&self) -> Option<String> {
        const LONGEST: usize = 128;
        let host = match (self.uri.authority(), &self.host) {
            (Some(authority), _) => authority.as_str().as_bytes(),
            (None, Some(host)) => host.as_bytes(),
            (None, None) => return None,
        };
        let host = host.get(..LONGEST).unwrap_or(host);
        Some(String::from_utf8_lossy(host).into_owned())
    }
}
