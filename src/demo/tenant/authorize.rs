//! The authorization endpoint and the sign-in form behind it (`entra.md` 2).
//!
//! An answer never goes to an address that is not registered: whatever is wrong with the client or
//! the redirect URI stays on a page here.

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use url::Url;

use crate::{clock::Moment, demo::server::Answer, secret::Secret};

use super::{
    emulator::Directory,
    fault::Fault,
    pages,
    parameters::Parameters,
    state::{Grant, State},
};

/// Answers an authorization request: at once if the browser is signed in, else with the form.
pub(super) fn authorize(directory: &Directory, request: &Request<Bytes>) -> Answer {
    let parameters = if request.method() == http::Method::POST {
        Parameters::of_form(request)
    } else {
        Parameters::of_query(request)
    };
    let now = directory.clock.now();
    let mut state = directory.state();
    let (parameters, authorization) = match parameters
        .map_err(Refusal::Page)
        .and_then(|them| Ok((AuthorizationRequest::read(&them, &state)?, them)))
    {
        Ok((authorization, parameters)) => (parameters, authorization),
        Err(refusal) => return refusal.answer(directory),
    };
    let cookie = directory.cookie(request);
    match silent(&mut state, &authorization, cookie.as_ref(), now) {
        Silent::SignedIn(person_id) => grant(directory, &mut state, &authorization, &person_id, {
            // Only a cookie leads to a signed-in person.
            cookie.as_ref().map_or("", Secret::expose)
        }),
        Silent::Disabled if authorization.prompt != Prompt::None => {
            pages::fault(&Fault::disabled_person())
        }
        Silent::Disabled => {
            let fault = Fault::new("interaction_required", 50_057, "The account is disabled.");
            authorization.reply_to.fault(directory, &fault)
        }
        Silent::Nobody if authorization.prompt == Prompt::None => {
            let fault = Fault::new("login_required", 50_058, "Nobody is signed in.");
            authorization.reply_to.fault(directory, &fault)
        }
        Silent::Nobody => {
            let action = format!("/{}/login?{}", directory.tenant_id, parameters.encoded());
            pages::sign_in(&action, &state.people, authorization.login_hint.as_deref())
        }
    }
}

/// Takes in the sign-in form: the query is the authorization request once more.
pub(super) fn sign_in(directory: &Directory, request: &Request<Bytes>) -> Answer {
    let now = directory.clock.now();
    let mut state = directory.state();
    let authorization = match Parameters::of_query(request)
        .map_err(Refusal::Page)
        .and_then(|parameters| AuthorizationRequest::read(&parameters, &state))
    {
        Ok(authorization) => authorization,
        Err(refusal) => return refusal.answer(directory),
    };
    let form = match Parameters::of_form(request) {
        Ok(form) => form,
        Err(fault) => return pages::fault(&fault),
    };
    if form.value("cancel").is_some() {
        // As observed at Entra ID: without a description (`entra.md` 2).
        let pairs = [("error", "access_denied"), ("error_subcode", "cancel")];
        return authorization.reply_to.answer(&pairs);
    }
    let person_id = match form.required("person").map(|id| state.person(id)) {
        Ok(Some(person)) if person.disabled => return pages::fault(&Fault::disabled_person()),
        Ok(Some(person)) => person.id.clone(),
        Ok(None) => {
            let fault = Fault::invalid_grant(50_034, "The account is not in this directory.");
            return pages::fault(&fault);
        }
        Err(fault) => return pages::fault(&fault),
    };
    if let Some(former) = directory.cookie(request) {
        state.close_session(former.expose());
    }
    let cookie = state.open_session(&person_id, now);
    let mut answer = grant(
        directory,
        &mut state,
        &authorization,
        &person_id,
        cookie.expose(),
    );
    let set_cookie = format!(
        "{}={}; Path=/; HttpOnly; SameSite=Lax",
        directory.cookie_name,
        cookie.expose()
    );
    if let Ok(value) = HeaderValue::try_from(set_cookie) {
        answer.headers_mut().insert(header::SET_COOKIE, value);
    }
    answer
}

