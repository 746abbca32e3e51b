//! A route, a person, an app that is written by hand, and a front that forwards to it.

use std::{
    convert::Infallible,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{Either, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use crate::{
    clock::Clock,
    config::route::{
        Allow, Authority, BrowserAnswer, Encoding, From, GroupsSent, Guests, Help, HostHeader,
        IdentityHeader, IdentityRules, Placeholder, Route, Rules, Segment, Template,
        UpstreamAddress, UpstreamAddresses, UpstreamProtocol, UpstreamRules, UpstreamTls,
    },
    identity::{ClaimRules, Identity, ProviderName, RouteId},
    telemetry::Metrics,
    upstream::{
        AnswerBody, Apps, BodyLimits, Caller, Forwarding, Lease, Reached, RemovalList,
        RenderedIdentity, RouteTarget, RouteTls, Seats, UpstreamClient,
        answer_headers::AnswerFacts, forward, headers::RequestFacts,
    },
};

pub(super) fn header(name: &str, segments: Vec<Segment>) -> IdentityHeader {
    IdentityHeader {
        name: HeaderName::from_bytes(name.as_bytes()).unwrap(),
        template: Template(segments),
        join: ",".to_owned(),
        encoding: Encoding::Percent,
    }
}

/// An app on this machine.
pub(super) fn at(port: u16) -> UpstreamAddress {
    UpstreamAddress::Http(Authority {
        host: "127.0.0.1".to_owned(),
        port,
    })
}

/// A route, prepared by itself.
pub(super) fn target(route: &Route) -> RouteTarget {
    target_among(&Arc::new(Seats::new(100, 1)), route)
}

fn target_among(seats: &Arc<Seats>, route: &Route) -> RouteTarget {
    let metrics = Arc::new(Metrics::new(Clock::system()));
    let apps = Apps::new(Arc::clone(seats), metrics);
    RouteTarget::new(route, &apps, &RouteTls::new()).unwrap()
}

pub(super) fn route(port: u16) -> Route {
    Route {
        place: crate::config::finding::Place::default(),
        id: RouteId("wiki".to_owned()),
        title: "Wiki".to_owned(),
        from: From {
            authority: Authority {
                host: "wiki.example.com".to_owned(),
                port: 8443,
            },
            prefix: String::new(),
        },
        to: UpstreamAddresses::new(vec![at(port)]).unwrap(),
        provider: ProviderName("entra".to_owned()),
        allow: Allow::SignedIn,
        deny: Rules::default(),
        guests: Guests::Refuse,
        public: Vec::new(),
        bearer: None,
        origins: Vec::new(),
        browser: BrowserAnswer::Redirect,
        identity: IdentityRules {
            user_claims: vec!["preferred_username".to_owned()],
            groups: GroupsSent::Named,
            headers: vec![header(
                "X-App-User",
                vec![Segment::Value(Placeholder::User)],
            )],
        },
        upstream: UpstreamRules {
            protocol: UpstreamProtocol::default(),
            host: HostHeader::Preserve,
            strip_prefix: String::new(),
            add_prefix: String::new(),
            timeout: Duration::from_secs(5),
            tls: UpstreamTls::default(),
            health: None,
        },
        help: Help::default(),
    }
}

pub(super) fn identity(extra: &Value) -> Identity {
    let mut claims = json!({"iss": "https://op.example", "sub": "1"});
    for (name, value) in extra.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let provider = ProviderName("op".to_owned());
    Identity::from_verified_claims(provider, ClaimRules::Oidc, claims.as_object().unwrap()).unwrap()
}

pub(super) fn rendered() -> RenderedIdentity {
    RenderedIdentity {
        user: "ann".to_owned(),
        headers: vec![(
            HeaderName::from_static("x-app-user"),
            HeaderValue::from_static("ann"),
        )],
    }
}

pub(super) fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    headers
}

/// All values of one name, joined by `|`.
pub(super) fn all(headers: &HeaderMap, name: &str) -> String {
    let values = headers.get_all(name).iter();
    let values: Vec<_> = values
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .collect();
    values.join("|")
}

/// A lease that a test ends by hand.
#[derive(Default)]
pub(super) struct Switch(pub(super) AtomicBool);

impl Lease for Switch {
    fn is_live(&self) -> bool {
        !self.0.load(Ordering::SeqCst)
    }

    fn remaining(&self) -> Duration {
        Duration::from_hours(1)
    }
}

/// What an app does with its connections, in the order they come.
pub(super) struct App {
    pub(super) port: u16,
    /// Every connection as it is accepted.
    pub(super) connections: mpsc::UnboundedReceiver<TcpStream>,
    pub(super) accepted: Arc<AtomicUsize>,
}

pub(super) async fn app() -> App {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, connections) = mpsc::unbounded_channel();
    let accepted = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&accepted);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            if sender.send(stream).is_err() {
                return;
            }
        }
    });
    App {
        port,
        connections,
        accepted,
    }
}

