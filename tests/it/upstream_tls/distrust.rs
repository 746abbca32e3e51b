//! Certificates that are not to be believed: never a request, always a reason.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::{io::AsyncReadExt, net::TcpListener};
use vestibule::clock::{Clock, ManualClock};

use super::*;
use crate::support::{
    client::raw_tls::raw_tls, clock, eventually, issuer, process, vestibule as files,
};

#[tokio::test]
async fn who_is_not_to_be_trusted_gets_no_request_and_the_log_says_what_to_do() {
    // S-295, S-238. The program goes by the system's clock, and so must everybody it talks to.
    let time = ManualClock::starting_at(Clock::system().now().wall);
    let idp = issuer::honest(&time).entra().run();
    let (pki, other) = (pki::fresh(), pki::fresh());
    let both = [&TLS12, &TLS13];
    let leaves = [
        ("stranger", other.leaf(&["127.0.0.1"]), "upstream.ca_file"),
        ("system", pki.leaf(&["127.0.0.1"]), "upstream.ca_file"),
        (
            "misnamed",
            pki.leaf(&["a.example", "b.example"]),
            "is not for 127.0.0.1 but for",
        ),
        (
            "expired",
            pki.expired_leaf(&["127.0.0.1"]),
            "expired at 2001-01-01T00:00:00Z",
        ),
    ];
    let mut apps = Vec::new();
    for (id, leaf, said) in &leaves {
        apps.push((*id, over_tls(side(leaf, None, &both)).await, *said));
    }
    let plain = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let in_the_clear = plain.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = plain.accept().await {
            let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n";
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await;
        }
    });
    let mut built = files::at(&time)
        .entra(&idp)
        .main("[log]\naccess = \"off\"")
        .variable("VESTIBULE_LISTEN__WORKERS", "1")
        .variable("RUST_LOG", "warn");
    write(built.folder(), "ca.pem", pki.root_pem());
    // The system trusts the other authority: who has a `ca_file` does not.
    write(built.folder(), "system.pem", other.root_pem());
    let system = built.folder().join("system.pem");
    built = built.variable("SSL_CERT_FILE", system.to_str().unwrap());
    let trusted = over_tls(side(&other.leaf(&["127.0.0.1"]), None, &both)).await;
    let rules = "allow = \"signed-in\"\n[[public]]\npath = \"/pub\"";
    built = built.route_to("trusted", "trusted.example", rules, &to(&trusted));
    let ways: Vec<_> = apps
        .iter()
        .map(|(id, app, said)| (*id, app.address(), *said))
        .chain([("clear", in_the_clear, "does not speak TLS")])
        .collect();
    for (id, address, _) in &ways {
        let ca = if *id == "system" {
            ""
        } else {
            "ca_file = \"ca.pem\""
        };
        let rules = format!("allow = \"signed-in\"\n[[public]]\npath = \"/pub\"\n[upstream]\n{ca}");
        let host = format!("{id}.example");
        built = built.route_to(id, &host, &rules, &format!("\"https://{address}\""));
    }
    let process = process::serve(built).await;
    let port = process.built().port();
    for (id, address, _) in &ways {
        let host = format!("{id}.example");
        let raw = raw_tls(
            SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            &host,
            process.built().pki(),
        );
        let head = format!("GET /pub HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n");
        let came = raw.say(head).await;
        let text = came.text();
        assert_eq!(came.statuses(), [502], "{id}: {text}");
        assert!(text.contains("upstream_tls"), "{id}: {text}");
        for hidden in [&*address.port().to_string(), "b.example", "2001", "ca_file"] {
            assert!(!text.contains(hidden), "{id}: {hidden} in {text}");
        }
    }
    for (id, app, _) in &apps {
        assert_eq!(app.heads(), [""; 0], "{id}");
    }
    let told = String::from_utf8(process.terminate().await.stderr).unwrap();
    for (id, address, said) in &ways {
        let of_route = format!("route=\"{id}\"");
        let line = told.lines().find(|line| line.contains(&of_route));
        let line = line.unwrap_or_else(|| panic!("{id} in {told}"));
        let address = format!("address=\"https://{address}\"");
        for part in [said, &*address, "reason=\"upstream_tls\""] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }
}

