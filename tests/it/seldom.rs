//! What anybody can bring about is said once a minute, not with every request.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use vestibule::{
    clock::{Clock, ManualClock, Timestamp},
    telemetry::Seldom,
};

use crate::support::{
    client::page_view, front::HOST, house::ATTEMPT, issuer, process, upstream, vestibule as files,
};

const START: i64 = 1_800_000_000;

#[test]
fn a_minute_lies_between_two_warnings() {
    // S-267
    let seldom = Seldom::default();
    let begun = Timestamp::from_unix_seconds(START);
    let mut said = Vec::new();
    for second in 0..181_u64 {
        for _ in 0..10 {
            if seldom.is_due(begun.plus(Duration::from_secs(second))) {
                said.push(second);
            }
        }
    }
    assert_eq!(said, [0, 60, 120, 180]);
    // A clock that steps back says nothing more often.
    assert!(!seldom.is_due(begun));
}

#[test]
fn of_many_at_once_one_says_it() {
    // S-267
    let seldom = Arc::new(Seldom::default());
    for minute in 0..50 {
        let now = Timestamp::from_unix_seconds(START + minute * 60);
        let said = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (seldom, said) = (Arc::clone(&seldom), Arc::clone(&said));
                thread::spawn(move || {
                    for _ in 0..100 {
                        said.fetch_add(usize::from(seldom.is_due(now)), Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(said.load(Ordering::Relaxed), 1, "{minute}");
    }
}

#[tokio::test]
async fn a_flood_of_foreign_attempts_is_one_line_in_the_log() {
    // S-267, S-081: the cookie of another vestibule, which anybody can write.
    let time = ManualClock::starting_at(Clock::system().now().wall);
    let idp = issuer::honest(&time).entra().run();
    let app = upstream::echo().run();
    let built = files::at(&time)
        .route("wiki", HOST, "allow = \"signed-in\"", &app)
        .entra(&idp);
    // Sealed under another ring: from the same files, with another state folder.
    let other = {
        let vestibule = files::at(&time)
            .route("wiki", HOST, "allow = \"signed-in\"", &app)
            .entra(&idp)
            .run();
        vestibule.can_sign_in(HOST).await;
        let mut browser = vestibule.browser();
        let url = vestibule.url(HOST, "/");
        let trail = browser.follow(&url, 1).await;
        let back = trail[1].redirects_to().unwrap();
        let names = browser.cookie_names(&url);
        let name = names.iter().find(|it| it.starts_with(ATTEMPT)).unwrap();
        let cookie = format!("{name}={}", browser.cookie(&url, name).unwrap());
        let callback = format!("/.vestibule/callback?{}", back.query().unwrap());
        (cookie, callback)
    };
    let process = process::serve(built).await;
    let mut browser = process.built().browser();
    let (cookie, callback) = other;
    for _ in 0..40 {
        let url = process.built().url(HOST, &callback);
        let request = page_view(Request::get(url)).header("cookie", &cookie);
        let answer = browser.send(request.body(Bytes::new()).unwrap()).await;
        assert_eq!(answer.status, 503, "{}", answer.text());
    }
    let output = process.terminate().await;
    let printed = String::from_utf8(output.stderr).unwrap();
    let warned = printed.matches("begun by another vestibule").count();
    // Two if the minute turned meanwhile.
    assert!((1..=2).contains(&warned), "{warned}: {printed}");
    assert!(app.requests().is_empty());
}
