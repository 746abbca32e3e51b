//! Apps at a socket of this machine.

use std::fs;

use crate::support::{
    front::{HOST, front},
    secure::at_socket,
    wire::{PROTOCOLS, Protocol, ask},
};

#[tokio::test]
async fn an_app_at_a_socket_is_asked_like_any_other() {
    let front = front(|it| {
        let rules = "allow = \"signed-in\"\n[upstream]\nhost = \"upstream\"";
        it.route_to("wiki", HOST, rules, "\"unix:app.sock\"")
    });
    let app = at_socket(&front.vestibule.folder().join("app.sock"));
    let session = front.session(HOST).await;
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        let asked = ask("POST", "/a?b").with("Cookie", &session);
        let asked = asked.body(vec![b'x'; 200_000]);
        for _ in 0..2 {
            let reply = wire.ask(&asked).await;
            assert_eq!((reply.status, &*reply.text()), (200, "hi"), "{protocol:?}");
        }
    }
    let heads = app.heads();
    assert_eq!(heads.len(), 4);
    for head in heads {
        assert!(head.starts_with("POST /a?b HTTP/1.1\r\n"), "{head:.80}");
        assert!(head.contains("\r\nhost: localhost\r\n"), "{head:.300}");
        assert!(head.ends_with("xxx") && head.len() > 200_000);
    }
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_a_bad_gateway_until_it_is() {
    // S-238
    let front = front(|it| it.route_to("wiki", HOST, "allow = \"signed-in\"", "\"unix:app.sock\""));
    let path = front.vestibule.folder().join("app.sock");
    let session = front.session(HOST).await;
    let mut wire = front.wire(Protocol::Http1, HOST);
    let asked = ask("GET", "/").with("Cookie", &session);
    let closing = ask("GET", "/close").with("Cookie", &session);
    for _ in 0..2 {
        let reply = wire.ask(&asked).await;
        assert_eq!(
            (reply.status, &*reply.reason()),
            (502, "upstream_unreachable")
        );
        assert!(!reply.text().contains("sock"), "{}", reply.text());
        let app = at_socket(&path);
        assert_eq!(wire.ask(&asked).await.status, 200);
        assert_eq!(wire.ask(&closing).await.status, 200);
        drop(app);
        fs::remove_file(&path).unwrap();
    }
    assert_eq!(front.upstream_failures(), 2);
}
