//! Clients: a browser with cookies that follows nothing by itself, and one that writes raw bytes.

mod cookies;
pub(crate) mod kept;
pub(crate) mod raw_tls;

use std::{net::Ipv4Addr, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, StatusCode, Version,
    header::{CONTENT_TYPE, COOKIE, HOST, LOCATION, SET_COOKIE},
};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, pki_types::ServerName};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use url::{Url, form_urlencoded};
use vestibule::clock::Clock;

use self::cookies::Jar;
use super::{
    PATIENCE,
    pki::{Alpn, Pki},
};

/// A browser as far as servers can tell: it keeps cookies and asks one thing at a time.
pub(crate) struct Browser {
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    speaks_http2: bool,
    jar: Jar,
}

/// What came back for one request.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) url: Url,
    pub(crate) status: StatusCode,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A browser without cookies that trusts `pki`. Whatever the host of a URL: it connects to loopback.
pub(crate) fn browser(pki: &Pki, clock: Clock) -> Browser {
    Browser {
        http1: pki.client(Alpn::Http1),
        http2: pki.client(Alpn::H2),
        speaks_http2: false,
        jar: Jar::new(clock),
    }
}

impl Browser {
    /// Speaks HTTP/2 to `https` from now on.
    pub(crate) fn http2(self) -> Self {
        let speaks_http2 = true;
        Self {
            speaks_http2,
            ..self
        }
    }

    /// A script's request: no header but `Host` and cookies.
    pub(crate) async fn get(&mut self, url: &str) -> Answer {
        self.send(Request::get(url).body(Bytes::new()).unwrap())
            .await
    }

    /// What a browser sends when somebody opens an address.
    pub(crate) async fn view(&mut self, url: &str) -> Answer {
        let request = page_view(Request::get(url));
        self.send(request.body(Bytes::new()).unwrap()).await
    }

    /// A form of the same page, sent by its button.
    pub(crate) async fn post(&mut self, url: &str, fields: &[(&str, &str)]) -> Answer {
        let origin = parsed(url).origin().ascii_serialization();
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let request = page_view(Request::post(url))
            .header("origin", origin)
            .header("sec-fetch-site", "same-origin")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request.body(form.into()).unwrap()).await
    }

    /// Opens an address and goes where it is sent, at most `hops` times; all answers in order.
    pub(crate) async fn follow(&mut self, url: &str, hops: usize) -> Vec<Answer> {
        let mut answers = vec![self.view(url).await];
        for _ in 0..hops {
            let last = &answers[answers.len() - 1];
            let Some(next) = last.redirects_to() else {
                break;
            };
            let next = next.to_string();
            answers.push(self.view(&next).await);
        }
        answers
    }

    /// Sends exactly these headers, and beside them `Host` (unless there is one) and the cookies.
    ///
    /// # Panics
    /// If there is no answer; [`Browser::try_send`] hands the failure back instead.
    pub(crate) async fn send(&mut self, request: Request<Bytes>) -> Answer {
        let what = format!("{} {}", request.method(), request.uri());
        self.try_send(request)
            .await
            .unwrap_or_else(|fault| panic!("no answer to {what}: {fault}"))
    }

    pub(crate) async fn try_send(&mut self, request: Request<Bytes>) -> Result<Answer, BoxError> {
        tokio::time::timeout(PATIENCE, self.exchange(request)).await?
    }

    async fn exchange(&mut self, mut request: Request<Bytes>) -> Result<Answer, BoxError> {
        let url = parsed(&request.uri().to_string());
        if let Some(cookies) = self.jar.line_for(&url) {
            let cookies = HeaderValue::try_from(cookies)?;
            request.headers_mut().append(COOKIE, cookies);
        }
        let port = url.port_or_known_default().ok_or("no port")?;
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        let answer = if url.scheme() == "http" {
            over_http1(stream, request).await?
        } else {
            let name = ServerName::try_from(url.host_str().ok_or("no host")?.to_owned())?;
            let config = if self.speaks_http2 {
                &self.http2
            } else {
                &self.http1
            };
            let connector = TlsConnector::from(Arc::clone(config));
            let stream = connector.connect(name, stream).await?;
            if self.speaks_http2 {
                over_http2(stream, request).await?
            } else {
                over_http1(stream, request).await?
            }
        };
        for line in answer.headers.get_all(SET_COOKIE) {
            self.jar.take(&url, line.to_str()?);
        }
        Ok(Answer { url, ..answer })
    }

    /// The value of a cookie that would be sent to `url`.
    pub(crate) fn cookie(&self, url: &str, name: &str) -> Option<String> {
        self.jar.value(&parsed(url), name)
    }

    /// The names of all cookies that would be sent to `url`.
    pub(crate) fn cookie_names(&self, url: &str) -> Vec<String> {
        self.jar.names(&parsed(url))
    }

    /// Takes a `Set-Cookie` line as if `url` had sent it.
    pub(crate) fn set_cookie(&mut self, url: &str, line: &str) {
        self.jar.take(&parsed(url), line);
    }

    /// Loses all cookies of a name, on every host.
    pub(crate) fn forget(&mut self, name: &str) {
        self.jar.forget(name);
    }

    /// `Set-Cookie` lines that a browser would not have taken, as they came.
    pub(crate) fn refused_cookies(&self) -> &[String] {
        self.jar.refused()
    }
}

