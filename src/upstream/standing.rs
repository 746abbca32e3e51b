//! How one address of an app stands: how much it has to do, and whether it gets requests.
//!
//! It goes out after three faults of its own in a row, for ten seconds at first and up to five minutes,
//! or when checks find it unwell; one success brings it back. What an app answers is no fault of its
//! address. Whether it is the last one is asked before it goes out for its faults. Nothing is locked
//! for a request that goes well.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
};

use crate::{identity::RouteId, telemetry::AddressStatus};

/// So many faults in a row, of requests or of checks, and it goes out.
const FAULTS: u32 = 3;

/// How long it is out the first time, in milliseconds.
const FIRST_OUT: u64 = 10_000;

/// How long it is out at the most.
const LONGEST_OUT: u64 = 5 * 60 * 1000;

/// It gets requests.
const OPEN: u64 = 0;

/// No request tries whether it is back: checks say so.
const UNTIL_CHECKED: u64 = u64::MAX;

/// How one address of an app stands, for all threads.
#[derive(Debug)]
pub(super) struct Standing {
    route: RouteId,
    address: String,
    status: AddressStatus,
    /// Requests, from when they are sent there until their answers are whole.
    under_way: AtomicUsize,
    /// Faults in a row.
    faults: AtomicU32,
    /// [`OPEN`], or from when on a request may try whether it is back, in milliseconds of the
    /// monotonic clock.
    closed_until: AtomicU64,
    record: Mutex<Record>,
}

/// What is needed only when something changes.
#[derive(Debug, Default)]
struct Record {
    /// How often in a row it went out, or was tried in vain.
    outs: u32,
    /// Checks in a row that found it unwell.
    unwell: u32,
}

