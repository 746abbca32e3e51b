//! The handshake of a WebSocket with the app, over HTTP/1.1 whatever the client speaks (RFC 6455 4,
//! RFC 9110 7.8).
//!
//! The app counts as having agreed only if it answers 101, names the protocol, and has read the key;
//! any other 101 is a fault of its own, and any other status an answer like every other (S-087).

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode,
    header::{
        CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
        UPGRADE,
    },
};
use hyper::body::Incoming;

use super::{
    body::AnswerBody,
    error::{AnswerFault, UpstreamError},
    forward::{Forwarding, answer_from, request_for, warn_of_crowd},
    headers::connection_tokens,
    tunnel::Tunnel,
};
use crate::config::route::UpstreamProtocol;

/// The only version there is.
pub const VERSION: HeaderValue = HeaderValue::from_static("13");

/// What an app hashes behind the key, so that nothing but a WebSocket's server answers so.
const SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What an app says to a handshake.
pub enum Opened {
    /// It does not switch: its answer, still streaming.
    Answer(Response<AnswerBody>),
    /// It has switched: the head of its answer, without the hop's fields, and the way to it.
    Tunnel(Response<()>, Tunnel),
}

/// Passes the handshake of a client on, under this key, and hands back what comes of it.
///
/// # Errors
/// Returns [`UpstreamError`] if the request cannot be passed on, there is no answer to pass back, or
/// the app switches to something else.
pub async fn open(
    request: Request<Incoming>,
    key: &HeaderValue,
    with: Forwarding<'_>,
) -> Result<Opened, UpstreamError> {
    let Forwarding { client, target, .. } = with;
    let mut request = request_for(request, UpstreamProtocol::Http1, &with)?;
    ask_in(request.headers_mut(), key);
    let mut answered = client
        .exchange(
            &target.app,
            with.caller,
            request,
            target.head_timeout,
            with.reached,
        )
        .await
        .inspect_err(|error| warn_of_crowd(error, &with))?;
    if answered.answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        let answer = answered.streams(client.clock().clone())?;
        return Ok(Opened::Answer(answer_from(answer, false, &with)));
    }
    agrees(answered.answer.headers(), key)?;
    if let Some(lease) = answered.lease.as_ref().filter(|lease| !lease.is_live()) {
        return Err(UpstreamError::of_end(lease.end()));
    }
    let app = hyper::upgrade::on(&mut answered.answer);
    let app = app.await.map_err(UpstreamError::BrokenOff)?;
    let (connection, clock) = (answered.connection, client.clock().clone());
    let tunnel = Tunnel::new(app, connection, answered.lease, clock);
    let mut answer = answer_from(answered.answer.map(|_| ()), false, &with);
    answer.headers_mut().remove(CONTENT_LENGTH);
    Ok(Opened::Tunnel(answer, tunnel))
}

/// Asks for the switch. What the client said of the hop between it and us is gone already.
fn ask_in(headers: &mut HeaderMap, key: &HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, VERSION);
    headers.insert(SEC_WEBSOCKET_KEY, key.clone());
}

/// Whether a 101 is the answer to this handshake, in every point on which a browser insists.
fn agrees(headers: &HeaderMap, key: &HeaderValue) -> Result<(), UpstreamError> {
    let switches = connection_tokens(headers).any(|it| it.eq_ignore_ascii_case(b"upgrade"));
    let protocol = only(headers, &UPGRADE);
    if !switches || !protocol.is_some_and(|it| it.eq_ignore_ascii_case(b"websocket")) {
        return Err(UpstreamError::UnaskedUpgrade);
    }
    if only(headers, &SEC_WEBSOCKET_ACCEPT) != Some(accept_of(key).as_bytes()) {
        return Err(UpstreamError::BadAnswer(AnswerFault::Handshake));
    }
    Ok(())
}

/// The value of a field that came once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.as_bytes()),
        _ => None,
    }
}

/// What an app answers that has read the key.
fn accept_of(key: &HeaderValue) -> String {
    let mut digest = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    digest.update(key.as_bytes());
    digest.update(SUFFIX);
    BASE64_STANDARD.encode(digest.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: HeaderValue = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
    const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    #[test]
    fn the_answer_is_that_of_the_specification() {
        // RFC 6455 1.3
        assert_eq!(accept_of(&KEY), ACCEPT);
    }

    fn verdict(fields: &[(HeaderName, &'static str)]) -> Option<&'static str> {
        let fields = fields
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, value);
        }
        agrees(&headers, &KEY).err().map(|error| error.reason())
    }

    #[test]
    fn an_app_agrees_only_if_it_says_all_that_a_browser_looks_for() {
        // S-087
        let [connection, protocol, accept] = [
            (CONNECTION, "keep-alive, Upgrade"),
            (UPGRADE, "WebSocket"),
            (SEC_WEBSOCKET_ACCEPT, ACCEPT),
        ];
        let all = [connection.clone(), protocol.clone(), accept.clone()];
        assert_eq!(verdict(&all), None);
        let (unasked, bad) = ("upstream_unasked_upgrade", "upstream_bad_answer");
        for (fields, reason) in [
            (vec![protocol.clone(), accept.clone()], unasked),
            (vec![connection.clone(), accept.clone()], unasked),
            (vec![connection.clone(), protocol.clone()], bad),
            (
                vec![connection.clone(), (UPGRADE, "h2c"), accept.clone()],
                unasked,
            ),
            (
                vec![
                    connection.clone(),
                    protocol.clone(),
                    (UPGRADE, "x"),
                    accept.clone(),
                ],
                unasked,
            ),
            (
                vec![connection.clone(), protocol.clone(), accept.clone(), accept],
                bad,
            ),
            (
                vec![
                    connection,
                    protocol,
                    (SEC_WEBSOCKET_ACCEPT, "S3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
                ],
                bad,
            ),
        ] {
            assert_eq!(verdict(&fields), Some(reason), "{fields:?}");
        }
    }
}
