//! Signing in, end to end: over real sockets and TLS, at a provider that can lie, in front of an app
//! that tells what it was sent.

mod attempts;
mod callbacks;
mod cookie_limits;
mod cookies;
mod interrupted;
mod page_views;
mod reflection;
mod under_way;
mod whole_way;

use url::Url;

use crate::support::{
    client::{Answer, Browser},
    house::{House, assert_refused_kindly},
};

const OTHER_HOST: &str = "erp.example";

/// The callback with other values under these names; `None` leaves one out.
fn with(back: &Url, changes: &[(&str, Option<&str>)]) -> String {
    let other = |name: &str| changes.iter().find(|(it, _)| *it == name);
    let kept = back.query_pairs().filter(|(name, _)| other(name).is_none());
    let mut url = back.clone();
    url.set_query(None);
    url.query_pairs_mut().extend_pairs(kept);
    for (name, value) in changes {
        if let Some(value) = value {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
    url.into()
}

fn parameter(url: &Url, name: &str) -> String {
    let mut pairs = url.query_pairs();
    pairs.find(|(it, _)| it == name).unwrap().1.into_owned()
}

/// The way back is refused before the provider is asked or the app hears of it.
async fn assert_refused_without_asking(house: &House, browser: &mut Browser, url: &str) -> Answer {
    let answer = browser.view(url).await;
    assert_refused_kindly(&answer);
    assert!(house.idp.token_requests().is_empty(), "{url}");
    house.app.assert_silent().await;
    answer
}
