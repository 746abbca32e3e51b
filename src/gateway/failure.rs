//! What a client is told when a request ends without the app's answer, and what the log is.
//!
//! The client gets a status, a plain sentence and the request id; the chain of causes goes to the
//! log, once. Nothing that names an app's address, a version or another person is ever answered.

use http::StatusCode;

use super::{
    authorize::Forbidden,
    bearer::BearerRefusal,
    context::RequestContext,
    error::{GatewayError, Refusal, WhyForbidden},
    handle::{Outcome, Seen, Worker},
    record::Record,
    routes::RouteEntry,
    websocket,
};
use crate::{
    head_guard::HeadFault,
    login::Answer,
    pages::{self, ForbiddenReason, Notice},
    reserved::{LOGIN, LOGOUT},
    telemetry::{Decision, Metrics, chain},
    upstream::{Blame, HeaderRefusal, Reached, UpstreamError},
};

/// What `Allow` says where a method is never forwarded; an app decides about the rest.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

impl GatewayError {
    /// The words that are neither a refusal's nor an upstream's, nor about a person.
    const REASONS: [&str; 5] = [
        "internal",
        "method_refused",
        "no_route",
        "store_unavailable",
        "unknown_endpoint",
    ];

    /// Every word of a request that is refused for what it is, or for its token.
    pub(super) fn refusals() -> impl Iterator<Item = &'static str> {
        let of_heads = HeadFault::ALL.into_iter().map(HeadFault::reason);
        let of_requests = Refusal::ALL.into_iter().map(Refusal::reason);
        // Whoever broke off left, and was not refused.
        let of_bodies = UpstreamError::DOWNSTREAM_REASONS
            .into_iter()
            .filter(|word| *word != "request_broken_off");
        let own = Self::REASONS.into_iter();
        let own = own.filter(|word| !["internal", "store_unavailable"].contains(word));
        let of_fields = HeaderRefusal::ALL.into_iter().map(HeaderRefusal::reason);
        of_heads
            .chain(of_requests)
            .chain(of_bodies)
            .chain(of_fields)
            .chain(own)
            .chain(BearerRefusal::reasons())
            .filter(|word| *word != HeadFault::Surplus.reason())
    }

    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Bearer(refusal) => refusal.status(),
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NoEndpoint | Self::NoRoute => StatusCode::NOT_FOUND,
            Self::OwnMethod(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Refused(refusal) => refusal.status(),
            Self::StoreUnavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Upstream(error) => error.status(),
        }
    }

    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Bearer(refusal) => refusal.reason(),
            Self::Forbidden(person) => person.why.reason(),
            Self::Internal => "internal",
            Self::NoEndpoint => "unknown_endpoint",
            Self::NoRoute => "no_route",
            Self::OwnMethod(_) => "method_refused",
            Self::Refused(refusal) => refusal.reason(),
            Self::StoreUnavailable(_) => "store_unavailable",
            Self::Upstream(error) => error.reason(),
        }
    }

    /// Which limit the request went beyond, or what a front has to say: for whoever set it up.
    fn detail(&self) -> Option<&'static str> {
        match self {
            Self::Refused(Refusal::TargetLength) => HeadFault::TargetTooLong.detail(),
            Self::Refused(Refusal::FrontUntrusted) => {
                Some("the front is not in [listen] trusted_proxies")
            }
            Self::Refused(Refusal::FrontWithoutHttps) => {
                Some("the front has to say X-Forwarded-Proto: https, exactly once")
            }
            Self::Upstream(error) => error.detail(),
            _ => None,
        }
    }

    fn decision(&self) -> Decision {
        match self {
            Self::Bearer(refusal) => refusal.decision(),
            Self::Forbidden(_) | Self::Upstream(UpstreamError::NoLongerAllowed) => Decision::Forbid,
            Self::NoEndpoint | Self::NoRoute | Self::OwnMethod(_) | Self::Refused(_) => {
                Decision::Refuse
            }
            Self::Upstream(UpstreamError::LeaseOver) => Decision::Login,
            // Whoever broke off is not there to be answered.
            Self::Upstream(UpstreamError::RequestBody(_)) => Decision::Left,
            Self::Upstream(error) if error.blame() == Blame::Downstream => Decision::Refuse,
            Self::Internal | Self::StoreUnavailable(_) | Self::Upstream(_) => Decision::Unavailable,
        }
    }

    fn notice<'a>(&'a self, entry: Option<&'a RouteEntry>) -> Notice<'a> {
        match self {
            Self::Forbidden(person) => Notice::Forbidden {
                user: person.user.as_deref(),
                why: person.why.on_page(),
                logout: LOGOUT,
            },
            Self::Internal => Notice::Internal,
            Self::NoEndpoint | Self::NoRoute => Notice::NotFound,
            Self::OwnMethod(allow) => Notice::MethodNotAllowed { allow },
            Self::Refused(Refusal::Method) => Notice::MethodNotAllowed { allow: METHODS },
            Self::Refused(Refusal::TargetLength) => Notice::AddressTooLong,
            // The latter is answered in its own way.
            Self::Refused(_) | Self::Bearer(_) => Notice::BadRequest,
            Self::StoreUnavailable(_) => Notice::StoreDown,
            Self::Upstream(UpstreamError::LeaseOver) => Notice::SignIn {
                provider: entry.map_or("", |entry| &entry.provider_title),
                login: LOGIN,
            },
            Self::Upstream(UpstreamError::NoLongerAllowed) => Notice::Forbidden {
                user: None,
                why: ForbiddenReason::NotAllowed,
                logout: LOGOUT,
            },
            Self::Upstream(error) => match error.status() {
                StatusCode::GATEWAY_TIMEOUT => Notice::UpstreamSlow,
                StatusCode::BAD_GATEWAY => Notice::UpstreamDown,
                StatusCode::PAYLOAD_TOO_LARGE => Notice::BodyTooLarge,
                StatusCode::SERVICE_UNAVAILABLE => Notice::UpstreamCrowded,
                _ => Notice::BadRequest,
            },
        }
    }
}

