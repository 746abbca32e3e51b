//! New certificates for new handshakes; none that is worse than what it would replace.

use std::{fs, path::PathBuf};

use rustls::pki_types::CertificateDer;

use super::{comes_to, is_stale, plain_house, reloads};
use crate::support::{
    eventually,
    house::{HOST, House},
    pki::{self, Alpn, Leaf, write_private},
};

/// What a new handshake is shown.
async fn shown(house: &House) -> CertificateDer<'static> {
    let stream = house.vestibule.raw(HOST).connect().await.unwrap();
    let certificates = stream.get_ref().1.peer_certificates().unwrap();
    certificates[0].clone().into_owned()
}

fn folder(house: &House) -> PathBuf {
    house.vestibule.folder().join("certs")
}

fn write(house: &House, leaf: &Leaf) {
    leaf.write(&folder(house), HOST);
}

#[tokio::test]
async fn a_new_certificate_is_for_new_handshakes_and_old_connections_go_on() {
    // S-323
    let house = plain_house().await;
    let url = house.url("/.vestibule/me");
    let mut kept = Vec::new();
    for alpn in [Alpn::Http1, Alpn::H2] {
        let raw = house
            .vestibule
            .raw(HOST)
            .offering(alpn, house.vestibule.pki());
        let mut connection = raw.keep(alpn).await;
        assert_eq!(connection.get(&url, &[]).await.0, 401);
        kept.push(connection);
    }
    let before = shown(&house).await;
    let leaf = house.vestibule.pki().leaf(&[HOST]);
    comes_to(&house.vestibule, "applied", || write(&house, &leaf)).await;
    assert_ne!(shown(&house).await, before);
    for connection in &mut kept {
        assert_eq!(connection.get(&url, &[]).await.0, 401);
    }
}

#[tokio::test]
async fn a_broken_certificate_keeps_the_last_good() {
    // S-323
    let house = plain_house().await;
    let before = shown(&house).await;
    let good = {
        let read = |name: &str| fs::read_to_string(folder(&house).join(name)).unwrap();
        Leaf {
            cert_pem: read(&format!("{HOST}.crt")),
            key_pem: read(&format!("{HOST}.key")),
        }
    };
    let pki = house.vestibule.pki();
    let other = pki.leaf(&[HOST]);
    let of_another_host = pki.leaf(&["other.example"]);
    let expired = pki.expired_leaf(&[HOST]);
    let cut = &other.cert_pem[..other.cert_pem.len() / 2];
    for (what, cert, key) in [
        ("garbage", "garbage", &*other.key_pem),
        ("nothing", "", &*other.key_pem),
        ("half of one", cut, &*other.key_pem),
        ("the key of another", &*other.cert_pem, &*good.key_pem),
        ("no key", &*other.cert_pem, "garbage"),
        (
            "another host",
            &*of_another_host.cert_pem,
            &*of_another_host.key_pem,
        ),
        ("expired", &*expired.cert_pem, &*expired.key_pem),
    ] {
        let breaking = || {
            fs::write(folder(&house).join(format!("{HOST}.crt")), cert).unwrap();
            write_private(&folder(&house).join(format!("{HOST}.key")), key);
        };
        comes_to(&house.vestibule, "refused", breaking).await;
        assert!(is_stale(&house.vestibule), "{what}");
        assert_eq!(shown(&house).await, before, "{what}");
        write(&house, &good);
        eventually("mended", || !is_stale(&house.vestibule)).await;
    }
    let key = folder(&house).join(format!("{HOST}.key"));
    comes_to(&house.vestibule, "refused", || {
        fs::remove_file(&key).unwrap();
    })
    .await;
    assert_eq!(shown(&house).await, before);
    assert_eq!(reloads(&house.vestibule, "applied"), 0);
}

#[tokio::test]
async fn another_authority_is_no_fault() {
    // Which one people trust is for the operator to know.
    let house = plain_house().await;
    let leaf = pki::fresh().leaf(&[HOST]);
    comes_to(&house.vestibule, "applied", || write(&house, &leaf)).await;
}
