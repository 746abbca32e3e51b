//! What is serving: its addresses, its sessions and counts, and the order in which it stops.
//!
//! Never starts anything but the following of its own files, and leaves nothing running behind it.

use std::{net::SocketAddr, path::Path, pin::pin, sync::Arc, thread, time::Duration};

use tokio::{runtime::Runtime, sync::Notify};
use tracing_appender::non_blocking::WorkerGuard;

use super::{
    follow::{Follower, Origin},
    handover::Handover,
    inherited::Inherited,
    kept_up::{PAUSE, kept_up},
    reload::InForce,
};
use crate::{
    clock::Clock,
    config::{plain_address::PlainAddress, watch::Sources},
    listener::{Phase, Shutdown},
    session::SessionStore,
    telemetry::SharedMetrics,
};

/// How long a connection that came right before a stop has to say what it came for: the handshakes
/// of TCP and TLS, over a long line. At most a quarter of the grace, most of which is for answers.
const FIRST_WORD: Duration = Duration::from_secs(1);

/// A vestibule that is serving.
pub struct Running {
    pub(super) https: Option<SocketAddr>,
    pub(super) http: Option<SocketAddr>,
    pub(super) plain: Option<PlainAddress>,
    pub(super) ops: Option<SocketAddr>,
    pub(super) store: Arc<dyn SessionStore>,
    pub(super) handover: Arc<Handover>,
    pub(super) metrics: SharedMetrics,
    pub(super) shutdown: Shutdown,
    /// The operators' listener ends last: it has to say that this is not ready any more.
    pub(super) ops_shutdown: Shutdown,
    pub(super) grace: Duration,
    pub(super) threads: Vec<thread::JoinHandle<()>>,
    pub(super) control: Option<Runtime>,
    /// What a reload replaces, until the files are followed.
    pub(super) in_force: Option<InForce>,
    pub(super) asked: Arc<Notify>,
    pub(super) clock: Clock,
    pub(super) access_guard: Option<WorkerGuard>,
    /// Open until the end, so that whoever connects meanwhile waits for the next process.
    pub(super) _inherited: Inherited,
}

impl Running {
    /// The address that serves HTTPS, with the port the system chose if 0 was configured.
    #[must_use]
    pub fn https(&self) -> Option<SocketAddr> {
        self.https
    }

    /// The address that redirects to HTTPS.
    #[must_use]
    pub fn http(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Where fronts that end TLS are served.
    #[must_use]
    pub fn plain(&self) -> Option<&PlainAddress> {
        self.plain.as_ref()
    }

    /// The operators' address.
    #[must_use]
    pub fn ops(&self) -> Option<SocketAddr> {
        self.ops
    }

    /// The sessions.
    #[must_use]
    pub fn sessions(&self) -> Arc<dyn SessionStore> {
        Arc::clone(&self.store)
    }

    /// What `/metrics` would say.
    #[must_use]
    pub fn metrics_text(&self) -> String {
        self.metrics.text(self.store.live())
    }

    /// Tells whoever reads the log.
    pub(super) fn say_ready(&self, routes: usize) {
        let threads = self.threads.len();
        let https = self.https.map(tracing::field::display);
        let plain = self.plain.as_ref().map(tracing::field::display);
        tracing::info!(https, plain, threads, routes, "ready");
    }

    /// Follows the files of the configuration from now on: looks at them that often, and brings into
    /// force what changes. `sources` are the files that took part in what is in force, and
    /// `environment` is what it was read with. Does nothing the second time.
    pub fn follow(
        &mut self,
        config_dir: &Path,
        environment: Vec<(String, String)>,
        sources: Sources,
        every: Duration,
    ) {
        let (Some(in_force), Some(control)) = (self.in_force.take(), &self.control) else {
            return;
        };
        let origin = Origin {
            config_dir: config_dir.to_owned(),
            environment,
        };
        let metrics = Arc::clone(&self.metrics);
        let shared = (self.shutdown.clone(), self.clock.clone(), metrics);
        let asked = Arc::clone(&self.asked);
        let follower = Follower::new(origin, sources, every, asked, in_force, shared);
        let follow = move || Arc::clone(&follower).follow();
        let metrics = Arc::clone(&self.metrics);
        let what = "following the configuration";
        control.spawn(kept_up(what, metrics, PAUSE, follow));
    }

    /// Has the files of the configuration read at once, if they are followed, whether they look
    /// changed or not.
    pub fn reload(&self) {
        self.asked.notify_one();
    }

    /// What ends everything at once, for a second signal while [`Running::stop`] waits.
    pub fn hard_stop(&self) -> impl FnOnce() + Send + 'static {
        let shutdown = self.shutdown.clone();
        move || shutdown.advance_to(Phase::Ended)
    }

    /// Stops softly: no new connections, idle ones close, what is under way has the grace period;
    /// then everything ends, and what outlives the process is left to the next one. Returns when
    /// nothing runs any more.
    pub async fn stop(mut self) {
        let mut grace = pin!(tokio::time::sleep(self.grace));
        self.shutdown.advance_to(Phase::Closing);
        tokio::select! {
            () = self.shutdown.finished() => {}
            () = self.shutdown.reached(Phase::Ended) => {}
            () = tokio::time::sleep(FIRST_WORD.min(self.grace / 4)) => {}
        }
        self.shutdown.advance_to(Phase::Draining);
        tokio::select! {
            () = self.shutdown.finished() => {}
            () = self.shutdown.reached(Phase::Ended) => {}
            () = grace.as_mut() => {
                tracing::warn!("the grace period is over: ending what is still under way");
            }
        }
        self.shutdown.advance_to(Phase::Ended);
        let threads = std::mem::take(&mut self.threads);
        let handover = Arc::clone(&self.handover);
        let joined = tokio::task::spawn_blocking(move || {
            let mut joined = true;
            for thread in threads {
                joined &= thread.join().is_ok();
            }
            // No connection is left that could end a session, or begin one.
            handover.hand_over();
            joined
        });
        if !joined.await.unwrap_or(false) {
            tracing::error!("a data thread ended in a fault");
        }
        drop(self.access_guard.take());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.advance_to(Phase::Ended);
        self.ops_shutdown.advance_to(Phase::Ended);
        if let Some(control) = self.control.take() {
            control.shutdown_background();
        }
    }
}
