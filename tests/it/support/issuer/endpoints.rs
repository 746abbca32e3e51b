//! The provider's addresses: metadata, keys, sign-in, token, end of session.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::{
    Authorization, CLIENT_ID, Fields, Grant, Lies, Reply, State, TokenRequest, field, person, token,
};
use crate::support::client::BoxError;

type Body = BoxBody<Bytes, BoxError>;

/// An error closes the connection without an answer.
pub(super) async fn answer(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Body>, BoxError> {
    let path = request.uri().path().to_owned();
    let query = fields(request.uri().query().unwrap_or_default().as_bytes());
    let get = request.method() == Method::GET;
    let last = path.rsplit('/').next().unwrap_or_default();
    match last {
        "openid-configuration" if get => {
            state.mind().log.discoveries += 1;
            let reply = state.mind().lies.discovery.clone();
            send(reply, StatusCode::OK, &metadata(&state)).await
        }
        "keys" if get => {
            state.mind().log.key_sets += 1;
            let reply = state.mind().lies.keys.clone();
            send(reply, StatusCode::OK, &key_set(&state)).await
        }
        "authorize" if get => Ok(authorize(&state, &query)),
        "logout" if get => {
            state.mind().log.logouts.push(query.clone());
            Ok(match field(&query, "post_logout_redirect_uri") {
                Some(uri) => redirect(uri),
                None => page(StatusCode::OK, "You are signed out of the test provider"),
            })
        }
        "token" if request.method() == Method::POST => {
            let header = request.headers().get("authorization").cloned();
            let body = request.into_body().collect().await?.to_bytes();
            let asked = TokenRequest {
                form: fields(&body),
                authorization: header
                    .map(|it| it.to_str().map(str::to_owned))
                    .transpose()?,
            };
            state.mind().log.tokens.push(asked.clone());
            let reply = state.mind().lies.token.clone();
            let (status, honest) = token::respond(&state, &asked);
            send(reply, status, &honest).await
        }
        _ => Ok(page(StatusCode::NOT_FOUND, "no such page")),
    }
}

fn fields(text: &[u8]) -> Fields {
    form_urlencoded::parse(text).into_owned().collect()
}

pub(super) fn authorization_endpoint(state: &State) -> String {
    if state.shape.entra {
        format!("{}/{}/oauth2/v2.0/authorize", state.base(), state.segment())
    } else {
        format!("{}/authorize", state.authority())
    }
}

fn metadata(state: &State) -> Value {
    let authority = state.authority();
    let issuer = state.issuer();
    if state.shape.entra {
        let base = format!("{}/{}", state.base(), state.segment());
        return json!({
            "issuer": issuer,
            "authorization_endpoint": authorization_endpoint(state),
            "token_endpoint": format!("{base}/oauth2/v2.0/token"),
            "jwks_uri": format!("{base}/discovery/v2.0/keys"),
            "end_session_endpoint": format!("{base}/oauth2/v2.0/logout"),
            "token_endpoint_auth_methods_supported":
                ["client_secret_post", "private_key_jwt", "client_secret_basic"],
            "response_modes_supported": ["query", "fragment", "form_post"],
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "request_uri_parameter_supported": false,
            "http_logout_supported": true,
            "frontchannel_logout_supported": true,
            "tenant_region_scope": null,
            "cloud_instance_name": "microsoftonline.com",
        });
    }
    let mut metadata = json!({
        "issuer": issuer,
        "authorization_endpoint": authorization_endpoint(state),
        "token_endpoint": format!("{authority}/token"),
        "jwks_uri": format!("{authority}/keys"),
        "end_session_endpoint": format!("{authority}/logout"),
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "code_challenge_methods_supported": ["S256"],
    });
    if state.shape.announces_issuer {
        metadata["authorization_response_iss_parameter_supported"] = json!(true);
    }
    metadata
}

fn key_set(state: &State) -> Value {
    let issuer = state
        .shape
        .entra
        .then(|| format!("{}/{{tenantid}}/v2.0", state.base()));
    let keys = &state.mind().keys;
    json!({"keys": keys.iter().map(|key| key.jwk(issuer.clone())).collect::<Vec<_>>()})
}

fn authorize(state: &State, asked: &Fields) -> Response<Body> {
    state.mind().log.authorizations.push(asked.clone());
    let uri = field(asked, "redirect_uri").and_then(|uri| Url::parse(uri).ok());
    let (Some(CLIENT_ID), Some(uri)) = (field(asked, "client_id"), uri) else {
        return page(StatusCode::BAD_REQUEST, "unknown client or address");
    };
    let mut back = Fields::new();
    let Lies {
        authorization,
        callback,
        ..
    } = state.mind().lies.clone();
    match authorization {
        Authorization::Keep => return page(StatusCode::OK, "you stay here"),
        Authorization::Error(error, description) => {
            back.push(("error".to_owned(), error));
            if !description.is_empty() {
                back.push(("error_description".to_owned(), description));
            }
        }
        Authorization::Approve => match grant(state, asked) {
            Ok((code, sid)) => {
                back.push(("code".to_owned(), code));
                if state.shape.entra {
                    back.push(("session_state".to_owned(), sid));
                }
            }
            Err(fault) => {
                back.push(("error".to_owned(), "invalid_request".to_owned()));
                back.push(("error_description".to_owned(), fault.to_owned()));
            }
        },
    }
    if let Some(text) = field(asked, "state") {
        back.push(("state".to_owned(), text.to_owned()));
    }
    if state.shape.announces_issuer {
        back.push(("iss".to_owned(), state.issuer()));
    }
    if let Some(change) = callback {
        change(&mut back);
    }
    let mut to = uri;
    to.query_pairs_mut().extend_pairs(back);
    redirect(to.as_str())
}

/// A new code and the provider's session behind it, or what the request lacks.
fn grant(state: &State, asked: &Fields) -> Result<(String, String), &'static str> {
    let need = |name, fault| field(asked, name).filter(|it| !it.is_empty()).ok_or(fault);
    if need("response_type", "no response_type")? != "code" {
        return Err("response_type is not code");
    }
    if need("code_challenge_method", "no PKCE")? != "S256" {
        return Err("PKCE is not S256");
    }
    let scope = need("scope", "no scope")?;
    if !scope.split(' ').any(|it| it == "openid") {
        return Err("scope has no openid");
    }
    let mut mind = state.mind();
    let number = mind.log.authorizations.len();
    // As long as Entra's, which are over a thousand characters.
    let filling = if state.shape.entra { 1100 } else { 0 };
    let code = format!("{}.code-{number}_~", "A".repeat(filling));
    let sid = person::guid_of(&format!("session {number} at {}", state.base()));
    let grant = Grant {
        person: mind.person.clone(),
        redirect_uri: need("redirect_uri", "no redirect_uri")?.to_owned(),
        challenge: need("code_challenge", "no code_challenge")?.to_owned(),
        nonce: need("nonce", "no nonce")?.to_owned(),
        scope: scope.to_owned(),
        sid: sid.clone(),
    };
    mind.grants.insert(code.clone(), grant);
    Ok((code, sid))
}

