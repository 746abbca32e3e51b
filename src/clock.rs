//! The time: the only place that asks the operating system for it.
//!
//! Nothing else in the crate may call a system clock (`clippy.toml` forbids it), so that a test can
//! move the time by hand and so that "24 hours" means the same thing everywhere.
//!
//! Two clocks are read together. The wall clock says when a session ends in the sense people mean;
//! it steps (NTP, an operator, a resumed virtual machine). The monotonic clock never goes back but
//! may stand still while the machine sleeps. A [`Deadline`] has passed as soon as **either** says
//! so, which is why setting the clock back never lengthens a session.

use std::{
    fmt, fs,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// A point of wall-clock time, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The instant `seconds` after (or before) 1970-01-01T00:00:00Z; saturates.
    #[must_use]
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// The instant `millis` milliseconds after 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_unix_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down.
    #[must_use]
    pub const fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn unix_millis(self) -> i64 {
        self.0
    }

    /// This instant moved forward; saturates at the end of time.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// This instant moved back; saturates at the beginning of time.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// How long it is from `earlier` to this instant; zero if it is not later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// RFC 3339 in UTC with whole seconds: `2026-11-21T19:29:53Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.unix_seconds()) {
            Ok(timestamp) => write!(f, "{timestamp}"),
            Err(_) => write!(f, "{}s after 1970", self.unix_seconds()),
        }
    }
}

/// What both clocks say at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The wall clock.
    pub wall: Timestamp,
    /// The monotonic clock: the time since an arbitrary start within this process.
    pub monotonic: Duration,
}

impl Moment {
    /// The deadline that lies `lifetime` after this moment on both clocks.
    #[must_use]
    pub fn deadline_after(self, lifetime: Duration) -> Deadline {
        Deadline {
            wall: self.wall.plus(lifetime),
            monotonic: self.monotonic.saturating_add(lifetime),
        }
    }

    /// How long ago `earlier` was, by the monotonic clock.
    #[must_use]
    pub fn elapsed_since(self, earlier: Self) -> Duration {
        self.monotonic.saturating_sub(earlier.monotonic)
    }
}

/// A fixed end that has passed as soon as either clock has reached it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Deadline {
    /// The end by the wall clock.
    pub wall: Timestamp,
    /// The end by the monotonic clock of this process.
    pub monotonic: Duration,
}

impl Deadline {
    /// Whether the end has come: at the deadline itself it has.
    #[must_use]
    pub fn has_passed(self, now: Moment) -> bool {
        now.wall >= self.wall || now.monotonic >= self.monotonic
    }

    /// How long is left by whichever clock is nearer to the end; zero once it has passed.
    #[must_use]
    pub fn remaining(self, now: Moment) -> Duration {
        self.wall
            .since(now.wall)
            .min(self.monotonic.saturating_sub(now.monotonic))
    }

    /// The earlier end of the two, on each clock by itself.
    #[must_use]
    pub fn earliest(self, other: Self) -> Self {
        Self {
            wall: self.wall.min(other.wall),
            monotonic: self.monotonic.min(other.monotonic),
        }
    }
}

/// How long the machine had been up at one moment, and since which start of it: what two processes,
/// one after the other, can measure the time between them by, whatever is done to the wall clock.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Uptime {
    /// Names the start of the machine.
    boot: String,
    /// Milliseconds since then, those that it slept included.
    millis: u64,
}

impl Uptime {
    /// How long it is from `earlier` to this one; `None` if the machine was started in between, or
    /// somebody counts from elsewhere.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Option<Duration> {
        if self.boot != earlier.boot {
            return None;
        }
        let millis = self.millis.checked_sub(earlier.millis)?;
        Some(Duration::from_millis(millis))
    }

    /// What Linux says; `None` where it does not.
    fn of_the_system() -> Option<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let uptime = fs::read_to_string("/proc/uptime").ok()?;
        let seconds: f64 = uptime.split(' ').next()?.parse().ok()?;
        let millis = Duration::try_from_secs_f64(seconds).ok()?.as_millis();
        Some(Self {
            boot: boot.trim_end().to_owned(),
            millis: u64::try_from(millis).ok()?,
        })
    }
}

/// The source of time that every part is handed; cheap to clone.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    Manual(ManualClock),
    System { start: Instant },
}

impl Clock {
    /// The operating system's clocks.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the time"
    )]
    pub fn system() -> Self {
        Self(Source::System {
            start: Instant::now(),
        })
    }

    /// What both clocks say now.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the time"
    )]
    pub fn now(&self) -> Moment {
        match &self.0 {
            Source::Manual(manual) => manual.now(),
            Source::System { start } => Moment {
                wall: Timestamp(match SystemTime::now().duration_since(UNIX_EPOCH) {
                    Ok(after) => millis(after),
                    Err(before) => -millis(before.duration()),
                }),
                monotonic: start.elapsed(),
            },
        }
    }

    /// How long the machine has been up; `None` if the system does not say.
    #[must_use]
    pub fn uptime(&self) -> Option<Uptime> {
        match &self.0 {
            Source::Manual(manual) => Some(Uptime {
                boot: "by hand".to_owned(),
                millis: u64::try_from(manual.now().monotonic.as_millis()).unwrap_or(u64::MAX),
            }),
            Source::System { .. } => Uptime::of_the_system(),
        }
    }

    /// Waits until `duration` has gone by on the monotonic clock.
    pub async fn sleep(&self, duration: Duration) {
        match &self.0 {
            Source::Manual(manual) => manual.sleep(duration).await,
            Source::System { .. } => tokio::time::sleep(duration).await,
        }
    }
}

