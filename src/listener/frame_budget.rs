//! How many frames of each kind a client may send: a burst, so many a second, and more for every
//! request, answer and piece of an answer that goes with them (RFC 9113 10.5).
//!
//! The numbers leave room for what real clients do, however busy, and stop whoever sends frames that
//! cost us work and ask for nothing. Memory is not guarded here: h2's own limits do that.

use std::time::Duration;

use tokio::time::Instant;

use super::stopwatch::now;

/// Frames that are counted together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    EmptyData,
    OwnReset,
    Ping,
    Priority,
    Reset,
    Settings,
    TinyData,
    Unknown,
    WindowUpdate,
}

/// What goes with other frames and pays for them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Earned {
    /// The head of an answer went out.
    Answer,
    /// A piece of an answer went out.
    Data,
    /// The head of a request came in.
    Request,
}

/// What a client may send of one kind.
struct Allowance {
    kind: Kind,
    /// The word in log and metric when it is used up.
    reason: &'static str,
    /// How many at once; also the most that time brings back.
    burst: u32,
    per_second: u32,
    per_request: u32,
    per_answer: u32,
    per_data: u32,
    /// The most that can be saved up.
    most: u32,
}

/// In the order of [`Kind`].
const ALLOWANCES: [Allowance; 9] = [
    // DATA that brings nothing and ends nothing; h2 takes 100 in the life of a connection.
    Allowance::new(Kind::EmptyData, "flood_empty_data", 100, 5),
    // A reset that we had to send, because the client broke a rule (CVE-2025-8671). One that follows
    // an answer (the body of a request nobody wants) is paid for by that answer.
    Allowance::new(Kind::OwnReset, "flood_provoked_reset", 200, 5).earning(0, 1, 0, 400),
    // gRPC measures the path with a ping for each piece of an answer at the most.
    Allowance::new(Kind::Ping, "flood_ping", 100, 10).earning(1, 0, 1, 1_000),
    // Older browsers build a tree at the start and move each stream about in it; newer ones say
    // PRIORITY_UPDATE whenever an image comes into view.
    Allowance::new(Kind::Priority, "flood_priority", 200, 20).earning(10, 0, 0, 2_000),
    // Leaving a page cancels all it still wanted, and typing cancels the last search: a hundred
    // streams at once, again and again. Whoever waits for answers may cancel as many as it gets.
    Allowance::new(Kind::Reset, "flood_rst", 400, 20).earning(0, 1, 0, 1_000),
    Allowance::new(Kind::Settings, "flood_settings", 50, 1),
    // A stream of small messages is an honest use.
    Allowance::new(Kind::TinyData, "flood_tiny_data", 20_000, 5_000),
    // Browsers send a few on purpose, so that servers learn to ignore them: one of each at the most.
    Allowance::new(Kind::Unknown, "flood_unknown_frame", 256, 10),
    // The most eager clients give back every kilobyte, of the stream and of the connection.
    Allowance::new(Kind::WindowUpdate, "flood_window_update", 500, 50).earning(10, 0, 40, 50_000),
];

/// The words for what may be used up.
pub(super) fn reasons() -> impl Iterator<Item = &'static str> {
    ALLOWANCES.into_iter().map(|allowance| allowance.reason)
}

impl Allowance {
    const fn new(kind: Kind, reason: &'static str, burst: u32, per_second: u32) -> Self {
        Self {
            kind,
            reason,
            burst,
            per_second,
            per_request: 0,
            per_answer: 0,
            per_data: 0,
            most: burst,
        }
    }

    const fn earning(self, per_request: u32, per_answer: u32, per_data: u32, most: u32) -> Self {
        Self {
            per_request,
            per_answer,
            per_data,
            most,
            ..self
        }
    }

    fn earned(&self, by: Earned) -> u32 {
        match by {
            Earned::Answer => self.per_answer,
            Earned::Data => self.per_data,
            Earned::Request => self.per_request,
        }
    }
}

