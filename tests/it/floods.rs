//! Many and large: sign-ins begun by the hundred thousand, parameters by the million, an access log
//! that nobody takes, fields that were made to be slow.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::{net::TcpSocket, task::JoinSet, time::timeout};
use tokio_rustls::TlsConnector;
use vestibule::clock::{Clock, ManualClock};

use crate::support::{
    PATIENCE,
    client::page_view,
    front::{HOST, wiki},
    house::{HOST as HOUSE, house},
    issuer::{self, Issuer, person},
    pki::Alpn,
    process::{self, Process},
    upstream::{self, Echo},
    vestibule as files,
    wire::{PROTOCOLS, Protocol, ask},
};

/// The program itself, with a provider that goes by the system's clock as it does.
async fn program(more: &str) -> (Process, Issuer, Echo) {
    let time = ManualClock::starting_at(Clock::system().now().wall);
    let idp = issuer::honest(&time).entra().run();
    let app = upstream::echo().run();
    let rules = "allow = \"signed-in\"\n[[public]]\npath = \"/pub\"";
    let built = files::at(&time)
        .route("wiki", HOST, rules, &app)
        .entra(&idp)
        .main(more);
    let process = process::serve(built).await;
    let url = process.built().url(HOST, "/.vestibule/login");
    let mut browser = process.built().browser();
    while browser.view(&url).await.status != 302 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    (process, idp, app)
}

