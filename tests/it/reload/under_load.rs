//! Many reloads under load: no request fails, nobody signs in again, nobody's end moves.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::{FOR_ALL, comes_to, path, plain_house, reloads, route, route_file, rule};
use crate::support::{
    client::Browser,
    eventually,
    house::{HOST, House, SESSION},
    pki::{Alpn, write_private},
};

/// How many reloads unless `VESTIBULE_RELOADS` says otherwise.
const RELOADS: u64 = 100;

fn number_of_reloads() -> u64 {
    let wanted = std::env::var("VESTIBULE_RELOADS").ok();
    wanted.map_or(RELOADS, |wanted| {
        wanted.parse().expect("VESTIBULE_RELOADS is a number")
    })
}

/// Asks again and again on one connection, and panics at anything but the app's answer.
struct Asking {
    answered: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

fn asking(house: &House, alpn: Alpn, browser: &Browser, stop: &Arc<AtomicBool>) -> Asking {
    let url = house.url("/page");
    let cookie = format!("{SESSION}={}", browser.cookie(&url, SESSION).unwrap());
    let raw = house
        .vestibule
        .raw(HOST)
        .offering(alpn, house.vestibule.pki());
    let (answered, stop) = (Arc::new(AtomicU64::new(0)), Arc::clone(stop));
    let counted = Arc::clone(&answered);
    let task = tokio::spawn(async move {
        while !stop.load(Ordering::Relaxed) {
            // A handshake now and then: certificates are swapped too.
            let mut kept = raw.keep(alpn).await;
            for _ in 0..20 {
                let (status, body) = kept.get(&url, &[("cookie", &cookie)]).await;
                assert_eq!(status, 200, "{body}");
                counted.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    Asking { answered, task }
}

async fn end_of(house: &House, browser: &mut Browser) -> String {
    let answer = browser.get(&house.url("/.vestibule/me")).await;
    answer.json()["expires_at"].as_str().unwrap().to_owned()
}

/// One of a row of changes, each of another kind; every third is broken.
fn change(house: &House, number: u64) -> &'static str {
    let vestibule = &house.vestibule;
    match number % 6 {
        0 => {
            write_private(&path(vestibule, "secrets/corp"), "mended");
            rule(house, &format!("title = \"number {number}\"\n{FOR_ALL}"));
        }
        1 => {
            let leaf = vestibule.pki().leaf(&[HOST]);
            leaf.write(&path(vestibule, "certs"), HOST);
        }
        2 => {
            fs::write(route_file(vestibule, "broken"), format!("from = {number}")).unwrap();
            return "refused";
        }
        3 => {
            let file = route_file(vestibule, "broken");
            let part = format!("{HOST}/part{number}");
            fs::write(file, route(vestibule, &part, &house.app, FOR_ALL)).unwrap();
        }
        4 => write_private(
            &path(vestibule, "secrets/corp"),
            &format!("secret {number}"),
        ),
        _ => {
            write_private(&path(vestibule, "secrets/corp"), "");
            return "refused";
        }
    }
    "applied"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_under_load_fail_no_request_and_move_no_end() {
    // S-323
    let house = plain_house().await;
    let mut people = Vec::new();
    for login in ["ann", "bob"] {
        people.push(house.browser_of(login).await);
    }
    let mut ends = Vec::new();
    for browser in &mut people {
        ends.push(end_of(&house, browser).await);
    }
    let asked = house.idp.authorization_requests().len();
    let stop = Arc::new(AtomicBool::new(false));
    let asking: Vec<_> = people
        .iter()
        .flat_map(|browser| {
            [Alpn::Http1, Alpn::H2].map(|alpn| asking(&house, alpn, browser, &stop))
        })
        .collect();
    for number in 0..number_of_reloads() {
        let outcome = if number % 3 == 2 {
            "refused"
        } else {
            "applied"
        };
        comes_to(&house.vestibule, outcome, || {
            assert_eq!(change(&house, number), outcome);
        })
        .await;
        // Each change meets requests of everybody.
        for one in &asking {
            let before = one.answered.load(Ordering::Relaxed);
            eventually("another answer", || {
                one.answered.load(Ordering::Relaxed) > before || one.task.is_finished()
            })
            .await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    for one in asking {
        one.task.await.unwrap();
    }
    for (browser, end) in people.iter_mut().zip(&ends) {
        assert_eq!(&end_of(&house, browser).await, end);
    }
    assert_eq!(
        house.idp.authorization_requests().len(),
        asked,
        "nobody signed in again"
    );
    let done = reloads(&house.vestibule, "applied") + reloads(&house.vestibule, "refused");
    assert!(done >= number_of_reloads());
    house.assert_no_panic();
}
