//! Why a request is not forwarded: whose fault it is, the status, and the word for log and answer.
//!
//! The client gets a plain sentence and the request id; causes go to the log, once, at the edge.

use http::StatusCode;

use super::{authorize::Forbidden, bearer::BearerRefusal};
use crate::{head_guard::HeadFault, session::StoreError, upstream::UpstreamError};

/// A request that is refused for what it is, whoever sent it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Refusal {
    /// More than one length, or one that is no number.
    AmbiguousLength,
    /// A body where nobody expects one, from somebody who has not signed in.
    Body,
    /// A transfer coding other than `chunked` alone, or one in HTTP/1.0.
    Coding,
    /// An expectation other than `100-continue`.
    Expectation,
    /// A value of a field that begins or ends in a blank.
    FieldMalformed,
    /// A front that is not believed any more.
    FrontUntrusted,
    /// A front that does not say that the client came over HTTPS.
    FrontWithoutHttps,
    /// A host that is none.
    HostMalformed,
    /// No host at all.
    HostMissing,
    /// A host of ours, but another than the connection was made for.
    HostNotOfConnection,
    /// More than one `Host`.
    HostTwice,
    /// A host that no route has.
    HostUnknown,
    /// A target that names another host than `Host`.
    HostsDiffer,
    /// A method that is never forwarded.
    Method,
    /// A method that is none.
    MethodMalformed,
    /// A target of another scheme.
    Scheme,
    /// A target that cannot be read in one way.
    Target,
    /// A target longer than we take.
    TargetLength,
    /// A handshake of a WebSocket that is none.
    WebSocketHandshake,
    /// A WebSocket for a page of another origin.
    WebSocketOrigin,
    /// A WebSocket of another version than there is.
    WebSocketVersion,
}

impl Refusal {
    /// All of them.
    pub(super) const ALL: [Self; 21] = [
        Self::AmbiguousLength,
        Self::Body,
        Self::Coding,
        Self::Expectation,
        Self::FieldMalformed,
        Self::FrontUntrusted,
        Self::FrontWithoutHttps,
        Self::HostMalformed,
        Self::HostMissing,
        Self::HostNotOfConnection,
        Self::HostTwice,
        Self::HostUnknown,
        Self::HostsDiffer,
        Self::Method,
        Self::MethodMalformed,
        Self::Scheme,
        Self::Target,
        Self::TargetLength,
        Self::WebSocketHandshake,
        Self::WebSocketOrigin,
        Self::WebSocketVersion,
    ];

    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::AmbiguousLength
            | Self::Body
            | Self::Coding
            | Self::FieldMalformed
            | Self::FrontWithoutHttps
            | Self::HostMalformed
            | Self::HostMissing
            | Self::HostTwice
            | Self::HostsDiffer
            | Self::MethodMalformed
            | Self::Scheme
            | Self::Target
            | Self::WebSocketHandshake => StatusCode::BAD_REQUEST,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::HostNotOfConnection | Self::HostUnknown => StatusCode::MISDIRECTED_REQUEST,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TargetLength => StatusCode::URI_TOO_LONG,
            Self::FrontUntrusted | Self::WebSocketOrigin => StatusCode::FORBIDDEN,
            Self::WebSocketVersion => StatusCode::UPGRADE_REQUIRED,
        }
    }

    /// The word in log, metric and problem; where the guard of a connection may refuse the same, the
    /// same word.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::AmbiguousLength => HeadFault::AmbiguousLength.reason(),
            Self::Body => "unexpected_body",
            Self::Coding => HeadFault::TransferCoding.reason(),
            Self::Expectation => "unknown_expectation",
            Self::FieldMalformed => HeadFault::MalformedField.reason(),
            Self::FrontUntrusted => "untrusted_front",
            Self::FrontWithoutHttps => "front_without_https",
            Self::HostMalformed => "malformed_host",
            Self::HostMissing => "missing_host",
            Self::HostNotOfConnection => "host_not_of_connection",
            Self::HostTwice => "two_hosts",
            Self::HostUnknown => "unknown_host",
            Self::HostsDiffer => "hosts_differ",
            Self::Method => "method_refused",
            Self::MethodMalformed => HeadFault::MalformedMethod.reason(),
            Self::Scheme => "unknown_scheme",
            Self::Target => HeadFault::MalformedTarget.reason(),
            Self::TargetLength => HeadFault::TargetTooLong.reason(),
            Self::WebSocketHandshake => "malformed_handshake",
            Self::WebSocketOrigin => "foreign_origin",
            Self::WebSocketVersion => "websocket_version",
        }
    }
}

/// Why a request ends without the app's answer.
#[derive(Debug)]
pub(super) enum GatewayError {
    /// An access token that lets nobody in.
    Bearer(BearerRefusal),
    /// Signed in, but not let in.
    Forbidden(ForbiddenPerson),
    /// A fault of ours.
    Internal,
    /// There is nothing of this name below the reserved prefix.
    NoEndpoint,
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
    /// A person who is called what only an app may be called, where apps come in.
    NamedLikeApp,
    /// No claim that counts as a name came; these did.
    NoUserName(Vec<String>),
    /// By the route's rules.
    Rules(Forbidden),
    /// The person cannot be described in the headers of this route.
    Unrenderable,
}

impl WhyForbidden {
    /// All of its words.
    pub(super) const REASONS: [&str; 7] = [
        "denied",
        "groups_unknown",
        "guest",
        "named_like_app",
        "no_user_name",
        "not_allowed",
        "unrenderable_identity",
    ];

    /// The word in log and problem.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::NamedLikeApp => "named_like_app",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::words::{assert_explained, variants_in, words_in};

    const SOURCE: &str = include_str!("error.rs");

    #[test]
    fn every_refusal_is_listed_and_explained() {
        let listed = Refusal::ALL.map(|refusal| format!("{refusal:?}"));
        assert_eq!(listed.as_slice(), variants_in(SOURCE, "Refusal", "reason"));
        assert_explained(Refusal::ALL.map(Refusal::reason));
    }

    #[test]
    fn every_reason_to_keep_somebody_out_is_listed_and_explained() {
        let known = words_in(SOURCE, "WhyForbidden", "reason");
        assert_eq!(WhyForbidden::REASONS.as_slice(), known);
        assert_explained(WhyForbidden::REASONS);
    }
}
