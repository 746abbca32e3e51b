//! Feeds a guard its bytes in every way they may come, and says what it let through.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::head_guard::{Expected, HeadFault, HeadGuard, HeadLimits};

/// Small enough to be reached by hand, large enough for everything else.
pub(super) const LIMITS: HeadLimits = HeadLimits {
    head_bytes: 512,
    headers: 8,
    target_bytes: 64,
};

/// A connection whose other side says one piece at a time, and then nothing more.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    pub(super) coming: VecDeque<Vec<u8>>,
    pub(super) is_closed: bool,
}

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.coming.pop_front() {
            Some(piece) => buffer.put_slice(&piece),
            None if self.is_closed => {}
            None => return Poll::Pending,
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pieces {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What a guard made of its bytes.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Outcome {
    pub(super) passed: Vec<u8>,
    pub(super) fault: Option<HeadFault>,
    pub(super) heads: u64,
    pub(super) is_between: bool,
    /// How reading ends: pending is none.
    pub(super) error: Option<io::ErrorKind>,
}

/// Reads until there is nothing more to read.
pub(super) fn drain(guard: &mut HeadGuard<Pieces>, passed: &mut Vec<u8>) -> Option<io::ErrorKind> {
    let mut room = vec![0; 256 * 1024];
    let mut context = Context::from_waker(Waker::noop());
    loop {
        let mut buffer = ReadBuf::new(&mut room);
        buffer.put_slice(b"kept");
        match Pin::new(&mut *guard).poll_read(&mut context, &mut buffer) {
            Poll::Pending => return None,
            Poll::Ready(Err(error)) => return Some(error.kind()),
            Poll::Ready(Ok(())) => {}
        }
        let came = buffer.filled().strip_prefix(b"kept").unwrap();
        assert!(!came.is_empty(), "looks like an end that nobody made");
        passed.extend_from_slice(came);
    }
}

pub(super) fn write(guard: &mut HeadGuard<Pieces>, bytes: &[u8]) {
    let mut context = Context::from_waker(Waker::noop());
    let written = Pin::new(guard).poll_write(&mut context, bytes);
    assert!(matches!(written, Poll::Ready(Ok(_))));
}

fn outcome(guard: &HeadGuard<Pieces>, passed: Vec<u8>, error: Option<io::ErrorKind>) -> Outcome {
    let watch = guard.watch();
    Outcome {
        passed,
        fault: watch.fault(),
        heads: watch.heads(),
        is_between: watch.is_between_messages(),
        error,
    }
}

/// What a guard makes of requests that come in these pieces.
pub(super) fn requests_in(pieces: Vec<Vec<u8>>, limits: HeadLimits) -> Outcome {
    let io = Pieces {
        coming: pieces.into(),
        is_closed: false,
    };
    let mut guard = HeadGuard::of_requests(io, limits);
    let mut passed = Vec::new();
    let mut error = drain(&mut guard, &mut passed);
    let watch = guard.watch();
    let mut answered = 0;
    while error.is_none() && answered < watch.heads() {
        answered += 1;
        watch.answered();
        error = drain(&mut guard, &mut passed);
    }
    outcome(&guard, passed, error)
}

/// What an app says after it was asked: for an answer without a body (HEAD) or for any, or unasked.
pub(super) type Said<'a> = (Option<bool>, &'a [u8]);

/// What a guard makes of an app that says this, each in pieces made by `cut`.
pub(super) fn answers_in(said: &[Said<'_>], cut: &dyn Fn(&[u8]) -> Vec<Vec<u8>>) -> Outcome {
    let (mut guard, expected) = of_answers();
    let mut passed = Vec::new();
    let mut error = None;
    for (asked, bytes) in said {
        if let Some(without_body) = asked {
            expected.next_answer(*without_body);
            write(&mut guard, b"GET");
        }
        guard.io_mut().coming.extend(cut(bytes));
        error = drain(&mut guard, &mut passed);
    }
    assert_eq!(expected.fault(), guard.watch().fault());
    outcome(&guard, passed, error)
}

pub(super) fn of_answers() -> (HeadGuard<Pieces>, Expected) {
    HeadGuard::of_answers(Pieces::default(), LIMITS)
}

/// A way to cut bytes into pieces.
type Cut = Box<dyn Fn(&[u8]) -> Vec<Vec<u8>>>;

/// All at once, byte for byte, and in two at every position.
fn cuts(longest: usize) -> Vec<Cut> {
    let whole: Cut = Box::new(|bytes| split(bytes, bytes.len()));
    let single: Cut = Box::new(|bytes| bytes.iter().map(|byte| vec![*byte]).collect());
    let step = (longest / 700).max(1);
    let halves = (1..longest)
        .step_by(step)
        .map(|at| -> Cut { Box::new(move |bytes| split(bytes, at)) });
    [whole, single].into_iter().chain(halves).collect()
}

fn split(bytes: &[u8], at: usize) -> Vec<Vec<u8>> {
    let (left, right) = bytes.split_at(at.min(bytes.len()));
    [left, right]
        .into_iter()
        .filter(|piece| !piece.is_empty())
        .map(<[u8]>::to_vec)
        .collect()
}

/// What a guard makes of requests, however they come.
pub(super) fn requests(bytes: &[u8]) -> Outcome {
    requests_within(bytes, LIMITS)
}

pub(super) fn requests_within(bytes: &[u8], limits: HeadLimits) -> Outcome {
    let outcomes = cuts(bytes.len())
        .into_iter()
        .map(|cut| requests_in(cut(bytes), limits));
    the_one(outcomes, bytes)
}

/// What a guard makes of answers, however they come.
pub(super) fn answers(said: &[Said<'_>]) -> Outcome {
    let longest = said.iter().map(|(_, bytes)| bytes.len()).max();
    let outcomes = cuts(longest.unwrap_or_default())
        .into_iter()
        .map(|cut| answers_in(said, &*cut));
    let all: Vec<_> = said.iter().map(|(_, bytes)| *bytes).collect();
    the_one(outcomes, &all.concat())
}

/// What a guard makes of one answer to a GET.
pub(super) fn answer(bytes: &[u8]) -> Outcome {
    answers(&[(Some(false), bytes)])
}

fn the_one(outcomes: impl Iterator<Item = Outcome>, bytes: &[u8]) -> Outcome {
    outcomes
        .reduce(|first, other| {
            assert_eq!(first, other, "of {}", shown(bytes));
            first
        })
        .unwrap()
}

pub(super) fn shown(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(200)];
    format!("\"{}\"", shown.escape_ascii())
}
