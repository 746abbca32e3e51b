//! Files for TLS towards apps that change while vestibule serves.

use super::*;
use crate::support::eventually;

fn reloads(front: &Front, outcome: &str) -> u64 {
    front.metric(&format!("vestibule_reloads_total{{outcome=\"{outcome}\"}}"))
}

/// Writes a file, and waits until that has come to another `outcome`.
async fn comes_to(front: &Front, outcome: &str, name: &str, text: &str) {
    let before = reloads(front, outcome);
    write(front.vestibule.folder(), name, text);
    eventually(outcome, || reloads(front, outcome) > before).await;
}

async fn following(mut front: Front) -> Front {
    front.vestibule.follow();
    eventually("the files were read", || reloads(&front, "unchanged") == 1).await;
    front
}

#[tokio::test]
async fn whom_to_trust_changes_with_the_file_and_a_broken_one_changes_nothing() {
    // S-295, S-317
    let (pki, next) = (pki::fresh(), pki::fresh());
    let app = app(&pki).await;
    let front = following(trusting(&pki, &to(&app), "")).await;
    let session = front.session(HOST).await;
    let asked = ask("GET", "/").with("Cookie", &session);
    let mut wire = front.wire(Protocol::Http1, HOST);
    assert_eq!(wire.ask(&asked).await.status, 200);
    for broken in ["", "-----BEGIN CERTIFICATE-----\nxx", "no certificate"] {
        comes_to(&front, "refused", "ca.pem", broken).await;
        assert_eq!(wire.ask(&asked).await.status, 200, "{broken:?}");
    }
    // Nobody rides on a connection that was trusted by the old file.
    comes_to(&front, "applied", "ca.pem", next.root_pem()).await;
    assert_eq!(wire.ask(&asked).await.reason(), "upstream_tls");
    assert_eq!(app.heads().len(), 4);
    app.becomes(side(&next.leaf(&["127.0.0.1"]), None, &[&TLS13]));
    assert_eq!(wire.ask(&asked).await.status, 200);
    assert_eq!(front.metric("vestibule_config_stale"), 0);
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_restart() {
    let (pki, clients, next) = (pki::fresh(), pki::fresh(), pki::fresh());
    let leaf = pki.leaf(&["127.0.0.1"]);
    let app = over_tls(side(&leaf, Some(&clients), &[&TLS13])).await;
    let front = front(|it| {
        write(it.folder(), "ca.pem", pki.root_pem());
        clients.client_leaf("vestibule").write(it.folder(), "own");
        let rules = "allow = \"signed-in\"\n[upstream]\nca_file = \"ca.pem\"\n\
                     client_cert_file = \"own.crt\"\nclient_key_file = \"own.key\"";
        it.route_to("wiki", HOST, rules, &to(&app))
    });
    let front = following(front).await;
    let session = front.session(HOST).await;
    let asked = ask("GET", "/close").with("Cookie", &session);
    let mut wire = front.wire(Protocol::Http2, HOST);
    assert_eq!(wire.ask(&asked).await.status, 200);
    app.becomes(side(&leaf, Some(&next), &[&TLS13]));
    assert_eq!(wire.ask(&asked).await.status, 502);
    let before = reloads(&front, "applied");
    next.client_leaf("vestibule")
        .write(front.vestibule.folder(), "own");
    eventually("applied", || reloads(&front, "applied") > before).await;
    assert_eq!(wire.ask(&asked).await.status, 200);
    assert!(app.failed_handshakes() + app.handshakes().len() >= 3);
}
