//! One round of hyper on a connection: from the first bytes of a request until nothing has been under
//! way for a short while.
//!
//! hyper parses and frames; when a round ends is decided here. A round that ends early never takes an
//! answer with it: hyper closes by itself, which flushes.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep, sleep, sleep_until},
};

use super::{
    activity::Seen,
    carried::{Carried, Settled},
    connection::Terms,
    deadline::from_now,
    exchange::{Course, Exchanges},
    room::GRACE,
    serves::Serves,
    shutdown::Phase,
};
use crate::{config::listener::Limits, handover::Handover, head_guard::HeadFault};

/// After this long without a request a connection is parked, after twice that at the latest. Shorter,
/// and a browser that loads a page would be parked between two pictures; longer, and a crowd of idle
/// connections would keep their buffers.
const LULL: Duration = Duration::from_millis(250);

/// How a round ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The connection is over, by hyper's judgement of what came, or by its fault.
    Closed(hyper::Result<()>),
    /// Everything ends now.
    Ended,
    /// What came before is answered; what came then is no head.
    Faulted(HeadFault),
    /// Nothing has been under way for so long.
    Quiet(Duration),
    /// Somebody else needs the place, and the head that has begun to come takes its time.
    Unwanted,
}

/// What a round leaves behind.
pub(super) struct Left<I, S> {
    pub(super) io: Carried<I>,
    pub(super) service: Exchanges<S>,
    /// Bytes that hyper has read and not used. Of a body or of a head: nobody can tell.
    pub(super) unread: Bytes,
    pub(super) outcome: Outcome,
    /// To whom the connection goes: the last answer is out, and has switched protocols.
    pub(super) handover: Option<Handover>,
}

/// Serves the requests of `io` until there are none for a while.
///
/// From `retires_at` on an answer is the connection's last; it has been there since `arrived`.
pub(super) async fn round<I, S>(
    io: Carried<I>,
    service: Exchanges<S>,
    retires_at: Instant,
    arrived: Instant,
    terms: &Terms,
) -> Left<I, S>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Serves,
{
    let course = Arc::clone(&service.course);
    let settled = io.settled();
    let mut connection = builder(&terms.limits).serve_connection(TokioIo::new(io), service);
    let outcome = {
        let mut turns = Turns::new(&course, &settled, terms);
        let mut stop = pin!(terms.shutdown.reached(Phase::Draining));
        let mut end = pin!(terms.shutdown.reached(Phase::Ended));
        let mut faulted = pin!(course.watch.faulted());
        let mut pulse = pin!(sleep(turns.lull));
        let mut head = pin!(sleep(turns.head_timeout));
        let mut unwanted = pin!(None);
        let mut age = pin!(sleep_until(retires_at));
        let mut retired = false;
        poll_fn(|context| {
            loop {
                if let Poll::Ready(served) = Pin::new(&mut connection).poll(context) {
                    return Poll::Ready(turns.outcome(served));
                }
                if !turns.stopping && stop.as_mut().poll(context).is_ready() {
                    turns.stopping = true;
                    course.retire();
                }
                if turns.stopping && end.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Outcome::Ended);
                }
                if turns.fault.is_none()
                    && course.watch.fault().is_some()
                    && let Poll::Ready(fault) = faulted.as_mut().poll(context)
                {
                    turns.fault = Some(fault);
                }
                if !retired && age.as_mut().poll(context).is_ready() {
                    retired = true;
                    course.retire();
                }
                if turns.is_late(head.as_mut(), context) {
                    return Poll::Ready(Outcome::Faulted(HeadFault::Late));
                }
                if !turns.head_begun {
                    unwanted.set(None);
                } else if unwanted.is_none() {
                    unwanted.set(Some(makes_room(&course, arrived, terms)));
                }
                if let Some(asked) = unwanted.as_mut().as_pin_mut()
                    && asked.poll(context).is_ready()
                {
                    if turns.settled.holds() {
                        return Poll::Ready(Outcome::Unwanted);
                    }
                    terms.pressure.hand_on();
                    unwanted.set(None);
                    continue;
                }
                match turns.next(pulse.as_mut(), context) {
                    None => return Poll::Pending,
                    Some(Ending::Fault(fault)) if turns.is_untouched() => {
                        return Poll::Ready(Outcome::Faulted(fault));
                    }
                    Some(ending) => {
                        turns.ending = Some(ending);
                        Pin::new(&mut connection).graceful_shutdown();
                    }
                }
            }
        })
        .await
    };
    let parts = connection.into_parts();
    // hyper comes to its end by itself behind such an answer; if it broke off, nobody has that answer.
    let is_over = matches!(outcome, Outcome::Closed(Ok(())) | Outcome::Quiet(_));
    let handover = course.take_handover().filter(|_| is_over);
    Left {
        io: parts.io.into_inner(),
        service: parts.service,
        unread: parts.read_buf,
        outcome,
        handover,
    }
}

