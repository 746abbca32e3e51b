//! The end by the clock: at 23:59:59 in, at 24:00:00 out, and nothing moves it.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use vestibule::session::{EndCause, Selection};

use super::{DAY, HOUR, LAST_SECOND, SECOND, cookie_of, kept};
use crate::support::{
    client::Browser,
    house::{House, SESSION, built, house, is_in},
    issuer::person,
    pki::Alpn,
    upstream::Echo,
    vestibule::Builder,
};

const OTHER_HOST: &str = "erp.example";

async fn two_hosts() -> House {
    built(
        |idp| idp,
        |house, app| house.route("erp", OTHER_HOST, "allow = \"signed-in\"", app),
    )
    .await
}

#[tokio::test]
async fn a_session_is_valid_for_a_day_and_not_a_second_more() {
    // S-005, S-056, S-270, S-010
    for http2 in [false, true] {
        let house = house().await;
        let mut browser = house.browser();
        if http2 {
            browser = browser.http2();
        }
        house.sign_in(&mut browser, person("ann")).await;
        house.wait(LAST_SECOND);
        assert!(house.is_in(&mut browser).await);
        house.wait(SECOND.checked_sub(Duration::from_millis(1)).unwrap());
        assert!(house.is_in(&mut browser).await);
        let before = house.app.requests().len();
        house.wait(Duration::from_millis(1));
        assert!(!house.is_in(&mut browser).await);
        assert_eq!(browser.view(&house.url("/")).await.status, 302);
        let request = Request::post(house.url("/"))
            .body(Bytes::from("x"))
            .unwrap();
        assert_eq!(browser.send(request).await.status, 401);
        house.wait(HOUR);
        assert!(!house.is_in(&mut browser).await);
        assert_eq!(
            house.app.requests().len(),
            before,
            "nothing went through after the end"
        );
    }
}

#[tokio::test]
async fn a_connection_that_is_kept_does_not_keep_a_session() {
    // S-270, S-222: judged on every request, also on the connection that signed in.
    let house = house().await;
    let cookie = cookie_of(&house.browser_of("ann").await, &house.url("/"));
    let url = house.url("/");
    let headers = [("cookie", &*cookie)];
    for alpn in [Alpn::Http1, Alpn::H2] {
        let mut kept = kept(&house, alpn).await;
        assert_eq!(kept.get(&url, &headers).await.0, 200, "{alpn:?}");
    }
    let mut connections = [
        kept(&house, Alpn::Http1).await,
        kept(&house, Alpn::H2).await,
    ];
    house.wait(LAST_SECOND);
    for kept in &mut connections {
        assert_eq!(kept.get(&url, &headers).await.0, 200);
    }
    house.wait(SECOND);
    for kept in &mut connections {
        assert_eq!(kept.get(&url, &headers).await.0, 401);
        assert_eq!(kept.get(&url, &headers).await.0, 401);
    }
}

#[tokio::test]
async fn no_activity_moves_the_end() {
    // S-270
    let house = house().await;
    let mut browser = house.browser_of("ann").await;
    for hour in 0..24 {
        assert!(house.is_in(&mut browser).await, "{hour}");
        browser.view(&house.url("/.vestibule/me")).await;
        browser.view(&house.url("/.vestibule/logout")).await;
        house.wait(HOUR);
    }
    assert!(!house.is_in(&mut browser).await);
}

#[tokio::test]
async fn signing_in_again_in_the_same_session_of_the_provider_does_not_move_the_end() {
    // S-005, S-270: the provider says by its `sid` that nothing was proved again.
    let house = house().await;
    let mut browser = house.browser();
    let who = || person("ann").claim("sid", "one-and-the-same");
    house.sign_in(&mut browser, who()).await;
    for _ in 0..3 {
        house.wait(HOUR * 7);
        house.idp.signs_in(who());
        let back = house.way_back(&mut browser, "/.vestibule/login").await;
        assert_eq!(browser.view(back.as_str()).await.status, 303);
        assert!(house.is_in(&mut browser).await);
    }
    house.wait((HOUR * 3).saturating_sub(SECOND));
    assert!(house.is_in(&mut browser).await);
    house.wait(SECOND);
    assert!(!house.is_in(&mut browser).await);
    // When the day is over, a sign-in is a new one (S-277).
    house.sign_in(&mut browser, who()).await;
    house.wait(LAST_SECOND);
    assert!(house.is_in(&mut browser).await);
}

#[tokio::test]
async fn a_new_session_of_the_provider_is_a_new_day() {
    // S-277
    let house = house().await;
    let mut browser = house.browser_of("ann").await;
    let first = cookie_of(&browser, &house.url("/"));
    house.wait(HOUR * 20);
    let back = house.way_back(&mut browser, "/.vestibule/login").await;
    browser.view(back.as_str()).await;
    assert_ne!(first, cookie_of(&browser, &house.url("/")));
    house.wait(LAST_SECOND);
    assert!(house.is_in(&mut browser).await);
    house.wait(SECOND);
    assert!(!house.is_in(&mut browser).await);
}

