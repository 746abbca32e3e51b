//! The whole way of a request over a connection that is kept: head guard, hyper, gateway, and where it
//! is passed on, the app's connection too.
//!
//! What is measured beside the gateway: the client, which allocates nothing over HTTP/1.1; the app,
//! which allocates nothing either; a pipe in place of the client's socket; and four system calls on a
//! loopback socket to the app, because there is no way to it but a socket. Over HTTP/2 the client is
//! that of the `h2` crate, and its allocations count among the others.

use bytes::Bytes;
use divan::Bencher;
use h2::client::{SendRequest, handshake};
use http::{Request, StatusCode};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use vestibule::peer::Transport;

use crate::{
    browser::{HOST, call, cookies, fields, page_view},
    house::House,
};

/// Enough requests that what happens now and then, such as a table that grows, is a part of the mean.
const SAMPLES: u32 = 10_000;
/// One at a time, so that the most that is held at once is held by one of them.
const SIZE: u32 = 1;

const PAGE: &str = "/orders/4711/positions?page=2";

/// A page view of somebody who is signed in, passed on to the app.
#[divan::bench(args = [1, 1_000], sample_count = SAMPLES, sample_size = SIZE)]
fn hit(bencher: Bencher<'_, '_>, routes: usize) {
    let house = House::new(routes);
    let request = page_view(PAGE, &cookies(Some(house.session())));
    measure(bencher, &house, &request, StatusCode::OK);
}

/// The same over HTTP/2.
#[divan::bench(sample_count = SAMPLES, sample_size = SIZE)]
fn hit_over_http2(bencher: Bencher<'_, '_>) {
    let house = House::new(1);
    let mut request = Request::get(format!("https://{HOST}{PAGE}"));
    if let Some(headers) = request.headers_mut() {
        *headers = fields(&cookies(Some(house.session())));
        headers.remove(http::header::HOST);
    }
    let request = request.body(()).expect("it is a request");
    let stream = house.connect(Transport::Http2);
    let mut sender = house.runtime.block_on(async {
        let shaken = handshake(stream).await;
        let (sender, connection) = shaken.expect("the gateway speaks HTTP/2");
        tokio::spawn(connection);
        sender
    });
    let mut ask = || {
        house
            .runtime
            .block_on(ask_over_http2(&mut sender, &request))
    };
    assert_eq!(ask(), StatusCode::OK);
    bencher.bench_local(ask);
}

/// A page's script that asks who is signed in, which we answer.
#[divan::bench(sample_count = SAMPLES, sample_size = SIZE)]
fn me(bencher: Bencher<'_, '_>) {
    let house = House::new(1);
    let request = call("/.vestibule/me", &cookies(Some(house.session())));
    measure(bencher, &house, &request, StatusCode::OK);
}

/// What is open to everybody, passed on to the app.
#[divan::bench(sample_count = SAMPLES, sample_size = SIZE)]
fn public(bencher: Bencher<'_, '_>) {
    let house = House::new(1);
    let request = page_view("/static/app.css", &cookies(None));
    measure(bencher, &house, &request, StatusCode::OK);
}

/// A page's script without a session, which is told so.
#[divan::bench(sample_count = SAMPLES, sample_size = SIZE)]
fn unauthorized(bencher: Bencher<'_, '_>) {
    let house = House::new(1);
    let request = call(PAGE, &cookies(None));
    measure(bencher, &house, &request, StatusCode::UNAUTHORIZED);
}

/// A page view without a session, which is sent to the provider.
#[divan::bench(sample_count = SAMPLES, sample_size = SIZE)]
fn redirect(bencher: Bencher<'_, '_>) {
    let house = House::new(1);
    let request = page_view(PAGE, &cookies(None));
    measure(bencher, &house, &request, StatusCode::FOUND);
}

fn measure(bencher: Bencher<'_, '_>, house: &House, request: &[u8], expected: StatusCode) {
    let mut client = Client {
        stream: house.connect(Transport::Http1),
        buffer: vec![0; 64 * 1024],
    };
    repeat(bencher, expected, || {
        house.runtime.block_on(client.ask(request))
    });
}

/// Measures `ask`, whose answers must all have the status that is expected.
fn repeat<S>(bencher: Bencher<'_, '_>, expected: StatusCode, mut ask: impl FnMut() -> S)
where
    StatusCode: PartialEq<S>,
    S: std::fmt::Debug,
{
    let mut ask = || assert_eq!(expected, ask());
    // Connections are made, tables grow and the route's view of the session is rendered before.
    for _ in 0..100 {
        ask();
    }
    bencher.bench_local(ask);
}

/// A client over HTTP/1.1.
struct Client {
    stream: DuplexStream,
    buffer: Vec<u8>,
}

impl Client {
    /// Says `request` and hears the answer to its end; returns its status.
    async fn ask(&mut self, request: &[u8]) -> u16 {
        let said = self.stream.write_all(request).await;
        said.expect("the gateway listens");
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).await;
            let read = read.expect("a pipe does not fail");
            assert_ne!(read, 0, "the gateway hung up");
            filled += read;
            if let Some((status, length)) = measured(&self.buffer[..filled])
                && filled >= length
            {
                assert_eq!(filled, length, "the gateway said more than it announced");
                return status;
            }
        }
    }
}

/// Status and length of an answer whose head has come.
fn measured(answer: &[u8]) -> Option<(u16, usize)> {
    const LENGTH: &[u8] = b"content-length: ";
    let head = memmem::find(answer, b"\r\n\r\n")? + 4;
    let length = memmem::find(&answer[..head], LENGTH)? + LENGTH.len();
    Some((
        u16::try_from(number_at(answer, b"HTTP/1.1 ".len())).ok()?,
        head + number_at(answer, length),
    ))
}

fn number_at(text: &[u8], at: usize) -> usize {
    let digits = text[at..].iter().take_while(|it| it.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
}

async fn ask_over_http2(sender: &mut SendRequest<Bytes>, request: &Request<()>) -> StatusCode {
    let sent = sender.send_request(request.clone(), true);
    let (answer, _) = sent.expect("there are streams left");
    let (head, mut body) = answer.await.expect("the gateway answers").into_parts();
    while let Some(data) = body.data().await {
        let data = data.expect("the answer comes to its end");
        let released = body.flow_control().release_capacity(data.len());
        released.expect("it came over this stream");
    }
    head.status
}
