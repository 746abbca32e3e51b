//! Handshakes: certificates by name, protocols, versions; one connection's fault is its own.

use std::sync::Arc;

use rustls::{
    CipherSuite, ClientConfig, ClientConnection, ProtocolVersion, RootCertStore,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{
    PATIENCE,
    front::{Front, HOST, front, wiki},
    pki::Alpn,
    upstream,
    wire::{PROTOCOLS, Protocol, ask},
};

const OTHER: &str = "erp.example";

/// Two hosts with a certificate each; that of [`OTHER`] comes first by file name.
fn two_hosts() -> Front {
    let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    front(|it| {
        it.route("wiki", HOST, "allow = \"signed-in\"", &nowhere)
            .route("erp", OTHER, "allow = \"signed-in\"", &nowhere)
    })
}

/// The certificate in the file of a host, as it goes over the wire.
fn certificate_of(front: &Front, host: &str) -> CertificateDer<'static> {
    let file = front.vestibule.folder().join(format!("certs/{host}.crt"));
    CertificateDer::from_pem_file(file).unwrap()
}

#[tokio::test]
async fn the_certificate_is_the_one_of_the_name() {
    let front = two_hosts();
    for host in [HOST, OTHER, "WIKI.Example"] {
        let stream = front.vestibule.raw(host).connect().await.unwrap();
        let came = stream.get_ref().1.peer_certificates().unwrap();
        let expected = certificate_of(&front, &host.to_lowercase());
        assert_eq!(came, [expected], "{host}");
    }
}

