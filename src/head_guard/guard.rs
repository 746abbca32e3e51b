//! The reader itself, and what others may see of it. Knows no grammar.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::task::AtomicWaker;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
};

use super::{HeadFault, messages::Messages};

/// How much of a head is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HeadLimits {
    /// Most bytes, from the first line to the empty one.
    pub head_bytes: usize,
    /// Most fields.
    pub headers: usize,
    /// Most bytes of a target.
    pub target_bytes: usize,
}

/// Most bytes that are kept behind a request for another protocol until it is answered.
const MOST_HELD: usize = 16 * 1024;

/// Most bytes that are read at once to be kept.
const HELD_AT_ONCE: usize = 2 * 1024;

/// A connection whose messages are looked at on their way in.
#[derive(Debug)]
pub struct HeadGuard<I> {
    io: I,
    messages: Messages,
    side: Side,
    watch: Watch,
    /// Read already, and not looked at: what it is depends on the answer to what came before.
    held: BytesMut,
}

#[derive(Clone, Copy, Debug)]
enum Side {
    Requests,
    /// An answer is one to a request of which something has been sent.
    Answers {
        has_asked: bool,
    },
}

/// What others may see of a guard while hyper has it.
#[derive(Clone, Debug)]
pub struct Watch(Arc<State>);

/// Tells the guard of an app's connection what its next answer is to.
#[derive(Clone, Debug)]
pub struct Expected(Arc<State>);

#[derive(Debug)]
struct State {
    fault: OnceLock<HeadFault>,
    /// Tells of a fault in a head.
    told: Notify,
    heads: AtomicU64,
    /// How many requests have been answered by more of the same protocol.
    answered: AtomicU64,
    /// Whoever reads on once a request is answered.
    answering: AtomicWaker,
    is_between: AtomicBool,
    /// Whether what follows is of no protocol before a request is answered.
    stands_open: AtomicBool,
    next_answer: AtomicU8,
}

/// Nobody waits for an answer.
const NO_ANSWER: u8 = 0;
/// Somebody waits for one whose head says what body it has.
const ANY_ANSWER: u8 = 1;
/// Somebody waits for one without a body.
const BARE_ANSWER: u8 = 2;

impl<I> HeadGuard<I> {
    /// Looks at the requests of a client.
    ///
    /// After a fault in a head nothing more is read: the reader stays pending, [`Watch::fault`] says
    /// why, and whoever serves the connection answers it once what came before is answered. After a
    /// fault in a body reads fail with `InvalidData`.
    ///
    /// Behind a request with an `Upgrade` nothing is let through before it is answered: what comes is
    /// the next request after [`Watch::answered`], and of another protocol after
    /// [`HeadGuard::into_parts`].
    #[must_use]
    pub fn of_requests(io: I, limits: HeadLimits) -> Self {
        Self::new(io, Messages::requests(limits), Side::Requests)
    }

    /// Looks at the answers of an app. After any fault reads fail with `InvalidData`.
    ///
    /// Bytes belong to an answer only if [`Expected::next_answer`] was called and something of the
    /// request has been written since; all others are surplus.
    #[must_use]
    pub fn of_answers(io: I, limits: HeadLimits) -> (Self, Expected) {
        let side = Side::Answers { has_asked: false };
        let guard = Self::new(io, Messages::answers(limits), side);
        let expected = Expected(Arc::clone(&guard.watch.0));
        (guard, expected)
    }

    #[cfg(test)]
    pub(super) fn io_mut(&mut self) -> &mut I {
        &mut self.io
    }

    fn new(io: I, messages: Messages, side: Side) -> Self {
        Self {
            io,
            messages,
            side,
            watch: Watch(Arc::new(State::default())),
            held: BytesMut::new(),
        }
    }

    /// What may be seen of it.
    #[must_use]
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// The connection, without the guard.
    #[must_use]
    pub fn into_inner(self) -> I {
        self.io
    }

    /// The connection, and what was read of it that nobody has looked at.
    #[must_use]
    pub fn into_parts(self) -> (I, Bytes) {
        (self.io, self.held.freeze())
    }
}

impl<I> HeadGuard<I> {
    /// Looks at what has come; says how much of it may be let through.
    fn look(&mut self, bytes: &[u8]) -> usize {
        let state = &self.watch.0;
        if self.messages.wants_to_be_awaited()
            && let Side::Answers { has_asked: true } = self.side
            && let Some(without_body) = state.take_next_answer()
        {
            self.messages.await_answer(without_body);
            self.side = Side::Answers { has_asked: false };
        }
        let passed = self.messages.scan(bytes);
        state.heads.store(self.messages.heads(), Ordering::Release);
        if let Some(fault) = self.messages.fault() {
            // Whoever looks has set it before, or nobody has: both are this fault.
            let _ = state.fault.set(fault);
            state.told.notify_waiters();
        }
        passed
    }

    /// Says whether a message is under way, or may be.
    fn note_place(&self) {
        let is_between = self.messages.is_between() && self.held.is_empty();
        let state = &self.watch.0;
        state.is_between.store(is_between, Ordering::Release);
        let stands_open = self.messages.stands_open();
        state.stands_open.store(stands_open, Ordering::Release);
    }

    /// Whether a request that asked for another protocol still waits for its answer.
    fn is_unanswered(&self, context: &Context<'_>) -> bool {
        let state = &self.watch.0;
        let is_answered = || state.answered.load(Ordering::Acquire) >= self.messages.heads();
        if is_answered() {
            return false;
        }
        // Before the second look: an answer in between is not missed.
        state.answering.register(context.waker());
        !is_answered()
    }

