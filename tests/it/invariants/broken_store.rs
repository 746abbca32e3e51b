//! The gateway on a session store that fails, panics, or hands out what it should not.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use vestibule::{
    clock::ManualClock,
    config::{AccessLog, route::Authority},
    gateway::{Gateway, RouteTable, Worker},
    identity::{ClaimRules, Identity, ProviderName, RouteId, Standing},
    key_ring::KeyRing,
    login::Login,
    oidc::RelyingParty,
    peer::{Peer, Transport},
    session::{
        EndCause, Selection, Session, SessionKey, SessionStore, SessionToken, SignIn, StoreError,
    },
    telemetry::{AccessWriter, Metrics},
    upstream::{Apps, RouteTls, Seats},
};

use crate::support::{
    clock,
    front::HOST,
    issuer,
    upstream::{self, Raw},
    vestibule as files,
};

/// What the store does when it is asked for a session.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// Says that it cannot be asked.
    Down,
    /// Panics.
    Panics,
    /// Hands out a session that is over.
    KeepsTheDead,
    /// Hands out a session of another host.
    MixesHosts,
    /// Hands out a session of another provider.
    MixesProviders,
    /// Hands out a session of what the provider was before.
    MixesStandings,
    /// Hands out the right session.
    None,
}

struct Store {
    fault: Fault,
    time: ManualClock,
    authority: Authority,
    standing: Standing,
    asked: AtomicBool,
}

impl SessionStore for Store {
    fn find(&self, key: &SessionKey) -> Result<Option<Arc<Session>>, StoreError> {
        self.asked.store(true, Ordering::Relaxed);
        match self.fault {
            Fault::Down => return Err(StoreError::Unavailable("out of reach".into())),
            Fault::Panics => panic!("a store of the tests panics on purpose"),
            _ => {}
        }
        let mut authority = self.authority.clone();
        if let Fault::MixesHosts = self.fault {
            authority.host = "other.example".to_owned();
        }
        let provider = match self.fault {
            Fault::MixesProviders => "other",
            _ => "entra",
        };
        let now = self.time.clock().now();
        let session = Session::new(
            *key,
            ann(provider),
            SignIn {
                standing: match self.fault {
                    Fault::MixesStandings => Standing::from_bytes([7; 32]),
                    _ => self.standing,
                },
                sid: None,
                at: now.wall,
            },
            authority,
            RouteId("wiki".to_owned()),
            now.deadline_after(match self.fault {
                Fault::KeepsTheDead => Duration::ZERO,
                _ => Duration::from_hours(1),
            }),
        );
        Ok(Some(Arc::new(session)))
    }

    fn insert(&self, _: Session) -> Result<Arc<Session>, StoreError> {
        Err(StoreError::Unavailable("out of reach".into()))
    }

    fn select(&self, _: &Selection) -> Result<Vec<Arc<Session>>, StoreError> {
        Err(StoreError::Unavailable("out of reach".into()))
    }

    fn end(&self, _: &Selection, _: EndCause) -> Result<usize, StoreError> {
        Err(StoreError::Unavailable("out of reach".into()))
    }

    fn live(&self) -> u64 {
        0
    }
}

fn ann(provider: &str) -> Identity {
    let claims = json!({
        "iss": "https://op.example",
        "sub": "ann",
        "tid": issuer::TENANT,
        "oid": issuer::person("ann").object(),
        "preferred_username": "ann@corp.example",
    });
    let provider = ProviderName(provider.to_owned());
    Identity::from_verified_claims(provider, ClaimRules::Entra, claims.as_object().unwrap())
        .unwrap()
}

/// Providers are never asked here, but they live on a runtime.
static CONTROL: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Runtime::new().unwrap());

/// A gateway on `store`, without TLS, that serves one connection after another.
struct Scene {
    address: SocketAddr,
    authority: String,
    app: Raw,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
}