impl App {
    pub(super) async fn connection(&mut self) -> TcpStream {
        let next = tokio::time::timeout(PATIENCE, self.connections.recv());
        next.await.expect("a connection in time").unwrap()
    }
}

const PATIENCE: Duration = Duration::from_secs(10);

/// Reads until the bytes end with `end`.
pub(super) async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    let reading = async {
        let mut byte = [0];
        while !read.ends_with(end.as_bytes()) {
            if stream.read(&mut byte).await.unwrap_or(0) == 0 {
                break;
            }
            read.push(byte[0]);
        }
    };
    tokio::time::timeout(PATIENCE, reading)
        .await
        .expect("the end in time");
    String::from_utf8_lossy(&read).into_owned()
}

/// Reads until the other side has closed, cleanly or not.
pub(super) async fn read_to_close(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let reading = stream.read_to_end(&mut read);
    let _ = tokio::time::timeout(PATIENCE, reading)
        .await
        .expect("a close in time");
    String::from_utf8_lossy(&read).into_owned()
}

pub(super) async fn send(stream: &mut TcpStream, bytes: &str) {
    stream.write_all(bytes.as_bytes()).await.unwrap();
}

/// A server that forwards whatever it gets.
pub(super) struct Front {
    pub(super) port: u16,
}

pub(super) struct Options {
    pub(super) clock: Clock,
    pub(super) lease: Option<Arc<dyn Lease>>,
    pub(super) head_timeout: Duration,
    pub(super) seats: Arc<Seats>,
    pub(super) caller: Caller,
    pub(super) protocol: UpstreamProtocol,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clock: Clock::system(),
            lease: None,
            head_timeout: Duration::from_secs(5),
            seats: Arc::new(Seats::new(100, 1)),
            caller: Caller::Person,
            protocol: UpstreamProtocol::Http1,
        }
    }
}

type Answer = Response<Either<AnswerBody, Full<Bytes>>>;

pub(super) async fn front(app: u16, options: Options) -> Front {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut route = route(app);
    route.upstream.timeout = options.head_timeout;
    route.upstream.protocol = options.protocol;
    let target = target_among(&options.seats, &route);
    let context = Arc::new((
        UpstreamClient::new(options.clock, options.seats),
        target,
        RemovalList::new(&[route]),
        options.lease,
        options.caller,
    ));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let context = Arc::clone(&context);
            let service = service_fn(move |request: Request<Incoming>| {
                let context = Arc::clone(&context);
                async move { Ok::<_, Infallible>(answer(request, &context).await) }
            });
            let io = TokioIo::new(stream);
            tokio::spawn(async move {
                let http1 = hyper::server::conn::http1::Builder::new();
                let _ = http1.serve_connection(io, service).await;
            });
        }
    });
    Front { port }
}

type Context = (
    UpstreamClient,
    RouteTarget,
    RemovalList,
    Option<Arc<dyn Lease>>,
    Caller,
);

async fn answer(request: Request<Incoming>, context: &Context) -> Answer {
    let (client, target, removal, lease, caller) = context;
    let request_id = HeaderValue::from_static("request-1");
    let identity = rendered();
    let with = Forwarding {
        client,
        caller: *caller,
        target,
        removal,
        facts: RequestFacts {
            forwarded_for: &HeaderValue::from_static("127.0.0.1"),
            request_id: &request_id,
            identity: Some(&identity),
        },
        lease: lease.clone(),
        body: BodyLimits {
            idle: Duration::from_mins(1),
            bytes: None,
            slowest: None,
        },
        answer: AnswerFacts {
            session_decided: true,
            hsts: None,
        },
        reached: &Reached::default(),
    };
    match forward(request, with).await {
        Ok(answer) => answer.map(Either::Left),
        Err(error) => {
            let body = Full::new(Bytes::from_static(error.reason().as_bytes()));
            let mut answer = Response::new(Either::Right(body));
            *answer.status_mut() = error.status();
            let why = HeaderValue::from_str(&crate::telemetry::chain(&error)).unwrap();
            answer.headers_mut().insert("x-why", why);
            answer
        }
    }
}

impl Front {
    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))
            .await
            .unwrap()
    }

    /// Sends one request on a connection of its own.
    pub(super) async fn begin(&self, request: &str) -> TcpStream {
        let mut stream = self.connect().await;
        send(&mut stream, request).await;
        stream
    }
}

/// A GET whose client closes afterwards.
pub(super) const GET: &str = "GET /a?b=%20c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// A POST of three bytes whose client closes afterwards.
pub(super) const POST: &str =
    "POST /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc";

/// An answer of two bytes.
pub(super) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