#[tokio::test]
async fn an_app_that_never_shakes_hands_is_given_up_on_in_time() {
    // S-100, S-294
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = silent.local_addr().unwrap();
    let pki = pki::fresh();
    let front = trusting(&pki, &format!("\"https://{address}\""), "");
    let session = front.session(HOST).await;
    let mut wire = front.wire(Protocol::Http1, HOST);
    let asked = ask("GET", "/").with("Cookie", &session);
    let asking = tokio::spawn(async move { wire.ask(&asked).await });
    let (mut stream, _) = silent.accept().await.unwrap();
    let mut hello = [0; 5];
    stream.read_exact(&mut hello).await.unwrap();
    assert_eq!(hello[0], 22, "a handshake has begun");
    let time = front.vestibule.time();
    time.advance(std::time::Duration::from_millis(4_900));
    tokio::task::yield_now().await;
    assert!(!asking.is_finished(), "it has a tenth of a second left");
    time.advance(std::time::Duration::from_millis(200));
    let reply = asking.await.unwrap();
    let came = (reply.status, reply.reason());
    assert_eq!(came, (504, "upstream_connect_timeout".to_owned()));
    let sample =
        "vestibule_upstream_failures_total{route=\"wiki\",reason=\"upstream_connect_timeout\"}";
    eventually("it is counted", || front.metric(sample) == 1).await;
}

#[test]
fn files_that_cannot_be_used_are_findings_of_check() {
    let (pki, time) = (pki::fresh(), clock::manual());
    let idp = issuer::honest(&time).run();
    let (one, another) = (pki.client_leaf("one"), pki.client_leaf("another"));
    let client = "client_cert_file = \"own.pem\"\nclient_key_file = \"own.key\"";
    let ca = "ca_file = \"ca.pem\"";
    let (cert, key, roots) = (&*one.cert_pem, &*one.key_pem, pki.root_pem());
    for (keys, files, file, said) in [
        (ca, [roots, cert, key], "", ""),
        (client, [roots, cert, key], "", ""),
        (
            ca,
            ["", cert, key],
            "ca.pem",
            "upstream.ca_file: failed to read",
        ),
        (
            ca,
            [key, cert, key],
            "ca.pem",
            "upstream.ca_file: failed to read",
        ),
        (
            client,
            [roots, "", key],
            "own.pem",
            "upstream.client_cert_file: failed to read",
        ),
        (
            client,
            [roots, cert, cert],
            "own.key",
            "upstream.client_key_file: failed to read",
        ),
        (
            client,
            [roots, cert, &*another.key_pem],
            "own.key",
            "upstream.client_key_file: failed to use the private key",
        ),
    ] {
        let rules = format!("allow = \"signed-in\"\n[upstream]\n{keys}");
        let built = files::at(&time).provider("corp", &idp).route_to(
            "wiki",
            HOST,
            &rules,
            "\"https://10.0.0.7\"",
        );
        for (name, text) in ["ca.pem", "own.pem", "own.key"].into_iter().zip(files) {
            write(built.folder(), name, text);
        }
        let findings: Vec<_> = built.findings().iter().map(ToString::to_string).collect();
        if said.is_empty() {
            assert_eq!(findings, [""; 0], "{keys}");
            continue;
        }
        assert_eq!(findings.len(), 1, "{keys}: {findings:#?}");
        let begins = format!("/{file}: {said}");
        assert!(findings[0].contains(&begins), "{keys}: {findings:#?}");
        assert!(!findings[0].contains("PRIVATE"), "{findings:#?}");
    }
}
