//! Signing out at the tenant: its own session ends, then every client of it is told (`entra.md` 7).

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use serde_json::Value;
use url::Url;

use crate::demo::server::Answer;

use super::{
    emulator::Directory,
    pages,
    parameters::Parameters,
    registration::Person,
    state::{BrowserSession, State},
};

/// Answers a sign-out: the account picker, unless a hint names the account.
pub(super) fn logout(directory: &Directory, request: &Request<Bytes>) -> Answer {
    let (query, form) = match (Parameters::of_query(request), posted(request)) {
        (Ok(query), Ok(form)) => (query, form),
        (Err(fault), _) | (_, Err(fault)) => return pages::fault(&fault),
    };
    let parameter = |name: &str| form.value(name).or_else(|| query.value(name));
    let mut state = directory.state();
    let target = parameter("post_logout_redirect_uri")
        .and_then(|uri| registered_target(&state, uri, parameter("state")));

    let cookie = directory.cookie(request);
    let now = directory.clock.now();
    let session = cookie
        .as_ref()
        .and_then(|cookie| state.session(cookie.expose(), now))
        .cloned();
    let (Some(cookie), Some(session)) = (cookie, session) else {
        return onward(target.as_ref());
    };
    if let Some(person) = state.person(&session.person_id) {
        let chosen = form.value("person") == Some(person.id.as_str());
        let hinted = parameter("logout_hint").is_some_and(|hint| hint == person.login_hint())
            || parameter("id_token_hint").is_some_and(|token| is_about(token, person));
        if !chosen && !hinted {
            let action = picker_action(directory, &query, &form);
            return pages::sign_out_picker(&action, person);
        }
    }
    state.close_session(cookie.expose());
    let frames = front_channel(&state, &session);
    let mut answer = if frames.is_empty() {
        onward(target.as_ref())
    } else {
        pages::signing_out(&frames, target.as_ref().map(Url::as_str))
    };
    let expired = format!(
        "{}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0",
        directory.cookie_name
    );
    if let Ok(value) = HeaderValue::try_from(expired) {
        answer.headers_mut().insert(header::SET_COOKIE, value);
    }
    answer
}

fn posted(request: &Request<Bytes>) -> Result<Parameters, super::fault::Fault> {
    if request.method() == Method::POST {
        Parameters::of_form(request)
    } else {
        Ok(Parameters::default())
    }
}

/// The picker posts back to the same sign-out, whichever way its parameters came.
fn picker_action(directory: &Directory, query: &Parameters, form: &Parameters) -> String {
    let encoded = [query.encoded(), form.encoded()];
    let query: Vec<&str> = encoded
        .iter()
        .map(String::as_str)
        .filter(|it| !it.is_empty())
        .collect();
    format!(
        "/{}/oauth2/v2.0/logout?{}",
        directory.tenant_id,
        query.join("&")
    )
}

fn onward(target: Option<&Url>) -> Answer {
    match target {
        Some(target) => pages::redirect(target.as_str()),
        None => pages::signed_out(),
    }
}

/// A post-logout address must be a redirect URI of some client; anything else is ignored.
fn registered_target(state: &State, uri: &str, echo: Option<&str>) -> Option<Url> {
    let is_registered = state
        .clients
        .iter()
        .any(|client| client.redirect_uris.iter().any(|known| known == uri));
    let mut target = is_registered.then(|| Url::parse(uri).ok()).flatten()?;
    if let Some(echo) = echo {
        target.query_pairs_mut().append_pair("state", echo);
    }
    Some(target)
}

/// The addresses to load in frames: `?sid=` only, without `iss`, contrary to the specification.
fn front_channel(state: &State, session: &BrowserSession) -> Vec<String> {
    session
        .client_ids
        .iter()
        .filter_map(|client_id| state.client(client_id)?.front_channel_logout_uri.as_deref())
        .filter_map(|uri| Url::parse(uri).ok())
        .map(|mut uri| {
            uri.query_pairs_mut().append_pair("sid", &session.sid);
            uri.into()
        })
        .collect()
}

/// Whether an ID token is about a person. Its signature does not matter: it only spares a question
/// about a session whose cookie is there already.
fn is_about(token: &str, person: &Person) -> bool {
    let claims: Option<Value> = token
        .split('.')
        .nth(1)
        .and_then(|payload| BASE64_URL_SAFE_NO_PAD.decode(payload).ok())
        .and_then(|payload| serde_json::from_slice(&payload).ok());
    claims.is_some_and(|claims| claims["oid"] == *person.id)
}
