//! The guard around a connection, reading one head after another.
//!
//! Each comes in one piece, as most do. A copy of its bytes is in the time.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use divan::{Bencher, counter::BytesCount};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use vestibule::{
    head_guard::{HeadGuard, HeadLimits},
    session::SessionToken,
};

use crate::{
    app,
    browser::{cookies, page_view},
};

/// As `[limits]` has them unless it says otherwise.
const LIMITS: HeadLimits = HeadLimits {
    head_bytes: 32 * 1024,
    headers: 100,
    target_bytes: 8 * 1024,
};

#[divan::bench]
fn requests(bencher: Bencher<'_, '_>) {
    let cookies = cookies(Some(SessionToken::random().expose()));
    let head = page_view("/orders/4711/positions?page=2", &cookies);
    let length = head.len();
    let mut guard = HeadGuard::of_requests(Endless(head), LIMITS);
    let watch = guard.watch();
    let mut room = vec![0; 2 * length];
    let mut read = || read_one(&mut guard, &mut room);
    assert_eq!(read(), length);
    bencher.counter(BytesCount::new(length)).bench_local(read);
    assert_eq!(watch.fault(), None);
    assert!(watch.is_between_messages());
}

#[divan::bench]
fn answers(bencher: Bencher<'_, '_>) {
    let head = app::answer("text/html; charset=utf-8", b"");
    let length = head.len();
    let (mut guard, expected) = HeadGuard::of_answers(Endless(head), LIMITS);
    let watch = guard.watch();
    let mut room = vec![0; 2 * length];
    let mut read = || {
        // Without a request there is nothing to answer.
        expected.next_answer(false);
        let mut context = Context::from_waker(Waker::noop());
        let written = Pin::new(&mut guard).poll_write(&mut context, b"GET");
        assert!(matches!(written, Poll::Ready(Ok(3))));
        read_one(&mut guard, &mut room)
    };
    assert_eq!(read(), length);
    bencher.counter(BytesCount::new(length)).bench_local(read);
    assert_eq!(watch.fault(), None);
    assert!(watch.is_between_messages());
}

fn read_one(guard: &mut HeadGuard<Endless>, room: &mut [u8]) -> usize {
    let mut context = Context::from_waker(Waker::noop());
    let mut buffer = ReadBuf::new(room);
    let read = Pin::new(guard).poll_read(&mut context, &mut buffer);
    assert!(matches!(read, Poll::Ready(Ok(()))));
    buffer.filled().len()
}

/// A connection over which the same comes for ever, and into which anything can be written.
struct Endless(Vec<u8>);

impl AsyncRead for Endless {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        buffer.put_slice(&self.0);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Endless {
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
