//! Accepting: how many connections there may be, of one address and at all, how room comes about, and
//! what a handshake that stalls or a lack of files does to everybody else.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream as StdStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use ::vestibule::listener::{Phase, Pressure, Room, Shutdown, Sockets, accept::accept};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use crate::support::{
    PATIENCE, clock, eventually,
    front::{Front, HOST, front},
    issuer,
    upstream::{self, Echo},
    vestibule,
    wire::Protocol,
};

/// After this long what has not come about counts as not coming.
const QUIET: Duration = Duration::from_millis(400);

fn with_limits(app: &Echo, limits: &str) -> Front {
    let rules = "allow = \"signed-in\"\n[[public]]\npath = \"/open/*\"\n";
    let limits = format!("[limits]\n{limits}");
    front(|it| it.main(&limits).route("wiki", HOST, rules, app))
}

fn cut(front: &Front, reason: &str) -> u64 {
    front.metric(&format!(
        "vestibule_connections_cut_total{{reason=\"{reason}\"}}"
    ))
}

/// A connection that has a request under way, and will have until it is dropped.
async fn busy(front: &Front) -> std::io::Result<TlsStream<TcpStream>> {
    busy_with(front, "/open/x", "a=b").await
}

async fn busy_with(
    front: &Front,
    target: &str,
    cookie: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut stream = front.vestibule.raw(HOST).connect().await?;
    let authority = front.vestibule.authority(HOST);
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: {authority}\r\nCookie: {cookie}\r\nContent-Length: 9\r\n\
         Expect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    // Under way once its body is asked for: until then it may have to make room.
    let mut asked = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    stream.read_exact(&mut asked).await?;
    Ok(stream)
}

#[tokio::test]
async fn beyond_the_most_connections_others_wait_until_there_is_room() {
    // S-260
    let app = upstream::echo().run();
    let front = with_limits(&app, "connections = 3");
    // Strangers alone could not keep all of them busy.
    let session = front.session(HOST).await;
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(busy_with(&front, "/x", &session).await.unwrap());
    }
    let raw = front.vestibule.raw(HOST);
    let mut waiting = Box::pin(raw.connect());
    assert!(
        timeout(QUIET, waiting.as_mut()).await.is_err(),
        "there is no room"
    );
    drop(all.pop());
    assert!(waiting.await.is_ok(), "there is room again");
}

#[tokio::test]
async fn idle_connections_make_room_the_longest_idle_first() {
    // S-260
    let shutdown = Shutdown::default();
    let pressure = Pressure::default();
    let room = Room::new(3, pressure.clone());
    let sockets = Sockets::bind((Ipv4Addr::LOCALHOST, 0).into(), 1).unwrap();
    let address = sockets.address();
    let listener = sockets.into_listeners().remove(0);
    let gone = Arc::new(Mutex::new(Vec::new()));
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let serve = {
        let gone = Arc::clone(&gone);
        move |stream: TcpStream, peer: SocketAddr| {
            let (pressure, gone, arrived) = (pressure.clone(), Arc::clone(&gone), arrived.clone());
            async move {
                let mut listening = Box::pin(pressure.asked());
                // Idle from here on, and then known to be.
                let asked = futures_util::poll!(listening.as_mut());
                arrived.send(()).unwrap();
                if asked.is_pending() {
                    listening.await;
                }
                gone.lock().unwrap().push(peer);
                drop(stream);
            }
        }
    };
    let accepting = tokio::spawn(accept(listener, room, shutdown.clone(), serve));
    let mut clients = Vec::new();
    for _ in 0..6 {
        clients.push(TcpStream::connect(address).await.unwrap());
        timeout(PATIENCE, arrivals.recv()).await.unwrap().unwrap();
    }
    let expected: Vec<_> = clients[..3]
        .iter()
        .map(|it| it.local_addr().unwrap())
        .collect();
    eventually("three made room", || gone.lock().unwrap().len() == 3).await;
    assert_eq!(*gone.lock().unwrap(), expected);
    shutdown.advance_to(Phase::Draining);
    accepting.await.unwrap().unwrap();
}

