//! Bytes between a client and an app that have agreed on another protocol: both ways, as they come,
//! for as long as they would be let in anew.
//!
//! Reads nothing of them. Holds next to nothing while both sides take what they are given, and a piece
//! in each direction where one does not. Forwards nothing once its lease is over, however much lies
//! ready and whoever does not take it (S-005, S-272). The end of one direction is passed on and leaves
//! the other be, as TCP has it.

use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    lease::{Ended, Lease},
    pool::Connection,
};
use crate::clock::Clock;

/// How often the lease is asked again while nothing moves: wall clocks step, and sessions are revoked.
const LONGEST_UNASKED: Duration = Duration::from_secs(1);

/// The largest piece that is read at once, and all that is held of a direction.
const PIECE: usize = 16 * 1024;

/// How many pieces go before others have their turn.
const IN_A_ROW: usize = 16;

/// The app's end of a tunnel.
pub struct Tunnel {
    // Closed first.
    app: TokioIo<Upgraded>,
    /// Keeps a stranger's turn.
    _connection: Connection,
    lease: Option<Arc<dyn Lease>>,
    clock: Clock,
}

/// How a tunnel has ended.
#[derive(Debug)]
pub enum TunnelEnd {
    /// The app broke off.
    AppLeft(io::Error),
    /// The client broke off.
    ClientLeft,
    /// The lease is over.
    LeaseOver(Ended),
    /// The app, at least, has come to its end.
    Whole,
}

/// Whose fault it is that a direction came to nothing.
enum Broken {
    Reader(io::Error),
    Writer(io::Error),
}

impl Tunnel {
    pub(super) fn new(
        app: Upgraded,
        connection: Connection,
        lease: Option<Arc<dyn Lease>>,
        clock: Clock,
    ) -> Self {
        Self {
            app: TokioIo::new(app),
            _connection: connection,
            lease,
            clock,
        }
    }

    /// Carries bytes between the app and `client` until both have come to their ends, one of them
    /// breaks off, or the lease is over. `passed` is told how many bytes went to the client.
    pub async fn carry(
        &mut self,
        client: &mut (impl AsyncRead + AsyncWrite + Unpin),
        mut passed: impl FnMut(usize),
    ) -> TunnelEnd {
        let Self {
            app, lease, clock, ..
        } = self;
        let lease = lease.as_deref();
        let (mut up, mut down) = (Direction::default(), Direction::default());
        let may_go_on = || lease.is_none_or(Lease::is_live);
        let carrying = poll_fn(|context| {
            let to_client = down.poll(app, client, &may_go_on, &mut passed, context);
            let to_app = up.poll(client, app, &may_go_on, &mut |_| (), context);
            end_of(to_app, to_client)
        });
        tokio::select! {
            biased;
            () = over(lease, clock) => TunnelEnd::LeaseOver(lease.map_or(Ended::LeaseOver, Lease::end)),
            end = carrying => end,
        }
    }
}

/// What one direction comes to.
type Direct = Poll<Result<(), Broken>>;

/// What both directions together come to.
fn end_of(to_app: Direct, to_client: Direct) -> Poll<TunnelEnd> {
    Poll::Ready(match (to_app, to_client) {
        // Whoever has said all that there was to say need not listen any more.
        (Poll::Ready(_), Poll::Ready(Ok(()))) => TunnelEnd::Whole,
        // And nobody need be polite to a client that has gone.
        (Poll::Ready(Ok(())), Poll::Ready(Err(_))) => TunnelEnd::ClientLeft,
        (_, Poll::Ready(Err(Broken::Reader(error))))
        | (Poll::Ready(Err(Broken::Writer(error))), _) => TunnelEnd::AppLeft(error),
        (_, Poll::Ready(Err(Broken::Writer(_)))) | (Poll::Ready(Err(Broken::Reader(_))), _) => {
            TunnelEnd::ClientLeft
        }
        _ => return Poll::Pending,
    })
}

/// Ends when the lease does, within a second; never if there is none.
async fn over(lease: Option<&dyn Lease>, clock: &Clock) {
    let Some(lease) = lease else {
        return std::future::pending().await;
    };
    while lease.is_live() {
        clock.sleep(lease.remaining().min(LONGEST_UNASKED)).await;
    }
}

