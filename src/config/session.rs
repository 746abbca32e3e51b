//! `[session]`: how long a session lives and how many are kept.
//!
//! The longest lifetime is a constant of the code: configuration can only shorten it.

use std::time::Duration;

/// Twenty-four hours: no session is ever older.
pub const MAX_SESSION_LIFETIME: Duration = Duration::from_hours(24);

/// How many sessions are kept unless configured.
pub const DEFAULT_SESSION_CAPACITY: u64 = 1_000_000;

/// A session's lifetime: longer than nothing, never above [`MAX_SESSION_LIFETIME`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SessionLifetime(Duration);

impl SessionLifetime {
    /// The lifetime, if it is more than zero and at most 24 hours.
    #[must_use]
    pub fn new(lifetime: Duration) -> Option<Self> {
        (lifetime > Duration::ZERO && lifetime <= MAX_SESSION_LIFETIME).then_some(Self(lifetime))
    }

    /// As a duration.
    #[must_use]
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl Default for SessionLifetime {
    fn default() -> Self {
        Self(MAX_SESSION_LIFETIME)
    }
}

/// `[session]`, resolved.
#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    /// From sign-in to the end, whatever happens in between.
    pub max: SessionLifetime,
    /// How many sessions are kept; beyond that the least recently used ends.
    pub capacity: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_lifetime_is_longer_than_a_day() {
        assert!(SessionLifetime::new(MAX_SESSION_LIFETIME).is_some());
        assert!(SessionLifetime::new(MAX_SESSION_LIFETIME + Duration::from_nanos(1)).is_none());
        assert!(SessionLifetime::new(Duration::ZERO).is_none());
    }
}