/// Ends when somebody else needs the place of a connection whose head has begun to come.
async fn makes_room(course: &Course, arrived: Instant, terms: &Terms) {
    if course.activity.seen().is_untouched() {
        terms.pressure.asked_of_stranger(arrived).await;
    } else {
        sleep(GRACE).await;
        terms.pressure.asked().await;
    }
}

fn builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // Its timer runs while it waits and while an answer is still on its way out, and drops what
        // is left of that: the time of a head is kept here.
        .header_read_timeout(None)
        // The guard refuses first, with an answer of ours; it does not count an empty line before the
        // head.
        .max_header_size(limits.head_bytes.saturating_add(2))
        .max_headers(limits.headers)
        .half_close(false);
    builder
}

/// Why hyper was asked to come to its end.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Fault(HeadFault),
    Quiet,
    Stop,
}

/// When a round ends.
struct Turns<'a> {
    course: &'a Course,
    settled: &'a Settled,
    lull: Duration,
    head_timeout: Duration,
    /// Whether the time of a head is running.
    head_begun: bool,
    /// What had happened when the round began.
    first: Seen,
    /// What had happened at the last pulse.
    last: Seen,
    /// Whether the pulse is armed; it is not while something is under way.
    beats: bool,
    stopping: bool,
    fault: Option<HeadFault>,
    ending: Option<Ending>,
}

impl<'a> Turns<'a> {
    fn new(course: &'a Course, settled: &'a Settled, terms: &Terms) -> Self {
        let first = course.activity.seen();
        Self {
            course,
            settled,
            lull: LULL.min(terms.limits.idle),
            head_timeout: terms.limits.head_timeout,
            // A round begins with the first bytes of a head.
            head_begun: true,
            first,
            last: first,
            beats: true,
            stopping: false,
            fault: None,
            ending: None,
        }
    }

    /// Whether no request has begun in this round.
    fn is_untouched(&self) -> bool {
        self.course.activity.seen().begun() == self.first.begun()
    }

    /// Whether a head has begun, is waited for, and has not come to its end in time. What is still on
    /// its way out goes out first.
    fn is_late(&mut self, mut head: Pin<&mut Sleep>, context: &mut Context<'_>) -> bool {
        let is_waited_for = self.course.is_answered() && !self.course.watch.is_between_messages();
        if self.ending.is_some() || self.fault.is_some() || !is_waited_for {
            self.head_begun = false;
            return false;
        }
        if !self.head_begun {
            head.as_mut().reset(from_now(self.head_timeout));
            self.head_begun = true;
        }
        head.poll(context).is_ready() && self.settled.holds()
    }

    /// Whether hyper should come to its end now that it waits.
    fn next(&mut self, pulse: Pin<&mut Sleep>, context: &mut Context<'_>) -> Option<Ending> {
        if self.ending.is_some() {
            return None;
        }
        if let Some(fault) = self.fault {
            return self.course.is_answered().then_some(Ending::Fault(fault));
        }
        if self.stopping && self.may_part() {
            return Some(Ending::Quiet);
        }
        // A head that has begun to come is waited for: hyper would throw it away. So is an answer that
        // may switch protocols: hyper would say that it is the last of this one.
        if self.stopping && (self.course.is_served() || self.course.is_idle()) {
            return Some(Ending::Stop);
        }
        self.beat(pulse, context)
    }

    /// Looks every now and then whether a connection at rest has been so for a while: cheaper than a
    /// timer for every request.
    fn beat(&mut self, mut pulse: Pin<&mut Sleep>, context: &mut Context<'_>) -> Option<Ending> {
        loop {
            let seen = self.course.activity.seen();
            if !self.beats {
                if !seen.is_at_rest() {
                    return None;
                }
                pulse.as_mut().reset(from_now(self.lull));
                self.beats = true;
            }
            if pulse.as_mut().poll(context).is_pending() {
                return None;
            }
            self.beats = false;
            let earlier = std::mem::replace(&mut self.last, seen);
            if seen == earlier && self.may_part() {
                return Some(Ending::Quiet);
            }
        }
    }

    /// Whether hyper can be parted from a connection that goes on: it has had a request, and keeps
    /// nothing back.
    fn may_part(&self) -> bool {
        self.course.is_idle() && self.settled.holds() && !self.is_untouched()
    }

    fn outcome(&self, served: hyper::Result<()>) -> Outcome {
        match (self.ending, served) {
            (Some(Ending::Fault(fault)), Ok(())) => Outcome::Faulted(fault),
            (Some(Ending::Quiet), Ok(())) => Outcome::Quiet(self.lull),
            (_, served) => Outcome::Closed(served),
        }
    }
}