#[tokio::test]
async fn whoever_has_brought_no_request_makes_room_for_whoever_does() {
    // S-254, S-255, S-260: nothing, half a handshake, half a head; none of it ends by itself.
    let app = upstream::echo().run();
    let limits = "connections = 5\ntls_timeout = \"1h\"\nhead_timeout = \"1h\"";
    let front = with_limits(&app, limits);
    let _busy = [busy(&front).await.unwrap(), busy(&front).await.unwrap()];
    let mut strangers = Vec::new();
    for said in [&b""[..], b"\x16\x03\x01"] {
        let mut stranger = TcpStream::connect(front.vestibule.https()).await.unwrap();
        stranger.write_all(said).await.unwrap();
        strangers.push(stranger);
    }
    let mut half = front.vestibule.raw(HOST).connect().await.unwrap();
    half.write_all(b"GET /open/x HT").await.unwrap();
    let mut guests = Vec::new();
    for _ in 0..3 {
        let guest = timeout(PATIENCE, busy(&front)).await;
        guests.push(guest.expect("there is room").unwrap());
    }
    for mut stranger in strangers {
        assert_eq!(stranger.read(&mut [0; 1]).await.unwrap_or(0), 0);
    }
    assert_eq!(half.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert_eq!(cut(&front, "connections"), 3);
}

#[tokio::test]
async fn whoever_waits_for_room_is_let_go_by_a_stop() {
    let shutdown = Shutdown::default();
    let sockets = Sockets::bind((Ipv4Addr::LOCALHOST, 0).into(), 1).unwrap();
    let address = sockets.address();
    let listener = sockets.into_listeners().remove(0);
    let room = Room::new(1, Pressure::default());
    let serve = |stream: TcpStream, _| async move {
        let _stream = stream;
        std::future::pending::<()>().await;
    };
    let accepting = tokio::spawn(accept(listener, room, shutdown.clone(), serve));
    let _seated = TcpStream::connect(address).await.unwrap();
    let mut waiting = TcpStream::connect(address).await.unwrap();
    assert!(timeout(QUIET, waiting.read(&mut [0; 1])).await.is_err());
    shutdown.advance_to(Phase::Draining);
    timeout(PATIENCE, accepting)
        .await
        .expect("it ends")
        .unwrap()
        .unwrap();
    let end = timeout(PATIENCE, waiting.read(&mut [0; 1]))
        .await
        .expect("it is closed");
    assert_eq!(end.unwrap_or(0), 0);
}

#[tokio::test]
async fn one_address_has_as_many_connections_as_it_may() {
    // S-260
    let app = upstream::echo().run();
    let front = with_limits(&app, "connections_per_address = 2");
    let first = busy(&front).await.unwrap();
    let _second = busy(&front).await.unwrap();
    assert!(front.vestibule.raw(HOST).connect().await.is_err());
    eventually("it is counted", || {
        cut(&front, "connections_per_address") == 1
    })
    .await;
    // Another address is not concerned.
    let socket = TcpSocket::new_v4().unwrap();
    socket
        .bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, 3), 0)))
        .unwrap();
    let mut other = socket.connect(front.vestibule.https()).await.unwrap();
    other.write_all(b"no TLS at all\r\n\r\n").await.unwrap();
    let mut alert = [0; 1];
    timeout(PATIENCE, other.read_exact(&mut alert))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(alert, [21], "it got as far as the handshake");
    drop(first);
    let polling = async {
        while front.vestibule.raw(HOST).connect().await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(
        timeout(PATIENCE, polling).await.is_ok(),
        "there is room again"
    );
}

