//! An attempt to sign in: a code is sent to the provider only for one that this very browser began on
//! this host, less than ten minutes ago, and once.

use std::time::Duration;

use super::{OTHER_HOST, assert_refused_without_asking, parameter, with};
use crate::support::{
    client::Browser,
    house::{ATTEMPT, House, SESSION, assert_refused_kindly, built, cookies_set, house},
    issuer::person,
};

/// A house with a second host in front of the same app.
async fn two_hosts() -> House {
    built(
        |idp| idp,
        |house, app| house.route("erp", OTHER_HOST, "allow = \"signed-in\"", app),
    )
    .await
}

/// The name of the one pending attempt of a browser.
fn attempt_of(browser: &Browser, url: &str) -> String {
    let names = browser.cookie_names(url);
    let mut attempts = names.into_iter().filter(|name| name.starts_with(ATTEMPT));
    let only = attempts.next().unwrap();
    assert_eq!(attempts.next(), None);
    only
}

/// One letter of a text exchanged for another.
fn altered(text: &str, at: usize) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    letters[at] = if letters[at] == 'A' { 'B' } else { 'A' };
    letters.into_iter().collect()
}

#[tokio::test]
async fn no_code_is_sent_for_a_state_that_is_not_this_browsers() {
    // S-177: missing, empty, unknown, altered by one letter at either end.
    let house = house().await;
    let mut browser = house.browser();
    let back = house.way_back(&mut browser, "/page").await;
    let state = parameter(&back, "state");
    for odd in [
        None,
        Some(String::new()),
        Some("A".repeat(43)),
        Some(altered(&state, 0)),
        Some(altered(&state, 20)),
        Some(format!("{state}A")),
        Some(format!(" {state}")),
        Some(state[..42].to_owned()),
        Some(state.to_lowercase()),
    ] {
        let url = with(&back, &[("state", odd.as_deref())]);
        assert_refused_without_asking(&house, &mut browser, &url).await;
    }
    assert_eq!(house.sign_ins("unknown_state"), 9);
    // None of it used up the attempt.
    assert_eq!(browser.view(back.as_str()).await.status, 303);
}

#[tokio::test]
async fn an_answer_counts_only_in_the_browser_that_asked() {
    // S-177, S-241: an attacker's answer opened by a victim signs nobody in.
    let house = house().await;
    let mut attacker = house.browser();
    let theirs = house.way_back(&mut attacker, "/").await;
    let mut victim = house.browser();
    assert_refused_without_asking(&house, &mut victim, theirs.as_str()).await;

    // Also while the victim has an attempt of its own, and with the attacker's code in it.
    let own = house.way_back(&mut victim, "/").await;
    assert_refused_without_asking(&house, &mut victim, theirs.as_str()).await;
    let code = parameter(&theirs, "code");
    let answer = victim.view(&with(&own, &[("code", Some(&code))])).await;
    assert_refused_kindly(&answer);
    assert_eq!(
        house.sign_ins("code_rejected"),
        1,
        "PKCE binds the code to its attempt"
    );
    assert!(!house.is_in(&mut victim).await);
}

#[tokio::test]
async fn an_answer_counts_only_on_the_host_that_asked() {
    // S-177
    let house = two_hosts().await;
    let mut browser = house.browser();
    let back = house.way_back(&mut browser, "/").await;
    let attempt = attempt_of(&browser, &house.url("/"));
    let value = browser.cookie(&house.url("/"), &attempt).unwrap();
    let elsewhere = house.vestibule.url(OTHER_HOST, "/");
    browser.set_cookie(&elsewhere, &format!("{attempt}={value}; Path=/; Secure"));
    let mut url = back.clone();
    url.set_host(Some(OTHER_HOST)).unwrap();
    assert_refused_without_asking(&house, &mut browser, url.as_str()).await;
}

#[tokio::test]
async fn an_attempt_is_good_for_ten_minutes() {
    // S-177
    let house = house().await;
    for (seconds, good) in [(599, true), (600, false)] {
        let mut browser = house.browser();
        let back = house.way_back(&mut browser, "/page").await;
        let attempt = attempt_of(&browser, &house.url("/"));
        let value = browser.cookie(&house.url("/"), &attempt).unwrap();
        house.wait(Duration::from_secs(seconds));
        // The browser has thrown it away by now; somebody else may not have.
        let line = format!("{attempt}={value}; Path=/; Secure");
        browser.set_cookie(&house.url("/"), &line);
        let asked = house.idp.token_requests().len();
        house.idp.lie(|it| it.issued = 0);
        let answer = browser.view(back.as_str()).await;
        if good {
            assert_eq!(answer.status, 303);
        } else {
            assert_refused_kindly(&answer);
            assert!(answer.text().contains("took too long"));
            assert_eq!(house.idp.token_requests().len(), asked);
        }
    }
    assert_eq!(house.sign_ins("expired_state"), 1);
}

