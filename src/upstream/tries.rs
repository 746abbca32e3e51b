//! The addresses that one request is sent to, one after the other, until one answers.
//!
//! Another one is taken only by whoever knows that nothing of the request was sent, or that it may be
//! sent again. Connecting in vain to one address after the other has an end.

use std::time::Duration;

use super::{
    app::{App, Choice, Reach, Reached, Tried},
    connect::CONNECT_TIMEOUT,
    error::UpstreamError,
    standing::Load,
};
use crate::clock::{Clock, Moment};

/// No further address is tried after that, so that whoever waits is told in time.
const LONGEST: Duration = CONNECT_TIMEOUT.saturating_mul(2);

/// Where one request is.
pub(super) struct Tries<'a> {
    app: &'a App,
    clock: &'a Clock,
    reached: &'a Reached,
    /// Asked for only where there are several addresses.
    began: Option<Moment>,
    tried: Tried,
    choice: Choice,
    load: Option<Load>,
}

impl<'a> Tries<'a> {
    /// Begins with the address whose turn it is.
    pub(super) fn begin(app: &'a App, clock: &'a Clock, reached: &'a Reached) -> Self {
        let first = Choice {
            at: 0,
            is_to_try: false,
        };
        let mut tries = Self {
            app,
            clock,
            reached,
            began: app.has_several().then(|| clock.now()),
            tried: Tried::default(),
            choice: first,
            load: None,
        };
        tries.go_on();
        tries
    }

    pub(super) fn at(&self) -> u8 {
        self.choice.at
    }

    pub(super) fn reach(&self) -> Option<&'a Reach> {
        self.app.reach(self.choice.at)
    }

    /// It is sent to this address, whichever was meant.
    pub(super) fn is_at(&mut self, at: u8) {
        if at != self.choice.at {
            let is_to_try = false;
            self.take(Choice { at, is_to_try });
        }
    }

    /// Goes on to another address; false if there is none, or it has taken too long already.
    pub(super) fn go_on(&mut self) -> bool {
        let now = || millis(self.clock.now().monotonic);
        let began = self.began.filter(|_| self.tried != Tried::default());
        let is_late = began.is_some_and(|it| self.clock.now().elapsed_since(it) >= LONGEST);
        match self.app.choose(self.tried, now) {
            Some(choice) if !is_late => {
                self.take(choice);
                true
            }
            _ => false,
        }
    }

    /// The address answered; what counts the request there from now on.
    pub(super) fn succeeded(&mut self) -> Option<Load> {
        if self.app.has_several() {
            self.app.succeeded(self.choice.at);
        }
        self.load.take()
    }

    /// The address failed with this, if that is a fault of its own.
    pub(super) fn failed(&mut self, error: &UpstreamError) {
        if let UpstreamError::Shared(error) = error {
            return self.failed(error);
        }
        let is_fault = matches!(
            error,
            UpstreamError::BrokenOff(_)
                | UpstreamError::Connect(_)
                | UpstreamError::ConnectTimeout
                | UpstreamError::Tls(_)
        );
        if is_fault && self.app.has_several() {
            let now = millis(self.clock.now().monotonic);
            self.app.failed(self.choice, now);
        }
    }

    fn take(&mut self, choice: Choice) {
        self.choice = choice;
        self.tried.add(choice.at);
        self.reached.is_at(choice.at);
        self.load = self.app.load(choice.at);
    }
}

fn millis(monotonic: Duration) -> u64 {
    u64::try_from(monotonic.as_millis()).unwrap_or(u64::MAX)
}
