//! How often a token may make us ask a provider for its keys again: twice at once, then once a
//! minute, whoever signs in.
//!
//! Without it, whoever can make a provider issue tokens under unknown key ids could make us its
//! provider's flood. Reads no clock itself.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::clock::Moment;

/// How many fetches may follow one another at once.
const BURST: u32 = 2;

/// How long it takes until one more is allowed.
const REFILL: Duration = Duration::from_mins(1);

/// A token bucket.
pub(super) struct FetchBudget(Mutex<Bucket>);

struct Bucket {
    left: u32,
    /// Counts from here to the next one.
    since: Moment,
}

impl FetchBudget {
    /// A full bucket.
    pub(super) fn new(now: Moment) -> Self {
        Self(Mutex::new(Bucket {
            left: BURST,
            since: now,
        }))
    }

    /// Takes one, if there is one.
    pub(super) fn take(&self, now: Moment) -> bool {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while bucket.left < BURST && now.elapsed_since(bucket.since) >= REFILL {
            bucket.left += 1;
            bucket.since.monotonic = bucket.since.monotonic.saturating_add(REFILL);
        }
        if bucket.left == BURST {
            // A full bucket does not save up: the minute counts from the first that is taken.
            bucket.since = now;
        }
        if bucket.left == 0 {
            return false;
        }
        bucket.left -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, Timestamp};

    #[test]
    fn two_at_once_then_one_a_minute() {
        let manual = ManualClock::starting_at(Timestamp::from_unix_seconds(1_800_000_000));
        let clock = manual.clock();
        let budget = FetchBudget::new(clock.now());
        let mut took = Vec::new();
        for advance in [0, 0, 0, 59, 1, 0, 60, 600, 0, 0] {
            manual.advance(Duration::from_secs(advance));
            took.push(budget.take(clock.now()));
        }
        assert_eq!(
            took,
            [
                true, true, false, false, true, false, true, true, true, false
            ]
        );
    }

    #[test]
    fn a_step_of_the_wall_clock_refills_nothing() {
        let manual = ManualClock::starting_at(Timestamp::from_unix_seconds(1_800_000_000));
        let budget = FetchBudget::new(manual.clock().now());
        assert!(budget.take(manual.clock().now()) && budget.take(manual.clock().now()));
        manual.step_wall_forward(Duration::from_hours(1));
        assert!(!budget.take(manual.clock().now()));
    }
}
