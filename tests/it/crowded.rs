//! More requests than there may be connections to apps: strangers and apps that hang take what is
//! theirs, and no more.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::support::{
    PATIENCE,
    client::raw_tls::{RawTls, raw_tls},
    clock, eventually,
    front::{Front, HOST, front},
    h2::{self, END_HEADERS, END_STREAM, H2},
    issuer,
    pki::Alpn,
    process, upstream, vestibule as files,
    wire::{PROTOCOLS, Protocol, Reply, Wire, ask, wire},
};

const RULES: &str = "allow = \"signed-in\"\n[[public]]\npath = \"/pub/*\"";

const OTHER_RULES: &str = "allow = \"signed-in\"\n[[public]]\npath = \"/other/pub/*\"";

/// What is refused for want of a connection to the app.
const CROWDED: &str =
    "vestibule_upstream_failures_total{route=\"wiki\",reason=\"upstream_crowded\"}";

/// An app that answers whatever is not below `/pub/`, and leaves that unanswered.
struct Hangs {
    address: SocketAddr,
    hanging: Arc<AtomicUsize>,
}

impl Hangs {
    async fn run() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let hanging = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&hanging);
        tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&count)));
            }
        });
        Self { address, hanging }
    }

    /// How many requests it leaves unanswered.
    fn hanging(&self) -> usize {
        self.hanging.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: TcpStream, hanging: Arc<AtomicUsize>) {
    let mut read = Vec::new();
    while stream
        .read_buf(&mut read)
        .await
        .is_ok_and(|count| count > 0)
    {
        if !read.ends_with(b"\r\n\r\n") {
            continue;
        }
        if read.starts_with(b"GET /pub/") {
            hanging.fetch_add(1, Ordering::SeqCst);
            while stream
                .read_buf(&mut read)
                .await
                .is_ok_and(|count| count > 0)
            {}
            hanging.fetch_sub(1, Ordering::SeqCst);
            return;
        }
        read.clear();
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        stream.write_all(answer).await.unwrap();
    }
}

/// Asks for something public on a connection of its own and waits for the answer.
fn stranger(
    front: &Front,
    protocol: Protocol,
    as_page: bool,
) -> impl Future<Output = Reply> + use<> {
    let mut wire = front.wire(protocol, HOST);
    let accept = if as_page { "text/html" } else { "*/*" };
    let asked = ask("GET", "/pub/slow").with("Accept", accept);
    async move { wire.ask(&asked).await }
}

/// Lets time go by, in seconds, until something has come about.
async fn in_time<T>(front: &Front, coming: impl Future<Output = T>) -> T {
    let time = async {
        // Less than an app may take to answer.
        for _ in 0..50 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            front.vestibule.time().advance(Duration::from_secs(1));
        }
        // Whoever is slow to be scheduled has until then.
        tokio::time::sleep(PATIENCE).await;
        panic!("this does not come");
    };
    tokio::select! {
        come = coming => come,
        () = time => unreachable!(),
    }
}

#[tokio::test]
async fn strangers_who_are_too_many_are_refused_and_people_are_served() {
    // S-260
    for protocol in PROTOCOLS {
        let app = Hangs::run().await;
        let front = front(|it| {
            let limited = it.main("[limits]\nconnections = 40");
            limited.route("wiki", HOST, RULES, &app.address)
        });
        let session = front.session(HOST).await;
        let mut strangers = JoinSet::new();
        for _ in 0..20 {
            strangers.spawn(stranger(&front, protocol, false));
        }
        eventually("half of the app is theirs", || app.hanging() == 20).await;
        let late = stranger(&front, protocol, false);
        let page = stranger(&front, protocol, true);
        let both = async { tokio::join!(late, page) };
        let (late, page) = in_time(&front, Box::pin(both)).await;
        assert_eq!((late.status, &*late.reason()), (503, "upstream_crowded"));
        assert_eq!(page.status, 503);
        assert!(page.text().contains("The app is busy"), "{}", page.text());
        for reply in [late, page] {
            assert_eq!(reply.headers["retry-after"], "5");
        }
        assert_eq!((front.metric(CROWDED), app.hanging()), (2, 20));

        let mut person = front.wire(protocol, HOST);
        for _ in 0..3 {
            let asked = ask("GET", "/page").with("Cookie", &session);
            assert_eq!(person.ask(&asked).await.status, 200);
        }
    }
}