/// What is left to one connection.
#[derive(Debug)]
pub(super) struct Budgets([Left; ALLOWANCES.len()]);

#[derive(Clone, Copy, Debug)]
struct Left {
    frames: u32,
    /// Up to when time has been credited.
    credited: Instant,
}

impl Budgets {
    /// Everything is there.
    pub(super) fn full() -> Self {
        let credited = now();
        Self(ALLOWANCES.map(|allowance| Left {
            frames: allowance.burst,
            credited,
        }))
    }

    /// Takes one frame off; `Err` with the word for it if there is none left.
    pub(super) fn take(&mut self, kind: Kind) -> Result<(), &'static str> {
        for (allowance, left) in ALLOWANCES.iter().zip(&mut self.0) {
            if allowance.kind == kind {
                return left.take(allowance).ok_or(allowance.reason);
            }
        }
        Ok(())
    }

    /// Adds what `by` pays for.
    pub(super) fn earn(&mut self, by: Earned) {
        for (allowance, left) in ALLOWANCES.iter().zip(&mut self.0) {
            let earned = allowance.earned(by);
            if earned > 0 {
                left.frames = left.frames.saturating_add(earned).min(allowance.most);
            }
        }
    }
}

impl Left {
    /// The clock is asked only when nothing is left.
    fn take(&mut self, allowance: &Allowance) -> Option<()> {
        if self.frames == 0 {
            let now = now();
            let passed = now.saturating_duration_since(self.credited);
            self.frames = brought_back(allowance, passed);
            if self.frames > 0 {
                self.credited = now;
            }
        }
        self.frames = self.frames.checked_sub(1)?;
        Some(())
    }
}

fn brought_back(allowance: &Allowance, passed: Duration) -> u32 {
    let frames = passed.as_millis() * u128::from(allowance.per_second) / 1000;
    u32::try_from(frames).map_or(allowance.burst, |frames| frames.min(allowance.burst))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(budgets: &mut Budgets, kind: Kind) -> u32 {
        let mut taken = 0;
        while budgets.take(kind).is_ok() {
            taken += 1;
        }
        taken
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_followed_by_what_time_brings_back() {
        for allowance in &ALLOWANCES {
            let (kind, burst) = (allowance.kind, allowance.burst);
            let mut budgets = Budgets::full();
            assert_eq!(takes(&mut budgets, kind), burst, "{kind:?}");
            assert_eq!(budgets.take(kind), Err(allowance.reason));
            tokio::time::advance(Duration::from_secs(2)).await;
            let expected = burst.min(2 * allowance.per_second);
            assert_eq!(takes(&mut budgets, kind), expected, "{kind:?}");
            tokio::time::advance(Duration::from_hours(1)).await;
            assert_eq!(takes(&mut budgets, kind), burst, "never more than a burst");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn answers_requests_and_data_pay_for_what_goes_with_them() {
        let cases = [
            (Kind::WindowUpdate, Earned::Data, 40),
            (Kind::WindowUpdate, Earned::Request, 10),
            (Kind::Ping, Earned::Data, 1),
            (Kind::Priority, Earned::Request, 10),
            (Kind::Reset, Earned::Answer, 1),
            (Kind::OwnReset, Earned::Answer, 1),
            (Kind::Settings, Earned::Data, 0),
            (Kind::EmptyData, Earned::Request, 0),
            (Kind::Reset, Earned::Request, 0),
        ];
        for (kind, by, expected) in cases {
            let mut budgets = Budgets::full();
            takes(&mut budgets, kind);
            budgets.earn(by);
            assert_eq!(takes(&mut budgets, kind), expected, "{kind:?} by {by:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_be_saved_up_is_bounded() {
        let mut budgets = Budgets::full();
        for _ in 0..1_000_000 {
            budgets.earn(Earned::Data);
        }
        assert_eq!(takes(&mut budgets, Kind::WindowUpdate), 50_000);
        assert_eq!(takes(&mut budgets, Kind::Ping), 1_000);
    }
}