#[tokio::test]
async fn behind_a_front_it_is_the_clients_address_that_counts() {
    // S-260
    let app = upstream::echo().run();
    let rules = "allow = \"signed-in\"";
    let front = front(|it| {
        it.main("trusted_proxies = [\"127.0.0.2\"]\nproxy_protocol = true")
            .main("[limits]\nconnections_per_address = 1")
            .route("wiki", HOST, rules, &app)
    });
    let mut kept = Vec::new();
    for (line, is_let_in) in [
        ("PROXY TCP4 192.0.2.1 192.0.2.9 1 2\r\n", true),
        ("PROXY TCP4 192.0.2.2 192.0.2.9 1 2\r\n", true),
        ("PROXY TCP4 192.0.2.1 192.0.2.9 3 2\r\n", false),
        ("PROXY TCP6 ::ffff:192.0.2.2 ::1 3 2\r\n", false),
        ("PROXY TCP6 2001:db8::1 ::1 3 2\r\n", true),
        ("PROXY TCP6 2001:db8::2 ::1 3 2\r\n", false),
        ("PROXY TCP6 2001:db8:0:1::2 ::1 3 2\r\n", true),
        // The front itself is not counted.
        ("PROXY UNKNOWN\r\n", true),
        ("PROXY UNKNOWN\r\n", true),
    ] {
        let socket = TcpSocket::new_v4().unwrap();
        socket
            .bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), 0)))
            .unwrap();
        let mut stream = socket.connect(front.vestibule.https()).await.unwrap();
        stream.write_all(line.as_bytes()).await.unwrap();
        // Half a record: whoever was let in waits for the rest.
        let _ = stream.write_all(b"\x16\x03\x01").await;
        let end = timeout(QUIET, stream.read(&mut [0; 1])).await;
        assert_eq!(end.is_err(), is_let_in, "{line}: {end:?}");
        kept.push(stream);
    }
    eventually("it is counted", || {
        cut(&front, "connections_per_address") == 3
    })
    .await;
}

#[tokio::test]
async fn a_handshake_that_stalls_is_given_up_counted_and_closed() {
    // S-100, S-255: nothing, half a record, a record that never ends
    let app = upstream::echo().run();
    let front = with_limits(&app, "tls_timeout = \"1s\"");
    let mut clients = Vec::new();
    for said in [
        &b""[..],
        b"\x16\x03",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ] {
        let mut client = TcpStream::connect(front.vestibule.https()).await.unwrap();
        client.write_all(said).await.unwrap();
        clients.push(client);
    }
    for mut client in clients {
        let end = timeout(PATIENCE, client.read(&mut [0; 1]))
            .await
            .expect("it is closed");
        assert_eq!(end.unwrap_or(0), 0);
    }
    eventually("it is counted", || cut(&front, "tls_timeout") == 3).await;
    assert_eq!(front.wire(Protocol::Http2, HOST).get("/").await.status, 401);
}

#[tokio::test]
async fn a_lack_of_files_ends_when_files_are_given_back() {
    // S-260: EMFILE neither ends the accept loop nor keeps it from what comes later.
    let app = upstream::echo().run();
    let idp = issuer::honest(&clock::manual()).entra().run();
    let built = vestibule::new()
        .route("wiki", HOST, "allow = \"signed-in\"", &app)
        .entra(&idp);
    let serve = built.command();
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""])
        .arg(serve.get_program())
        .args(serve.get_args())
        .arg("serve")
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = Ended(limited.spawn().unwrap());
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, built.port()));
    eventually("it listens", || StdStream::connect(address).is_ok()).await;
    let crowd: Vec<_> = (0..100)
        .map(|_| StdStream::connect(address).unwrap())
        .collect();
    let mut said = String::new();
    let mut stderr = child.0.stderr.take().unwrap();
    let mut piece = [0; 1024];
    while !said.contains("failed to accept a connection") {
        let read = stderr.read(&mut piece).unwrap();
        assert!(read > 0, "it ended: {said}");
        said.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    assert!(said.contains("too few open files"), "{said}");
    drop(crowd);
    let answered = || {
        let Ok(mut stream) = StdStream::connect(address) else {
            return false;
        };
        stream.set_read_timeout(Some(QUIET)).unwrap();
        // Not TLS: whoever is served is told so.
        let _ = stream.write_all(b"GET / HTTP/1.1\r\n\r\n");
        matches!(stream.read(&mut [0; 1]), Ok(1))
    };
    eventually("it serves again", answered).await;
}

/// A process that ends with its test, however that ends.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
