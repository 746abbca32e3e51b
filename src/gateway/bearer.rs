//! The step of a request that carries an access token: who sends it, what that lets them do, and on to
//! the app; or why not.
//!
//! Only on a route with `[bearer]`, and only for a plain path that no other route of the host could be
//! meant by: anywhere else a token is the app's own business and lets nobody in (S-046). There,
//! `Authorization: Bearer` decides alone. A session that comes along is not looked at, neither before
//! nor after: a page of another site can make a browser send our cookie, but not this field, so what
//! the field says is what the sender means, and one request never has two identities. A token is read
//! nowhere else, not in a query or a form (RFC 6750 5.3), and it goes no further than here.
//! Source: RFC 6750 2.1 and 3, RFC 9110 11.

use std::{sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderValue, Request, StatusCode,
    header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE},
};
use hyper::body::Incoming;

use super::{
    context::RequestContext,
    error::{ForbiddenPerson, GatewayError, WhyForbidden},
    handle::{Outcome, Worker},
    judged::Judged,
    lease::Sender,
    record::Record,
    routes::{RouteEntry, Site},
};
use crate::{
    config::{bearer::Bearer, plain_path::is_plain},
    identity::Identity,
    login::Answer,
    oidc::{AccessTokenError, AccessTokens, Holder, IdTokenError, VerifiedToken},
    pages::{self, PageResponse, Problem},
    secret::Secret,
    telemetry::Decision,
    upstream::UpstreamError,
};

/// Most bytes of a token: more than Entra ID ever issues.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

const SCHEME: &[u8] = b"bearer";

/// What the names of apps begin with, towards apps and in the log. No person may be called so where
/// apps come in.
const APP: &str = "app:";

/// Why a token lets nobody in.
#[derive(Debug)]
pub(super) enum BearerRefusal {
    /// The person whom the token is for is not let in, or the app is denied.
    Forbidden(ForbiddenPerson),
    /// The token is sound, and allows nothing here.
    InsufficientScope,
    /// What follows the scheme is not one token.
    Malformed,
    /// The rules that let the token in were taken back before the app answered.
    NoLongerAllowed,
    /// The token does not stand up to its checks, or they cannot be made.
    Token(AccessTokenError),
    /// More than one `Authorization`.
    Twice,
}

/// The token of a request that the bearer rule of a route decides; `None` if it does not.
///
/// # Errors
/// Returns [`BearerRefusal`] if it does, and the request has not exactly one token.
pub(super) fn presented(
    site: &Site,
    entry: &RouteEntry,
    headers: &HeaderMap,
    path: &str,
) -> Result<Option<Secret>, BearerRefusal> {
    if entry.bearer.is_none() {
        return Ok(None);
    }
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    if !fields.any(is_bearer) || !decides(site, entry, path) {
        return Ok(None);
    }
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    match (fields.next(), fields.next()) {
        (Some(only), None) => token_in(only).map(Some),
        _ => Err(BearerRefusal::Twice),
    }
}

/// Whether a token that comes for this path is the route's business.
fn decides(site: &Site, entry: &RouteEntry, path: &str) -> bool {
    let is_alone = || site.also_judged(entry, path).next().is_none();
    entry.bearer.is_some() && is_plain(path) && is_alone()
}

/// Whether a token that was let in before would be let in for this path by these rules, its end aside.
pub(super) fn lets_in(
    site: &Site,
    entry: &RouteEntry,
    path: &str,
    verified: &VerifiedToken,
) -> bool {
    let takes = |tokens: &AccessTokens| tokens.would_take(verified);
    decides(site, entry, path)
        && entry.bearer.as_ref().is_some_and(takes)
        && judged(entry, verified).allowed().is_ok()
        && may_act(entry.route.bearer.as_ref(), verified)
}

/// Whether a field speaks of a bearer's token, however badly: the scheme without regard to case, and
/// then nothing that could be the rest of another scheme's name.
fn is_bearer(field: &HeaderValue) -> bool {
    let field = field.as_bytes().trim_ascii_start();
    let Some((scheme, rest)) = field.split_at_checked(SCHEME.len()) else {
        return false;
    };
    let ends = |byte: &u8| !byte.is_ascii_alphanumeric() && !b"!#$%&'*+-.^_`|~".contains(byte);
    scheme.eq_ignore_ascii_case(SCHEME) && rest.first().is_none_or(ends)
}

