//! Speaks HTTP/1.1 with a provider: one connection per request, verified TLS, every wait and size
//! limited.
//!
//! Follows no redirect, keeps no cookie, and never skips the check of a certificate. Where it may
//! connect is decided after the name was resolved, so that no name can point somewhere else.
//! Source: RFC 9110, RFC 9112, RFC 9325; RFC 9700 2.6.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{Method, Request, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use serde_json::{Map, Value};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use crate::{
    config::is_loopback,
    head_guard::{HeadGuard, HeadLimits},
    trust::{NamedRoots, Trust, TrustError},
};

use super::{
    address,
    strict_json::{self, StrictJsonError},
};

/// How long resolving, connecting and the TLS handshake may take together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a whole exchange may take, connecting included.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);

/// How much of the head of an answer is read.
const LIMITS: HeadLimits = HeadLimits {
    head_bytes: 32 * 1024,
    headers: 100,
    target_bytes: 0,
};

/// Most addresses of a name that are tried.
const MAX_ADDRESSES: usize = 8;

/// An exchange that gave no complete answer.
#[derive(Debug, Error)]
pub enum HttpError {
    /// No address accepted the connection.
    #[error("failed to connect")]
    Connect(#[source] io::Error),
    /// The other side did not answer completely in time.
    #[error("gave up waiting for the answer")]
    Deadline,
    /// The connection was cut, or what came is no HTTP.
    #[error("failed to exchange request and answer")]
    Exchange(#[source] hyper::Error),
    /// The body broke off.
    #[error("failed to read the answer's body")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The name resolves only to addresses that this provider has no business with.
    #[error("refused to connect to an address of this host or of a private network")]
    ForbiddenAddress,
    /// The request cannot be written.
    #[error("failed to write the request")]
    Request(#[source] http::Error),
    /// The name cannot be resolved.
    #[error("failed to resolve the host name")]
    Resolve(#[source] io::Error),
    /// The handshake failed; an untrusted certificate too.
    #[error("failed to complete the TLS handshake")]
    Tls(#[source] io::Error),
    /// The answer's body is larger than it may be.
    #[error("the answer is larger than {max_bytes} bytes")]
    TooLarge {
        /// What was allowed.
        max_bytes: usize,
    },
    /// Neither `https` nor `http` on this host.
    #[error("refused a URL that is neither https nor http on this host")]
    Url,
}

/// An answer that came, but is not the JSON that was asked for.
#[derive(Debug, Error)]
pub enum AnswerError {
    /// The body is not one strict JSON object.
    #[error("failed to read the answer's body as JSON")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The `Content-Type` is not that of JSON.
    #[error("the answer does not say that it is JSON")]
    ContentType,
    /// The status is another than 200.
    #[error("the answer has status {0}")]
    Status(u16),
}

impl From<StrictJsonError> for AnswerError {
    fn from(error: StrictJsonError) -> Self {
        Self::Body(Box::new(error))
    }
}

/// Which addresses a request may go to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reach {
    /// Any: the operator wrote the host.
    Anywhere,
    /// The open internet: a document named the host.
    PublicOnly,
}

/// A complete answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// The address it came from.
    pub(super) peer: IpAddr,
    json: bool,
    body: Bytes,
}

impl Answer {
    /// The body, if the status is 200 and it is one strict JSON object that says so.
    pub(super) fn into_success(self) -> Result<Map<String, Value>, AnswerError> {
        if self.status != StatusCode::OK {
            return Err(AnswerError::Status(self.status.as_u16()));
        }
        self.json()
    }

    /// The body whatever the status, if it is one strict JSON object that says so.
    pub(super) fn json(&self) -> Result<Map<String, Value>, AnswerError> {
        if !self.json {
            return Err(AnswerError::ContentType);
        }
        Ok(strict_json::object(&self.body)?)
    }
}

/// The client of one provider.
pub(super) struct HttpClient {
    tls: TlsConnector,
    /// Whom it trusts beside the system's roots.
    pub(super) further_roots: NamedRoots,
    connect_timeout: Duration,
    exchange_timeout: Duration,
}

impl HttpClient {
    /// Trusts the system's roots and those of `ca_file`.
    pub(super) fn new(ca_file: Option<&Path>, needs_roots: bool) -> Result<Self, TrustError> {
        let mut trust = Trust::of_system();
        if let Some(ca_file) = ca_file {
            trust = trust.and_file(ca_file)?;
        }
        let further_roots = trust.named();
        let mut config = trust.client(needs_roots)?.with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
            further_roots,
            connect_timeout: CONNECT_TIMEOUT,
            exchange_timeout: EXCHANGE_TIMEOUT,
        })
    }

    /// The same with other limits, so that a test need not wait.
    #[cfg(test)]
    pub(super) fn with_timeouts(mut self, connect: Duration, exchange: Duration) -> Self {
        self.connect_timeout = connect;
        self.exchange_timeout = exchange;
        self
    }

    /// Fetches a document.
    pub(super) async fn get(
        &self,
        url: &Url,
        reach: Reach,
        max_bytes: usize,
    ) -> Result<Answer, HttpError> {
        let request = Request::get(url.as_str())
            .header(header::ACCEPT, "application/json")
            .body(Vec::new())
            .map_err(HttpError::Request)?;
        self.send(request, reach, max_bytes).await
    }

    /// Sends one request and reads the whole answer, within the limits.
    pub(super) async fn send(
        &self,
        request: Request<Vec<u8>>,
        reach: Reach,
        max_bytes: usize,
    ) -> Result<Answer, HttpError> {
        timeout(
            self.exchange_timeout,
            self.send_unhurried(request, reach, max_bytes),
        )
        .await
        .unwrap_or(Err(HttpError::Deadline))
    }

    async fn send_unhurried(
        &self,
        request: Request<Vec<u8>>,
        reach: Reach,
        max_bytes: usize,
    ) -> Result<Answer, HttpError> {
        let url = Url::parse(&request.uri().to_string()).map_err(|_| HttpError::Url)?;
        let (stream, peer) = timeout(self.connect_timeout, self.connect(&url, reach))
            .await
            .unwrap_or(Err(HttpError::Deadline))?;
        let request = in_origin_form(request, &url)?;
        exchange(stream, request, peer, max_bytes).await
    }

    async fn connect(
        &self,
        url: &Url,
        reach: Reach,
    ) -> Result<(Box<dyn Stream>, IpAddr), HttpError> {
        let encrypted = match url.scheme() {
            "https" => true,
            "http" if address::is_loopback_host(url) => false,
            _ => return Err(HttpError::Url),
        };
        let mut candidates = resolve(url).await?;
        candidates.retain(|candidate| match reach {
            // Without TLS the host name alone proves nothing: the address must be this host's.
            _ if !encrypted => candidate.ip().is_loopback() && reach == Reach::Anywhere,
            Reach::Anywhere => true,
            Reach::PublicOnly => address::is_public(candidate.ip()),
        });
        if candidates.is_empty() {
            return Err(HttpError::ForbiddenAddress);
        }
        let (stream, peer) = connect_to_any(&candidates, self.connect_timeout).await?;
        if !encrypted {
            return Ok((Box::new(stream), peer));
        }
        let stream = self
            .tls
            .connect(server_name(url)?, stream)
            .await
            .map_err(HttpError::Tls)?;
        Ok((Box::new(stream), peer))
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn resolve(url: &Url) -> Result<Vec<SocketAddr>, HttpError> {
    let port = url.port_or_known_default().ok_or(HttpError::Url)?;
    match url.host() {
        Some(Host::Ipv4(address)) => Ok(vec![SocketAddr::new(address.into(), port)]),
        Some(Host::Ipv6(address)) => Ok(vec![SocketAddr::new(address.into(), port)]),
        // Names below `localhost` are this host whatever a resolver says (RFC 6761 6.3).
        Some(Host::Domain(name)) if is_loopback(name) => Ok(vec![
            SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port),
            SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port),
        ]),
        Some(Host::Domain(name)) => tokio::net::lookup_host((name, port))
            .await
            .map(|addresses| addresses.take(MAX_ADDRESSES).collect())
            .map_err(HttpError::Resolve),
        None => Err(HttpError::Url),
    }
}

/// Tries one address after another; each gets its share of the time, so that a dead one in front
/// (an unrouted IPv6 address, say) does not use up what the next one needs.
pub(super) async fn connect_to_any(
    candidates: &[SocketAddr],
    time: Duration,
) -> Result<(TcpStream, IpAddr), HttpError> {
    let share = time / u32::try_from(candidates.len()).unwrap_or(u32::MAX).max(1);
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for candidate in candidates {
        match timeout(share, TcpStream::connect(candidate)).await {
            Ok(Ok(stream)) => return Ok((stream, candidate.ip())),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::from(io::ErrorKind::TimedOut),
        }
    }
    Err(HttpError::Connect(last))
}

fn server_name(url: &Url) -> Result<ServerName<'static>, HttpError> {
    match url.host() {
        Some(Host::Domain(name)) => {
            ServerName::try_from(name.to_owned()).map_err(|_| HttpError::Url)
        }
        Some(Host::Ipv4(address)) => Ok(IpAddr::V4(address).into()),
        Some(Host::Ipv6(address)) => Ok(IpAddr::V6(address).into()),
        None => Err(HttpError::Url),
    }
}

