//! What a probe is told before, while and after things go on, and signals that come early.

use std::{
    fs::{self, File},
    io::Write,
    process::{Command, Stdio},
};

use bytes::Bytes;
use http::Request;
use serde_json::Value;
use tokio::{io::AsyncWriteExt, task::JoinHandle, time::timeout};

use crate::support::{
    PATIENCE, clock, eventually,
    front::{Front, HOST, front},
    issuer, upstream, vestibule as files,
};

/// In front of an app that never answers; its route has a public path.
fn in_front_of(app: &upstream::Raw) -> Front {
    front(|it| {
        it.variable("VESTIBULE_LISTEN__GRACE", "10m")
            .main("[ops]\nlisten = \"127.0.0.1:0\"")
            .route(
                "wiki",
                HOST,
                "allow = \"signed-in\"\n[[public]]\npath = \"/pub\"",
                app,
            )
    })
}

#[tokio::test]
async fn probes_are_answered_until_the_last_request_is_over() {
    // S-269: a balancer has to hear "not ready" as long as anything is under way.
    let app = upstream::raw().run();
    let front = in_front_of(&app);
    let ops = format!("http://{}", front.vestibule.ops().unwrap());
    let mut prober = front.vestibule.browser();
    assert_eq!(prober.get(&format!("{ops}/readyz")).await.status, 200);
    let end_now = front.vestibule.hard_stop();
    let mut client = front.vestibule.raw(HOST).connect().await.unwrap();
    let authority = front.vestibule.authority(HOST);
    let request = format!("GET /pub HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    eventually("the app has the request", || !app.heard().is_empty()).await;

    let address = front.vestibule.https();
    let stopping: JoinHandle<Front> = tokio::spawn(async move {
        let mut front = front;
        front.vestibule.stop().await;
        front
    });
    eventually("nobody is let in any more", || {
        std::net::TcpStream::connect(address).is_err()
    })
    .await;
    // New connections of a prober, each of them.
    for _ in 0..3 {
        let ready = prober.get(&format!("{ops}/readyz")).await;
        assert_eq!(
            (ready.status.as_u16(), &ready.json()["ready"]),
            (503, &Value::Bool(false))
        );
        assert_eq!(prober.get(&format!("{ops}/livez")).await.status, 200);
        assert_eq!(prober.get(&format!("{ops}/metrics")).await.status, 200);
    }
    assert!(!stopping.is_finished());
    end_now();
    let front = timeout(PATIENCE, stopping).await.unwrap().unwrap();
    let request = Request::get(format!("{ops}/readyz"));
    let asked = prober.try_send(request.body(Bytes::new()).unwrap()).await;
    assert!(asked.is_err(), "in the end there is nobody left to answer");
    drop(front);
}

#[tokio::test]
async fn a_signal_that_comes_while_things_start_is_obeyed_when_they_have() {
    // The start is held up where the system's root certificates are read: from a pipe.
    for signal in ["-TERM", "-INT"] {
        let time = clock::manual();
        let idp = issuer::honest(&time).run();
        let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
        let built = files::at(&time)
            .route("wiki", HOST, "allow = \"signed-in\"", &nowhere)
            .provider("corp", &idp);
        let pipe = built.folder().join("roots.pem");
        let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let built = built.variable("SSL_CERT_FILE", pipe.to_str().unwrap());
        let mut command = built.command();
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.arg("serve").spawn().unwrap();
        let id = child.id().to_string();
        let running = tokio::task::spawn_blocking(move || child.wait_with_output());

        // Opening succeeds once the other side has opened the pipe to read it.
        let opening = tokio::task::spawn_blocking(move || File::create(&pipe));
        let mut pipe = timeout(PATIENCE, opening).await.unwrap().unwrap().unwrap();
        let sent = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(sent.success());
        pipe.write_all(built.pki().root_pem().as_bytes()).unwrap();
        drop(pipe);

        let output = timeout(PATIENCE, running).await.unwrap().unwrap().unwrap();
        let printed = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{:?}: {printed}", output.status);
        for word in ["ready", "stopping", "stopped"] {
            assert!(printed.contains(word), "{word}: {printed}");
        }
        assert!(fs::exists(built.folder()).unwrap());
    }
}
