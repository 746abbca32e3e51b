//! An HTTP/1.1 connection: its requests one after the other, its time limits, and its end.
//!
//! It waits parked, is served in rounds, and is parked again. Knows nothing of what a request means.
//! Never leaves a request's unread body where the next head is looked for (RFC 9112 9.3), and never
//! takes back an answer by closing too hard.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::Instant,
};

use super::{
    carried::Carried,
    connection::{Caller, Terms, report},
    deadline::from_now,
    exchange::{Course, Exchanges},
    lingering::{Layered, linger, part},
    parked::{Woken, parked},
    refusal,
    rewound::Rewound,
    room::OF_ROOM,
    round::{Left, Outcome, round},
    serves::Serves,
    shutdown::Phase,
    write_stall::{WRITE_STALL, WriteStall},
};
use crate::{
    clock::Clock,
    config::listener::Limits,
    handover::Handover,
    head_guard::{HeadFault, HeadGuard, HeadLimits, Known, RefuseHead},
};

/// How long a connection is used: after that its next answer is its last, so that certificates, limits
/// and addresses roll over (S-262; Envoy's edge settings call it the duration of a connection).
const MAX_AGE: Duration = Duration::from_hours(1);

/// What becomes of a connection.
#[derive(Debug)]
enum Fate {
    /// It is dropped: there is nobody there, or an answer broke off and must not look whole.
    Drop,
    /// It goes to somebody else, who speaks another protocol; these bytes of it were read.
    HandOver(Handover, Bytes),
    /// It is closed; the client may still be sending.
    Linger,
    /// It waits for the next request; it has done so already for so long.
    Park(Duration),
    /// It is closed; nothing is under way.
    Part,
    /// Its last answer is a refusal of a head that began so.
    Refuse(HeadFault, Bytes),
}

/// Serves a connection that speaks HTTP/1.1 or 1.0.
pub(super) async fn serve_http1<I, S>(io: I, service: S, caller: Caller, terms: &Terms)
where
    I: AsyncRead + AsyncWrite + Layered + Unpin + Send + 'static,
    S: Serves,
{
    serve_until(from_now(MAX_AGE), io, service, caller, terms).await;
}

async fn serve_until<I, S>(retires_at: Instant, io: I, service: S, caller: Caller, terms: &Terms)
where
    I: AsyncRead + AsyncWrite + Layered + Unpin + Send + 'static,
    S: Serves,
{
    let limits = &terms.limits;
    let guard = HeadGuard::of_requests(WriteStall::new(io, WRITE_STALL), head_limits(limits));
    let course = Arc::new(Course::new(guard.watch(), terms.shutdown.clone()));
    let mut io = Carried::new(guard);
    let mut service = Exchanges {
        service,
        course: Arc::clone(&course),
    };
    let mut until = from_now(limits.head_timeout);
    let fate = loop {
        match parked(&mut io, &course, until, caller.arrived, terms).await {
            Woken::Bytes => {}
            Woken::Faulted(fault) => break Fate::Refuse(fault, Bytes::new()),
            Woken::Gone => break Fate::Drop,
            Woken::Late => {
                if course.activity.seen().is_untouched() {
                    terms.metrics.connection_cut(HeadFault::Late.reason());
                }
                break Fate::Part;
            }
            Woken::Unwanted => {
                if course.activity.seen().is_untouched() {
                    terms.metrics.connection_cut(OF_ROOM);
                }
                break Fate::Part;
            }
            Woken::Stopped => break Fate::Part,
        }
        // On the heap, so that a parked connection has nothing of it.
        let mut left = Box::pin(round(io, service, retires_at, caller.arrived, terms)).await;
        let fate = match left.handover.take() {
            Some(handover) => Fate::HandOver(handover, left.unread.clone()),
            None => fate_after(&left, &course),
        };
        io = left.io;
        service = left.service;
        match left.outcome {
            Outcome::Closed(served) => {
                if matches!(&served, Err(error) if error.is_parse()) {
                    // hyper has answered it in its own words: what is left to it are targets that
                    // no `Uri` can hold. The line and the count are ours.
                    let _ = service.service.refuse(HeadFault::MalformedTarget);
                }
                report(served, caller);
            }
            Outcome::Unwanted => terms.metrics.connection_cut(OF_ROOM),
            Outcome::Ended | Outcome::Faulted(_) | Outcome::Quiet(_) => {}
        }
        match fate {
            Fate::Park(already) => {
                until = from_now(limits.idle.saturating_sub(already)).min(retires_at);
            }
            fate => break fate,
        }
    };
    let ending = Box::pin(end(io, fate, &service.service, terms));
    tokio::select! {
        () = ending => {}
        () = terms.shutdown.reached(Phase::Ended) => {}
    }
}

