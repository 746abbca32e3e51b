//! A reader around an HTTP/2 connection that counts the frames a client sends and ends the connection
//! when there are too many of a kind, or when one is begun and not finished (RFC 9113 4.1, 10.5).
//!
//! It reads no further requests from a client that takes nothing of its answers. No honest client can
//! be caught in that: what it still has to send is small beside what it has left lying, and at the
//! latest when nothing more can be sent it reads, which is all that is waited for. One that does not
//! read even then is given up by the patience with its writes.
//!
//! It goes along in one pass, keeps no bytes, and never rewrites one: the protocol is hyper's affair.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::{
    frame_budget::{Budgets, Earned, Kind},
    frame_scan::{
        CONTINUATION, DATA, FrameHead, FrameScan, GOAWAY, HEADERS, PING, PRIORITY, PRIORITY_UPDATE,
        RST_STREAM, SETTINGS, WINDOW_UPDATE,
    },
};

/// Most CONTINUATION frames of one header block; h2 takes fewer at the usual size of a head.
const MAX_CONTINUATIONS: u32 = 20;

/// DATA below this many bytes costs more to handle than it brings.
const TINY: usize = 64;

/// Requests that are taken on although the line takes nothing of what is ready for their client.
/// Heads of answers are not flow-controlled: each of them would be work and a head to hold.
const REQUESTS_AHEAD: u32 = 16;

/// RFC 9113 7.
const ENHANCE_YOUR_CALM: u8 = 0xb;

/// The word for a frame or header block that is not finished in time.
const LATE: &str = "frame_timeout";

/// A connection whose frames are counted.
pub(super) struct FrameGuard<I> {
    io: I,
    incoming: Incoming,
    outgoing: FrameScan,
    watch: Watch,
    unfinished: Deadline,
    /// Whoever would read on, while no further requests are read.
    held: Option<Waker>,
}

/// What others may see of a guard while hyper has it.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch(Arc<State>);

#[derive(Debug, Default)]
struct State {
    cut: OnceLock<&'static str>,
    write_stands: AtomicBool,
}

/// Why nothing more is read.
#[derive(Debug, Error)]
#[error("the client went beyond a limit: {0}")]
struct Cut(&'static str);

/// The frames of a client so far.
struct Incoming {
    scan: FrameScan,
    budgets: Budgets,
    /// CONTINUATION frames so far, while a header block is open.
    block: Option<u32>,
    last_kind: u8,
    /// Grows with every frame that begins while no header block is open.
    begun: u64,
    /// The highest stream that was begun.
    last_stream: u32,
    /// Requests that have come since a write last moved.
    since_moved: u32,
}

/// How long something may stay unfinished. Its timer is made once, when it is first wanted.
struct Deadline {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    /// What it runs for, by [`Incoming::begun`].
    runs_for: Option<u64>,
}

impl<I> FrameGuard<I> {
    /// Looks at what a client sends from its preface on; `limit` is how long a frame or a header
    /// block may stay unfinished.
    pub(super) fn new(io: I, limit: Duration) -> Self {
        Self {
            io,
            incoming: Incoming::new(),
            outgoing: FrameScan::default(),
            watch: Watch::default(),
            unfinished: Deadline {
                limit,
                timer: None,
                runs_for: None,
            },
            held: None,
        }
    }

    /// What may be seen of it.
    pub(super) fn watch(&self) -> Watch {
        self.watch.clone()
    }

    fn note_written(&mut self, mut bytes: &[u8]) {
        while let Some(head) = self.outgoing.next(&mut bytes) {
            match head.kind {
                DATA => self.incoming.budgets.earn(Earned::Data),
                HEADERS => self.incoming.budgets.earn(Earned::Answer),
                RST_STREAM => {
                    // Noticed here, acted upon at the next read.
                    if let Err(reason) = self.incoming.budgets.take(Kind::OwnReset) {
                        let _ = self.watch.0.cut.set(reason);
                    }
                }
                _ => {}
            }
        }
    }

    fn note_progress<T>(&mut self, written: &Poll<T>) {
        let stands = written.is_pending();
        self.watch.0.write_stands.store(stands, Ordering::Relaxed);
        if !stands {
            self.incoming.since_moved = 0;
            if let Some(reader) = self.held.take() {
                reader.wake();
            }
        }
    }

    /// Whether nothing more is read until a write moves; then whoever reads is woken.
    fn is_held(&mut self, context: &Context<'_>) -> bool {
        let is_held = self.watch.is_write_standing() && self.incoming.since_moved > REQUESTS_AHEAD;
        if is_held {
            self.held = Some(context.waker().clone());
            // What it does not get to send cannot be late.
            self.unfinished.runs_for = None;
        }
        is_held
    }
}

impl Watch {
    /// The word for the limit that ended the connection, if one did.
    pub(super) fn cut(&self) -> Option<&'static str> {
        self.0.cut.get().copied()
    }

    /// Whether the socket takes nothing at the moment: then no stream can be blamed for waiting.
    pub(super) fn is_write_standing(&self) -> bool {
        self.0.write_stands.load(Ordering::Relaxed)
    }
}