/// The one token of a field: `Bearer`, blanks, and bytes of `token68` alone (RFC 9110 11.2).
fn token_in(field: &HeaderValue) -> Result<Secret, BearerRefusal> {
    let rest = field.as_bytes().get(SCHEME.len()..);
    let rest = rest.filter(|rest| rest.starts_with(b" "));
    let token = rest.ok_or(BearerRefusal::Malformed)?.trim_ascii_start();
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    if token.is_empty() || token.len() > MAX_TOKEN_BYTES || !token.iter().all(fits) {
        return Err(BearerRefusal::Malformed);
    }
    let token = String::from_utf8(token.to_vec()).map_err(|_| BearerRefusal::Malformed)?;
    Ok(Secret::new(token))
}

/// Says on a refusal of ours that this route takes tokens (RFC 9110 11.6.1).
pub(super) fn offer(entry: &RouteEntry, answer: &mut Answer) {
    if entry.bearer.is_none() || answer.response.status() != StatusCode::UNAUTHORIZED {
        return;
    }
    if let Ok(challenge) = HeaderValue::try_from(format!("Bearer realm=\"{}\"", entry.host)) {
        let headers = answer.response.headers_mut();
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
}

/// Whether a person is called what only an app may be called.
pub(super) fn is_name_of_an_app(user: &str) -> bool {
    let start = user.trim_start().get(..APP.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(APP))
}

impl Worker {
    /// Lets the sender of a token in, or ends the request.
    pub(super) async fn bring_in(
        &self,
        context: &RequestContext,
        entry: &Arc<RouteEntry>,
        token: Secret,
        mut request: Request<Incoming>,
        record: &mut Record,
    ) -> Result<Outcome, GatewayError> {
        let Some(tokens) = &entry.bearer else {
            return Err(GatewayError::Internal);
        };
        let verified = tokens.verify(token.expose()).await;
        drop(token);
        let verified = Arc::new(verified.map_err(BearerRefusal::Token)?);
        let judged = Arc::new(judged(entry, &verified));
        record.is_by(&judged);
        let identity = match &*judged {
            Judged::Allowed(identity) => identity,
            Judged::Forbidden(who) => return Err(BearerRefusal::Forbidden(who.clone()).into()),
        };
        if !may_act(entry.route.bearer.as_ref(), &verified) {
            return Err(BearerRefusal::InsufficientScope.into());
        }
        request.headers_mut().remove(AUTHORIZATION);
        let sender = Some((identity, Sender::Token(Arc::clone(&verified))));
        let passed = self.pass_on(context, &context.table, entry, sender, request);
        let answer = passed.await.map_err(|error| match error {
            GatewayError::Upstream(UpstreamError::LeaseOver | UpstreamError::NoLongerAllowed) => {
                self.over(&verified).into()
            }
            error => error,
        })?;
        Ok(Outcome::forwarded(answer, Decision::Allow, "bearer"))
    }

    /// Why what a token was let in for is over.
    fn over(&self, verified: &VerifiedToken) -> BearerRefusal {
        if verified.until.has_passed(self.clock().now()) {
            BearerRefusal::Token(IdTokenError::Expired.into())
        } else {
            BearerRefusal::NoLongerAllowed
        }
    }
}

/// What the route makes of whoever stands behind the token.
fn judged(entry: &RouteEntry, verified: &VerifiedToken) -> Judged {
    let identity: &Identity = &verified.identity;
    match &verified.holder {
        Holder::App(client) => Judged::app(entry, identity, format!("{APP}{client}")),
        Holder::Person => Judged::person(entry, identity),
    }
}

/// Whether the token allows anything here: an app by its roles, and where the provider gives apps
/// scopes, by those; an app that acts for a person by its scopes alone, since the roles are the
/// person's.
fn may_act(rules: Option<&Bearer>, verified: &VerifiedToken) -> bool {
    let Some(rules) = rules else { return false };
    let any = |wanted: &[String], held: &[String]| wanted.iter().any(|it| held.contains(it));
    let by_role =
        matches!(verified.holder, Holder::App(_)) && any(&rules.roles, verified.identity.roles());
    by_role || any(&rules.scopes, &verified.scopes)
}

impl BearerRefusal {
    /// The words that are neither a token's nor about a person.
    const REASONS: [&str; 4] = [
        "insufficient_scope",
        "malformed_authorization",
        "no_longer_allowed",
        "two_authorizations",
    ];

    /// Every word of a token that lets nobody in.
    pub(super) fn reasons() -> impl Iterator<Item = &'static str> {
        let of_tokens = AccessTokenError::REASONS.into_iter();
        let of_people = WhyForbidden::REASONS.into_iter();
        of_tokens.chain(of_people).chain(Self::REASONS)
    }

    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Forbidden(_) | Self::InsufficientScope | Self::NoLongerAllowed => {
                StatusCode::FORBIDDEN
            }
            Self::Malformed | Self::Twice => StatusCode::BAD_REQUEST,
            Self::Token(AccessTokenError::Unavailable(_)) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Token(_) => StatusCode::UNAUTHORIZED,
        }
    }

    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Forbidden(who) => who.why.reason(),
            Self::InsufficientScope => "insufficient_scope",
            Self::Malformed => "malformed_authorization",
            Self::NoLongerAllowed => "no_longer_allowed",
            Self::Token(error) => error.reason(),
            Self::Twice => "two_authorizations",
        }
    }

    pub(super) fn decision(&self) -> Decision {
        match self {
            Self::Forbidden(_) | Self::InsufficientScope | Self::NoLongerAllowed => {
                Decision::Forbid
            }
            Self::Token(AccessTokenError::Unavailable(_)) => Decision::Unavailable,
            Self::Malformed | Self::Token(_) | Self::Twice => Decision::Refuse,
        }
    }

    /// The answer, never a page or a redirect: whoever sends a token is a program.
    pub(super) fn answer(&self, request_id: &str) -> PageResponse {
        let status = self.status();
        let mut response = pages::problem(&Problem {
            status,
            title: status.canonical_reason().unwrap_or("Refused"),
            reason: self.reason(),
            detail: None,
            request_id,
            login: None,
        });
        let headers = response.headers_mut();
        if let Some(challenge) = self.challenge() {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(retry_after) = self.retry_after() {
            headers.insert(RETRY_AFTER, HeaderValue::from(retry_after.as_secs().max(1)));
        }
        response
    }

    fn challenge(&self) -> Option<&'static str> {
        match self {
            Self::InsufficientScope => Some("Bearer error=\"insufficient_scope\""),
            Self::Malformed | Self::Twice => Some("Bearer error=\"invalid_request\""),
            Self::Forbidden(_)
            | Self::NoLongerAllowed
            | Self::Token(AccessTokenError::Unavailable(_)) => None,
            Self::Token(_) => Some("Bearer error=\"invalid_token\""),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Token(AccessTokenError::Unavailable(unavailable)) => {
                Some(unavailable.retry_after)
            }
            _ => None,
        }
    }
}

