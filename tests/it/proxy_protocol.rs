//! The client's address from a trusted front, through the whole application: what a raw front says
//! before TLS, and what the app is told in `X-Forwarded-For`.

use std::net::{Ipv4Addr, SocketAddr};

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::support::{
    PATIENCE, eventually,
    front::{Front, HOST, front},
    pki::Alpn,
    upstream::{self, Echo},
    wire::{Protocol, ask},
};

/// Where the front stands; a test's other clients are at 127.0.0.1.
const FRONT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const STRANGER: Ipv4Addr = Ipv4Addr::LOCALHOST;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// An application that believes [`FRONT`]; `/open/` needs no session.
fn behind_a_front(app: &Echo, more: &str) -> Front {
    let rules = "allow = \"signed-in\"\n[[public]]\npath = \"/open/*\"\n";
    front(|it| {
        it.main("trusted_proxies = [\"127.0.0.2\", \"2001:db8:f::/48\"]\nproxy_protocol = true")
            .main(more)
            .route("wiki", HOST, rules, app)
    })
}

/// A header of version 2.
fn binary(version_and_command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    header.extend([version_and_command, family]);
    header.extend(u16::try_from(block.len()).unwrap().to_be_bytes());
    header.extend(block);
    header
}

fn binary_v4(source: [u8; 4], values: &[u8]) -> Vec<u8> {
    let block = [&source[..], &[198, 51, 100, 2, 0x1f, 0x90, 1, 0xbb], values].concat();
    binary(0x21, 0x11, &block)
}

fn binary_v6(source: &str) -> Vec<u8> {
    let source: std::net::Ipv6Addr = source.parse().unwrap();
    let mut block = source.octets().to_vec();
    block.extend([0; 16]);
    block.extend([0x1f, 0x90, 1, 0xbb]);
    binary(0x21, 0x21, &block)
}

