//! The tasks of an HTTP/2 connection's streams: each ends early when its client takes next to nothing of
//! an answer that is ready.
//!
//! What a client takes of one stream is seen here in pieces. hyper asks a body for a piece, keeps it
//! until the client's window is open for a byte at least, hands it to h2, and asks for the next one;
//! that one it keeps until the window is open for a byte beyond the piece before. So a body that was
//! asked again has had its last piece but one taken whole, and a client that opens its window byte by
//! byte has moved nothing until then. A stream has a [`Patience`] of its own, which runs out while a
//! piece waits for its client and comes back with the next piece: it ends after a minute without one,
//! and soon if its client takes less than 500 bytes a second on average. (A piece a minute alone would
//! be 270 bytes a second of a large file, and one of an app that hands out single bytes.) Nothing runs
//! out while the client has taken all there is, nor for a line that takes nothing at the moment: one
//! that carries 500 bytes a second is a slow line, however many streams share it.
//!
//! hyper waits for a client's window without asking the answer's body for more, so that neither the
//! body nor whoever made it can end such a stream: only dropping its task does. That resets the
//! stream and ends the exchange with the app (RFC 9113 5.2, 8.1). A stream that waits for its app is
//! never touched: an event stream may be quiet. With the connection all of its streams end by
//! themselves: h2 wakes each, and hyper asks whether it was reset before anything else.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::Frame;
use hyper::rt::Executor;

use super::{
    activity::{Activity, Stuck},
    frame_guard::Watch,
    patience::Patience,
    switched::Cut,
};

tokio::task_local! {
    /// What is said within the stream being polled; the way to the task around it, which hyper holds
    /// in one with all that is in it.
    static STREAM: Said;
}

/// What is said within a stream.
#[derive(Default)]
struct Said {
    /// By the body of its answer.
    body: Cell<Told>,
    /// By whoever takes it over behind its answer.
    cut: Cell<Option<Cut>>,
}

/// What a body has said in one poll of its stream.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    last: Asked,
    /// How many bytes it gave.
    bytes: usize,
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
pub(super) fn note<E>(polled: &Poll<Option<Result<Frame<Bytes>, E>>>) {
    let (last, bytes) = match polled {
        Poll::Pending => (Asked::Waits, 0),
        Poll::Ready(Some(Ok(frame))) => (Asked::Given, frame.data_ref().map_or(0, Bytes::len)),
        Poll::Ready(_) => (Asked::Given, 0),
    };
    // Outside of a stream's task nobody listens.
    let _ = STREAM.try_with(|it| {
        let bytes = it.body.get().bytes.saturating_add(bytes);
        it.body.set(Told { last, bytes });
    });
}

/// Says on behalf of the stream that is being polled that its way back, which hyper is about to run as
/// a task of its own, ends when it is cut.
pub(super) fn hand_cut_on(cut: Cut) {
    let _ = STREAM.try_with(|it| it.cut.set(Some(cut)));
}

/// Runs the streams of one connection.
#[derive(Clone)]
pub(super) struct StreamTasks {
    stall: Duration,
    watch: Watch,
    activity: Activity,
}

impl StreamTasks {
    /// Streams that end when nothing is taken of them for `stall`, or too little for longer, although
    /// `watch` says that the line takes what it is given. What moves and what does not is counted in `activity`.
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
        // The only task that a stream has run.
        if let Ok(Some(cut)) = STREAM.try_with(|it| it.cut.take()) {
            tokio::spawn(cut.run_until_cut(stream));
            return;
        }
        let progress = Progress {
            last: Asked::Not,
            patience: Patience::full(self.stall),
            activity: self.activity.clone(),
            stuck: None,
        };
        let running = progress.run(stream, self.watch.clone());
        tokio::spawn(STREAM.scope(Said::default(), running));
    }
}

/// What is known of a stream from one poll to the next. A session's end that has to be kept although
/// nobody asks the body would be one more reason here.
struct Progress {
    /// What came of it when the body was last asked.
    last: Asked,
    patience: Patience,
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
            let told = STREAM.with(|it| it.body.take());
            if told.last != Asked::Not {
                self.last = told.last;
                self.patience.moves(told.bytes);
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
            ready!(self.out_of_patience(&watch, context));
            tracing::debug!("reset a stream whose client takes nothing of its answer");
            Poll::Ready(())
        })
        .await;
    }

    /// Ready when the client has taken too little for too long, although the line took what it was given.
    fn out_of_patience(&mut self, watch: &Watch, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.patience.waits(context));
            // A slow line is nobody's refusal; one that takes nothing at all ends as a whole.
            if !watch.is_write_standing() {
                return Poll::Ready(());
            }
            self.patience.is_restored();
        }
    }
}
