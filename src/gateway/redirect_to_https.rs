//! The plain listener: sends whoever only reads (GET, HEAD) to HTTPS and serves nothing.
//!
//! What else comes without TLS is refused rather than redirected: its body, cookies and tokens have
//! been on the wire in the clear already, and the client should learn so.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_LENGTH, request::Parts,
};
use hyper::{body::Incoming, service::Service};

use super::{routes::RouteTable, target};
use crate::{
    head_guard::{HeadFault, RefuseHead},
    pages::{self, PageResponse},
};

/// Answers every request of the plain listener.
#[derive(Clone)]
pub struct RedirectToHttps {
    table: Arc<ArcSwap<RouteTable>>,
}

impl Service<Request<Incoming>> for RedirectToHttps {
    type Response = PageResponse;
    type Error = Infallible;
    type Future = Ready<Result<Response<http_body_util::Full<Bytes>>, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        ready(Ok(self.answer(&request.into_parts().0)))
    }
}

impl RefuseHead for RedirectToHttps {
    fn refuse(&self, fault: HeadFault) -> Response<Bytes> {
        let mut response = pages::empty(fault.status()).map(|_| Bytes::new());
        let length = HeaderValue::from(0);
        response.headers_mut().insert(CONTENT_LENGTH, length);
        response
    }
}

impl RedirectToHttps {
    pub(super) fn new(table: Arc<ArcSwap<RouteTable>>) -> Self {
        Self { table }
    }

    fn answer(&self, request: &Parts) -> PageResponse {
        let table = self.table.load();
        if target::check_method(&request.method).is_err()
            || target::check(request, table.house.limits.target_bytes).is_err()
        {
            return pages::empty(StatusCode::BAD_REQUEST);
        }
        let Ok(named) = target::named_host(&request.uri, &request.headers) else {
            return pages::empty(StatusCode::BAD_REQUEST);
        };
        let Some(authority) = table.first_authority_of(&named.host) else {
            return pages::empty(StatusCode::MISDIRECTED_REQUEST);
        };
        if !matches!(request.method, Method::GET | Method::HEAD) {
            return pages::empty(StatusCode::FORBIDDEN);
        }
        let path = request
            .uri
            .path_and_query()
            .map_or("/", http::uri::PathAndQuery::as_str);
        let location = format!("https://{}{path}", authority.in_https_url());
        pages::redirect(StatusCode::PERMANENT_REDIRECT, &location)
    }
}
