//! An HTTP/2 connection: its time limits, its floods, and its end (RFC 9113).
//!
//! Knows nothing of what a request means. What one client can make us keep or do is bounded here, by
//! what hyper is told and by the guard around the connection. At the default limits that is 170 KiB for
//! each of its streams, nearly all of it heads, which no window holds back: a request's 32 as it came and
//! as the app got it, an answer's 64 in its buffer; 320 KiB more for each that has a connection to an
//! app, of a body that its client does not take; and a mebibyte for the connection itself. A test holds
//! it to that.

use std::{pin::pin, sync::Arc, time::Duration};

use hyper::{rt::Executor, server::conn::http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::sleep,
};

use super::{
    activity::{Activity, Seen},
    connection::{Caller, Terms, report},
    contained::contained,
    frame_guard::FrameGuard,
    room::{GRACE, OF_ROOM, Pressure},
    serves::Serves,
    shutdown::Phase,
    stream_service::{StreamService, largest_list},
    stream_tasks::StreamTasks,
    write_stall::WRITE_STALL,
};
use crate::{config::listener::Limits, telemetry::SharedMetrics};

/// What a client may send on one stream that the app has not read.
const STREAM_WINDOW: u32 = 256 * 1024;
/// What a client may send on all streams that their apps have not read: the most that is held of
/// requests per connection. h2 counts the overhead of small frames beside it, up to half as much.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// The largest frame that is taken; a whole frame is held before anybody sees it.
const FRAME_BYTES: u32 = 16 * 1024;
/// What is held of one stream's answer for a slow line, over and above one piece.
const SEND_BUFFER: usize = 64 * 1024;
/// The table that a client's fields refer to; it lives as long as the connection.
const HEADER_TABLE: u32 = 4 * 1024;
/// Streams that a client may have reset before we have looked at them (CVE-2023-44487).
const PENDING_RESETS: usize = 20;
/// Streams that a client may have made us reset by breaking a rule, in the life of a connection
/// (CVE-2025-8671); refused ones count.
const PROVOKED_RESETS: usize = 100;

/// How long things may take that no operator needs to change.
#[derive(Clone, Copy)]
struct Patience {
    /// A client that says nothing is asked this often whether it is still there.
    ping_interval: Duration,
    /// How long it may take over the answer, and over its going when it was told to.
    ping_timeout: Duration,
    /// How long it may take nothing of an answer that is ready.
    stall: Duration,
    /// How long a connection takes requests: certificates and limits are renewed with it.
    age: Duration,
    /// How long streams may go on after that; nobody who is signed in stays longer.
    drain: Duration,
}

const PATIENCE: Patience = Patience {
    ping_interval: Duration::from_secs(30),
    ping_timeout: Duration::from_secs(20),
    stall: WRITE_STALL,
    age: Duration::from_hours(1),
    drain: Duration::from_hours(24),
};

/// How long a client has to hear that its place is needed.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Why a client is told to go.
#[derive(Clone, Copy)]
enum Farewell {
    Age,
    Idle,
    /// Somebody waits for its place.
    Room,
    Stop,
}

/// Serves a connection that speaks HTTP/2.
pub(super) async fn serve_http2<I, S>(io: I, service: S, caller: Caller, terms: &Terms)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Serves,
{
    serve(io, service, caller, terms, PATIENCE).await;
}

async fn serve<I, S>(io: I, service: S, caller: Caller, terms: &Terms, patience: Patience)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Serves,
{
    let Terms {
        limits,
        shutdown,
        metrics,
        pressure,
    } = terms;
    let io = FrameGuard::new(io, limits.head_timeout);
    let watch = io.watch();
    let activity = Activity::default();
    let tasks = Contained {
        tasks: StreamTasks::new(patience.stall, watch.clone(), activity.clone()),
        metrics: Arc::clone(metrics),
    };
    let (limited, counted) = (Arc::clone(limits), Arc::clone(metrics));
    let service = StreamService::new(service, activity.clone(), limited, counted, patience.stall);
    let builder = builder(tasks, limits, patience);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
    // What lies ready wins over every reason to close.
    let farewell = tokio::select! {
        biased;
        served = connection.as_mut() => {
            return ended(served, watch.cut(), caller, terms);
        }
        () = first_request_is_late(&activity, limits.head_timeout) => {
            metrics.connection_cut("head_timeout");
            return;
        }
        () = makes_room_unasked(&activity, caller, pressure) => {
            metrics.connection_cut(OF_ROOM);
            return;
        }
        () = idles(&activity, limits.idle) => Farewell::Idle,
        () = makes_room(&activity, pressure) => Farewell::Room,
        () = sleep(patience.age) => Farewell::Age,
        () = shutdown.reached(Phase::Draining) => {
            if activity.seen().is_untouched() {
                return;
            }
            Farewell::Stop
        }
    };
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        served = connection.as_mut() => ended(served, watch.cut(), caller, terms),
        () = outstays(farewell, &activity, limits.idle, patience) => {}
        () = shutdown.reached(Phase::Ended) => {}
    }
}

