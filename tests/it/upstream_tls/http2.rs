//! HTTP/2 to apps over TLS: agreed on in the handshake, or not spoken at all.

use rustls::version::{TLS12, TLS13};

use super::{app, side, to, trusting};
use crate::support::{
    front::HOST,
    pki,
    secure::over_tls,
    wire::{PROTOCOLS, ask},
};

const HTTP2: &str = "protocol = \"http2\"";

#[tokio::test]
async fn an_app_that_agrees_to_http2_is_spoken_to_in_it() {
    // S-295
    let pki = pki::fresh();
    let app = app(&pki).await;
    let front = trusting(&pki, &to(&app), HTTP2);
    let session = front.session(HOST).await;
    for protocol in PROTOCOLS {
        let asked = ask("GET", "/a?b").with("Cookie", &session);
        let reply = front.wire(protocol, HOST).ask(&asked).await;
        assert_eq!((reply.status, &*reply.text()), (200, "hi"));
    }
    for shook in app.handshakes() {
        assert_eq!(shook.protocol.as_deref(), Some("h2"));
    }
    let public = front.vestibule.authority(HOST);
    let head = format!("GET https://{public}/a?b HTTP/2.0");
    assert_eq!(app.heads(), [head.clone(), head]);
}

#[tokio::test]
async fn an_app_that_agrees_to_something_else_is_a_bad_gateway_and_hears_no_request() {
    // S-295
    let pki = pki::fresh();
    for protocols in [&[b"http/1.1".to_vec()][..], &[]] {
        let config = side(&pki.leaf(&["127.0.0.1"]), None, &[&TLS12, &TLS13]);
        let mut config = (*config).clone();
        config.alpn_protocols = protocols.to_vec();
        let app = over_tls(config.into()).await;
        let front = trusting(&pki, &to(&app), HTTP2);
        let session = front.session(HOST).await;
        for protocol in PROTOCOLS {
            let asked = ask("GET", "/").with("Cookie", &session);
            let reply = front.wire(protocol, HOST).ask(&asked).await;
            assert_eq!(reply.status, 502, "{protocols:?}");
        }
        assert!(app.heads().is_empty(), "{:?}", app.heads());
    }
}
