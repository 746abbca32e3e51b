//! The provider's answer: local checks first, then the code for a token, a new session, and back.
//!
//! Never begins another attempt by itself, never takes a token from the front channel, and sends no
//! code before its attempt is found, fresh, of this host, and marked as used (RFC 9700 4.7; S-177).

use std::sync::Arc;

use super::{
    Answer, Door, Login,
    fault::ProviderFault,
    inherit::{self, Newcomer},
    memory::Finished,
    return_to::{ReturnTo, login_path},
    start::callback_url,
    transaction::{Attempt, AttemptError, Trail},
};
use crate::{
    identity::{PersonKey, ProviderSessionId},
    oidc::{self, AnswerIssuerError, Blame, Expected, SignInError, SignedIn},
    pages::{self, Notice, SignInFault},
    secret::{Secret, digest_of},
    session::{EndCause, Selection, Session, SessionToken, SignIn, StoreError, cookie},
    telemetry::{Decision, chain},
};

/// The word for a sign-in that came to a session.
const SIGNED_IN: &str = "signed_in";
const FAILED: &str = "failed to sign somebody in";

/// The parameters of an answer that count, each of them at most once.
#[derive(Default)]
struct Parameters {
    code: Option<Secret>,
    state: Option<String>,
    iss: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
    session_state: Option<String>,
    token: bool,
}

/// An answer that is refused before anybody is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Malformed(&'static str);

/// The longest query that is looked at, in bytes; codes are long, answers are not.
const MAX_QUERY_BYTES: usize = 16 * 1024;

impl Parameters {
    /// Reads a query; a parameter that counts and comes twice makes it malformed (S-079).
    fn read(query: Option<&str>) -> Result<Self, Malformed> {
        let query = query.unwrap_or_default();
        if query.len() > MAX_QUERY_BYTES {
            return Err(Malformed("query_too_long"));
        }
        let mut read = Self::default();
        let mut code = None;
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let slot = match name.as_ref() {
                "code" => &mut code,
                "state" => &mut read.state,
                "iss" => &mut read.iss,
                "error" => &mut read.error,
                "error_description" => &mut read.error_description,
                "session_state" => &mut read.session_state,
                "id_token" | "access_token" => {
                    read.token = true;
                    continue;
                }
                _ => continue,
            };
            if slot.replace(value.into_owned()).is_some() {
                return Err(Malformed("doubled_parameter"));
            }
        }
        read.code = code.filter(|code| !code.is_empty()).map(Secret::new);
        if read.token {
            return Err(Malformed("front_channel_token"));
        }
        if read.error.is_some() && read.code.is_some() {
            return Err(Malformed("error_with_code"));
        }
        Ok(read)
    }
}

impl Login {
    /// `GET /.vestibule/callback`: what the provider sent the browser back with.
    pub async fn callback(&self, door: &Door<'_>, query: Option<&str>) -> Answer {
        let parameters = match Parameters::read(query) {
            Ok(parameters) => parameters,
            Err(Malformed(reason)) => {
                return self.failed(door, reason, SignInFault::AnswerInvalid, None, None);
            }
        };
        let state = parameters.state.clone().unwrap_or_default();
        let ring = &self.key_ring;
        let found = Attempt::find(door.headers, &state, door.authority, door.now.wall, ring);
        let used = used_key(door, &state);
        if let Some(used) = self.memory.used(&used) {
            return self.used_before(door, used.led_to.as_ref());
        }
        let attempt = match found {
            Ok(attempt) if self.memory.knows(attempt.run) => attempt,
            // It may have been used where nobody is left to say so.
            Ok(attempt) => return self.no_attempt(door, AttemptError::Expired(attempt.return_to)),
            Err(error) => return self.no_attempt(door, error),
        };
        // From before the code is sent: two answers at once cannot both pass.
        if !self.memory.use_once(used) {
            return self.used_before(door, None);
        }
        self.finish(door, &attempt, parameters)
            .await
            .with_cookie(Attempt::drop_cookie(&state))
    }

