//! Whom the app takes a request to be from: what fronts that are believed say, and nobody else.

use vestibule::config::listener::TrustedProxies;

use crate::support::{
    front::{Front, HOST, front},
    upstream::{self, Echo},
    wire::{Ask, PROTOCOLS, Protocol, ask},
};

/// An app that everybody may ask, behind fronts in `networks`; the tests themselves are 127.0.0.1.
fn behind(networks: &'static [&'static str]) -> (Front, Echo) {
    let app = upstream::echo().run();
    let rules = "allow = \"signed-in\"\n[[public]]\npath = \"/\"";
    let front = front(|it| {
        let believing = it.adjusted(|config| {
            let networks = networks.iter().map(|it| it.parse().unwrap());
            config.listen.trusted_proxies = TrustedProxies(networks.collect());
        });
        believing.route("wiki", HOST, rules, &app)
    });
    (front, app)
}

fn said(lines: &[&str]) -> Ask {
    let asked = ask("GET", "/");
    let lines = lines.iter();
    lines.fold(asked, |it, line| it.with("X-Forwarded-For", line))
}

/// What the app is told for these lines.
async fn told(front: &Front, app: &Echo, protocol: Protocol, lines: &[&str]) -> String {
    let reply = front.wire(protocol, HOST).ask(&said(lines)).await;
    assert_eq!(reply.status, 200, "{lines:?}");
    let seen = app.requests().pop().unwrap();
    seen.header("x-forwarded-for").unwrap().to_owned()
}

#[tokio::test]
async fn a_front_that_is_believed_says_who_asks() {
    // S-025, S-027
    let (front, app) = behind(&["127.0.0.0/8", "10.0.0.0/8"]);
    let many = vec!["1.2.3.4"; 500].join(", ");
    let kept = format!("{}127.0.0.1", "1.2.3.4, ".repeat(32));
    for protocol in PROTOCOLS {
        for (lines, list) in [
            (&[][..], "127.0.0.1"),
            (&["1.2.3.4"], "1.2.3.4, 127.0.0.1"),
            (&["6.6.6.6 ,1.2.3.4"], "6.6.6.6, 1.2.3.4, 127.0.0.1"),
            (
                &["6.6.6.6", "1.2.3.4, 10.0.0.7"],
                "6.6.6.6, 1.2.3.4, 10.0.0.7, 127.0.0.1",
            ),
            (
                &["1.2.3.4:5678, [2001:db8::1]:443"],
                "1.2.3.4, 2001:db8::1, 127.0.0.1",
            ),
            (&["::ffff:1.2.3.4"], "1.2.3.4, 127.0.0.1"),
            (&["6.6.6.6, fe80::1%eth0, 1.2.3.4"], "1.2.3.4, 127.0.0.1"),
            (&["6.6.6.6, garbage"], "127.0.0.1"),
            (&["6.6.6.6", ""], "127.0.0.1"),
            (&[&many], &kept),
        ] {
            let came = told(&front, &app, protocol, lines).await;
            assert_eq!(came, list, "{protocol:?} {lines:?}");
        }
    }
}

#[tokio::test]
async fn nobody_is_believed_for_where_they_are() {
    // S-023, S-024: a private address is no front by itself.
    for networks in [&[][..], &["10.0.0.0/8", "::1/128"]] {
        let (front, app) = behind(networks);
        for protocol in PROTOCOLS {
            for line in ["10.0.0.1", "127.0.0.1, 10.0.0.1", "::1", "garbage"] {
                let came = told(&front, &app, protocol, &[line]).await;
                assert_eq!(came, "127.0.0.1", "{networks:?} {line}");
            }
        }
    }
}

#[tokio::test]
async fn a_front_is_believed_about_addresses_alone() {
    // S-025, S-026, S-029
    let (front, app) = behind(&["127.0.0.0/8"]);
    front.provider_is_known(HOST).await;
    let claims = [
        ("X-Forwarded-Host", "evil.test"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Port", "444"),
        ("X-Forwarded-Prefix", "/admin"),
        ("X_Forwarded_For", "6.6.6.6"),
        ("X-Real-IP", "6.6.6.6"),
        ("True-Client-IP", "6.6.6.6"),
        ("Forwarded", "for=6.6.6.6;host=evil.test;proto=http"),
    ];
    let authority = front.vestibule.authority(HOST);
    for protocol in PROTOCOLS {
        let claim = |asked: Ask| {
            claims
                .iter()
                .fold(asked, |it, (name, value)| it.with(name, value))
        };
        let mut wire = front.wire(protocol, HOST);
        assert_eq!(wire.ask(&claim(said(&["1.2.3.4"]))).await.status, 200);
        let seen = app.requests().pop().unwrap();
        assert_eq!(seen.all("x-forwarded-for"), ["1.2.3.4, 127.0.0.1"]);
        assert_eq!(seen.header("x-forwarded-host"), Some(&*authority));
        assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
        for (name, value) in claims {
            assert!(!seen.all(name).contains(&value), "{name}");
        }
        let login = claim(ask("GET", "/.vestibule/login")).with("Accept", "text/html");
        let reply = wire.ask(&login).await;
        assert_eq!(reply.status, 302);
        assert!(!reply.header("location").unwrap().contains("evil.test"));
    }
}
