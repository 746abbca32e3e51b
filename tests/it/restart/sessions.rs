//! Sessions across a restart: there again, and never for longer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};

use ::vestibule::config::{provider::ProviderKind, session::SessionLifetime};

use super::{HOUR, crashed, end_of, restarted, snapshot};
use crate::support::{
    client::page_view,
    house::{HOST, SESSION, built, entra_house, house, is_in},
    issuer::person,
};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_session_outlives_a_restart_with_the_end_it_always_had() {
    // S-270, S-287
    let house = house().await;
    let mut ann = house.browser_of("ann@example.com").await;
    let end = end_of(&house, &mut ann).await;
    house.wait(HOUR);
    let mut house = house;
    for _ in 0..3 {
        house = restarted(house, |house| house.wait(HOUR)).await;
        assert!(house.is_in(&mut ann).await);
        assert_eq!(end_of(&house, &mut ann).await, end);
    }
    house.wait((HOUR * 20).saturating_sub(SECOND));
    assert!(house.is_in(&mut ann).await);
    house.wait(SECOND);
    assert!(!house.is_in(&mut ann).await);
}

#[tokio::test]
async fn a_session_of_entra_comes_back_with_all_that_is_known_of_it() {
    let house = entra_house().await;
    let mut ann = house.browser_of("ann@example.com").await;
    let me = house.url("/.vestibule/me");
    let before = ann.get(&me).await.json();
    let sid = {
        let sessions = house.vestibule.sessions();
        let all = sessions.select(&::vestibule::session::Selection::All);
        all.unwrap()[0].sid().cloned()
    };
    let house = restarted(house, |_| ()).await;
    assert_eq!(ann.get(&me).await.json(), before);
    let sessions = house.vestibule.sessions();
    let all = sessions.select(&::vestibule::session::Selection::All);
    assert_eq!(all.unwrap()[0].sid().cloned(), sid);
}

#[tokio::test]
async fn a_session_that_ended_while_nobody_served_is_gone() {
    // S-270
    let house = house().await;
    let mut ann = house.browser_of("ann@example.com").await;
    house.wait(HOUR * 23);
    let house = restarted(house, |house| house.wait(HOUR)).await;
    assert!(!house.is_in(&mut ann).await);
}

#[tokio::test]
async fn a_clock_that_was_set_back_while_nobody_served_gives_nobody_time() {
    // S-285: after the moment of writing still, so that the snapshot as a whole is not refused.
    let house = house().await;
    let mut ann = house.browser_of("ann@example.com").await;
    let house = restarted(house, |house| {
        house.wait(HOUR * 5);
        house.vestibule.time().step_wall_back(HOUR * 4);
    })
    .await;
    house.wait((HOUR * 19).saturating_sub(SECOND));
    assert!(house.is_in(&mut ann).await);
    house.wait(SECOND);
    assert!(!house.is_in(&mut ann).await);
}

#[tokio::test]
async fn a_clock_that_was_set_back_before_the_stop_gives_nobody_time() {
    // S-285
    let house = house().await;
    let mut ann = house.browser_of("ann@example.com").await;
    house.wait(HOUR * 10);
    house.vestibule.time().step_wall_back(HOUR * 9);
    let house = restarted(house, |house| house.wait(HOUR)).await;
    house.wait((HOUR * 13).saturating_sub(SECOND));
    assert!(house.is_in(&mut ann).await);
    house.wait(SECOND);
    assert!(!house.is_in(&mut ann).await);
}

#[tokio::test]
async fn a_clock_that_was_set_forward_ends_it_by_the_wall() {
    // S-285
    let house = house().await;
    let mut ann = house.browser_of("ann@example.com").await;
    let house = restarted(house, |house| {
        house.vestibule.time().step_wall_forward(HOUR * 20);
    })
    .await;
    assert!(house.is_in(&mut ann).await);
    house.wait(HOUR * 4);
    assert!(!house.is_in(&mut ann).await);
}

#[tokio::test]
async fn who_signed_out_stays_out() {
    // S-274
    let house = house().await;
    let mut ann = house.browser_of("ann@example.com").await;
    let mut bob = house.browser_of("bob@example.com").await;
    let url = house.url("/");
    let session = ann.cookie(&url, SESSION).unwrap();
    let out = page_view(http::Request::get(house.url("/.vestibule/logout")))
        .header("sec-fetch-site", "same-origin");
    let out = ann.send(out.body(bytes::Bytes::new()).unwrap()).await;
    assert_eq!(out.status, 303);
    let house = restarted(house, |_| ()).await;
    let line = format!("{SESSION}={session}; Path=/; Secure");
    ann.set_cookie(&url, &line);
    assert!(!house.is_in(&mut ann).await);
    assert!(house.is_in(&mut bob).await);
}

