//! Whole connections over a pipe, with short times and a clock that jumps to the next timer.

mod handed_over;

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use h2::client::SendRequest;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use hyper::{body::Incoming, service::Service};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    task::JoinHandle,
    time::timeout,
};

use super::*;
use crate::{
    clock::Clock,
    head_guard::{HeadFault, RefuseHead},
    listener::{Shutdown, deadline::now, frame_scan::PREFACE},
    telemetry::Metrics,
};

const SHORT: Patience = Patience {
    ping_interval: Duration::from_secs(30),
    ping_timeout: Duration::from_secs(20),
    stall: Duration::from_mins(1),
    age: Duration::from_hours(1),
    drain: Duration::from_hours(2),
};

/// Longer than anything that is waited for but what must not come.
const LONG: Duration = Duration::from_mins(10);

/// What an app's answer does.
#[derive(Clone, Copy, Eq, PartialEq)]
enum App {
    /// So many bytes, in pieces of a thousand.
    Gives(usize),
    /// One byte, then silence.
    GoesQuiet,
    /// No head.
    NeverAnswers,
    /// A head, and a fault in place of a body.
    Panics,
}

/// A service that counts what it has under way.
#[derive(Clone)]
struct Site {
    app: App,
    asked: Arc<AtomicUsize>,
    under_way: Arc<AtomicUsize>,
}

struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Service<Request<Incoming>> for Site {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, _: Request<Incoming>) -> Self::Future {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let under_way = UnderWay::new(&self.under_way);
        let app = self.app;
        Box::pin(async move {
            let left = match app {
                App::Gives(left) => left,
                App::GoesQuiet | App::Panics => 1,
                App::NeverAnswers => std::future::pending().await,
            };
            Ok(Response::new(Answer {
                left,
                goes_quiet: app == App::GoesQuiet,
                panics: app == App::Panics,
                _under_way: under_way,
            }))
        })
    }
}

impl RefuseHead for Site {
    fn refuse(&self, fault: HeadFault) -> Response<Bytes> {
        let mut refusal = Response::new(Bytes::from_static(b"refused"));
        *refusal.status_mut() = fault.status();
        refusal
    }
}

struct Answer {
    left: usize,
    goes_quiet: bool,
    panics: bool,
    _under_way: UnderWay,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        assert!(!this.panics, "a body of the tests panics on purpose");
        let length = this.left.min(1_000);
        this.left -= length;
        match (length, this.goes_quiet) {
            (0, true) => Poll::Pending,
            (0, false) => Poll::Ready(None),
            _ => Poll::Ready(Some(Ok(Frame::data(vec![b'x'; length].into())))),
        }
    }
}

/// A connection being served.
struct House {
    site: Site,
    terms: Terms,
    serving: JoinHandle<()>,
}

impl House {
    fn new(app: App) -> (Self, DuplexStream) {
        let site = Site {
            app,
            asked: Arc::default(),
            under_way: Arc::default(),
        };
        let terms = Terms {
            limits: Arc::new(Limits::default()),
            metrics: Arc::new(Metrics::new(Clock::system())),
            shutdown: Shutdown::default(),
            pressure: Pressure::default(),
        };
        let (ours, client) = duplex(64 * 1024);
        let serving = tokio::spawn({
            let (site, terms) = (site.clone(), terms.clone());
            async move {
                let caller = Caller::at(([127, 0, 0, 1], 1).into());
                serve(ours, site, caller, &terms, SHORT).await;
            }
        });
        let house = Self {
            site,
            terms,
            serving,
        };
        (house, client)
    }

    fn under_way(&self) -> usize {
        self.site.under_way.load(Ordering::SeqCst)
    }

    fn asked(&self) -> usize {
        self.site.asked.load(Ordering::SeqCst)
    }

    fn has_counted(&self, reason: &str) -> bool {
        let sample = format!("connections_cut_total{{reason=\"{reason}\"}} 1");
        self.terms.metrics.text(0).contains(&sample)
    }

    /// Waits until nothing is left of the requests; tasks end a moment after their connection.
    async fn becomes_empty(&self) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(self.under_way(), 0);
    }
}

type Connected = JoinHandle<Result<(), h2::Error>>;

