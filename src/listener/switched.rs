//! A stream of HTTP/2 that carries another protocol: it ends as it should look (RFC 8441 5, RFC 9113
//! 8.1).
//!
//! hyper sends its way back from a task of its own and ends it in order as soon as nobody writes to it
//! any more. So what is dropped without having been shut down drops that task first, which resets the
//! stream: a client never takes what was cut for an end, and nothing that waits there still goes out.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    activity::Activity, contained::contained, stream_tasks::hand_cut_on, write_stall::WriteStall,
};
use crate::{handover::Handover, telemetry::SharedMetrics};

/// What it takes to hand a stream over, should its answer say so.
pub(super) struct Switching {
    pub(super) stream: OnUpgrade,
    pub(super) activity: Activity,
    pub(super) metrics: SharedMetrics,
    /// How long its client may take nothing of what is ready.
    pub(super) stall: Duration,
}

impl Switching {
    /// Hands the stream over once hyper has answered. Called in the stream's own task, on the way to
    /// that answer.
    pub(super) fn hand_over(self, handover: Handover) {
        let Self {
            stream,
            activity,
            metrics,
            stall,
        } = self;
        let cut = Cut::default();
        hand_cut_on(cut.clone());
        let under_way = activity.begin();
        tokio::spawn(async move {
            let using = async move {
                let _under_way = under_way;
                // Otherwise nobody has the answer, and the record of the request says so.
                if let Ok(stream) = stream.await {
                    let switched = Switched::new(TokioIo::new(stream), cut);
                    let switched = WriteStall::new(switched, stall);
                    handover.begin(Box::new(switched)).await;
                }
            };
            contained("a tunnel", &metrics, using).await;
        });
    }
}

/// Drops what runs until it is told to; clones are one.
#[derive(Clone, Debug, Default)]
pub(super) struct Cut(Arc<State>);

#[derive(Debug, Default)]
struct State {
    is_cut: AtomicBool,
    running: AtomicWaker,
}

impl Cut {
    fn cut(&self) {
        self.0.is_cut.store(true, Ordering::Release);
        self.0.running.wake();
    }

    /// Runs `work`, which is dropped unfinished if the cut comes first, and not even asked once more.
    pub(super) async fn run_until_cut(self, work: impl Future<Output = ()>) {
        let mut work = pin!(work);
        poll_fn(|context| {
            self.0.running.register(context.waker());
            if self.0.is_cut.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            work.as_mut().poll(context)
        })
        .await;
    }
}

/// A stream whose way back is cut if it is dropped before it was shut down.
struct Switched<I> {
    io: I,
    cut: Cut,
    is_shut: bool,
}

impl<I> Switched<I> {
    fn new(io: I, cut: Cut) -> Self {
        Self {
            io,
            cut,
            is_shut: false,
        }
    }
}

impl<I> Drop for Switched<I> {
    fn drop(&mut self) {
        if !self.is_shut {
            self.cut.cut();
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Switched<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(context, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Switched<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.io).poll_shutdown(context);
        this.is_shut |= matches!(shut, Poll::Ready(Ok(())));
        shut
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn only_what_was_shut_down_lets_its_way_back_come_to_its_end() {
        for shuts_down in [true, false] {
            let cut = Cut::default();
            let (io, _other) = duplex(8);
            let mut switched = Switched::new(io, cut.clone());
            let mut polls = 0;
            let mut way_back = Box::pin(cut.run_until_cut(poll_fn(|_| {
                polls += 1;
                Poll::Pending
            })));
            assert!((&mut way_back).now_or_never().is_none());
            if shuts_down {
                switched.shutdown().await.unwrap();
            }
            drop(switched);
            let is_over = (&mut way_back).now_or_never().is_some();
            drop(way_back);
            assert_eq!((is_over, polls), (!shuts_down, 1 + usize::from(shuts_down)));
        }
    }
}