fn fate_after<I, S>(left: &Left<I, S>, course: &Course) -> Fate {
    // Bytes that hyper has not used may be those of a body: whatever they are, they are no head.
    // And what has not gone out would be lost.
    let is_clear = left.unread.is_empty() && left.io.settled().holds();
    let may_park = is_clear && course.is_idle() && !left.io.is_at_end();
    match &left.outcome {
        // An empty line behind a body is no head that could be late.
        Outcome::Faulted(HeadFault::Late) if left.unread.as_ref() == b"\r\n" => Fate::Part,
        Outcome::Faulted(fault) => Fate::Refuse(*fault, left.unread.clone()),
        Outcome::Quiet(already) if may_park => Fate::Park(*already),
        // hyper has answered it.
        Outcome::Closed(Err(error)) if error.is_parse() => Fate::Linger,
        Outcome::Closed(Err(_)) | Outcome::Ended => Fate::Drop,
        Outcome::Closed(Ok(())) | Outcome::Quiet(_) => Fate::Linger,
        Outcome::Unwanted => Fate::Part,
    }
}

async fn end<I, S>(io: Carried<HeadGuard<WriteStall<I>>>, fate: Fate, service: &S, terms: &Terms)
where
    I: AsyncRead + AsyncWrite + Layered + Unpin + Send + 'static,
    S: RefuseHead,
{
    let gone = io.is_at_end();
    let (guard, ahead) = io.into_parts();
    let (mut io, held) = guard.into_parts();
    match fate {
        Fate::Drop => {}
        Fate::HandOver(handover, unread) => {
            let stream = Rewound::new([unread, ahead, held], io);
            // Whoever uses it ends it as it shall look.
            handover.begin(Box::new(stream)).await;
        }
        Fate::Linger | Fate::Park(_) | Fate::Part if gone => part(io).await,
        Fate::Linger => linger(io).await,
        Fate::Park(_) | Fate::Part => part(io).await,
        Fate::Refuse(fault, start) => {
            if fault == HeadFault::Late {
                terms.metrics.connection_cut(fault.reason());
            }
            let answer = service.refuse_known(fault, &Known::of_bytes(fault, &start));
            let bytes = refusal::written(&answer, Clock::system().now().wall);
            if io.write_all(&bytes).await.is_ok() {
                linger(io).await;
            }
        }
    }
}