impl Incoming {
    fn new() -> Self {
        Self {
            scan: FrameScan::behind_preface(),
            budgets: Budgets::full(),
            block: None,
            last_kind: DATA,
            begun: 0,
            last_stream: 0,
            since_moved: 0,
        }
    }

    /// Counts the frames whose heads end in `bytes`.
    fn look(&mut self, mut bytes: &[u8]) -> Result<(), &'static str> {
        while let Some(head) = self.scan.next(&mut bytes) {
            if self.block.is_none() {
                self.begun += 1;
            }
            self.last_kind = head.kind;
            self.count(head)?;
        }
        Ok(())
    }

    fn count(&mut self, head: FrameHead) -> Result<(), &'static str> {
        let kind = match head.kind {
            DATA if head.ends_stream() => return Ok(()),
            DATA if head.length == 0 => Kind::EmptyData,
            DATA if head.length < TINY || head.is_padded() => Kind::TinyData,
            DATA => return Ok(()),
            HEADERS => {
                self.block = (!head.ends_headers()).then_some(0);
                if head.stream > self.last_stream {
                    self.last_stream = head.stream;
                    self.since_moved = self.since_moved.saturating_add(1);
                }
                self.budgets.earn(Earned::Request);
                return Ok(());
            }
            CONTINUATION => return self.count_continuation(head),
            PING => Kind::Ping,
            PRIORITY | PRIORITY_UPDATE => Kind::Priority,
            RST_STREAM => Kind::Reset,
            SETTINGS => Kind::Settings,
            WINDOW_UPDATE => Kind::WindowUpdate,
            _ => Kind::Unknown,
        };
        self.budgets.take(kind)
    }

    fn count_continuation(&mut self, head: FrameHead) -> Result<(), &'static str> {
        let so_far = self.block.unwrap_or(0);
        if so_far >= MAX_CONTINUATIONS {
            return Err("flood_continuation");
        }
        self.block = (!head.ends_headers()).then_some(so_far + 1);
        Ok(())
    }

    /// Whether a head, a header block, or the payload of anything but DATA is still to be finished.
    /// The body of a request may be slow; the app's own time limits look after that.
    fn is_unfinished(&self) -> bool {
        self.block.is_some()
            || self.scan.is_in_head()
            || (self.scan.is_in_payload() && self.last_kind != DATA)
    }
}

impl Deadline {
    /// Ready when what is unfinished since the frame of that number has been so for too long.
    fn poll(&mut self, number: u64, context: &mut Context<'_>) -> Poll<()> {
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        if self.runs_for != Some(number) {
            self.runs_for = Some(number);
            timer.set(sleep(limit));
        }
        timer.as_mut().poll(context)
    }
}

impl<I: AsyncWrite + Unpin> FrameGuard<I> {
    /// Tells the client, if that can be done on the spot, and fails the read that came upon it.
    fn cut(&mut self, reason: &'static str, context: &mut Context<'_>) -> io::Error {
        let _ = self.watch.0.cut.set(reason);
        // Only between two frames of ours is there room for another.
        if !self.outgoing.is_in_head() && !self.outgoing.is_in_payload() {
            let frame = go_away(self.incoming.last_stream);
            let written = Pin::new(&mut self.io).poll_write(context, &frame);
            if written.is_ready() {
                let _ = Pin::new(&mut self.io).poll_flush(context);
            }
        }
        io::Error::new(io::ErrorKind::InvalidData, Cut(reason))
    }
}

fn go_away(last_stream: u32) -> [u8; 17] {
    let [a, b, c, d] = last_stream.to_be_bytes();
    let code = ENHANCE_YOUR_CALM;
    [0, 0, 8, GOAWAY, 0, 0, 0, 0, 0, a, b, c, d, 0, 0, 0, code]
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncRead for FrameGuard<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(reason) = this.watch.cut() {
            return Poll::Ready(Err(this.cut(reason, context)));
        }
        if this.is_held(context) {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.io).poll_read(context, buffer);
        if read.is_pending() {
            if this.incoming.is_unfinished() {
                ready!(this.unfinished.poll(this.incoming.begun, context));
                return Poll::Ready(Err(this.cut(LATE, context)));
            }
            this.unfinished.runs_for = None;
            return Poll::Pending;
        }
        let news = buffer.filled().get(before..).unwrap_or_default();
        match this.incoming.look(news) {
            Ok(()) => read,
            Err(reason) => Poll::Ready(Err(this.cut(reason, context))),
        }
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for FrameGuard<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(context, bytes);
        this.note_progress(&written);
        if let Poll::Ready(Ok(count)) = written {
            this.note_written(bytes.get(..count).unwrap_or(bytes));
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(context);
        this.note_progress(&flushed);
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(context, pieces);
        this.note_progress(&written);
        if let Poll::Ready(Ok(mut count)) = written {
            for piece in pieces {
                let taken = count.min(piece.len());
                this.note_written(piece.get(..taken).unwrap_or_default());
                count -= taken;
            }
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests;