/// A client that gives each answer a window of so many bytes and reads what comes.
async fn client(stream: DuplexStream, window: u32) -> (SendRequest<Bytes>, Connected) {
    let (sender, connection) = h2::client::Builder::new()
        .initial_window_size(window)
        .handshake(stream)
        .await
        .unwrap();
    (sender, tokio::spawn(connection))
}

fn request() -> Request<()> {
    Request::get("https://wiki.example/").body(()).unwrap()
}

/// Asks for the page and waits for the head of the answer.
async fn asks(sender: &mut SendRequest<Bytes>) -> Response<h2::RecvStream> {
    let (answer, _) = sender.send_request(request(), true).unwrap();
    answer.await.unwrap()
}

/// Reads an answer to its end and gives its window back.
async fn whole(answer: Response<h2::RecvStream>) -> Result<usize, h2::Error> {
    let mut body = answer.into_body();
    let mut length = 0;
    while let Some(data) = body.data().await {
        let data = data?;
        length += data.len();
        body.flow_control().release_capacity(data.len())?;
    }
    Ok(length)
}

// S-100
#[tokio::test(start_paused = true)]
async fn a_connection_without_a_request_ends_with_the_time_of_a_head() {
    for preface in [&b""[..], &PREFACE[..10], PREFACE] {
        let (house, mut client) = House::new(App::NeverAnswers);
        client.write_all(preface).await.unwrap();
        let limit = house.terms.limits.head_timeout;
        let reading = async { while client.read_u8().await.is_ok() {} };
        timeout(limit * 2, reading).await.unwrap();
        assert!(house.has_counted("head_timeout"));
        house.serving.await.unwrap();
    }
}

// S-100: HEADERS without their end.
#[tokio::test(start_paused = true)]
async fn a_header_block_that_is_never_finished_ends_the_connection() {
    let (house, mut client) = House::new(App::Gives(1));
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    // One request, whole: GET, https, /; then a block that stays open.
    let whole = [0, 0, 3, 1, 5, 0, 0, 0, 1, 0x82, 0x87, 0x84];
    let open = [0, 0, 3, 1, 1, 0, 0, 0, 3, 0x82, 0x87, 0x84];
    for bytes in [PREFACE, &settings, &whole, &open] {
        client.write_all(bytes).await.unwrap();
    }
    let reading = async { while client.read_u8().await.is_ok() {} };
    let limit = house.terms.limits.head_timeout;
    timeout(limit * 2, reading).await.unwrap();
    assert!(house.has_counted("frame_timeout"));
    house.serving.await.unwrap();
}

// S-261
#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_told_to_go_and_closed() {
    let (house, stream) = House::new(App::Gives(10));
    let (mut sender, connected) = client(stream, 1_000).await;
    assert_eq!(whole(asks(&mut sender).await).await.unwrap(), 10);
    let idle = house.terms.limits.idle;
    timeout(idle * 2 + SHORT.ping_timeout, house.serving)
        .await
        .unwrap()
        .unwrap();
    connected.await.unwrap().unwrap();
    let told = sender.ready().await.err().unwrap();
    assert!(
        told.is_remote() || told.is_go_away() || told.is_io(),
        "{told:?}"
    );
}

// S-262
#[tokio::test(start_paused = true)]
async fn an_old_connection_takes_no_requests_and_finishes_those_it_has() {
    let (house, stream) = House::new(App::GoesQuiet);
    let (mut sender, _connected) = client(stream, 1_000).await;
    let mut answer = asks(&mut sender).await.into_body();
    assert_eq!(answer.data().await.unwrap().unwrap().len(), 1);
    sleep(SHORT.age / 2).await;
    let _second = asks(&mut sender).await;
    sleep(SHORT.age / 2 + Duration::from_secs(1)).await;
    assert!(sender.clone().ready().await.is_err(), "no third one");
    assert_eq!(house.under_way(), 2, "the first two go on");
    assert!(timeout(SHORT.drain / 2, answer.data()).await.is_err());
    assert!(!house.serving.is_finished());
    timeout(SHORT.drain, house.serving).await.unwrap().unwrap();
    assert!(
        answer.data().await.unwrap().is_err(),
        "broken off in the end"
    );
}

