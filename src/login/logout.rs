//! Signing out: the session here ends first, then the one at the provider (OIDC RP-Initiated
//! Logout 1.0 2).
//!
//! Another site must not be able to sign anybody out: only a GET that the browser calls same-origin,
//! or a form that carries our token, ends a session.

use http::{HeaderMap, Method, header::ORIGIN};

use super::{
    Answer, Door, Login,
    return_to::{ReturnTo, login_path, single_parameter},
};
use crate::{
    oidc::LogoutRequest,
    pages::Notice,
    reserved::{LOGOUT, SIGNED_OUT},
    session::{EndCause, Selection, Session, StoreError, cookie},
    telemetry::{Decision, chain},
};

/// What the form's token is signed for.
const FORM_PURPOSE: &str = "sign-out form";
/// What the state that comes back from the provider is sealed for.
const STATE_PURPOSE: &str = "sign-out return";

impl Login {
    /// `GET` or `POST /.vestibule/logout`: ends the session, or asks first.
    #[must_use]
    pub fn logout(
        &self,
        door: &Door<'_>,
        method: &Method,
        query: Option<&str>,
        form: Option<&str>,
    ) -> Answer {
        let parameters = if method == Method::POST { form } else { query };
        let return_to = single_parameter(parameters, "return")
            .map_or_else(ReturnTo::default, |path| ReturnTo::new(&path));
        if method == Method::POST && is_from_elsewhere(door.headers, &door.origin()) {
            return door.notice(&Notice::CrossSite, Decision::Refuse, "cross_site");
        }
        let Some(session) = door.session else {
            // Nobody to sign out. The cookie goes only at the person's own wish: another site may have
            // sent the browser here, for a host whose session counts at another port.
            let answer = Answer::see_other(&signed_out_url(door), "no_session");
            let typed = door
                .headers
                .get("sec-fetch-site")
                .is_some_and(|site| site == "none");
            return if typed || is_own_navigation(door.headers) {
                answer.with_cookie(cookie::clear())
            } else {
                answer
            };
        };
        if method == Method::POST {
            let token = single_parameter(form, "token").unwrap_or_default();
            let subject = session.key();
            if !self
                .key_ring
                .is_signed(FORM_PURPOSE, subject.as_bytes(), &token)
            {
                return door.notice(&Notice::CrossSite, Decision::Refuse, "cross_site");
            }
        } else if !is_own_navigation(door.headers) {
            return self.ask_before(door, session, &return_to);
        }
        match self.sign_out(door, session, &return_to) {
            Ok(answer) => answer,
            Err(error) => {
                let error = chain(&error);
                tracing::error!(error, "failed to end a session");
                door.notice(
                    &Notice::StoreDown,
                    Decision::Unavailable,
                    "store_unavailable",
                )
            }
        }
    }

    /// `GET /.vestibule/signed-out`: says so, and never signs in.
    #[must_use]
    pub fn signed_out(&self, door: &Door<'_>, query: Option<&str>) -> Answer {
        let return_to = single_parameter(query, "state")
            .and_then(|state| self.key_ring.open_sealed(STATE_PURPOSE, &state).ok())
            .and_then(|plain| String::from_utf8(plain).ok())
            .map_or_else(ReturnTo::default, |path| ReturnTo::new(&path));
        let login = login_path(&return_to);
        door.notice(
            &Notice::SignedOut { login: &login },
            Decision::Own,
            "signed_out",
        )
    }

    fn ask_before(&self, door: &Door<'_>, session: &Session, return_to: &ReturnTo) -> Answer {
        let token = self.key_ring.sign(FORM_PURPOSE, session.key().as_bytes());
        let provider = self.end_session_url(door, session, return_to);
        let origin = provider.map(|url| url.origin().ascii_serialization());
        let notice = Notice::SignOut {
            token: token.expose(),
            return_to: return_to.as_str(),
            action: LOGOUT,
            provider_origin: origin.as_deref(),
        };
        door.notice(&notice, Decision::Own, "asked")
    }

