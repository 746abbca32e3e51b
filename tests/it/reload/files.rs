//! Which files count, and that nothing bad or unfinished of them ever comes into force.

use std::{fs, os::unix::fs::symlink};

use super::{
    FOR_ALL, append, comes_to, is_stale, path, plain_house, reloads, replace, route, route_file,
    rule,
};
use crate::support::{
    eventually,
    house::{HOST, House},
};

const ONLY_BOB: &str = "[allow]\nusers = [\"bob@corp.example\"]";

/// Breaks something: what was in force stays, until it is mended.
async fn stays_in_force(house: &House, breaking: impl FnOnce(), mending: impl FnOnce()) {
    let vestibule = &house.vestibule;
    let mut ann = house.browser_of("ann").await;
    comes_to(vestibule, "refused", breaking).await;
    assert!(is_stale(vestibule));
    assert_eq!(ann.get(&house.url("/")).await.status, 200);
    house.browser_of("carla").await;
    mending();
    eventually("it is in force again", || !is_stale(vestibule)).await;
    assert_eq!(ann.get(&house.url("/")).await.status, 200);
    assert_eq!(reloads(vestibule, "applied"), 0);
    house.assert_no_panic();
}

#[tokio::test]
async fn a_broken_file_changes_nothing_until_it_is_mended() {
    // S-317
    let house = plain_house().await;
    let main = path(&house.vestibule, "config/vestibule.toml");
    let good = fs::read_to_string(&main).unwrap();
    for broken in ["[", "[sesion]\n", "", "[listen]\nhttps = 7\n"] {
        let breaking = || fs::write(&main, broken).unwrap();
        stays_in_force(&house, breaking, || fs::write(&main, &good).unwrap()).await;
    }
    let aside = main.with_extension("aside");
    let away = || fs::rename(&main, &aside).unwrap();
    stays_in_force(&house, away, || fs::rename(&aside, &main).unwrap()).await;
}

#[tokio::test]
async fn routes_that_are_gone_all_at_once_are_a_copy_half_done() {
    // S-317
    let house = plain_house().await;
    let folder = path(&house.vestibule, "config/routes.d");
    let aside = folder.with_extension("aside");
    let away = || fs::rename(&folder, &aside).unwrap();
    stays_in_force(&house, away, || fs::rename(&aside, &folder).unwrap()).await;
    let (file, aside) = (folder.join("wiki.toml"), folder.join("wiki.aside"));
    let away = || fs::rename(&file, &aside).unwrap();
    stays_in_force(&house, away, || fs::rename(&aside, &file).unwrap()).await;
}

#[tokio::test]
async fn one_bad_file_holds_back_good_ones() {
    // S-317
    let house = plain_house().await;
    let vestibule = &house.vestibule;
    let mut ann = house.browser_of("ann").await;
    let bad = route_file(vestibule, "bad");
    let both = || {
        fs::write(&bad, "from = 1").unwrap();
        rule(&house, ONLY_BOB);
    };
    comes_to(vestibule, "refused", both).await;
    assert_eq!(ann.get(&house.url("/")).await.status, 200);
    comes_to(vestibule, "applied", || fs::remove_file(&bad).unwrap()).await;
    assert_eq!(ann.get(&house.url("/")).await.status, 403);
    assert!(!is_stale(vestibule));
}

#[tokio::test]
async fn a_file_that_is_written_in_two_steps_never_counts_half() {
    // S-317: what is there first lets nobody in, or is no route.
    let house = plain_house().await;
    let vestibule = &house.vestibule;
    let mut ann = house.browser_of("ann").await;
    let mut bob = house.browser_of("bob").await;
    let file = route_file(vestibule, "wiki");
    let whole = route(vestibule, HOST, &house.app, ONLY_BOB);
    let (first, _) = whole.split_once("[allow]").unwrap();
    comes_to(vestibule, "refused", || fs::write(&file, first).unwrap()).await;
    for browser in [&mut ann, &mut bob] {
        assert_eq!(browser.get(&house.url("/")).await.status, 200);
    }
    comes_to(vestibule, "applied", || {
        append(&file, "[allow]\nusers = [\"bob@corp.example\"]");
    })
    .await;
    assert_eq!(ann.get(&house.url("/")).await.status, 403);
    assert_eq!(bob.get(&house.url("/")).await.status, 200);
}

#[tokio::test]
async fn a_file_that_says_the_same_changes_nothing() {
    let house = plain_house().await;
    let vestibule = &house.vestibule;
    let file = route_file(vestibule, "wiki");
    comes_to(vestibule, "unchanged", || append(&file, "# a remark")).await;
    comes_to(vestibule, "unchanged", || vestibule.reload()).await;
    assert_eq!(reloads(vestibule, "applied"), 0);
    assert!(!is_stale(vestibule));
}

#[tokio::test]
async fn a_folder_that_is_swapped_behind_a_link_comes_into_force() {
    // As Kubernetes mounts maps: names that lead into `..data`, which is swapped.
    let house = plain_house().await;
    let vestibule = &house.vestibule;
    let mut ann = house.browser_of("ann").await;
    let folder = path(vestibule, "config/routes.d");
    let at = |name: &str| folder.join(name);
    for (version, rules) in [("..1", FOR_ALL), ("..2", ONLY_BOB)] {
        fs::create_dir(at(version)).unwrap();
        let text = route(vestibule, HOST, &house.app, rules);
        fs::write(at(version).join("wiki.toml"), text).unwrap();
    }
    let linked = || {
        symlink("..1", at("..data")).unwrap();
        symlink("..data/wiki.toml", at("new")).unwrap();
        fs::rename(at("new"), at("wiki.toml")).unwrap();
    };
    comes_to(vestibule, "unchanged", linked).await;
    assert_eq!(ann.get(&house.url("/")).await.status, 200);
    let swapped = || {
        symlink("..2", at("..new")).unwrap();
        fs::rename(at("..new"), at("..data")).unwrap();
    };
    comes_to(vestibule, "applied", swapped).await;
    assert_eq!(ann.get(&house.url("/")).await.status, 403);
}

#[tokio::test]
async fn a_file_that_is_named_anew_is_followed_from_then_on() {
    let house = plain_house().await;
    let vestibule = &house.vestibule;
    let main = path(vestibule, "config/vestibule.toml");
    let secret = path(vestibule, "secrets/corp");
    let moved = path(vestibule, "secrets/moved");
    fs::copy(&secret, &moved).unwrap();
    let rename = || replace(&main, "secrets/corp", "secrets/moved");
    comes_to(vestibule, "unchanged", rename).await;
    comes_to(vestibule, "applied", || {
        fs::write(&moved, "another").unwrap();
    })
    .await;
    comes_to(vestibule, "refused", || fs::remove_file(&moved).unwrap()).await;
    comes_to(vestibule, "applied", || {
        fs::write(&moved, "a third").unwrap();
    })
    .await;
}
