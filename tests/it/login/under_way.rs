//! Sign-ins under way: how many codes are redeemed at once, a session that ends at the provider
//! meanwhile, several tabs of one browser, and an answer that comes again.

use std::sync::{Mutex, mpsc};

use bytes::Bytes;
use http::Request;

use super::with;
use crate::support::{
    client::{Browser, page_view},
    eventually,
    house::{House, SESSION, assert_refused_kindly, cookies_set, entra_house, house},
    issuer::{Reply, person},
};

/// How many codes may be redeemed at once.
const AT_ONCE: usize = 64;

#[tokio::test]
async fn one_code_more_than_are_redeemed_at_once_is_asked_to_come_back() {
    // S-008: anybody can make attempts and codes; what they cost a provider has a bound.
    let house = house().await;
    let mut ann = house.browser_of("ann").await;
    let before = house.idp.token_requests().len();
    let mut comers = Vec::new();
    for _ in 0..=AT_ONCE {
        let mut browser = house.browser();
        let back = house.way_back(&mut browser, "/page").await;
        comers.push((browser, back));
    }
    house.idp.lie(|it| it.token = Reply::Hang);
    let (mut last, back_of_last) = comers.pop().unwrap();
    let waiting: Vec<_> = comers
        .into_iter()
        .map(|(mut browser, back)| tokio::spawn(async move { browser.view(back.as_str()).await }))
        .collect();
    eventually("all others wait for the provider", || {
        house.idp.token_requests().len() == before + AT_ONCE
    })
    .await;

    let answer = last.view(back_of_last.as_str()).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
    assert_eq!(house.sign_ins("too_many_sign_ins"), 1);
    assert_eq!(house.idp.token_requests().len(), before + AT_ONCE);
    // Whoever is in does not notice.
    assert!(house.is_in(&mut ann).await);

    // Each that fails makes room again.
    house.idp.go_down().await;
    for task in waiting {
        assert_eq!(task.await.unwrap().status, 503);
    }
    house.idp.tells_the_truth();
    house.idp.come_back();
    house.sign_in(&mut last, person("bob")).await;
    house.assert_no_panic();
}

/// Ends the session `sid` at the provider while the code of a sign-in is being redeemed; how many
/// sessions there are afterwards.
async fn live_after(house: &House, mut browser: Browser, back: &str, sid: &str) -> u64 {
    let (asked, was_asked) = mpsc::channel();
    let (go_on, told) = mpsc::channel::<()>();
    let told = Mutex::new(told);
    house.idp.lie(|it| {
        it.token = Reply::rewritten(move |text| {
            asked.send(()).unwrap();
            told.lock().unwrap().recv().unwrap();
            text.to_owned()
        });
    });
    let back = back.to_owned();
    let redeeming = tokio::spawn(async move { browser.view(&back).await });
    eventually("the code is being redeemed", || {
        was_asked.try_recv().is_ok()
    })
    .await;
    let mut url = url::Url::parse(&house.url("/.vestibule/frontchannel-logout")).unwrap();
    url.query_pairs_mut().append_pair("sid", sid);
    assert_eq!(house.browser().view(url.as_str()).await.status, 200);
    go_on.send(()).unwrap();
    let answer = redeeming.await.unwrap();
    house.idp.tells_the_truth();
    let live = house.vestibule.sessions().live();
    if live == 0 {
        assert_refused_kindly(&answer);
    } else {
        assert_eq!(answer.status, 303, "{}", answer.text());
    }
    live
}

#[tokio::test]
async fn a_session_that_ends_at_the_provider_during_its_sign_in_never_begins_here() {
    // S-166: there is nothing in the store yet that could be ended.
    let house = house().await;
    for (ended, live) in [("anns session", 0), ("another session", 1)] {
        house
            .idp
            .signs_in(person("ann").claim("sid", "anns session"));
        let mut browser = house.browser();
        let back = house.way_back(&mut browser, "/page").await;
        if live == 1 {
            // An end is remembered for a while, and that of another session is no matter of this.
            house
                .idp
                .signs_in(person("ann").claim("sid", "anns next session"));
            let mut next = house.browser();
            let back = house.way_back(&mut next, "/page").await;
            assert_eq!(live_after(&house, next, back.as_str(), ended).await, live);
        } else {
            assert_eq!(
                live_after(&house, browser, back.as_str(), ended).await,
                live
            );
        }
    }
    assert_eq!(house.sign_ins("ended_at_provider"), 1);
}