    async fn finish(&self, door: &Door<'_>, attempt: &Attempt, answer: Parameters) -> Answer {
        let back = Some(&attempt.return_to);
        let provider = &door.relying_party;
        if provider.name() != &attempt.provider || provider.standing() != attempt.standing {
            return self.failed(
                door,
                "provider_changed",
                SignInFault::AnswerInvalid,
                None,
                back,
            );
        }
        match door.relying_party.answer_issuer(answer.iss.as_deref()) {
            Ok(()) => {}
            Err(error @ AnswerIssuerError::Unavailable(_)) => {
                return self.provider_down(door, attempt, error.reason());
            }
            Err(error) => {
                return self.failed(door, error.reason(), SignInFault::AnswerInvalid, None, back);
            }
        }
        if let Some(error) = &answer.error {
            return self.provider_said_no(door, attempt, error, &answer);
        }
        let Some(code) = answer.code else {
            return self.failed(door, "no_code", SignInFault::AnswerInvalid, None, back);
        };
        let expected = Expected {
            redirect_uri: callback_url(door),
            nonce: attempt.nonce.clone(),
            pkce_verifier: attempt.pkce_verifier.clone(),
        };
        // Anybody can make attempts and codes: what they cost us at the provider has a bound.
        let Ok(permit) = Arc::clone(&self.redemptions).try_acquire_owned() else {
            return self.provider_down(door, attempt, "too_many_sign_ins");
        };
        let relying_party = Arc::clone(door.relying_party);
        let redeemed = self.control.spawn(async move {
            let _permit = permit;
            relying_party.redeem(&code, &expected).await
        });
        match redeemed.await {
            Ok(Ok(signed_in)) => self.admit(door, attempt, signed_in, answer.session_state),
            Ok(Err(error)) => self.not_redeemed(door, attempt, &error),
            Err(panic) => {
                tracing::error!(%panic, "failed to redeem a code");
                self.metrics.panicked();
                door.notice(&Notice::Internal, Decision::Unavailable, "internal")
            }
        }
    }

    /// A verified person: a new session, and the one this browser had before ends.
    fn admit(
        &self,
        door: &Door<'_>,
        attempt: &Attempt,
        signed_in: SignedIn,
        session_state: Option<String>,
    ) -> Answer {
        match self.new_session(door, attempt, signed_in, session_state) {
            Ok(None) => self.start_again(
                door,
                pages::Attempt::Expired,
                "ended_at_provider",
                &attempt.return_to,
            ),
            Ok(Some(token)) => {
                let finished = Finished {
                    session: token.key(),
                    return_to: attempt.return_to.clone(),
                };
                let used = used_key(door, attempt.state.expose());
                self.memory.finish(used, finished);
                self.metrics.sign_in(&attempt.provider.0, true, SIGNED_IN);
                let returns = attempt.returns.saturating_add(1);
                let trail = Trail { returns }.leave(door.now.wall, &self.key_ring);
                let location = attempt.return_to.on(&door.authority.in_https_url());
                Answer::see_other(&location, SIGNED_IN)
                    .with_cookie(cookie::set(&token))
                    .with_cookie(trail)
            }
            Err(error) => {
                let error = chain(&error);
                tracing::error!(error, "failed to keep a new session");
                self.metrics
                    .sign_in(&attempt.provider.0, false, "store_unavailable");
                door.notice(
                    &Notice::StoreDown,
                    Decision::Unavailable,
                    "store_unavailable",
                )
            }
        }
    }

