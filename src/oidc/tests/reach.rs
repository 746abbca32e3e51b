//! Where requests to a provider may lead: never to a place inside that a document or a name points at.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    time::Duration,
};

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use url::Url;

use super::{
    super::{
        http_client::{HttpClient, HttpError, Reach, connect_to_any},
        provider::Metadata,
    },
    support::*,
};

const ENDPOINTS: [&str; 6] = [
    "authorization_endpoint",
    "token_endpoint",
    "jwks_uri",
    "end_session_endpoint",
    "userinfo_endpoint",
    "an_endpoint_of_the_future_endpoint",
];

fn metadata(changes: &Value) -> Value {
    let usual = json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://issuer.example/authorize",
        "token_endpoint": "https://tokens.example/token",
        "jwks_uri": "https://keys.example/keys",
    });
    with(usual, changes)
}

fn is_taken(document: &Value) -> bool {
    Metadata::check(&oidc(ISSUER), document.as_object().unwrap()).is_ok()
}

#[test]
fn metadata_that_points_inside_without_tls_is_no_metadata() {
    // S-292
    assert!(is_taken(&metadata(&json!({}))), "other hosts may be named");
    for place in [
        "http://169.254.169.254/latest/meta-data/",
        "http://metadata.google.internal/",
        "http://127.0.0.1:8080/",
        "http://[::1]/",
        "http://localhost/",
        "http://0.0.0.0/",
        "http://issuer.example/",
        "file:///etc/passwd",
        "file://169.254.169.254/x",
        "ftp://issuer.example/",
        "gopher://127.0.0.1:6379/_FLUSHALL",
        "unix:/run/docker.sock",
        "data:application/json,{}",
        "//169.254.169.254/",
        "/keys",
        "https://user:password@issuer.example/",
        "https://issuer.example/#inside",
        "https:///",
    ] {
        for endpoint in ENDPOINTS {
            let document = metadata(&json!({endpoint: place}));
            assert!(!is_taken(&document), "{endpoint}: {place}");
        }
    }
}

#[tokio::test]
async fn a_name_or_address_that_is_inside_is_not_connected_to() {
    // S-292: over TLS too, and whatever form the address has.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = HttpClient::new(None, false).unwrap();
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",
        "localhost",
        "a.localhost",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "169.254.169.254",
        "[fe80::1]",
        "[fd00::1]",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
    ] {
        let url = Url::parse(&format!("https://{host}:{port}/keys")).unwrap();
        let refused = client.get(&url, Reach::PublicOnly, 1000).await.err();
        assert!(
            matches!(refused, Some(HttpError::ForbiddenAddress)),
            "{host}: {refused:?}"
        );
    }
    assert!(listener.accept().is_err(), "nobody came");
}

#[tokio::test]
async fn an_address_that_nobody_answers_at_leaves_time_for_the_next() {
    // S-294: a queue that is full takes no connection and refuses none.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let hole = socket.local_addr().unwrap().as_socket().unwrap();
    let patience = Duration::from_millis(200);
    let mut waiting = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&hole, patience) {
        waiting.push(stream);
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let there = listener.local_addr().unwrap();
    let time = Duration::from_secs(3);
    let (_, peer) = connect_to_any(&[hole, hole, there], time).await.unwrap();
    assert_eq!(peer, there.ip());
    let found = tokio::time::timeout(time * 2, connect_to_any(&[hole, hole], patience)).await;
    assert!(matches!(found, Ok(Err(HttpError::Connect(_)))), "{found:?}");
}