#[tokio::test]
async fn a_further_host_of_the_same_sign_in_inherits_its_end() {
    // S-270; also when the provider does not tell its sessions apart.
    for sid in [serde_json::json!("one"), serde_json::Value::Null] {
        let house = two_hosts().await;
        let who = || person("ann").claim("sid", sid.clone());
        let mut browser = house.browser();
        house.sign_in(&mut browser, who()).await;
        house.wait(HOUR * 23);
        let elsewhere = house.vestibule.url(OTHER_HOST, "/");
        house.sign_in_at(&mut browser, &elsewhere, who()).await;
        house.wait(HOUR.saturating_sub(SECOND));
        assert!(house.is_in(&mut browser).await && is_in(&mut browser, &elsewhere).await);
        house.wait(SECOND);
        assert!(!house.is_in(&mut browser).await);
        assert!(!is_in(&mut browser, &elsewhere).await, "{sid}");
    }
}

#[tokio::test]
async fn a_chain_of_hosts_does_not_carry_a_sign_in_past_its_day() {
    // S-270: each hop begins where the last one is about to end.
    let house = two_hosts().await;
    let who = || person("ann").claim("sid", "one");
    let [here, there] = [house.url("/"), house.vestibule.url(OTHER_HOST, "/")];
    let mut browser = house.browser();
    house.sign_in_at(&mut browser, &here, who()).await;
    for url in [&there, &here, &there] {
        house.wait(HOUR * 7);
        browser.forget("__Host-vestibule-trail");
        house.idp.signs_in(who());
        let login = url.clone() + ".vestibule/login";
        let back = house.way_back_to(&mut browser, &login).await;
        assert_eq!(browser.view(back.as_str()).await.status, 303);
    }
    house.wait(HOUR * 3);
    assert!(!is_in(&mut browser, &here).await && !is_in(&mut browser, &there).await);
}

#[tokio::test]
async fn a_session_that_was_ended_cannot_be_put_back() {
    // S-270: neither by its own cookie nor through the store.
    let house = house().await;
    let mut browser = house.browser_of("ann").await;
    let store = house.vestibule.sessions();
    let session = store.select(&Selection::All).unwrap().remove(0);
    assert_eq!(store.end(&Selection::All, EndCause::Revoked).unwrap(), 1);
    let value = browser.cookie(&house.url("/"), SESSION).unwrap();
    for _ in 0..3 {
        let line = format!("{SESSION}={value}; Path=/; Secure");
        browser.set_cookie(&house.url("/"), &line);
        assert!(!house.is_in(&mut browser).await);
    }
    assert!(!session.is_live(house.vestibule.time().clock().now()));
}

/// Steps the wall clock and says whether the browser is in.
async fn after(house: &House, browser: &mut Browser, step: impl FnOnce(&House)) -> bool {
    step(house);
    house.is_in(browser).await
}

#[tokio::test]
async fn a_step_of_the_wall_clock_may_end_a_session_and_never_lengthens_one() {
    // S-070, S-285
    let house = house().await;
    let mut browser = house.browser_of("ann").await;
    let forth = |by| move |house: &House| house.vestibule.time().step_wall_forward(by);
    let back = |by| move |house: &House| house.vestibule.time().step_wall_back(by);
    assert!(after(&house, &mut browser, forth(LAST_SECOND)).await);
    assert!(after(&house, &mut browser, back(LAST_SECOND)).await);
    assert!(after(&house, &mut browser, back(DAY * 30)).await);
    // The monotonic clock goes on, however far the other one was set back.
    assert!(after(&house, &mut browser, |house| house.wait(LAST_SECOND)).await);
    assert!(!after(&house, &mut browser, |house| house.wait(SECOND)).await);
}

#[tokio::test]
async fn setting_the_clock_back_revives_nobody() {
    // S-070
    let house = house().await;
    let mut browser = house.browser_of("ann").await;
    house.vestibule.time().step_wall_forward(DAY);
    assert!(!house.is_in(&mut browser).await);
    house.vestibule.time().step_wall_back(DAY);
    assert!(!house.is_in(&mut browser).await);
}

#[tokio::test]
async fn an_operator_may_shorten_the_day() {
    let in_file = |house: Builder, _: &Echo| house.main("[session]\nmax = \"8h\"");
    let in_variable = |house: Builder, _: &Echo| house.variable("VESTIBULE_SESSION__MAX", "8h");
    for shortened in [in_file as fn(Builder, &Echo) -> Builder, in_variable] {
        let house = built(|idp| idp, shortened).await;
        let mut browser = house.browser_of("ann").await;
        let me = browser.get(&house.url("/.vestibule/me")).await.json();
        assert_eq!(me["signed_in_at"], "2026-11-21T19:30:00Z");
        assert_eq!(me["expires_at"], "2026-11-22T03:30:00Z");
        house.wait((HOUR * 8).saturating_sub(SECOND));
        assert!(house.is_in(&mut browser).await);
        house.wait(SECOND);
        assert!(!house.is_in(&mut browser).await);
    }
}

#[tokio::test]
async fn the_years_in_which_counters_wrap_are_years_like_others() {
    // S-071
    let house = house().await;
    for seconds in [2_147_483_647_u64 - 100, 4_294_967_295 - 100] {
        let now = house.vestibule.time().clock().now().wall.unix_seconds();
        let ahead = seconds.saturating_sub(now.unsigned_abs());
        house
            .vestibule
            .time()
            .step_wall_forward(Duration::from_secs(ahead));
        let mut browser = house.browser_of("ann").await;
        house.wait(LAST_SECOND);
        assert!(house.is_in(&mut browser).await);
        house.wait(SECOND);
        assert!(!house.is_in(&mut browser).await);
    }
}
