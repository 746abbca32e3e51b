//! Restarts: what the next process goes on with, what it refuses to, and that nobody is turned away
//! in between.

mod refused;
mod sessions;
mod sign_ins;
mod socket;

use std::{fs, path::PathBuf, time::Duration};

use crate::support::{
    client::Browser,
    house::{HOST, House},
};

const HOUR: Duration = Duration::from_hours(1);

/// Where a stop leaves its snapshot.
fn snapshot(house: &House) -> PathBuf {
    house.vestibule.folder().join("state/sessions.sealed")
}

/// Stops softly; `meanwhile` happens while nobody serves; starts again.
async fn restarted(mut house: House, meanwhile: impl FnOnce(&House)) -> House {
    house.vestibule.stop().await;
    meanwhile(&house);
    house.vestibule.start().await;
    house
}

/// Ends as by a crash, and starts again.
async fn crashed(mut house: House) -> House {
    house.vestibule.crash();
    house.vestibule.start().await;
    house.vestibule.can_sign_in(HOST).await;
    house
}

/// When the browser's session ends, as it is told.
async fn end_of(house: &House, browser: &mut Browser) -> String {
    let answer = browser.get(&house.url("/.vestibule/me")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["expires_at"].as_str().unwrap().to_owned()
}

/// What the snapshot holds, out of the next process's sight.
fn taken(house: &House) -> Vec<u8> {
    let bytes = fs::read(snapshot(house)).unwrap();
    fs::remove_file(snapshot(house)).unwrap();
    bytes
}
