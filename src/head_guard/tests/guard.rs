//! What a guard tells those who watch it.

use std::{
    future::Future,
    io::ErrorKind::InvalidData,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use tokio::io::{AsyncRead, ReadBuf};

use super::support::{LIMITS, Pieces, drain};
use crate::head_guard::{HeadFault, HeadGuard, Watch};

const GOOD: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn watched() -> (HeadGuard<Pieces>, Watch) {
    let guard = HeadGuard::of_requests(Pieces::default(), LIMITS);
    let watch = guard.watch();
    (guard, watch)
}

fn hear(guard: &mut HeadGuard<Pieces>, bytes: &[u8]) -> Vec<u8> {
    let mut passed = Vec::new();
    if !bytes.is_empty() {
        guard.io_mut().coming.push_back(bytes.to_vec());
    }
    drain(guard, &mut passed);
    passed
}

#[test]
fn a_watch_says_where_in_a_message_the_connection_is() {
    let (mut guard, watch) = watched();
    assert_eq!((watch.heads(), watch.is_between_messages()), (0, true));
    for (bytes, heads, is_between) in [
        (&b"\r"[..], 0, false),
        (b"\n", 0, false),
        (b"PUT / HTTP/1.1\r\n", 0, false),
        (b"Content-Length: 2\r\n\r", 0, false),
        (b"\n", 1, false),
        (b"h", 1, false),
        (b"i", 1, true),
        (b"G", 1, false),
        (b"ET / HTTP/1.1\r\n\r\n", 2, true),
        (&GOOD.repeat(3), 5, true),
    ] {
        assert_eq!(hear(&mut guard, bytes), bytes);
        assert_eq!(
            (watch.heads(), watch.is_between_messages()),
            (heads, is_between)
        );
    }
}

const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nuPgrade: x\r\n\r\n";

#[test]
fn behind_a_request_for_another_protocol_nothing_is_passed_before_its_answer() {
    // S-086
    for behind in [GOOD, b"\x81\x05", UPGRADE] {
        let (mut guard, watch) = watched();
        let both = [GOOD, UPGRADE, behind].concat();
        assert_eq!(hear(&mut guard, &both), [GOOD, UPGRADE].concat());
        assert_eq!((watch.heads(), watch.fault()), (2, None));
        assert!(!watch.is_between_messages(), "something has come");
        watch.answered();
        assert_eq!(hear(&mut guard, b""), b"", "that was the first one's");
        watch.answered();
        let passed = hear(&mut guard, b"");
        match behind {
            [0x81, ..] => assert_eq!(watch.fault(), Some(HeadFault::MalformedMethod)),
            _ => assert_eq!((&*passed, watch.heads()), (behind, 3)),
        }
    }
}

#[test]
fn what_was_kept_of_another_protocol_comes_back_as_it_is() {
    // S-086
    for behind in [&b""[..], b"\x81\x05", GOOD] {
        let (mut guard, watch) = watched();
        let (first, rest) = behind.split_at(behind.len() / 2);
        hear(&mut guard, &[UPGRADE, first].concat());
        assert_eq!(hear(&mut guard, rest), b"");
        assert_eq!(watch.is_between_messages(), behind.is_empty());
        let (_, held) = guard.into_parts();
        assert_eq!(held, behind);
    }
}

#[test]
fn only_a_field_of_the_head_asks_for_another_protocol() {
    for other in [
        &b"GET / HTTP/1.1\r\nUpgrades: x\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nX: upgrade: x\r\n\r\n",
        b"GET / HTTP/1.0\r\nUpgrade: x\r\n\r\n",
        b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nUpgrade: x\r\n\r\n",
    ] {
        let (mut guard, watch) = watched();
        let both = [other, GOOD].concat();
        assert_eq!(hear(&mut guard, &both), both, "{:?}", watch.fault());
    }
}

#[test]
fn what_is_kept_has_an_end() {
    let (mut guard, _watch) = watched();
    hear(&mut guard, UPGRADE);
    for _ in 0..100 {
        hear(&mut guard, &[b'x'; 2048]);
    }
    let (_, held) = guard.into_parts();
    assert_eq!(held.len(), 16 * 1024);
}

#[test]
fn a_fault_in_a_head_wakes_everybody_who_waits_for_one() {
    let (mut guard, watch) = watched();
    let (mut first, mut second) = (pin!(watch.faulted()), pin!(watch.faulted()));
    let mut context = Context::from_waker(Waker::noop());
    assert!(first.as_mut().poll(&mut context).is_pending());
    assert!(second.as_mut().poll(&mut context).is_pending());
    hear(&mut guard, GOOD);
    assert!(first.as_mut().poll(&mut context).is_pending());
    hear(&mut guard, b"GET /#");
    let found = Poll::Ready(HeadFault::MalformedTarget);
    assert_eq!(first.as_mut().poll(&mut context), found);
    assert_eq!(second.as_mut().poll(&mut context), found);
    assert_eq!(pin!(watch.faulted()).poll(&mut context), found);
}

#[test]
fn a_fault_in_a_body_is_told_to_its_reader_alone() {
    // S-213
    let (mut guard, watch) = watched();
    let mut waiting = pin!(watch.faulted());
    let mut context = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    hear(
        &mut guard,
        b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx",
    );
    assert_eq!(watch.fault(), Some(HeadFault::Chunk));
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    assert_eq!(drain(&mut guard, &mut Vec::new()), Some(InvalidData));
}

#[test]
fn nothing_is_read_behind_a_fault() {
    // S-003: neither what came with it nor what comes later, nor the connection's end.
    let (mut guard, watch) = watched();
    assert_eq!(
        hear(&mut guard, b"GET / HTTP/1.1\r\nX : a\r\n\r\n"),
        b"GET / HTTP/1.1\r\nX"
    );
    guard.io_mut().is_closed = true;
    assert_eq!(hear(&mut guard, GOOD), b"");
    assert_eq!(watch.fault(), Some(HeadFault::MalformedField));
    assert_eq!(watch.heads(), 0);
    assert_eq!(
        guard.into_inner().coming.len(),
        1,
        "not even taken from the connection"
    );
}

#[test]
fn the_end_of_a_connection_is_passed_on_wherever_it_comes() {
    for begun in [
        &b""[..],
        b"\r",
        b"GET / HT",
        b"GET / HTTP/1.1\r\n\r",
        GOOD,
        b"GET /\r",
    ] {
        let (mut guard, watch) = watched();
        hear(&mut guard, begun);
        guard.io_mut().is_closed = true;
        let mut room = [0; 16];
        let mut buffer = ReadBuf::new(&mut room);
        let mut context = Context::from_waker(Waker::noop());
        let read = Pin::new(&mut guard).poll_read(&mut context, &mut buffer);
        assert!(matches!(read, Poll::Ready(Ok(()))));
        assert_eq!((buffer.filled(), watch.fault()), (&b""[..], None));
    }
}
