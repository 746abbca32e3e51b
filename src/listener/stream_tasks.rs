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
};

tokio::task_local! {
    /// What the body of the stream being polled has said; the way from the body to the task around
    /// it, which hyper holds both in one.
    static BODY: Cell<Told>;
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
    let _ = BODY.try_with(|it| {
        let bytes = it.get().bytes.saturating_add(bytes);
        it.set(Told { last, bytes });
    });
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
        let progress = Progress {
            last: Asked::Not,
            patience: Patience::full(self.stall),
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
            let told = BODY.with(Cell::take);
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
