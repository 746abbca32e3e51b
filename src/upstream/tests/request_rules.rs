//! The request's fields: removal, cookies, trace.

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::support::{all, headers, rendered, route, target};
use crate::upstream::{
    HeaderRefusal, RemovalList,
    cookies::cut_from_request,
    headers::{RequestFacts, for_upstream},
};

const SECRET: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";

fn rewritten(fields: &[(&str, &str)]) -> Result<HeaderMap, HeaderRefusal> {
    let mut headers = headers(fields);
    rewrite(&mut headers)?;
    Ok(headers)
}

fn rewrite(headers: &mut HeaderMap) -> Result<(), HeaderRefusal> {
    let route = route(80);
    let identity = rendered();
    for_upstream(
        headers,
        &target(&route),
        &RemovalList::new(&[route]),
        RequestFacts {
            forwarded_for: &HeaderValue::from_static("192.0.2.7"),
            request_id: &HeaderValue::from_static("ours"),
            identity: Some(&identity),
        },
    )
}

fn cookies(lines: &[&str]) -> Option<String> {
    let fields: Vec<_> = lines.iter().map(|line| ("cookie", *line)).collect();
    let mut headers = headers(&fields);
    cut_from_request(&mut headers);
    assert!(headers.get_all("cookie").iter().count() <= 1);
    headers
        .contains_key("cookie")
        .then(|| all(&headers, "cookie"))
}

#[test]
fn every_separator_folds_to_the_same_name() {
    // S-012, S-001
    for separator in "!#$%&'*+-.^_`|~".chars() {
        for name in ["X{}App{}User", "x{}FORWARDED{}email", "X{}Real{}IP"] {
            let name = name.replace("{}", &separator.to_string());
            let after = rewritten(&[(&name, "mallory")]).unwrap();
            assert!(
                after.values().all(|value| value != "mallory"),
                "{name} passed"
            );
        }
    }
}

#[test]
fn no_casing_or_repetition_leaves_a_value_of_the_clients() {
    // S-013, S-031, S-014
    for name in [
        "x-app-user",
        "X-APP-USER",
        "X-App-User",
        "x-aPP-uSER",
        "X_App_User",
    ] {
        let after = rewritten(&[(name, "a"), ("Accept", "*/*"), (name, "b")]).unwrap();
        assert_eq!(all(&after, "x-app-user"), "ann");
        assert_eq!(all(&after, "accept"), "*/*");
        assert!(!after.contains_key("x_app_user"));
    }
}

#[test]
fn what_apps_trust_a_front_for_is_removed_and_ours_is_set() {
    // S-024, S-025, S-027, S-019, S-234
    let gone = [
        "Forwarded",
        "X-Forwarded",
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "X-Forwarded-Server",
        "X_Forwarded_Proto",
        "X-Real-IP",
        "X-Client-IP",
        "True-Client-IP",
        "X-Original-URL",
        "X-Original-URI",
        "X-Rewrite-URL",
        "X-HTTP-Method",
        "X-HTTP-Method-Override",
        "X-Method-Override",
        "X-Accel-Redirect",
        "X-Sendfile",
        "Proxy",
        "Keep-Alive",
        "Proxy-Connection",
        "Proxy-Authorization",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "Expect",
        "HTTP2-Settings",
        "Content-Length",
        "Content_Length",
        "Transfer_Encoding",
        "X-Vestibule-Assertion",
    ];
    for name in gone {
        let after = rewritten(&[(name, "bad")]).unwrap();
        assert!(after.values().all(|value| value != "bad"), "{name} passed");
    }
    let after = rewritten(&[
        ("X-Forwarded-For", "10.0.0.1"),
        ("X-Forwarded-Host", "evil.test"),
        ("X-Forwarded-Proto", "javascript"),
        ("X-Request-Id", "theirs"),
        ("Host", "WIKI.example.com:8443"),
    ])
    .unwrap();
    assert_eq!(all(&after, "x-forwarded-for"), "192.0.2.7");
    assert_eq!(all(&after, "x-forwarded-host"), "wiki.example.com:8443");
    assert_eq!(all(&after, "x-forwarded-proto"), "https");
    assert_eq!(all(&after, "x-request-id"), "ours");
    assert_eq!(all(&after, "host"), "wiki.example.com:8443");
}

