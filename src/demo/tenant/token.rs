//! The token endpoint: a code and the client's secret for an ID token (`entra.md` 2.1, 3).

use aws_lc_rs::digest::{SHA256, digest};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use serde_json::json;

use crate::{
    demo::{
        server::{Answer, answer},
        text::form_decoded,
    },
    secret::{Secret, equal_in_constant_time, random_bytes},
};

use super::{
    claims,
    emulator::Directory,
    fault::Fault,
    parameters::Parameters,
    state::{Grant, State},
};

/// An access token lives this long, and up to half an hour more (`entra.md` 3.2).
const ACCESS_TOKEN_SECONDS: u64 = 3599;

/// Answers a token request.
pub(super) fn token(directory: &Directory, request: &Request<Bytes>) -> Answer {
    match redeem(directory, request) {
        Ok(body) => answer(StatusCode::OK, "application/json; charset=utf-8", body),
        Err(fault) => fault.json(&directory.origin, directory.clock.now().wall),
    }
}

fn redeem(directory: &Directory, request: &Request<Bytes>) -> Result<String, Fault> {
    if request.method() != Method::POST {
        return Err(Fault::invalid_request(
            900_561,
            "The endpoint accepts POST requests only.",
        ));
    }
    // A confidential client is no browser; Entra refuses its secret from one.
    if request.headers().contains_key(header::ORIGIN) {
        return Err(Fault::invalid_request(
            9_002_326,
            "Only single-page applications may redeem a code across origins.",
        ));
    }
    let parameters = Parameters::of_form(request)?;
    if parameters.required("grant_type")? != "authorization_code" {
        return Err(Fault::new(
            "unsupported_grant_type",
            70_003,
            "The grant type is not supported.",
        ));
    }
    let mut state = directory.state();
    let client_id = authenticate(&state, request, &parameters)?;
    let code = parameters.required("code")?;
    let grant = state.redeem_code(code, directory.clock.now())?;
    check_grant(&grant, &client_id, &parameters)?;
    let person = match state.person(&grant.person_id) {
        Some(person) if !person.disabled => person,
        _ => return Err(Fault::disabled_person()),
    };
    let claims = claims::id_token(directory, person, &grant, state.backdating);
    let id_token = state
        .keys
        .sign(&claims)
        .map_err(|_| Fault::new("server_error", 90_033, "The token could not be signed."))?;
    let seconds = ACCESS_TOKEN_SECONDS + u64::from(u16::from_be_bytes(random_bytes()) % 1800);
    Ok(json!({
        "token_type": "Bearer",
        "scope": format!("{} User.Read", grant.scopes.join(" ")),
        "expires_in": seconds,
        "ext_expires_in": seconds,
        // For a resource that does not exist here: opaque, as Graph's are to everybody else.
        "access_token": BASE64_URL_SAFE_NO_PAD.encode(random_bytes::<900>()),
        "id_token": id_token,
    })
    .to_string())
}

/// Who is asking: the client id behind a secret that is right.
fn authenticate(
    state: &State,
    request: &Request<Bytes>,
    parameters: &Parameters,
) -> Result<String, Fault> {
    let basic = basic_credentials(request)?;
    let posted = parameters
        .value("client_secret")
        .map(|secret| Secret::new(secret.to_owned()));
    let (client_id, secret) = match (basic, posted) {
        (Some(_), Some(_)) => {
            return Err(Fault::invalid_request(
                9_002_313,
                "The client authenticates in two ways at once.",
            ));
        }
        (Some((client_id, secret)), None) => (client_id, Some(secret)),
        (None, posted) => (parameters.required("client_id")?.to_owned(), posted),
    };
    let client = state
        .client(&client_id)
        .ok_or_else(|| Fault::unknown_client(&client_id))?;
    let Some(secret) = secret else {
        return Err(Fault::new(
            "invalid_client",
            7_000_218,
            "The request has neither 'client_secret' nor 'client_assertion'.",
        ));
    };
    if client.secret.matches(secret.expose()) {
        Ok(client_id)
    } else {
        Err(Fault::new(
            "invalid_client",
            7_000_215,
            format!(
                "Invalid client secret for app '{client_id}': send the secret's value, not its id."
            ),
        ))
    }
}

/// HTTP Basic as RFC 6749 2.3.1 wants it: id and secret are form-encoded first.
fn basic_credentials(request: &Request<Bytes>) -> Result<Option<(String, Secret)>, Fault> {
    let Some(value) = request.headers().get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let decoded = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
        .and_then(|(_, encoded)| BASE64_STANDARD.decode(encoded.trim()).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok());
    match decoded.as_deref().and_then(|pair| pair.split_once(':')) {
        Some((client_id, secret)) => Ok(Some((
            form_decoded(client_id),
            Secret::new(form_decoded(secret)),
        ))),
        None => Err(Fault::invalid_request(
            9_002_313,
            "The Authorization header is malformed.",
        )),
    }
}

/// Whether the one who redeems is the one who asked.
fn check_grant(grant: &Grant, client_id: &str, parameters: &Parameters) -> Result<(), Fault> {
    if grant.client_id != client_id {
        return Err(Fault::invalid_grant(
            70_000,
            "The code was issued to another application.",
        ));
    }
    if parameters.required("redirect_uri")? != grant.redirect_uri {
        return Err(Fault::invalid_grant(
            500_112,
            "The redirect URI is not the one the code was asked for with.",
        ));
    }
    let proof = parameters
        .value("code_verifier")
        .map(|verifier| BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes())));
    let proven = match (&grant.code_challenge, proof) {
        (Some(challenge), Some(proof)) => {
            equal_in_constant_time(challenge.as_bytes(), proof.as_bytes())
        }
        (None, None) => true,
        _ => false,
    };
    if proven {
        Ok(())
    } else {
        Err(Fault::invalid_grant(
            501_481,
            "The code verifier does not match the code challenge.",
        ))
    }
}