/// Whether somebody can be sent back without being asked anything.
enum Silent {
    Disabled,
    Nobody,
    SignedIn(String),
}

fn silent(
    state: &mut State,
    authorization: &AuthorizationRequest,
    cookie: Option<&Secret>,
    now: Moment,
) -> Silent {
    if authorization.prompt == Prompt::Ask {
        return Silent::Nobody;
    }
    let Some(person_id) = cookie
        .and_then(|cookie| state.session(cookie.expose(), now))
        .map(|session| session.person_id.clone())
    else {
        return Silent::Nobody;
    };
    let hint = authorization.login_hint.as_deref();
    match state.person(&person_id) {
        Some(person) if hint.is_some_and(|hint| !person.is_hinted_by(hint)) => Silent::Nobody,
        Some(person) if person.disabled => Silent::Disabled,
        Some(_) => Silent::SignedIn(person_id),
        None => Silent::Nobody,
    }
}

fn grant(
    directory: &Directory,
    state: &mut State,
    authorization: &AuthorizationRequest,
    person_id: &str,
    cookie: &str,
) -> Answer {
    let now = directory.clock.now();
    let Some(session) = state.session(cookie, now) else {
        let fault = Fault::new("login_required", 50_058, "Nobody is signed in.");
        return authorization.reply_to.fault(directory, &fault);
    };
    session.client_ids.insert(authorization.client_id.clone());
    let sid = session.sid.clone();
    let grant = Grant {
        client_id: authorization.client_id.clone(),
        redirect_uri: authorization.redirect_uri.clone(),
        person_id: person_id.to_owned(),
        sid: sid.clone(),
        scopes: authorization.scopes.clone(),
        nonce: authorization.nonce.clone(),
        code_challenge: authorization.code_challenge.clone(),
    };
    let code = state.issue_code(grant, now);
    authorization
        .reply_to
        .answer(&[("code", &code), ("session_state", &sid)])
}

