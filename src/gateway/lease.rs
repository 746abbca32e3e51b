//! Lets what streams for a session or a token go on as long as that, and not a piece longer (S-005).

use std::{sync::Arc, time::Duration};

use crate::{
    clock::{Clock, Deadline},
    session::Session,
    upstream::Lease,
};

/// A session as what is streaming sees it.
pub(super) struct SessionLease {
    session: Arc<Session>,
    clock: Clock,
}

impl SessionLease {
    pub(super) fn of(session: Arc<Session>, clock: Clock) -> Arc<dyn Lease> {
        Arc::new(Self { session, clock })
    }
}

impl Lease for SessionLease {
    fn is_live(&self) -> bool {
        self.session.is_live(self.clock.now())
    }

    fn remaining(&self) -> Duration {
        let now = self.clock.now();
        if self.session.is_live(now) {
            self.session.deadline().remaining(now)
        } else {
            Duration::ZERO
        }
    }
}

/// A token's end as what is streaming sees it.
pub(super) struct TokenLease {
    until: Deadline,
    clock: Clock,
}

impl TokenLease {
    pub(super) fn until(until: Deadline, clock: Clock) -> Arc<dyn Lease> {
        Arc::new(Self { until, clock })
    }
}

impl Lease for TokenLease {
    fn is_live(&self) -> bool {
        !self.until.has_passed(self.clock.now())
    }

    fn remaining(&self) -> Duration {
        self.until.remaining(self.clock.now())
    }
}
