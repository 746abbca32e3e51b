//! Sign-out that begins at the provider: its page loads ours in a frame, without any cookie.

use super::{OTHER_HOST, two_hosts};
use crate::support::{
    client::Browser,
    house::{House, house, is_in},
    issuer::person,
};

/// A browser signed in on both hosts, in one session of the provider.
async fn on_both_hosts(house: &House, login: &str, sid: &str) -> Browser {
    let mut browser = house.browser();
    for url in [house.url("/"), house.vestibule.url(OTHER_HOST, "/")] {
        house
            .sign_in_at(&mut browser, &url, person(login).claim("sid", sid))
            .await;
    }
    browser
}

/// On how many of the two hosts a browser is in.
async fn hosts_in(house: &House, browser: &mut Browser) -> usize {
    let mut count = 0;
    for url in [house.url("/"), house.vestibule.url(OTHER_HOST, "/")] {
        count += usize::from(is_in(browser, &url).await);
    }
    count
}

#[tokio::test]
async fn a_session_that_ends_at_the_provider_ends_on_all_hosts() {
    // S-166 oidcc-client-test-rp-frontchannel-opinitlogout: without a cookie, with and without `iss`.
    for with_issuer in [false, true] {
        let house = two_hosts().await;
        let mut ann = on_both_hosts(&house, "ann", "anns session").await;
        let mut bob = on_both_hosts(&house, "bob", "bobs session").await;
        let mut url = url::Url::parse(&house.url("/.vestibule/frontchannel-logout")).unwrap();
        url.query_pairs_mut().append_pair("sid", "anns session");
        if with_issuer {
            url.query_pairs_mut()
                .append_pair("iss", &house.idp.issuer());
        }
        let answer = house.browser().view(url.as_str()).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(
            (
                hosts_in(&house, &mut ann).await,
                hosts_in(&house, &mut bob).await
            ),
            (0, 2)
        );
        assert!(
            house.idp.logout_requests().is_empty(),
            "nothing is revoked at the provider"
        );
    }
}

#[tokio::test]
async fn a_front_channel_that_names_nobody_or_comes_from_elsewhere_ends_nothing() {
    // S-166
    let house = two_hosts().await;
    let mut ann = on_both_hosts(&house, "ann", "session").await;
    for query in [
        "",
        "?",
        "?sid",
        "?sid=",
        "?sid=&sid=session",
        "?sid=session&sid=session",
        "?sid=sess",
        "?sid=SESSION",
        "?sid=session&iss=https://evil.test",
        "?sid=session&iss=",
        "?sid=session&iss=x&iss=y",
        "?sid=*",
        "?sid=%00",
        "?sub=subject-of-ann",
    ] {
        let url = house.url(&format!("/.vestibule/frontchannel-logout{query}"));
        // With the person's own cookies, too.
        let answer = ann.view(&url).await;
        assert_eq!(answer.status, 200, "{query}");
        assert_eq!(hosts_in(&house, &mut ann).await, 2, "{query}");
    }
}

#[tokio::test]
async fn only_the_front_channel_may_be_framed() {
    // S-166, S-182
    let house = house().await;
    let mut browser = house.browser_of("ann").await;
    for (path, framed) in [
        ("/.vestibule/frontchannel-logout", true),
        ("/.vestibule/logout", false),
        ("/.vestibule/login", false),
        ("/.vestibule/callback", false),
        ("/.vestibule/signed-out", false),
        ("/.vestibule/me", false),
        ("/.vestibule/nothing", false),
    ] {
        for answer in [
            browser.view(&house.url(path)).await,
            browser.get(&house.url(path)).await,
        ] {
            let policy = answer.header("content-security-policy").unwrap();
            assert_eq!(
                policy.contains("frame-ancestors 'none'"),
                !framed,
                "{path}: {policy}"
            );
            assert_eq!(answer.header("x-frame-options").is_none(), framed, "{path}");
        }
    }
}