#[tokio::test]
async fn entras_session_state_counts_as_the_session_that_ends() {
    // S-166: Entra ID names its session in the callback if the token does not.
    let house = entra_house().await;
    house.idp.lie(|it| it.without_claim("sid"));
    let mut browser = house.browser();
    let back = house.way_back(&mut browser, "/page").await;
    let state = super::parameter(&back, "session_state");
    assert_eq!(live_after(&house, browser, back.as_str(), &state).await, 0);
    assert_eq!(house.sign_ins("ended_at_provider"), 1);
}

#[tokio::test]
async fn five_tabs_are_five_sign_ins_that_do_not_disturb_one_another() {
    // S-245: finished in another order, one failed, one left open for long.
    for http2 in [false, true] {
        let house = house().await;
        let mut browser = house.browser();
        if http2 {
            browser = browser.http2();
        }
        let links: Vec<_> = (0..5).map(|tab| format!("/tab/{tab}?of=5")).collect();
        let mut backs = Vec::new();
        for link in &links {
            backs.push(house.way_back(&mut browser, link).await);
        }
        let failed = with(
            &backs[1],
            &[("code", None), ("error", Some("access_denied"))],
        );
        for (finished, tab) in [3, 1, 0, 4, 2].into_iter().enumerate() {
            if tab == 1 {
                let answer = browser.view(&failed).await;
                assert!(answer.status.is_client_error(), "{}", answer.status);
            } else {
                let answer = browser.view(backs[tab].as_str()).await;
                assert_eq!(answer.status, 303, "{tab}: {}", answer.text());
                assert_eq!(answer.header("location"), Some(&*house.url(&links[tab])));
            }
            // The failed one takes nothing from those that went well.
            assert!(house.is_in(&mut browser).await, "{finished}");
            assert_eq!(house.vestibule.sessions().live(), 1, "{finished}");
        }
        for link in links {
            assert_eq!(browser.view(&house.url(&link)).await.status, 200);
        }
        assert_eq!(browser.cookie_names(&house.url("/")).len(), 2, "no attempt");
        assert_eq!(house.idp.token_requests().len(), 4);
    }
}

#[tokio::test]
async fn an_answer_that_is_fetched_ahead_or_comes_again_sends_its_code_once() {
    // S-246: a prefetch, the reload, the back button, and all that again after the sign-out.
    let house = house().await;
    let mut browser = house.browser();
    let back = house.way_back(&mut browser, "/page?x=1").await;
    let ahead = page_view(Request::get(back.as_str())).header("sec-purpose", "prefetch");
    let answer = browser.send(ahead.body(Bytes::new()).unwrap()).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let session = browser.cookie(&house.url("/"), SESSION);
    for _ in 0..3 {
        let again = browser.view(back.as_str()).await;
        assert_eq!(again.status, 303);
        assert_eq!(again.header("location"), Some(&*house.url("/page?x=1")));
        assert!(cookies_set(&again, SESSION).is_empty());
        assert_eq!(browser.cookie(&house.url("/"), SESSION), session);
    }
    let out = Request::get(house.url("/.vestibule/logout"))
        .header("sec-fetch-site", "same-origin")
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-dest", "document");
    browser.send(out.body(Bytes::new()).unwrap()).await;
    assert_eq!(house.vestibule.sessions().live(), 0);
    for _ in 0..3 {
        assert_refused_kindly(&browser.view(back.as_str()).await);
    }
    assert_eq!(house.idp.token_requests().len(), 1);
    assert_eq!(house.vestibule.sessions().live(), 0);
}
