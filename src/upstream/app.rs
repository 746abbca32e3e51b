//! An app as a route sees it: its addresses, the way to each, and which of them is next.
//!
//! The next one is the one with the fewest requests under way; of several such, each in its turn. One
//! that is out is passed over as long as there is another. With a single address there is nothing to
//! decide and nothing is counted.

use std::sync::{
    Arc,
    atomic::{AtomicU8, AtomicUsize, Ordering},
};

use http::HeaderValue;

use super::{
    connect::Way,
    seats::AppSeats,
    standing::{Load, Standing},
};

/// An app as one route sees it.
#[derive(Debug)]
pub struct App {
    pub(super) seats: Arc<AppSeats>,
    /// At least one, in one order for all routes that lead there.
    pub(super) reaches: Vec<Reach>,
    rotation: AtomicUsize,
}

/// One address of an app.
#[derive(Debug)]
pub(super) struct Reach {
    pub(super) way: Way,
    /// What `Host` says there, if that is not the same for all.
    pub(super) host: Option<HeaderValue>,
    pub(super) standing: Arc<Standing>,
}

/// The address a request goes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Choice {
    pub(super) at: u8,
    /// It is to find out whether the address is back.
    pub(super) is_to_try: bool,
}

impl App {
    /// An app at these addresses; `None` if there are none, or more than can be told apart.
    pub(super) fn new(seats: Arc<AppSeats>, reaches: Vec<Reach>) -> Option<Self> {
        let fits = (1..=Tried::MOST).contains(&reaches.len());
        fits.then(|| Self {
            seats,
            reaches,
            rotation: AtomicUsize::new(0),
        })
    }

    /// Whether there is anything to choose.
    pub(super) fn has_several(&self) -> bool {
        self.reaches.len() > 1
    }

    pub(super) fn reach(&self, at: u8) -> Option<&Reach> {
        self.reaches.get(usize::from(at))
    }

    /// The next address of those that were not tried yet, at `now` by the monotonic clock in
    /// milliseconds.
    pub(super) fn choose(&self, tried: Tried, now: impl FnOnce() -> u64) -> Option<Choice> {
        if !self.has_several() {
            let choice = Choice {
                at: 0,
                is_to_try: false,
            };
            return (!tried.has(0)).then_some(choice);
        }
        let is_first = tried == Tried::default();
        if is_first {
            let now = now();
            let due = |(at, reach): (u8, &Reach)| reach.standing.is_to_be_tried(now).then_some(at);
            if let Some(at) = (0..).zip(&self.reaches).find_map(due) {
                let is_to_try = true;
                return Some(Choice { at, is_to_try });
            }
        }
        let count = self.reaches.len();
        // Who is asked in place of another does not lose its turn, nor does that one get it again.
        let turn = if is_first {
            self.rotation.fetch_add(1, Ordering::Relaxed)
        } else {
            self.rotation.load(Ordering::Relaxed)
        };
        let first = turn % count;
        let in_turn = (0..).zip(&self.reaches).cycle().skip(first).take(count);
        let untried = in_turn.filter(|(at, _)| !tried.has(*at));
        // Those that are out come last.
        let least = untried.min_by_key(|(_, reach)| {
            let standing = &reach.standing;
            (!standing.is_open(), standing.under_way())
        });
        least.map(|(at, _)| Choice {
            at,
            is_to_try: false,
        })
    }

    /// Counts a request at an address until what is returned is dropped.
    pub(super) fn load(&self, at: u8) -> Option<Load> {
        let reach = self.reach(at).filter(|_| self.has_several())?;
        Some(Load::on(&reach.standing))
    }

    /// The address answered.
    pub(super) fn succeeded(&self, at: u8) {
        if let Some(reach) = self.reach(at) {
            reach.standing.succeeded();
        }
    }

    /// The address failed.
    pub(super) fn failed(&self, choice: Choice, now: u64) {
        let Some(failed) = self.reach(choice.at) else {
            return;
        };
        let is_other = |it: &&Reach| !Arc::ptr_eq(&it.standing, &failed.standing);
        let is_last = || {
            let mut others = self.reaches.iter().filter(is_other);
            !others.any(|other| other.standing.is_open())
        };
        failed.standing.failed(now, choice.is_to_try, is_last);
    }

    /// The address at which a request was last, as it is written.
    pub(super) fn address(&self, reached: &Reached) -> Option<&str> {
        let reach = self.reach(reached.0.load(Ordering::Relaxed))?;
        Some(reach.standing.address())
    }
}

/// Which addresses of an app a request has tried.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Tried(u64);

impl Tried {
    /// Most addresses that can be told apart.
    const MOST: usize = 64;

    pub(super) fn has(self, at: u8) -> bool {
        self.0 & Self::bit(at) != 0
    }

    pub(super) fn add(&mut self, at: u8) {
        self.0 |= Self::bit(at);
    }

    fn bit(at: u8) -> u64 {
        1_u64.checked_shl(at.into()).unwrap_or_default()
    }
}

/// At which address of its app a request was last, for the log.
#[derive(Debug)]
pub struct Reached(AtomicU8);

impl Default for Reached {
    fn default() -> Self {
        Self(AtomicU8::new(u8::MAX))
    }
}

impl Reached {
    pub(super) fn is_at(&self, at: u8) {
        self.0.store(at, Ordering::Relaxed);
    }
}
