//! What went wrong, in Entra ID's terms: the OAuth error, the AADSTS number and a sentence
//! (`entra.md` 2.1). The sentences are this emulator's own; only the shape is Entra's.

use http::StatusCode;
use serde_json::json;

use crate::{
    clock::Timestamp,
    demo::{
        server::{Answer, answer},
        text::random_guid,
    },
};

/// One failure.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Fault {
    /// The OAuth error code, the only part a client may branch on.
    pub(super) error: &'static str,
    /// The number behind `AADSTS`.
    pub(super) code: u32,
    text: String,
}

impl Fault {
    pub(super) fn new(error: &'static str, code: u32, text: impl Into<String>) -> Self {
        Self {
            error,
            code,
            text: text.into(),
        }
    }

    pub(super) fn invalid_grant(code: u32, text: impl Into<String>) -> Self {
        Self::new("invalid_grant", code, text)
    }

    pub(super) fn invalid_request(code: u32, text: impl Into<String>) -> Self {
        Self::new("invalid_request", code, text)
    }

    pub(super) fn unknown_client(client_id: &str) -> Self {
        Self::new(
            "unauthorized_client",
            700_016,
            format!("Application with identifier '{client_id}' was not found in the directory."),
        )
    }

    pub(super) fn unknown_tenant(tenant: &str) -> Self {
        Self::new(
            "invalid_tenant",
            90_002,
            format!("Tenant '{tenant}' not found. Check the tenant id and the cloud."),
        )
    }

    pub(super) fn disabled_person() -> Self {
        Self::invalid_grant(50_057, "The user account is disabled.")
    }

    /// `AADSTSnnnnn: text`, the first line of a description.
    pub(super) fn headline(&self) -> String {
        format!("AADSTS{}: {}", self.code, self.text)
    }

    /// Where Entra ID would explain the number.
    pub(super) fn error_uri(&self, origin: &str) -> String {
        format!("{origin}/error?code={}", self.code)
    }

    /// The body of the token endpoint and of discovery.
    pub(super) fn json(&self, origin: &str, now: Timestamp) -> Answer {
        let status = match self.error {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            _ => StatusCode::BAD_REQUEST,
        };
        let (trace, correlation) = (random_guid(), random_guid());
        // `2016-01-09 02:02:12Z`, not quite RFC 3339.
        let timestamp = now.to_string().replace('T', " ");
        let body = json!({
            "error": self.error,
            "error_description": format!(
                "{}\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {timestamp}",
                self.headline()
            ),
            "error_codes": [self.code],
            "timestamp": timestamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": self.error_uri(origin),
        });
        answer(status, "application/json; charset=utf-8", body.to_string())
    }
}
