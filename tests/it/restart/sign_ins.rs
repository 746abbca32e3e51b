//! Sign-ins across a restart: one that is under way goes on, one that was used stays used.

use super::{crashed, restarted};
use crate::support::house::{HOST, assert_refused_kindly, house};

#[tokio::test]
async fn a_used_answer_stays_used_after_a_restart() {
    // S-177, S-287: with the cookie of the attempt, as whoever copied it would come.
    let house = house().await;
    let mut browser = house.browser();
    let back = house.way_back(&mut browser, "/page").await;
    let mut copy = house.browser();
    for name in browser.cookie_names(back.as_str()) {
        let value = browser.cookie(back.as_str(), &name).unwrap();
        copy.set_cookie(back.as_str(), &format!("{name}={value}; Path=/; Secure"));
    }
    assert_eq!(browser.view(back.as_str()).await.status, 303);
    let redeemed = house.idp.token_requests().len();
    let house = restarted(house, |_| ()).await;
    house.vestibule.can_sign_in(HOST).await;
    assert_refused_kindly(&copy.view(back.as_str()).await);
    // The person whose it was is led on to the page.
    assert_eq!(browser.view(back.as_str()).await.status, 303);
    let house = crashed(house).await;
    assert_refused_kindly(&copy.view(back.as_str()).await);
    assert_refused_kindly(&browser.view(back.as_str()).await);
    assert_eq!(house.idp.token_requests().len(), redeemed);
}

#[tokio::test]
async fn an_attempt_that_was_begun_before_a_crash_is_started_again() {
    // S-177: nobody is left to say whether it was used.
    let house = house().await;
    let mut browser = house.browser();
    let back = house.way_back(&mut browser, "/page?x=1").await;
    let house = crashed(house).await;
    let answer = browser.view(back.as_str()).await;
    assert_refused_kindly(&answer);
    assert!(answer.text().contains("return=%2Fpage%3Fx%3D1"));
    assert!(house.idp.token_requests().is_empty());
}

#[tokio::test]
async fn an_attempt_outlives_several_restarts() {
    // S-081
    let house = house().await;
    let mut browser = house.browser();
    let back = house.way_back(&mut browser, "/page").await;
    let mut house = house;
    for _ in 0..3 {
        house = restarted(house, |_| ()).await;
    }
    house.vestibule.can_sign_in(HOST).await;
    assert_eq!(browser.view(back.as_str()).await.status, 303);
    assert!(house.is_in(&mut browser).await);
}