impl From<BearerRefusal> for GatewayError {
    fn from(refusal: BearerRefusal) -> Self {
        Self::Bearer(refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::words::{assert_explained, words_in};

    #[test]
    fn every_word_is_listed_and_explained() {
        let known = words_in(include_str!("bearer.rs"), "BearerRefusal", "reason");
        assert_eq!(BearerRefusal::REASONS.as_slice(), known);
        assert_explained(BearerRefusal::reasons().chain(["bearer"]));
    }

    fn field(text: &str) -> HeaderValue {
        HeaderValue::from_bytes(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_field_speaks_of_a_token_however_badly() {
        for (text, speaks) in [
            ("Bearer x", true),
            ("bearer x", true),
            ("BEARER x", true),
            ("Bearer", true),
            ("Bearer\tx", true),
            ("Bearer,x", true),
            ("Bearer=x", true),
            ("Bearer\u{a0}x", true),
            (" Bearer x", true),
            ("Bearerx", false),
            ("Bearer-x y", false),
            ("Basic x", false),
            ("Bear", false),
            ("", false),
            ("Basic Bearer x", false),
        ] {
            assert_eq!(is_bearer(&field(text)), speaks, "{text:?}");
        }
    }

    #[test]
    fn one_token_follows_the_scheme_and_nothing_else() {
        let long = format!("Bearer {}", "a".repeat(MAX_TOKEN_BYTES));
        for (text, token) in [
            ("Bearer a.b-c_d~e+f/g==", Some("a.b-c_d~e+f/g==")),
            ("bearer   a", Some("a")),
            (&*long, Some(&long[7..])),
            ("Bearer", None),
            ("Bearer ", None),
            ("Bearer\ta", None),
            ("Bearer a b", None),
            ("Bearer a, Bearer b", None),
            ("Bearer a,b", None),
            ("Bearer \"a\"", None),
            ("Bearer token=a", Some("token=a")),
            ("Bearer a\tb", None),
            ("Bearer \u{e4}", None),
            (&format!("{long}a"), None),
        ] {
            let found = token_in(&field(text)).ok();
            let found = found.as_ref().map(Secret::expose);
            assert_eq!(found, token, "{text:.40}");
        }
    }

    #[test]
    fn names_of_apps_are_known_in_any_case() {
        for (name, is_app) in [
            ("app:x", true),
            ("APP:x", true),
            (" app:x", true),
            ("app:", true),
            ("app", false),
            ("apple:x", false),
            ("\u{e4}pp:", false),
        ] {
            assert_eq!(is_name_of_an_app(name), is_app, "{name}");
        }
    }
}
