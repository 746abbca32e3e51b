//! The client's request in, the app's answer out: rewritten, sent, streamed.
//!
//! Path and query are passed on byte for byte: what the rules matched is what the app gets (S-004), but
//! for the beginning of the path where the route maps it (`path_mapping`).

use std::{sync::Arc, time::Duration};

use http::{
    Extensions, HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRAILER, TRANSFER_ENCODING},
    uri,
};
use http_body::Body;
use hyper::body::Incoming;

use super::{
    answer_headers::{self, AnswerFacts},
    app::Reached,
    body::{AnswerBody, BodyLimits, UpstreamBody},
    client::{UpstreamClient, is_grpc},
    connection_bound,
    error::{Blame, UpstreamError},
    headers::{self, HeaderRefusal, RequestFacts},
    lease::Lease,
    removal::RemovalList,
    seats::Caller,
    target::RouteTarget,
};
use crate::config::route::UpstreamProtocol;

/// Everything about one request that its own bytes do not say.
pub struct Forwarding<'a> {
    /// The connections to send it over.
    pub client: &'a UpstreamClient,
    /// On whose behalf.
    pub caller: Caller,
    /// Its route.
    pub target: &'a RouteTarget,
    /// What never passes from a client.
    pub removal: &'a RemovalList,
    /// What the app is told.
    pub facts: RequestFacts<'a>,
    /// How long both bodies may stream; forever if absent.
    pub lease: Option<Arc<dyn Lease>>,
    /// How much is taken of the request's body, and how long.
    pub body: BodyLimits,
    /// What the answer's fields depend on.
    pub answer: AnswerFacts<'a>,
    /// Told at which address of the app the request is.
    pub reached: &'a Reached,
}

/// Passes a request on and hands back the answer, its body still streaming.
///
/// # Errors
/// Returns [`UpstreamError`] if the request cannot be passed on, or there is no answer to pass back.
pub async fn forward(
    request: Request<Incoming>,
    with: Forwarding<'_>,
) -> Result<Response<AnswerBody>, UpstreamError> {
    let Forwarding { client, target, .. } = with;
    let takes_trailers =
        request.version() == Version::HTTP_2 || headers::takes_trailers(request.headers());
    let request = request_for(request, target.protocol, &with)?;
    let answer = client
        .send(
            &target.app,
            with.caller,
            request,
            target.head_timeout,
            with.reached,
        )
        .await
        .inspect_err(|error| warn_of_crowd(error, &with))?;
    let mut answer = answer_from(answer, takes_trailers, &with);
    if takes_trailers {
        answer.body_mut().pass_trailers(&target.answer_removal);
    }
    Ok(answer)
}

/// Says that there was no connection for a request, if that is why it failed.
pub(super) fn warn_of_crowd(error: &UpstreamError, with: &Forwarding<'_>) {
    if let UpstreamError::Crowded(crowd) = error {
        let (seats, clock) = (with.client.seats(), with.client.clock());
        seats.warn_of(*crowd, &with.target.route, clock);
    }
}

/// The request as the app shall see it, over this protocol.
pub(super) fn request_for(
    request: Request<Incoming>,
    protocol: UpstreamProtocol,
    with: &Forwarding<'_>,
) -> Result<Request<UpstreamBody>, UpstreamError> {
    let (mut parts, incoming) = request.into_parts();
    let mut limits = with.body;
    if with.caller == Caller::Person && is_grpc(&parts.headers) {
        // A stream of messages may be quiet, as one of events may.
        limits.idle = Duration::MAX;
    }
    let body = UpstreamBody::new(
        incoming,
        parts.version,
        with.client.clock().clone(),
        with.lease.clone(),
        limits,
    );
    if body.is_too_large() {
        return Err(UpstreamError::BodyTooLarge);
    }
    let announced = parts.headers.get(CONTENT_LENGTH).cloned();
    let says_trailers = headers::takes_trailers(&parts.headers);
    headers::for_upstream(&mut parts.headers, with.target, with.removal, with.facts)?;
    let length = length_of(&body, announced.as_ref())?;
    let path = parts.uri.into_parts().path_and_query;
    let path = path.ok_or(HeaderRefusal::Target)?;
    let mapped = with.target.addresses.paths.to_app(&path)?;
    let path = mapped.unwrap_or(path);
    parts.extensions = Extensions::new();
    match protocol {
        UpstreamProtocol::Http1 => {
            frame(
                &mut parts.headers,
                &parts.method,
                length,
                announced.is_some(),
            );
            parts.uri = Uri::from(path);
            parts.version = Version::HTTP_11;
        }
        UpstreamProtocol::Http2 => {
            let is_said = announced.is_some() || expects_a_length(&parts.method);
            frame_for_http2(&mut parts.headers, length.filter(|it| *it > 0 || is_said));
            if says_trailers {
                // Servers of gRPC insist on it (RFC 9113 8.2.2).
                parts
                    .headers
                    .insert(TE, HeaderValue::from_static("trailers"));
            }
            parts.uri = absolute(path, with.target)?;
            parts.version = Version::HTTP_2;
        }
    }
    Ok(Request::from_parts(parts, body))
}