    /// Lets through what was kept, as far as there is room and it may pass.
    fn pass_held(&mut self, buffer: &mut ReadBuf<'_>) {
        let most = self.held.len().min(buffer.remaining());
        let mut held = std::mem::take(&mut self.held);
        let piece = held.get(..most).unwrap_or_default();
        let passed = self.look(piece);
        buffer.put_slice(piece.get(..passed).unwrap_or_default());
        held.advance(if self.messages.stands_open() {
            passed
        } else {
            most
        });
        self.held = held;
        self.note_place();
    }

    /// What a reader gets instead of bytes.
    fn refused(&self, fault: HeadFault) -> Poll<io::Result<()>> {
        match self.side {
            Side::Requests if !fault.is_in_body() => Poll::Pending,
            _ => Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, fault))),
        }
    }

    /// Something has been written.
    fn wrote(&mut self, written: usize) {
        if let Side::Answers { has_asked } = &mut self.side
            && written > 0
            && self.watch.0.next_answer.load(Ordering::Acquire) != NO_ANSWER
        {
            *has_asked = true;
        }
    }
}

impl<I: AsyncRead + Unpin> HeadGuard<I> {
    /// Keeps what comes. Ready only at the end of the connection, or when reading fails.
    fn hold(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.held.len() < MOST_HELD {
            let mut room = [const { MaybeUninit::uninit() }; HELD_AT_ONCE];
            let mut buffer = ReadBuf::uninit(&mut room);
            ready!(Pin::new(&mut self.io).poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.held.extend_from_slice(buffer.filled());
            self.note_place();
        }
        Poll::Pending
    }
}

impl Watch {
    /// One more request was answered, and what follows it is of the same protocol.
    pub fn answered(&self) {
        self.0.answered.fetch_add(1, Ordering::AcqRel);
        self.0.answering.wake();
    }

    /// The fault that ended the reading, if there is one.
    #[must_use]
    pub fn fault(&self) -> Option<HeadFault> {
        self.0.fault.get().copied()
    }

    /// Waits for a fault in a head.
    pub async fn faulted(&self) -> HeadFault {
        loop {
            let told = self.0.told.notified();
            if let Some(fault) = self.fault().filter(|fault| !fault.is_in_body()) {
                return fault;
            }
            told.await;
        }
    }

    /// How many heads have been let through to their end.
    #[must_use]
    pub fn heads(&self) -> u64 {
        self.0.heads.load(Ordering::Acquire)
    }

    /// Whether the last request has asked for another protocol and is not answered yet.
    #[must_use]
    pub fn may_switch(&self) -> bool {
        self.0.stands_open.load(Ordering::Acquire)
    }

    /// Whether the last message has come to its end and not a byte of the next has come.
    #[must_use]
    pub fn is_between_messages(&self) -> bool {
        self.0.is_between.load(Ordering::Acquire)
    }
}

impl Expected {
    /// The next answer is to a request whose answer has no body whatever its head says (HEAD), or to
    /// any other.
    pub fn next_answer(&self, without_body: bool) {
        let next = if without_body {
            BARE_ANSWER
        } else {
            ANY_ANSWER
        };
        self.0.next_answer.store(next, Ordering::Release);
    }

    /// Whether nothing has come of the answer that was asked for last.
    #[must_use]
    pub fn is_outstanding(&self) -> bool {
        self.0.next_answer.load(Ordering::Acquire) != NO_ANSWER
    }

    /// The fault that ended the reading, if there is one.
    #[must_use]
    pub fn fault(&self) -> Option<HeadFault> {
        self.0.fault.get().copied()
    }
}

impl State {
    /// Whether somebody waits for an answer, and if so whether for one without a body.
    fn take_next_answer(&self) -> Option<bool> {
        match self.next_answer.swap(NO_ANSWER, Ordering::AcqRel) {
            NO_ANSWER => None,
            next => Some(next == BARE_ANSWER),
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            fault: OnceLock::new(),
            told: Notify::new(),
            heads: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            answering: AtomicWaker::new(),
            is_between: AtomicBool::new(true),
            stands_open: AtomicBool::new(false),
            next_answer: AtomicU8::new(NO_ANSWER),
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for HeadGuard<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if let Some(fault) = this.messages.fault() {
                return this.refused(fault);
            }
            if this.messages.stands_open() {
                if this.is_unanswered(context) {
                    return this.hold(context);
                }
                this.messages.go_on();
                this.note_place();
            }
            let before = buffer.filled().len();
            if !this.held.is_empty() && buffer.remaining() > 0 {
                this.pass_held(buffer);
                if buffer.filled().len() > before {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            ready!(Pin::new(&mut this.io).poll_read(context, buffer))?;
            let came = buffer.filled().get(before..).unwrap_or_default();
            if came.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let passed = this.look(came);
            if this.messages.stands_open() {
                this.held
                    .extend_from_slice(came.get(passed..).unwrap_or_default());
            }
            this.note_place();
            buffer.set_filled(before + passed);
            // Nothing at all would look like the connection's end.
            if passed > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for HeadGuard<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.io).poll_write(context, bytes))?;
        this.wrote(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
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
        let written = ready!(Pin::new(&mut this.io).poll_write_vectored(context, pieces))?;
        this.wrote(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