impl Answer {
    /// The value of a header that came once; `None` if it did not come.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let values: Vec<_> = self.headers.get_all(name).iter().collect();
        assert!(values.len() <= 1, "{name} came {} times", values.len());
        values.first().map(|value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// Where it sends a browser, if it does.
    pub(crate) fn redirects_to(&self) -> Option<Url> {
        let redirects = matches!(self.status.as_u16(), 301 | 302 | 303 | 307 | 308);
        let location = self.headers.get(LOCATION).filter(|_| redirects)?;
        Some(self.url.join(location.to_str().unwrap()).unwrap())
    }
}

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The headers of a navigation.
pub(crate) fn page_view(request: http::request::Builder) -> http::request::Builder {
    request
        .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-dest", "document")
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is a client of the tests, without limits on purpose"
)]
async fn over_http1(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Bytes>,
) -> Result<Answer, BoxError> {
    let (mut parts, body) = request.into_parts();
    if !parts.headers.contains_key(HOST) {
        let authority = parts.uri.authority().ok_or("no host")?.as_str();
        parts
            .headers
            .insert(HOST, HeaderValue::try_from(authority)?);
    }
    let target = parts.uri.path_and_query().ok_or("no path")?.to_string();
    if parts.method != Method::CONNECT {
        parts.uri = target.parse()?;
    }
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driving = tokio::spawn(connection);
    let request = Request::from_parts(parts, Full::new(body));
    let answer = whole(sender.send_request(request).await?).await;
    driving.abort();
    answer
}

async fn over_http2(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Bytes>,
) -> Result<Answer, BoxError> {
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let driving = tokio::spawn(connection);
    let answer = whole(sender.send_request(request.map(Full::new)).await?).await;
    driving.abort();
    answer
}

async fn whole(response: http::Response<Incoming>) -> Result<Answer, BoxError> {
    let (parts, body) = response.into_parts();
    Ok(Answer {
        url: parsed("http://unset.invalid"),
        status: parts.status,
        version: parts.version,
        headers: parts.headers,
        body: body.collect().await?.to_bytes(),
    })
}

