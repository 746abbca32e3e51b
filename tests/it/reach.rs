//! Whom the program talks to: the provider and the apps that an operator wrote, and nobody that a
//! document, a token, a client or an environment names.

use std::{fs, net::SocketAddr, time::Duration};

use serde_json::json;
use vestibule::clock::{Clock, ManualClock};

use crate::support::{
    PATIENCE,
    client::{self, Browser},
    clock,
    front::HOST,
    house::{HOST as HOUSE, House, house},
    issuer::{self, Reply, person},
    process::{self, Process},
    upstream, vestibule as files,
};

const OTHER: &str = "erp.example";

/// A house whose provider says this for its metadata before anything is known of it.
fn begun_with(discovery: Reply) -> (House, ManualClock) {
    let time = clock::manual();
    let idp = issuer::honest(&time).run();
    idp.lie(|it| it.discovery = discovery);
    let app = upstream::echo().run();
    let rules = "allow = \"signed-in\"\n[[public]]\npath = \"/pub\"";
    let vestibule = files::at(&time)
        .route("wiki", HOUSE, rules, &app)
        .provider("corp", &idp)
        .run();
    let house = House {
        vestibule,
        idp,
        app,
    };
    (house, time)
}

#[tokio::test]
async fn a_document_that_points_inside_makes_nobody_ask_there() {
    // S-292: not by an address of its own, nor by a redirect; and nobody can sign in by it.
    let inside = upstream::raw().run();
    let there = format!("http://{}/latest/meta-data", inside.address());
    let mut discoveries = vec![Reply::Redirect(there.clone())];
    for name in ["jwks_uri", "token_endpoint", "authorization_endpoint"] {
        for place in [
            "http://169.254.169.254/latest/meta-data",
            "file:///etc/passwd",
            &there.replacen("http:", "gopher:", 1),
            &there.replacen("http://", "http://user@", 1),
        ] {
            let place = place.to_owned();
            discoveries.push(Reply::edited(move |document| {
                document[name] = json!(place);
            }));
        }
    }
    for discovery in discoveries {
        let (house, time) = begun_with(discovery);
        let mut browser = house.browser();
        let before = house.idp.discovery_fetches();
        let fetched = async {
            while house.idp.discovery_fetches() < before + 2 {
                time.advance(Duration::from_secs(1));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, fetched).await.unwrap();
        assert_eq!(browser.view(&house.url("/page")).await.status, 503);
        assert_eq!(browser.get(&house.url("/pub")).await.status, 200);
        house.idp.tells_the_truth();
    }
    inside.assert_silent().await;
}

#[tokio::test]
async fn nothing_that_a_token_an_answer_or_a_client_names_is_asked() {
    // S-292, S-149, S-171
    let inside = upstream::raw().run();
    let there = format!("http://{}/x", inside.address());
    let house = house().await;
    for name in ["jku", "x5u", "jwk"] {
        house.idp.lie(|it| it.header(name, there.clone()));
        house.come_back(&mut house.browser()).await;
        house.idp.tells_the_truth();
    }
    let sources = json!({"src1": {"endpoint": there, "access_token": "x"}});
    let names = json!({"groups": "src1", "email": "src1"});
    house.idp.signs_in(
        person("ann")
            .claim("_claim_sources", sources)
            .claim("_claim_names", names)
            .claim("picture", there.clone())
            .claim("iss_uri", there.clone()),
    );
    house.come_back(&mut house.browser()).await;
    for reply in [
        Reply::Redirect(there.clone()),
        Reply::json(400, &json!({"error": "x", "error_uri": there})),
    ] {
        house.idp.lie(|it| it.token = reply);
        let answer = house.come_back(&mut house.browser()).await;
        assert!(!answer.text().contains(&there), "{}", answer.text());
        house.idp.tells_the_truth();
    }
    // Keys that are fetched anew, from where they always are.
    house.idp.lie(|it| {
        it.keys = Reply::Redirect(there.clone());
        it.header("kid", "unknown");
    });
    house.come_back(&mut house.browser()).await;
    for path in [
        format!("/.vestibule/callback?iss={there}&code=x&state=y"),
        format!("/.vestibule/callback?error=x&error_uri={there}&state=y"),
        format!("/.vestibule/login?return={there}&idp={there}&iss={there}"),
        format!("/.vestibule/logout?return={there}"),
        format!("/.vestibule/frontchannel-logout?sid=x&iss={there}"),
        format!("/.vestibule/{there}"),
    ] {
        let answer = house.browser().view(&house.url(&path)).await;
        assert!(!answer.text().contains(&there), "{path}");
    }
    inside.assert_silent().await;
    house.assert_no_panic();
}

/// Signs somebody in at the program, as soon as its provider is known.
async fn signed_in(process: &Process) -> Browser {
    let mut browser = process.built().browser();
    let url = process.built().url(HOST, "/page");
    let polling = async {
        loop {
            let trail = browser.follow(&url, 3).await;
            if trail[trail.len() - 1].status == 200 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let polled = tokio::time::timeout(PATIENCE, polling).await;
    polled.expect("the sign-in works");
    browser
}

#[tokio::test]
async fn a_proxy_that_the_environment_names_by_accident_is_not_used() {
    // S-293: neither towards the provider nor towards the app.
    let proxy = upstream::raw().run();
    let time = ManualClock::starting_at(Clock::system().now().wall);
    let idp = issuer::honest(&time).entra().run();
    let app = upstream::echo().run();
    let mut built = files::at(&time)
        .route("wiki", HOST, "allow = \"signed-in\"", &app)
        .entra(&idp);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "FTP_PROXY"] {
        let address = format!("http://{}", proxy.address());
        built = built.variable(name, &address);
        built = built.variable(&name.to_lowercase(), &address);
    }
    let process = process::serve(built.variable("NO_PROXY", "").variable("no_proxy", "")).await;
    signed_in(&process).await;
    assert_eq!(app.requests().len(), 1);
    assert_eq!(idp.token_requests().len(), 1);
    proxy.assert_silent().await;
}

/// An address that takes no connection and refuses none, until it is dropped: its queue is full.
struct BlackHole {
    address: SocketAddr,
    _queue: (socket2::Socket, Vec<std::net::TcpStream>),
}

fn black_hole() -> BlackHole {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let patience = Duration::from_millis(200);
    let mut waiting = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, patience) {
        waiting.push(stream);
    }
    BlackHole {
        address,
        _queue: (socket, waiting),
    }
}

#[tokio::test]
async fn an_app_that_nobody_answers_for_holds_up_nobody_elses() {
    // S-294: one has a name that no resolver knows, one an address that swallows everything.
    let time = ManualClock::starting_at(Clock::system().now().wall);
    let idp = issuer::honest(&time).entra().run();
    let app = upstream::echo().run();
    let hole = black_hole();
    let public = "allow = \"signed-in\"\n[[public]]\npath = \"/pub\"";
    let built = files::at(&time)
        .route("wiki", HOST, public, &app)
        .route("hole", OTHER, public, &hole.address)
        .route("named", "named.example", public, &app)
        .entra(&idp);
    let file = built.folder().join("config/routes.d/named.toml");
    let text = fs::read_to_string(&file).unwrap();
    let address = app.address().to_string();
    let renamed = text.replace(&address, "no-such-app.invalid:8080");
    assert_ne!(text, renamed);
    let promise = "[upstream]\nreachable = \"only-through-vestibule\"";
    fs::write(&file, format!("{renamed}{promise}\n")).unwrap();
    let process = process::serve(built).await;
    let waiting: Vec<_> = [OTHER, "named.example"]
        .into_iter()
        .flat_map(|host| [host; 20])
        .map(|host| {
            let (mut browser, url) = (process.built().browser(), process.built().url(host, "/pub"));
            tokio::spawn(async move { browser.get(&url).await.status.as_u16() })
        })
        .collect();
    for _ in 0..20 {
        let mut browser = process.built().browser();
        let url = process.built().url(HOST, "/pub");
        assert_eq!(browser.get(&url).await.status, 200);
    }
    signed_in(&process).await;
    for asked in waiting {
        let status = asked.await.unwrap();
        assert!(matches!(status, 502 | 504), "{status}");
    }
}

#[tokio::test]
async fn a_provider_that_nobody_answers_for_holds_up_nobody() {
    // S-294, S-290
    for place in ["the hole", "no-such-provider.invalid"] {
        let hole = black_hole();
        let time = ManualClock::starting_at(Clock::system().now().wall);
        let app = upstream::echo().run();
        let issuer = match place {
            "the hole" => format!("http://{}", hole.address),
            name => format!("https://{name}"),
        };
        let built = files::at(&time)
            .route(
                "wiki",
                HOST,
                "allow = \"signed-in\"\n[[public]]\npath = \"/pub\"",
                &app,
            )
            .main(&format!(
                "[idp.corp]\nissuer = \"{issuer}\"\nclient_id = \"x\"\nclient_secret = \
                 \"a secret of this test alone\""
            ));
        let process = process::serve(built).await;
        let mut browser = process.built().browser();
        for _ in 0..20 {
            let url = process.built().url(HOST, "/pub");
            assert_eq!(browser.get(&url).await.status, 200, "{place}");
            let url = process.built().url(HOST, "/page");
            let answer = browser.view(&url).await;
            assert_eq!(answer.status, 503, "{place}");
            assert!(answer.header("retry-after").is_some());
        }
        assert!(process.terminate().await.status.success());
    }
}

#[test]
fn an_app_that_others_might_reach_needs_a_promise() {
    // S-296: only its network can keep others away from an app, and an operator has to say so.
    let time = clock::manual();
    let idp = issuer::honest(&time).run();
    let promise = "[upstream]\nreachable = \"only-through-vestibule\"";
    for (address, promise, asked) in [
        ("127.0.0.1:8080", "", false),
        ("192.0.2.1:8080", "", true),
        ("192.0.2.1:8080", promise, false),
    ] {
        let app: SocketAddr = address.parse().unwrap();
        let rules = format!("allow = \"signed-in\"\n{promise}");
        let findings = files::at(&time)
            .route("wiki", HOST, &rules, &app)
            .provider("corp", &idp)
            .findings();
        let found = findings
            .iter()
            .any(|it| it.to_string().contains("only-through-vestibule"));
        assert_eq!(found, asked, "{address}: {findings:#?}");
    }
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    assert!(readme.contains("reached through vestibule alone"));
}

#[cfg(feature = "demo")]
#[tokio::test]
async fn the_apps_of_the_demo_are_for_this_host_alone_and_know_nobody_by_themselves() {
    // S-296: the assertion, by which an app could refuse what did not come through us, is not there.
    use vestibule::demo::apps::{App, AppSettings};

    let mut settings = AppSettings::new(http::HeaderName::from_static("x-remote-user"));
    let mut browser = client::browser(&crate::support::pki::fresh(), clock::manual().clock());
    for app in [
        App::wiki(settings.clone()).await.unwrap(),
        App::orders(settings.clone()).await.unwrap(),
    ] {
        let page = browser.view(&format!("http://{}/", app.address())).await;
        assert_eq!(page.status, 200);
        assert!(
            page.text().contains("does not know who you are"),
            "{}",
            page.text()
        );
    }
    for address in ["0.0.0.0:0", "192.0.2.1:0", "[::]:0"] {
        settings.listen = address.parse().unwrap();
        assert!(App::wiki(settings.clone()).await.is_err(), "{address}");
        assert!(App::orders(settings.clone()).await.is_err(), "{address}");
    }
}