    fn new_session(
        &self,
        door: &Door<'_>,
        attempt: &Attempt,
        signed_in: SignedIn,
        session_state: Option<String>,
    ) -> Result<Option<SessionToken>, StoreError> {
        let identity = signed_in.identity;
        let is_entra = matches!(identity.person(), PersonKey::Entra { .. });
        let sid = identity.sid().cloned().or_else(|| {
            // Entra's `session_state` is the `sid` of its front-channel logout (`entra.md` 2).
            let own = |it: &String| is_entra && is_short(it);
            session_state.filter(own).map(ProviderSessionId)
        });
        if let Some(sid) = &sid
            && self.memory.has_ended(&attempt.provider, sid)
        {
            return Ok(None);
        }
        let now = self.clock.now();
        let person = Selection::Person(identity.person().clone());
        let others = self.store.select(&person)?;
        let newcomer = Newcomer {
            identity: &identity,
            authority: door.authority,
            presented: door.session.map(|session| session.key()),
        };
        let own_end = now.deadline_after(door.session_lifetime.duration());
        let others = others.iter().map(AsRef::as_ref);
        let deadline = inherit::deadline(own_end, &newcomer, others);
        if let Some(before) = door.session {
            self.store
                .end(&Selection::Key(before.key()), EndCause::Replaced)?;
        }
        let token = SessionToken::random();
        let session = Session::new(
            token.key(),
            identity,
            SignIn {
                standing: door.relying_party.standing(),
                sid,
                at: now.wall,
            },
            door.authority.clone(),
            attempt.route.clone(),
            deadline,
        );
        let session = match signed_in.id_token_hint {
            Some(hint) => session.with_id_token_hint(hint),
            None => session,
        };
        let session = self.store.insert(session)?;
        tracing::info!(
            request_id = door.page.request_id,
            person = %session.identity().person(),
            provider = %attempt.provider,
            route = %attempt.route,
            expires_at = %session.deadline().wall,
            "signed in"
        );
        Ok(Some(token))
    }

    /// The same answer again: on to the page for the person whose sign-in it was, else to a new
    /// start. Nobody else learns where it went.
    fn used_before(&self, door: &Door<'_>, finished: Option<&Finished>) -> Answer {
        let presented = door.session.map(|session| session.key());
        if let Some(finished) = finished.filter(|it| Some(it.session) == presented) {
            let location = finished.return_to.on(&door.authority.in_https_url());
            return Answer::see_other(&location, "used_state");
        }
        let home = ReturnTo::default();
        self.start_again(door, pages::Attempt::Used, "used_state", &home)
    }

    fn no_attempt(&self, door: &Door<'_>, error: AttemptError) -> Answer {
        let home = ReturnTo::default();
        match error {
            AttemptError::Expired(return_to) => {
                self.start_again(door, pages::Attempt::Expired, "expired_state", &return_to)
            }
            AttemptError::Foreign => {
                self.metrics
                    .sign_in(&door.relying_party.name().0, false, "foreign_key_ring");
                // Anybody can write such a cookie: said, but not with every request.
                if self.foreign_ring.is_due(door.now.wall) {
                    tracing::warn!(
                        request_id = door.page.request_id,
                        "a sign-in looks begun by another vestibule: do two of them serve this \
                         host without a shared store?"
                    );
                }
                door.notice(
                    &Notice::TwoVestibules,
                    Decision::Unavailable,
                    "foreign_key_ring",
                )
            }
            AttemptError::Unknown => {
                self.start_again(door, pages::Attempt::Unknown, "unknown_state", &home)
            }
        }
    }

    fn start_again(
        &self,
        door: &Door<'_>,
        why: pages::Attempt,
        reason: &'static str,
        return_to: &ReturnTo,
    ) -> Answer {
        self.metrics
            .sign_in(&door.relying_party.name().0, false, reason);
        let login = login_path(return_to);
        door.notice(
            &Notice::StartAgain {
                reason: why,
                login: &login,
            },
            Decision::Refuse,
            reason,
        )
    }

    fn provider_said_no(
        &self,
        door: &Door<'_>,
        attempt: &Attempt,
        error: &str,
        answer: &Parameters,
    ) -> Answer {
        if ProviderFault::is_passing(error) {
            return self.provider_down(door, attempt, "provider_passing_fault");
        }
        let code = answer
            .error_description
            .as_deref()
            .and_then(oidc::aadsts_number);
        let fault = ProviderFault::new(error, code);
        self.failed(
            door,
            fault.reason,
            fault.what,
            fault.code,
            Some(&attempt.return_to),
        )
    }

