//! A program that is restarted behind a socket somebody else holds, as systemd does: nobody is refused,
//! nobody signs in again, nobody's end moves, and what was under way is finished.
//!
//! `VESTIBULE_RESTARTS` is how often the busy one is restarted (10 unless set; 100 before a release).

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::fd::OwnedFd,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use ::vestibule::clock::{Clock, ManualClock};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixDatagram,
    sync::mpsc,
    time::timeout,
};

use crate::support::{
    PATIENCE,
    client::{Browser, raw_tls},
    h2::{self, H2},
    issuer::{self, Issuer},
    pki::Alpn,
    upstream,
    vestibule::{self, Builder, Upstream},
};

const HOST: &str = "wiki.example";
const SESSION: &str = "__Host-vestibule";
const RESTARTS: u64 = 10;

/// Files, a socket that stays open, and the program that runs on both.
struct Held {
    built: Builder,
    socket: TcpListener,
    child: Option<Child>,
    idp: Issuer,
    /// Where the program says how it is, as it would to systemd.
    words: UnixDatagram,
}

/// Held, and running.
async fn held(app: &impl Upstream) -> Held {
    let time = ManualClock::starting_at(Clock::system().now().wall);
    let idp = issuer::honest(&time).run();
    let rules = "allow = \"signed-in\"\n[[public]]\npath = \"/pub\"";
    let built = vestibule::at(&time)
        .route("wiki", HOST, rules, app)
        .provider("corp", &idp)
        .main("[log]\naccess = \"off\"");
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, built.port())).unwrap();
    let words = UnixDatagram::bind(built.folder().join("words")).unwrap();
    let mut held = Held {
        built,
        socket,
        child: None,
        idp,
        words,
    };
    held.start();
    held.says("READY=1").await;
    held.can_sign_in().await;
    held
}

impl Held {
    /// Starts the program with the socket as its third file, and without an address of its own.
    fn start(&mut self) {
        self.start_with(str::to_owned);
    }

    /// The same with another main file.
    fn start_with(&mut self, change: impl Fn(&str) -> String) {
        let program = self.built.command();
        let main = self.built.folder().join("config/vestibule.toml");
        let text = fs::read_to_string(&main).unwrap();
        let lines: Vec<_> = text
            .lines()
            .filter(|it| !it.starts_with("https ="))
            .map(|it| it.replace("grace = \"1s\"", "grace = \"20s\""))
            .collect();
        fs::write(&main, change(&lines.join("\n"))).unwrap();
        let socket = OwnedFd::from(self.socket.try_clone().unwrap());
        // The number of the process is known only within it.
        let script = "export LISTEN_PID=$$; exec \"$0\" \"$@\" 3<&0 0</dev/null";
        let mut command = Command::new("/bin/sh");
        command
            .env_clear()
            .env("LISTEN_FDS", "1")
            .env("LISTEN_FDNAMES", "vestibule.socket")
            .env("NOTIFY_SOCKET", self.built.folder().join("words"))
            .args(["-c", script])
            .arg(program.get_program())
            .args(program.get_args())
            .arg("serve")
            .stdin(Stdio::from(socket))
            .stdout(Stdio::null());
        self.child = Some(command.spawn().unwrap());
    }

    /// Waits until the program says this.
    async fn says(&self, word: &str) {
        let saying = async {
            let mut said = [0; 64];
            loop {
                let length = self.words.recv(&mut said).await.unwrap();
                if said[..length].trim_ascii_end() == word.as_bytes() {
                    break;
                }
            }
        };
        timeout(PATIENCE, saying).await.expect(word);
    }

