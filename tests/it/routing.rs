//! Which route and which rule a request meets: hosts, prefixes, public parts, methods, our own
//! prefix, the listener without TLS.

mod decisions;
mod plain_http;
mod public;

use crate::support::{
    front::{Front, HOST, front, wiki},
    upstream::{self, Echo},
    wire::{PROTOCOLS, Protocol, ask},
};

const OTHER: &str = "erp.example";

/// One app for each of two hosts.
fn two_hosts() -> (Front, Echo, Echo) {
    let (one, two) = (upstream::echo().run(), upstream::echo().run());
    let front = front(|it| {
        let rules = "allow = \"signed-in\"\n[[public]]\npath = \"/\"\n[[public]]\npath = \"/a\"";
        it.route("wiki", HOST, rules, &one)
            .route("erp", OTHER, rules, &two)
    });
    (front, one, two)
}

#[tokio::test]
async fn a_host_that_no_route_has_gets_an_empty_page() {
    // S-217, S-250
    let (front, one, two) = two_hosts();
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for host in [
            "unknown.example",
            "example",
            "127.0.0.1",
            "[::1]",
            "wiki.example.evil.test",
        ] {
            let authority = front.vestibule.authority(host);
            for target in [
                "/",
                "/.vestibule/login",
                "/.vestibule/callback?code=x&state=y",
            ] {
                let asked = ask("GET", target)
                    .at(&authority)
                    .with("Accept", "text/html");
                let reply = wire.ask(&asked).await;
                assert_eq!(reply.status, 421, "{host}{target}");
                assert!(reply.body.is_empty(), "{}", reply.text());
                assert_eq!(reply.header("location"), None);
                assert_eq!(reply.header("set-cookie"), None);
            }
        }
    }
    one.assert_silent().await;
    two.assert_silent().await;
}

#[tokio::test]
async fn hosts_are_compared_without_case_and_with_their_port() {
    // S-040, S-045
    let (front, one, two) = two_hosts();
    let port = front.vestibule.https().port();
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for (authority, status) in [
            (format!("wiki.example:{port}"), 200),
            (format!("WIKI.Example:{port}"), 200),
            // The port is part of the address; without one it is that of HTTPS.
            ("wiki.example".to_owned(), 421),
            ("wiki.example:443".to_owned(), 421),
            ("wiki.example:1".to_owned(), 421),
            ("wiki.example:0".to_owned(), 400),
            (format!("wiki.example:0{port}"), 400),
            (format!("wiki.example.:{port}"), 400),
            ("wiki.example:".to_owned(), 400),
            (format!("wiki..example:{port}"), 400),
            (format!("user@wiki.example:{port}"), 400),
        ] {
            let before = one.requests().len();
            let reply = wire.try_ask(&ask("GET", "/").at(&authority)).await;
            // What HTTP/2 cannot carry is a broken stream there, and no request.
            let came = reply.map_or(400, |reply| reply.status);
            assert_eq!(came, status, "{protocol:?} {authority}");
            let forwarded = one.requests().len() - before;
            assert_eq!(forwarded, usize::from(status == 200), "{authority}");
        }
    }
    two.assert_silent().await;
}

#[tokio::test]
async fn a_malformed_host_is_refused() {
    // S-045, S-217
    let (front, one, two) = two_hosts();
    let authority = front.vestibule.authority(HOST);
    let raw = front.vestibule.raw(HOST);
    for lines in [
        String::new(),
        "Host:\r\n".to_owned(),
        "Host: wiki.example:99999\r\n".to_owned(),
        "Host: wiki.example:80:80\r\n".to_owned(),
        "Host: wiki.example, erp.example\r\n".to_owned(),
        "Host: wiki example\r\n".to_owned(),
        "Host: wiki.example/x\r\n".to_owned(),
        "Host: wiki%2eexample\r\n".to_owned(),
        "Host: \u{fc}.example\r\n".to_owned(),
        format!("Host: {authority}\r\nHost: {authority}\r\n"),
        format!("Host: {authority}\r\nHost: erp.example\r\n"),
        format!("Host: {authority}\r\nhost: evil.test\r\n"),
    ] {
        let answer = raw
            .say(format!(
                "GET / HTTP/1.1\r\n{lines}Connection: close\r\n\r\n"
            ))
            .await;
        assert_eq!(answer.statuses(), [400], "{lines:?}");
    }
    one.assert_silent().await;
    two.assert_silent().await;
}

