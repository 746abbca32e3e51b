//! The time of the tests: it stands still until a test moves it.

use vestibule::clock::{ManualClock, Timestamp};

/// Where every test's time begins: 2026-11-21T19:30:00Z, in seconds since 1970.
pub(crate) const START: i64 = 1_795_289_400;

/// A clock that stands at [`START`].
pub(crate) fn manual() -> ManualClock {
    ManualClock::starting_at(Timestamp::from_unix_seconds(START))
}
