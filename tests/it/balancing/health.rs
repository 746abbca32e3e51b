//! Addresses that are asked whether they are well.

use std::sync::{
    Arc,
    atomic::{AtomicU16, AtomicUsize, Ordering},
};

use http::Response;
use http_body_util::Full;

use super::*;
use crate::support::{
    eventually,
    upstream::{self, Echo, Seen},
    wire::{Protocol, ask},
};

const CHECKED: &str = "[upstream.health]\npath = \"/health?deep=1\"\nevery = \"1s\"";

fn checks(app: &Echo) -> Vec<Seen> {
    let requests = app.requests().into_iter();
    requests
        .filter(|it| it.target == "/health?deep=1")
        .collect()
}

/// An app whose answer to checks is whatever the number says.
fn app_with(status: &Arc<AtomicU16>) -> Echo {
    let status = Arc::clone(status);
    upstream::echo()
        .answering(move |seen| {
            let status = match &*seen.target {
                "/health?deep=1" => status.load(Ordering::SeqCst),
                _ => 200,
            };
            Response::builder()
                .status(status)
                .body(Full::default())
                .unwrap()
        })
        .run()
}

/// Lets the time go by until so many more checks have come.
async fn after(front: &Front, app: &Echo, count: usize) {
    let before = checks(app).len();
    let time = front.vestibule.time();
    eventually("checks", || {
        time.advance(Duration::from_millis(200));
        checks(app).len() >= before + count
    })
    .await;
}

#[tokio::test]
async fn an_address_that_says_it_is_unwell_is_out_until_it_says_it_is_well() {
    let status = Arc::new(AtomicU16::new(200));
    let (app, other) = (app_with(&status), app_with(&Arc::new(AtomicU16::new(302))));
    let front = wiki_at(&[app.address(), other.address()], CHECKED);
    let session = front.session(HOST).await;
    let mut wire = front.wire(Protocol::Http1, HOST);
    after(&front, &app, 2).await;
    let check = checks(&app).remove(0);
    assert_eq!((&*check.method, check.body.len()), ("GET", 0));
    assert_eq!(check.header("user-agent"), Some("vestibule-health"));
    let public = front.vestibule.authority(HOST);
    assert_eq!(check.header("host"), Some(&*public));
    for name in [
        "x-forwarded-user",
        "x-forwarded-for",
        "cookie",
        "x-request-id",
    ] {
        assert_eq!(check.header(name), None, "{name}");
    }
    for unwell in [404, 500, 503] {
        let before = ejections(&front, app.address());
        status.store(unwell, Ordering::SeqCst);
        after(&front, &app, 4).await;
        assert!(!is_up(&front, app.address()), "{unwell}");
        assert_eq!(ejections(&front, app.address()), before + 1);
        let asked = || ask("GET", "/").with("Cookie", &session);
        for _ in 0..6 {
            assert_eq!(wire.ask(&asked()).await.status, 200);
        }
        assert!(app.requests().iter().all(|it| it.target != "/"), "{unwell}");
        status.store(204, Ordering::SeqCst);
        after(&front, &app, 2).await;
        assert!(is_up(&front, app.address()), "{unwell}");
    }
    assert!(is_up(&front, other.address()));
    for _ in 0..4 {
        let reply = wire.ask(&ask("GET", "/").with("Cookie", &session)).await;
        assert_eq!(reply.status, 200);
    }
    assert!(app.requests().iter().any(|it| it.target == "/"));
}

#[tokio::test]
async fn an_address_that_does_not_answer_a_check_in_time_is_out() {
    let (hung, well) = (upstream::raw().run(), upstream::echo().run());
    let front = wiki_at(&[hung.address(), well.address()], CHECKED);
    let time = front.vestibule.time();
    let asked = AtomicUsize::new(0);
    eventually("it is out", || {
        let heard = hung.heard().len();
        // Not before the next check is on its way.
        if heard > asked.swap(heard, Ordering::SeqCst) || heard >= 3 {
            time.advance(Duration::from_millis(2_100));
        } else {
            time.advance(Duration::from_millis(200));
        }
        !is_up(&front, hung.address())
    })
    .await;
    assert!(is_up(&front, well.address()));
}

#[tokio::test]
async fn with_all_of_them_unwell_all_are_asked() {
    let status = Arc::new(AtomicU16::new(500));
    let apps = [app_with(&status), app_with(&status)];
    let addresses = apps.each_ref().map(Echo::address);
    let front = wiki_at(&addresses, CHECKED);
    for app in &apps {
        after(&front, app, 4).await;
    }
    let session = front.session(HOST).await;
    eventually("both are out", || {
        addresses.iter().all(|it| !is_up(&front, *it))
    })
    .await;
    let mut wire = front.wire(Protocol::Http2, HOST);
    for _ in 0..4 {
        let reply = wire.ask(&ask("GET", "/").with("Cookie", &session)).await;
        assert_eq!(reply.status, 200);
    }
    for app in &apps {
        let asked = app.requests();
        assert_eq!(asked.iter().filter(|it| it.target == "/").count(), 2);
    }
}

#[tokio::test]
async fn checks_end_with_a_reload_that_takes_them_away() {
    let status = Arc::new(AtomicU16::new(500));
    let (app, other) = (app_with(&status), app_with(&Arc::new(AtomicU16::new(200))));
    let mut front = wiki_at(&[app.address(), other.address()], CHECKED);
    front.vestibule.follow();
    after(&front, &app, 4).await;
    eventually("it is out", || !is_up(&front, app.address())).await;
    let file = front.vestibule.folder().join("config/routes.d/wiki.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace(CHECKED, "")).unwrap();
    // What checks found does not hold for ever.
    eventually("it is back", || is_up(&front, app.address())).await;
    let applied = "vestibule_reloads_total{outcome=\"applied\"}";
    eventually("it is in force", || front.metric(applied) == 1).await;
    let before = checks(&other).len();
    for _ in 0..20 {
        front.vestibule.time().advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(checks(&other).len() <= before + 1);
}
