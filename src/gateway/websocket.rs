//! The WebSocket of a client: who may have one, and the way over to whoever carries its bytes (RFC 6455 4, RFC 8441).
//!
//! A handshake is judged as the GET that it is before anybody looks at what else it asks. A browser
//! sends the cookies of its person with the handshake of whatever page opens it and asks nobody's
//! leave; so only pages of the route's own origin get one (S-240).

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{
        CONNECTION, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
    },
    request, response,
};
use http_body::Body as _;
use hyper::{body::Incoming, ext::Protocol};

use super::{
    body::{GatewayBody, Source},
    error::Refusal,
    record::Record,
    routes::RouteEntry,
};
use crate::{
    config::route::AllowedOrigin,
    handover::Handover,
    peer::Transport,
    secret::random_bytes,
    telemetry::Metrics,
    upstream::{
        Forwarding, Tunnel, UpstreamError,
        error::AnswerFault,
        websocket::{Opened, VERSION, open},
    },
};

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const UPGRADE_ONLY: HeaderValue = HeaderValue::from_static("upgrade");

/// How many bytes a key stands for.
const KEY_BYTES: usize = 16;

/// A handshake that came over HTTP/2, as a CONNECT of its own kind.
#[derive(Clone, Copy, Debug)]
struct Extended;

/// The handshake of a client that may have its WebSocket.
pub(super) struct Handshake {
    key: HeaderValue,
    /// Whether success itself says to the client that the app has agreed.
    is_extended: bool,
}

/// Turns the handshake of HTTP/2 into that of HTTP/1.1, so that everything behind this judges one
/// kind. Any other CONNECT stays what it is.
pub(super) fn unfold(parts: &mut request::Parts) {
    let protocol = parts.extensions.get::<Protocol>();
    if parts.method != Method::CONNECT || protocol.is_none_or(|it| it.as_str() != "websocket") {
        return;
    }
    parts.method = Method::GET;
    parts.extensions.insert(Extended);
    parts.headers.insert(CONNECTION, UPGRADE_ONLY);
    parts.headers.insert(UPGRADE, WEBSOCKET);
    // There is none in HTTP/2, and no way to answer it: between us and the app it is ours.
    let key = BASE64_STANDARD.encode(random_bytes::<KEY_BYTES>());
    let key = HeaderValue::try_from(key).expect("base64 is visible ASCII");
    parts.headers.insert(SEC_WEBSOCKET_KEY, key);
}

/// Nothing of ours is a WebSocket. Over HTTP/1.1 the wish is overlooked, as any other; over HTTP/2 the
/// answer to a request that was not made would say that it is granted.
pub(super) fn check_own(parts: &request::Parts) -> Result<(), Refusal> {
    match parts.extensions.get::<Extended>() {
        Some(Extended) => Err(Refusal::Method),
        None => Ok(()),
    }
}

/// What a request asks for that has been let in: a WebSocket, or nothing of the kind.
///
/// # Errors
/// Returns a [`Refusal`] if it may not have the WebSocket that it asks for.
pub(super) fn asked(
    request: &Request<Incoming>,
    entry: &RouteEntry,
) -> Result<Option<Handshake>, Refusal> {
    let is_extended = request.extensions().get::<Extended>().is_some();
    let headers = request.headers();
    let may_ask = is_extended || request.version() == Version::HTTP_11;
    let asks = headers.contains_key(UPGRADE)
        && may_ask
        && names(headers, &CONNECTION, b"upgrade")
        && names(headers, &UPGRADE, b"websocket");
    if !asks {
        return Ok(None);
    }
    if request.method() != Method::GET || !request.body().is_end_stream() {
        return Err(Refusal::WebSocketHandshake);
    }
    let key = checked(headers, &entry.origin, &entry.route.origins)?.clone();
    Ok(Some(Handshake { key, is_extended }))
}

/// The key of a handshake, if everything about it is as it must be.
fn checked<'a>(
    headers: &'a HeaderMap,
    own: &str,
    others: &[AllowedOrigin],
) -> Result<&'a HeaderValue, Refusal> {
    if only(headers, &SEC_WEBSOCKET_VERSION)? != Some(&VERSION) {
        return Err(Refusal::WebSocketVersion);
    }
    let key = only(headers, &SEC_WEBSOCKET_KEY)?.filter(|key| is_key(key));
    let key = key.ok_or(Refusal::WebSocketHandshake)?;
    let mut origins = headers.get_all(ORIGIN).iter();
    let is_ours = match (origins.next(), origins.next()) {
        (None, _) => others.contains(&AllowedOrigin::None),
        (Some(origin), None) => {
            let is = |allowed: &str| origin.as_bytes() == allowed.as_bytes();
            is(own) || others.iter().any(|it| it.text().is_some_and(is))
        }
        (Some(_), Some(_)) => false,
    };
    if is_ours {
        Ok(key)
    } else {
        Err(Refusal::WebSocketOrigin)
    }
}

/// Whether a field that is a list has this element, without regard to case.
fn names(headers: &HeaderMap, name: &HeaderName, wanted: &[u8]) -> bool {
    let lines = headers.get_all(name).iter();
    let mut elements = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    elements.any(|element| element.trim_ascii().eq_ignore_ascii_case(wanted))
}

/// The value of a field that may come once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Refusal> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Refusal::WebSocketHandshake),
        (value, None) => Ok(value),
    }
}

fn is_key(value: &HeaderValue) -> bool {
    let mut bytes = [0; KEY_BYTES + 2];
    let decoded = BASE64_STANDARD.decode_slice(value.as_bytes(), &mut bytes);
    decoded == Ok(KEY_BYTES)
}