/// One direction.
#[derive(Default)]
struct Direction {
    /// Read, and not yet taken by the writer.
    rest: Bytes,
    state: State,
    /// Whether something was written since the last flush.
    is_unflushed: bool,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum State {
    #[default]
    Open,
    /// The reader has come to its end; the writer is told so.
    Ending,
    Ended,
    Broken,
}

impl Direction {
    /// Ready once the end of the reader was passed on, or when either side breaks off.
    fn poll(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
        may_go_on: &impl Fn() -> bool,
        passed: &mut impl FnMut(usize),
        context: &mut Context<'_>,
    ) -> Direct {
        match self.state {
            State::Ended => return Poll::Ready(Ok(())),
            State::Broken => return Poll::Pending,
            State::Ending | State::Open => {}
        }
        let polled = self.go_on(reader, writer, may_go_on, passed, context);
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => self.state = State::Ended,
            Poll::Ready(Err(_)) => self.state = State::Broken,
        }
        polled
    }

    fn go_on(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
        may_go_on: &impl Fn() -> bool,
        passed: &mut impl FnMut(usize),
        context: &mut Context<'_>,
    ) -> Direct {
        let mut turns = 0;
        while self.state == State::Open {
            if !may_go_on() {
                // Whoever watches over the lease ends it all.
                return Poll::Pending;
            }
            if turns == IN_A_ROW {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            turns += 1;
            if !self.rest.is_empty() {
                ready!(self.write_rest(writer, passed, context))?;
                continue;
            }
            let mut room = [const { MaybeUninit::uninit() }; PIECE];
            let mut buffer = ReadBuf::uninit(&mut room);
            let read = Pin::new(&mut *reader).poll_read(context, &mut buffer);
            match read {
                Poll::Pending => {
                    if self.is_unflushed {
                        ready!(flush(writer, context))?;
                        self.is_unflushed = false;
                    }
                    return Poll::Pending;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Broken::Reader(error))),
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => self.state = State::Ending,
                Poll::Ready(Ok(())) => {
                    self.write_new(buffer.filled(), writer, passed, context)?;
                }
            }
        }
        if !may_go_on() {
            return Poll::Pending;
        }
        // What lies ready goes out with it.
        let shut = ready!(Pin::new(writer).poll_shutdown(context));
        Poll::Ready(shut.map_err(Broken::Writer))
    }

    fn write_rest(
        &mut self,
        writer: &mut (impl AsyncWrite + Unpin),
        passed: &mut impl FnMut(usize),
        context: &mut Context<'_>,
    ) -> Direct {
        let taken = ready!(write(writer, &self.rest, context))?;
        passed(taken);
        self.is_unflushed = true;
        self.rest.advance(taken);
        if self.rest.is_empty() {
            // An empty rest would keep the whole piece in memory.
            self.rest = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what has just come, and keeps what the writer does not take at once.
    fn write_new(
        &mut self,
        mut bytes: &[u8],
        writer: &mut (impl AsyncWrite + Unpin),
        passed: &mut impl FnMut(usize),
        context: &mut Context<'_>,
    ) -> Result<(), Broken> {
        while !bytes.is_empty() {
            match write(writer, bytes, context) {
                Poll::Pending => {
                    self.rest = Bytes::copy_from_slice(bytes);
                    return Ok(());
                }
                Poll::Ready(taken) => {
                    let taken = taken?;
                    passed(taken);
                    self.is_unflushed = true;
                    bytes = bytes.get(taken..).unwrap_or_default();
                }
            }
        }
        Ok(())
    }
}

fn write(
    writer: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
    context: &mut Context<'_>,
) -> Poll<Result<usize, Broken>> {
    match ready!(Pin::new(writer).poll_write(context, bytes)) {
        Ok(0) => Poll::Ready(Err(Broken::Writer(io::ErrorKind::WriteZero.into()))),
        Err(error) => Poll::Ready(Err(Broken::Writer(error))),
        Ok(taken) => Poll::Ready(Ok(taken)),
    }
}

fn flush(writer: &mut (impl AsyncWrite + Unpin), context: &mut Context<'_>) -> Direct {
    let flushed = ready!(Pin::new(writer).poll_flush(context));
    Poll::Ready(flushed.map_err(Broken::Writer))
}