impl Standing {
    pub(super) fn new(route: RouteId, address: String, status: AddressStatus) -> Self {
        Self {
            route,
            address,
            status,
            under_way: AtomicUsize::new(0),
            faults: AtomicU32::new(0),
            closed_until: AtomicU64::new(OPEN),
            record: Mutex::default(),
        }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// How many requests are under way there.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }

    /// Whether it gets requests.
    pub(super) fn is_open(&self) -> bool {
        self.closed_until.load(Ordering::Relaxed) == OPEN
    }

    /// Whether it is for this request to try whether it is back: for one at a time, and for the next
    /// one if nothing is heard of that.
    pub(super) fn is_to_be_tried(&self, now: u64) -> bool {
        let until = self.closed_until.load(Ordering::Relaxed);
        let is_due = until != OPEN && until != UNTIL_CHECKED && until <= now;
        let later = now.saturating_add(FIRST_OUT);
        let to = &self.closed_until;
        is_due
            && to
                .compare_exchange(until, later, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// It answered a request, whatever the answer.
    pub(super) fn succeeded(&self) {
        if self.faults.load(Ordering::Relaxed) != 0 {
            self.faults.store(0, Ordering::Relaxed);
        }
        if !self.is_open() {
            let mut record = self.record();
            // Checks are the better judge where there are some.
            if self.closed_until.load(Ordering::Relaxed) != UNTIL_CHECKED {
                self.open(&mut record);
            }
        }
    }

    /// A request failed for a fault of the address at `now`; `was_to_try` if that was to find out
    /// whether it is back. It never goes out if it `is_last`.
    pub(super) fn failed(&self, now: u64, was_to_try: bool, is_last: impl FnOnce() -> bool) {
        let faults = self
            .faults
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1);
        let mut record = self.record();
        match self.closed_until.load(Ordering::Relaxed) {
            OPEN if faults >= FAULTS && !is_last() => {
                self.close_for(&mut record, now);
                self.status.went_out();
                let (route, address) = (&self.route, &self.address);
                tracing::warn!(
                    %route,
                    address,
                    faults,
                    "an address of the app is out: it gets no requests until it is tried again in a \
                     while"
                );
            }
            OPEN | UNTIL_CHECKED => {}
            _ if was_to_try => self.close_for(&mut record, now),
            _ => {}
        }
    }

    /// A check found it well.
    pub(super) fn is_well(&self) {
        let mut record = self.record();
        record.unwell = 0;
        self.faults.store(0, Ordering::Relaxed);
        self.open(&mut record);
    }

    /// A check found it unwell, for this reason.
    pub(super) fn is_unwell(&self, reason: &str) {
        let mut record = self.record();
        record.unwell = record.unwell.saturating_add(1);
        let (route, address) = (&self.route, &self.address);
        if record.unwell < FAULTS {
            tracing::debug!(%route, address, reason, "a check found an address unwell");
            return;
        }
        if self.closed_until.swap(UNTIL_CHECKED, Ordering::Relaxed) == OPEN {
            self.status.went_out();
            tracing::warn!(
                %route,
                address,
                reason,
                "an address of the app is out: checks find it unwell"
            );
        }
    }

    /// Nothing checks it any more: what checks found does not hold for ever.
    pub(super) fn is_unchecked(&self) {
        let mut record = self.record();
        record.unwell = 0;
        if self.closed_until.load(Ordering::Relaxed) == UNTIL_CHECKED {
            self.open(&mut record);
        }
    }

    fn open(&self, record: &mut Record) {
        record.outs = 0;
        if self.closed_until.swap(OPEN, Ordering::Relaxed) != OPEN {
            self.status.came_back();
            let (route, address) = (&self.route, &self.address);
            tracing::info!(%route, address, "an address of the app is back");
        }
    }

    fn close_for(&self, record: &mut Record, now: u64) {
        let factor = 1_u64.checked_shl(record.outs).unwrap_or(u64::MAX);
        let out = FIRST_OUT.saturating_mul(factor).min(LONGEST_OUT);
        record.outs = record.outs.saturating_add(1);
        let until = now.saturating_add(out);
        self.closed_until.store(until, Ordering::Relaxed);
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is under way at an address, as long as this is kept.
#[derive(Debug)]
pub(super) struct Load(Arc<Standing>);

impl Load {
    pub(super) fn on(standing: &Arc<Standing>) -> Self {
        standing.under_way.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(standing))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Clock, telemetry::Metrics};

    const UP: &str = "vestibule_upstream_up{route=\"wiki\",address=\"a\"}";
    const EJECTIONS: &str = "vestibule_upstream_ejections_total{route=\"wiki\",address=\"a\"}";

    fn standing() -> (Standing, Metrics) {
        let metrics = Metrics::new(Clock::system());
        let status = metrics.expect_address("wiki", "a");
        let route = RouteId("wiki".to_owned());
        (Standing::new(route, "a".to_owned(), status), metrics)
    }

    fn assert_shows(metrics: &Metrics, up: u8, ejections: u8) {
        let text = metrics.text(0);
        for line in [format!("{UP} {up}\n"), format!("{EJECTIONS} {ejections}\n")] {
            assert!(text.contains(&line), "{line} in {text}");
        }
    }

    fn fail(standing: &Standing, times: u32, now: u64) {
        for _ in 0..times {
            standing.failed(now, false, || false);
        }
    }

    #[test]
    fn three_faults_in_a_row_take_an_address_out_and_one_success_brings_it_back() {
        let (standing, metrics) = standing();
        assert_shows(&metrics, 1, 0);
        for _ in 0..5 {
            fail(&standing, 2, 0);
            standing.succeeded();
        }
        assert!(standing.is_open());
        fail(&standing, 3, 0);
        assert!(!standing.is_open());
        assert_shows(&metrics, 0, 1);
        standing.succeeded();
        assert!(standing.is_open());
        assert_shows(&metrics, 1, 1);
    }

    #[test]
    fn the_last_one_standing_stays() {
        let (standing, metrics) = standing();
        for _ in 0..100 {
            standing.failed(0, false, || true);
        }
        assert!(standing.is_open());
        assert_shows(&metrics, 1, 0);
        standing.failed(0, false, || false);
        assert!(!standing.is_open(), "as soon as there is another");
    }

    #[test]
    fn it_is_out_for_ten_seconds_and_twice_as_long_each_time_up_to_five_minutes() {
        let (standing, metrics) = standing();
        fail(&standing, 3, 0);
        let mut now = 0;
        for seconds in [10, 20, 40, 80, 160, 300, 300] {
            let due = now + seconds * 1000;
            assert!(!standing.is_to_be_tried(due - 1), "{seconds}");
            // What fails meanwhile was not sent to find out.
            fail(&standing, 5, due - 1);
            now = due;
            assert!(standing.is_to_be_tried(now), "{seconds}");
            assert!(!standing.is_to_be_tried(now), "one request is enough");
            standing.failed(now, true, || false);
        }
        assert_shows(&metrics, 0, 1);
        standing.succeeded();
        fail(&standing, 3, now);
        assert!(standing.is_to_be_tried(now + 10_000), "it begins anew");
        // Whoever was to find out was never heard of.
        assert!(standing.is_to_be_tried(now + 20_000));
    }

    #[test]
    fn checks_take_an_address_out_whatever_requests_say_and_bring_it_back() {
        let (standing, metrics) = standing();
        standing.is_unwell("status 500");
        standing.is_unwell("status 500");
        standing.is_well();
        standing.is_unwell("status 500");
        standing.is_unwell("status 500");
        assert!(standing.is_open());
        standing.is_unwell("status 500");
        standing.succeeded();
        standing.failed(0, true, || false);
        assert!(!standing.is_open() && !standing.is_to_be_tried(u64::MAX - 1));
        assert_shows(&metrics, 0, 1);
        standing.is_well();
        assert!(standing.is_open());
        fail(&standing, 3, 0);
        standing.is_well();
        assert!(standing.is_open(), "also from what requests found");
        assert_shows(&metrics, 1, 2);
    }

    #[test]
    fn an_address_that_nothing_checks_any_more_is_not_out_for_ever() {
        let (standing, _metrics) = standing();
        for _ in 0..3 {
            standing.is_unwell("no answer");
        }
        standing.is_unchecked();
        assert!(standing.is_open());
        fail(&standing, 3, 0);
        standing.is_unchecked();
        assert!(!standing.is_open(), "what requests found stays");
    }

    #[test]
    fn a_request_counts_as_long_as_it_is_under_way() {
        let (standing, _metrics) = standing();
        let standing = Arc::new(standing);
        let loads = [Load::on(&standing), Load::on(&standing)];
        assert_eq!(standing.under_way(), 2);
        drop(loads);
        assert_eq!(standing.under_way(), 0);
    }
}
