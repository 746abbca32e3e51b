//! Snapshots that are not used: all of one is, or nothing, and the start goes on.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use super::{HOUR, restarted, snapshot, taken};
use crate::support::{
    client::Browser,
    house::{HOST, House, house},
};

/// A stopped house that has left a snapshot of one session, and whose session that is.
async fn left() -> (House, Browser) {
    let mut house = house().await;
    let ann = house.browser_of("ann@example.com").await;
    house.vestibule.stop().await;
    assert!(snapshot(&house).exists());
    (house, ann)
}

/// Starts, finds nobody in and the snapshot gone, and still lets people sign in.
async fn starts_without(mut house: House, mut ann: Browser) -> House {
    house.vestibule.start().await;
    assert!(!house.is_in(&mut ann).await);
    assert_eq!(house.vestibule.sessions().live(), 0);
    assert!(!snapshot(&house).exists(), "it stays refused");
    house.vestibule.can_sign_in(HOST).await;
    let mut bob = house.browser_of("bob@example.com").await;
    assert!(house.is_in(&mut bob).await);
    house
}

#[tokio::test]
async fn a_snapshot_that_is_not_whole_is_none() {
    // S-284
    for cut in [0, 1, 39, 40, 60, usize::MAX] {
        let (house, ann) = left().await;
        let bytes = taken(&house);
        let end = cut.min(bytes.len() - 1);
        write(&snapshot(&house), &bytes[..end]);
        starts_without(house, ann).await;
    }
}

#[tokio::test]
async fn a_snapshot_that_was_altered_is_none() {
    // S-283, S-284: in each part of the head, in a piece's own head, and in a piece.
    for at in [0, 9, 13, 20, 36, 40, 43, 50, 80] {
        let (house, ann) = left().await;
        let mut bytes = taken(&house);
        bytes[at] ^= 1;
        write(&snapshot(&house), &bytes);
        starts_without(house, ann).await;
    }
}

#[tokio::test]
async fn a_snapshot_of_another_key_ring_is_none() {
    // S-284
    let (house, ann) = left().await;
    fs::remove_file(house.vestibule.folder().join("state/keyring.json")).unwrap();
    starts_without(house, ann).await;
}

#[tokio::test]
async fn a_snapshot_that_others_could_open_is_none() {
    // S-284
    let (house, ann) = left().await;
    fs::set_permissions(snapshot(&house), Permissions::from_mode(0o644)).unwrap();
    starts_without(house, ann).await;
}

#[tokio::test]
async fn a_gibibyte_of_anything_is_none() {
    // S-284
    let (house, ann) = left().await;
    taken(&house);
    write(&snapshot(&house), b"");
    let file = File::options().write(true).open(snapshot(&house));
    file.unwrap().set_len(1 << 30).unwrap();
    let house = starts_without(house, ann).await;

    // The same behind a good beginning.
    let mut ann = house.browser_of("ann@example.com").await;
    assert!(house.is_in(&mut ann).await);
    let mut house = house;
    house.vestibule.stop().await;
    let file = File::options().write(true).open(snapshot(&house));
    file.unwrap().set_len(1 << 30).unwrap();
    starts_without(house, ann).await;
}

#[tokio::test]
async fn a_snapshot_from_the_future_is_none() {
    // S-285: the clock went back behind the moment at which it was written.
    let (house, ann) = left().await;
    house.vestibule.time().step_wall_back(HOUR);
    let house = starts_without(house, ann).await;
    // Nor is it when the clock is right again.
    let house = restarted(house, |house| {
        house.vestibule.time().step_wall_forward(HOUR);
    })
    .await;
    assert_eq!(house.vestibule.sessions().live(), 1, "that of bob");
}

#[tokio::test]
async fn an_old_snapshot_that_somebody_puts_back_is_none() {
    // What has ended since would live again.
    let (mut house, ann) = left().await;
    let old = fs::read(snapshot(&house)).unwrap();
    house.vestibule.start().await;
    let house = restarted(house, |house| write(&snapshot(house), &old)).await;
    let mut ann = ann;
    assert!(!house.is_in(&mut ann).await);
}

#[tokio::test]
async fn a_state_folder_that_cannot_be_used_keeps_nobody_from_serving() {
    let mut house = house().await;
    let mut ann = house.browser_of("ann@example.com").await;
    let state = house.vestibule.folder().join("state");
    fs::remove_dir_all(&state).unwrap();
    fs::write(&state, "no folder").unwrap();
    house.vestibule.stop().await;
    house.vestibule.start().await;
    house.vestibule.can_sign_in(HOST).await;
    assert!(!house.is_in(&mut ann).await);
    let mut bob = house.browser_of("bob@example.com").await;
    assert!(house.is_in(&mut bob).await);
}

fn write(file: &Path, bytes: &[u8]) {
    fs::write(file, bytes).unwrap();
    fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
}
