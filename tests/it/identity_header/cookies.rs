//! Our cookies end here; the app's cross as they are.

use super::{SHOP, scene};
use crate::support::{
    front::{HOST, wiki},
    upstream,
    wire::{PROTOCOLS, Protocol, ask},
};

#[tokio::test]
async fn the_apps_cookies_keep_order_and_bytes_and_ours_are_gone() {
    // S-032, S-235
    let scene = scene().await;
    let ours = &scene.session;
    let login = "__Host-vestibule-login-abcdefgh=c2VhbGVk";
    for protocol in PROTOCOLS {
        let mut wire = scene.wire(protocol);
        for (sent, kept) in [
            (ours.clone(), None),
            (format!("a=1; {ours}; b=2"), Some("a=1; b=2")),
            (
                format!("{ours}; b=\"2;c=3\"; a=1"),
                Some("b=\"2;c=3\"; a=1"),
            ),
            (format!("b=2;{ours};a=1"), Some("b=2;a=1")),
            (
                format!("a=\"x, {login}; {ours}; z=%7B%20"),
                Some("z=%7B%20"),
            ),
            (
                format!("{login}; {ours}; __Host-app=1"),
                Some("__Host-app=1"),
            ),
            (
                format!("$Version=1; a=[x]; {ours}; ="),
                Some("$Version=1; a=[x]; ="),
            ),
        ] {
            let asked = ask("GET", "/").with("Cookie", &sent);
            let seen = scene.seen(&mut wire, &asked).await;
            assert_eq!(seen.header("cookie"), kept, "{protocol:?} {sent}");
        }
    }
}

#[tokio::test]
async fn our_value_reaches_the_app_under_no_name() {
    // S-032
    let scene = scene().await;
    let (_, value) = scene.session.split_once('=').unwrap();
    for protocol in PROTOCOLS {
        let mut wire = scene.wire(protocol);
        let sent = format!("copy={value}; {}; a=1; q=\"{value}\"", scene.session);
        let asked = ask("GET", "/").with("Cookie", &sent);
        let seen = scene.seen(&mut wire, &asked).await;
        assert_eq!(seen.header("cookie"), Some("a=1"));
        let all = format!("{:?}", seen.headers);
        assert!(!all.contains(value), "{all}");
    }
}

#[tokio::test]
async fn crumbs_and_lines_are_one_list() {
    // S-032, S-235: over HTTP/2 a browser sends a field for each cookie.
    let scene = scene().await;
    for protocol in PROTOCOLS {
        let asked = ask("GET", "/")
            .with("Cookie", "a=1")
            .with("Cookie", &scene.session)
            .with("Cookie", "b=2; c=3");
        let seen = scene.seen(&mut scene.wire(protocol), &asked).await;
        assert_eq!(seen.all("cookie"), ["a=1; b=2; c=3"]);
    }
}

#[tokio::test]
async fn another_hosts_session_is_none_here_and_is_not_passed_on() {
    // S-032, S-223
    let scene = scene().await;
    let foreign = scene.front.session(SHOP).await;
    let (_, value) = foreign.split_once('=').unwrap();
    for protocol in PROTOCOLS {
        let mut wire = scene.wire(protocol);
        let asked = ask("GET", "/").with("Cookie", &foreign);
        let reply = wire.ask(&asked).await;
        assert_eq!((reply.status, &*reply.reason()), (401, "foreign_session"));
        // Nor on a public path, where nothing is looked up.
        let asked = ask("GET", "/pub/").with("Cookie", &foreign);
        let seen = scene.seen(&mut wire, &asked).await;
        assert!(!format!("{:?}", seen.headers).contains(value));
    }
    assert_eq!(scene.app.requests().len(), PROTOCOLS.len());
}

#[tokio::test]
async fn an_unusable_session_cookie_is_no_session() {
    // S-050
    let scene = scene().await;
    let ours = &scene.session;
    let long = format!("__Host-vestibule={}", "A".repeat(4096));
    for protocol in PROTOCOLS {
        let mut wire = scene.wire(protocol);
        for cookies in [
            "__Host-vestibule=",
            "__Host-vestibule==",
            "__Host-vestibule=\"",
            "__Host-vestibule=AAAA",
            "__Host-vestibule=!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!",
            "__Host-vestibule=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "__Host-vestibule=\u{e9}",
            "__host-vestibule=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            &long,
            &format!("{ours}; __Host-vestibule=x"),
            &format!("__Host-vestibule=x; {ours}"),
            &format!("{ours}; {ours}"),
            &ours.replace("__Host", "__host"),
            &format!("{ours}x"),
            &format!("a=\"{ours}\""),
            &ours.replace('=', " = "),
        ] {
            let asked = ask("GET", "/").with("Cookie", cookies);
            let reply = wire.ask(&asked).await;
            // A browser never writes blanks around the sign, and they are no part of name or value.
            let is_ours = cookies.contains(" = ");
            assert_eq!(reply.status, if is_ours { 200 } else { 401 }, "{cookies}");
        }
    }
}

#[tokio::test]
async fn a_bearer_token_is_no_session() {
    // S-046
    let scene = scene().await;
    let (_, value) = scene.session.split_once('=').unwrap();
    for protocol in PROTOCOLS {
        let mut wire = scene.wire(protocol);
        for asked in [
            ask("GET", "/").with("Authorization", &format!("Bearer {value}")),
            ask(
                "GET",
                &format!("/?access_token={value}&__Host-vestibule={value}"),
            ),
            ask("GET", "/").with("Cookie", "IdToken=x; access_token=y"),
            ask("GET", "/").with("Authorization", "Basic YW5uOmFubg=="),
        ] {
            assert_eq!(wire.ask(&asked).await.status, 401, "{asked:?}");
        }
    }
    scene.app.assert_silent().await;
    // With a session it is the app's own affair.
    let asked = scene.ask("/").with("Authorization", "Bearer of the app");
    let seen = scene
        .seen(&mut scene.front.wire(Protocol::Http1, HOST), &asked)
        .await;
    assert_eq!(seen.header("authorization"), Some("Bearer of the app"));
}

#[tokio::test]
async fn cookies_beyond_all_measure_are_told_so_and_nothing_is_left_of_them() {
    // S-236: ours have a measure of their own, so that it is the app's that have to go.
    let app = upstream::echo().run();
    let front = wiki(&app, "");
    let session = front.session(HOST).await;
    for protocol in PROTOCOLS {
        let bomb = format!("{session}; {}", "a=".to_owned() + &"b".repeat(40_000));
        let refused = front
            .wire(protocol, HOST)
            .try_ask(&ask("GET", "/").with("cookie", &bomb))
            .await
            .unwrap();
        assert_eq!(refused.status, 431, "{protocol:?}");
        assert_eq!(refused.header("set-cookie"), None);
        let mut wire = front.wire(protocol, HOST);
        let passed = wire.ask(&ask("GET", "/").with("cookie", &session)).await;
        assert_eq!(passed.status, 200, "{protocol:?}");
    }
}
