//! Sign-out that begins at the provider: its page loads ours in a frame (OIDC Front-Channel Logout 1.0
//! 2, `entra.md` 7).
//!
//! The frame brings no cookie, so the provider's own session id alone says which sessions end. Who
//! guesses one can sign somebody out, and no more; nothing is revoked at the provider.

use http::{StatusCode, header};

use super::{
    Answer, Door, Login,
    callback::is_short,
    return_to::{has_parameter, single_parameter},
};
use crate::{
    identity::ProviderSessionId,
    pages,
    session::{EndCause, Selection},
    telemetry::{Decision, chain},
};

impl Login {
    /// `GET /.vestibule/frontchannel-logout?sid=`: ends every session that came from that one, on
    /// all hosts. Entra ID sends no `iss`; one that is there must be this provider's.
    #[must_use]
    pub fn frontchannel_logout(&self, door: &Door<'_>, query: Option<&str>) -> Answer {
        let ours = !has_parameter(query, "iss")
            || single_parameter(query, "iss")
                .is_some_and(|issuer| door.relying_party.answer_issuer(Some(&issuer)).is_ok());
        let sid = single_parameter(query, "sid").filter(|sid| ours && is_short(sid));
        let Some(sid) = sid else {
            return framed(StatusCode::OK, "nothing_to_end");
        };
        let provider = door.relying_party.name().clone();
        let sid = ProviderSessionId(sid);
        // First for what is under way: its session is not there yet to be ended.
        self.memory.end_sid(provider.clone(), sid.clone());
        let selection = Selection::Sid(provider, sid);
        match self.store.end(&selection, EndCause::Revoked) {
            Ok(ended) => {
                tracing::info!(
                    request_id = door.page.request_id,
                    ended,
                    "signed out at the provider"
                );
                framed(StatusCode::OK, "provider_logout")
            }
            Err(error) => {
                let error = chain(&error);
                tracing::error!(error, "failed to end sessions at the provider's word");
                framed(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable")
            }
        }
    }
}

/// An empty answer that any page may frame; there is nothing in it to click on.
fn framed(status: StatusCode, reason: &'static str) -> Answer {
    let mut response = pages::empty(status);
    response.headers_mut().remove(header::X_FRAME_OPTIONS);
    response.headers_mut().insert(
        header::CONTENT_SECURITY_POLICY,
        header::HeaderValue::from_static("default-src 'none'"),
    );
    response.headers_mut().insert(
        "cross-origin-resource-policy",
        header::HeaderValue::from_static("cross-origin"),
    );
    let decision = if status.is_success() {
        Decision::Own
    } else {
        Decision::Unavailable
    };
    Answer {
        response,
        decision,
        reason,
    }
}