impl WhyForbidden {
    fn on_page(&self) -> ForbiddenReason<'_> {
        match self {
            Self::NoUserName(came) => ForbiddenReason::NoUserName { came },
            Self::Rules(Forbidden::Denied) => ForbiddenReason::Denied,
            Self::Rules(Forbidden::GroupsUnknown) => ForbiddenReason::GroupsUnknown,
            Self::Rules(Forbidden::Guest) => ForbiddenReason::Guest,
            Self::NamedLikeApp | Self::Rules(Forbidden::NotAllowed) | Self::Unrenderable => {
                ForbiddenReason::NotAllowed
            }
        }
    }
}

impl Worker {
    /// The answer to a request that ended early.
    pub(super) fn failed(
        &self,
        context: &RequestContext,
        seen: &Seen,
        record: &Record,
        error: &GatewayError,
    ) -> Outcome {
        self.log(context, record, error);
        let entry = record.route();
        // Nothing is told about a host that is not ours, or not this connection's.
        let status = error.status();
        let response = if status == StatusCode::MISDIRECTED_REQUEST {
            pages::empty(status)
        } else if let GatewayError::Bearer(refusal) = error {
            refusal.answer(context.id.as_str())
        } else {
            let wants_page = entry.is_some() && seen.waiting.wants_page();
            let page = context.page(entry, seen.language());
            let said = (error.reason(), error.detail());
            pages::tell_as(status, &error.notice(entry), wants_page, said, &page)
        };
        let mut response = response;
        if let GatewayError::Refused(Refusal::WebSocketVersion) = error {
            websocket::offer(response.headers_mut(), context.peer.transport);
        }
        let answer = Answer {
            response,
            decision: error.decision(),
            reason: error.reason(),
        };
        Outcome::own(answer, context.house())
    }

    fn log(&self, context: &RequestContext, record: &Record, error: &GatewayError) {
        let is_bearer = matches!(error, GatewayError::Bearer(_));
        if is_bearer || error.decision() == Decision::Refuse {
            self.metrics().refused(error.reason());
        }
        let request_id = context.id.as_str();
        let route = record.route().map(|entry| entry.route.id.0.as_str());
        match error {
            GatewayError::Bearer(BearerRefusal::Token(error)) => {
                let error = chain(error);
                tracing::debug!(request_id, route, error, "refused an access token");
            }
            // Said once a minute where it was found; strangers can bring it about as often as they like.
            GatewayError::Upstream(UpstreamError::Crowded(crowd)) => {
                self.metrics()
                    .upstream_failed(route.unwrap_or_default(), error.reason());
                tracing::debug!(
                    request_id,
                    route,
                    crowd = crowd.word(),
                    "the app is crowded"
                );
            }
            GatewayError::Upstream(error) if error.blame() == Blame::Upstream => {
                let at = record.route().map(|entry| (entry, &context.reached));
                tell_of_app(self.metrics(), at, request_id, error.reason(), error);
            }
            GatewayError::Upstream(error) => {
                let error = chain(error);
                tracing::debug!(request_id, route, error, "failed to pass on a request");
            }
            GatewayError::StoreUnavailable(error) => {
                let error = chain(error);
                tracing::error!(request_id, route, error, "failed to ask the session store");
            }
            GatewayError::Internal => {
                tracing::error!(
                    request_id,
                    route,
                    "a request ended in a fault of vestibule's own"
                );
            }
            GatewayError::Bearer(_)
            | GatewayError::Forbidden(_)
            | GatewayError::NoEndpoint
            | GatewayError::NoRoute
            | GatewayError::OwnMethod(_)
            | GatewayError::Refused(_) => {}
        }
    }
}

/// Counts a fault of an app, and says so in one line, which names the address where a client is told
/// none.
pub(super) fn tell_of_app(
    metrics: &Metrics,
    at: Option<(&RouteEntry, &Reached)>,
    request_id: &str,
    reason: &'static str,
    error: &(dyn std::error::Error + 'static),
) {
    let route = at.map(|(entry, _)| entry.route.id.0.as_str());
    let address = at.and_then(|(entry, reached)| entry.target.address(reached));
    metrics.upstream_failed(route.unwrap_or_default(), reason);
    let (blame, error) = (Blame::Upstream.word(), chain(error));
    tracing::warn!(
        request_id,
        route,
        address,
        blame,
        reason,
        error,
        "the app did not answer properly"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::words::{assert_explained, words_in};

    #[test]
    fn every_word_is_listed_and_explained() {
        let known = words_in(include_str!("failure.rs"), "GatewayError", "reason");
        assert_eq!(GatewayError::REASONS.as_slice(), known);
        assert_explained(GatewayError::REASONS);
        assert_explained(Decision::ALL.map(Decision::word));
    }
}
