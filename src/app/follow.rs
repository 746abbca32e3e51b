//! Follows the files of a running vestibule: what changes on disk comes into force by itself.
//!
//! Looks every second, and reads once two looks in a row are the same, also when somebody asks, so that
//! nobody's half-written file is read; what was changed while it was read is read again. Files are looked at and read beside
//! the runtime, which a file system that hangs must not hold up.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, Notify},
    task::JoinError,
};

use super::{
    prepare::{Prepared, prepare},
    reload::{InForce, Occasion},
};
use crate::{
    clock::Clock,
    config::{
        finding::{Finding, Place},
        watch::{Look, Sources, Watch},
    },
    listener::{Phase, Shutdown},
    telemetry::{SharedMetrics, chain},
};

/// How long it is from one look at the files to the next.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// After so many looks refused files are read again, changed or not: a disk may have been full, or
/// the files that a process may have open used up.
const LOOKS_BEFORE_RETRY: u32 = 30;

/// How often files that somebody asked to be read are read again at once, if they move meanwhile.
const ATTEMPTS: u32 = 3;

/// How long it is from one look to the next where somebody waits to be told.
const SHORT_INTERVAL: Duration = Duration::from_millis(200);

/// How long files that move are waited for where somebody waits to be told.
const LONGEST_SETTLING: Duration = Duration::from_secs(3);

/// Where a configuration comes from.
pub(super) struct Origin {
    pub(super) config_dir: PathBuf,
    pub(super) environment: Vec<(String, String)>,
}

/// Follows the files of one configuration.
pub(super) struct Follower {
    origin: Arc<Origin>,
    every: Duration,
    asked: Arc<Notify>,
    shutdown: Shutdown,
    clock: Clock,
    metrics: SharedMetrics,
    state: Mutex<State>,
}

struct State {
    watch: Watch,
    in_force: InForce,
    /// Nothing was read yet since the start.
    is_fresh: bool,
    /// Looks since refused files were read.
    looks: u32,
}

/// A reading of the files.
struct Reading {
    before: Look,
    prepared: Prepared,
    after: Look,
}

impl Follower {
    pub(super) fn new(
        origin: Origin,
        sources: Sources,
        every: Duration,
        asked: Arc<Notify>,
        in_force: InForce,
        (shutdown, clock, metrics): (Shutdown, Clock, SharedMetrics),
    ) -> Arc<Self> {
        let state = State {
            watch: Watch::over(sources),
            in_force,
            is_fresh: true,
            looks: 0,
        };
        Arc::new(Self {
            origin: Arc::new(origin),
            every,
            asked,
            shutdown,
            clock,
            metrics,
            state: Mutex::new(state),
        })
    }

    /// Follows until a stop begins.
    pub(super) async fn follow(self: Arc<Self>) {
        let mut state = self.state.lock().await;
        loop {
            let occasion = if std::mem::take(&mut state.is_fresh) {
                // What was changed between reading and serving would never look changed.
                Occasion::Started
            } else {
                tokio::select! {
                    () = self.asked.notified() => Occasion::Asked,
                    () = tokio::time::sleep(self.every) => Occasion::Changed,
                    () = self.shutdown.reached(Phase::Draining) => return,
                }
            };
            self.turn(&mut state, occasion).await;
        }
    }

    async fn turn(&self, state: &mut State, occasion: Occasion) {
        if occasion == Occasion::Changed && !self.is_due(state).await {
            return;
        }
        if occasion == Occasion::Asked {
            self.settle(&state.watch).await;
        }
        state.looks = 0;
        let attempts = if occasion == Occasion::Changed {
            1
        } else {
            ATTEMPTS
        };
        for _ in 0..attempts {
            let Some(reading) = self.read(&state.watch).await else {
                // Not again before they change, or have been refused for long.
                if let Some(look) = self.look(&state.watch).await {
                    let sources = state.watch.sources().clone();
                    state.watch.has_read(sources, look.clone(), look);
                }
                let fault = "reading the configuration ended in a fault of vestibule's own";
                let fault = Finding::error(Place::default(), fault, "report this");
                state.in_force.refuse(vec![fault], occasion);
                return;
            };
            let Reading {
                before,
                prepared,
                after,
            } = reading;
            let sources = prepared.sources.clone();
            if state.watch.has_read(sources, before, after) {
                state.in_force.take_up(prepared, occasion);
                return;
            }
        }
        // What still moves is taken up once it is quiet.
    }

    /// Waits until two looks in a row are the same, but not for ever: whoever has just begun to write a
    /// file may have asked already.
    async fn settle(&self, watch: &Watch) {
        let pause = self.every.min(SHORT_INTERVAL);
        let settling = async {
            let mut before = self.look(watch).await;
            loop {
                tokio::time::sleep(pause).await;
                let now = self.look(watch).await;
                if now == before {
                    return;
                }
                before = now;
            }
        };
        let _ = tokio::time::timeout(LONGEST_SETTLING, settling).await;
    }

    /// Whether the files have changed and are quiet, or were refused long ago.
    async fn is_due(&self, state: &mut State) -> bool {
        let Some(look) = self.look(&state.watch).await else {
            return false;
        };
        let has_settled = state.watch.has_settled(look);
        state.looks = state.looks.saturating_add(1);
        let retries = state.in_force.is_stale() && state.looks >= LOOKS_BEFORE_RETRY;
        has_settled || retries
    }

    /// Looks at the files; `None` if that ends in a fault of ours.
    async fn look(&self, watch: &Watch) -> Option<Look> {
        let sources = watch.sources().clone();
        let looking = tokio::task::spawn_blocking(move || sources.look()).await;
        looking.map_err(|error| self.tell_of_fault(&error)).ok()
    }

    fn tell_of_fault(&self, error: &JoinError) {
        self.metrics.panicked();
        let error = chain(error);
        tracing::error!(error, "reading the configuration ended in a fault");
    }

    /// Reads everything; `None` if that ends in a fault of ours.
    async fn read(&self, watch: &Watch) -> Option<Reading> {
        let (origin, clock) = (Arc::clone(&self.origin), self.clock.clone());
        let sources = watch.sources().clone();
        let reading = tokio::task::spawn_blocking(move || {
            let before = sources.look();
            let prepared = prepare(&origin.config_dir, &origin.environment, &clock);
            let after = prepared.sources.look();
            Reading {
                before,
                prepared,
                after,
            }
        });
        let read = reading.await;
        read.map_err(|error| self.tell_of_fault(&error)).ok()
    }
}
