//! Resuming: a ticket is good for the name it was made for, at the process that made it, and never
//! for data before the handshake.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, NamedGroup, RootCertStore, StreamOwned,
    SupportedProtocolVersion,
    client::{
        ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue,
        Tls13ClientSessionValue,
    },
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};

use crate::support::{
    PATIENCE,
    front::{Front, HOST, front},
};

const OTHER: &str = "erp.example";

/// Offers whatever ticket it has to whomever it talks to, as no good client would.
#[derive(Debug)]
struct Careless {
    cache: ClientSessionMemoryCache,
}

fn anybody() -> ServerName<'static> {
    ServerName::try_from("anybody.example").unwrap()
}

impl ClientSessionStore for Careless {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.cache.set_kx_hint(anybody(), group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.cache.kx_hint(&anybody())
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.cache.set_tls12_session(anybody(), value);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.cache.tls12_session(&anybody())
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.cache.remove_tls12_session(&anybody());
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.cache.insert_tls13_ticket(anybody(), value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.cache.take_tls13_ticket(&anybody())
    }
}

/// A client of one version that would send data early if it were let.
fn client(front: &Front, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(front.vestibule.pki().root_pem().as_bytes());
    roots.add(root.unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::store(Arc::new(Careless {
        cache: ClientSessionMemoryCache::new(32),
    }));
    config.enable_early_data = true;
    Arc::new(config)
}

/// One request at `host`: how the handshake went, and what was answered. Nothing can be sent early.
fn visited(front: &Front, config: &Arc<ClientConfig>, host: &str) -> (HandshakeKind, String) {
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let mut connection = ClientConnection::new(Arc::clone(config), name).unwrap();
    assert!(connection.early_data().is_none(), "early data at {host}");
    let socket = TcpStream::connect(front.vestibule.https()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = StreamOwned::new(connection, socket);
    let authority = front.vestibule.authority(host);
    let request = format!("GET / HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let certificate = stream.conn.peer_certificates().unwrap()[0].clone();
    let file = front.vestibule.folder().join(format!("certs/{host}.crt"));
    assert_eq!(certificate, CertificateDer::from_pem_file(file).unwrap());
    (stream.conn.handshake_kind().unwrap(), answer)
}

fn two_hosts() -> Front {
    let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    front(|it| {
        it.route("wiki", HOST, "allow = \"signed-in\"", &nowhere)
            .route("erp", OTHER, "allow = \"signed-in\"", &nowhere)
    })
}

#[test]
fn a_ticket_resumes_at_its_own_name_and_nothing_comes_early() {
    // S-227
    let front = two_hosts();
    for version in [&TLS13, &TLS12] {
        let config = client(&front, version);
        let (first, answer) = visited(&front, &config, HOST);
        assert_ne!(first, HandshakeKind::Resumed);
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        // Without this the other tests here would prove nothing.
        let (second, answer) = visited(&front, &config, HOST);
        assert_eq!(second, HandshakeKind::Resumed, "{version:?}");
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
}

#[test]
fn a_ticket_for_another_name_is_a_whole_handshake() {
    // S-227, S-224
    let front = two_hosts();
    for version in [&TLS13, &TLS12] {
        for (one, other) in [(HOST, OTHER), (OTHER, HOST)] {
            let config = client(&front, version);
            visited(&front, &config, one);
            let (kind, answer) = visited(&front, &config, other);
            assert_ne!(kind, HandshakeKind::Resumed, "{version:?} {other}");
            assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        }
    }
}

#[test]
fn a_ticket_of_another_process_is_a_whole_handshake() {
    // S-227: its key lives and dies with the process.
    let (front, other) = (two_hosts(), two_hosts());
    for version in [&TLS13, &TLS12] {
        let config = client(&front, version);
        visited(&front, &config, HOST);
        let mut trusting = ClientConfig::clone(&client(&other, version));
        trusting.resumption = config.resumption.clone();
        let (kind, _) = visited(&other, &Arc::new(trusting), HOST);
        assert_ne!(kind, HandshakeKind::Resumed, "{version:?}");
    }
}