#[tokio::test]
async fn the_authority_of_an_absolute_target_must_be_the_host() {
    // S-218
    let (front, one, two) = two_hosts();
    let raw = front.vestibule.raw(HOST);
    let (wiki, erp) = (
        front.vestibule.authority(HOST),
        front.vestibule.authority(OTHER),
    );
    for (target, host, status) in [
        (format!("https://{wiki}/a?b"), &wiki, 200),
        (format!("http://{wiki}/a?b"), &wiki, 200),
        (format!("https://{wiki}/a?b"), &erp, 400),
        (format!("https://{erp}/a?b"), &wiki, 400),
        (format!("https://user@{wiki}/a?b"), &wiki, 400),
        (format!("ftp://{wiki}/a?b"), &wiki, 400),
        (wiki.clone(), &wiki, 400),
        ("*".to_owned(), &wiki, 400),
    ] {
        let before = one.requests().len();
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = raw.say(request).await;
        assert_eq!(answer.statuses()[..1], [status], "{target} {host}");
        let requests = one.requests();
        assert_eq!(
            requests.len() - before,
            usize::from(status == 200),
            "{target}"
        );
        if status == 200 {
            let seen = &requests[before];
            assert_eq!((&*seen.target, seen.header("host")), ("/a?b", Some(&*wiki)));
        }
    }
    two.assert_silent().await;
}

#[tokio::test]
async fn a_connection_made_for_one_host_serves_no_other() {
    // S-224
    let (front, one, two) = two_hosts();
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        let other = front.vestibule.authority(OTHER);
        for target in ["/", "/.vestibule/login", "/.vestibule/me"] {
            let reply = wire.ask(&ask("GET", target).at(&other)).await;
            assert_eq!((reply.status, reply.body.len()), (421, 0), "{target}");
        }
        assert_eq!(wire.get("/").await.status, 200);
        assert_eq!(front.wire(protocol, OTHER).get("/").await.status, 200);
    }
    assert_eq!((one.requests().len(), two.requests().len()), (2, 2));
}

#[tokio::test]
async fn many_hosts_are_told_apart_as_well_as_few() {
    // S-040, S-092
    let app = upstream::echo().run();
    let hosts: Vec<_> = (0..150)
        .map(|number| format!("h{number}.example"))
        .collect();
    let front = front(|it| {
        hosts.iter().fold(it, |it, host| {
            let id = host.replace('.', "-");
            it.route(
                &id,
                host,
                "allow = \"signed-in\"\n[[public]]\npath = \"/\"",
                &app,
            )
        })
    });
    for host in [&hosts[0], &hosts[77], &hosts[149]] {
        let asked = ask("GET", "/").at(&front.vestibule.authority(&host.to_uppercase()));
        let reply = front.wire(Protocol::Http1, host).ask(&asked).await;
        assert_eq!(reply.status, 200, "{host}");
        let seen = app.requests().pop().unwrap();
        let authority = front.vestibule.authority(host);
        assert_eq!(seen.header("x-forwarded-host"), Some(&*authority));
    }
    let asked = ask("GET", "/").at(&front.vestibule.authority("h150.example"));
    let reply = front.wire(Protocol::Http1, &hosts[0]).ask(&asked).await;
    assert_eq!(reply.status, 421);
}

#[tokio::test]
async fn the_longest_prefix_at_a_segment_border_wins() {
    // S-042
    let apps = [0; 3].map(|_| upstream::echo().run());
    let front = front(|it| {
        let rules = "allow = \"signed-in\"";
        it.route("root", &format!("{HOST}/app"), rules, &apps[0])
            .route("deep", &format!("{HOST}/app/deep"), rules, &apps[1])
            .route("side", &format!("{HOST}/apple"), rules, &apps[2])
    });
    let session = front.session(HOST).await;
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for (target, app) in [
            ("/app", Some(0)),
            ("/app/", Some(0)),
            ("/app?x=/app/deep", Some(0)),
            ("/app/deeper", Some(0)),
            ("/app/deep", Some(1)),
            ("/app/deep/x", Some(1)),
            ("/apple", Some(2)),
            ("/apples", None),
            ("/application", None),
            ("/app..", None),
            ("/App", None),
            ("/app%2f", None),
            ("/app;x", None),
            ("/", None),
            ("//app", None),
        ] {
            let before: Vec<_> = apps.iter().map(|app| app.requests().len()).collect();
            let reply = wire.ask(&ask("GET", target).with("Cookie", &session)).await;
            let found = (0..3).find(|it| apps[*it].requests().len() > before[*it]);
            assert_eq!(found, app, "{target}");
            let expected = if app.is_some() { 200 } else { 404 };
            assert_eq!(reply.status, expected, "{target}");
            if let Some(app) = app {
                assert_eq!(apps[app].requests().pop().unwrap().target, target);
            }
        }
    }
}

