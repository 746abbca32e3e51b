//! What can go wrong between us and an app, and whose fault it is.
//!
//! No message names the app's address: these texts may end up near a client (S-238). What a certificate
//! of the app says stands in the cause alone, which is for the log.

use std::{error::Error as StdError, fmt, io, sync::Arc};

use http::StatusCode;
use thiserror::Error;

use super::{headers::HeaderRefusal, lease::Ended, tls::TlsFault};
use crate::head_guard::HeadFault;

/// Whose fault it is that a request came to nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Blame {
    /// The client's, or the end of its session.
    Downstream,
    /// The app's.
    Upstream,
}

/// Why there is no answer of the app to pass on.
#[derive(Debug, Error)]
pub enum UpstreamError {
    /// What came is no answer that can be passed on.
    #[error("failed to read the app's answer")]
    BadAnswer(#[source] AnswerFault),
    /// The request's body is larger than is taken.
    #[error("the body of the request is too large")]
    BodyTooLarge,
    /// The connection ended before the head of the answer was there.
    #[error("the app broke off before its answer began")]
    BrokenOff(#[source] hyper::Error),
    /// No connection could be made.
    #[error("failed to connect to the app")]
    Connect(#[source] io::Error),
    /// No connection was made in time.
    #[error("the app did not accept a connection in time")]
    ConnectTimeout,
    /// All the connections to the app that there may be stayed in use.
    #[error("no connection to the app became free in time: {0} are in use")]
    Crowded(Crowd),
    /// The head of the answer, or room for the request's body, did not come in time.
    #[error("the app did not answer in time")]
    HeadTimeout,
    /// The lease was over before the answer began.
    #[error("the session or the token ended before the answer began")]
    LeaseOver,
    /// The rules changed before the answer began.
    #[error("the rules changed before the answer began, and do not allow the request any more")]
    NoLongerAllowed,
    /// The request is not one that is passed on.
    #[error("failed to take over the request")]
    Refused(#[from] HeaderRefusal),
    /// The body of the request can be read in more than one way.
    #[error("the body of the request was refused as {}", .0.reason())]
    RefusedBody(#[source] HeadFault),
    /// The client broke off its request.
    #[error("the client broke off its request")]
    RequestBody(#[source] Box<dyn StdError + Send + Sync>),
    /// The client stopped sending its request, or sends it too slowly.
    #[error("the client did not go on with its request in time")]
    RequestTimeout,
    /// What several requests waited for failed for all of them.
    #[error(transparent)]
    Shared(Arc<Self>),
    /// No TLS was spoken with the app, or none that can be trusted.
    #[error("failed to speak TLS with the app")]
    Tls(#[source] TlsFault),
    /// The app switched to a protocol nobody asked for.
    #[error("the app switched protocols unasked")]
    UnaskedUpgrade,
}

/// What is wrong with an answer.
#[derive(Debug, Error)]
pub enum AnswerFault {
    /// The head is none, or is too large.
    #[error("the head is malformed or too large")]
    Head(#[source] hyper::Error),
    /// The app agrees to another handshake than the client's.
    #[error("the app's answer to the handshake of a WebSocket does not fit it")]
    Handshake,
    /// To a client that speaks HTTP/2, success would mean that the app had agreed.
    #[error(
        "the app answered the handshake of a WebSocket with success, and did not switch protocols"
    )]
    NotSwitched,
    /// The app was to be spoken to in HTTP/2, and did not answer in it.
    #[error("the app does not speak the HTTP/2 that `[upstream] protocol` says it does")]
    NoHttp2(#[source] Option<hyper::Error>),
    /// It could be read in more than one way, or belongs to no request.
    #[error("the answer was refused as {}", .0.reason())]
    Refused(#[source] HeadFault),
}

/// Which connections are all in use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Crowd {
    /// Those that one app may have.
    App,
    /// Those that all apps together may have.
    House,
    /// Those that requests of strangers may have to one app.
    Strangers,
}

impl Crowd {
    /// The word in the log.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::House => "all_apps",
            Self::Strangers => "strangers",
        }
    }
}

impl fmt::Display for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::App => "all of this app",
            Self::House => "all of all apps",
            Self::Strangers => "all for people who are not signed in",
        })
    }
}

impl Blame {
    /// The word in the log.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Downstream => "downstream",
            Self::Upstream => "upstream",
        }
    }
}

impl UpstreamError {
    /// The words for what clients do.
    pub const DOWNSTREAM_REASONS: [&str; 3] =
        ["body_too_large", "request_broken_off", "request_timeout"];

    /// The words for what apps do wrong; a route's metrics begin with them.
    pub const UPSTREAM_REASONS: [&str; 8] = [
        "upstream_bad_answer",
        "upstream_broken_off",
        "upstream_connect_timeout",
        "upstream_crowded",
        "upstream_timeout",
        "upstream_tls",
        "upstream_unasked_upgrade",
        "upstream_unreachable",
    ];

