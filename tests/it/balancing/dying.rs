//! An address that dies while everybody asks, and comes back.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use super::*;
use crate::support::{
    eventually,
    upstream::{self, Echo},
    wire::{PROTOCOLS, ask},
};

/// How often each of the POSTs arrived, at whichever app.
fn posts(apps: &[Echo]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let requests = apps.iter().flat_map(Echo::requests);
    for post in requests.filter(|it| it.method == "POST") {
        *counts.entry(post.target).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_who_may_be_served_elsewhere_notices_and_no_post_comes_twice() {
    // S-098
    let apps = [(); 3].map(|()| upstream::echo().run());
    let addresses = apps.each_ref().map(Echo::address);
    let front = wiki_at(&addresses, "");
    let session = front.session(HOST).await;
    let (is_over, asked) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let clients: Vec<_> = (0..8)
        .map(|client| {
            let mut wire = front.wire(PROTOCOLS[client % 2], HOST);
            let (is_over, asked) = (Arc::clone(&is_over), Arc::clone(&asked));
            let session = session.clone();
            tokio::spawn(async move {
                let mut failed = Vec::new();
                for number in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    let target = format!("/{client}/{number}");
                    let is_post = number % 3 == 0;
                    let request = if is_post {
                        ask("POST", &target).body("once")
                    } else {
                        ask("GET", &target)
                    };
                    let reply = wire.ask(&request.with("Cookie", &session)).await;
                    if reply.status != 200 {
                        let reason = reply.reason();
                        let may_fail = is_post && reason == "upstream_broken_off";
                        assert!(may_fail, "{target} {} {reason}", reply.status);
                        failed.push(target);
                    }
                    asked.fetch_add(1, Ordering::Relaxed);
                }
                failed
            })
        })
        .collect();
    let more = async |count: usize| {
        let before = asked.load(Ordering::Relaxed);
        eventually("more was asked", || {
            asked.load(Ordering::Relaxed) >= before + count
        })
        .await;
    };
    more(100).await;
    for round in 0..3 {
        apps[0].go_down().await;
        more(100).await;
        eventually("it is out", || !is_up(&front, addresses[0])).await;
        more(50).await;
        apps[0].come_back();
        let before = apps[0].requests().len();
        front.vestibule.time().advance(FIRST_OUT);
        eventually("it is back", || is_up(&front, addresses[0])).await;
        eventually("it is asked again", || {
            apps[0].requests().len() > before + 5
        })
        .await;
        assert_eq!(ejections(&front, addresses[0]), round + 1);
    }
    is_over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    assert!(is_up(&front, addresses[1]) && is_up(&front, addresses[2]));
    let posts = posts(&apps);
    assert!(posts.values().all(|count| *count == 1), "{posts:#?}");
    assert!(posts.len() > 50);
}

#[tokio::test]
async fn the_last_one_standing_is_asked_on_and_whoever_is_back_first_serves() {
    let apps = [(); 2].map(|()| upstream::echo().run());
    let addresses = apps.each_ref().map(Echo::address);
    let front = wiki_at(&addresses, "");
    let session = front.session(HOST).await;
    let mut wire = front.wire(PROTOCOLS[0], HOST);
    let asked = ask("GET", "/").with("Cookie", &session);
    for app in &apps {
        app.go_down().await;
    }
    for _ in 0..10 {
        let reply = wire.ask(&asked).await;
        assert_eq!(
            (reply.status, &*reply.reason()),
            (502, "upstream_unreachable")
        );
    }
    let up = addresses.map(|address| is_up(&front, address));
    assert_eq!(up.iter().filter(|it| **it).count(), 1, "{up:?}");
    for (app, _) in apps.iter().zip(up).filter(|(_, up)| !up) {
        // No time has gone by: where nobody else answers, who is out is asked.
        app.come_back();
        assert_eq!(wire.ask(&asked).await.status, 200);
        assert!(is_up(&front, app.address()));
    }
}

#[tokio::test]
async fn what_an_app_answers_is_no_fault_of_its_address() {
    let [failing, well] = [503, 200].map(|status| {
        upstream::echo()
            .answering(move |_| {
                let answer = http::Response::builder().status(status);
                answer.body(http_body_util::Full::default()).unwrap()
            })
            .run()
    });
    let front = wiki_at(&[failing.address(), well.address()], "");
    let session = front.session(HOST).await;
    let mut wire = front.wire(PROTOCOLS[0], HOST);
    for _ in 0..20 {
        let reply = wire.ask(&ask("GET", "/").with("Cookie", &session)).await;
        assert!(matches!(reply.status, 200 | 503));
    }
    assert_eq!(failing.requests().len(), 10, "no answer is asked for again");
    assert!(is_up(&front, failing.address()));
}