fn head_limits(limits: &Limits) -> HeadLimits {
    HeadLimits {
        head_bytes: limits.head_bytes,
        headers: limits.headers,
        target_bytes: limits.target_bytes,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        future::{Ready, ready},
    };

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::Full;
    use hyper::{body::Incoming, service::Service};
    use tokio::{
        io::{AsyncReadExt, DuplexStream, duplex},
        time::sleep,
    };

    use super::*;
    use crate::{
        listener::{Pressure, Shutdown, deadline::now, room::GRACE},
        telemetry::Metrics,
    };

    struct Hello;

    impl Service<Request<Incoming>> for Hello {
        type Response = Response<Full<Bytes>>;
        type Error = Infallible;
        type Future = Ready<Result<Self::Response, Infallible>>;

        fn call(&self, request: Request<Incoming>) -> Self::Future {
            let body = match request.uri().path() {
                "/large" => Bytes::from(vec![b'x'; LENGTH]),
                _ => Bytes::from_static(b"hello"),
            };
            ready(Ok(Response::new(Full::from(body))))
        }
    }

    impl RefuseHead for Hello {
        fn refuse(&self, fault: HeadFault) -> Response<Bytes> {
            let mut answer = Response::new(Bytes::new());
            *answer.status_mut() = fault.status();
            answer
        }
    }

    /// More than the line takes at once, and less than hyper keeps.
    const LENGTH: usize = 300_000;
    const LARGE: &[u8] = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n";
    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    /// What a connection is served on that may be idle for ever.
    fn terms() -> Terms {
        let limits = Limits {
            idle: MAX_AGE * 2,
            ..Limits::default()
        };
        Terms {
            limits: Arc::new(limits),
            metrics: Arc::new(Metrics::new(Clock::system())),
            shutdown: Shutdown::default(),
            pressure: Pressure::default(),
        }
    }

    /// A client of a connection that retires after `age`.
    fn client_of(age: Duration) -> DuplexStream {
        client_on(terms(), age)
    }

    fn client_on(terms: Terms, age: Duration) -> DuplexStream {
        let (client, server) = duplex(4096);
        tokio::spawn(async move {
            let caller = Caller::at(([127, 0, 0, 1], 1).into());
            serve_until(from_now(age), server, Hello, caller, &terms).await;
        });
        client
    }

    /// The next answer, or what came until the end.
    async fn answer(client: &mut DuplexStream) -> String {
        let mut text = String::new();
        while !text.ends_with("hello") {
            let mut piece = [0; 512];
            let read = client.read(&mut piece).await.unwrap();
            if read == 0 {
                break;
            }
            text.push_str(std::str::from_utf8(&piece[..read]).unwrap());
        }
        text
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_connection_is_told_that_it_is_old() {
        // S-262
        let mut client = client_of(Duration::from_mins(1));
        for passed in 0.. {
            client.write_all(GET).await.unwrap();
            let text = answer(&mut client).await;
            assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
            if text.contains("connection: close") {
                assert!(passed >= 600, "{passed}");
                break;
            }
            assert!(passed <= 600, "it is not told");
            sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(answer(&mut client).await, "", "and then closed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_never_at_rest_is_told_that_it_is_old() {
        // S-262
        let age = Duration::from_mins(1);
        let mut client = client_of(age);
        client.write_all(GET).await.unwrap();
        for passed in 0..=62 {
            // The next request is always there before the answer to the last one.
            client.write_all(GET).await.unwrap();
            if one_answer(&mut client).await.1 {
                assert!(passed >= 59, "{passed}");
                return;
            }
            tokio::time::advance(age / 60).await;
        }
        panic!("it is never told");
    }

    /// One answer and no byte more; and whether it is the last one.
    async fn one_answer(client: &mut DuplexStream) -> (Vec<u8>, bool) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let length = head.split_once("content-length: ").unwrap().1;
        let length = length.split_once('\r').unwrap().0.parse().unwrap();
        let mut body = vec![0; length];
        client.read_exact(&mut body).await.unwrap();
        (body, head.contains("connection: close"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_gets_its_answer_to_the_end_before_its_next_head_is_late() {
        // S-254, S-257: most of the answer waits to go out for longer than a head may take.
        let mut client = client_of(MAX_AGE);
        client.write_all(LARGE).await.unwrap();
        client.write_all(b"GET /half").await.unwrap();
        sleep(Limits::default().head_timeout * 3).await;
        let (body, is_last) = one_answer(&mut client).await;
        assert!(body.len() == LENGTH && !is_last, "{}", body.len());
        let refusal = answer(&mut client).await;
        assert!(refusal.starts_with("HTTP/1.1 408 "), "{refusal}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_parked_connection_ends_by_its_age() {
        // S-262
        let begun = now();
        let age = Duration::from_mins(1);
        let mut client = client_of(age);
        client.write_all(GET).await.unwrap();
        assert!(!answer(&mut client).await.contains("connection: close"));
        assert_eq!(
            answer(&mut client).await,
            "",
            "closed, though it may be idle for ever"
        );
        assert!(begun.elapsed() >= age, "{:?}", begun.elapsed());
    }

    /// When the connection of this client is over, having said nothing more.
    async fn over(client: &mut DuplexStream) -> Instant {
        assert_eq!(answer(client).await, "");
        now()
    }

    // S-254, S-260
    #[tokio::test(start_paused = true)]
    async fn who_has_not_brought_a_head_makes_room_and_is_counted() {
        for said in [&b""[..], b"G", &GET[..GET.len() - 1]] {
            let terms = terms();
            let mut client = client_on(terms.clone(), MAX_AGE);
            client.write_all(said).await.unwrap();
            let arrived = now();
            let _waiting = terms.pressure.ask();
            assert_eq!(over(&mut client).await, arrived + GRACE, "{said:?}");
            let counted = terms.metrics.text(0);
            assert!(counted.contains("{reason=\"connections\"} 1"), "{counted}");
        }
    }

    // S-254, S-260
    #[tokio::test(start_paused = true)]
    async fn who_does_not_finish_a_further_head_makes_room() {
        for pause in [Duration::ZERO, Duration::from_mins(1)] {
            let terms = terms();
            let mut client = client_on(terms.clone(), MAX_AGE);
            client.write_all(GET).await.unwrap();
            assert!(answer(&mut client).await.ends_with("hello"));
            sleep(pause).await;
            client.write_all(b"GET /half").await.unwrap();
            let begun = now();
            sleep(GRACE * 2).await;
            let _waiting = terms.pressure.ask();
            assert_eq!(over(&mut client).await, begun + GRACE * 2, "{pause:?}");
        }
    }

    // S-260
    #[tokio::test(start_paused = true)]
    async fn an_answer_on_its_way_makes_no_room() {
        let terms = terms();
        let mut client = client_on(terms.clone(), MAX_AGE);
        client.write_all(LARGE).await.unwrap();
        client.write_all(b"GET /half").await.unwrap();
        let _waiting = terms.pressure.ask();
        sleep(GRACE * 3).await;
        let (body, _) = one_answer(&mut client).await;
        assert_eq!(body.len(), LENGTH);
    }
}