async fn send(
    reply: Reply,
    status: StatusCode,
    honest: &Value,
) -> Result<Response<Body>, BoxError> {
    let text = honest.to_string();
    Ok(match reply {
        Reply::Bare(status, kind, body) => whole(StatusCode::from_u16(status)?, kind, body),
        Reply::Close => return Err("told to close".into()),
        Reply::Hang => std::future::pending().await,
        Reply::Honest => whole(status, "application/json", text),
        Reply::Huge(bytes) => whole(status, "application/json", " ".repeat(bytes) + &text),
        Reply::Redirect(to) => redirect(&to),
        Reply::Rewritten(rewrite) => whole(status, "application/json", rewrite(&text)),
        Reply::Stall => {
            let half = Bytes::from(text).split_to(honest.to_string().len() / 2);
            let frames = stream::iter([Ok(Frame::data(half))]).chain(stream::pending());
            json_answer(status, BodyExt::boxed(StreamBody::new(frames)))
        }
    })
}

fn json_answer(status: StatusCode, body: Body) -> Response<Body> {
    let answer = Response::builder().status(status);
    let answer = answer.header("content-type", "application/json");
    answer.body(body).unwrap()
}

fn whole(status: StatusCode, kind: &str, body: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(body.into())
        .map_err(|never| match never {})
        .boxed();
    let answer = Response::builder().status(status);
    answer.header("content-type", kind).body(body).unwrap()
}

fn page(status: StatusCode, text: &'static str) -> Response<Body> {
    whole(status, "text/html; charset=utf-8", text)
}

fn redirect(to: &str) -> Response<Body> {
    let mut answer = page(StatusCode::FOUND, "");
    answer.headers_mut().insert("location", to.parse().unwrap());
    answer
}