/// An authorization request that was found in order.
struct AuthorizationRequest {
    client_id: String,
    redirect_uri: String,
    reply_to: ReplyTo,
    scopes: Vec<String>,
    nonce: Option<String>,
    code_challenge: Option<String>,
    prompt: Prompt,
    login_hint: Option<String>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Prompt {
    /// `login` and `select_account`: the form, whoever is signed in.
    Ask,
    /// Nothing, or `consent`, which was given for everybody.
    IfNeeded,
    None,
}

impl AuthorizationRequest {
    fn read(parameters: &Parameters, state: &State) -> Result<Self, Refusal> {
        let client_id = parameters.required("client_id").map_err(Refusal::Page)?;
        let client = state
            .client(client_id)
            .ok_or_else(|| Refusal::Page(Fault::unknown_client(client_id)))?;
        let redirect_uri = parameters.required("redirect_uri").map_err(Refusal::Page)?;
        let target = client
            .redirect_uris
            .iter()
            .any(|registered| registered == redirect_uri)
            .then(|| Url::parse(redirect_uri).ok())
            .flatten()
            .ok_or_else(|| Refusal::Page(unregistered(redirect_uri, client_id)))?;
        let reply_to = ReplyTo {
            target,
            mode: ResponseMode::read(parameters.value("response_mode")).map_err(Refusal::Page)?,
            state: parameters.value("state").map(str::to_owned),
        };
        match Details::read(parameters) {
            Ok(details) => Ok(Self {
                client_id: client_id.to_owned(),
                redirect_uri: redirect_uri.to_owned(),
                reply_to,
                scopes: details.scopes,
                nonce: parameters.value("nonce").map(str::to_owned),
                code_challenge: details.code_challenge,
                prompt: details.prompt,
                login_hint: parameters.value("login_hint").map(str::to_owned),
            }),
            Err(fault) => Err(Refusal::Redirect(Box::new(reply_to), fault)),
        }
    }
}

fn unregistered(redirect_uri: &str, client_id: &str) -> Fault {
    Fault::invalid_request(
        50_011,
        format!(
            "The redirect URI '{redirect_uri}' does not match one configured for the application \
             '{client_id}'."
        ),
    )
}

/// The part of a request whose faults go back to the client.
struct Details {
    scopes: Vec<String>,
    code_challenge: Option<String>,
    prompt: Prompt,
}

impl Details {
    fn read(parameters: &Parameters) -> Result<Self, Fault> {
        if parameters.required("response_type")? != "code" {
            return Err(Fault::new(
                "unsupported_response_type",
                700_054,
                "The response type is not enabled for the application.",
            ));
        }
        let scopes: Vec<String> = parameters
            .required("scope")?
            .split_ascii_whitespace()
            .map(str::to_owned)
            .collect();
        if !scopes.iter().any(|scope| scope == "openid") {
            return Err(Fault::new(
                "invalid_scope",
                70_011,
                "The scope 'openid' is missing.",
            ));
        }
        let prompt = match parameters.value("prompt") {
            None | Some("consent") => Prompt::IfNeeded,
            Some("login" | "select_account") => Prompt::Ask,
            Some("none") => Prompt::None,
            Some(_) => {
                return Err(Fault::invalid_request(
                    90_023,
                    "The value of 'prompt' is not supported.",
                ));
            }
        };
        Ok(Self {
            scopes,
            code_challenge: code_challenge(parameters)?,
            prompt,
        })
    }
}

/// The PKCE challenge: S256 alone, although Entra ID takes `plain` too, which nobody should send.
fn code_challenge(parameters: &Parameters) -> Result<Option<String>, Fault> {
    let Some(challenge) = parameters.value("code_challenge") else {
        return Ok(None);
    };
    if parameters.value("code_challenge_method") != Some("S256") {
        return Err(Fault::invalid_request(
            50_149,
            "The 'code_challenge_method' must be 'S256' in this emulator.",
        ));
    }
    // The digest is 32 bytes, so its base64url is 43 characters.
    if challenge.len() != 43 {
        return Err(Fault::invalid_request(
            50_147,
            "The 'code_challenge' is not of the size it must have.",
        ));
    }
    Ok(Some(challenge.to_owned()))
}

/// Why a request got no further, and who is told.
enum Refusal {
    /// The person, on a page here.
    Page(Fault),
    /// The client.
    Redirect(Box<ReplyTo>, Fault),
}

impl Refusal {
    fn answer(&self, directory: &Directory) -> Answer {
        match self {
            Self::Page(fault) => pages::fault(fault),
            Self::Redirect(reply_to, fault) => reply_to.fault(directory, fault),
        }
    }
}

#[derive(Clone, Copy)]
enum ResponseMode {
    FormPost,
    Fragment,
    Query,
}

impl ResponseMode {
    fn read(value: Option<&str>) -> Result<Self, Fault> {
        match value {
            None | Some("query") => Ok(Self::Query),
            Some("form_post") => Ok(Self::FormPost),
            Some("fragment") => Ok(Self::Fragment),
            Some(_) => Err(Fault::invalid_request(
                90_014,
                "The value of 'response_mode' is not supported.",
            )),
        }
    }
}

/// Where an answer goes: a registered address, and what has to go with it.
struct ReplyTo {
    target: Url,
    mode: ResponseMode,
    state: Option<String>,
}

impl ReplyTo {
    fn answer(&self, pairs: &[(&str, &str)]) -> Answer {
        let mut pairs = pairs.to_vec();
        if let Some(state) = &self.state {
            pairs.insert(1.min(pairs.len()), ("state", state));
        }
        let mut target = self.target.clone();
        match self.mode {
            ResponseMode::FormPost => return pages::form_post(target.as_str(), &pairs),
            ResponseMode::Fragment => {
                let encoded = url::form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(pairs)
                    .finish();
                target.set_fragment(Some(&encoded));
            }
            ResponseMode::Query => {
                target.query_pairs_mut().extend_pairs(pairs);
            }
        }
        pages::redirect(target.as_str())
    }

    fn fault(&self, directory: &Directory, fault: &Fault) -> Answer {
        self.answer(&[
            ("error", fault.error),
            ("error_description", &fault.headline()),
            ("error_uri", &fault.error_uri(&directory.origin)),
        ])
    }
}
