//! What holds for every page and every answer of ours, checked over all notices.

use std::time::Duration;

use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;

use super::*;
use crate::pages::notice::{Attempt, ForbiddenReason, SignInFault};

const LOGIN: &str = "/.vestibule/login?return=%2Fa%3Fb%3D1%26c";
const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_289_393);

const ATTEMPTS: [Attempt; 4] = [
    Attempt::Expired,
    Attempt::Foreign,
    Attempt::Unknown,
    Attempt::Used,
];

const FAULTS: [SignInFault; 12] = [
    SignInFault::AccountBlocked,
    SignInFault::AccountUnknown,
    SignInFault::AnswerInvalid,
    SignInFault::Cancelled,
    SignInFault::ConsentDeclined,
    SignInFault::ConsentMissing,
    SignInFault::DeviceOrPlace,
    SignInFault::Misconfigured,
    SignInFault::MoreSteps,
    SignInFault::NotAssigned,
    SignInFault::PersonalAccount,
    SignInFault::ProviderRefused,
];

const HOSTILE: [&str; 9] = [
    "\"><svg onload=alert(1)>",
    "' autofocus onfocus='alert(1)",
    "</title></script><script>alert(1)</script>",
    "{{7*7}}{% include \"/etc/passwd\" %}",
    "%s%n{env.SECRET}",
    "${jndi:ldap://x}",
    "a\u{2028}b\u{2029}c\u{0}d\r\n\r\ne",
    "\u{202E}exe.nna\u{2066}",
    "&lt;b&gt;&#x3c;i&#x3e;",
];

pub(in crate::pages) fn body_of(response: PageResponse) -> String {
    let body = response.into_body().collect().now_or_never();
    let body = body.expect("a whole body is there at once").unwrap();
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

/// Every notice, with `text` wherever a text from outside goes. A new variant is one more line here.
fn notices<'a>(text: &'a str, list: &'a [String]) -> Vec<(Notice<'a>, u16)> {
    let forbidden = |why| Notice::Forbidden {
        user: Some(text),
        why,
        logout: text,
    };
    let me = |groups| Notice::Me {
        user: text,
        name: Some(text),
        email: Some(text),
        groups,
        roles: list,
        provider: text,
        signed_in_at: NOW,
        expires_at: NOW.plus(Duration::from_hours(1)),
        logout: text,
    };
    let sign_out = Notice::SignOut {
        token: text,
        return_to: text,
        action: text,
        provider_origin: Some(text),
    };
    let provider_down = Notice::ProviderDown {
        retry_after: Duration::from_millis(10),
        login: text,
    };
    let sign_in = Notice::SignIn {
        provider: text,
        login: text,
    };
    let mut notices = vec![
        (Notice::AddressTooLong, 414),
        (Notice::BadRequest, 400),
        (Notice::BodyTooLarge, 413),
        (Notice::CrossSite, 403),
        (forbidden(ForbiddenReason::Denied), 403),
        (forbidden(ForbiddenReason::GroupsUnknown), 403),
        (forbidden(ForbiddenReason::Guest), 403),
        (forbidden(ForbiddenReason::NoUserName { came: list }), 403),
        (forbidden(ForbiddenReason::NotAllowed), 403),
        (Notice::HeadersTooLarge, 431),
        (Notice::Internal, 500),
        (Notice::Loop { login: text }, 400),
        (me(Some(list)), 200),
        (me(None), 200),
        (Notice::MethodNotAllowed { allow: "GET, HEAD" }, 405),
        (Notice::Misdirected, 421),
        (Notice::NotFound, 404),
        (provider_down, 503),
        (sign_in, 401),
        (sign_out, 200),
        (Notice::SignedOut { login: text }, 200),
        (Notice::StoreDown, 503),
        (Notice::TwoVestibules, 503),
        (Notice::UpstreamCrowded, 503),
        (Notice::UpstreamDown, 502),
        (Notice::UpstreamSlow, 504),
    ];
    notices.extend(ATTEMPTS.map(|reason| {
        let login = text;
        (Notice::StartAgain { reason, login }, 400)
    }));
    notices.extend(FAULTS.map(|what| {
        let status = match what {
            SignInFault::AnswerInvalid | SignInFault::Cancelled => 400,
            SignInFault::Misconfigured => 500,
            _ => 403,
        };
        let failed = Notice::SignInFailed {
            what,
            provider_code: Some(50105),
            login: text,
        };
        (failed, status)
    }));
    notices
}

