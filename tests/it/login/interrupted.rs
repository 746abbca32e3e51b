//! Sign-ins that something comes between: a restart, another vestibule, a browser that drops cookies.

use crate::support::{
    client::Browser,
    clock,
    house::{HOST, SESSION, assert_refused_kindly, house},
    issuer, upstream, vestibule,
};

#[tokio::test]
async fn a_sign_in_survives_a_restart_with_the_same_state_folder() {
    // S-081, S-287
    let time = clock::manual();
    let idp = issuer::honest(&time).run();
    let app = upstream::echo().run();
    let vestibule = vestibule::at(&time)
        .route("wiki", HOST, "allow = \"signed-in\"", &app)
        .provider("corp", &idp)
        .run();
    vestibule.can_sign_in(HOST).await;
    let url = vestibule.url(HOST, "/page?x=1");
    let mut browser = vestibule.browser();
    let trail = browser.follow(&url, 1).await;
    let back = trail[1].redirects_to().unwrap();

    let vestibule = vestibule.restarted().await;
    vestibule.can_sign_in(HOST).await;
    let answer = browser.view(back.as_str()).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert_eq!(answer.header("location"), Some(&*url));
    assert_eq!(browser.view(&url).await.status, 200);

    // The session outlives one more. After a crash everybody signs in again, once.
    let mut vestibule = vestibule.restarted().await;
    assert_eq!(browser.view(&url).await.status, 200);
    vestibule.crash();
    vestibule.start().await;
    vestibule.can_sign_in(HOST).await;
    let trail = browser.follow(&url, 5).await;
    assert_eq!(trail.len(), 4);
    assert_eq!(trail[3].status, 200);
}

#[tokio::test]
async fn an_attempt_of_another_vestibule_is_explained_and_does_not_loop() {
    // S-081
    let time = clock::manual();
    let idp = issuer::honest(&time).run();
    let app = upstream::echo().run();
    let vestibule = vestibule::at(&time)
        .route("wiki", HOST, "allow = \"signed-in\"", &app)
        .provider("corp", &idp)
        .run();
    vestibule.can_sign_in(HOST).await;
    let mut browser = vestibule.browser();
    let trail = browser.follow(&vestibule.url(HOST, "/"), 1).await;
    let back = trail[1].redirects_to().unwrap();
    std::fs::remove_dir_all(vestibule.folder().join("state")).unwrap();
    let vestibule = vestibule.restarted().await;
    vestibule.can_sign_in(HOST).await;
    let answer = browser.view(back.as_str()).await;
    assert_eq!(answer.status, 503);
    assert!(answer.redirects_to().is_none());
    assert!(
        answer
            .text()
            .contains("two vestibules without a shared store")
    );
    assert!(idp.token_requests().is_empty());
    assert!(
        vestibule
            .metrics()
            .contains("reason=\"foreign_key_ring\"} 1")
    );
}

/// Signs in and loses the session cookie before the page is opened, over and over: how many times
/// it went to the provider before something else happened, and what that was.
async fn rounds_of(browser: &mut Browser, url: &str) -> (usize, crate::support::client::Answer) {
    for rounds in 0..20 {
        let away = browser.view(url).await;
        if away.status != 302 {
            return (rounds, away);
        }
        let back = browser.view(away.redirects_to().unwrap().as_str()).await;
        browser.view(back.redirects_to().unwrap().as_str()).await;
        browser.forget(SESSION);
    }
    panic!("it goes round and round");
}

#[tokio::test]
async fn a_browser_that_drops_its_session_is_told_so_after_three_rounds() {
    // S-081, S-082
    let house = house().await;
    let mut browser = house.browser();
    let url = house.url("/page?x=1");
    let (rounds, answer) = rounds_of(&mut browser, &url).await;
    assert_eq!(rounds, 3);
    assert_refused_kindly(&answer);
    assert!(answer.text().contains("does not keep you signed in"));
    assert!(answer.text().contains("return=%2Fpage%3Fx%3D1"));
    assert_eq!(house.sign_ins("loop"), 1);

    // A person who asks for it gets another try; a minute later everything is forgotten.
    let login = house.url("/.vestibule/login?return=%2Fpage%3Fx%3D1");
    assert_eq!(browser.view(&login).await.status, 302);
    let (rounds, _) = rounds_of(&mut browser, &url).await;
    assert_eq!(rounds, 3);
    house.wait(std::time::Duration::from_mins(1));
    assert_eq!(browser.view(&url).await.status, 302);
}

#[tokio::test]
async fn one_person_may_sign_in_often() {
    // S-082: not the number of sign-ins counts, but the returns without a session.
    let house = house().await;
    let mut browser = house.browser();
    let url = house.url("/");
    for _ in 0..8 {
        let trail = browser.follow(&url, 3).await;
        assert_eq!(trail.last().unwrap().status, 200);
        let out = http::Request::get(house.url("/.vestibule/logout"))
            .header("sec-fetch-site", "same-origin");
        browser.send(out.body(bytes::Bytes::new()).unwrap()).await;
        house.wait(std::time::Duration::from_secs(61));
    }
}