    /// Whose fault it is.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::BodyTooLarge
            | Self::LeaseOver
            | Self::NoLongerAllowed
            | Self::Refused(_)
            | Self::RefusedBody(_)
            | Self::RequestBody(_)
            | Self::RequestTimeout => Blame::Downstream,
            Self::BadAnswer(_)
            | Self::BrokenOff(_)
            | Self::Connect(_)
            | Self::ConnectTimeout
            | Self::Crowded(_)
            | Self::HeadTimeout
            | Self::Tls(_)
            | Self::UnaskedUpgrade => Blame::Upstream,
            Self::Shared(error) => error.blame(),
        }
    }

    /// What the client is told.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Crowded(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::LeaseOver => StatusCode::UNAUTHORIZED,
            Self::NoLongerAllowed => StatusCode::FORBIDDEN,
            Self::RefusedBody(fault) => fault.status(),
            Self::Refused(_) | Self::RequestBody(_) => StatusCode::BAD_REQUEST,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::ConnectTimeout | Self::HeadTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::BadAnswer(_)
            | Self::BrokenOff(_)
            | Self::Connect(_)
            | Self::Tls(_)
            | Self::UnaskedUpgrade => StatusCode::BAD_GATEWAY,
            Self::Shared(error) => error.status(),
        }
    }

    /// One stable word for logs, metrics and machine-readable answers.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::BadAnswer(_) => "upstream_bad_answer",
            Self::BodyTooLarge => "body_too_large",
            Self::BrokenOff(_) => "upstream_broken_off",
            Self::Connect(_) => "upstream_unreachable",
            Self::ConnectTimeout => "upstream_connect_timeout",
            Self::Crowded(_) => "upstream_crowded",
            Self::HeadTimeout => "upstream_timeout",
            Self::LeaseOver => "session_over",
            Self::NoLongerAllowed => "no_longer_allowed",
            Self::Refused(refusal) => refusal.reason(),
            Self::RefusedBody(fault) => fault.reason(),
            Self::RequestBody(_) => "request_broken_off",
            Self::RequestTimeout => "request_timeout",
            Self::Shared(error) => error.reason(),
            Self::Tls(_) => "upstream_tls",
            Self::UnaskedUpgrade => "upstream_unasked_upgrade",
        }
    }

    /// Which limit the request went beyond, for whoever set it.
    #[must_use]
    pub fn detail(&self) -> Option<&'static str> {
        Some(match self {
            Self::BodyTooLarge => {
                "the body is larger than [limits] body_bytes, or on a public path \
                 public_body_bytes, allows"
            }
            Self::RequestTimeout => "nothing came of the body for [limits] body_idle",
            _ => return None,
        })
    }

    /// What a request comes to that was ended before it had an answer.
    #[must_use]
    pub fn of_end(ended: Ended) -> Self {
        match ended {
            Ended::LeaseOver => Self::LeaseOver,
            Ended::NoLongerAllowed => Self::NoLongerAllowed,
            Ended::Quiet | Ended::TooSlow => Self::RequestTimeout,
        }
    }

    /// The same error for one of several who waited.
    pub(super) fn shared(error: &Arc<Self>) -> Self {
        match **error {
            Self::ConnectTimeout => Self::ConnectTimeout,
            Self::Crowded(crowd) => Self::Crowded(crowd),
            _ => Self::Shared(Arc::clone(error)),
        }
    }

    /// Says what a request was whose body failed.
    pub(super) fn of_request_body(error: BodyError) -> Self {
        if let Some(fault) = fault_of(&error) {
            return Self::RefusedBody(fault);
        }
        match error {
            BodyError::Ended(ended) => Self::of_end(ended),
            BodyError::TooLarge => Self::BodyTooLarge,
            BodyError::BrokenOff(_)
            | BodyError::Reset
            | BodyError::Switched(_)
            | BodyError::Unfinished
            | BodyError::WithRequest => Self::RequestBody(Box::new(error)),
        }
    }

    /// Says what a failed exchange was: a fault of the request's body reaches us through hyper.
    pub(super) fn of_exchange(error: hyper::Error) -> Self {
        if let Some(fault) = fault_within(&error) {
            return Self::RefusedBody(fault);
        }
        match body_error_within(&error) {
            Some(BodyError::Ended(ended)) => Self::of_end(*ended),
            Some(BodyError::TooLarge) => Self::BodyTooLarge,
            Some(
                BodyError::BrokenOff(_)
                | BodyError::Reset
                | BodyError::Switched(_)
                | BodyError::Unfinished
                | BodyError::WithRequest,
            ) => Self::RequestBody(Box::new(error)),
            None if error.is_parse() => Self::BadAnswer(AnswerFault::Head(error)),
            // With TLS 1.3 the app says only now that it does not take who we are.
            None => match tls_fault_within(&error) {
                Some(fault) => Self::Tls(fault),
                None => Self::BrokenOff(error),
            },
        }
    }

    /// Whether the connection was lost before anything was said of the request.
    pub(super) fn is_break(&self) -> bool {
        matches!(self, Self::BrokenOff(_) | Self::Tls(_))
    }
}