/// The request as it is written to a server: path and query in the target, the authority in `Host`.
fn in_origin_form(request: Request<Vec<u8>>, url: &Url) -> Result<Request<Full<Bytes>>, HttpError> {
    let (mut parts, body) = request.into_parts();
    let host = url.host_str().ok_or(HttpError::Url)?;
    let authority = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    parts.uri = target
        .parse()
        .map_err(|error: http::uri::InvalidUri| HttpError::Request(error.into()))?;
    let authority = authority
        .parse()
        .map_err(|error: header::InvalidHeaderValue| HttpError::Request(error.into()))?;
    parts.headers.insert(header::HOST, authority);
    let agent = header::HeaderValue::from_static("vestibule");
    parts.headers.insert(header::USER_AGENT, agent);
    Ok(Request::from_parts(parts, Full::new(Bytes::from(body))))
}

#[expect(clippy::disallowed_methods, reason = "one of the two HTTP clients")]
async fn exchange(
    stream: Box<dyn Stream>,
    request: Request<Full<Bytes>>,
    peer: IpAddr,
    max_bytes: usize,
) -> Result<Answer, HttpError> {
    let (stream, expected) = HeadGuard::of_answers(stream, LIMITS);
    expected.next_answer(request.method() == Method::HEAD);
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(LIMITS.head_bytes)
        .max_headers(LIMITS.headers)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(HttpError::Exchange)?;
    let answer = async move {
        let response = sender
            .send_request(request)
            .await
            .map_err(HttpError::Exchange)?;
        let status = response.status();
        let json = says_json(response.headers());
        // What announces itself as too large need not be waited for.
        if response.body().size_hint().lower() > max_bytes as u64 {
            return Err(HttpError::TooLarge { max_bytes });
        }
        let body = Limited::new(response.into_body(), max_bytes)
            .collect()
            .await
            .map_err(|error| body_error(error, max_bytes))?
            .to_bytes();
        Ok(Answer {
            status,
            peer,
            json,
            body,
        })
    };
    // Both live and end in this future: dropping it closes the connection, nothing is left running.
    match select(std::pin::pin!(answer), std::pin::pin!(connection)).await {
        Either::Left((answer, _)) => answer,
        // The connection has ended, but what it delivered may not have been read yet.
        Either::Right((_, answer)) => answer.await,
    }
}

fn body_error(error: Box<dyn std::error::Error + Send + Sync>, max_bytes: usize) -> HttpError {
    if error.is::<LengthLimitError>() {
        HttpError::TooLarge { max_bytes }
    } else {
        HttpError::Body(error)
    }
}

/// One `Content-Type` of `application/json`, `application/jwk-set+json` or the like.
fn says_json(headers: &http::HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else {
        return false;
    };
    let essence = only
        .to_str()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence
        .strip_prefix("application/")
        .is_some_and(|subtype| subtype == "json" || subtype.ends_with("+json"))
}
