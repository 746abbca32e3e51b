//! The tasks of an HTTP/2 connection's streams: each ends early when its client takes nothing of an
//! answer that is ready.
//!
//! hyper waits for a client's window without asking the answer's body for more, so that neither the
//! body nor whoever made it can end such a stream: only dropping its task does. That resets the
//! stream and ends the exchange with the app (RFC 9113 5.2, 8.1). A stream that waits for its app is
//! never touched: an event stream may be quiet. With the connection all of its streams end by
//! themselves: h2 wakes each, and hyper asks whether it was reset before anything else.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::rt::Executor;
use tokio::time::{Sleep, sleep};

use super::{
    activity::{Activity, Stuck},
    frame_guard::Watch,
};

tokio::task_local! {
    /// What the body of the stream being polled has said; the way from the body to the task around
    /// it, which hyper holds both in one.
    static BODY: Cell<Asked>;
}

/// Whether a body was asked for more, and what came of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Asked {
    Given,
    #[default]
    Not,
    Waits,
}

/// Says on behalf of the body that is being polled what it came to.
pub(super) fn note<T>(polled: &Poll<T>) {
    let asked = match polled {
        Poll::Pending => Asked::Waits,
        Poll::Ready(_) => Asked::Given,
    };
    // Outside of a stream's task nobody listens.
    let _ = BODY.try_with(|it| it.set(asked));
}

/// Runs the streams of one connection.
#[derive(Clone)]
pub(super) struct StreamTasks {
    stall: Duration,
    watch: Watch,
    activity: Activity,
}

impl StreamTasks {
    /// Streams that end when nothing is taken of them for `stall`, twice that at the most, although
    /// `watch` says that the line does. What moves and what does not is counted in `activity`.
    pub(super) fn new(stall: Duration, watch: Watch, activity: Activity) -> Self {
        Self {
            stall,
            watch,
            activity,
        }
    }
}

impl<F> Executor<F> for StreamTasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let progress = Progress {
            stall: self.stall,
            last: Asked::Not,
            moved: false,
            timer: None,
            activity: self.activity.clone(),
            stuck: None,
        };
        let running = progress.run(stream, self.watch.clone());
        tokio::spawn(BODY.scope(Cell::default(), running));
    }
}

/// What is known of a stream from one poll to the next. A session's end that has to be kept although
/// nobody asks the body would be one more reason here.
struct Progress {
    stall: Duration,
    /// What came of it when the body was last asked.
    last: Asked,
    /// Whether the body was asked since the timer was set.
    moved: bool,
    timer: Option<Pin<Box<Sleep>>>,
    activity: Activity,
    /// While the client takes nothing of what is ready.
    stuck: Option<Stuck>,
}

impl Progress {
    async fn run(mut self, stream: impl Future<Output = ()>, watch: Watch) {
        let mut stream = pin!(stream);
        poll_fn(|context| {
            let polled = stream.as_mut().poll(context);
            if polled.is_ready() {
                return polled;
            }
            let asked = BODY.with(Cell::take);
            if asked != Asked::Not {
                self.last = asked;
                self.moved = true;
                // The first piece of an answer goes before anybody has taken anything.
                if self.stuck.is_some() {
                    self.activity.moves();
                }
            }
            if self.last != Asked::Given {
                self.stuck = None;
                return Poll::Pending;
            }
            if self.stuck.is_none() {
                self.stuck = Some(self.activity.sticks());
            }
            ready!(self.poll_stall(&watch, context));
            tracing::debug!("reset a stream whose client takes nothing of its answer");
            Poll::Ready(())
        })
        .await;
    }

    /// Ready when the client has taken nothing for the whole time of the timer. Progress is only
    /// noted, so that a download does not set a timer for each of its pieces.
    fn poll_stall(&mut self, watch: &Watch, context: &mut Context<'_>) -> Poll<()> {
        let stall = self.stall;
        let timer = self.timer.get_or_insert_with(|| {
            self.moved = false;
            Box::pin(sleep(stall))
        });
        loop {
            ready!(timer.as_mut().poll(context));
            // A slow line is nobody's refusal; one that takes nothing at all ends as a whole.
            if !self.moved && !watch.is_write_standing() {
                return Poll::Ready(());
            }
            self.moved = false;
            timer.set(sleep(stall));
        }
    }
}