fn tls_fault_within(error: &hyper::Error) -> Option<TlsFault> {
    TlsFault::within(std::error::Error::source(error)?.downcast_ref()?)
}

fn body_error_within(error: &hyper::Error) -> Option<&BodyError> {
    let mut cause = StdError::source(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// What the guard of the client's connection found wrong with a body.
fn fault_within(error: &hyper::Error) -> Option<HeadFault> {
    fault_of(body_error_within(error)?)
}

fn fault_of(error: &BodyError) -> Option<HeadFault> {
    let BodyError::BrokenOff(of_client) = error else {
        return None;
    };
    let io = StdError::source(of_client)?.downcast_ref::<io::Error>()?;
    io.get_ref()?.downcast_ref().copied()
}

/// Why a body ended before its end; never passed off as an end.
#[derive(Debug, Error)]
pub enum BodyError {
    /// The sender of the body broke off.
    #[error("failed to read the rest of the body")]
    BrokenOff(#[source] hyper::Error),
    /// We ended it.
    #[error("the body was not passed on to its end")]
    Ended(#[from] Ended),
    /// The app broke off the protocol that it had switched to.
    #[error("the app broke off after it had switched protocols")]
    Switched(#[source] io::Error),
    /// The stream of the body was reset as if that were an end.
    #[error("the body was reset before its end")]
    Reset,
    /// More came than is taken.
    #[error("the body is too large")]
    TooLarge,
    /// The app reset its answer before its end, as if that were one.
    #[error("the answer was reset before its end")]
    Unfinished,
    /// The body of an answer ended because its request did.
    #[error("the request of this answer ended before its end")]
    WithRequest,
}

impl BodyError {
    /// The words for how an answer can be broken off; the others are for requests alone.
    pub const OF_ANSWERS: [&str; 5] = [
        "no_longer_allowed",
        "request_broken_off",
        "session_over",
        "upstream_body_broken_off",
        "upstream_body_timeout",
    ];

    /// Those of them that are faults of the app's.
    pub fn of_app() -> impl Iterator<Item = &'static str> {
        let words = Self::OF_ANSWERS.into_iter();
        words.filter(|word| word.starts_with("upstream_"))
    }

    /// Whose fault it is if an answer ends so.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::BrokenOff(_)
            | Self::Ended(Ended::Quiet)
            | Self::Switched(_)
            | Self::Unfinished => Blame::Upstream,
            Self::Ended(Ended::LeaseOver | Ended::NoLongerAllowed | Ended::TooSlow)
            | Self::Reset
            | Self::TooLarge
            | Self::WithRequest => Blame::Downstream,
        }
    }

    /// One stable word for logs and metrics if an answer ends so.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::BrokenOff(_) | Self::Switched(_) | Self::Unfinished => "upstream_body_broken_off",
            Self::Ended(Ended::LeaseOver) => "session_over",
            Self::Ended(Ended::NoLongerAllowed) => "no_longer_allowed",
            Self::Ended(Ended::Quiet) => "upstream_body_timeout",
            Self::Ended(Ended::TooSlow) => "request_timeout",
            Self::Reset | Self::WithRequest => "request_broken_off",
            Self::TooLarge => "body_too_large",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::words::{assert_explained, variants_in, words_in};

    const SOURCE: &str = include_str!("error.rs");

    #[test]
    fn every_word_is_listed_and_explained() {
        let mut listed: Vec<_> = UpstreamError::DOWNSTREAM_REASONS
            .into_iter()
            .chain(UpstreamError::UPSTREAM_REASONS)
            // A session that ends is nobody's fault, nor are rules that change.
            .chain(["no_longer_allowed", "session_over"])
            .collect();
        listed.sort_unstable();
        assert_eq!(listed, words_in(SOURCE, "UpstreamError", "reason"));
        let of_bodies = words_in(SOURCE, "BodyError", "reason");
        let mut all = BodyError::OF_ANSWERS.to_vec();
        all.extend(["body_too_large", "request_timeout"]);
        all.sort_unstable();
        assert_eq!(all, of_bodies);
        assert_explained(listed.into_iter().chain(BodyError::OF_ANSWERS));
        let of_fields = variants_in(include_str!("headers.rs"), "HeaderRefusal", "reason");
        let listed = HeaderRefusal::ALL.map(|refusal| format!("{refusal:?}"));
        assert_eq!(listed.as_slice(), of_fields);
        assert_explained(HeaderRefusal::ALL.map(HeaderRefusal::reason));
    }

    #[test]
    fn what_an_app_does_wrong_has_a_word_of_its_own_kind() {
        let words = UpstreamError::UPSTREAM_REASONS.into_iter();
        for word in words.chain(BodyError::of_app()) {
            assert!(word.starts_with("upstream_"), "{word}");
        }
        assert_eq!(BodyError::of_app().count(), 2);
    }
}
