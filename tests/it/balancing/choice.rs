//! Who gets the next request.

use super::*;
use crate::support::{
    eventually, upstream,
    wire::{PROTOCOLS, Protocol, ask},
};

#[tokio::test]
async fn addresses_that_have_nothing_to_do_take_turns() {
    let apps = [(); 3].map(|()| upstream::echo().run());
    let front = wiki_at(&apps.each_ref().map(upstream::Echo::address), "");
    let session = front.session(HOST).await;
    let mut wire = front.wire(Protocol::Http1, HOST);
    for _ in 0..30 {
        let reply = wire.ask(&ask("GET", "/").with("Cookie", &session)).await;
        assert_eq!(reply.status, 200);
    }
    for app in &apps {
        assert_eq!(app.requests().len(), 10);
        assert!(is_up(&front, app.address()));
        assert_eq!(app.connections(), 1, "each keeps its own");
    }
}

#[tokio::test]
async fn an_address_that_does_not_come_to_an_end_gets_no_more() {
    // Without a clock that moves, a raw app that listens alone never answers.
    let (hung, well) = (upstream::raw().run(), upstream::echo().run());
    let front = wiki_at(&[hung.address(), well.address()], "");
    let session = front.session(HOST).await;
    let mut stuck = Vec::new();
    // Until each data thread, which share what they know, has come to it once.
    while hung.heard().is_empty() {
        let mut wire = front.wire(Protocol::Http1, HOST);
        let asked = ask("GET", "/").with("Cookie", &session);
        stuck.push(tokio::spawn(async move { wire.try_ask(&asked).await }));
        eventually("somebody was asked", || {
            hung.heard().len() + well.requests().len() >= stuck.len()
        })
        .await;
    }
    let before = well.requests().len();
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for _ in 0..20 {
            let reply = wire.ask(&ask("GET", "/").with("Cookie", &session)).await;
            assert_eq!(reply.status, 200);
        }
    }
    assert_eq!(well.requests().len() - before, 40);
    assert_eq!(hung.heard().len(), 1);
    assert!(is_up(&front, hung.address()), "slowness is no fault");
    for asking in stuck {
        asking.abort();
    }
}

#[tokio::test]
async fn the_host_of_an_app_that_wants_its_own_is_that_of_the_address() {
    let apps = [(); 2].map(|()| upstream::echo().run());
    let addresses = apps.each_ref().map(upstream::Echo::address);
    let front = wiki_at(&addresses, "[upstream]\nhost = \"upstream\"");
    let session = front.session(HOST).await;
    let mut wire = front.wire(Protocol::Http2, HOST);
    for _ in 0..4 {
        let reply = wire.ask(&ask("GET", "/").with("Cookie", &session)).await;
        assert_eq!(reply.status, 200);
    }
    for app in &apps {
        let requests = app.requests();
        assert_eq!(requests.len(), 2);
        for request in requests {
            assert_eq!(request.header("host"), Some(&*app.address().to_string()));
        }
    }
}

#[tokio::test]
async fn what_is_known_of_an_address_outlives_a_reload_that_keeps_it() {
    let [dead, well, new] = [(); 3].map(|()| upstream::echo().run());
    dead.go_down().await;
    let mut front = wiki_at(&[dead.address(), well.address()], "");
    front.vestibule.follow();
    let session = front.session(HOST).await;
    let mut wire = front.wire(Protocol::Http1, HOST);
    let asked = ask("GET", "/").with("Cookie", &session);
    for _ in 0..6 {
        assert_eq!(wire.ask(&asked).await.status, 200);
    }
    assert!(!is_up(&front, dead.address()));
    let file = front.vestibule.folder().join("config/routes.d/wiki.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let change = async |from: &str, to: &str| {
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace(from, to)).unwrap();
    };
    let quoted = |app: &upstream::Echo| format!("\"http://{}\"", app.address());
    let more = format!("{}, {}", quoted(&well), quoted(&new));
    change(&quoted(&well), &more).await;
    eventually("the new one is there", || is_up(&front, new.address())).await;
    for _ in 0..10 {
        assert_eq!(wire.ask(&asked).await.status, 200);
    }
    assert!(!is_up(&front, dead.address()), "it is out as before");
    assert_eq!(ejections(&front, dead.address()), 1);
    assert!(!new.requests().is_empty());
    // What no route leads to any more is not told of.
    change(&format!("{}, ", quoted(&dead)), "").await;
    let name = dead.address().to_string();
    eventually("the dead one is gone", || {
        !front.vestibule.metrics().contains(&name)
    })
    .await;
    std::fs::write(&file, text).unwrap();
    eventually("the old file is in force", || {
        !front
            .vestibule
            .metrics()
            .contains(&new.address().to_string())
    })
    .await;
    assert!(is_up(&front, dead.address()), "it begins anew");
}