/// Over HTTP/2 from an address of its own: all of 127/8 is this host.
async fn from_address(process: &Process, number: usize) -> SendRequest<Empty<Bytes>> {
    let [.., high, low] = u32::try_from(number).unwrap().to_be_bytes();
    let socket = TcpSocket::new_v4().unwrap();
    let own = Ipv4Addr::new(127, 7, high, low.max(1));
    socket.bind(SocketAddr::from((own, 0))).unwrap();
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, process.built().port()));
    let stream = socket.connect(to).await.unwrap();
    let connector = TlsConnector::from(process.built().pki().client(Alpn::H2));
    let name = ServerName::try_from(HOST).unwrap();
    let stream = TokioIo::new(connector.connect(name, stream).await.unwrap());
    let (sender, connection) = http2::handshake(TokioExecutor::new(), stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

/// How many page views a flood is.
const VIEWS: usize = 100_000;
/// From how many addresses they come.
const ADDRESSES: usize = 400;
/// How many of those are there at once.
const AT_ONCE: usize = 8;

/// Views pages from many addresses until `views` were answered.
async fn flood(process: &Arc<Process>, views: usize, first: usize) {
    let answered = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for caller in 0..AT_ONCE {
        let (process, answered) = (Arc::clone(process), Arc::clone(&answered));
        callers.spawn(async move {
            for number in (caller..ADDRESSES).step_by(AT_ONCE) {
                let mut sender = from_address(&process, first + number).await;
                for view in 0..views.div_ceil(ADDRESSES) {
                    let url = process.built().url(HOST, &format!("/{number}/{view}"));
                    let request = page_view(Request::get(url)).body(Empty::new()).unwrap();
                    let answer = sender.send_request(request).await.unwrap();
                    assert_eq!(answer.status(), 302);
                    assert!(answer.headers().contains_key("set-cookie"));
                    answer.into_body().collect().await.unwrap();
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
    assert!(answered.load(Ordering::Relaxed) >= views);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_sign_ins_begun_by_strangers_take_no_memory() {
    // S-263, S-008: what is begun lies in the browser's cookie and nowhere else.
    let (process, idp, app) = program("[log]\naccess = \"off\"").await;
    let process = Arc::new(process);
    // Buffers, tickets and the like are there after this.
    flood(&process, VIEWS / 10, 1).await;
    let before = process.resident();
    let over = Arc::new(AtomicBool::new(false));
    let flooding = {
        let (process, over) = (Arc::clone(&process), Arc::clone(&over));
        tokio::spawn(async move {
            flood(&process, VIEWS, 1 + ADDRESSES).await;
            over.store(true, Ordering::Release);
        })
    };
    // Genuine sign-ins while it lasts.
    let mut signed_in = 0;
    while signed_in == 0 || (!over.load(Ordering::Acquire) && signed_in < 20) {
        let mut browser = process.built().browser();
        let url = process.built().url(HOST, "/page");
        let trail = browser.follow(&url, 3).await;
        assert_eq!(trail[trail.len() - 1].status, 200);
        signed_in += 1;
    }
    flooding.await.unwrap();
    let grown = process.resident().saturating_sub(before);
    // A tenth of a kilobyte for each would be ten megabytes.
    assert!(
        grown < 8 * 1024 * 1024,
        "{grown} bytes more than the {before} before"
    );
    assert_eq!(app.requests().len(), signed_in, "the app saw no stranger");
    assert_eq!(idp.token_requests().len(), signed_in);
}

#[tokio::test]
async fn a_million_parameters_harm_no_endpoint_of_ours() {
    // S-266: as a query and as a form; refused by its size before anything is read of it.
    let house = house().await;
    let mut ann = house.browser_of("ann").await;
    let million = "&a=1".repeat(1_000_000);
    for name in [
        "callback",
        "frontchannel-logout",
        "login",
        "logout",
        "me",
        "nothing",
        "signed-out",
    ] {
        let path = format!("/.vestibule/{name}");
        let head = format!(
            "GET {path}?x=1{million} HTTP/1.1\r\nHost: {}\r\n\r\n",
            house.vestibule.authority(HOUSE)
        );
        let answer = house.vestibule.raw(HOUSE).say(head).await;
        let statuses = answer.statuses();
        assert!(answer.closed, "{name}: {statuses:?}");
        assert!(
            statuses.iter().all(|status| (400..500).contains(status)),
            "{name}: {statuses:?}"
        );
        let form = Request::post(house.url(&path))
            .header("content-type", "application/x-www-form-urlencoded");
        let form = form.body(Bytes::from(million.clone())).unwrap();
        // Whoever is refused early may find the connection closed while writing.
        if let Ok(answer) = ann.try_send(form).await {
            let status = answer.status;
            assert!(status.is_client_error(), "POST {name}: {status}");
        }
        assert!(house.is_in(&mut ann).await, "{name}");
    }
    // What fits into a target may be as many as it likes.
    let fitting = "&a=1".repeat(1_500);
    for name in ["login", "logout", "me", "signed-out", "callback"] {
        let url = house.url(&format!("/.vestibule/{name}?x=1{fitting}"));
        let answer = ann.view(&url).await;
        assert!(!answer.status.is_server_error(), "{name}");
    }
    assert!(house.is_in(&mut ann).await);
    house.assert_no_panic();
}

/// Names that fall into one place of a table without a secret of its own: they have one FNV-1a hash
/// in the bits that such a table of 128 places looks at.
fn colliding_names(many: usize) -> Vec<String> {
    let hash = |name: &str| {
        let mixed = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        mixed & 0x7f
    };
    let wanted = hash("x-0");
    (0..)
        .map(|number| format!("x-{number}"))
        .filter(|name| hash(name) == wanted)
        .take(many)
        .collect()
}

#[tokio::test]
async fn fields_and_paths_that_were_made_to_be_slow_are_like_all_others() {
    // S-265: names that collide, and paths that a backtracking matcher would choke on.
    let app = upstream::echo().run();
    let rules: Vec<_> = (0..50)
        .map(|number| format!("[[public]]\npath = \"/{}{number}/*\"", "a/".repeat(40)))
        .collect();
    let rules = rules.join("\n");
    let front = wiki(&app, &rules);
    let session = front.session(HOST).await;
    let names = colliding_names(80);
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for path in [
            "/".to_owned(),
            format!("/{}!", "a/".repeat(3_000)),
            format!("/{}x", "a%2f".repeat(1_500)),
            format!("/{}..", "../".repeat(2_000)),
        ] {
            let fields: Vec<_> = names
                .iter()
                .map(|name| (name.clone(), "1".to_owned()))
                .collect();
            let asked = ask("GET", &path).with("Cookie", &session).with_all(&fields);
            let reply = wire.ask(&asked).await;
            assert_eq!(reply.status, 200, "{protocol:?} {path:.20}");
            let seen = app.requests().pop().unwrap();
            let kept = names.iter().filter(|name| seen.header(name).is_some());
            assert_eq!(kept.count(), names.len());
        }
    }
    assert_eq!(Protocol::Http1, PROTOCOLS[0]);
}

#[tokio::test]
async fn an_access_log_that_nobody_takes_holds_nobody_up() {
    // S-267: nobody reads what the program prints here; a pipe holds a few hundred lines.
    let (process, idp, _app) = program("[log]\naccess = \"json\"").await;
    let mut sender = from_address(&process, 1).await;
    for number in 0..5_000 {
        let url = process.built().url(HOST, &format!("/pub?{number}"));
        let request = Request::get(url).body(Empty::new()).unwrap();
        let answer = timeout(PATIENCE, sender.send_request(request)).await;
        let answer = answer.expect("nobody is held up").unwrap();
        assert_eq!(answer.status(), 200);
        answer.into_body().collect().await.unwrap();
    }
    idp.signs_in(person("ann"));
    let mut browser = process.built().browser();
    let trail = browser.follow(&process.built().url(HOST, "/page"), 3).await;
    assert_eq!(trail[trail.len() - 1].status, 200);
    // It ends when it is told to, although much is still unwritten.
    assert!(process.terminate_unread().await.success());
}