/// A TCP connection from an address of loopback.
async fn connect(front: &Front, from: Ipv4Addr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    let stream = socket.connect(front.vestibule.https()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// The handshake of a client that the front passes through.
async fn handshake(front: &Front, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
    let connector = TlsConnector::from(front.vestibule.pki().client(Alpn::Http1));
    let name = ServerName::try_from(HOST).unwrap();
    timeout(PATIENCE, connector.connect(name, stream)).await?
}

/// Asks for a public page; the app must have got it.
async fn view(front: &Front, stream: &mut TlsStream<TcpStream>, fields: &str) {
    let authority = front.vestibule.authority(HOST);
    let head = format!(
        "GET /open/page HTTP/1.1\r\nHost: {authority}\r\n{fields}Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Whom the app is told a request is from whose connection begins like this.
async fn seen_from(front: &Front, app: &Echo, from: Ipv4Addr, header: &[u8]) -> String {
    let mut stream = connect(front, from).await;
    stream.write_all(header).await.unwrap();
    let mut stream = handshake(front, stream).await.unwrap();
    view(front, &mut stream, "").await;
    let seen = app.requests();
    let last = seen.last().unwrap();
    last.header("X-Forwarded-For").unwrap().to_owned()
}

/// Whether a connection that begins like this is closed before anything is said in TLS.
async fn is_refused(front: &Front, from: Ipv4Addr, header: &[u8]) -> bool {
    let mut stream = connect(front, from).await;
    // What is refused early may be closed while it is being written.
    let _ = stream.write_all(header).await;
    handshake(front, stream).await.is_err()
}

fn refused_headers(front: &Front) -> u64 {
    front.metric("vestibule_connections_cut_total{reason=\"proxy_header\"}")
}

#[tokio::test]
async fn the_app_is_told_the_client_that_a_front_names() {
    let app = upstream::echo().run();
    let front = behind_a_front(&app, "");
    for (header, expected) in [
        (
            b"PROXY TCP4 192.0.2.1 198.51.100.2 8080 443\r\n".to_vec(),
            "192.0.2.1",
        ),
        (
            b"PROXY TCP6 2001:db8::1 2001:db8::2 8080 443\r\n".to_vec(),
            "2001:db8::1",
        ),
        (
            b"PROXY TCP6 ::ffff:192.0.2.3 ::1 8080 443\r\n".to_vec(),
            "192.0.2.3",
        ),
        (binary_v4([192, 0, 2, 4], &[]), "192.0.2.4"),
        (
            binary_v4([192, 0, 2, 5], &[0xea, 0, 3, b'v', b'p', b'c']),
            "192.0.2.5",
        ),
        (binary_v6("2001:db8::6"), "2001:db8::6"),
        (binary_v6("::ffff:192.0.2.7"), "192.0.2.7"),
        // The front's own, and whom it does not know.
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.2"),
        (
            b"PROXY UNKNOWN 192.0.2.8 192.0.2.9 1 2\r\n".to_vec(),
            "127.0.0.2",
        ),
        (binary(0x20, 0x00, &[]), "127.0.0.2"),
        (binary(0x20, 0x11, &[9; 12]), "127.0.0.2"),
    ] {
        assert_eq!(
            seen_from(&front, &app, FRONT, &header).await,
            expected,
            "{header:?}"
        );
    }
    assert_eq!(refused_headers(&front), 0);
}

#[tokio::test]
async fn a_header_in_pieces_is_the_same_header() {
    let app = upstream::echo().run();
    let front = behind_a_front(&app, "");
    for header in [
        b"PROXY TCP4 192.0.2.1 198.51.100.2 8080 443\r\n".to_vec(),
        binary_v4([192, 0, 2, 1], &[4, 0, 1, 0]),
    ] {
        let mut stream = connect(&front, FRONT).await;
        for byte in &header {
            stream.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut stream = handshake(&front, stream).await.unwrap();
        view(&front, &mut stream, "").await;
        let seen = app.requests();
        assert_eq!(
            seen.last().unwrap().header("X-Forwarded-For"),
            Some("192.0.2.1")
        );
    }
}

#[tokio::test]
async fn a_connection_of_a_front_begins_with_a_whole_header_or_is_closed() {
    // S-023
    let app = upstream::echo().run();
    let front = behind_a_front(&app, "");
    let mut too_long = binary(0x20, 0x00, &vec![0; 4329]);
    too_long.extend([0; 16]);
    let line = format!("PROXY UNKNOWN {}\r\n", "f".repeat(107));
    let headers: [(&str, &[u8]); 12] = [
        ("absent", b""),
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n"),
        ("an oversized line", line.as_bytes()),
        ("an oversized block", &too_long),
        ("UDP", &binary(0x21, 0x12, &[1; 12])),
        (
            "a socket in the file system",
            &binary(0x21, 0x31, &[1; 216]),
        ),
        (
            "IPv6 in a line for IPv4",
            b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
        ),
        (
            "an unknown protocol",
            b"PROXY SCTP 192.0.2.1 192.0.2.2 1 2\r\n",
        ),
        ("version 3", &binary(0x31, 0x11, &[1; 12])),
        ("too short for its family", &binary(0x21, 0x21, &[1; 12])),
        (
            "values that overrun it",
            &binary_v4([192, 0, 2, 1], &[4, 0, 9, 0]),
        ),
        (
            "a wrong checksum",
            &binary_v4([192, 0, 2, 1], &[3, 0, 4, 1, 2, 3, 4]),
        ),
    ];
    for (index, (what, header)) in headers.into_iter().enumerate() {
        assert!(is_refused(&front, FRONT, header).await, "{what}");
        let refused = u64::try_from(index).unwrap() + 1;
        eventually(what, || refused_headers(&front) == refused).await;
    }
    // One header, not two; and nothing but TLS behind it.
    let header = b"PROXY TCP4 192.0.2.1 198.51.100.2 8080 443\r\n";
    assert!(is_refused(&front, FRONT, &[&header[..], header].concat()).await);
    assert!(
        is_refused(
            &front,
            FRONT,
            &[&header[..], b"GET / HTTP/1.1\r\n\r\n"].concat()
        )
        .await
    );
    app.assert_silent().await;
    assert_eq!(seen_from(&front, &app, FRONT, header).await, "192.0.2.1");
    assert_eq!(front.metric("vestibule_panics_total"), 0);
}

#[tokio::test]
async fn nobody_else_is_believed() {
    // S-023: neither because of where it is, nor because of what it says.
    let app = upstream::echo().run();
    let front = behind_a_front(&app, "");
    for header in [
        b"PROXY TCP4 192.0.2.1 198.51.100.2 8080 443\r\n".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        binary_v4([192, 0, 2, 1], &[]),
        binary_v4([127, 0, 0, 2], &[]),
    ] {
        assert!(is_refused(&front, STRANGER, &header).await, "{header:?}");
    }
    // A header is not what is missing there: without one it is a client like any other.
    assert_eq!(seen_from(&front, &app, STRANGER, b"").await, "127.0.0.1");
    assert_eq!(refused_headers(&front), 0);
    let session = front.session(HOST).await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let asked = ask("GET", "/").with("Cookie", &session);
        assert_eq!(front.wire(protocol, HOST).ask(&asked).await.status, 200);
    }
}

#[tokio::test]
async fn what_a_client_behind_a_front_says_about_itself_is_not_believed() {
    // S-023: the front speaks for the client; the client does not become trusted by it.
    let app = upstream::echo().run();
    let front = behind_a_front(&app, "");
    let mut stream = connect(&front, FRONT).await;
    stream
        .write_all(&binary_v4([192, 0, 2, 1], &[]))
        .await
        .unwrap();
    let mut stream = handshake(&front, stream).await.unwrap();
    view(
        &front,
        &mut stream,
        "X-Forwarded-For: 10.0.0.1\r\nForwarded: for=10.0.0.1\r\n",
    )
    .await;
    let seen = app.only_request();
    assert_eq!(seen.header("X-Forwarded-For"), Some("192.0.2.1"));
    assert_eq!(seen.header("Forwarded"), None);
}

#[tokio::test]
async fn a_header_that_does_not_come_in_time_is_waited_for_no_longer() {
    // S-100, S-255
    let app = upstream::echo().run();
    let front = behind_a_front(&app, "[limits]\ntls_timeout = \"1s\"");
    for said in [
        &b""[..],
        b"P",
        b"PROXY TCP4 192.0.2.1 ",
        &SIGNATURE[..5],
        &binary(0x21, 0x11, &[1; 12])[..20],
    ] {
        let mut stream = connect(&front, FRONT).await;
        stream.write_all(said).await.unwrap();
        let closed = timeout(PATIENCE, stream.read(&mut [0; 1]))
            .await
            .expect("it is closed");
        assert_eq!(closed.unwrap_or(0), 0, "{said:?}");
    }
    let cut = || front.metric("vestibule_connections_cut_total{reason=\"tls_timeout\"}");
    eventually("they are counted", || cut() == 5).await;
    app.assert_silent().await;
}

/// What the listener without TLS says to a connection that begins like this.
async fn redirected(front: &Front, from: Ipv4Addr, header: &[u8]) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    let address = front.vestibule.http().unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let authority = front.vestibule.authority(HOST);
    let head = format!("GET / HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(&[header, head.as_bytes()].concat()).await;
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let _ = timeout(PATIENCE, reading).await.expect("it is closed");
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn the_listener_that_redirects_knows_the_same_fronts() {
    // S-023, S-260
    let app = upstream::echo().run();
    let more = "http = \"127.0.0.1:0\"\n[limits]\nconnections_per_address = 1";
    let front = behind_a_front(&app, more);
    for (from, header, is_let_in) in [
        (FRONT, binary_v4([192, 0, 2, 1], &[]), true),
        (FRONT, b"PROXY UNKNOWN\r\n".to_vec(), true),
        (FRONT, Vec::new(), false),
        (STRANGER, Vec::new(), true),
    ] {
        let answer = redirected(&front, from, &header).await;
        assert_eq!(answer.starts_with("HTTP/1.1 308 "), is_let_in, "{answer}");
        assert_eq!(answer.is_empty(), !is_let_in, "{answer}");
    }
    assert_eq!(refused_headers(&front), 1);
    // From a stranger a header is a request that is none. The one of before may still be leaving.
    let another = Ipv4Addr::new(127, 0, 0, 99);
    let answer = redirected(&front, another, b"PROXY UNKNOWN\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    // One address, one connection: this one is in, since it has been answered.
    let third = Ipv4Addr::new(127, 0, 0, 98);
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((third, 0))).unwrap();
    let address = front.vestibule.http().unwrap();
    let mut kept = socket.connect(address).await.unwrap();
    let authority = front.vestibule.authority(HOST);
    let head = format!("GET / HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    kept.write_all(head.as_bytes()).await.unwrap();
    assert_ne!(kept.read(&mut [0; 16]).await.unwrap(), 0);
    assert_eq!(redirected(&front, third, b"").await, "");
}