// S-109, S-260: it asks again and again, and takes nothing.
#[tokio::test(start_paused = true)]
async fn whoever_takes_nothing_of_its_answers_makes_room_and_a_reader_does_not() {
    for window in [0, 65_535] {
        let (house, stream) = House::new(App::Gives(10_000_000));
        let (mut sender, _connected) = client(stream, window).await;
        let mut answers = Vec::new();
        let pressure = house.terms.pressure.clone();
        let waiting = pressure.ask();
        let mut seconds = 0;
        while !house.serving.is_finished() && seconds < 30 {
            let answer = if seconds % 3 == 0 && sender.clone().ready().await.is_ok() {
                Some(asks(&mut sender).await)
            } else {
                None
            };
            answers.extend(answer.map(Response::into_body));
            if window > 0 {
                for body in &mut answers {
                    if let Ok(Some(Ok(data))) = timeout(Duration::ZERO, body.data()).await {
                        body.flow_control().release_capacity(data.len()).unwrap();
                    }
                }
            }
            sleep(Duration::from_secs(1)).await;
            waiting.ask_again();
            seconds += 1;
        }
        assert_eq!(house.serving.is_finished(), window == 0, "{window}");
    }
}

/// Whether the connection ends once it is asked to, one time only.
async fn goes_when_asked(house: House) -> bool {
    let pressure = house.terms.pressure.clone();
    let _waiting = pressure.ask();
    timeout(LAST_WORD * 2, house.serving).await.is_ok()
}

// S-260: at whatever moment it is asked.
#[tokio::test(start_paused = true)]
async fn an_idle_connection_hears_the_first_ask() {
    for quarters in 0..40 {
        let (house, stream) = House::new(App::Gives(10));
        let (mut sender, _connected) = client(stream, 1_000).await;
        for _ in 0..2 {
            // The second time it had been listening.
            assert_eq!(whole(asks(&mut sender).await).await.unwrap(), 10);
            sleep(GRACE * 3 + GRACE * quarters / 4).await;
        }
        assert!(goes_when_asked(house).await, "{quarters}");
    }
}

// S-260
#[tokio::test(start_paused = true)]
async fn a_connection_without_a_request_makes_room_and_is_counted() {
    for preface in [&b""[..], &PREFACE[..10], PREFACE] {
        let (house, mut client) = House::new(App::NeverAnswers);
        client.write_all(preface).await.unwrap();
        let (pressure, metrics) = (house.terms.pressure.clone(), house.terms.metrics.clone());
        let _waiting = pressure.ask();
        let arrived = now();
        house.serving.await.unwrap();
        assert_eq!(
            arrived.elapsed(),
            GRACE,
            "a client has a moment to say something"
        );
        assert!(metrics.text(0).contains("{reason=\"connections\"} 1"));
    }
}

// S-260
#[tokio::test(start_paused = true)]
async fn a_connection_that_was_idle_and_is_in_use_keeps_nobody_from_being_asked() {
    let (house, stream) = House::new(App::NeverAnswers);
    let (mut sender, _connected) = client(stream, 1_000).await;
    drop(sender.send_request(request(), true).unwrap());
    sleep(GRACE * 3).await;
    assert_eq!((house.asked(), house.under_way()), (1, 0));
    let pressure = house.terms.pressure.clone();
    let mut other = Box::pin(pressure.asked());
    assert!(futures_util::poll!(other.as_mut()).is_pending());
    let (_answer, _) = sender.send_request(request(), true).unwrap();
    sleep(Duration::from_millis(1)).await;
    assert_eq!(house.under_way(), 1);
    let _waiting = pressure.ask();
    assert!(futures_util::poll!(other.as_mut()).is_ready());
    assert!(!goes_when_asked(house).await);
}

// S-109, S-257
#[tokio::test(start_paused = true)]
async fn a_stream_of_which_nothing_is_taken_is_reset_and_its_app_let_go() {
    for window in [0, 1, 999, 65_535] {
        let (house, stream) = House::new(App::Gives(1_000_000));
        let (mut sender, _connected) = client(stream, window).await;
        let stalled = asks(&mut sender).await;
        sleep(SHORT.stall / 2).await;
        assert_eq!(house.under_way(), 1);
        let mut stalled = stalled.into_body();
        let reset = async {
            loop {
                if let Some(Err(error)) = stalled.data().await {
                    break error;
                }
            }
        };
        let reset = timeout(SHORT.stall * 2, reset).await.unwrap();
        assert_eq!(reset.reason(), Some(h2::Reason::CANCEL), "window {window}");
        house.becomes_empty().await;
        assert!(!house.serving.is_finished(), "the connection lives on");
        sender.ready().await.unwrap();
    }
}

