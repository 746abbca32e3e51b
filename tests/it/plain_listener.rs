//! The listener without TLS of its own: whole requests of a front that ends TLS, over TCP, and what is
//! refused because nobody says that it came over HTTPS.

mod unix;

use std::net::SocketAddr;

use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use vestibule::config::plain_address::PlainAddress;

use crate::support::{
    PATIENCE, eventually,
    front::{Front, HOST, SESSION_COOKIE, front},
    issuer,
    lines::Lines,
    upstream::{self, Echo},
    vestibule as files,
    wire::{Protocol, ask},
};

const RULES: &str = "allow = \"signed-in\"\n[[public]]\npath = \"/open/*\"";

/// What a front says of whoever came over HTTPS.
const HTTPS: &str = "X-Forwarded-Proto: https\r\n";

/// Both listeners, and a front on this machine that is believed; more lines for `[listen]`.
fn behind_a_front(app: &Echo, more: &str) -> Front {
    front(|it| {
        it.main("plain = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1\"]")
            .main(more)
            .route("wiki", HOST, RULES, app)
    })
}

fn plain_address(front: &Front) -> SocketAddr {
    let plain = front.vestibule.plain().and_then(PlainAddress::tcp);
    plain.expect("it has an address of TCP")
}

async fn connect(front: &Front) -> TcpStream {
    TcpStream::connect(plain_address(front)).await.unwrap()
}

/// A request with these fields beside `Host`; the connection is to close behind its answer.
fn request(front: &Front, line: &str, fields: &str) -> String {
    let host = front.vestibule.authority(HOST);
    format!("{line} HTTP/1.1\r\nHost: {host}\r\n{fields}Connection: close\r\n\r\n")
}

