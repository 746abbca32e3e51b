//! The client's request in, the app's answer out: rewritten, sent, streamed.
//!
//! Path and query are passed on byte for byte: what the rules matched is what the app gets (S-004).

use std::sync::Arc;

use http::{
    Extensions, HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING},
};
use http_body::Body;
use hyper::body::Incoming;

use super::{
    answer_headers::{self, AnswerFacts},
    app::Reached,
    body::{AnswerBody, BodyLimits, UpstreamBody},
    client::UpstreamClient,
    connection_bound,
    error::{Blame, UpstreamError},
    headers::{self, HeaderRefusal, RequestFacts},
    lease::Lease,
    removal::RemovalList,
    seats::Caller,
    target::RouteTarget,
};

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
    let request = request_for(request, &with)?;
    let answer = client
        .send(
            &target.app,
            with.caller,
            request,
            target.head_timeout,
            with.reached,
        )
        .await
        .inspect_err(|error| {
            if let UpstreamError::Crowded(crowd) = error {
                let (seats, clock) = (client.seats(), client.clock());
                seats.warn_of(*crowd, &target.route, clock);
            }
        })?;
    Ok(answer_from(answer, &with))
}

fn request_for(
    request: Request<Incoming>,
    with: &Forwarding<'_>,
) -> Result<Request<UpstreamBody>, UpstreamError> {
    let (mut parts, incoming) = request.into_parts();
    let body = UpstreamBody::new(
        incoming,
        parts.version,
        with.client.clock().clone(),
        with.lease.clone(),
        with.body,
    );
    if body.is_too_large() {
        return Err(UpstreamError::BodyTooLarge);
    }
    let announced = parts.headers.get(CONTENT_LENGTH).cloned();
    headers::for_upstream(&mut parts.headers, with.target, with.removal, with.facts)?;
    frame(&mut parts.headers, &parts.method, &body, announced)?;
    let path = parts.uri.into_parts().path_and_query;
    parts.uri = path.map(Uri::from).ok_or(HeaderRefusal::Target)?;
    parts.version = Version::HTTP_11;
    parts.extensions = Extensions::new();
    Ok(Request::from_parts(parts, body))
}

/// Says where the body ends, in one way and for every method: hyper by itself would drop the body
/// of a GET whose length it does not know.
fn frame(
    headers: &mut HeaderMap,
    method: &Method,
    body: &UpstreamBody,
    announced: Option<HeaderValue>,
) -> Result<(), HeaderRefusal> {
    // An identity header of either name would be a fault of the configuration.
    headers.remove(CONTENT_LENGTH);
    headers.remove(TRANSFER_ENCODING);
    let length = if body.is_end_stream() {
        Some(0)
    } else {
        // A length of nothing that has not ended yet may still be broken off (S-221): its end is
        // passed on when it comes.
        body.size_hint().exact().filter(|length| *length > 0)
    };
    if length != Some(0) && !reads_content(method) {
        // An app that takes no notice of it would read it as its next request: nothing behind this
        // one is read where there is no next (RFC 9110 9.3.1, RFC 9112 9.6).
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let Some(length) = length else {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        return Ok(());
    };
    match announced {
        Some(announced) => {
            let is_number = announced.as_bytes().iter().all(u8::is_ascii_digit);
            let text = announced.to_str().ok().filter(|_| is_number);
            if text.and_then(|text| text.parse().ok()) != Some(length) {
                return Err(HeaderRefusal::Length);
            }
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        None if length > 0 || expects_a_length(method) => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        None => {}
    }
    Ok(())
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

fn answer_from(mut answer: Response<AnswerBody>, with: &Forwarding<'_>) -> Response<AnswerBody> {
    // What the app said of its own HTTP version and reason is between it and us.
    *answer.version_mut() = Version::HTTP_11;
    answer.extensions_mut().clear();
    if answer.status() == StatusCode::NO_CONTENT {
        // There is none, whatever length it says; over HTTP/2 nobody else would take it away (RFC
        // 9110 8.6).
        answer.headers_mut().remove(CONTENT_LENGTH);
    }
    let headers = answer.headers_mut();
    if connection_bound::refuse_offers(headers) && with.client.pool(&with.target.app).warns_first()
    {
        tell_of_refused_offer(with);
    }
    answer_headers::for_client(headers, with.target, with.answer);
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