/// A clock that stands still until a test moves it; clones move together.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Manual>);

#[derive(Debug)]
struct Manual {
    now: Mutex<Moment>,
    moved: Notify,
}

impl ManualClock {
    /// A clock that stands at `wall`.
    #[must_use]
    pub fn starting_at(wall: Timestamp) -> Self {
        let now = Mutex::new(Moment {
            wall,
            monotonic: Duration::ZERO,
        });
        Self(Arc::new(Manual {
            now,
            moved: Notify::new(),
        }))
    }

    /// The [`Clock`] to hand to the parts under test.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Clock(Source::Manual(self.clone()))
    }

    /// Lets time go by: both clocks move forward.
    pub fn advance(&self, by: Duration) {
        self.change(|now| {
            now.wall = now.wall.plus(by);
            now.monotonic = now.monotonic.saturating_add(by);
        });
    }

    /// Steps the wall clock forward alone, as NTP or a resumed machine does.
    pub fn step_wall_forward(&self, by: Duration) {
        self.change(|now| now.wall = now.wall.plus(by));
    }

    /// Steps the wall clock back alone.
    pub fn step_wall_back(&self, by: Duration) {
        self.change(|now| now.wall = now.wall.minus(by));
    }

    fn now(&self) -> Moment {
        *self.0.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Moment)) {
        change(&mut self.0.now.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.moved.notify_waiters();
    }

    async fn sleep(&self, duration: Duration) {
        let until = self.now().monotonic.saturating_add(duration);
        loop {
            let moved = self.0.moved.notified();
            tokio::pin!(moved);
            // Registered before the time is read, so that a move in between is not missed.
            moved.as_mut().enable();
            if self.now().monotonic >= until {
                return;
            }
            moved.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn clock() -> ManualClock {
        ManualClock::starting_at(Timestamp::from_unix_seconds(1_800_000_000))
    }

    #[test]
    fn deadline_passes_at_its_instant_and_not_before() {
        let manual = clock();
        let deadline = manual.now().deadline_after(DAY);
        manual.advance(DAY.saturating_sub(Duration::from_millis(1)));
        assert!(!deadline.has_passed(manual.now()));
        manual.advance(Duration::from_millis(1));
        assert!(deadline.has_passed(manual.now()));
    }

    #[test]
    fn setting_the_clock_back_does_not_move_a_deadline() {
        let manual = clock();
        let deadline = manual.now().deadline_after(DAY);
        manual.step_wall_back(DAY * 10);
        manual.advance(DAY);
        assert!(
            deadline.has_passed(manual.now()),
            "the monotonic clock has reached the end"
        );
    }

    #[test]
    fn a_step_forward_ends_it_although_the_monotonic_clock_lags() {
        let manual = clock();
        let deadline = manual.now().deadline_after(DAY);
        manual.step_wall_forward(DAY);
        assert!(deadline.has_passed(manual.now()));
    }

    #[test]
    fn remaining_follows_the_nearer_end() {
        let manual = clock();
        let deadline = manual.now().deadline_after(DAY);
        manual.step_wall_forward(Duration::from_mins(1));
        assert_eq!(
            deadline.remaining(manual.now()),
            DAY.saturating_sub(Duration::from_mins(1))
        );
    }

    #[test]
    fn the_machines_own_count_goes_on_whatever_the_wall_clock_does() {
        // S-285
        let manual = clock();
        let before = manual.clock().uptime().unwrap();
        manual.step_wall_back(DAY);
        manual.advance(Duration::from_mins(5));
        let after = manual.clock().uptime().unwrap();
        assert_eq!(after.since(&before), Some(Duration::from_mins(5)));
        assert_eq!(before.since(&after), None, "it counts from elsewhere now");
        let other = Uptime {
            boot: "another start".to_owned(),
            ..after
        };
        assert_eq!(other.since(&before), None);
    }

    #[test]
    fn the_system_says_how_long_it_has_been_up() {
        let clock = Clock::system();
        let before = clock.uptime().expect("Linux says so");
        assert!(clock.uptime().unwrap().since(&before).is_some());
    }

    #[tokio::test]
    async fn a_sleep_ends_when_the_time_is_moved_past_it() {
        let manual = clock();
        let sleeping = tokio::spawn({
            let clock = manual.clock();
            async move { clock.sleep(Duration::from_secs(5)).await }
        });
        tokio::task::yield_now().await;
        manual.advance(Duration::from_secs(5));
        sleeping.await.unwrap();
    }

    #[test]
    fn far_timestamps_print_and_saturate() {
        // S-071: 32-bit seconds wrapped in 2038 and in 2106.
        assert_eq!(
            Timestamp::from_unix_seconds(2_147_483_648).to_string(),
            "2038-01-19T03:14:08Z"
        );
        assert_eq!(
            Timestamp::from_unix_seconds(4_294_967_296).to_string(),
            "2106-02-07T06:28:16Z"
        );
        assert!(Timestamp::from_unix_seconds(i64::MAX).plus(DAY) >= Timestamp(i64::MAX));
    }
}
