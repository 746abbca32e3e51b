//! Whether what is streaming may still go on: asked before every piece, and while waiting for one.
//!
//! A body that may not go on ends with an error, never cleanly, so that nothing cut short looks
//! whole. This is what ends running downloads and uploads with their session (S-005, S-271): also
//! when nothing moves, and when the wall clock steps.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use thiserror::Error;

use crate::clock::Clock;

/// How often it is asked again while nothing arrives: wall clocks step, and sessions are revoked.
const LONGEST_UNASKED: Duration = Duration::from_secs(1);

/// A timer that runs into the past must not turn into a busy loop.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// Says whether what is streaming may still go on: a session's end, a change of rules.
pub trait Lease: Send + Sync + 'static {
    /// Whether it may go on now.
    fn is_live(&self) -> bool;

    /// How long it may go on at most; zero once it is over.
    fn remaining(&self) -> Duration;
}

/// Why a body was ended while it streamed.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Ended {
    /// The lease is over.
    #[error("the session ended, or the rules changed, while this was under way")]
    LeaseOver,
    /// Nothing came for too long.
    #[error("nothing came for too long")]
    Quiet,
}

/// Watches over one body: its lease, and how long it may be quiet.
pub(super) struct Watch {
    clock: Clock,
    lease: Option<Arc<dyn Lease>>,
    longest_quiet: Duration,
    /// Made on the first wait; most bodies never wait.
    waiting: Option<Box<Waiting>>,
}

struct Waiting {
    /// When the present wait began, by the monotonic clock.
    since: Option<Duration>,
    timer: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Watch {
    pub(super) fn new(
        clock: Clock,
        lease: Option<Arc<dyn Lease>>,
        longest_quiet: Duration,
    ) -> Self {
        Self {
            clock,
            lease,
            longest_quiet,
            waiting: None,
        }
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) fn lease(&self) -> Option<Arc<dyn Lease>> {
        self.lease.clone()
    }

    /// Asks the lease.
    pub(super) fn check(&self) -> Result<(), Ended> {
        match &self.lease {
            Some(lease) if !lease.is_live() => Err(Ended::LeaseOver),
            _ => Ok(()),
        }
    }

    /// Something came: a wait, if there was one, is over.
    pub(super) fn moved(&mut self) {
        if let Some(waiting) = &mut self.waiting {
            waiting.since = None;
        }
    }

    /// Nothing is there yet: arranges to be woken in time, or ends the wait.
    pub(super) fn wait(&mut self, context: &mut Context<'_>) -> Result<(), Ended> {
        let now = self.clock.now().monotonic;
        let since = match &mut self.waiting {
            Some(waiting) => *waiting.since.get_or_insert(now),
            None => now,
        };
        if self.waiting.is_none() {
            let timer = self.timer(since, now);
            self.waiting = Some(Box::new(Waiting {
                since: Some(since),
                timer,
            }));
        }
        loop {
            let Some(waiting) = &mut self.waiting else {
                return Ok(());
            };
            match waiting.timer.as_mut().poll(context) {
                Poll::Pending => return Ok(()),
                Poll::Ready(()) => {
                    self.check()?;
                    let now = self.clock.now().monotonic;
                    if now.saturating_sub(since) >= self.longest_quiet {
                        return Err(Ended::Quiet);
                    }
                    let timer = self.timer(since, now);
                    if let Some(waiting) = &mut self.waiting {
                        waiting.timer = timer;
                    }
                }
            }
        }
    }

    fn timer(&self, since: Duration, now: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let quiet_for = now.saturating_sub(since);
        let mut wait = self.longest_quiet.saturating_sub(quiet_for);
        if let Some(lease) = &self.lease {
            wait = wait.min(LONGEST_UNASKED).min(lease.remaining());
        }
        let wait = wait.max(SHORTEST_WAIT);
        let clock = self.clock.clone();
        Box::pin(async move { clock.sleep(wait).await })
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("leased", &self.lease.is_some())
            .field("longest_quiet", &self.longest_quiet)
            .finish_non_exhaustive()
    }
}
