//! The answer's fields: what an app may not say, and shared caches.

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

use super::support::{all, headers, route, target};
use crate::upstream::answer_headers::{AnswerFacts, for_client};

fn rewritten(fields: &[(&str, &str)], session_decided: bool) -> HeaderMap {
    let mut headers = headers(fields);
    let hsts = HeaderValue::from_static("max-age=86400");
    let facts = AnswerFacts {
        session_decided,
        hsts: Some(&hsts),
    };
    for_client(&mut headers, &target(&route(80)), facts);
    headers
}

fn cache_control(lines: &[&str]) -> String {
    let fields: Vec<_> = lines.iter().map(|line| ("cache-control", *line)).collect();
    all(&rewritten(&fields, true), "cache-control")
}

#[test]
fn an_app_does_not_speak_in_our_name() {
    // S-232, S-238
    for name in [
        "X-App-User",
        "X_App_User",
        "x.app.user",
        "Alt-Svc",
        "Server",
        "Via",
        "Connection",
        "Keep-Alive",
        "Upgrade",
        "Trailer",
        "Transfer-Encoding",
        "Proxy-Authenticate",
        "NEL",
        "Report-To",
        "Public-Key-Pins",
        "Public-Key-Pins-Report-Only",
        "Expect-CT",
    ] {
        let after = rewritten(&[(name, "bad")], false);
        assert!(after.values().all(|value| value != "bad"), "{name} passed");
    }
    let after = rewritten(
        &[
            ("Connection", "close, X-Hop, \u{fc}"),
            ("X-Hop", "1"),
            ("X-End", "1"),
        ],
        false,
    );
    assert!(!after.contains_key("x-hop") && after.contains_key("x-end"));
    for (prefix, passes) in [("", true), ("/wiki", false)] {
        let mut route = route(80);
        route.from.prefix = prefix.to_owned();
        let mut headers = headers(&[("Service-Worker-Allowed", "/")]);
        let facts = AnswerFacts {
            session_decided: false,
            hsts: None,
        };
        for_client(&mut headers, &target(&route), facts);
        assert_eq!(headers.contains_key("service-worker-allowed"), passes);
    }
    let after = rewritten(&[("Strict-Transport-Security", "max-age=0")], false);
    assert_eq!(all(&after, "strict-transport-security"), "max-age=86400");
}

#[test]
fn an_app_sets_no_cookie_of_ours() {
    // S-232
    for odd in [
        "__Host-vestibule=evil; Path=/; Secure",
        "__HOST-Vestibule=evil; Domain=example.com",
        "__host-vestibule-login-ab=evil",
        " __Host-vestibule =evil",
        "=__Host-vestibule=evil",
        "__Host-vestibule",
    ] {
        let after = rewritten(
            &[
                ("Set-Cookie", "a=1"),
                ("Set-Cookie", odd),
                ("Set-Cookie", "b=2"),
            ],
            false,
        );
        assert_eq!(all(&after, "set-cookie"), "a=1|b=2", "{odd}");
    }
}

#[test]
fn an_app_does_not_sign_people_out_by_clearing_cookies() {
    // S-232
    let cleared = |line| {
        all(
            &rewritten(&[("Clear-Site-Data", line)], false),
            "clear-site-data",
        )
    };
    assert_eq!(cleared("\"*\""), "");
    assert_eq!(cleared("\"Cookies\""), "");
    assert_eq!(
        cleared("\"cache\", \"cookies\" ,\"storage\""),
        "\"cache\", \"storage\""
    );
}

#[test]
fn answers_that_a_session_decided_stay_out_of_shared_caches() {
    // S-247
    for (lines, expected) in [
        (&[][..], "private"),
        (&["public"], "private"),
        (&["public, max-age=600"], "max-age=600, private"),
        (&["max-age=600"], "max-age=600, private"),
        (&["PUBLIC , S-MaxAge=5,Private"], "Private"),
        (&["no-store"], "no-store"),
        (&["private, max-age=1"], "private, max-age=1"),
        (
            &["private=\"X-A, public\", s-maxage=1"],
            "private=\"X-A, public\", private",
        ),
        (&["foo=\"unfinished, public"], "foo=\"unfinished, private"),
        (
            &["foo=\"a\\\", public\", public"],
            "foo=\"a\\\", public\", private",
        ),
        (
            &["max-age=1", "public", "no-transform"],
            "max-age=1, no-transform, private",
        ),
        (&[",,"], "private"),
    ] {
        assert_eq!(cache_control(lines), expected, "{lines:?}");
    }
    let after = rewritten(
        &[
            ("CDN-Cache-Control", "max-age=9"),
            ("Surrogate-Control", "x"),
        ],
        true,
    );
    assert!(!after.contains_key("cdn-cache-control") && !after.contains_key("surrogate-control"));
    let after = rewritten(&[("Cache-Control", "public, s-maxage=5")], false);
    assert_eq!(all(&after, "cache-control"), "public, s-maxage=5");
}

