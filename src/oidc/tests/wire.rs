//! The HTTP client against peers that stall, lie and redirect.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use url::Url;

use super::{
    super::http_client::{Answer, AnswerError, HttpClient, HttpError, Reach},
    support::*,
};
use crate::{head_guard::HeadFault, telemetry::chain};

/// Answers every connection with these bytes, then closes it or holds it open.
async fn raw(answer: &'static [u8], hold: bool) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer).await;
            if hold {
                open.push(stream);
            }
        }
    });
    address
}

fn client() -> HttpClient {
    HttpClient::new(None, false).unwrap()
}

async fn get(address: SocketAddr) -> Result<Answer, HttpError> {
    let url = Url::parse(&format!("http://{address}/x?y")).unwrap();
    let hurried = client().with_timeouts(Duration::from_millis(200), Duration::from_millis(200));
    hurried.get(&url, Reach::Anywhere, 1000).await
}

#[tokio::test]
async fn an_answer_counts_only_whole_and_within_its_limits() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let leak = |text: String| &*text.into_bytes().leak();
    for (answer, hold, wanted) in [
        (
            format!("{head}content-length: 2\r\n\r\n{{}}"),
            true,
            "answer",
        ),
        (format!("{head}\r\n{{}}"), false, "answer"),
        (
            format!("{head}content-length: 9\r\n\r\n{{}}"),
            false,
            "Body",
        ),
        (
            format!("{head}content-length: 9\r\n\r\n{{}}"),
            true,
            "Deadline",
        ),
        (
            format!("{head}transfer-encoding: chunked\r\n\r\n2\r\n{{}}"),
            false,
            "Body",
        ),
        (
            format!("{head}transfer-encoding: chunked\r\n\r\nzz"),
            true,
            "Body",
        ),
        (format!("{head}\r\n{}", " ".repeat(1001)), false, "TooLarge"),
        (
            format!("{head}content-length: 1001\r\n\r\n"),
            true,
            "TooLarge",
        ),
        (
            format!("{head}{}", "x: y\r\n".repeat(101)),
            true,
            "Exchange",
        ),
        (
            format!("{head}x: {}", "y".repeat(64 * 1024)),
            true,
            "Exchange",
        ),
        (String::new(), true, "Deadline"),
        (String::new(), false, "Exchange"),
        ("SSH-2.0-x\r\n".to_owned(), true, "Exchange"),
    ] {
        let found = match get(raw(leak(answer.clone()), hold).await).await {
            Ok(_) => "answer".to_owned(),
            Err(error) => format!("{error:?}"),
        };
        assert!(found.starts_with(wanted), "{answer:.90}: {found}");
    }
}

#[tokio::test]
async fn an_answer_that_can_be_read_twice_is_none() {
    // S-225: the log says what was wrong with it.
    for (answer, hold, wanted) in [
        (
            &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}"[..],
            true,
            HeadFault::AmbiguousLength,
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n{}",
            false,
            HeadFault::TransferCoding,
        ),
        (
            b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
            false,
            HeadFault::LineEnd,
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2 \r\n{}\r\n0\r\n\r\n",
            true,
            HeadFault::Chunk,
        ),
    ] {
        let error = get(raw(answer, hold).await).await.err().unwrap();
        let chain = chain(&error);
        assert!(chain.ends_with(&wanted.to_string()), "{wanted:?}: {chain}");
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    // S-183
    let fake = FakeProvider::start().await;
    let mut say = Say::text(302, "application/json", "{}".to_owned());
    say.location = Some(format!("{}/keys", fake.issuer()));
    fake.say("/x", say);
    let url = Url::parse(&format!("{}/x", fake.issuer())).unwrap();
    let answer = client().get(&url, Reach::Anywhere, 1000).await.unwrap();
    assert!(matches!(
        answer.into_success(),
        Err(AnswerError::Status(302))
    ));
    assert!(fake.asked("/keys").is_empty());
    let asked = &fake.asked("/x")[0];
    assert_eq!(asked.headers["host"], fake.address.to_string());
    assert!(!asked.headers.contains_key("origin"));
}

#[tokio::test]
async fn an_answer_must_say_that_it_is_json() {
    // S-193
    let fake = FakeProvider::start().await;
    for (content_type, json) in [
        ("application/json", true),
        ("Application/JSON; charset=utf-8", true),
        ("application/jwk-set+json", true),
        ("text/html", false),
        ("application/jsonp", false),
        ("text/json", false),
        ("", false),
    ] {
        fake.say("/x", Say::text(200, content_type, "{}".to_owned()));
        let url = Url::parse(&format!("{}/x", fake.issuer())).unwrap();
        let answer = client().get(&url, Reach::Anywhere, 1000).await.unwrap();
        assert_eq!(answer.into_success().is_ok(), json, "{content_type:?}");
    }
}

#[tokio::test]
async fn where_a_request_may_go_is_decided_by_the_address() {
    let fake = FakeProvider::start().await;
    let port = fake.address.port();
    for (url, reach) in [
        (format!("http://127.0.0.1:{port}/keys"), Reach::PublicOnly),
        (format!("https://127.0.0.1:{port}/keys"), Reach::PublicOnly),
        (format!("https://localhost:{port}/keys"), Reach::PublicOnly),
        (
            format!("https://[::ffff:127.0.0.1]:{port}/keys"),
            Reach::PublicOnly,
        ),
        (
            "https://169.254.169.254/latest".to_owned(),
            Reach::PublicOnly,
        ),
        ("http://169.254.169.254/latest".to_owned(), Reach::Anywhere),
        ("ftp://127.0.0.1/keys".to_owned(), Reach::Anywhere),
    ] {
        let refused = client()
            .get(&Url::parse(&url).unwrap(), reach, 1000)
            .await
            .err();
        assert!(
            matches!(refused, Some(HttpError::ForbiddenAddress | HttpError::Url)),
            "{url}: {refused:?}"
        );
    }
    assert!(fake.asked("/keys").is_empty());
}

#[tokio::test]
async fn a_certificate_that_nobody_trusted_vouches_for_is_refused() {
    // S-183; the same server with its certificate in `ca_file` is the counter-example.
    let folder = tempfile::tempdir().unwrap();
    let (address, certificate) = tls_server().await;
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, certificate).unwrap();
    let url = Url::parse(&format!("https://localhost:{}/", address.port())).unwrap();
    let refused = client().get(&url, Reach::Anywhere, 1000).await.err();
    assert!(matches!(refused, Some(HttpError::Tls(_))), "{refused:?}");
    let trusting = HttpClient::new(Some(&ca_file), true).unwrap();
    assert!(trusting.get(&url, Reach::Anywhere, 1000).await.is_ok());
    // The right certificate under another name.
    let other = Url::parse(&format!("https://127.0.0.1:{}/", address.port())).unwrap();
    let refused = trusting.get(&other, Reach::Anywhere, 1000).await.err();
    assert!(matches!(refused, Some(HttpError::Tls(_))), "{refused:?}");
}

#[test]
fn a_ca_file_without_certificates_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "nothing").unwrap();
    assert!(HttpClient::new(Some(&empty), true).is_err());
    assert!(HttpClient::new(Some(&folder.path().join("absent.pem")), true).is_err());
}

async fn tls_server() -> (SocketAddr, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let crypto = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
                let _ = stream.write_all(answer).await;
                let _ = stream.shutdown().await;
            }
        }
    });
    (address, made.cert.pem())
}
