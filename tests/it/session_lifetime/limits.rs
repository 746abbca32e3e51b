//! How many sessions there may be, and whose a request on a shared connection is.

use super::{cookie_of, kept};
use crate::support::{
    client::{Browser, kept::Kept},
    house::{HOST, House, built, house},
    pki::Alpn,
};

#[tokio::test]
async fn a_full_store_ends_what_was_used_least_and_never_refuses_a_new_sign_in() {
    // S-068
    let house = built(|idp| idp, |house, _| house.main("[session]\ncapacity = 5")).await;
    let mut browsers: Vec<Browser> = Vec::new();
    for number in 0..12 {
        let mut browser = house.browser_of(&format!("person-{number}")).await;
        house.vestibule.sessions().live();
        assert!(
            house.is_in(&mut browser).await,
            "{number} was let in and stays"
        );
        browsers.push(browser);
        assert!(house.vestibule.sessions().live() <= 5);
    }
    let mut live = Vec::new();
    for browser in &mut browsers {
        live.push(house.is_in(browser).await);
    }
    assert_eq!(live[7..], [true; 5], "the newest five");
    assert_eq!(live[..7], [false; 7]);
    let metrics = house.vestibule.metrics();
    assert!(
        metrics.contains("vestibule_sessions_ended_total{cause=\"evicted\"} 7"),
        "{metrics}"
    );
}

#[tokio::test]
async fn the_twenty_first_session_of_a_person_ends_the_first() {
    // S-280
    let house = house().await;
    let mut bystander = house.browser_of("bob").await;
    let mut browsers = Vec::new();
    for _ in 0..21 {
        browsers.push(house.browser_of("ann").await);
        house.wait(super::SECOND);
    }
    let mut live = Vec::new();
    for browser in &mut browsers {
        live.push(house.is_in(browser).await);
    }
    assert_eq!(
        (live[0], live[1..].iter().all(|it| *it)),
        (false, true),
        "{live:?}"
    );
    assert!(house.is_in(&mut bystander).await);
}

/// The user that the app was told in an echo's answer.
fn user_in(text: &str) -> String {
    let told: serde_json::Value = serde_json::from_str(text).unwrap();
    let headers = told["headers"].as_array().unwrap();
    let mut users = headers.iter().filter(|it| {
        it[0]
            .as_str()
            .unwrap()
            .eq_ignore_ascii_case("x-forwarded-user")
    });
    let user = users.next().unwrap()[1].as_str().unwrap().to_owned();
    assert!(users.next().is_none());
    user
}

#[tokio::test]
async fn two_people_on_one_connection_stay_two_people() {
    // S-223, S-059
    let house = house().await;
    let url = house.url("/");
    let people = ["ann", "bob"];
    let mut cookies = Vec::new();
    for login in people {
        cookies.push(cookie_of(&house.browser_of(login).await, &url));
    }
    for alpn in [Alpn::Http1, Alpn::H2] {
        let mut kept: Kept = kept(&house, alpn).await;
        for round in 0..20 {
            let who = round % 2;
            let (status, text) = kept.get(&url, &[("cookie", &cookies[who])]).await;
            assert_eq!(status, 200);
            assert_eq!(user_in(&text), format!("{}@corp.example", people[who]));
            assert_eq!(
                kept.get(&url, &[]).await.0,
                401,
                "nobody inherits what went before"
            );
        }
    }
}

/// `GET PATH` with or without a cookie, as bytes.
fn head(house: &House, path: &str, cookie: Option<&str>) -> String {
    let host = house.vestibule.authority(HOST);
    let cookie = cookie.map_or_else(String::new, |it| format!("Cookie: {it}\r\n"));
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{cookie}\r\n")
}

#[tokio::test]
async fn pipelined_requests_are_judged_one_by_one() {
    // S-222
    let house = house().await;
    let url = house.url("/");
    let ann = cookie_of(&house.browser_of("ann").await, &url);
    let bob = cookie_of(&house.browser_of("bob").await, &url);
    let before = house.app.requests().len();
    let wire = [
        head(&house, "/1", Some(&ann)),
        head(&house, "/2", None),
        head(&house, "/3", Some(&bob)),
        head(&house, "/4", Some("__Host-vestibule=x")),
        head(&house, "/5", Some(&ann)),
    ]
    .concat();
    let said = house.vestibule.raw(HOST).say(wire).await;
    assert_eq!(
        said.statuses(),
        [200, 401, 200, 401, 200],
        "{}",
        said.text()
    );
    let seen = &house.app.requests()[before..];
    let told: Vec<_> = seen
        .iter()
        .map(|it| (it.target.as_str(), it.header("x-forwarded-user").unwrap()))
        .collect();
    let (ann, bob) = ("ann@corp.example", "bob@corp.example");
    assert_eq!(told, [("/1", ann), ("/3", bob), ("/5", ann)]);
}