    fn terminate(&self) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").arg(id).status().unwrap().success());
    }

    async fn ended(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        let ending = async {
            loop {
                if let Some(status) = child.try_wait().unwrap() {
                    break status;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, ending).await.expect("it ends")
    }

    async fn restart(&mut self) {
        self.terminate();
        self.says("STOPPING=1").await;
        assert!(self.ended().await.success());
        self.start();
        self.says("READY=1").await;
    }

    async fn can_sign_in(&self) {
        let login = self.url("/.vestibule/login");
        let polling = async {
            while self.browser().view(&login).await.status != 302 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, polling)
            .await
            .expect("the provider is known");
    }

    async fn signed_in(&self) -> Browser {
        let mut browser = self.browser();
        let trail = browser.follow(&self.url("/"), 3).await;
        assert_eq!(trail.last().unwrap().status, 200, "{trail:#?}");
        browser
    }

    fn url(&self, path: &str) -> String {
        self.built.url(HOST, path)
    }

    fn browser(&self) -> Browser {
        self.built.browser()
    }

    fn raw(&self, alpn: Alpn) -> raw_tls::RawTls {
        let address = self.socket.local_addr().unwrap();
        raw_tls::raw_tls(address, HOST, self.built.pki()).offering(alpn, self.built.pki())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// How a client of the load behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Habit {
    /// A connection for each request.
    Fresh,
    Http2,
    /// HTTP/1.1, as many requests on a connection as it takes.
    Kept,
}

/// A client that asks without a pause until it is told to stop.
///
/// A connection that cannot be made, or that ends without an answer to its first request, is a
/// failure. Sent again, on a new connection, is only what the standards let a client send again
/// unasked: over HTTP/1.1 an idempotent request on a connection that had answered before and closed
/// before the first byte of this answer (RFC 9112 9.3.1); over HTTP/2 a request that was not sent, or
/// whose stream a GOAWAY excludes (RFC 9113 6.8).
struct Client {
    raw: raw_tls::RawTls,
    habit: Habit,
    url: String,
    session: String,
    answers: Arc<AtomicU64>,
    retries: Arc<AtomicU64>,
}

enum Sender {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

impl Client {
    async fn run(self, stop: Arc<AtomicBool>) {
        let mut sender = self.connected().await;
        let mut is_first = true;
        while !stop.load(Ordering::Acquire) {
            match timeout(PATIENCE, self.ask(&mut sender))
                .await
                .expect("an answer comes")
            {
                Ok(is_last) => {
                    self.answers.fetch_add(1, Ordering::Relaxed);
                    is_first = false;
                    if is_last || self.habit == Habit::Fresh {
                        sender = self.connected().await;
                        is_first = true;
                    }
                }
                Err(error) => {
                    assert!(
                        self.may_send_again(&error, is_first),
                        "{:?}: {error:?}",
                        self.habit
                    );
                    self.retries.fetch_add(1, Ordering::Relaxed);
                    sender = self.connected().await;
                    is_first = true;
                }
            }
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is a client of the tests, without limits on purpose"
    )]
    async fn connected(&self) -> Sender {
        let stream = self.raw.connect().await;
        let io = TokioIo::new(stream.unwrap_or_else(|error| panic!("{:?}: {error}", self.habit)));
        if self.habit == Habit::Http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            Sender::Http2(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            Sender::Http1(sender)
        }
    }

    /// Asks once; whether the answer was the last of its connection.
    async fn ask(&self, sender: &mut Sender) -> hyper::Result<bool> {
        let request = Request::get(&self.url).header(header::COOKIE, &self.session);
        let request = request.body(Empty::new()).unwrap();
        let answer = match sender {
            Sender::Http1(sender) => {
                sender.ready().await?;
                let (mut parts, body) = request.into_parts();
                let authority = parts.uri.authority().unwrap().as_str().parse().unwrap();
                parts.headers.insert(header::HOST, authority);
                parts.uri = parts.uri.path().parse().unwrap();
                sender
                    .send_request(Request::from_parts(parts, body))
                    .await?
            }
            Sender::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let status = answer.status();
        let last = answer.headers().get(header::CONNECTION);
        let is_last = last.is_some_and(|value| value == "close");
        // An answer that has begun is to come to its end.
        let body = answer
            .into_body()
            .collect()
            .await
            .expect("the whole answer");
        let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        assert_eq!(status, 200, "{:?}: {text}", self.habit);
        Ok(is_last)
    }

    fn may_send_again(&self, error: &hyper::Error, is_first: bool) -> bool {
        let source = || std::error::Error::source(error);
        if self.habit == Habit::Http2 {
            let of_h2 = source().and_then(|it| it.downcast_ref::<::h2::Error>());
            let excluded = of_h2.is_some_and(|it| it.is_go_away() && it.is_remote());
            return error.is_canceled() || error.is_closed() || excluded;
        }
        // Errors of the body do not come here.
        !is_first && !error.is_parse() && !error.is_user()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_under_load_turn_nobody_away_and_move_nobodys_end() {
    // S-270, S-287
    let restarts = std::env::var("VESTIBULE_RESTARTS").ok();
    let restarts = restarts.map_or(RESTARTS, |it| it.parse().unwrap());
    let app = upstream::echo().run();
    let mut held = held(&app).await;
    let mut browser = held.signed_in().await;
    let me = held.url("/.vestibule/me");
    let before = browser.get(&me).await.json();
    let sign_ins = held.idp.authorization_requests().len();
    let url = held.url("/");
    let session = format!("{SESSION}={}", browser.cookie(&url, SESSION).unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = Vec::new();
    for habit in [Habit::Kept, Habit::Http2, Habit::Fresh] {
        let alpn = if habit == Habit::Http2 {
            Alpn::H2
        } else {
            Alpn::Http1
        };
        let (answers, retries) = (Arc::default(), Arc::default());
        let client = Client {
            raw: held.raw(alpn),
            habit,
            url: url.clone(),
            session: session.clone(),
            answers: Arc::clone(&answers),
            retries: Arc::clone(&retries),
        };
        clients.push((
            habit,
            answers,
            retries,
            tokio::spawn(client.run(Arc::clone(&stop))),
        ));
    }
    for _ in 0..restarts {
        // Everybody has been served since the restart before.
        let seen: Vec<_> = clients
            .iter()
            .map(|it| it.1.load(Ordering::Relaxed))
            .collect();
        let polling = async {
            while clients
                .iter()
                .zip(&seen)
                .any(|((_, answers, _, task), seen)| {
                    assert!(!task.is_finished(), "a client has failed");
                    answers.load(Ordering::Relaxed) < seen + 20
                })
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, polling)
            .await
            .expect("everybody is served");
        held.restart().await;
        assert_eq!(browser.get(&me).await.json(), before);
    }
    stop.store(true, Ordering::Release);
    for (habit, answers, retries, task) in clients {
        timeout(PATIENCE, task).await.unwrap().unwrap();
        let (answers, retries) = (
            answers.load(Ordering::Relaxed),
            retries.load(Ordering::Relaxed),
        );
        println!(
            "{habit:?}: {answers} answers, {retries} requests sent again, {restarts} restarts"
        );
        // What is sent on one connection after the other never meets one that is going.
        assert!(habit != Habit::Fresh || retries == 0);
        assert!(retries <= restarts, "{habit:?}: {retries}");
    }
    assert_eq!(held.idp.authorization_requests().len(), sign_ins);
}

/// An app whose connections the test answers by hand.
async fn by_hand() -> (SocketAddr, mpsc::Receiver<tokio::net::TcpStream>) {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, streams) = mpsc::channel(8);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                if stream.read_buf(&mut head).await.unwrap() == 0 {
                    break;
                }
            }
            if asked.send(stream).await.is_err() {
                return;
            }
        }
    });
    (address, streams)
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone";

#[tokio::test]
async fn what_is_under_way_finishes_and_who_comes_meanwhile_waits_for_the_next_process() {
    let (address, mut asked) = by_hand().await;
    let mut held = held(&address).await;
    let authority = format!("{HOST}:{}", held.built.port());
    let request = format!("GET /pub HTTP/1.1\r\nHost: {authority}\r\n\r\n");

    let mut first = held.raw(Alpn::Http1).connect().await.unwrap();
    first.write_all(request.as_bytes()).await.unwrap();
    let mut of_first = timeout(PATIENCE, asked.recv()).await.unwrap().unwrap();
    let mut second = H2::over(&held.raw(Alpn::H2)).await;
    let fields: [(&[u8], &[u8]); 4] = [
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":path", b"/pub"),
        (b":authority", authority.as_bytes()),
    ];
    second.fields(1, &fields, h2::END_STREAM).await;
    let mut of_second = timeout(PATIENCE, asked.recv()).await.unwrap().unwrap();

    held.terminate();
    // It says so as soon as it takes nothing new.
    let going = second.next().await.unwrap();
    assert_eq!(going.kind, h2::GOAWAY, "{going:?}");
    let third = {
        let raw = held.raw(Alpn::Http1);
        let request = request.clone();
        tokio::spawn(async move {
            let mut stream = raw.connect().await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut line = [0; 12];
            stream.read_exact(&mut line).await.unwrap();
            line
        })
    };
    of_first.write_all(ANSWER).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, first.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\ndone"), "{answer}");
    of_second.write_all(ANSWER).await.unwrap();
    let mut kinds = Vec::new();
    while let Some(frame) = second.next().await {
        kinds.push((frame.kind, frame.stream));
    }
    assert!(kinds.contains(&(h2::DATA, 1)), "{kinds:?}");
    assert!(held.ended().await.success());
    assert!(!third.is_finished());
    held.start();
    let mut of_third = timeout(PATIENCE, asked.recv()).await.unwrap().unwrap();
    of_third.write_all(ANSWER).await.unwrap();
    let line = timeout(PATIENCE, third).await.unwrap().unwrap();
    assert_eq!(&line, b"HTTP/1.1 200");
}

#[tokio::test]
async fn a_connection_that_came_right_before_the_stop_is_served() {
    let app = upstream::echo().run();
    let mut held = held(&app).await;
    // Its handshake is over, so that it was accepted; what it wants is not yet known.
    let mut stream = held.raw(Alpn::Http1).connect().await.unwrap();
    held.terminate();
    held.says("STOPPING=1").await;
    // A client a tenth of a second away.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let authority = format!("{HOST}:{}", held.built.port());
    let request = format!("GET /pub HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(held.ended().await.success());
}

/// What the program says when it is started with these variables; it must not serve.
fn refused(built: &Builder, variables: &[(&str, &str)]) -> String {
    let program = built.command();
    let mut command = Command::new("/bin/sh");
    command
        .env_clear()
        .envs(variables.iter().copied())
        .args([
            "-c",
            "export LISTEN_PID=$$; exec \"$0\" \"$@\" 3</dev/null 4<&3",
        ])
        .arg(program.get_program())
        .args(program.get_args())
        .arg("serve")
        .stdin(Stdio::null());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn sockets_whose_use_is_not_clear_are_no_reason_to_guess() {
    let time = ManualClock::starting_at(Clock::system().now().wall);
    let idp = issuer::honest(&time).run();
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    let built = vestibule::at(&time)
        .route("wiki", HOST, "allow = \"signed-in\"", &nowhere)
        .provider("corp", &idp);
    for (variables, expected) in [
        (
            &[("LISTEN_FDS", "1"), ("LISTEN_FDNAMES", "https")][..],
            "the socket `https` is no listening socket of TCP",
        ),
        (&[("LISTEN_FDS", "2")], "a socket is called ``"),
        (&[("LISTEN_FDS", "many")], "LISTEN_FDS is no number"),
        (&[("LISTEN_FDS", "1000000000")], "LISTEN_FDS is no number"),
        (
            &[("LISTEN_FDS", "1"), ("LISTEN_FDNAMES", "https:http")],
            "LISTEN_FDNAMES does not name every socket",
        ),
    ] {
        let text = refused(&built, variables);
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[tokio::test]
async fn an_address_that_is_not_that_of_the_socket_is_an_error() {
    let app = upstream::echo().run();
    let mut held = held(&app).await;
    held.terminate();
    held.ended().await;
    let another = |text: &str| text.replacen("[listen]", "[listen]\nhttps = \"127.0.0.1:1\" ", 1);
    held.start_with(another);
    assert_eq!(held.ended().await.code(), Some(1));
}