#[tokio::test]
async fn an_app_that_hangs_leaves_connections_to_the_others() {
    // S-260
    for protocol in PROTOCOLS {
        let hangs = Hangs::run().await;
        let well = upstream::echo().run();
        let front = front(|it| {
            it.main("[limits]\nconnections = 40")
                .route("wiki", HOST, "allow = \"signed-in\"", &hangs.address)
                .route("other", &format!("{HOST}/other"), OTHER_RULES, &well)
        });
        let session = front.session(HOST).await;
        let mut people = JoinSet::new();
        for _ in 0..20 {
            let mut wire = front.wire(protocol, HOST);
            let asked = ask("GET", "/pub/slow").with("Cookie", &session);
            people.spawn(async move { wire.ask(&asked).await });
        }
        eventually("its share is used up", || hangs.hanging() == 20).await;
        let mut late = front.wire(protocol, HOST);
        let asked = ask("GET", "/page").with("Cookie", &session);
        let reply = in_time(&front, late.ask(&asked)).await;
        assert_eq!((reply.status, &*reply.reason()), (503, "upstream_crowded"));
        for target in ["/other/page", "/other/pub/x"] {
            let asked = ask("GET", target).with("Cookie", &session);
            assert_eq!(late.ask(&asked).await.status, 200, "{target}");
        }
        assert_eq!(hangs.hanging(), 20);
    }
}

#[tokio::test]
async fn streams_by_the_thousand_open_no_more_files_than_were_promised() {
    // S-260, S-109: the program itself, and many more streams than there may be connections to apps.
    const CONNECTIONS: usize = 200;
    const ATTACKERS: usize = 20;
    let hangs = Hangs::run().await;
    let well = upstream::echo().run();
    let idp = issuer::honest(&clock::manual()).entra().run();
    let built = files::new()
        .route("wiki", HOST, RULES, &hangs.address)
        .route("other", &format!("{HOST}/other"), OTHER_RULES, &well)
        .entra(&idp)
        .main(&format!(
            "[log]\naccess = \"off\"\n[limits]\nconnections = {CONNECTIONS}"
        ));
    let process = process::serve(built).await;
    let mut good = good_client(&process);
    assert_eq!(good.get("/other/pub/x").await.status, 200);
    let before = open_files(&process);

    let mut attackers = Vec::new();
    for _ in 0..ATTACKERS {
        let mut attacker = H2::over(&raw(&process)).await;
        for number in 0..100 {
            let head = head(&process, "/pub/slow");
            let flags = END_HEADERS | END_STREAM;
            attacker
                .send(h2::HEADERS, flags, number * 2 + 1, &head)
                .await;
        }
        attackers.push(attacker);
    }
    let share = CONNECTIONS / 2 / 2;
    eventually("strangers have their share", || hangs.hanging() == share).await;
    // All the others are refused in the end; meanwhile whoever wants the other app is served.
    for attacker in &mut attackers {
        let mut heads = 0;
        while heads < 100 - share.min(95) {
            heads += usize::from(attacker.next().await.unwrap().kind == h2::HEADERS);
        }
        assert_eq!(good.get("/other/pub/x").await.status, 200);
        assert!(hangs.hanging() <= share);
        let opened = open_files(&process) - before;
        assert!(opened <= ATTACKERS + share + 2, "{opened} files");
    }
    let output = process.terminate().await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let warned = said
        .lines()
        .filter(|line| line.contains("[limits] connections"));
    assert_eq!(warned.count(), 1, "{said}");
    assert!(
        said.contains("crowd=\"strangers\" all=200 of_app=100 of_strangers=50"),
        "{said}"
    );
}

fn raw(process: &process::Process) -> RawTls {
    let built = process.built();
    let address = ([127, 0, 0, 1], built.port()).into();
    raw_tls(address, HOST, built.pki()).offering(Alpn::H2, built.pki())
}

fn authority(process: &process::Process) -> String {
    format!("{HOST}:{}", process.built().port())
}

fn good_client(process: &process::Process) -> Wire {
    wire(raw(process), authority(process), Protocol::Http2)
}

fn head(process: &process::Process, path: &str) -> Vec<u8> {
    h2::block(&[
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":path", path.as_bytes()),
        (b":authority", authority(process).as_bytes()),
    ])
}

fn open_files(process: &process::Process) -> usize {
    let files = std::fs::read_dir(format!("/proc/{}/fd", process.id())).unwrap();
    files.count()
}
