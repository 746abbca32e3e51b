//! How long a session lives: exactly as long as it was given at sign-in, whatever happens meanwhile.

mod ends;
mod limits;
mod streams;

use std::time::Duration;

use crate::support::{
    client::{Browser, kept::Kept},
    house::{HOST, House, SESSION},
    pki::Alpn,
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
/// 23:59:59.
const LAST_SECOND: Duration = Duration::from_secs(86_399);
const DAY: Duration = Duration::from_hours(24);

/// The cookie line of a browser's session at `url`.
fn cookie_of(browser: &Browser, url: &str) -> String {
    format!("{SESSION}={}", browser.cookie(url, SESSION).unwrap())
}

/// A connection to the house that is kept.
async fn kept(house: &House, alpn: Alpn) -> Kept {
    let raw = house
        .vestibule
        .raw(HOST)
        .offering(alpn, house.vestibule.pki());
    raw.keep(alpn).await
}
