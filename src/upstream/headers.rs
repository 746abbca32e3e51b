//! The request's fields on their way to the app: what is removed, then what is set, in that order.
//!
//! Removal is unconditional and comes first; ours come last, each exactly once (RFC 9110 7.6.1;
//! S-013, S-014, S-016, S-031). A client may name any field of its own in `Connection`; none of ours
//! is there yet when that is read.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING},
};
use thiserror::Error;

use super::{
    cookies, identity_header::RenderedIdentity, removal::RemovalList, target::RouteTarget, trace,
};

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request that is not passed on because of what its head says; the client's fault, 400.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum HeaderRefusal {
    /// A `Connection` field holds something that is no field name.
    #[error("failed to read the `Connection` field")]
    ConnectionMalformed,
    /// `Connection` names a field without which the message would mean something else.
    #[error("the `Connection` field names a field that belongs to the message itself")]
    ConnectionNominates,
    /// The announced length and the body are not the same.
    #[error("the `Content-Length` is not that of the body")]
    Length,
    /// Some reading of the path leads out of what the route maps.
    #[error("the path could lead out of `strip_prefix` and `add_prefix`")]
    Path,
    /// The target has no path.
    #[error("the request target is no path")]
    Target,
}

impl HeaderRefusal {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::ConnectionMalformed,
        Self::ConnectionNominates,
        Self::Length,
        Self::Path,
        Self::Target,
    ];

    /// One stable word for logs, metrics and machine-readable answers.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::ConnectionMalformed => "connection_malformed",
            Self::ConnectionNominates => "connection_nominates",
            Self::Length => "length_mismatch",
            Self::Path => "ambiguous_path",
            Self::Target => "malformed_target",
        }
    }
}

/// What is said to the app about one request, beside what its route says.
#[derive(Clone, Copy, Debug)]
pub struct RequestFacts<'a> {
    /// Who sent it: the client's address as we see it, with those of fronts that are believed.
    pub forwarded_for: &'a HeaderValue,
    /// Our id of the request.
    pub request_id: &'a HeaderValue,
    /// Who it is from; `None` on a public path, and then nothing says so.
    pub identity: Option<&'a RenderedIdentity>,
}

/// Rewrites the fields of a request for the app. What is left holds no framing: that is set by
/// whoever knows the body.
///
/// # Errors
/// Returns [`HeaderRefusal`] if the `Connection` field cannot be read, or names `Host`,
/// `Content-Length` or `Transfer-Encoding`.
pub fn for_upstream(
    headers: &mut HeaderMap,
    target: &RouteTarget,
    removal: &RemovalList,
    facts: RequestFacts<'_>,
) -> Result<(), HeaderRefusal> {
    for name in nominated(headers)? {
        headers.remove(name);
    }
    // `Host` is replaced below in any case; its other spellings are not spared.
    remove_where(headers, |name| *name != HOST && removal.removes(name));
    cookies::cut_from_request(headers);

    headers.insert(HOST, target.host.clone());
    headers.insert(X_FORWARDED_FOR, facts.forwarded_for.clone());
    headers.insert(X_FORWARDED_HOST, target.public_host.clone());
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("https"));
    if let Some(prefix) = &target.stripped {
        headers.insert(X_FORWARDED_PREFIX, prefix.clone());
    }
    headers.insert(X_REQUEST_ID, facts.request_id.clone());
    trace::carry_on(headers);
    for (name, value) in facts.identity.iter().flat_map(|identity| &identity.headers) {
        headers.insert(name, value.clone());
    }
    Ok(())
}

/// Whether a client says that it takes trailers (RFC 9110 10.1.4).
pub(super) fn takes_trailers(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(TE).iter();
    let mut codings = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    codings.any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// Removes the fields whose name fits, without allocating.
pub(super) fn remove_where(headers: &mut HeaderMap, fits: impl Fn(&HeaderName) -> bool) {
    const AT_A_TIME: usize = 8;
    loop {
        let mut found: [Option<HeaderName>; AT_A_TIME] = [const { None }; AT_A_TIME];
        let fitting = headers.keys().filter(|name| fits(name));
        let mut count = 0;
        for (slot, name) in found.iter_mut().zip(fitting) {
            *slot = Some(name.clone());
            count += 1;
        }
        for name in found.into_iter().flatten() {
            headers.remove(name);
        }
        if count < AT_A_TIME {
            return;
        }
    }
}

/// The fields that the client's `Connection` declares to be for this hop alone.
fn nominated(headers: &HeaderMap) -> Result<Vec<HeaderName>, HeaderRefusal> {
    let mut names = Vec::new();
    for token in connection_tokens(headers) {
        if token.eq_ignore_ascii_case(b"close") || token.eq_ignore_ascii_case(b"keep-alive") {
            continue;
        }
        let name = HeaderName::from_bytes(token).map_err(|_| HeaderRefusal::ConnectionMalformed)?;
        if [HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&name) {
            return Err(HeaderRefusal::ConnectionNominates);
        }
        names.push(name);
    }
    Ok(names)
}

/// The list elements of all `Connection` lines, without blanks; empty ones are left out.
pub(super) fn connection_tokens(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
}
