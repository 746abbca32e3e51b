//! What one process hands the next by way of the state folder, and what it says about it.
//!
//! Never keeps a start or a stop from going on: without a hand-over people sign in again, no more.

use std::sync::Arc;

use crate::{
    clock::Clock,
    config::Config,
    key_ring::SharedKeyRing,
    login,
    session::{Judge, SessionStore, Snapshots},
    telemetry::chain,
};

/// Everything that outlives a process.
pub(super) struct Handover {
    snapshots: Snapshots,
    store: Arc<dyn SessionStore>,
    sign_ins: Arc<login::Memory>,
}

impl Handover {
    pub(super) fn new(
        config: &Config,
        key_ring: SharedKeyRing,
        clock: Clock,
        store: Arc<dyn SessionStore>,
    ) -> Self {
        let judge = Judge::of(config);
        Self {
            snapshots: Snapshots::new(&config.state_dir, key_ring, clock, judge, config.session),
            store,
            sign_ins: Arc::default(),
        }
    }

    /// What is remembered of sign-ins, to be handed on with the sessions.
    pub(super) fn sign_ins(&self) -> Arc<login::Memory> {
        Arc::clone(&self.sign_ins)
    }

    /// Goes on from where the last process stopped. To be called before anything is served, and only
    /// when nothing can keep this process from serving any more: it works once.
    pub(super) fn take_over(&self) {
        let mut notes = Vec::new();
        let taken = self
            .snapshots
            .take(&*self.store, |note| notes.push(note.to_owned()));
        match taken {
            Ok(None) => {}
            Ok(Some(tally)) => {
                self.sign_ins.recall(notes.iter().map(String::as_str));
                tracing::info!(
                    sessions = tally.kept,
                    ended = tally.ended,
                    refused = tally.refused,
                    "going on with the sessions of the last run"
                );
            }
            Err(error) => tracing::warn!(
                error = chain(&error),
                "the sessions of the last run are not used; everybody signs in again"
            ),
        }
    }

    /// Leaves everything to the next process. To be called when nothing runs any more that could end
    /// a session or begin one: it would not be in what is left.
    pub(super) fn hand_over(&self) {
        match self.snapshots.write(&*self.store, self.sign_ins.notes()) {
            Ok(tally) => tracing::info!(sessions = tally.kept, "left the sessions to the next run"),
            Err(error) => tracing::warn!(
                error = chain(&error),
                "the sessions could not be left to the next run; everybody signs in again"
            ),
        }
    }
}
