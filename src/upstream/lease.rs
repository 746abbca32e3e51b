//! Whether what is streaming may still go on: asked before every piece, and while waiting for one.
//!
//! A body that may not go on ends with an error, never cleanly, so that nothing cut short looks
//! whole. This is what ends running downloads and uploads with their session (S-005, S-271): also
//! when nothing moves, and when the wall clock steps.

use std::{
    fmt,
    num::NonZeroU32,
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

    /// Why it is over, once it is.
    fn end(&self) -> Ended {
        Ended::LeaseOver
    }
}

/// Why a body was ended while it streamed.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Ended {
    /// The lease is over.
    #[error("the session or the token ended while this was under way")]
    LeaseOver,
    /// The rules that let it in are gone, or let it in no longer.
    #[error("the rules changed while this was under way, and do not allow it any more")]
    NoLongerAllowed,
    /// Nothing came for too long.
    #[error("nothing came for too long")]
    Quiet,
    /// Too little came for all the time that it was waited for.
    #[error("too little came for the time it took")]
    TooSlow,
}

/// The least that a body has to bring for the time that it is waited for, on average.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BytesPerSecond(pub NonZeroU32);

impl BytesPerSecond {
    /// How long so many bytes may take.
    fn time_of(self, bytes: u64) -> Duration {
        let millis = u128::from(bytes) * 1000 / u128::from(self.0.get());
        Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
    }
}

/// Watches over one body: its lease, how long it may be quiet, and how slow it may be.
pub(super) struct Watch {
    clock: Clock,
    lease: Option<Arc<dyn Lease>>,
    longest_quiet: Duration,
    /// Where it matters how slowly a body comes.
    pace: Option<Box<Pace>>,
    /// Made on the first wait; most bodies never wait.
    waiting: Option<Box<Waiting>>,
}

struct Waiting {
    /// When the present wait began, by the monotonic clock.
    since: Option<Duration>,
    timer: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// How slowly a body has come so far.
struct Pace {
    slowest: BytesPerSecond,
    /// How many bytes have come.
    received: u64,
    /// How long all waits took but the present one.
    waited: Duration,
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
            pace: None,
            waiting: None,
        }
    }

    /// Ends what is slower than that on average, as soon as it has been waited for longer than it may
    /// be quiet. Only time in which more could have been taken counts.
    pub(super) fn no_slower_than(self, slowest: Option<BytesPerSecond>) -> Self {
        let pace = slowest.map(|slowest| {
            Box::new(Pace {
                slowest,
                received: 0,
                waited: Duration::ZERO,
            })
        });
        Self { pace, ..self }
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
            Some(lease) if !lease.is_live() => Err(lease.end()),
            _ => Ok(()),
        }
    }

    /// So many bytes came: a wait, if there was one, is over.
    pub(super) fn moved(&mut self, bytes: usize) {
        let since = match &mut self.waiting {
            Some(waiting) => waiting.since.take(),
            None => None,
        };
        let Some(pace) = &mut self.pace else {
            return;
        };
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        pace.received = pace.received.saturating_add(bytes);
        if let Some(since) = since {
            let waited = self.clock.now().monotonic.saturating_sub(since);
            pace.waited = pace.waited.saturating_add(waited);
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
            let timer = self.timer(self.left(since, now)?);
            self.waiting = Some(Box::new(Waiting {
                since: Some(since),
                timer,
            }));
        }
        loop {
            let Some(waiting) = &mut self.waiting else {
                return Ok(());
            };
            // A timer of an earlier wait is never too late for this one: what has come since only
            // gives more time.
            match waiting.timer.as_mut().poll(context) {
                Poll::Pending => return Ok(()),
                Poll::Ready(()) => {
                    self.check()?;
                    let left = self.left(since, self.clock.now().monotonic)?;
                    let timer = self.timer(left);
                    if let Some(waiting) = &mut self.waiting {
                        waiting.timer = timer;
                    }
                }
            }
        }
    }

    /// How long a wait that began at `since` may still take.
    fn left(&self, since: Duration, now: Duration) -> Result<Duration, Ended> {
        let waited = now.saturating_sub(since);
        let quiet = self.longest_quiet.saturating_sub(waited);
        if quiet.is_zero() {
            return Err(Ended::Quiet);
        }
        let Some(pace) = &self.pace else {
            return Ok(quiet);
        };
        let allowed = pace.slowest.time_of(pace.received);
        let allowed = allowed.saturating_add(self.longest_quiet);
        let slow = allowed.saturating_sub(pace.waited).saturating_sub(waited);
        if slow.is_zero() {
            return Err(Ended::TooSlow);
        }
        Ok(quiet.min(slow))
    }

    fn timer(&self, left: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut wait = left;
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