fn page(notice: &Notice<'_>, text: &str) -> PageResponse {
    let help = Help {
        contact: Some(text.to_owned()),
        text: Some(text.to_owned()),
    };
    let context = PageContext {
        request_id: text,
        app: Some(text),
        help: Some(&help),
        time: NOW,
        language: Language::English,
    };
    respond(notice, &context)
}

/// All pages, with `text` in every place for a foreign text.
fn all_pages(text: &str) -> Vec<String> {
    let list = vec![text.to_owned(); 10];
    let notices = notices(text, &list);
    notices
        .iter()
        .map(|(notice, _)| body_of(page(notice, text)))
        .collect()
}

fn policy(response: &PageResponse) -> &str {
    response.headers()[header::CONTENT_SECURITY_POLICY]
        .to_str()
        .unwrap()
}

fn is_guarded(response: &PageResponse) {
    let headers = response.headers();
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(headers[header::REFERRER_POLICY], "no-referrer");
    assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    assert_eq!(headers[header::X_FRAME_OPTIONS], "DENY");
    assert_eq!(headers["cross-origin-resource-policy"], "same-origin");
    let policy = policy(response);
    for directive in [
        "default-src 'none';",
        "base-uri 'none';",
        "frame-ancestors 'none'",
        "form-action '",
    ] {
        assert!(policy.contains(directive), "{policy}");
    }
    for leak in ["unsafe", "*", "script-src", "data:"] {
        assert!(!policy.contains(leak), "{policy}");
    }
    for absent in [
        "server",
        "via",
        "x-powered-by",
        "access-control-allow-origin",
    ] {
        assert!(!headers.contains_key(absent), "{absent}");
    }
}

#[test]
fn every_page_has_its_status_and_all_guards() {
    // S-182
    for (notice, status) in notices(LOGIN, &[]) {
        let response = page(&notice, "x");
        assert_eq!(notice.status(), status);
        assert_eq!(response.status(), status);
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "text/html; charset=utf-8"
        );
        is_guarded(&response);
    }
}

#[test]
fn what_is_no_page_is_guarded_too() {
    for response in [
        empty(StatusCode::NO_CONTENT),
        redirect(StatusCode::SEE_OTHER, "/"),
        json(StatusCode::OK, &["x"]),
    ] {
        is_guarded(&response);
        assert_eq!(policy(&response), INERT_POLICY);
    }
}

#[test]
fn foreign_text_changes_no_markup() {
    // S-083, S-084
    let marks = |html: &str| ["<", ">", "\""].map(|mark| html.matches(mark).count());
    for (at, plain) in all_pages("x").iter().enumerate() {
        for hostile in HOSTILE {
            let html = &all_pages(hostile)[at];
            assert_eq!(marks(html), marks(plain), "{hostile:?} in {html}");
            for odd in [
                '\u{0}', '\r', '\u{2028}', '\u{2029}', '\u{202E}', '\u{2066}',
            ] {
                // Hidden fields go back byte for byte, and the help is the operator's own text.
                let verbatim = html.matches("type=\"hidden\"").count() + 1;
                assert!(html.matches(odd).count() <= verbatim * hostile.matches(odd).count());
            }
        }
    }
}

#[test]
fn template_words_in_a_name_stay_words() {
    // S-084
    for inert in ["{{7*7}}", "{% raw %}", "%s%n", "${jndi:x}", "{env.SECRET}"] {
        for html in all_pages(inert) {
            assert!(html.contains(inert), "{html}");
        }
    }
}