/// How long the body is, if that is known and as announced.
fn length_of(
    body: &UpstreamBody,
    announced: Option<&HeaderValue>,
) -> Result<Option<u64>, HeaderRefusal> {
    let length = if body.is_end_stream() {
        Some(0)
    } else {
        // A length of nothing that has not ended yet may still be broken off (S-221): its end is
        // passed on when it comes.
        body.size_hint().exact().filter(|length| *length > 0)
    };
    if let (Some(length), Some(announced)) = (length, announced) {
        let is_number = announced.as_bytes().iter().all(u8::is_ascii_digit);
        let text = announced.to_str().ok().filter(|_| is_number);
        if text.and_then(|text| text.parse().ok()) != Some(length) {
            return Err(HeaderRefusal::Length);
        }
    }
    Ok(length)
}

/// Over HTTP/2 the frames say where the body ends; a length has to agree with them (RFC 9113 8.1.1).
fn frame_for_http2(headers: &mut HeaderMap, length: Option<u64>) {
    headers.remove(TRANSFER_ENCODING);
    match length {
        Some(length) => headers.insert(CONTENT_LENGTH, HeaderValue::from(length)),
        None => headers.remove(CONTENT_LENGTH),
    };
    // `:authority` says it (RFC 9113 8.3.1).
    headers.remove(HOST);
}

/// The target as HTTP/2 has it, in its pseudo-fields.
fn absolute(path: uri::PathAndQuery, target: &RouteTarget) -> Result<Uri, HeaderRefusal> {
    let mut parts = uri::Parts::default();
    parts.scheme = Some(target.scheme.clone());
    parts.authority.clone_from(&target.authority);
    parts.path_and_query = Some(path);
    Uri::from_parts(parts).map_err(|_| HeaderRefusal::Target)
}

/// Says where the body ends, in one way and for every method: hyper by itself would drop the body
/// of a GET whose length it does not know.
fn frame(headers: &mut HeaderMap, method: &Method, length: Option<u64>, is_announced: bool) {
    // An identity header of either name would be a fault of the configuration.
    headers.remove(CONTENT_LENGTH);
    headers.remove(TRANSFER_ENCODING);
    if length != Some(0) && !reads_content(method) {
        // An app that takes no notice of it would read it as its next request: nothing behind this
        // one is read where there is no next (RFC 9110 9.3.1, RFC 9112 9.6).
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    match length {
        None => {
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        Some(length) if is_announced || length > 0 || expects_a_length(method) => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        Some(_) => {}
    }
}

/// Methods that are defined with content, so that whoever serves them reads it: those of HTTP, QUERY,
/// and those of `WebDAV` and its extensions (RFC 3253, 3744, 4791, 4918, 5323). Whatever else comes with
/// content, an app may take for a request without any.
fn reads_content(method: &Method) -> bool {
    expects_a_length(method)
        || matches!(
            method.as_str(),
            "ACL"
                | "LOCK"
                | "MERGE"
                | "MKCALENDAR"
                | "MKCOL"
                | "PROPFIND"
                | "PROPPATCH"
                | "QUERY"
                | "REPORT"
                | "SEARCH"
        )
}

/// Some apps answer 411 to these if they say nothing about a body (RFC 9110 8.6).
fn expects_a_length(method: &Method) -> bool {
    matches!(*method, Method::PATCH | Method::POST | Method::PUT)
}

/// The answer as the client shall see it, and whether trailers are announced if the app does so.
pub(super) fn answer_from<B>(
    mut answer: Response<B>,
    takes_trailers: bool,
    with: &Forwarding<'_>,
) -> Response<B> {
    // What the app said of its own HTTP version and reason is between it and us.
    *answer.version_mut() = Version::HTTP_11;
    answer.extensions_mut().clear();
    if answer.status() == StatusCode::NO_CONTENT {
        // There is none, whatever length it says; over HTTP/2 nobody else would take it away (RFC
        // 9110 8.6).
        answer.headers_mut().remove(CONTENT_LENGTH);
    }
    let headers = answer.headers_mut();
    if connection_bound::refuse_offers(headers) && with.target.warns_first() {
        tell_of_refused_offer(with);
    }
    let removal = &with.target.answer_removal;
    let announced = answer_headers::announced_trailers(headers, removal).filter(|_| takes_trailers);
    answer_headers::for_client(headers, with.target, with.answer);
    if let Some(announced) = announced {
        headers.insert(TRAILER, announced);
    }
    answer
}

/// Once for each app: it would say so with every request.
fn tell_of_refused_offer(with: &Forwarding<'_>) {
    let request_id = with.facts.request_id.to_str().unwrap_or_default();
    tracing::warn!(
        request_id,
        route = with.target.route.0,
        blame = Blame::Upstream.word(),
        reason = connection_bound::REASON,
        "the app asks for NTLM or Negotiate; that signs a connection in, which others use next, so it is \
         not passed on and nobody can sign in that way: let the app trust the route's header, or turn \
         on its sign-in by form or Basic"
    );
}