async fn scene(fault: Fault) -> Scene {
    let time = clock::manual();
    let app = upstream::raw()
        .answers("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .run();
    let idp = issuer::honest(&time).entra().run();
    let rules = "allow = \"signed-in\"\n[[public]]\npath = \"/pub\"";
    let built = files::at(&time)
        .route("wiki", HOST, rules, &app)
        .entra(&idp);
    let config = built.prepared().config;
    let authority = config.routes[0].from.authority.clone();
    let store = Arc::new(Store {
        fault,
        time: time.clone(),
        authority: authority.clone(),
        standing: config.providers[0].standing(),
        asked: AtomicBool::new(false),
    });
    let metrics = Arc::new(Metrics::new(time.clock()));
    let providers: HashMap<_, _> = config
        .providers
        .iter()
        .map(|it| {
            (
                it.name.clone(),
                RelyingParty::new(it.clone(), time.clock()).unwrap(),
            )
        })
        .collect();
    let login = Login::new(
        Arc::clone(&store) as Arc<dyn SessionStore>,
        Arc::new(KeyRing::in_memory(time.clock())),
        time.clock(),
        Arc::clone(&metrics),
        CONTROL.handle().clone(),
    );
    let seats = Arc::new(Seats::new(100, 1));
    let apps = Apps::new(Arc::clone(&seats), Arc::clone(&metrics));
    let upstreams = (&apps, &RouteTls::new());
    let gateway = Gateway::new(
        RouteTable::new(&config, &providers, upstreams, &metrics).unwrap(),
        login,
        Arc::clone(&store) as Arc<dyn SessionStore>,
        time.clock(),
        Arc::clone(&metrics),
        AccessWriter::to_stdout(AccessLog::Off).0,
        seats,
    );
    let worker = Worker::new(Arc::new(gateway));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, address)) = listener.accept().await {
            let service = worker.service(Peer {
                address,
                unnamed: false,
                server_name: None,
                transport: Transport::Http1,
            });
            let serving = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            let _ = serving.await;
        }
    });
    Scene {
        address,
        authority: authority.in_https_url(),
        app,
        store,
        metrics,
    }
}

impl Scene {
    /// Status and body of a GET with a session cookie of the right form.
    #[expect(clippy::disallowed_methods, reason = "a test's client needs no limits")]
    async fn get(&self, target: &str) -> (u16, String) {
        let cookie = format!("__Host-vestibule={}", SessionToken::random().expose());
        let stream = TcpStream::connect(self.address).await.unwrap();
        let io = TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
            .handshake(io)
            .await
            .unwrap();
        let driving = tokio::spawn(connection);
        let request = http::Request::get(target)
            .header("host", &self.authority)
            .header("cookie", cookie)
            .body(String::new())
            .unwrap();
        let answer = sender.send_request(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        driving.abort();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
}

#[tokio::test]
async fn a_store_in_doubt_lets_nobody_in() {
    // S-006, S-050, S-056
    for (fault, status, reason) in [
        (Fault::Down, 503, "store_unavailable"),
        (Fault::Panics, 500, "internal"),
        (Fault::KeepsTheDead, 401, "unknown_session"),
        (Fault::MixesHosts, 401, "foreign_session"),
        (Fault::MixesProviders, 401, "foreign_session"),
        (Fault::MixesStandings, 401, "foreign_session"),
    ] {
        let scene = scene(fault).await;
        for target in ["/", "/pub/", "/pub//"] {
            let (came, body) = scene.get(target).await;
            assert_eq!(came, status, "{fault:?} {target}: {body}");
            assert!(body.contains(reason), "{fault:?} {target}: {body}");
            assert!(!body.contains("out of reach"), "{body}");
        }
        let (status, _) = scene.get("/.vestibule/me").await;
        assert_ne!(status, 200, "{fault:?}");
        scene.app.assert_silent().await;
        assert!(scene.store.asked.load(Ordering::Relaxed));
    }
}

#[tokio::test]
async fn a_panic_is_the_fault_of_one_request() {
    // S-006, S-268: the thread serves on, and the fault is counted.
    let scene = scene(Fault::Panics).await;
    for _ in 0..3 {
        assert_eq!(scene.get("/").await.0, 500);
    }
    assert!(scene.metrics.text(0).contains("vestibule_panics_total 3"));
    // Nothing is looked up for what is open to everybody.
    assert_eq!(scene.get("/pub").await.0, 200);
}

#[tokio::test]
async fn the_scene_lets_in_whom_the_store_knows() {
    let scene = scene(Fault::None).await;
    assert_eq!(scene.get("/").await.0, 200);
    assert_eq!(scene.app.heard().len(), 1);
}
