//! Which key exchange is agreed on: the one that holds against a quantum computer with every client that
//! asks for it first, as browsers do, and a good one with all others. The choice is the client's.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, NamedGroup, RootCertStore, StreamOwned,
    crypto::{
        SupportedKxGroup,
        aws_lc_rs::{
            self,
            kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768},
        },
    },
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

use crate::support::{
    PATIENCE,
    front::{Front, HOST, wiki},
};

/// The group that a client is left with that knows these, in its own order.
fn agreed(front: &Front, groups: &[&'static dyn SupportedKxGroup]) -> NamedGroup {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(front.vestibule.pki().root_pem().as_bytes());
    roots.add(root.unwrap()).unwrap();
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = groups.to_vec();
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(HOST).unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let socket = TcpStream::connect(front.vestibule.https()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = StreamOwned::new(connection, socket);
    let authority = front.vestibule.authority(HOST);
    let request = format!("GET / HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    let group = stream.conn.negotiated_key_exchange_group();
    group.expect("the handshake is over").name()
}

#[test]
fn whoever_asks_for_the_post_quantum_group_first_gets_it() {
    // S-101
    let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    let front = wiki(&nowhere, "");
    for (groups, group) in [
        (&[X25519MLKEM768, X25519][..], NamedGroup::X25519MLKEM768),
        (&[X25519MLKEM768], NamedGroup::X25519MLKEM768),
        (&[X25519], NamedGroup::X25519),
        (&[SECP256R1], NamedGroup::secp256r1),
        (&[SECP384R1, X25519], NamedGroup::secp384r1),
    ] {
        assert_eq!(agreed(&front, groups), group);
    }
}