#[test]
fn what_is_not_ours_passes() {
    let fields = [
        ("Authorization", "Bearer x"),
        ("X-Custom_Thing", "1"),
        ("Sec-WebSocket-Key", "k"),
        ("X-Forwarder", "1"),
        ("Proxying", "1"),
    ];
    let after = rewritten(&fields).unwrap();
    for (name, value) in fields {
        assert_eq!(all(&after, name), value, "{name}");
    }
}

#[test]
fn connection_cannot_take_away_what_is_ours() {
    // S-016, S-017
    for line in [
        "close, X-App-User",
        "x-app-user",
        "\tX-APP-user\t,X-Forwarded-For , x-forwarded-proto",
        ",,x-app-user,,x-request-id,traceparent",
    ] {
        let after = rewritten(&[
            ("Connection", "X-Mine"),
            ("Connection", line),
            ("X-Mine", "1"),
        ]);
        let after = after.unwrap();
        assert_eq!(all(&after, "x-app-user"), "ann", "{line}");
        for ours in [
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-request-id",
            "traceparent",
            "host",
        ] {
            assert!(after.contains_key(ours), "{line} took {ours}");
        }
        assert!(!after.contains_key("connection") && !after.contains_key("x-mine"));
    }
}

#[test]
fn connection_that_names_the_message_itself_is_refused() {
    // S-016
    for name in ["Host", "content-LENGTH", "close, Transfer-Encoding"] {
        let refused = rewritten(&[("Connection", name)]).unwrap_err();
        assert_eq!(refused, HeaderRefusal::ConnectionNominates);
    }
}

#[test]
fn connection_that_holds_no_names_is_refused() {
    // S-018
    for bytes in [b"\xff\xfe, close".as_slice(), b"a b", b"\"close\"", b"x:y"] {
        let mut headers = HeaderMap::new();
        headers.insert("connection", HeaderValue::from_bytes(bytes).unwrap());
        let refused = rewrite(&mut headers).unwrap_err();
        assert_eq!(refused, HeaderRefusal::ConnectionMalformed);
    }
}

#[test]
fn our_cookies_are_cut_and_the_apps_keep_order_and_bytes() {
    // S-032, S-235
    let ours = format!("__Host-vestibule={SECRET}");
    let kept = |line: &str| cookies(&[&line.replace("OURS", &ours)]);
    assert_eq!(kept("OURS"), None);
    assert_eq!(
        kept("a=1;  b=\"x y\" ;OURS;c"),
        Some("a=1;  b=\"x y\" ;c".to_owned())
    );
    assert_eq!(kept("OURS; a=1"), Some("a=1".to_owned()));
    assert_eq!(kept("a=1; OURS"), Some("a=1".to_owned()));
    assert_eq!(kept("a=\"; OURS; b=\""), Some("a=\"; b=\"".to_owned()));
    assert_eq!(kept("a=1;b=2"), Some("a=1;b=2".to_owned()));
    assert_eq!(
        kept("a=1; __Host-vestibule-login-Ab12=x; b=2"),
        Some("a=1; b=2".to_owned())
    );
    let lines = cookies(&["a=1", &format!("{ours}; b=2"), "c=3"]);
    assert_eq!(lines, Some("a=1; b=2; c=3".to_owned()));
}

#[test]
fn our_value_passes_under_no_name() {
    // S-032, S-188
    for odd in [
        "x=V",
        "x=\"V\"",
        "=V",
        "V",
        "x=aVb",
        "=__Host-vestibule=V",
        "\"__HOST-VESTIBULE\"=V",
    ] {
        let odd = odd.replace('V', SECRET);
        let line = format!("a=1; {odd}; __Host-vestibule={SECRET}; b=2");
        assert_eq!(cookies(&[&line]), Some("a=1; b=2".to_owned()), "{odd}");
    }
    // What is too short to be a session's cannot be used to cut the app's cookies.
    let line = "a=1; __Host-vestibule=1; b=1";
    assert_eq!(cookies(&[line]), Some("a=1; b=1".to_owned()));
}

