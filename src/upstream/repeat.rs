//! What a request needs to be sent a second time: kept only where that is allowed.
//!
//! A GET, HEAD or OPTIONS without a body may be repeated if its connection broke before a byte of the
//! answer came (RFC 9110 9.2.2, RFC 9112 9.3.1). Nothing else ever is: not what is idempotent by name
//! but changes something (PUT, DELETE), and not what authenticates a connection. Where nothing of a
//! request was sent, hyper hands it back whole, and nothing of this is needed.

use http::{HeaderMap, Method, Request, Uri, Version};
use http_body::Body as _;

use super::{body::UpstreamBody, connection_bound};

/// A request that may be sent again.
pub(super) struct Repeat {
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    body: UpstreamBody,
}

impl Repeat {
    /// What it takes to send this again; `None` if that must not be.
    pub(super) fn of(request: &Request<UpstreamBody>) -> Option<Self> {
        let reads = matches!(
            *request.method(),
            Method::GET | Method::HEAD | Method::OPTIONS
        );
        let is_bare = request.body().is_end_stream();
        if !reads || !is_bare || connection_bound::is_asked_for(request.headers()) {
            return None;
        }
        Some(Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            headers: request.headers().clone(),
            body: request.body().bare(),
        })
    }

    /// The request once more.
    pub(super) fn into_request(self) -> Request<UpstreamBody> {
        let mut request = Request::new(self.body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.version_mut() = self.version;
        *request.headers_mut() = self.headers;
        request
    }
}