#[tokio::test]
async fn methods_that_are_never_forwarded_are_not() {
    // S-089, S-226
    let app = upstream::echo().run();
    let front = wiki(&app, "[[public]]\npath = \"/pub\"");
    let session = front.session(HOST).await;
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for target in ["/", "/pub", "/.vestibule/login"] {
            for method in ["TRACE", "TRACK"] {
                let reply = wire
                    .ask(&ask(method, target).with("Cookie", &session))
                    .await;
                assert_eq!(reply.status, 405, "{method} {target}");
                assert!(
                    reply
                        .header("allow")
                        .is_some_and(|allow| !allow.contains("TRACE"))
                );
            }
        }
    }
    let authority = front.vestibule.authority(HOST);
    for target in [&*authority, "inner.example:80", "127.0.0.1:22"] {
        let request = format!(
            "CONNECT {target} HTTP/1.1\r\nHost: {authority}\r\nCookie: {session}\r\n\
             Connection: close\r\n\r\n"
        );
        let answer = front.vestibule.raw(HOST).say(request).await;
        assert_eq!(answer.statuses(), [405], "{target}");
    }
    app.assert_silent().await;
    // What a method means is the app's affair.
    let mut wire = front.wire(Protocol::Http2, HOST);
    for method in ["PROPFIND", "FOO", "VERSION-CONTROL"] {
        let reply = wire.ask(&ask(method, "/").with("Cookie", &session)).await;
        assert_eq!(reply.status, 200);
        assert_eq!(app.requests().pop().unwrap().method, method);
    }
}

#[tokio::test]
async fn the_reserved_prefix_is_ours_on_every_host() {
    // S-020: whatever the routes say, nothing below it is forwarded.
    let app = upstream::echo().run();
    let open = "allow = \"signed-in\"\n[[public]]\npath = \"/x/*\"\n\
                [[public]]\npath = \"/.vestibulex\"\n[[public]]\npath = \"/.Vestibule/*\"";
    let front = front(|it| {
        it.route("wiki", HOST, open, &app).route(
            "erp",
            &format!("{OTHER}/app"),
            "allow = \"signed-in\"",
            &app,
        )
    });
    let session = front.session(HOST).await;
    for protocol in PROTOCOLS {
        for host in [HOST, OTHER] {
            let mut wire = front.wire(protocol, host);
            for (method, target, status) in [
                ("GET", "/.vestibule", 404),
                ("GET", "/.vestibule/", 404),
                ("GET", "/.vestibule/unknown", 404),
                ("GET", "/.vestibule/login/", 404),
                ("GET", "/.vestibule/LOGIN", 404),
                ("GET", "/.vestibule/../x", 404),
                ("GET", "/.vestibule/%2e%2e/x", 404),
                ("GET", "/.vestibule/me;x", 404),
                ("POST", "/.vestibule/unknown", 404),
                ("POST", "/.vestibule/login", 405),
                ("POST", "/.vestibule/callback", 405),
                ("HEAD", "/.vestibule/callback", 405),
                ("DELETE", "/.vestibule/logout", 405),
                ("OPTIONS", "/.vestibule/me", 405),
                ("POST", "/.vestibule/signed-out", 405),
                ("GET", "/.vestibule/signed-out", 200),
                ("HEAD", "/.vestibule/signed-out", 200),
            ] {
                let reply = wire
                    .ask(&ask(method, target).with("Cookie", &session))
                    .await;
                assert_eq!(reply.status, status, "{protocol:?} {method} {host}{target}");
                assert_eq!(reply.header("allow").is_some(), status == 405, "{target}");
            }
        }
    }
    app.assert_silent().await;
    // Only as it is spelled, and only at the root.
    let mut wire = front.wire(Protocol::Http1, HOST);
    for target in ["/x/.vestibule/login", "/.vestibulex", "/.Vestibule/login"] {
        assert_eq!(wire.get(target).await.status, 200, "{target}");
    }
    // On a host whose routes all begin deeper, the rest is nobody's.
    let reply = front.wire(Protocol::Http1, OTHER).get("/").await;
    assert_eq!((reply.status, &*reply.reason()), (404, "no_route"));
}