/// Says which version there is (RFC 6455 4.4, RFC 9110 15.5.22).
pub(super) fn offer(headers: &mut HeaderMap, transport: Transport) {
    headers.insert(SEC_WEBSOCKET_VERSION, VERSION);
    if transport != Transport::Http2 {
        headers.insert(CONNECTION, UPGRADE_ONLY);
        headers.insert(UPGRADE, WEBSOCKET);
    }
}

impl Handshake {
    /// Passes it on to the app, and says to the client what the app says.
    pub(super) async fn pass_on(
        self,
        request: Request<Incoming>,
        with: Forwarding<'_>,
    ) -> Result<Response<Source>, UpstreamError> {
        let (mut head, tunnel) = match open(request, &self.key, with).await? {
            Opened::Answer(answer) if self.is_extended && answer.status().is_success() => {
                return Err(UpstreamError::BadAnswer(AnswerFault::NotSwitched));
            }
            Opened::Answer(answer) => return Ok(answer.map(Source::Answer)),
            Opened::Tunnel(head, tunnel) => (head, tunnel),
        };
        let headers = head.headers_mut();
        if self.is_extended {
            headers.remove(SEC_WEBSOCKET_ACCEPT);
            *head.status_mut() = StatusCode::OK;
        } else {
            headers.insert(CONNECTION, UPGRADE_ONLY);
            headers.insert(UPGRADE, WEBSOCKET);
        }
        Ok(head.map(|()| Source::Switched(Box::new(tunnel))))
    }
}

/// The answer that hands its connection over to what it leads to, with the record of it all.
pub(super) fn hand_over(
    mut parts: response::Parts,
    mut tunnel: Tunnel,
    mut record: Record,
    metrics: &Metrics,
) -> Response<GatewayBody> {
    let open = metrics.tunnel_opened();
    let handover = Handover::to(move |mut client| {
        Box::pin(async move {
            let end = tunnel
                .carry(&mut client, |bytes| record.passed(bytes))
                .await;
            drop((tunnel, client, open));
            record.tunnel_ended(end);
        })
    });
    handover.put_into(&mut parts.extensions);
    Response::from_parts(parts, GatewayBody::none())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "https://app.example:8443";
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn verdict(
        fields: &[(&'static str, &'static str)],
        others: &[AllowedOrigin],
    ) -> Option<Refusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        checked(&headers, OWN, others).err()
    }

    #[test]
    fn a_version_is_thirteen_once() {
        // S-240
        let with = |versions: &[&'static str]| {
            let mut fields = vec![("sec-websocket-key", KEY), ("origin", OWN)];
            fields.extend(versions.iter().map(|it| ("sec-websocket-version", *it)));
            verdict(&fields, &[])
        };
        assert_eq!(with(&["13"]), None);
        for other in [&[][..], &["8"], &["14"], &["013"], &["13, 8"]] {
            assert_eq!(with(other), Some(Refusal::WebSocketVersion), "{other:?}");
        }
        assert_eq!(with(&["13", "13"]), Some(Refusal::WebSocketHandshake));
    }

    #[test]
    fn a_key_is_sixteen_bytes_once() {
        let with = |keys: &[&'static str]| {
            let mut fields = vec![("sec-websocket-version", "13"), ("origin", OWN)];
            fields.extend(keys.iter().map(|it| ("sec-websocket-key", *it)));
            verdict(&fields, &[])
        };
        assert_eq!(with(&[KEY]), None);
        for other in [
            &[][..],
            &[""],
            &["dGhlIHNhbXBsZSBub25jZQ"],
            &["dGhlIHNhbXBsZSBub25j"],
            &["dGhlIHNhbXBsZSBub25jZSE="],
            &["dGhlIHNhbXBsZSBub25jZSEh"],
            &["dGhlIHNhbXBsZSBub25jZSEhISEh"],
            &["dGhlIHNhbXBsZSBub25j*Q=="],
            &[KEY, KEY],
        ] {
            assert_eq!(with(other), Some(Refusal::WebSocketHandshake), "{other:?}");
        }
    }

    #[test]
    fn an_origin_is_the_routes_own_or_one_that_was_written() {
        // S-240
        let with = |origins: &[&'static str], others: &[AllowedOrigin]| {
            let mut fields = vec![("sec-websocket-version", "13"), ("sec-websocket-key", KEY)];
            fields.extend(origins.iter().map(|it| ("origin", *it)));
            verdict(&fields, others)
        };
        let foreign = Some(Refusal::WebSocketOrigin);
        assert_eq!(with(&[OWN], &[]), None);
        for other in [
            &[][..],
            &[""],
            &["null"],
            &["none"],
            &["https://evil.test"],
            &["http://app.example:8443"],
            &["https://app.example"],
            &["https://app.example:8444"],
            &["https://app.example:8443.evil.test"],
            &["https://app.example:8443/"],
            &["https://APP.example:8443"],
            &["wss://app.example:8443"],
            &[OWN, OWN],
        ] {
            assert_eq!(with(other, &[]), foreign, "{other:?}");
        }
        let other = AllowedOrigin::Exact("https://other.example".to_owned());
        let others = [other, AllowedOrigin::None];
        assert_eq!(with(&["https://other.example"], &others), None);
        assert_eq!(with(&[], &others), None);
        assert_eq!(with(&["null"], &others), foreign);
        assert_eq!(with(&["none"], &others), foreign);
        assert_eq!(with(&[], &others[..1]), foreign);
    }
}
