//! The application with the apps that the cases need behind it, and how a case is played to it.

use std::net::{Ipv4Addr, SocketAddr};

use futures_util::{StreamExt, stream};
use http::Response;
use http_body_util::Full;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};

use super::{
    asks::{Asks, MARK},
    case::{self, Case, Opening, Step},
    heard::{Heard, word},
};
use crate::support::{
    PATIENCE,
    client::raw_tls::RawTls,
    front::{Front, HOST, front},
    h2::H2,
    h2_frames::{PREFACE, data, flag, kind, setting, settings, settings_ack},
    pki::Alpn,
    upstream::{self, Echo, Raw, Seen},
};

/// Cases at once, each on a connection of its own.
const AT_ONCE: usize = 8;

/// The body of `/body`.
pub(super) const BODY: &[u8] = b"what the app has to say";
/// The length of the body of `/large`: more than the first window of a connection.
pub(super) const LARGE: usize = 70_000;

struct Bed {
    app: Echo,
    held: Raw,
    _stuck: Stuck,
    front: Front,
    raw: RawTls,
    asks: Asks,
}

/// An app whose connections never come about, so that nothing is read of the bodies sent to it.
struct Stuck {
    listener: TcpListener,
    _only: TcpStream,
}

impl Stuck {
    async fn run() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        // One connection fits, and nobody accepts it.
        let listener = socket.listen(0).unwrap();
        let only = TcpStream::connect(listener.local_addr().unwrap());
        let only = only.await.unwrap();
        Self {
            listener,
            _only: only,
        }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }
}

