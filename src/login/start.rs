//! Begins a sign-in: fresh state, nonce and PKCE verifier, and the way to the provider.
//!
//! No I/O: an attempt to sign in costs a request to nobody, so that it can be made as often as
//! anybody likes. Nothing of the request but the return path goes into the provider's URL (S-078).

use http::StatusCode;

use super::{
    Answer, Door, Login,
    return_to::{ReturnTo, login_path},
    transaction::{Attempt, Trail},
};
use crate::{
    oidc::AuthorizationRequest,
    pages::{self, Notice},
    reserved::CALLBACK,
    telemetry::Decision,
};

impl Login {
    /// Sends a browser to the provider because it asked for `return_to` without a session.
    ///
    /// A browser that comes back again and again without the session it was given gets a page that
    /// says so: the loop explains itself.
    #[must_use]
    pub fn redirect_to_provider(
        &self,
        door: &Door<'_>,
        return_to: &ReturnTo,
        reason: &'static str,
    ) -> Answer {
        let trail = Trail::of(door.headers, door.now.wall, &self.key_ring);
        let returns = trail.map_or(0, |trail| trail.returns);
        if returns >= Trail::LIMIT {
            self.metrics
                .sign_in(&door.relying_party.name().0, false, "loop");
            let login = login_path(return_to);
            return door.notice(&Notice::Loop { login: &login }, Decision::Login, "loop");
        }
        self.begin(door, return_to, returns, reason)
    }

    /// `GET /.vestibule/login?return=PATH`: a person asks to sign in.
    #[must_use]
    pub fn login(&self, door: &Door<'_>, query: Option<&str>) -> Answer {
        let return_to = super::return_to::single_parameter(query, "return")
            .map_or_else(ReturnTo::default, |path| ReturnTo::new(&path));
        self.begin(door, &return_to, 0, "asked")
            .with_cookie(Trail::forget())
    }

    fn begin(
        &self,
        door: &Door<'_>,
        return_to: &ReturnTo,
        returns: u8,
        reason: &'static str,
    ) -> Answer {
        let attempt = Attempt::new(
            return_to.clone(),
            door.authority.clone(),
            door.relying_party.name().clone(),
            door.route.clone(),
            door.now.wall,
            returns,
        )
        .of_run(self.memory.run(), door.relying_party.standing());
        let redirect_uri = callback_url(door);
        let request = AuthorizationRequest {
            redirect_uri: &redirect_uri,
            state: &attempt.state,
            nonce: &attempt.nonce,
            pkce_verifier: &attempt.pkce_verifier,
            login_hint: None,
            prompt: None,
        };
        match door.relying_party.authorization_request(&request) {
            Ok(url) => {
                let response = pages::redirect(StatusCode::FOUND, url.as_str());
                let answer = Answer {
                    response,
                    decision: Decision::Login,
                    reason,
                };
                let lines = attempt.keep(door.headers, &self.key_ring);
                lines.into_iter().fold(answer, Answer::with_cookie)
            }
            Err(unavailable) => {
                self.metrics
                    .sign_in(&door.relying_party.name().0, false, "provider_unavailable");
                let login = login_path(return_to);
                let retry_after = unavailable.retry_after;
                let notice = Notice::ProviderDown {
                    retry_after,
                    login: &login,
                };
                door.notice(&notice, Decision::Unavailable, "provider_unavailable")
            }
        }
    }
}

/// The redirect URI of a host: the same for every sign-in there, from configuration alone (S-179).
pub(super) fn callback_url(door: &Door<'_>) -> String {
    format!("{}{CALLBACK}", door.origin())
}
