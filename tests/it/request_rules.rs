//! Every way to be refused for what a request is: its status, and one word of its own for log, metric
//! and machine, over both protocols.

use crate::support::{
    front::{Front, HOST, front},
    h2::{self, H2},
    pki::Alpn,
    upstream::{self, Echo},
    wire::{Ask, PROTOCOLS, Protocol, ask},
};

fn ruled() -> (Front, Echo) {
    let app = upstream::echo().run();
    let rules = "allow = \"signed-in\"\n[[public]]\npath = \"/pub\"";
    let front = front(|it| {
        let limited = it.adjusted(|config| {
            config.limits.public_body_bytes = Some(100);
            config.limits.target_bytes = 4000;
        });
        limited.route("wiki", HOST, rules, &app)
    });
    (front, app)
}

fn refusals(front: &Front, reason: &str) -> u64 {
    front.metric(&format!("vestibule_refusals_total{{reason=\"{reason}\"}}"))
}

/// Over which protocols a request is sent, and the word for it.
#[derive(Clone, Copy)]
enum Word {
    /// Over both.
    Both(&'static str),
    /// Over both, but over HTTP/1 whoever reads the head says it first, in a word of its own.
    GuardFirst(&'static str),
    /// Over HTTP/1 alone.
    Http1(&'static str),
    /// Over HTTP/2 alone.
    Http2(&'static str),
}

impl Word {
    /// The word over a protocol; `None` if the request is not sent over it.
    fn over(self, protocol: Protocol) -> Option<&'static str> {
        match (self, protocol) {
            (Self::Both(word) | Self::Http1(word), Protocol::Http1)
            | (Self::Both(word) | Self::GuardFirst(word) | Self::Http2(word), Protocol::Http2) => {
                Some(word)
            }
            (Self::GuardFirst(_), Protocol::Http1) => Some(""),
            _ => None,
        }
    }
}

/// What is refused, with which status and word.
fn refused(session: &str) -> Vec<(Ask, u16, Word)> {
    let signed_in = || ask("GET", "/").with("Cookie", session);
    let long = |length| format!("/{}", "a".repeat(length));
    let twice = |name, value| ask("POST", "/pub").with(name, value).with(name, value);
    vec![
        (ask("get", "/pub"), 400, Word::Both("malformed_method")),
        (ask("GET_", "/pub"), 400, Word::Both("malformed_method")),
        (ask("1GET", "/pub"), 400, Word::Both("malformed_method")),
        (
            ask(&"A".repeat(33), "/pub"),
            400,
            Word::Both("malformed_method"),
        ),
        (ask("TRACE", "/pub"), 405, Word::Both("method_refused")),
        (ask("TRACK", "/pub"), 405, Word::Both("method_refused")),
        (
            ask("POST", "/.vestibule/me"),
            405,
            Word::Both("method_refused"),
        ),
        (
            ask("GET", "/.vestibule/nothing"),
            404,
            Word::Both("unknown_endpoint"),
        ),
        (ask("GET", "/%zz"), 400, Word::Both("malformed_target")),
        (
            ask("GET", &long(4000)),
            414,
            Word::GuardFirst("target_too_long"),
        ),
        (
            ask("GET", "/").at("wiki.example:0443"),
            400,
            Word::Both("malformed_host"),
        ),
        (
            ask("GET", "/").with("Host", HOST),
            400,
            Word::Http1("two_hosts"),
        ),
        (
            ask("GET", "/").with("Host", "evil.test"),
            400,
            Word::Http2("hosts_differ"),
        ),
        (
            ask("GET", "/").at("evil.test"),
            421,
            Word::Both("unknown_host"),
        ),
        (
            twice("Content-Length", "0"),
            400,
            Word::Http2("ambiguous_length"),
        ),
        (
            ask("POST", "/pub").with("Expect", "200-ok"),
            417,
            Word::Both("unknown_expectation"),
        ),
        (
            ask("GET", "/pub").body("x"),
            400,
            Word::Both("unexpected_body"),
        ),
        (
            ask("POST", "/pub").body(vec![b'x'; 101]),
            413,
            Word::Both("body_too_large"),
        ),
        (
            signed_in().with("Connection", "Host"),
            400,
            Word::Http1("connection_nominates"),
        ),
        (
            signed_in().with("Connection", "a b"),
            400,
            Word::Http1("connection_malformed"),
        ),
    ]
}

#[tokio::test]
async fn every_refusal_has_a_word_of_its_own() {
    // S-089, S-212, S-216, S-217, S-218, S-221, S-226, S-259
    let (front, app) = ruled();
    let session = front.session(HOST).await;
    for (asked, status, word) in refused(&session) {
        for protocol in PROTOCOLS {
            let Some(reason) = word.over(protocol) else {
                continue;
            };
            let before = refusals(&front, reason);
            let reply = front.wire(protocol, HOST).ask(&asked).await;
            assert_eq!(reply.status, status, "{protocol:?} {asked:?}");
            if reason.is_empty() {
                continue;
            }
            let counted = refusals(&front, reason) - before;
            assert_eq!(counted, 1, "{protocol:?} {asked:?} {reason}");
            // Nothing is said about a host that is not ours.
            let said = if status == 421 { "" } else { reason };
            assert_eq!(reply.reason(), said, "{protocol:?} {asked:?}");
        }
    }
    app.assert_silent().await;
}

#[tokio::test]
async fn a_host_that_is_missing_or_said_in_two_ways_is_refused() {
    // S-217, S-218
    let (front, app) = ruled();
    let authority = front.vestibule.authority(HOST);
    for (head, reason) in [
        ("GET /pub HTTP/1.1\r\n".to_owned(), "missing_host"),
        (
            format!("GET https://evil.test/pub HTTP/1.1\r\nHost: {authority}\r\n"),
            "hosts_differ",
        ),
        (
            format!("GET ftp://{authority}/pub HTTP/1.1\r\nHost: {authority}\r\n"),
            "unknown_scheme",
        ),
    ] {
        let before = refusals(&front, reason);
        let head = format!("{head}Connection: close\r\n\r\n");
        let answer = front.vestibule.raw(HOST).say(&head).await;
        assert_eq!(answer.statuses(), [400], "{head}");
        assert_eq!(refusals(&front, reason), before + 1, "{head}");
    }
    app.assert_silent().await;
}

type Fields<'a> = Vec<(&'a [u8], &'a [u8])>;

/// What becomes of one HTTP/2 request on a connection of its own.
#[derive(Debug, Eq, PartialEq)]
enum Fate {
    /// The stream, or the connection, was broken off.
    Broken,
    /// It was answered with 200.
    Passed,
    /// It was answered with anything else.
    Refused,
}

/// Sends fields and data as they are given.
async fn fate(front: &Front, fields: &[(&[u8], &[u8])], data: Option<&[u8]>) -> Fate {
    /// `:status: 200` from the static table (RFC 7541 A).
    const STATUS_200: u8 = 0x88;
    const RST_STREAM: u8 = 3;
    let raw = front.vestibule.raw(HOST);
    let raw = raw.offering(Alpn::H2, front.vestibule.pki());
    let mut client = H2::over(&raw).await;
    let flags = if data.is_some() { 0 } else { h2::END_STREAM };
    client.fields(1, fields, flags).await;
    if let Some(data) = data {
        client.send(h2::DATA, h2::END_STREAM, 1, data).await;
    }
    loop {
        match client.next().await {
            Some(frame) if frame.stream == 1 && frame.kind == h2::HEADERS => {
                let passed = frame.payload.first() == Some(&STATUS_200);
                break if passed { Fate::Passed } else { Fate::Refused };
            }
            Some(frame) if frame.kind == RST_STREAM || frame.kind == h2::GOAWAY => {
                break Fate::Broken;
            }
            Some(_) => {}
            None => break Fate::Broken,
        }
    }
}

#[tokio::test]
async fn http2_fields_that_can_be_read_twice_reach_nobody() {
    // S-089, S-219, S-221
    let (front, app) = ruled();
    let authority = front.vestibule.authority(HOST);
    let authority = authority.as_bytes();
    let get = |path: &'static [u8]| -> Fields<'_> {
        vec![
            (b":method", b"GET"),
            (b":scheme", b"https"),
            (b":authority", authority),
            (b":path", path),
        ]
    };
    let with = |name: &'static [u8], value: &'static [u8]| {
        let mut fields = get(b"/pub");
        fields.push((name, value));
        fields
    };
    let instead = |name: &'static [u8], value: &'static [u8]| {
        let mut fields = get(b"/pub");
        for field in fields.iter_mut().filter(|(it, _)| *it == name) {
            field.1 = value;
        }
        fields
    };
    let without = |name: &'static [u8]| {
        let mut fields = get(b"/pub");
        fields.retain(|(it, _)| *it != name);
        fields
    };
    let mut late = get(b"/pub");
    late.insert(1, (b"x", b"1"));
    let mut upgrade = instead(b":method", b"CONNECT");
    upgrade.push((b":protocol", b"websocket"));
    let cases = [
        without(b":authority"),
        without(b":method"),
        without(b":path"),
        without(b":scheme"),
        with(b":path", b"/pub"),
        with(b":authority", b"evil.test"),
        with(b":status", b"200"),
        with(b":unknown", b"1"),
        with(b"host", b"evil.test"),
        instead(b":path", b""),
        instead(b":path", b"pub"),
        instead(b":path", b"*"),
        instead(b":path", b"/pub x"),
        instead(b":path", b"/pub\r\nx: 1"),
        instead(b":path", b"/pub\0"),
        instead(b":path", b"/pub\x80"),
        instead(b":scheme", b"http"),
        instead(b":scheme", b"ftp"),
        instead(b":scheme", b"HTTPS"),
        instead(b":method", b"GET / HTTP/1.1\r\nX:"),
        instead(b":method", b""),
        instead(b":method", b"get"),
        instead(b":method", b"TRACE"),
        instead(b":method", b"CONNECT"),
        instead(b":authority", b"u@wiki.example"),
        late,
        upgrade,
        with(b"Upper", b"1"),
        with(b"connection", b"x"),
        with(b"keep-alive", b"1"),
        with(b"proxy-connection", b"x"),
        with(b"transfer-encoding", b"chunked"),
        with(b"upgrade", b"websocket"),
        with(b"te", b"gzip"),
        with(b"x", b"a\r\nb: c"),
        with(b"x", b"a\0b"),
    ];
    for fields in cases {
        let fate = fate(&front, &fields, None).await;
        let shown: Vec<_> = fields
            .iter()
            .map(|(name, value)| {
                (
                    name.escape_ascii().to_string(),
                    value.escape_ascii().to_string(),
                )
            })
            .collect();
        assert_ne!(fate, Fate::Passed, "{shown:?}");
    }
    assert_eq!(app.requests().len(), 0);
    // The table can fail: this is what each case departs from.
    assert_eq!(fate(&front, &get(b"/pub"), None).await, Fate::Passed);
    assert_eq!(
        fate(&front, &with(b"te", b"trailers"), None).await,
        Fate::Passed
    );
    // The same host twice is one host.
    let mut twice = get(b"/pub");
    twice.push((b"host", authority));
    assert_eq!(fate(&front, &twice, None).await, Fate::Passed);
    let seen = app.requests().pop().unwrap();
    assert_eq!(seen.all("host"), [str::from_utf8(authority).unwrap()]);
    // A `#` is cut before anybody can look: rule and app see the same.
    assert_eq!(fate(&front, &get(b"/pub#/../x"), None).await, Fate::Passed);
    assert_eq!(app.requests().pop().unwrap().target, "/pub");
    assert_eq!(fate(&front, &get(b"/x#/pub"), None).await, Fate::Refused);
}

#[tokio::test]
async fn an_http2_length_is_that_of_the_body_or_nothing_arrives() {
    // S-221
    let (front, app) = ruled();
    let authority = front.vestibule.authority(HOST);
    let post = |lengths: &[&'static [u8]]| -> Fields<'_> {
        let mut fields: Fields<'_> = vec![
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":authority", authority.as_bytes()),
            (b":path", b"/pub"),
        ];
        fields.extend(lengths.iter().map(|it| (&b"content-length"[..], *it)));
        fields
    };
    for (lengths, data) in [
        (&[&b"0"[..]][..], &b"hello"[..]),
        (&[b"10"], b"hello"),
        (&[b"4"], b"hello"),
        (&[b"5", b"5"], b"hello"),
        (&[b"5", b"6"], b"hello"),
        (&[b"+5"], b"hello"),
        (&[b"5, 5"], b"hello"),
        (&[b" 5"], b"hello"),
        (&[b""], b"hello"),
        (&[b"0x5"], b"hello"),
        (&[b"99999999999999999999999"], b"hello"),
    ] {
        let fate = fate(&front, &post(lengths), Some(data)).await;
        assert_ne!(fate, Fate::Passed, "{lengths:?}");
    }
    assert_eq!(app.requests().len(), 0, "no request was whole");
    for (lengths, framing) in [
        (&[&b"5"[..]][..], "content-length"),
        (&[], "transfer-encoding"),
    ] {
        let passed = fate(&front, &post(lengths), Some(b"hello")).await;
        assert_eq!(passed, Fate::Passed);
        let seen = app.requests().pop().unwrap();
        assert_eq!(&seen.body[..], b"hello");
        assert!(seen.header(framing).is_some(), "{framing}");
    }
}