/// What comes back until the end.
async fn said(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> String {
    stream.write_all(bytes).await.unwrap();
    let mut answer = String::new();
    let reading = stream.read_to_string(&mut answer);
    timeout(PATIENCE, reading).await.unwrap().unwrap();
    answer
}

async fn tell(front: &Front, line: &str, fields: &str) -> String {
    let request = request(front, line, fields);
    said(connect(front).await, request.as_bytes()).await
}

fn reason(answer: &str) -> String {
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let problem: Value = serde_json::from_str(body).unwrap_or_default();
    problem["reason"].as_str().unwrap_or_default().to_owned()
}

fn cookie(answer: &str, begins: &str) -> Option<String> {
    let mut lines = answer.lines();
    let pair = lines.find_map(|line| line.strip_prefix("set-cookie: "))?;
    let pair = pair.split(';').next()?;
    pair.starts_with(begins).then(|| pair.to_owned())
}

fn location(answer: &str) -> &str {
    let mut lines = answer.lines();
    let found = lines.find_map(|line| line.strip_prefix("location: "));
    found.unwrap_or_else(|| panic!("it leads nowhere: {answer}"))
}

#[tokio::test]
async fn a_front_of_this_machine_that_says_https_is_served_as_with_tls() {
    // S-025, S-026
    let app = upstream::echo().run();
    let front = behind_a_front(&app, "");
    let session = front.session(HOST).await;
    let who = format!("{HTTPS}X-Forwarded-For: 192.0.2.5\r\nCookie: {session}; own=1\r\n");
    let answer = tell(&front, "GET /page?q=1", &who).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(
        answer.contains("\r\nstrict-transport-security: "),
        "{answer}"
    );
    let seen = app.requests().pop().unwrap();
    assert_eq!(seen.target, "/page?q=1");
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    assert_eq!(seen.header("x-forwarded-for"), Some("192.0.2.5, 127.0.0.1"));
    let authority = front.vestibule.authority(HOST);
    assert_eq!(seen.header("x-forwarded-host"), Some(&*authority));
    assert_eq!(seen.header("cookie"), Some("own=1"));
    assert!(seen.header("x-forwarded-user").is_some());

    let mut over_tls = front.wire(Protocol::Http1, HOST);
    let answer = over_tls.ask(&ask("GET", "/open/page")).await;
    assert_eq!(answer.status, 200, "both serve");
}

#[tokio::test]
async fn a_person_signs_in_through_a_front() {
    // S-026, S-029: whatever the front claims, we are sent back to the address people type.
    let app = upstream::echo().run();
    let front = behind_a_front(&app, "");
    front.provider_is_known(HOST).await;
    let claims = format!(
        "{HTTPS}Accept: text/html\r\nX-Forwarded-Host: evil.test\r\nX-Forwarded-Port: 80\r\n"
    );
    let away = tell(&front, "GET /page", &claims).await;
    assert!(away.starts_with("HTTP/1.1 302 "), "{away}");
    assert!(!away.contains("evil.test"), "{away}");
    let attempt = cookie(&away, "__Host-").unwrap();
    assert!(away.contains("; Secure"), "{away}");

    let mut browser = front.vestibule.browser();
    let back = browser.view(location(&away)).await.redirects_to().unwrap();
    let public = front.vestibule.url(HOST, "/.vestibule/callback");
    assert!(back.as_str().starts_with(&public), "{back}");
    let target = format!("GET {}?{}", back.path(), back.query().unwrap());
    let there = tell(&front, &target, &format!("{claims}Cookie: {attempt}\r\n")).await;
    assert_eq!(location(&there), front.vestibule.url(HOST, "/page"));
    let session = there
        .lines()
        .filter_map(|line| line.strip_prefix("set-cookie: "))
        .find(|line| line.starts_with(&format!("{SESSION_COOKIE}=")))
        .and_then(|line| line.split(';').next())
        .unwrap();
    let page = tell(
        &front,
        "GET /page",
        &format!("{HTTPS}Cookie: {session}\r\n"),
    )
    .await;
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
}

#[tokio::test]
async fn what_is_not_said_to_have_come_over_https_is_refused_whatever_it_is() {
    // S-023, S-024, S-026
    let app = upstream::echo().run();
    let front = behind_a_front(&app, "");
    let session = front.session(HOST).await;
    let before = app.requests().len();
    for proto in [
        "",
        "X-Forwarded-Proto: http\r\n",
        "X-Forwarded-Proto:\r\n",
        "X-Forwarded-Proto: HTTPS\r\n",
        "X-Forwarded-Proto: https, http\r\n",
        "X-Forwarded-Proto: http, https\r\n",
        "X-Forwarded-Proto: https\r\nX-Forwarded-Proto: https\r\n",
        "X-Forwarded-Proto: https\r\nx-forwarded-proto: http\r\n",
        "X_Forwarded_Proto: https\r\n",
        "Forwarded: proto=https\r\n",
        "X-Forwarded-Ssl: on\r\n",
        "X-Forwarded-Proto: https\r\nConnection: X-Forwarded-Proto\r\nX-Forwarded-Proto: http\r\n",
    ] {
        for line in [
            "GET /open/page",
            "GET /page",
            "POST /page",
            "GET /.vestibule/login",
            "GET /.vestibule/me",
            "OPTIONS *",
        ] {
            let fields = format!("{proto}Cookie: {session}\r\n");
            let answer = tell(&front, line, &fields).await;
            assert!(
                answer.starts_with("HTTP/1.1 400 "),
                "{proto}{line}: {answer}"
            );
            assert_eq!(reason(&answer), "front_without_https", "{proto}{line}");
            assert!(!answer.contains("set-cookie"), "{answer}");
        }
    }
    assert_eq!(app.requests().len(), before, "no app was asked");
    let sample = "vestibule_refusals_total{reason=\"front_without_https\"}";
    assert_eq!(front.metric(sample), 72);
}

#[tokio::test]
async fn over_tls_nothing_is_asked_of_a_client() {
    // S-026: what a client says of the scheme means nothing there.
    let app = upstream::echo().run();
    let front = behind_a_front(&app, "");
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let mut wire = front.wire(protocol, HOST);
        for proto in ["http", "https"] {
            let asked = ask("GET", "/open/page").with("X-Forwarded-Proto", proto);
            assert_eq!(wire.ask(&asked).await.status, 200);
            let seen = app.requests().pop().unwrap();
            assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
        }
    }
}

#[tokio::test]
async fn hosts_are_known_by_the_address_people_type() {
    // S-217
    let app = upstream::echo().run();
    let front = behind_a_front(&app, "");
    let plain = plain_address(&front);
    for (host, status) in [
        (front.vestibule.authority(HOST), 200),
        (HOST.to_owned(), 421),
        (plain.to_string(), 421),
        (format!("{HOST}:{}", plain.port()), 421),
        ("other.example".to_owned(), 421),
    ] {
        let request =
            format!("GET /open/page HTTP/1.1\r\nHost: {host}\r\n{HTTPS}Connection: close\r\n\r\n");
        let answer = said(connect(&front).await, request.as_bytes()).await;
        let expected = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&expected), "{host}: {answer}");
    }
}