/// Plays all cases of a table and reports all that come out otherwise.
///
/// # Panics
/// If any does, if an app saw a request that is malformed, or if a good one is not answered on a
/// new connection afterwards.
pub(super) async fn hold(table: fn(&Asks) -> Vec<Case>) {
    let bed = Bed::run().await;
    let cases = table(&bed.asks);
    let playing = stream::iter(&cases).map(|case| bed.play(case));
    let faults: Vec<_> = playing.buffered(AT_ONCE).collect().await;
    let mut faults: Vec<_> = faults.into_iter().flatten().collect();
    let again = case::case("", "a good request", vec![], case::Ignored);
    faults.extend(bed.play(&again).await);
    faults.extend(bed.leaks(&cases));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// How the app sees the one request of these frames, which is marked and answered on stream 1.
///
/// # Panics
/// If it is not answered, or did not come once.
pub(super) async fn seen(frames: impl FnOnce(&Asks) -> Vec<u8>) -> Seen {
    let bed = Bed::run().await;
    let case = case::case("", "a request", frames(&bed.asks), case::Answered(1));
    assert_eq!(bed.play(&case).await, None);
    let mut requests = bed.app.requests();
    requests.retain(|it| it.header(MARK).is_some());
    assert_eq!(requests.len(), 1, "{requests:#?}");
    requests.remove(0)
}

impl Bed {
    async fn run() -> Self {
        let app = upstream::echo().answering(|seen| {
            let body = match seen.target.as_str() {
                "/body" => BODY.to_vec(),
                "/large" => vec![b'x'; LARGE],
                _ => Vec::new(),
            };
            Response::new(Full::new(body.into()))
        });
        let (app, held, stuck) = (app.run(), upstream::raw().run(), Stuck::run().await);
        let rule = "allow = \"signed-in\"";
        let (held_at, stuck_at) = (format!("{HOST}/held"), format!("{HOST}/stuck"));
        let front = front(|it| {
            it.route("wiki", HOST, rule, &app)
                .route("held", &held_at, rule, &held)
                .route("stuck", &stuck_at, rule, &stuck.address())
        });
        let raw = front.vestibule.raw(HOST);
        let raw = raw.offering(Alpn::H2, front.vestibule.pki());
        let asks = Asks {
            authority: front.vestibule.authority(HOST),
            cookie: front.session(HOST).await,
        };
        Self {
            app,
            held,
            _stuck: stuck,
            front,
            raw,
            asks,
        }
    }

    /// What is wrong with what came of a case, if anything is.
    async fn play(&self, case: &Case) -> Option<String> {
        let mut talk = Talk {
            h2: H2::silent(&self.raw).await,
            heard: Heard::default(),
        };
        let playing = timeout(PATIENCE, talk.play(case, &self.asks)).await;
        let fault = case.fault(&talk.heard);
        match playing {
            Ok(()) => fault,
            Err(_) => Some(fault.unwrap_or_else(|| {
                let (section, name) = (case.section, case.name);
                format!(
                    "{section} {name}: it did not come to an end, {}",
                    talk.heard
                )
            })),
        }
    }

    /// What the apps saw of malformed requests, beyond what the tables list.
    fn leaks(&self, cases: &[Case]) -> Option<String> {
        let listed = cases.iter().filter(|it| it.reaches_the_app()).count();
        let requests = self.app.requests();
        let mut seen: Vec<_> = requests
            .iter()
            .filter(|it| it.header(MARK).is_some())
            .map(|it| format!("{} {} {:?}", it.method, it.target, it.all("x-test")))
            .collect();
        let held = self.held.heard();
        let marked = held
            .iter()
            .filter(|it| it.windows(MARK.len()).any(|it| it == MARK.as_bytes()));
        seen.extend(marked.map(|it| String::from_utf8_lossy(it).into_owned()));
        let panics = self.front.metric("vestibule_panics_total");
        (seen.len() != listed || panics > 0).then(|| {
            let seen = seen.join(", ");
            format!(
                "{listed} malformed requests may reach the app, these did: {seen}; {panics} panics"
            )
        })
    }
}

/// One connection of a case.
struct Talk {
    h2: H2,
    heard: Heard,
}

impl Talk {
    async fn play(&mut self, case: &Case, asks: &Asks) {
        if case.opening == Opening::Done {
            self.open().await;
        }
        for step in &case.steps {
            match step {
                Step::Begun(stream) => {
                    self.listen(|it| it.status(*stream).is_some() || it.ended(*stream))
                        .await;
                }
                Step::Ended(stream) => self.listen(|it| it.ended(*stream)).await,
                Step::Overrun(streams) => self.overrun(streams).await,
                Step::Ping => self.ping().await,
                Step::Send(bytes) => self.h2.write(bytes).await,
            }
        }
        self.h2.write(&case.last_words(asks)).await;
        self.listen(|it| case.is_settled(it)).await;
    }

    /// Preface and settings of both sides. The server is told to use no dynamic table, so that its
    /// answers can be read one by one.
    async fn open(&mut self) {
        let ours = settings(&[(setting::HEADER_TABLE_SIZE, 0)]);
        self.h2.write(&[PREFACE, &ours].concat()).await;
        self.listen(|it| {
            let theirs = it
                .frames
                .iter()
                .any(|it| it.kind == kind::SETTINGS && it.flags == 0);
            theirs && it.acknowledged_settings() == 1
        })
        .await;
        self.h2.write(&settings_ack()).await;
        self.ping().await;
    }

    async fn ping(&mut self) {
        let before = self.heard.pongs().len();
        self.h2.send(kind::PING, 0, 0, b"so far..").await;
        self.listen(|it| it.pongs().len() > before).await;
    }

    /// Listens until `enough` was heard, or the connection ends.
    async fn listen(&mut self, enough: impl Fn(&Heard) -> bool) {
        while !self.heard.closed && !enough(&self.heard) {
            match self.h2.whatever_comes().await {
                Some(frame) => self.heard.frames.push(frame),
                None => self.heard.closed = true,
            }
        }
    }

    async fn overrun(&mut self, streams: &[u32]) {
        const FRAME: usize = 16_384;
        let (connection, stream) = (self.connection_window(), self.stream_window());
        // On one stream, or on several that stay within their own windows.
        let mut left = match streams {
            [_] => connection.min(stream) + 1,
            _ => connection + 1,
        };
        for id in streams {
            let mut here = left.min(stream + 1 - usize::from(streams.len() > 1));
            left -= here;
            while here > 0 {
                let length = here.min(FRAME);
                self.h2.write(&data(0, *id, &vec![b'x'; length])).await;
                here -= length;
            }
        }
        assert_eq!(left, 0, "the streams cannot hold more than the connection");
    }

    /// What the server takes on the connection: what it takes at first, and what it added.
    fn connection_window(&self) -> usize {
        let updates = self.heard.on(0).filter(|it| it.kind == kind::WINDOW_UPDATE);
        let added = updates.filter_map(|it| word(&it.payload)).sum::<u32>();
        65_535 + usize::try_from(added).unwrap()
    }

    /// What the server takes on each stream, as its settings say.
    fn stream_window(&self) -> usize {
        let is_settings =
            |it: &&_| matches!(it, &&(kind::SETTINGS, flags) if flags & flag::ACK == 0);
        let frames = self.heard.frames.iter();
        let payloads = frames.filter(|it| is_settings(&&(it.kind, it.flags)));
        let mut values = payloads.flat_map(|it| it.payload.chunks_exact(6));
        let name = setting::INITIAL_WINDOW_SIZE.to_be_bytes();
        let value = values.find(|it| it.starts_with(&name));
        value.map_or(65_535, |it| {
            usize::try_from(word(&it[2..]).unwrap()).unwrap()
        })
    }
}