#[test]
fn a_valid_trace_is_continued_and_any_other_begun_anew() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    let valid = format!("00-{TRACE}-b7ad6b7169203331-00");
    let later = format!("01-{TRACE}-b7ad6b7169203331-07-more");
    for (presented, flags) in [(&valid, "00"), (&later, "01")] {
        let after = rewritten(&[("traceparent", presented), ("tracestate", "a=1")]).unwrap();
        let ours = all(&after, "traceparent");
        assert!(
            ours.starts_with(&format!("00-{TRACE}-")) && ours.ends_with(flags),
            "{ours}"
        );
        assert!(ours.len() == 55 && !ours.contains("b7ad6b7169203331"));
        assert_eq!(all(&after, "tracestate"), "a=1");
    }
    for broken in [
        String::new(),
        valid.to_uppercase(),
        format!("{valid}0"),
        format!("{valid}-x"),
        valid.replacen("00", "ff", 1),
        valid.replace(TRACE, &"0".repeat(32)),
        valid.replace("b7ad6b7169203331", &"0".repeat(16)),
        valid.replace('-', "_"),
    ] {
        let after = rewritten(&[("traceparent", &broken), ("tracestate", "a=1")]).unwrap();
        let ours = all(&after, "traceparent");
        assert!(ours.len() == 55 && !ours.contains(TRACE), "{broken}");
        assert!(!after.contains_key("tracestate"));
    }
    let after = rewritten(&[("traceparent", &valid), ("traceparent", &valid)]).unwrap();
    assert!(!all(&after, "traceparent").contains(TRACE));
}

/// As an independent reading of the rule.
fn folded(name: &str) -> String {
    let fold = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '_'
        }
    };
    name.chars().map(fold).collect()
}

proptest! {
    #[test]
    fn what_folds_to_ours_never_passes(
        fields in prop::collection::vec(
            ("[xX][-_.!~][aA][pP][pP][-_.!~|][uU][sS][eE][rR]|[a-zA-Z][a-zA-Z_.-]{0,20}", "[a-z]{1,9}"),
            0..30,
        ),
    ) {
        // S-001
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .filter(|(name, _)| !name.eq_ignore_ascii_case("connection"))
            .collect();
        let after = rewritten(&fields).unwrap();
        let ours: Vec<_> = after
            .iter()
            .filter(|(name, _)| folded(name.as_str()) == "x_app_user")
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        prop_assert_eq!(ours, [("x-app-user", b"ann".as_slice())]);
    }

    #[test]
    fn any_spelling_of_a_listed_name_is_removed(
        separators in "[-_.!~*+^|`#$%&']{2}",
        upper in any::<bool>(),
    ) {
        let mut separators = separators.chars();
        let mut name = format!(
            "x{}app{}user",
            separators.next().unwrap(),
            separators.next().unwrap(),
        );
        if upper {
            name.make_ascii_uppercase();
        }
        let removal = RemovalList::new(&[route(80)]);
        prop_assert!(removal.removes(&HeaderName::from_bytes(name.as_bytes()).unwrap()));
    }

    #[test]
    fn cutting_is_the_same_as_leaving_ours_out(
        app in prop::collection::vec("[a-zA-Z0-9]{1,8}=[!-:<-~]{0,40}", 0..8),
        at in any::<prop::sample::Index>(),
    ) {
        let mut with_ours = app.clone();
        let ours = format!("__Host-vestibule={SECRET}");
        with_ours.insert(at.index(app.len() + 1), ours);
        let expected = (!app.is_empty()).then(|| app.join("; "));
        prop_assert_eq!(cookies(&[&with_ours.join("; ")]), expected.clone());
        let crumbs: Vec<_> = with_ours.iter().map(String::as_str).collect();
        prop_assert_eq!(cookies(&crumbs), expected);
    }
}