#[tokio::test]
async fn a_client_that_names_no_host_gets_the_first_certificate() {
    let front = two_hosts();
    let raw = front.vestibule.raw(OTHER).without_sni();
    let stream = raw.connect().await.unwrap();
    let came = stream.get_ref().1.peer_certificates().unwrap();
    assert_eq!(came, [certificate_of(&front, OTHER)]);
    // It is served what its `Host` says: nothing contradicts it.
    for host in [HOST, OTHER] {
        let authority = front.vestibule.authority(host);
        let request = format!("GET / HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
        assert_eq!(raw.say(request).await.statuses(), [401], "{host}");
    }
    // It cannot be taken for another's.
    assert!(
        front
            .vestibule
            .raw(HOST)
            .without_sni()
            .connect()
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_name_that_no_certificate_covers_ends_the_handshake() {
    // S-101
    let front = two_hosts();
    for host in [
        "unknown.example",
        "example",
        "sub.wiki.example",
        "wiki.example.evil.test",
    ] {
        for alpn in [Alpn::H2, Alpn::Http1, Alpn::Silent] {
            let raw = front
                .vestibule
                .raw(host)
                .offering(alpn, front.vestibule.pki());
            let error = raw.connect().await.unwrap_err().to_string();
            assert!(error.contains("alert"), "{host}: {error}");
        }
    }
    assert!(front.vestibule.raw(HOST).connect().await.is_ok());
}

#[tokio::test]
async fn both_protocols_are_offered_and_none_is_needed() {
    let front = two_hosts();
    for (alpn, agreed) in [
        (Alpn::H2, Some(&b"h2"[..])),
        (Alpn::Http1, Some(b"http/1.1")),
        (Alpn::Silent, None),
    ] {
        let raw = front
            .vestibule
            .raw(HOST)
            .offering(alpn, front.vestibule.pki());
        let stream = raw.connect().await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), agreed);
    }
    let raw = front
        .vestibule
        .raw(HOST)
        .offering(Alpn::Silent, front.vestibule.pki());
    let authority = front.vestibule.authority(HOST);
    let request = format!("GET / HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    assert_eq!(raw.say(request).await.statuses(), [401]);
    // The preface of HTTP/2 is no request over HTTP/1.1.
    let preface = raw.say("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(preface.closed && preface.statuses() == [505], "{preface:?}");
    // A protocol nobody speaks ends the handshake.
    let mut config = Arc::unwrap_or_clone(front.vestibule.pki().client(Alpn::Silent));
    config.alpn_protocols = vec![b"h3".to_vec()];
    assert!(agreed(&front, config).await.is_err());
}

/// Version and suite that a client of this configuration agrees on with us.
async fn agreed(
    front: &Front,
    config: ClientConfig,
) -> std::io::Result<(Option<ProtocolVersion>, CipherSuite)> {
    let stream = TcpStream::connect(front.vestibule.https()).await?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from(HOST).unwrap();
    let stream = connector.connect(name, stream).await?;
    let connection = stream.get_ref().1;
    let suite = connection.negotiated_cipher_suite().unwrap().suite();
    Ok((connection.protocol_version(), suite))
}

/// A client that offers one suite alone.
fn with_suite(front: &Front, suite: CipherSuite) -> ClientConfig {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.retain(|it| it.suite() == suite);
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(front.vestibule.pki().root_pem().as_bytes());
    roots.add(root.unwrap()).unwrap();
    let provider: Arc<CryptoProvider> = Arc::new(provider);
    let version = if suite.as_str().unwrap().starts_with("TLS13") {
        &rustls::version::TLS13
    } else {
        &rustls::version::TLS12
    };
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

#[tokio::test]
async fn both_safe_versions_are_spoken() {
    let front = two_hosts();
    for (suite, version) in [
        (
            CipherSuite::TLS13_AES_128_GCM_SHA256,
            ProtocolVersion::TLSv1_3,
        ),
        (
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
            ProtocolVersion::TLSv1_3,
        ),
        (
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            ProtocolVersion::TLSv1_2,
        ),
        (
            CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            ProtocolVersion::TLSv1_2,
        ),
    ] {
        let came = agreed(&front, with_suite(&front, suite)).await.unwrap();
        assert_eq!(came, (Some(version), suite));
    }
}

/// The bytes of a `ClientHello` of an old client, written by hand: no version and no suite that a
/// library of today would offer.
fn old_hello(version: u8, suites: &[u16]) -> Vec<u8> {
    let mut body = vec![3, version];
    body.extend_from_slice(&[7; 32]);
    body.push(0);
    body.extend_from_slice(&u16::try_from(suites.len() * 2).unwrap().to_be_bytes());
    for suite in suites {
        body.extend_from_slice(&suite.to_be_bytes());
    }
    body.extend_from_slice(&[1, 0]);
    let name = HOST.as_bytes();
    let length = |it: usize| u16::try_from(it).unwrap().to_be_bytes();
    let mut extensions = Vec::new();
    extensions.extend_from_slice(&[0, 0]);
    extensions.extend_from_slice(&length(name.len() + 5));
    extensions.extend_from_slice(&length(name.len() + 3));
    extensions.push(0);
    extensions.extend_from_slice(&length(name.len()));
    extensions.extend_from_slice(name);
    // supported_groups: P-256; ec_point_formats: uncompressed; signature_algorithms: ECDSA-SHA256
    extensions.extend_from_slice(&[0, 10, 0, 4, 0, 2, 0, 23]);
    extensions.extend_from_slice(&[0, 11, 0, 2, 1, 0]);
    extensions.extend_from_slice(&[0, 13, 0, 4, 0, 2, 4, 3]);
    // extended_master_secret
    extensions.extend_from_slice(&[0, 23, 0, 0]);
    body.extend_from_slice(&length(extensions.len()));
    body.extend_from_slice(&extensions);
    let mut hello = vec![1, 0];
    hello.extend_from_slice(&length(body.len()));
    hello.extend_from_slice(&body);
    let mut record = vec![22, 3, 1];
    record.extend_from_slice(&length(hello.len()));
    record.extend_from_slice(&hello);
    record
}

/// The type of the first record that comes back: 22 goes on with the handshake, 21 is an alert.
async fn answer_to(front: &Front, hello: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(front.vestibule.https()).await.unwrap();
    stream.write_all(hello).await.unwrap();
    let mut first = vec![0; 7];
    let read = timeout(PATIENCE, stream.read_exact(&mut first))
        .await
        .unwrap();
    read.unwrap();
    first
}

const ECDSA_AES_128_GCM: u16 = 0xc02b;
const ECDSA_AES_128_CBC_SHA: u16 = 0xc009;
const ECDSA_AES_128_CBC_SHA256: u16 = 0xc023;
const RSA_AES_128_CBC_SHA: u16 = 0x002f;
const ECDSA_RC4: u16 = 0xc007;
const NULL: u16 = 0x0000;

#[tokio::test]
async fn old_versions_and_suites_end_in_an_alert() {
    let front = two_hosts();
    // The hello itself is one that is understood.
    let good = answer_to(&front, &old_hello(3, &[ECDSA_AES_128_GCM])).await;
    assert_eq!(good[0], 22, "{good:?}");
    for (version, suites) in [
        (0, &[ECDSA_AES_128_GCM, ECDSA_AES_128_CBC_SHA][..]),
        (1, &[ECDSA_AES_128_GCM, ECDSA_AES_128_CBC_SHA]),
        (2, &[ECDSA_AES_128_GCM, ECDSA_AES_128_CBC_SHA]),
        (3, &[ECDSA_AES_128_CBC_SHA, ECDSA_AES_128_CBC_SHA256]),
        (3, &[RSA_AES_128_CBC_SHA]),
        (3, &[ECDSA_RC4, NULL]),
    ] {
        let came = answer_to(&front, &old_hello(version, suites)).await;
        // A fatal alert: protocol_version (70) or handshake_failure (40).
        assert_eq!(
            (came[0], came[5]),
            (21, 2),
            "{version} {suites:x?}: {came:?}"
        );
        assert!([40, 70].contains(&came[6]), "{came:?}");
    }
}

/// The first flight of a client that offers everything.
fn hello() -> Vec<u8> {
    let front_pki = crate::support::pki::fresh();
    let config = front_pki.client(Alpn::H2);
    let name = ServerName::try_from(HOST).unwrap();
    let mut client = ClientConnection::new(config, name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// A message split over records of one byte each.
fn in_tiny_records(record: &[u8]) -> Vec<u8> {
    let message = &record[5..];
    message
        .iter()
        .flat_map(|byte| [22, 3, 1, 0, 1, *byte])
        .collect()
}

#[tokio::test]
async fn a_hello_in_pieces_is_the_same_hello() {
    // S-101
    let front = two_hosts();
    let whole = hello();
    assert_eq!(answer_to(&front, &whole).await[0], 22);
    let mut stream = TcpStream::connect(front.vestibule.https()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in &whole {
        stream.write_all(&[*byte]).await.unwrap();
    }
    let mut first = [0; 1];
    timeout(PATIENCE, stream.read_exact(&mut first))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(first, [22]);
    // In records of one byte each it may be refused, but never panics or hangs.
    let came = answer_to(&front, &in_tiny_records(&whole)).await;
    assert!([21, 22].contains(&came[0]), "{came:?}");
}

#[tokio::test]
async fn one_connections_fault_harms_no_other() {
    // S-100, S-102, S-018
    let app = upstream::echo().run();
    let front = wiki(&app, "");
    let session = front.session(HOST).await;
    let hello = hello();
    let mut stalled = Vec::new();
    for bytes in [
        &b""[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01",
        b"\x16\x03\x01\xff\xff",
        &hello[..hello.len() / 2],
        &hello,
        b"\x15\x03\x03\x00\x02\x01\x00",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        &[0; 10_000],
    ] {
        for _ in 0..8 {
            let mut stream = TcpStream::connect(front.vestibule.https()).await.unwrap();
            let _ = stream.write_all(bytes).await;
            stalled.push(stream);
        }
    }
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for _ in 0..3 {
            let reply = wire.ask(&ask("GET", "/").with("Cookie", &session)).await;
            assert_eq!(reply.status, 200);
        }
    }
    // A close_notify in the middle of the handshake, and clients that just leave.
    drop(stalled);
    let reply = front.wire(Protocol::Http2, HOST).get("/").await;
    assert_eq!(reply.status, 401);
    assert_eq!(front.metric("vestibule_panics_total"), 0);
}

#[tokio::test]
async fn an_app_is_asked_nothing_by_a_handshake() {
    let app = upstream::raw().run();
    let front = wiki(&app, "");
    for alpn in [Alpn::H2, Alpn::Http1] {
        let raw = front
            .vestibule
            .raw(HOST)
            .offering(alpn, front.vestibule.pki());
        drop(raw.connect().await.unwrap());
    }
    app.assert_silent().await;
}