    fn not_redeemed(&self, door: &Door<'_>, attempt: &Attempt, error: &SignInError) -> Answer {
        let reason = error.reason();
        let (request_id, code) = (door.page.request_id, error.aadsts());
        let (provider, whole) = (attempt.provider.0.as_str(), chain(error));
        // What any browser can bring about is no reason to wake an operator.
        if error.blame() == Blame::Undecided {
            tracing::info!(
                request_id,
                provider,
                reason,
                code,
                error = whole,
                "{FAILED}"
            );
        } else {
            tracing::warn!(
                request_id,
                provider,
                reason,
                code,
                error = whole,
                "{FAILED}"
            );
        }
        let back = Some(&attempt.return_to);
        match (error, error.oauth_error()) {
            (_, Some(word)) if ProviderFault::is_passing(word) => {
                self.provider_down(door, attempt, reason)
            }
            (_, Some(word)) => {
                let fault = ProviderFault::new(word, error.aadsts());
                self.failed(door, reason, fault.what, fault.code, back)
            }
            (SignInError::IdToken(_) | SignInError::Identity(_), _) => {
                self.failed(door, reason, SignInFault::AnswerInvalid, None, back)
            }
            _ => self.provider_down(door, attempt, reason),
        }
    }

    fn provider_down(&self, door: &Door<'_>, attempt: &Attempt, reason: &'static str) -> Answer {
        self.metrics.sign_in(&attempt.provider.0, false, reason);
        let login = login_path(&attempt.return_to);
        let retry_after = std::time::Duration::from_secs(10);
        let notice = Notice::ProviderDown {
            retry_after,
            login: &login,
        };
        door.notice(&notice, Decision::Unavailable, reason)
    }

    fn failed(
        &self,
        door: &Door<'_>,
        reason: &'static str,
        what: SignInFault,
        provider_code: Option<u32>,
        return_to: Option<&ReturnTo>,
    ) -> Answer {
        self.metrics
            .sign_in(&door.relying_party.name().0, false, reason);
        let login = login_path(return_to.unwrap_or(&ReturnTo::default()));
        let notice = Notice::SignInFailed {
            what,
            provider_code,
            login: &login,
        };
        door.notice(&notice, Decision::Refuse, reason)
    }
}

/// Under which name a used state is remembered: on the host it was used on.
fn used_key(door: &Door<'_>, state: &str) -> [u8; 32] {
    let host = door.authority.in_https_url();
    digest_of(&[b"used state", host.as_bytes(), state.as_bytes()])
}

/// What an index of sessions can hold without being stretched from outside.
pub(super) fn is_short(text: &str) -> bool {
    (1..=256).contains(&text.len()) && !text.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn malformed(query: &str) -> Option<&'static str> {
        Parameters::read(Some(query))
            .err()
            .map(|Malformed(reason)| reason)
    }

    #[test]
    fn a_parameter_that_counts_may_come_once() {
        // S-079
        for query in [
            "code=A&code=B&state=S",
            "state=S&state=S",
            "iss=a&iss=b",
            "error=a&error=b",
        ] {
            assert_eq!(malformed(query), Some("doubled_parameter"), "{query}");
        }
        assert_eq!(malformed("state=S&code=A&foo=1&foo=2"), None);
    }

    #[test]
    fn tokens_of_the_front_channel_and_mixed_answers_are_refused() {
        // S-146, S-185
        assert_eq!(malformed("state=S&id_token=x"), Some("front_channel_token"));
        assert_eq!(
            malformed("state=S&code=A&access_token=x"),
            Some("front_channel_token")
        );
        assert_eq!(malformed("state=S&code=A&error=x"), Some("error_with_code"));
        assert_eq!(malformed(&"a".repeat(1 << 20)), Some("query_too_long"));
    }

    #[test]
    fn odd_queries_are_read_without_a_fault() {
        // S-075
        for query in [
            "",
            "?",
            "?&",
            "state",
            "state=",
            "code=&state=",
            ";",
            "&&&",
            "%",
            "%zz=%",
        ] {
            let read = Parameters::read(Some(query)).ok().unwrap();
            assert!(read.code.is_none(), "{query}");
        }
    }
}
