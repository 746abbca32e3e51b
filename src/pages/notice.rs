//! The situations a page can tell a person about, and the status each one has.
//!
//! A notice holds facts only: no words (`catalogue.rs`), no markup (`templates/`), and of what a
//! provider answered nothing but the situation it was mapped to and a number (S-083).

use std::time::Duration;

use http::StatusCode;

use crate::clock::Timestamp;

/// One situation. Links (`login`, `logout`, `action`) are paths of this host with a query; anything
/// else is replaced by `/` on the page.
pub enum Notice<'a> {
    /// The path and query are longer than we take.
    AddressTooLong,
    /// The request is malformed in a way a person may see.
    BadRequest,
    /// The body is larger than the limit of the route.
    BodyTooLarge,
    /// Another site sent the sign-out form.
    CrossSite,
    /// Signed in, but not let in.
    Forbidden {
        /// The user name as the app would be told it.
        user: Option<&'a str>,
        /// Which rule keeps the person out.
        why: ForbiddenReason<'a>,
        /// Where to sign out, to come back as somebody else.
        logout: &'a str,
    },
    /// The headers are larger than the limit; for a browser that means cookies.
    HeadersTooLarge,
    /// A fault of ours.
    Internal,
    /// The browser comes back again and again without the cookie we set.
    Loop {
        /// Where a sign-in starts.
        login: &'a str,
    },
    /// Who is signed in.
    Me {
        /// The user name as the app is told it.
        user: &'a str,
        /// The display name.
        name: Option<&'a str>,
        /// The address.
        email: Option<&'a str>,
        /// The groups; `None` if there were too many for the provider to list.
        groups: Option<&'a [String]>,
        /// The app roles.
        roles: &'a [String],
        /// The provider's title.
        provider: &'a str,
        /// When the sign-in was.
        signed_in_at: Timestamp,
        /// When the session ends.
        expires_at: Timestamp,
        /// Where to sign out.
        logout: &'a str,
    },
    /// The address exists, but not for this method.
    MethodNotAllowed {
        /// What `Allow` says.
        allow: &'static str,
    },
    /// The host name of the connection is not the one of the request (RFC 9110 15.5.20).
    Misdirected,
    /// There is nothing here.
    NotFound,
    /// The provider cannot be reached, or answers nonsense.
    ProviderDown {
        /// When it is worth trying again; sent in whole seconds, at least one.
        retry_after: Duration,
        /// Where a sign-in starts.
        login: &'a str,
    },
    /// Not signed in: one button.
    SignIn {
        /// The provider's title, as in "Sign in with Microsoft".
        provider: &'a str,
        /// Where a sign-in starts.
        login: &'a str,
    },
    /// The provider, or our check of its answer, ended the sign-in.
    SignInFailed {
        /// What went wrong.
        what: SignInFault,
        /// The number behind `AADSTS`, if the provider gave one.
        provider_code: Option<u32>,
        /// Where a sign-in starts.
        login: &'a str,
    },
    /// Asks before signing out: one button.
    SignOut {
        /// Proves that the form was ours.
        token: &'a str,
        /// Where to go afterwards; handed back byte for byte.
        return_to: &'a str,
        /// Where the form goes.
        action: &'a str,
        /// Scheme, host and port of the provider's end of session. Chromium applies `form-action` to
        /// every redirect that follows a form, so the page has to allow it.
        provider_origin: Option<&'a str>,
    },
    /// Signed out here.
    SignedOut {
        /// Where a sign-in starts.
        login: &'a str,
    },
    /// The attempt to sign in cannot be finished; a new one can.
    StartAgain {
        /// Why not.
        reason: Attempt,
        /// Where a sign-in starts.
        login: &'a str,
    },
    /// The store of the sessions does not answer.
    StoreDown,
    /// The attempt was sealed by a vestibule with which this one shares nothing.
    TwoVestibules,
    /// All the connections to the app that there may be are in use.
    UpstreamCrowded,
    /// The app cannot be reached, or breaks the protocol.
    UpstreamDown,
    /// The app takes too long.
    UpstreamSlow,
}

/// Why somebody who is signed in is not let in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ForbiddenReason<'a> {
    /// A `deny` rule names the person.
    Denied,
    /// The rules need groups, and the provider did not list them.
    GroupsUnknown,
    /// Guests of the tenant are not let in.
    Guest,
    /// None of the claims that count as the user name came.
    NoUserName {
        /// The names of the claims that did.
        came: &'a [String],
    },
    /// No `allow` rule names the person.
    NotAllowed,
}

/// What is wrong with an attempt to sign in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Attempt {
    /// It took longer than ten minutes.
    Expired,
    /// It was begun in another browser, or for another host.
    Foreign,
    /// The browser holds no such attempt.
    Unknown,
    /// It was finished before.
    Used,
}

/// What ended a sign-in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SignInFault {
    /// The account is locked, disabled, or its password has expired.
    AccountBlocked,
    /// The account does not belong to the organisation.
    AccountUnknown,
    /// The answer does not stand up to our checks.
    AnswerInvalid,
    /// The person went back or closed the provider's page.
    Cancelled,
    /// The person declined what the app asks for.
    ConsentDeclined,
    /// An administrator has not yet consented to the app.
    ConsentMissing,
    /// The organisation asks for a managed device, another place, or another browser.
    DeviceOrPlace,
    /// The provider and we are not set up to match: credential, redirect address, permissions.
    Misconfigured,
    /// A second factor, a new password or another step is outstanding.
    MoreSteps,
    /// The person is not assigned to the app at the provider.
    NotAssigned,
    /// A personal account where only work accounts count.
    PersonalAccount,
    /// The provider refused for a reason not listed here.
    ProviderRefused,
}

impl Notice<'_> {
    /// The status of the page. Whatever refuses or fails is 4xx or 5xx, however friendly it looks.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::AddressTooLong => StatusCode::URI_TOO_LONG,
            Self::BadRequest | Self::Loop { .. } | Self::StartAgain { .. } => {
                StatusCode::BAD_REQUEST
            }
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::CrossSite | Self::Forbidden { .. } => StatusCode::FORBIDDEN,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Me { .. } | Self::SignOut { .. } | Self::SignedOut { .. } => StatusCode::OK,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::ProviderDown { .. }
            | Self::StoreDown
            | Self::TwoVestibules
            | Self::UpstreamCrowded => StatusCode::SERVICE_UNAVAILABLE,
            Self::SignIn { .. } => StatusCode::UNAUTHORIZED,
            Self::SignInFailed { what, .. } => what.status(),
            Self::UpstreamDown => StatusCode::BAD_GATEWAY,
            Self::UpstreamSlow => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

impl Notice<'_> {
    /// Where a person who is not signed in could begin; for programs.
    pub(super) fn login(&self) -> Option<&str> {
        match self {
            Self::SignIn { login, .. } => Some(login),
            _ => None,
        }
    }
}

impl SignInFault {
    fn status(self) -> StatusCode {
        match self {
            Self::AnswerInvalid | Self::Cancelled => StatusCode::BAD_REQUEST,
            // Nobody can get in until an operator acts, so it has to show among the server errors.
            Self::Misconfigured => StatusCode::INTERNAL_SERVER_ERROR,
            Self::AccountBlocked
            | Self::AccountUnknown
            | Self::ConsentDeclined
            | Self::ConsentMissing
            | Self::DeviceOrPlace
            | Self::MoreSteps
            | Self::NotAssigned
            | Self::PersonalAccount
            | Self::ProviderRefused => StatusCode::FORBIDDEN,
        }
    }
}