#[test]
fn an_endless_name_does_not_make_an_endless_page() {
    let endless = "é".repeat(10_000);
    let contact = Help {
        contact: Some("x".to_owned()),
        text: None,
    };
    for (notice, _) in notices(&endless, &[]) {
        if matches!(notice, Notice::SignOut { .. }) {
            continue;
        }
        let context = PageContext {
            request_id: &endless,
            app: Some(&endless),
            help: Some(&contact),
            time: NOW,
            language: Language::English,
        };
        let html = body_of(respond(&notice, &context));
        assert!(html.len() < 10_000, "{}", html.len());
    }
}

#[test]
fn pages_need_no_script_and_name_nothing_of_the_inside() {
    // S-238
    for html in all_pages("x") {
        for banned in [
            "<script",
            "javascript:",
            "style=\"",
            " on",
            env!("CARGO_PKG_VERSION"),
            "127.0.0.1",
            "localhost",
            "src/",
            "Rust",
        ] {
            let html = if banned == " on" {
                attributes(&html)
            } else {
                html.clone()
            };
            assert!(!html.contains(banned), "{banned} in {html}");
        }
    }
}

/// What stands inside of tags.
fn attributes(html: &str) -> String {
    html.split('<')
        .filter_map(|piece| piece.split_once('>').map(|(tag, _)| tag))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn pages_are_whole_and_in_order() {
    for html in all_pages(LOGIN) {
        assert!(html.starts_with("<!doctype html>\n<html lang=\"en\">"));
        for once in ["<h1>", "<main ", "<header>", "<footer>", "<title>"] {
            assert_eq!(html.matches(once).count(), 1, "{once} in {html}");
        }
        assert!(html.find("<h1>") < html.find("<h2>"), "{html}");
        for placeholder in ["{{", "}}", "{%", "%}", "{}"] {
            assert!(!html.contains(placeholder), "{placeholder} in {html}");
        }
        for opened in [
            "div", "dl", "ul", "li", "section", "details", "form", "bdi", "p",
        ] {
            let open = html.matches(&format!("<{opened}>")).count()
                + html.matches(&format!("<{opened} ")).count();
            assert_eq!(
                open,
                html.matches(&format!("</{opened}>")).count(),
                "{opened} in {html}"
            );
        }
        assert!(html.contains("2026-11-21 19:29:53 UTC"));
    }
}

#[test]
fn every_situation_is_written_out() {
    let texts = Language::English.texts();
    let mut titles = Vec::new();
    for (notice, _) in notices(LOGIN, &[]) {
        let situation = view(&notice, texts, NOW).situation;
        let sentences = situation.steps.iter().chain([&situation.what]);
        for sentence in sentences {
            assert!(
                sentence.ends_with('.') && !sentence.contains("  "),
                "{sentence}"
            );
        }
        assert!(!situation.title.is_empty() && !situation.title.ends_with('.'));
        titles.push((situation.title, situation.what));
    }
    titles.sort_unstable();
    titles.dedup();
    // One text per notice, but for the two of `Me`.
    assert_eq!(titles.len(), notices(LOGIN, &[]).len() - 1);
}

#[test]
fn every_page_names_whom_to_ask() {
    let context = |help| PageContext {
        request_id: "01J",
        app: None,
        help,
        time: NOW,
        language: Language::English,
    };
    let own = Help {
        contact: Some("help@corp.test".to_owned()),
        text: None,
    };
    let silent = Help::default();
    for (notice, _) in notices(LOGIN, &[]) {
        let html = body_of(respond(&notice, &context(Some(&own))));
        assert!(html.contains("help@corp.test") && !html.contains("IT help desk"));
        for nobody in [None, Some(&silent)] {
            let html = body_of(respond(&notice, &context(nobody)));
            assert!(html.contains("Ask your IT help desk."), "{html}");
        }
    }
}

#[test]
fn only_the_sign_out_form_may_be_sent_and_only_on_to_a_provider() {
    let form_action = |origin| {
        let notice = Notice::SignOut {
            token: "t",
            return_to: "/",
            action: "/.vestibule/logout",
            provider_origin: origin,
        };
        let response = page(&notice, "x");
        let (_, sources) = policy(&response).split_once("form-action ").unwrap();
        sources.to_owned()
    };
    assert_eq!(
        form_action(Some("https://login.microsoftonline.com")),
        "'self' https:"
    );
    assert_eq!(
        form_action(Some("http://localhost:9400")),
        "'self' http://localhost:9400"
    );
    for odd in [
        "https://",
        "https:",
        "*",
        "https://*",
        "https://a.test; script-src *",
        "https://a.test https://b.test",
        "https://a.test,default-src *",
        "https://a.test/path",
        "javascript:x",
        "https://é.test",
        "https://a.test\r\nX: y",
    ] {
        assert_eq!(form_action(Some(odd)), "'self'", "{odd}");
    }
    for (notice, _) in notices(LOGIN, &[]) {
        let response = page(&notice, "x");
        let has_form = !policy(&response).ends_with("form-action 'none'");
        assert_eq!(has_form, matches!(notice, Notice::SignOut { .. }));
        assert_eq!(has_form, body_of(response).contains("<form"));
    }
}

#[test]
fn the_sign_out_form_hands_back_what_it_was_given() {
    let notice = Notice::SignOut {
        token: "a-b_c",
        return_to: "/a?b=1&c=\"%22'",
        action: "/.vestibule/logout",
        provider_origin: None,
    };
    let html = body_of(page(&notice, "x"));
    assert!(html.contains("<form method=\"post\" action=\"/.vestibule/logout\">"));
    assert!(html.contains("name=\"token\" value=\"a-b_c\">"));
    assert!(html.contains("name=\"return\" value=\"/a?b=1&#38;c=&#34;%22&#39;\">"));
}

#[test]
fn headers_that_belong_to_a_status_are_there() {
    let allowed = page(&Notice::MethodNotAllowed { allow: "GET, HEAD" }, "x");
    assert_eq!(allowed.headers()[header::ALLOW], "GET, HEAD");
    for (retry_after, seconds) in [(0, "1"), (999, "1"), (30_000, "30")] {
        let down = Notice::ProviderDown {
            retry_after: Duration::from_millis(retry_after),
            login: LOGIN,
        };
        assert_eq!(page(&down, "x").headers()[header::RETRY_AFTER], seconds);
    }
    let crowded = page(&Notice::UpstreamCrowded, "x");
    assert_eq!(crowded.headers()[header::RETRY_AFTER], "5");
}

#[test]
fn a_redirect_carries_its_location_or_is_refused() {
    let response = redirect(StatusCode::FOUND, "https://idp.test/authorize?a=1&b=%20");
    assert_eq!(response.status(), StatusCode::FOUND);
    assert_eq!(
        response.headers()[header::LOCATION],
        "https://idp.test/authorize?a=1&b=%20"
    );
    assert_eq!(body_of(response), "");
    for broken in ["/a\r\nSet-Cookie: x=1", "/a\u{0}", "/é", "/a\n", "/a b"] {
        let response = redirect(StatusCode::FOUND, broken);
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!response.headers().contains_key(header::LOCATION));
    }
}

#[test]
fn the_session_page_tells_who_and_until_when() {
    let groups = vec!["erp-eu".to_owned()];
    let notice = |groups| Notice::Me {
        user: "ann@corp.test",
        name: Some("Ann"),
        email: None,
        groups,
        roles: &[],
        provider: "Microsoft",
        signed_in_at: NOW,
        expires_at: NOW.plus(Duration::from_mins(90)),
        logout: "/.vestibule/logout",
    };
    let html = body_of(page(&notice(Some(&groups)), "x"));
    for shown in [
        "ann@corp.test",
        "Ann",
        "erp-eu",
        "Microsoft",
        "(in 1 h 30 min)",
    ] {
        assert!(html.contains(shown), "{shown}");
    }
    let html = body_of(page(&notice(None), "x"));
    assert!(html.contains("Too many to be listed"));
}
