//! What a good change brings into force, and what it leaves alone.

use std::{fs, time::Duration};

use super::{
    FOR_ALL, append, comes_to, house, path, plain_house, replace, route, route_file, rule,
};
use crate::support::{house::HOST, upstream};

const OTHER: &str = "erp.example";

#[tokio::test]
async fn a_changed_rule_applies_at_once_and_sessions_survive_it() {
    let house = plain_house().await;
    let mut ann = house.browser_of("ann").await;
    let mut bob = house.browser_of("bob").await;
    let asked = house.idp.authorization_requests().len();
    let only_bob = "[allow]\nusers = [\"bob@corp.example\"]";
    comes_to(&house.vestibule, "applied", || rule(&house, only_bob)).await;
    assert_eq!(ann.get(&house.url("/")).await.status, 403);
    assert_eq!(bob.get(&house.url("/")).await.status, 200);
    comes_to(&house.vestibule, "applied", || rule(&house, FOR_ALL)).await;
    for browser in [&mut ann, &mut bob] {
        assert_eq!(browser.get(&house.url("/")).await.status, 200);
    }
    assert_eq!(
        house.idp.authorization_requests().len(),
        asked,
        "nobody signed in again"
    );
    house.assert_no_panic();
}

#[tokio::test]
async fn a_new_route_is_served_and_one_that_is_gone_is_not() {
    let house = plain_house().await;
    let mut ann = house.browser_of("ann").await;
    let other = upstream::echo().run();
    let vestibule = &house.vestibule;
    let file = route_file(vestibule, "part");
    let text = route(vestibule, &format!("{HOST}/part"), &other, FOR_ALL);
    comes_to(vestibule, "applied", || fs::write(&file, text).unwrap()).await;
    assert_eq!(ann.get(&house.url("/part/x")).await.status, 200);
    assert_eq!(other.only_request().target, "/part/x");
    let before = house.app.requests().len();
    comes_to(vestibule, "applied", || fs::remove_file(&file).unwrap()).await;
    assert_eq!(ann.get(&house.url("/part/x")).await.status, 200);
    assert_eq!(
        house.app.requests().len(),
        before + 1,
        "the wiki has all of the host again"
    );
    assert_eq!(other.requests().len(), 1);
}

#[tokio::test]
async fn a_host_whose_route_is_gone_is_no_host_of_ours() {
    let house = house(|builder, app| builder.route("erp", OTHER, FOR_ALL, app)).await;
    let vestibule = &house.vestibule;
    let mut ann = house.browser();
    let url = vestibule.url(OTHER, "/");
    assert_eq!(ann.get(&url).await.status, 401);
    let file = route_file(vestibule, "erp");
    comes_to(vestibule, "applied", || fs::remove_file(file).unwrap()).await;
    assert_eq!(ann.get(&url).await.status, 421);
    assert_eq!(ann.get(&house.url("/")).await.status, 401);
}

#[tokio::test]
async fn what_holds_for_every_request_is_changed_with_the_routes() {
    let house = plain_house().await;
    let mut ann = house.browser_of("ann").await;
    let answer = ann.get(&house.url("/")).await;
    assert!(answer.header("strict-transport-security").is_some());
    let main = path(&house.vestibule, "config/vestibule.toml");
    let change = || {
        replace(&main, "grace = \"1s\"", "grace = \"1s\"\nhsts = \"off\"");
        append(&main, "[limits]\ntarget_bytes = \"256B\"");
    };
    comes_to(&house.vestibule, "applied", change).await;
    let answer = ann.get(&house.url("/")).await;
    assert_eq!(answer.header("strict-transport-security"), None);
    let long = house.url(&format!("/{}", "x".repeat(300)));
    assert_eq!(ann.get(&long).await.status, 414);
}

#[tokio::test]
async fn another_length_of_sessions_moves_no_end_that_is_fixed() {
    const HOUR: Duration = Duration::from_hours(1);
    let house = plain_house().await;
    let mut ann = house.browser_of("ann").await;
    let main = path(&house.vestibule, "config/vestibule.toml");
    let change = || append(&main, "[session]\nmax = \"1h\"");
    comes_to(&house.vestibule, "applied", change).await;
    let mut bob = house.browser_of("bob").await;
    house.wait(HOUR);
    assert!(!house.is_in(&mut bob).await);
    assert!(house.is_in(&mut ann).await);
    house.wait(HOUR * 23);
    assert!(!house.is_in(&mut ann).await);
}

#[tokio::test]
async fn a_front_that_is_not_trusted_any_more_is_not_believed_on_old_connections_either() {
    // S-027
    let trusting = |builder: crate::support::vestibule::Builder, _: &upstream::Echo| builder;
    let house = house(trusting).await;
    let main = path(&house.vestibule, "config/vestibule.toml");
    let trust = "grace = \"1s\"\ntrusted_proxies = [\"127.0.0.1\"]";
    let ann = house.browser_of("ann").await;
    let cookie = format!(
        "__Host-vestibule={}",
        ann.cookie(&house.url("/"), "__Host-vestibule").unwrap()
    );
    comes_to(&house.vestibule, "applied", || {
        replace(&main, "grace = \"1s\"", trust);
    })
    .await;
    let raw = house.vestibule.raw(HOST);
    let mut kept = raw.keep(crate::support::pki::Alpn::Http1).await;
    let url = house.url("/");
    let headers = [
        ("x-forwarded-for", "192.0.2.1"),
        ("cookie", cookie.as_str()),
    ];
    let (_, said) = kept.get(&url, &headers).await;
    assert!(said.contains("192.0.2.1"), "{said}");
    comes_to(&house.vestibule, "applied", || {
        replace(&main, trust, "grace = \"1s\"");
    })
    .await;
    let (status, said) = kept.get(&url, &headers).await;
    assert!(status == 200 && !said.contains("192.0.2.1"), "{said}");
}