// S-109, S-257
#[tokio::test(start_paused = true)]
async fn a_stream_of_which_a_piece_is_taken_now_and_then_is_reset_all_the_same() {
    for pause in [3, 10, 59] {
        let (house, stream) = House::new(App::Gives(1_000_000));
        let (mut sender, _connected) = client(stream, 2_000).await;
        let mut slow = asks(&mut sender).await.into_body();
        let mut taken = 0;
        let reset = loop {
            match slow.data().await.unwrap() {
                Err(error) => break error,
                Ok(data) => {
                    taken += data.len();
                    assert!(taken < 500_000, "a piece in {pause} s for ever");
                    sleep(Duration::from_secs(pause)).await;
                    slow.flow_control().release_capacity(data.len()).unwrap();
                }
            }
        };
        assert_eq!(reset.reason(), Some(h2::Reason::CANCEL), "{pause} s");
        house.becomes_empty().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_and_a_quiet_app_are_left_alone() {
    let (house, stream) = House::new(App::Gives(100_000));
    let (mut sender, _connected) = client(stream, 2_000).await;
    let mut slow = asks(&mut sender).await.into_body();
    let mut length = 0;
    while let Some(data) = slow.data().await {
        let data = data.unwrap().len();
        length += data;
        // 500 bytes a second.
        sleep(Duration::from_secs(2)).await;
        slow.flow_control().release_capacity(data).unwrap();
    }
    assert_eq!(length, 100_000);
    house.becomes_empty().await;

    for app in [App::GoesQuiet, App::NeverAnswers] {
        let (house, stream) = House::new(app);
        let (mut sender, _connected) = client(stream, 65_535).await;
        let (_answer, _) = sender.send_request(request(), true).unwrap();
        sleep(LONG).await;
        assert_eq!(house.under_way(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn streams_end_with_their_connection() {
    for app in [App::GoesQuiet, App::NeverAnswers, App::Gives(1_000_000)] {
        for client_goes in [true, false] {
            let (house, stream) = House::new(app);
            let (mut sender, connected) = client(stream, 10).await;
            let answers: Vec<_> = (0..10)
                .map(|_| sender.send_request(request(), true).unwrap())
                .collect();
            while house.under_way() < 10 {
                tokio::task::yield_now().await;
            }
            if client_goes {
                connected.abort();
                drop((answers, sender));
            } else {
                house.terms.shutdown.advance_to(Phase::Ended);
            }
            house.becomes_empty().await;
        }
    }
}

// S-268
#[tokio::test(start_paused = true)]
async fn a_panic_in_a_body_is_counted_and_ends_its_stream_alone() {
    let (house, stream) = House::new(App::Panics);
    let (mut sender, _connected) = client(stream, 1_000).await;
    for count in 1..=3 {
        let answer = asks(&mut sender).await;
        assert!(whole(answer).await.is_err());
        let counted = house.terms.metrics.text(0);
        let sample = format!("vestibule_panics_total {count}");
        assert!(counted.contains(&sample), "{counted}");
    }
    house.becomes_empty().await;
}

// S-258
#[tokio::test(start_paused = true)]
async fn what_http1_would_refuse_never_reaches_the_service() {
    let (house, stream) = House::new(App::Gives(10));
    let (mut sender, _connected) = client(stream, 1_000).await;
    let mut many = request();
    for _ in 0..101 {
        many.headers_mut().append("x", "y".parse().unwrap());
    }
    let mut twice = request();
    for _ in 0..2 {
        twice.headers_mut().append("content-length", 0.into());
    }
    let mut signed = request();
    signed
        .headers_mut()
        .insert("content-length", "+0".parse().unwrap());
    let cases = [
        (many, Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)),
        (twice, Some(StatusCode::BAD_REQUEST)),
        // h2 resets the stream by itself.
        (signed, None),
    ];
    for (request, expected) in cases {
        let (answer, _) = sender.send_request(request, true).unwrap();
        let answer = answer.await.ok();
        assert_eq!(answer.as_ref().map(Response::status), expected);
        if let Some(answer) = answer {
            assert_eq!(whole(answer).await.unwrap(), b"refused".len());
        }
        assert_eq!(house.asked(), 0);
    }
    assert_eq!(whole(asks(&mut sender).await).await.unwrap(), 10);
}