#[tokio::test]
async fn an_attempts_cookie_that_was_tampered_with_is_none() {
    // S-048, S-177: every part of the sealed text, and the cookie of another attempt.
    let house = house().await;
    let mut browser = house.browser();
    let back = house.way_back(&mut browser, "/").await;
    let url = house.url("/");
    let attempt = attempt_of(&browser, &url);
    let value = browser.cookie(&url, &attempt).unwrap();
    let other = {
        let mut other = house.browser();
        house.way_back(&mut other, "/").await;
        other.cookie(&url, &attempt_of(&other, &url)).unwrap()
    };
    let length = value.len();
    let mut odd: Vec<String> = (0..12)
        .map(|part| altered(&value, part * (length - 1) / 11))
        .collect();
    odd.extend([
        String::new(),
        "x".to_owned(),
        value[..length / 2].to_owned(),
        format!("{value}A"),
        other,
        "A".repeat(4096),
    ]);
    for odd in odd {
        browser.set_cookie(&url, &format!("{attempt}={odd}; Path=/; Secure"));
        let answer = browser.view(back.as_str()).await;
        // An altered key ring id looks like another vestibule's.
        assert!(matches!(answer.status.as_u16(), 400 | 503), "{odd}");
        assert!(house.idp.token_requests().is_empty(), "{odd}");
    }
    // Doubled, it is none either.
    let line = format!("{attempt}={value}; {attempt}={value}");
    let request = crate::support::client::page_view(http::Request::get(back.as_str()));
    let request = request
        .header("cookie", line)
        .body(bytes::Bytes::new())
        .unwrap();
    let answer = house.browser().send(request).await;
    assert_refused_kindly(&answer);
    assert!(house.idp.token_requests().is_empty());
}

#[tokio::test]
async fn an_attempt_is_good_once() {
    // S-177, S-241: again with a session leads to the page, without one to a new start.
    let house = house().await;
    let mut browser = house.browser();
    let back = house.way_back(&mut browser, "/page?x=1").await;
    let attempt = attempt_of(&browser, &house.url("/"));
    let value = browser.cookie(&house.url("/"), &attempt).unwrap();
    assert_eq!(browser.view(back.as_str()).await.status, 303);
    let session = browser.cookie(&house.url("/"), SESSION);

    let again = browser.view(back.as_str()).await;
    assert_eq!(again.status, 303);
    assert_eq!(again.header("location"), Some(&*house.url("/page?x=1")));
    assert!(cookies_set(&again, SESSION).is_empty());
    assert_eq!(browser.cookie(&house.url("/"), SESSION), session);

    // Whoever kept the attempt's cookie has no second try with it.
    for keeps_cookie in [false, true] {
        let mut other = house.browser();
        if keeps_cookie {
            let line = format!("{attempt}={value}; Path=/; Secure");
            other.set_cookie(&house.url("/"), &line);
        }
        let answer = other.view(back.as_str()).await;
        assert_refused_kindly(&answer);
        // Where somebody else's sign-in went is nobody's business.
        assert!(!answer.text().contains("page%3Fx"), "{}", answer.text());
    }
    assert_eq!(house.idp.token_requests().len(), 1);
    assert_eq!(house.sign_ins("used_state"), 2);
}

#[tokio::test]
async fn a_failed_attempt_is_used_up_too() {
    // S-186
    let house = house().await;
    house.idp.lie(|it| it.claim("nonce", "another"));
    let mut browser = house.browser();
    let back = house.way_back(&mut browser, "/").await;
    assert_refused_kindly(&browser.view(back.as_str()).await);
    house.idp.tells_the_truth();
    assert_refused_kindly(&browser.view(back.as_str()).await);
    assert_eq!(house.idp.token_requests().len(), 1);
    assert!(
        house.idp.authorization_requests().len() == 1,
        "no new attempt by itself"
    );
}

#[tokio::test]
async fn two_answers_at_once_are_one_sign_in() {
    // S-177, S-059
    let house = house().await;
    house.idp.signs_in(person("ann"));
    let mut browser = house.browser();
    let back = house.way_back(&mut browser, "/").await;
    let attempt = attempt_of(&browser, &house.url("/"));
    let value = browser.cookie(&house.url("/"), &attempt).unwrap();
    let mut twins: Vec<_> = (0..8)
        .map(|_| {
            let mut twin = house.browser();
            let line = format!("{attempt}={value}; Path=/; Secure");
            twin.set_cookie(&house.url("/"), &line);
            twin
        })
        .collect();
    let asking = twins.iter_mut().map(|twin| twin.view(back.as_str()));
    let answers = futures_util::future::join_all(asking).await;
    let signed_in = answers.iter().filter(|it| it.status == 303).count();
    assert_eq!(signed_in, 1);
    assert_eq!(house.idp.token_requests().len(), 1);
    assert_eq!(house.vestibule.sessions().live(), 1);
}