#[tokio::test]
async fn what_a_crash_ends_does_not_come_back() {
    // The snapshot of the stop before is not there any more: somebody may have signed out since.
    let house = house().await;
    let mut ann = house.browser_of("ann@example.com").await;
    let house = restarted(house, |house| assert!(snapshot(house).exists())).await;
    assert!(!snapshot(&house).exists());
    assert!(house.is_in(&mut ann).await);
    let house = crashed(house).await;
    assert!(!house.is_in(&mut ann).await);
}

#[tokio::test]
async fn a_shorter_lifetime_counts_for_sessions_that_came_over() {
    let is_short = Arc::new(AtomicBool::new(false));
    let adjusting = {
        let is_short = Arc::clone(&is_short);
        move |config: &mut ::vestibule::config::Config| {
            if is_short.load(Ordering::Relaxed) {
                config.session.max = SessionLifetime::new(HOUR * 2).unwrap();
            }
        }
    };
    let house = built(|idp| idp, |it, _| it.adjusted(adjusting)).await;
    let mut ann = house.browser_of("ann@example.com").await;
    house.wait(HOUR);
    is_short.store(true, Ordering::Relaxed);
    let house = restarted(house, |_| ()).await;
    assert!(house.is_in(&mut ann).await);
    house.wait(HOUR);
    assert!(!house.is_in(&mut ann).await);
}

#[tokio::test]
async fn sessions_of_what_is_not_configured_any_more_end() {
    let change = Arc::new(AtomicU8::new(0));
    for kind in 1..=3 {
        let adjusting = {
            let change = Arc::clone(&change);
            move |config: &mut ::vestibule::config::Config| match change.load(Ordering::Relaxed) {
                0 => {}
                // Another client of the same provider: another word about the same people.
                1 => config.providers[0].client_id.push('x'),
                2 => {
                    let ProviderKind::Oidc { issuer } = &mut config.providers[0].kind else {
                        panic!("a generic provider");
                    };
                    *issuer = "http://127.0.0.1:9/another".to_owned();
                }
                _ => config.routes[0].from.authority.host = "other.example".to_owned(),
            }
        };
        change.store(0, Ordering::Relaxed);
        let house = built(|idp| idp, |it, _| it.adjusted(adjusting)).await;
        let _ann = house.browser_of("ann@example.com").await;
        change.store(kind, Ordering::Relaxed);
        let house = restarted(house, |_| ()).await;
        assert_eq!(house.vestibule.sessions().live(), 0, "{kind}");
        // And it is not only asleep.
        change.store(0, Ordering::Relaxed);
        let house = restarted(house, |_| ()).await;
        assert_eq!(house.vestibule.sessions().live(), 0, "{kind}");
    }
}

#[tokio::test]
async fn if_there_is_less_room_the_youngest_stay() {
    let capacity = Arc::new(AtomicU8::new(10));
    let adjusting = {
        let capacity = Arc::clone(&capacity);
        move |config: &mut ::vestibule::config::Config| {
            config.session.capacity = capacity.load(Ordering::Relaxed).into();
        }
    };
    let house = built(|idp| idp, |it, _| it.adjusted(adjusting)).await;
    let mut browsers = Vec::new();
    for name in ["ann", "bob", "cid"] {
        browsers.push(house.browser_of(&format!("{name}@example.com")).await);
        house.wait(SECOND);
    }
    capacity.store(2, Ordering::Relaxed);
    let house = restarted(house, |_| ()).await;
    let mut are_in = Vec::new();
    for browser in &mut browsers {
        are_in.push(house.is_in(browser).await);
    }
    assert_eq!(are_in, [false, true, true]);
}

#[tokio::test]
async fn a_further_host_still_inherits_the_end_of_the_sign_in() {
    // S-005
    let house = built(
        |idp| idp,
        |it, app| it.route("erp", "erp.example", "allow = \"signed-in\"", app),
    )
    .await;
    let who = || person("ann@example.com").claim("sid", "one");
    let mut ann = house.browser();
    house.sign_in(&mut ann, who()).await;
    house.wait(HOUR * 10);
    let house = restarted(house, |_| ()).await;
    house.vestibule.can_sign_in(HOST).await;
    let erp = house.vestibule.url("erp.example", "/");
    house.sign_in_at(&mut ann, &erp, who()).await;
    house.wait((HOUR * 14).saturating_sub(SECOND));
    assert!(is_in(&mut ann, &erp).await);
    house.wait(SECOND);
    assert!(!is_in(&mut ann, &erp).await);
}

#[tokio::test]
async fn a_stop_that_is_cut_short_leaves_the_sessions_as_well() {
    let mut house = house().await;
    let mut ann = house.browser_of("ann@example.com").await;
    let end_now = house.vestibule.hard_stop();
    end_now();
    house.vestibule.stop().await;
    house.vestibule.start().await;
    assert!(house.is_in(&mut ann).await);
}
