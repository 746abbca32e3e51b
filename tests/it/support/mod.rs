//! What the tests stand on: servers and clients of their own, on loopback, that can lie.
//!
//! Servers run on a runtime of their own, so that a test may block, and listen on ports the system
//! chose. A panic in one of them reaches the test that holds it.

pub(crate) mod client;
pub(crate) mod clock;
pub(crate) mod front;
pub(crate) mod h2;
pub(crate) mod h2_frames;
pub(crate) mod house;
pub(crate) mod issuer;
pub(crate) mod lines;
pub(crate) mod pki;
pub(crate) mod process;
pub(crate) mod secure;
mod server;
pub(crate) mod strict;
pub(crate) mod upstream;
pub(crate) mod vestibule;
pub(crate) mod wire;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How long anything that must come about may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `holds` does; `what` names the state in the panic that comes instead.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let polling = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, polling)
        .await
        .unwrap_or_else(|_| panic!("this did not come about: {what}"));
}

/// What a support server shares with its test; a panic while it was held changes nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[tokio::test]
async fn a_state_is_waited_for() {
    let mut left = 3;
    eventually("three rounds", || {
        left -= 1;
        left == 0
    })
    .await;
}