#[tokio::test]
async fn http2_and_tls_are_not_spoken_there() {
    let app = upstream::echo().run();
    let front = behind_a_front(&app, "");
    for bytes in [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"[..],
        b"\x16\x03\x01\x00\x05hello\r\n\r\n",
    ] {
        let answer = said(connect(&front).await, bytes).await;
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
        assert!(!answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert!(app.requests().is_empty());
}

#[tokio::test]
async fn a_front_may_name_the_client_in_a_proxy_header() {
    // S-027
    let app = upstream::echo().run();
    let front = behind_a_front(&app, "proxy_protocol = true");
    let head = "PROXY TCP4 192.0.2.5 198.51.100.2 5555 443\r\n";
    let asked = request(&front, "GET /open/page", HTTPS);
    let answer = said(connect(&front).await, format!("{head}{asked}").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let seen = app.requests().pop().unwrap();
    assert_eq!(seen.header("x-forwarded-for"), Some("192.0.2.5"));
    // Without one the connection is closed, and nothing is answered.
    let mut silent = connect(&front).await;
    silent.write_all(asked.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, silent.read_to_end(&mut answer))
        .await
        .unwrap();
    assert!(answer.is_empty());
}

#[tokio::test]
async fn its_requests_leave_lines_and_its_connections_are_counted() {
    let app = upstream::echo().run();
    let lines = Lines::default();
    let time = crate::support::clock::manual();
    let idp = issuer::honest(&time).entra().run();
    let vestibule = files::at(&time)
        .main("plain = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1\"]")
        .route("wiki", HOST, RULES, &app)
        .entra(&idp)
        .telling(&lines)
        .run();
    let front = Front { idp, vestibule };
    let sample = "vestibule_connections_open{listener=\"plain\"}";
    let text = front.vestibule.metrics();
    assert!(text.contains(&format!("{sample} 0")), "from the start");
    assert!(!text.contains("{listener=\"http\"}"), "there is none");
    let mut stream = connect(&front).await;
    let fields = format!("{HTTPS}X-Forwarded-For: 192.0.2.5\r\n");
    let asked = request(&front, "GET /open/page", &fields).replace("Connection: close\r\n", "");
    stream.write_all(asked.as_bytes()).await.unwrap();
    let line = lines.only("/open/page").await;
    assert_eq!(line["protocol"], "h1");
    assert_eq!(line["peer"], "192.0.2.5");
    assert_eq!(line["decision"], "public");
    assert_eq!(front.metric(sample), 1);
    drop(stream);
    eventually("it is closed", || front.metric(sample) == 0).await;
}

#[tokio::test]
async fn it_shares_its_room_with_https() {
    // S-260: a connection that is idle on the one makes room for a new one on the other.
    let app = upstream::echo().run();
    let front = behind_a_front(&app, "[limits]\nconnections = 1");
    let mut idle = connect(&front).await;
    let asked = request(&front, "GET /open/page", HTTPS).replace("Connection: close\r\n", "");
    idle.write_all(asked.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    let mut over_tls = front.wire(Protocol::Http1, HOST);
    assert_eq!(over_tls.ask(&ask("GET", "/open/page")).await.status, 200);
    let mut rest = Vec::new();
    let gone = timeout(PATIENCE, idle.read_to_end(&mut rest)).await;
    gone.expect("it made room").unwrap();
}

#[tokio::test]
async fn without_https_no_certificate_is_needed_and_a_stop_is_soft() {
    let app = upstream::echo().run();
    let time = crate::support::clock::manual();
    let idp = issuer::honest(&time).entra().run();
    let built = files::at(&time)
        .main("plain = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1\"]")
        .without_https()
        .route("wiki", HOST, RULES, &app)
        .entra(&idp);
    std::fs::remove_dir(built.folder().join("certs")).unwrap();
    let vestibule = built.main("[log]\naccess = \"off\"").run();
    let mut front = Front { idp, vestibule };
    let answer = tell(&front, "GET /open/page", HTTPS).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(front.vestibule.http().is_none());

    let mut kept = connect(&front).await;
    let asked = request(&front, "GET /open/page", HTTPS).replace("Connection: close\r\n", "");
    kept.write_all(asked.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    kept.read_exact(&mut first).await.unwrap();
    let address = plain_address(&front);
    timeout(PATIENCE, front.vestibule.stop())
        .await
        .expect("it ends");
    let mut rest = Vec::new();
    kept.read_to_end(&mut rest).await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
