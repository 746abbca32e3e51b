//! Why a request is not forwarded: whose fault it is, the status, and the word for log and answer.
//!
//! The client gets a plain sentence and the request id; causes go to the log, once, at the edge.

use http::StatusCode;

use super::authorize::Forbidden;
use crate::{session::StoreError, upstream::UpstreamError};

/// A request that is refused for what it is, whoever sent it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Refusal {
    /// A body where nobody expects one, from somebody who has not signed in.
    Body,
    /// An expectation other than `100-continue`.
    Expectation,
    /// A transfer coding other than `chunked` alone, or one in HTTP/1.0.
    Framing,
    /// None, two, or a malformed host, or two that differ.
    Host,
    /// A method that is never forwarded.
    Method,
    /// A host that no route has, or another than the connection was made for.
    Misdirected,
    /// A target that cannot be read in one way.
    Target,
    /// A target longer than we take.
    TargetLength,
}

impl Refusal {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::Body | Self::Framing | Self::Host | Self::Target => StatusCode::BAD_REQUEST,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::TargetLength => StatusCode::URI_TOO_LONG,
        }
    }

    /// The word in log, metric and problem.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Body => "unexpected_body",
            Self::Expectation => "unknown_expectation",
            Self::Framing => "ambiguous_framing",
            Self::Host => "malformed_host",
            Self::Method => "method_refused",
            Self::Misdirected => "unknown_host",
            Self::Target => "malformed_target",
            Self::TargetLength => "target_too_long",
        }
    }
}

/// Why a request ends without the app's answer.
#[derive(Debug)]
pub(super) enum GatewayError {
    /// Signed in, but not let in.
    Forbidden(ForbiddenPerson),
    /// A fault of ours.
    Internal,
    /// The host is ours, but no route has this path.
    NoRoute,
    /// A method that an endpoint of ours does not know; these it does.
    OwnMethod(&'static str),
    /// The request itself.
    Refused(Refusal),
    /// The session store does not answer.
    StoreUnavailable(StoreError),
    /// The app, or the way to it.
    Upstream(UpstreamError),
}

/// Who is not let in, and why, for the page.
#[derive(Clone, Debug)]
pub(super) struct ForbiddenPerson {
    pub(super) user: Option<String>,
    pub(super) why: WhyForbidden,
}

/// Why somebody is not let in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum WhyForbidden {
    /// No claim that counts as a name came; these did.
    NoUserName(Vec<String>),
    /// By the route's rules.
    Rules(Forbidden),
    /// The person cannot be described in the headers of this route.
    Unrenderable,
}

impl WhyForbidden {
    /// The word in log and problem.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::NoUserName(_) => "no_user_name",
            Self::Rules(Forbidden::Denied) => "denied",
            Self::Rules(Forbidden::GroupsUnknown) => "groups_unknown",
            Self::Rules(Forbidden::Guest) => "guest",
            Self::Rules(Forbidden::NotAllowed) => "not_allowed",
            Self::Unrenderable => "unrenderable_identity",
        }
    }
}

impl From<Refusal> for GatewayError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<UpstreamError> for GatewayError {
    fn from(error: UpstreamError) -> Self {
        Self::Upstream(error)
    }
}

impl From<StoreError> for GatewayError {
    fn from(error: StoreError) -> Self {
        Self::StoreUnavailable(error)
    }
}
