//! Apps that speak TLS: whom vestibule trusts, who it is to them, and what is said when that fails.

mod distrust;
mod http2;
mod reload;

use std::{path::Path, sync::Arc};

use rustls::{
    ProtocolVersion, ServerConfig, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
    version::{TLS12, TLS13},
};

use crate::support::{
    front::{Front, HOST, front},
    pki::{self, Leaf, Pki},
    secure::{SecureApp, over_tls},
    wire::{PROTOCOLS, Protocol, ask},
};

const TLS_VERSIONS: [(&SupportedProtocolVersion, ProtocolVersion); 2] = [
    (&TLS12, ProtocolVersion::TLSv1_2),
    (&TLS13, ProtocolVersion::TLSv1_3),
];

/// The server's side of an app: a certificate, and perhaps whom it lets in.
fn side(
    leaf: &Leaf,
    clients: Option<&Pki>,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ServerConfig> {
    let chain = vec![CertificateDer::from_pem_slice(leaf.cert_pem.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap();
    let config = match clients {
        None => config.with_no_client_auth(),
        Some(pki) => {
            let roots = Arc::new(pki.roots());
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            config.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let mut config = config.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

/// An app at 127.0.0.1 whose certificate is for that.
async fn app(pki: &Pki) -> SecureApp {
    over_tls(side(&pki.leaf(&["127.0.0.1"]), None, &[&TLS12, &TLS13])).await
}

/// A file beside the config folder.
fn write(folder: &Path, name: &str, text: &str) {
    pki::write_private(&folder.join(name), text);
}

/// The address of an app as a route names it.
fn to(app: &SecureApp) -> String {
    format!("\"https://{}\"", app.address())
}

/// One route to an app, whose authority is trusted; `upstream` is more of that table.
fn trusting(pki: &Pki, to: &str, upstream: &str) -> Front {
    front(|it| {
        write(it.folder(), "ca.pem", pki.root_pem());
        let rules = format!("allow = \"signed-in\"\n[upstream]\nca_file = \"ca.pem\"\n{upstream}");
        it.route_to("wiki", HOST, &rules, to)
    })
}

#[tokio::test]
async fn an_app_is_spoken_to_over_tls_of_both_versions_and_connections_are_kept() {
    // S-295
    let pki = pki::fresh();
    for (version, spoken) in TLS_VERSIONS {
        let app = over_tls(side(&pki.leaf(&["127.0.0.1"]), None, &[version])).await;
        let front = trusting(&pki, &to(&app), "");
        let session = front.session(HOST).await;
        // One connection after the other, so that one data thread is enough.
        let mut wire = front.wire(Protocol::Http1, HOST);
        for method in ["GET", "POST", "GET"] {
            let mut asked = ask(method, "/a?b").with("Cookie", &session);
            if method == "POST" {
                asked = asked.body(vec![b'x'; 100_000]);
            }
            let reply = wire.ask(&asked).await;
            assert_eq!((reply.status, &*reply.text()), (200, "hi"));
        }
        let heads = app.heads();
        assert_eq!(heads.len(), 3);
        assert!(heads[1].len() > 100_000 && heads[1].ends_with("xxx"));
        let handshakes = app.handshakes();
        assert_eq!(handshakes.len(), 1, "{handshakes:#?}");
        let shook = &handshakes[0];
        assert_eq!(shook.version, spoken);
        // HTTP/2 is not offered, and no name is one for an address.
        assert_eq!(shook.protocol.as_deref(), Some("http/1.1"));
        assert_eq!(shook.name, None);
        assert!(!shook.has_certificate);
    }
}

#[tokio::test]
async fn the_name_of_the_table_is_asked_for_and_verified_in_place_of_the_address() {
    let pki = pki::fresh();
    let leaf = pki.leaf(&["erp.internal.example"]);
    let app = over_tls(side(&leaf, None, &[&TLS13])).await;
    let named = "server_name = \"ERP.internal.example\"\nhost = \"upstream\"";
    let front = trusting(&pki, &to(&app), named);
    let session = front.session(HOST).await;
    for protocol in PROTOCOLS {
        let asked = ask("GET", "/").with("Cookie", &session);
        assert_eq!(front.wire(protocol, HOST).ask(&asked).await.status, 200);
    }
    for shook in app.handshakes() {
        assert_eq!(shook.name.as_deref(), Some("erp.internal.example"));
    }
    let host = format!("\r\nhost: {}\r\n", app.address());
    assert!(app.heads()[0].contains(&host), "{:?}", app.heads());
}

#[tokio::test]
async fn a_second_handshake_resumes_the_first() {
    let pki = pki::fresh();
    for (version, _) in TLS_VERSIONS {
        let app = over_tls(side(&pki.leaf(&["127.0.0.1"]), None, &[version])).await;
        let front = trusting(&pki, &to(&app), "");
        let session = front.session(HOST).await;
        for _ in 0..3 {
            let asked = ask("GET", "/close").with("Cookie", &session);
            let reply = front.wire(Protocol::Http1, HOST).ask(&asked).await;
            assert_eq!(reply.status, 200);
        }
        let resumed: Vec<_> = app.handshakes().iter().map(|it| it.is_resumed).collect();
        assert_eq!(resumed, [false, true, true], "{version:?}");
    }
}

#[tokio::test]
async fn an_app_that_asks_who_is_there_is_shown_the_certificate_of_the_route() {
    // S-296
    let (pki, clients) = (pki::fresh(), pki::fresh());
    for (version, _) in TLS_VERSIONS {
        let leaf = pki.leaf(&["127.0.0.1"]);
        let app = over_tls(side(&leaf, Some(&clients), &[version])).await;
        let own = clients.client_leaf("vestibule");
        let shown = "client_cert_file = \"own.crt\"\nclient_key_file = \"own.key\"";
        let front = front(|it| {
            write(it.folder(), "ca.pem", pki.root_pem());
            own.write(it.folder(), "own");
            let rules = |more: &str| {
                format!("allow = \"signed-in\"\n[upstream]\nca_file = \"ca.pem\"\n{more}")
            };
            it.route_to("wiki", HOST, &rules(shown), &to(&app))
                .route_to("bare", &format!("{HOST}/bare"), &rules(""), &to(&app))
        });
        let session = front.session(HOST).await;
        let mut wire = front.wire(Protocol::Http2, HOST);
        // Whoever shows none must not come in on a connection of who does.
        for (target, status) in [("/", 200), ("/bare", 502), ("/", 200), ("/bare", 502)] {
            let reply = wire.ask(&ask("GET", target).with("Cookie", &session)).await;
            assert_eq!(reply.status, status, "{version:?} {target}");
        }
        assert!(app.handshakes().iter().all(|shook| shook.has_certificate));
        assert_eq!(app.heads().len(), 2);
    }
}
