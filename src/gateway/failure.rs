//! What a client is told when a request ends without the app's answer, and what the log is.
//!
//! The client gets a status, a plain sentence and the request id; the chain of causes goes to the
//! log, once. Nothing that names an app's address, a version or another person is ever answered.

use http::{HeaderValue, StatusCode, header};

use super::{
    authorize::Forbidden,
    context::RequestContext,
    error::{GatewayError, Refusal, WhyForbidden},
    handle::{Outcome, Seen, Trace, Worker},
};
use crate::{
    login::Answer,
    pages::{self, ForbiddenReason, Notice, PageResponse, Problem},
    telemetry::Decision,
    upstream::{Blame, UpstreamError},
};

/// What `Allow` says where a method is never forwarded; an app decides about the rest.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

impl GatewayError {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::Refused(refusal) => refusal.status(),
            Self::StoreUnavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Upstream(error) => error.status(),
        }
    }

    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Forbidden(person) => person.why.reason(),
            Self::Internal => "internal",
            Self::NoRoute => "no_route",
            Self::Refused(refusal) => refusal.reason(),
            Self::StoreUnavailable(_) => "store_unavailable",
            Self::Upstream(error) => error.reason(),
        }
    }

    fn decision(&self) -> Decision {
        match self {
            Self::Forbidden(_) => Decision::Forbid,
            Self::NoRoute | Self::Refused(_) => Decision::Refuse,
            Self::Upstream(error) if error.blame() == Blame::Downstream => Decision::Refuse,
            Self::Internal | Self::StoreUnavailable(_) | Self::Upstream(_) => Decision::Unavailable,
        }
    }

    fn notice(&self) -> Notice<'_> {
        match self {
            Self::Forbidden(person) => Notice::Forbidden {
                user: person.user.as_deref(),
                why: person.why.on_page(),
                logout: "/.vestibule/logout",
            },
            Self::Internal => Notice::Internal,
            Self::NoRoute => Notice::NotFound,
            Self::Refused(Refusal::Method) => Notice::MethodNotAllowed { allow: METHODS },
            Self::Refused(_) => Notice::BadRequest,
            Self::StoreUnavailable(_) => Notice::StoreDown,
            Self::Upstream(error) => match error.status() {
                StatusCode::GATEWAY_TIMEOUT => Notice::UpstreamSlow,
                StatusCode::BAD_GATEWAY => Notice::UpstreamDown,
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
            Self::Rules(Forbidden::NotAllowed) | Self::Unrenderable => ForbiddenReason::NotAllowed,
        }
    }
}

impl Worker {
    /// The answer to a request that ended early.
    pub(super) fn failed(
        &self,
        context: &RequestContext<'_>,
        seen: &Seen,
        trace: &Trace,
        error: &GatewayError,
    ) -> Outcome {
        self.log(context, trace, error);
        let response = match (&trace.route, error) {
            // Nothing is told about a host that is not ours, or not this connection's.
            (_, GatewayError::Refused(Refusal::Misdirected)) => {
                pages::empty(StatusCode::MISDIRECTED_REQUEST)
            }
            (Some(entry), _) if seen.waiting.wants_page() => {
                let page = context.page(entry, seen.language);
                pages::respond(&error.notice(), &page)
            }
            _ => problem(context, error),
        };
        self.own(Answer {
            response,
            decision: error.decision(),
            reason: error.reason(),
        })
    }

    fn log(&self, context: &RequestContext<'_>, trace: &Trace, error: &GatewayError) {
        let request_id = context.id.as_str();
        let route = trace.route.as_ref().map(|entry| entry.route.id.0.as_str());
        match error {
            GatewayError::Refused(refusal) => self.metrics().refused(refusal.reason()),
            GatewayError::Upstream(error) => log_upstream_error(request_id, route, error),
            GatewayError::StoreUnavailable(error) => {
                tracing::error!(request_id, route, %error, "failed to ask the session store");
            }
            GatewayError::Internal => {
                tracing::error!(
                    request_id,
                    route,
                    "a request ended in a fault of vestibule's own"
                );
            }
            GatewayError::Forbidden(_) | GatewayError::NoRoute => {}
        }
    }
}

fn log_upstream_error(request_id: &str, route: Option<&str>, error: &UpstreamError) {
    let causes = causes_of(error);
    if error.blame() == Blame::Downstream {
        tracing::debug!(request_id, route, %error, causes, "failed to pass on a request");
    } else {
        tracing::warn!(request_id, route, %error, causes, "the app did not answer properly");
    }
}

/// Every cause behind an error, outermost first.
fn causes_of(error: &dyn std::error::Error) -> String {
    let mut causes = String::new();
    let mut next = error.source();
    while let Some(cause) = next {
        if !causes.is_empty() {
            causes.push_str(": ");
        }
        causes.push_str(&cause.to_string());
        next = cause.source();
    }
    causes
}

fn problem(context: &RequestContext<'_>, error: &GatewayError) -> PageResponse {
    let status = error.status();
    let mut response = pages::problem(&Problem {
        status,
        title: status.canonical_reason().unwrap_or("Refused"),
        reason: error.reason(),
        request_id: context.id.as_str(),
        login: None,
    });
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static(METHODS));
    }
    response
}