fn parsed(url: &str) -> Url {
    Url::parse(url).unwrap_or_else(|fault| panic!("{url}: {fault}"))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::Response;
    use hyper::service::service_fn;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::support::{clock, pki, upstream};

    /// One HTTP/2 connection after another; tells what `:authority` and cookies came.
    async fn http2_app(pki: &Pki) -> String {
        let tls = TlsAcceptor::from(pki.leaf(&["a.example"]).server(b"h2"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let service = service_fn(|request: Request<Incoming>| async move {
            let cookies = request.headers().get(COOKIE).cloned();
            let text = format!("{} {cookies:?}", request.uri().authority().unwrap());
            let answer = Response::builder().header("set-cookie", "__Host-a=2; Path=/");
            Ok::<_, Infallible>(answer.body(Full::new(Bytes::from(text))).unwrap())
        });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let stream = TokioIo::new(tls.accept(stream).await.unwrap());
                let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(stream, service);
                let _ = serving.await;
            }
        });
        format!("https://a.example:{port}/")
    }

    #[tokio::test]
    async fn http2_carries_authority_and_cookies() {
        let pki = pki::fresh();
        let url = http2_app(&pki).await;
        let mut browser = browser(&pki, clock::manual().clock()).http2();
        browser.set_cookie(&url, "__Host-b=1; Path=/; Secure");
        assert_eq!(browser.cookie_names(&url), ["__Host-b"]);
        let answer = browser.view(&url).await;
        assert_eq!(answer.version, Version::HTTP_2);
        let authority = parsed(&url).authority().to_owned();
        assert!(answer.text().starts_with(&authority), "{}", answer.text());
        assert!(answer.text().contains("__Host-b=1"));
        assert_eq!(browser.refused_cookies(), ["__Host-a=2; Path=/"]);
        browser.forget("__Host-b");
        assert!(browser.get(&url).await.text().ends_with("None"));
    }

    #[tokio::test]
    async fn redirects_are_followed_only_when_told_and_cookies_are_kept() {
        let app = upstream::echo()
            .answering(|seen| {
                let answer = match seen.target.as_str() {
                    "/start" => Response::builder()
                        .status(302)
                        .header("location", "/end?x")
                        .header("set-cookie", "a=1; Path=/"),
                    _ => Response::builder(),
                };
                answer.body(Full::default()).unwrap()
            })
            .run();
        let mut browser = browser(&pki::fresh(), clock::manual().clock());
        let start = format!("http://{}/start", app.address());
        let answer = browser.get(&start).await;
        assert_eq!(answer.status, 302);
        assert_eq!(answer.header("location"), Some("/end?x"));
        assert_eq!(browser.cookie(&start, "a").as_deref(), Some("1"));

        let trail = browser.follow(&start, 5).await;
        let statuses: Vec<_> = trail.iter().map(|it| it.status.as_u16()).collect();
        assert_eq!(statuses, [302, 200]);
        let last = &app.requests()[2];
        assert_eq!(last.header("cookie"), Some("a=1"));
        assert_eq!(last.header("sec-fetch-mode"), Some("navigate"));
        assert_eq!(
            last.header("host"),
            Some(app.address().to_string().as_str())
        );
    }

    #[tokio::test]
    async fn a_form_is_posted_as_a_browser_does() {
        let app = upstream::echo().run();
        let mut browser = browser(&pki::fresh(), clock::manual().clock());
        let url = format!("http://{}/form", app.address());
        let answer = browser.post(&url, &[("a b", "c&d")]).await;
        assert_eq!(answer.json()["method"], "POST");
        assert!(answer.text().contains("x-www-form-urlencoded"));
        let seen = app.only_request();
        assert_eq!(&seen.body[..], b"a+b=c%26d");
        assert_eq!(seen.header("origin"), url.strip_suffix("/form"));
    }

    #[tokio::test]
    async fn nobody_there_is_a_failure_and_no_answer() {
        let app = upstream::echo().run();
        app.go_down().await;
        let mut browser = browser(&pki::fresh(), clock::manual().clock());
        let request = Request::get(format!("http://{}/", app.address()));
        let sent = browser.try_send(request.body(Bytes::new()).unwrap()).await;
        assert!(sent.is_err());
    }
}
