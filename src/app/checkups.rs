//! Runs the checks of apps' addresses beside the data threads, those of the configuration in force and no
//! others.

use tokio::{runtime::Handle, task::AbortHandle};

use super::kept_up::{PAUSE, kept_up};
use crate::{clock::Clock, telemetry::SharedMetrics, upstream::Checkup};

/// The checks that run; they end when this is dropped.
pub(super) struct Checkups {
    control: Handle,
    clock: Clock,
    metrics: SharedMetrics,
    tasks: Vec<AbortHandle>,
}

impl Checkups {
    /// Runs these on `control`.
    pub(super) fn of(
        checkups: Vec<Checkup>,
        control: &Handle,
        clock: &Clock,
        metrics: &SharedMetrics,
    ) -> Self {
        let mut running = Self {
            control: control.clone(),
            clock: clock.clone(),
            metrics: SharedMetrics::clone(metrics),
            tasks: Vec::new(),
        };
        running.replace(checkups);
        running
    }

    /// Runs these from now on, and no others.
    pub(super) fn replace(&mut self, checkups: Vec<Checkup>) {
        self.end();
        let tasks = checkups.into_iter().map(|checkup| {
            let clock = self.clock.clone();
            let check = move || {
                let (checkup, clock) = (checkup.clone(), clock.clone());
                async move { checkup.keep_checking(clock).await }
            };
            let metrics = SharedMetrics::clone(&self.metrics);
            let task = kept_up("checking an app", metrics, PAUSE, check);
            self.control.spawn(task).abort_handle()
        });
        self.tasks = tasks.collect();
    }

    fn end(&mut self) {
        for task in self.tasks.drain(..) {
            task.abort();
        }
    }
}

impl Drop for Checkups {
    fn drop(&mut self) {
        self.end();
    }
}
