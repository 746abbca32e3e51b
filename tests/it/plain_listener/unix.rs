//! The same over a socket in the file system.

use std::{
    os::{
        fd::OwnedFd,
        unix::{fs::PermissionsExt as _, net::UnixListener},
    },
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::{net::UnixStream, time::timeout};
use vestibule::{
    clock::{Clock, ManualClock},
    config::plain_address::PlainAddress,
};

use super::{HTTPS, RULES, request, said};
use crate::support::{
    PATIENCE,
    front::{Front, HOST, front},
    issuer,
    upstream::{self, Echo},
    vestibule as files,
};

/// A front over a socket below the folder of `config`.
fn over_a_socket(app: &Echo, more: &str) -> (Front, PathBuf) {
    let front = front(|it| {
        it.main("plain = \"unix:front.sock\"")
            .main(more)
            .route("wiki", HOST, RULES, app)
    });
    let path = front.vestibule.folder().join("front.sock");
    let plain = front.vestibule.plain();
    assert_eq!(plain, Some(&PlainAddress::Unix(path.clone())));
    (front, path)
}

#[tokio::test]
async fn a_front_that_may_open_the_socket_is_served() {
    // S-023: it is believed about clients only if 127.0.0.1 is.
    for (believed, told) in [
        ("trusted_proxies = [\"127.0.0.1\"]", "192.0.2.5, 127.0.0.1"),
        ("trusted_proxies = [\"10.0.0.0/8\"]", "127.0.0.1"),
    ] {
        let app = upstream::echo().run();
        let (mut front, path) = over_a_socket(&app, believed);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        let fields = format!("{HTTPS}X-Forwarded-For: 192.0.2.5\r\n");
        let asked = request(&front, "GET /open/page", &fields);
        let stream = UnixStream::connect(&path).await.unwrap();
        let answer = said(stream, asked.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let seen = app.requests().pop().unwrap();
        assert_eq!(seen.header("x-forwarded-for"), Some(told));

        let stream = UnixStream::connect(&path).await.unwrap();
        let answer = said(stream, request(&front, "GET /open/page", "").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");

        front.vestibule.stop().await;
        assert!(!path.exists(), "its file goes with it");
    }
}

#[tokio::test]
async fn a_proxy_header_is_read_there_too() {
    // S-027
    let app = upstream::echo().run();
    let more = "trusted_proxies = [\"127.0.0.1\"]\nproxy_protocol = true";
    let (front, path) = over_a_socket(&app, more);
    let asked = request(&front, "GET /open/page", HTTPS);
    let line = b"PROXY TCP4 192.0.2.5 198.51.100.2 5555 443\r\n".to_vec();
    let mut binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    binary.extend([192, 0, 2, 5, 198, 51, 100, 2, 0x1f, 0x90, 1, 0xbb]);
    for header in [line, binary] {
        let stream = UnixStream::connect(&path).await.unwrap();
        let bytes = [&header, asked.as_bytes()].concat();
        let answer = said(stream, &bytes).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let seen = app.requests().pop().unwrap();
        assert_eq!(seen.header("x-forwarded-for"), Some("192.0.2.5"));
    }
}

/// Killed when it is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_socket_is_taken_over_by_its_name_and_left_to_whoever_opened_it() {
    let app = upstream::echo().run();
    let time = ManualClock::starting_at(Clock::system().now().wall);
    let idp = issuer::honest(&time).run();
    let built = files::at(&time)
        .main("plain = \"unix:front.sock\"\ntrusted_proxies = [\"127.0.0.1\"]")
        .without_https()
        .route("wiki", HOST, RULES, &app)
        .provider("corp", &idp)
        .main("[log]\naccess = \"off\"");
    let path = built.folder().join("front.sock");
    let socket = UnixListener::bind(&path).unwrap();
    let program = built.command();
    // The number of the process is known only within it.
    let script = "export LISTEN_PID=$$; exec \"$0\" \"$@\" 3<&0 0</dev/null";
    let mut command = Command::new("/bin/sh");
    command
        .env_clear()
        .env("LISTEN_FDS", "1")
        .env("LISTEN_FDNAMES", "plain")
        .args(["-c", script])
        .arg(program.get_program())
        .args(program.get_args())
        .arg("serve")
        .stdin(Stdio::from(OwnedFd::from(socket.try_clone().unwrap())))
        .stdout(Stdio::null());
    let mut child = Killed(command.spawn().unwrap());
    let asked = format!(
        "GET /open/page HTTP/1.1\r\nHost: {HOST}:{}\r\n{HTTPS}Connection: close\r\n\r\n",
        built.port()
    );
    // It waits in the queue until there is somebody to answer it.
    let stream = UnixStream::connect(&path).await.unwrap();
    let answer = said(stream, asked.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let id = child.0.id().to_string();
    assert!(Command::new("kill").arg(id).status().unwrap().success());
    let ending = async {
        while child.0.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, ending).await.expect("it ends");
    assert!(path.exists(), "it is not its file");
    UnixStream::connect(&path).await.expect("it is open still");
}