#[test]
fn answers_that_a_session_decided_depend_on_the_cookies() {
    // S-247
    let vary = |lines: &[&str], session_decided| {
        let fields: Vec<_> = lines.iter().map(|line| ("vary", *line)).collect();
        all(&rewritten(&fields, session_decided), "vary")
    };
    for (lines, expected) in [
        (&[][..], "Cookie"),
        (&["Accept-Encoding"], "Accept-Encoding|Cookie"),
        (&["Accept-Encoding, cookie"], "Accept-Encoding, cookie"),
        (&["Accept", " COOKIE "], "Accept| COOKIE "),
        (&["*"], "*"),
        (&["Cookies"], "Cookies|Cookie"),
    ] {
        assert_eq!(vary(lines, true), expected, "{lines:?}");
        assert_eq!(vary(lines, false), lines.join("|"));
    }
}

proptest! {
    #[test]
    fn nothing_shared_is_left_and_the_rest_is_kept(
        directives in prop::collection::vec(
            "public|s-maxage=[0-9]{1,3}|private|no-store|max-age=[0-9]{1,4}|x=\"[a-z, ]{0,6}\"",
            0..8,
        ),
    ) {
        let after = cache_control(&[&directives.join(", ")]);
        let kept: Vec<_> = directives
            .iter()
            .filter(|it| *it != "public" && !it.starts_with("s-maxage"))
            .cloned()
            .collect();
        let closed = kept.iter().any(|it| it == "private" || it == "no-store");
        let mut expected = kept;
        if !closed {
            expected.push("private".to_owned());
        }
        prop_assert_eq!(after, expected.join(", "));
    }

    #[test]
    fn no_bytes_of_an_app_break_the_rules(line in "[\\x20-\\x7e\\t]{0,60}") {
        let _ = cache_control(&[&line]);
        let _ = rewritten(&[("set-cookie", &line), ("clear-site-data", &line), ("connection", &line)], true);
    }
}

fn at_the_client(
    adjust: impl FnOnce(&mut crate::config::route::Route),
    fields: &[(&str, &str)],
) -> HeaderMap {
    let mut route = route(80);
    adjust(&mut route);
    let facts = AnswerFacts {
        session_decided: true,
        hsts: None,
    };
    let mut headers = headers(fields);
    for_client(&mut headers, &target(&route), facts);
    headers
}

#[test]
fn an_app_that_calls_itself_what_people_call_it_is_not_touched() {
    // The very bytes: nothing was written anew.
    let target = target(&route(8080));
    let facts = AnswerFacts {
        session_decided: true,
        hsts: None,
    };
    let mut headers = headers(&[
        ("Location", "https://wiki.example.com:8443/page?x#y"),
        ("Content-Location", "/page"),
        ("Refresh", "5; url=https://wiki.example.com:8443/page"),
        ("Set-Cookie", "a=1; Domain=wiki.example.com; Path=/; Secure"),
        ("Set-Cookie", "b=2; Path=/x"),
    ]);
    let places = |headers: &HeaderMap| {
        let names = ["location", "content-location", "refresh", "set-cookie"];
        let lines = names.iter().flat_map(|name| headers.get_all(*name));
        lines.map(|it| it.as_bytes().as_ptr()).collect::<Vec<_>>()
    };
    let (before, room) = (places(&headers), headers.capacity());
    for_client(&mut headers, &target, facts);
    assert_eq!(places(&headers), before);
    assert_eq!(before.len(), 5);
    assert_eq!(headers.capacity(), room);
}

#[test]
fn an_app_that_calls_itself_by_its_own_address_is_shown_by_the_public_one() {
    // S-029, S-232
    use crate::config::route::HostHeader;
    let fields = [
        ("Location", "http://127.0.0.1/x"),
        ("Content-Location", "https://inner.test/x"),
        ("Set-Cookie", "a=1; Domain=inner.test; Path=/"),
        ("Set-Cookie", "__Host-vestibule=evil; Path=/"),
    ];
    let after = at_the_client(
        |route| route.upstream.host = HostHeader::Literal("inner.test".to_owned()),
        &fields,
    );
    let public = "https://wiki.example.com:8443/x";
    assert_eq!(all(&after, "location"), public);
    assert_eq!(all(&after, "content-location"), public);
    assert_eq!(all(&after, "set-cookie"), "a=1; Path=/");
    let after = at_the_client(|_| (), &fields);
    assert_eq!(all(&after, "location"), public);
    assert_eq!(all(&after, "content-location"), "https://inner.test/x");
    assert_eq!(all(&after, "set-cookie"), "a=1; Domain=inner.test; Path=/");
}

#[test]
fn what_was_stripped_is_put_back() {
    let after = at_the_client(
        |route| {
            route.from.prefix = "/app".to_owned();
            route.upstream.strip_prefix = "/app".to_owned();
        },
        &[
            ("Location", "/x"),
            ("Content-Location", "http://127.0.0.1/x"),
            ("Refresh", "1;url=/app/x"),
            ("Set-Cookie", "a=1; Path=/"),
        ],
    );
    assert_eq!(all(&after, "location"), "/app/x");
    let content = "https://wiki.example.com:8443/app/x";
    assert_eq!(all(&after, "content-location"), content);
    assert_eq!(all(&after, "refresh"), "1;url=/app/x");
    assert_eq!(all(&after, "set-cookie"), "a=1; Path=/app");
}