/// What one client can make us hold is in the constants; what it can make us do, in the budgets.
fn builder(tasks: Contained, limits: &Limits, patience: Patience) -> http2::Builder<Contained> {
    let header_list = u32::try_from(largest_list(limits.head_bytes)).unwrap_or(u32::MAX);
    let mut builder = http2::Builder::new(tasks);
    builder
        .timer(TokioTimer::new())
        // WebSockets (RFC 8441); whoever serves the request refuses every other protocol.
        .enable_connect_protocol()
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(header_list)
        .header_table_size(HEADER_TABLE)
        .max_frame_size(FRAME_BYTES)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(PROVOKED_RESETS)
        .keep_alive_interval(patience.ping_interval)
        .keep_alive_timeout(patience.ping_timeout);
    builder
}

/// The tasks of streams, whose faults are counted.
#[derive(Clone)]
struct Contained {
    tasks: StreamTasks,
    metrics: SharedMetrics,
}

impl<F> Executor<F> for Contained
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let metrics = Arc::clone(&self.metrics);
        self.tasks.execute(async move {
            contained("a stream", &metrics, stream).await;
        });
    }
}

/// Counts the end of a connection if a limit brought it about, and tells whoever asks.
fn ended(served: hyper::Result<()>, cut: Option<&'static str>, caller: Caller, terms: &Terms) {
    let of_h2 = || is_too_much(served.as_ref().err()?).then_some("flood_http2");
    if let Some(reason) = cut.or_else(of_h2) {
        terms.metrics.connection_cut(reason);
        let Caller { address, front, .. } = caller;
        let front = front.map(tracing::field::display);
        tracing::debug!(peer = %address, front, reason, "ended a connection that went beyond a limit");
        return;
    }
    report(served, caller);
}

/// Whether h2 gave a client up by its own count: of resets, of small frames, of header blocks.
fn is_too_much(error: &hyper::Error) -> bool {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<h2::Error>())
        .is_some_and(|error| {
            error.is_library() && error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM)
        })
}

/// Ends when a client that was told to go has had its time.
async fn outstays(farewell: Farewell, activity: &Activity, idle: Duration, patience: Patience) {
    match farewell {
        Farewell::Age => tokio::select! {
            () = idles(activity, idle) => {}
            () = sleep(patience.drain) => {}
        },
        // What was on its way when it was told is served to its end.
        Farewell::Idle => {
            let rests = async {
                loop {
                    sleep(patience.ping_timeout).await;
                    if activity.seen().is_at_rest() {
                        return;
                    }
                }
            };
            tokio::select! {
                () = rests => {}
                () = sleep(patience.drain) => {}
            }
        }
        Farewell::Room => loop {
            sleep(LAST_WORD).await;
            if activity.seen().waits_for_its_client() {
                return;
            }
        },
        // The stop has a grace of its own.
        Farewell::Stop => std::future::pending().await,
    }
}

/// Ends when a connection has been there for the time of a head and not one request has come; hyper
/// itself waits for the preface for ever.
async fn first_request_is_late(activity: &Activity, limit: Duration) {
    sleep(limit).await;
    if !activity.seen().is_untouched() {
        std::future::pending::<()>().await;
    }
}

/// Ends when a connection has had nothing under way for the idle time, twice that at the most.
async fn idles(activity: &Activity, limit: Duration) {
    let mut earlier = activity.seen();
    loop {
        sleep(limit).await;
        let now = activity.seen();
        if now.is_idle_since(earlier) {
            return;
        }
        earlier = now;
    }
}

/// Ends when somebody needs the place of a connection that has not brought one request.
async fn makes_room_unasked(activity: &Activity, caller: Caller, pressure: &Pressure) {
    tokio::select! {
        biased;
        () = activity.begins(Seen::default()) => std::future::pending().await,
        () = pressure.asked_of_stranger(caller.arrived) => {}
    }
}

/// Ends when somebody needs the place of a connection that has had requests and of which nobody has any
/// use: it has nothing under way, or answers that its client does not take.
async fn makes_room(activity: &Activity, pressure: &Pressure) {
    activity.begins(Seen::default()).await;
    loop {
        // Looked at now and then while it is in use; from when it is known not to be until it is
        // again, it listens.
        let earlier = activity.seen();
        sleep(GRACE).await;
        if !activity.seen().is_useless_since(earlier) {
            continue;
        }
        // Whoever takes nothing and asks for more is of no more use for that.
        let takes_nothing = activity.seen().has_stuck();
        tokio::select! {
            biased;
            () = activity.begins(earlier), if !takes_nothing => {}
            () = pressure.asked() => {
                if activity.seen().is_useless_since(earlier) {
                    return;
                }
                pressure.hand_on();
            }
        }
    }
}

#[cfg(test)]
mod tests;
