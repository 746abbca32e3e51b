//! The operators' listener: `/livez`, `/readyz`, `/metrics`. Plain HTTP on an address of its own;
//! serves nothing of any app and changes nothing.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, service::Service};
use serde::Serialize;

use crate::{
    head_guard::{HeadFault, RefuseHead},
    telemetry::SharedMetrics,
};

/// One provider in the detail of `/readyz`.
#[derive(Debug, Serialize)]
pub struct ProviderLine {
    /// Its name in the configuration.
    pub name: String,
    /// Whether sign-ins there can begin now.
    pub ready: bool,
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    sessions: u64,
    /// Detail only: those who are in can go on without a provider.
    providers: Vec<ProviderLine>,
}

/// Answers the operators' listener.
#[derive(Clone)]
pub struct Ops {
    metrics: SharedMetrics,
    sessions: Arc<dyn Fn() -> u64 + Send + Sync>,
    serving: Arc<dyn Fn() -> bool + Send + Sync>,
    providers: Arc<dyn Fn() -> Vec<ProviderLine> + Send + Sync>,
}

impl Ops {
    /// Endpoints that ask for live `sessions`, `serving` and `providers` whenever they are asked.
    pub fn new(
        metrics: SharedMetrics,
        sessions: impl Fn() -> u64 + Send + Sync + 'static,
        serving: impl Fn() -> bool + Send + Sync + 'static,
        providers: impl Fn() -> Vec<ProviderLine> + Send + Sync + 'static,
    ) -> Self {
        Self {
            metrics,
            sessions: Arc::new(sessions),
            serving: Arc::new(serving),
            providers: Arc::new(providers),
        }
    }

    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
            response
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match path {
            "/livez" => text(StatusCode::OK, "ok\n"),
            "/readyz" => self.readiness(),
            "/metrics" => {
                let body = self.metrics.text((self.sessions)());
                typed(
                    StatusCode::OK,
                    "application/openmetrics-text; version=1.0.0; charset=utf-8",
                    body,
                )
            }
            _ => text(StatusCode::NOT_FOUND, "not found\n"),
        }
    }

    /// Ready means: can serve those who are in. A provider that is down changes nothing about that.
    fn readiness(&self) -> Response<Full<Bytes>> {
        let ready = (self.serving)();
        let status = if ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        let readiness = Readiness {
            ready,
            sessions: (self.sessions)(),
            providers: (self.providers)(),
        };
        let body = serde_json::to_string(&readiness).unwrap_or_default();
        typed(status, "application/json", body)
    }
}

impl Service<Request<Incoming>> for Ops {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        ready(Ok(self.answer(request.method(), request.uri().path())))
    }
}

impl RefuseHead for Ops {
    fn refuse(&self, fault: HeadFault) -> Response<Bytes> {
        self.metrics.refused(fault.reason());
        let mut response = text(fault.status(), "").map(|_| Bytes::new());
        let length = HeaderValue::from(0);
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, length);
        response
    }
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    typed(status, "text/plain; charset=utf-8", body.to_owned())
}

fn typed(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