    fn sign_out(
        &self,
        door: &Door<'_>,
        session: &Session,
        return_to: &ReturnTo,
    ) -> Result<Answer, StoreError> {
        let provider = self.end_session_url(door, session, return_to);
        self.store
            .end(&Selection::Key(session.key()), EndCause::SignedOut)?;
        tracing::info!(
            request_id = door.page.request_id,
            person = %session.identity().person(),
            "signed out"
        );
        let location = match provider {
            Some(url) => url.to_string(),
            None => signed_out_url(door),
        };
        Ok(Answer::see_other(&location, "signed_out").with_cookie(cookie::clear()))
    }

    fn end_session_url(
        &self,
        door: &Door<'_>,
        session: &Session,
        return_to: &ReturnTo,
    ) -> Option<url::Url> {
        let state = (return_to != &ReturnTo::default()).then(|| {
            self.key_ring
                .seal(STATE_PURPOSE, return_to.as_str().as_bytes())
        });
        door.relying_party.end_session_url(&LogoutRequest {
            post_logout_redirect_uri: &signed_out_url(door),
            logout_hint: session.identity().login_hint(),
            id_token_hint: session.id_token_hint(),
            state: state.as_ref(),
        })
    }
}

fn signed_out_url(door: &Door<'_>) -> String {
    format!("{}{SIGNED_OUT}", door.origin())
}

/// A person's own step from a page of this very origin: no picture, no prefetch. Browsers that do not
/// say so get the button.
fn is_own_navigation(headers: &HeaderMap) -> bool {
    let is = |name: &str, expected: &str| {
        let mut values = headers.get_all(name).iter();
        values.next().is_some_and(|value| value == expected) && values.next().is_none()
    };
    is("sec-fetch-site", "same-origin")
        && is("sec-fetch-mode", "navigate")
        && is("sec-fetch-dest", "document")
        && !headers.contains_key("sec-purpose")
        && !headers.contains_key("purpose")
}

/// A POST that says itself that another site made it; the form's token is the proof, this comes on top.
///
/// `Origin: null` says nothing: our pages send no referrer, and then browsers write just that.
fn is_from_elsewhere(headers: &HeaderMap, origin: &str) -> bool {
    match headers.get("sec-fetch-site") {
        Some(site) => site != "same-origin" && site != "none",
        None => headers
            .get(ORIGIN)
            .is_some_and(|value| value != origin && value != "null"),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_form_of_another_site_is_known_by_either_header() {
        let origin = "https://wiki.example.com";
        let with = |name: &'static str, value: &'static str| {
            HeaderMap::from_iter([(
                http::HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )])
        };
        for elsewhere in [
            with("origin", "https://evil.test"),
            with("origin", "https://wiki.example.com:8443"),
            with("sec-fetch-site", "cross-site"),
            with("sec-fetch-site", "same-site"),
        ] {
            assert!(is_from_elsewhere(&elsewhere, origin), "{elsewhere:?}");
            assert!(!is_own_navigation(&elsewhere));
        }
        assert!(!is_from_elsewhere(
            &with("origin", "https://wiki.example.com"),
            origin
        ));
        assert!(!is_from_elsewhere(&with("origin", "null"), origin));
        assert!(!is_from_elsewhere(&HeaderMap::new(), origin));
        let own = [
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        let headers = |fields: &[(&'static str, &'static str)]| {
            fields
                .iter()
                .map(|(name, value)| {
                    (
                        http::HeaderName::from_static(name),
                        HeaderValue::from_static(value),
                    )
                })
                .collect::<HeaderMap>()
        };
        assert!(is_own_navigation(&headers(&own)));
        for odd in [
            ("sec-fetch-site", "none"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-mode", "no-cors"),
            ("sec-fetch-dest", "image"),
            ("sec-fetch-dest", "iframe"),
            ("sec-purpose", "prefetch"),
        ] {
            let fields: Vec<_> = own.into_iter().chain([odd]).collect();
            assert!(!is_own_navigation(&headers(&fields)), "{odd:?}");
        }
    }
}
