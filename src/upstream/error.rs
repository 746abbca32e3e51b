//! What can go wrong between us and an app, and whose fault it is.
//!
//! No message names the app's address: these texts may end up near a client (S-238).

use std::{fmt, io};

use http::StatusCode;
use thiserror::Error;

use super::{headers::HeaderRefusal, lease::Ended};
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
    #[error("the session ended before the answer began")]
    LeaseOver,
    /// The request is not one that is passed on.
    #[error("failed to take over the request")]
    Refused(#[from] HeaderRefusal),
    /// The client broke off its request.
    #[error("the client broke off its request")]
    RequestBody(#[source] hyper::Error),
    /// The client stopped sending its request, or sends it too slowly.
    #[error("the client did not go on with its request in time")]
    RequestTimeout,
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
    /// Whose fault it is.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::BodyTooLarge
            | Self::LeaseOver
            | Self::Refused(_)
            | Self::RequestBody(_)
            | Self::RequestTimeout => Blame::Downstream,
            Self::BadAnswer(_)
            | Self::BrokenOff(_)
            | Self::Connect(_)
            | Self::ConnectTimeout
            | Self::Crowded(_)
            | Self::HeadTimeout
            | Self::UnaskedUpgrade => Blame::Upstream,
        }
    }

    /// What the client is told.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Crowded(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::LeaseOver => StatusCode::UNAUTHORIZED,
            Self::Refused(_) | Self::RequestBody(_) => StatusCode::BAD_REQUEST,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::ConnectTimeout | Self::HeadTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::BadAnswer(_) | Self::BrokenOff(_) | Self::Connect(_) | Self::UnaskedUpgrade => {
                StatusCode::BAD_GATEWAY
            }
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
            Self::Refused(refusal) => refusal.reason(),
            Self::RequestBody(_) => "request_broken_off",
            Self::RequestTimeout => "request_timeout",
            Self::UnaskedUpgrade => "upstream_unasked_upgrade",
        }
    }

    /// Says what a failed exchange was: a fault of the request's body reaches us through hyper.
    pub(super) fn of_exchange(error: hyper::Error) -> Self {
        match body_error_within(&error) {
            Some(BodyError::Ended(Ended::LeaseOver)) => Self::LeaseOver,
            Some(BodyError::Ended(Ended::Quiet | Ended::TooSlow)) => Self::RequestTimeout,
            Some(BodyError::TooLarge) => Self::BodyTooLarge,
            Some(BodyError::BrokenOff(_) | BodyError::Reset | BodyError::WithRequest) => {
                Self::RequestBody(error)
            }
            None if error.is_parse() => Self::BadAnswer(AnswerFault::Head(error)),
            None => Self::BrokenOff(error),
        }
    }
}

fn body_error_within(error: &hyper::Error) -> Option<&BodyError> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
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
    /// The stream of the body was reset as if that were an end.
    #[error("the body was reset before its end")]
    Reset,
    /// More came than is taken.
    #[error("the body is too large")]
    TooLarge,
    /// The body of an answer ended because its request did.
    #[error("the request of this answer ended before its end")]
    WithRequest,
}

impl BodyError {
    /// The word for logs and metrics if an answer that ended so is a fault of the app's.
    #[must_use]
    pub fn fault_of_app(&self) -> Option<&'static str> {
        match self {
            Self::BrokenOff(_) => Some("upstream_body_broken_off"),
            Self::Ended(Ended::Quiet) => Some("upstream_body_timeout"),
            Self::Ended(Ended::LeaseOver | Ended::TooSlow)
            | Self::Reset
            | Self::TooLarge
            | Self::WithRequest => None,
        }
    }
}
