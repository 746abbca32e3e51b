//! What all parts of the house write down, and how it is known that nothing moves any more.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use tokio::{task::yield_now, time::timeout};

use super::{Conversation, PATIENCE, Script};

/// After so many rounds in which nothing moved nothing will.
const QUIET_ROUNDS: u32 = 6;

/// What all parts of the house write down.
#[derive(Clone, Default)]
pub(super) struct Log {
    state: Arc<Mutex<State>>,
    moves: Arc<AtomicU64>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) conversation: Conversation,
    pub(super) script: Option<Script>,
    pub(super) frozen: usize,
}

impl Log {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn moved(&self) {
        self.moves.fetch_add(1, Ordering::Relaxed);
    }

    /// Goes on until nothing moves any more. Each round lets every task run that can, and takes what
    /// the sockets have.
    pub(super) async fn settle(&self) {
        let (mut seen, mut quiet) = (self.moves.load(Ordering::Relaxed), 0);
        while quiet < QUIET_ROUNDS {
            yield_now().await;
            let now = self.moves.load(Ordering::Relaxed);
            quiet = if now == seen { quiet + 1 } else { 0 };
            seen = now;
        }
    }

    pub(super) async fn until(&self, what: &str, holds: impl Fn(&State) -> bool) {
        let polling = async {
            while !holds(&self.lock()) {
                yield_now().await;
            }
        };
        let held = timeout(PATIENCE, polling).await;
        assert!(held.is_ok(), "this did not come about: {what}");
    }
}
