//! Some seconds in which provider and app come and go at random while people and strangers ask: what
//! must never happen does not, and afterwards everything works.
//!
//! The order of blows follows from a seed, which is in every failure; how they fall between requests
//! is the machine's affair.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::task::JoinSet;

use crate::support::{
    client::{Answer, Browser},
    clock, eventually,
    house::HOST,
    issuer::{self, Issuer, Reply, person},
    upstream::{self, Echo},
    vestibule::{self, Vestibule},
};

/// How many blows fall.
const BLOWS: u32 = 60;

/// Numbers that follow from a seed (xorshift64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// What everybody here shares.
struct Scene {
    vestibule: Vestibule,
    idp: Issuer,
    app: Echo,
    over: AtomicBool,
    /// How often somebody came through to the app.
    through: AtomicU64,
    /// Signing in tells the provider first who comes.
    desk: tokio::sync::Mutex<()>,
}

impl Scene {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Signs `login` in, if everything is there for it.
    async fn sign_in(&self, browser: &mut Browser, login: &str) -> Option<()> {
        let _desk = self.desk.lock().await;
        self.idp.signs_in(person(login));
        let mut url = self.vestibule.url(HOST, &format!("/of/{login}/begin"));
        for _ in 0..4 {
            let request = http::Request::get(&url);
            let request = crate::support::client::page_view(request);
            let answer = browser.try_send(request.body(bytes::Bytes::new()).unwrap());
            let answer = answer.await.ok()?;
            match answer.redirects_to() {
                Some(next) => url = next.into(),
                None => return (answer.status == 200).then_some(()),
            }
        }
        None
    }
}

/// The app answered, and was told that it is `login` who asks.
fn assert_told(answer: &Answer, login: &str, seed: u64) {
    let told_app = answer.json();
    let fields = told_app["headers"].as_array().unwrap().iter();
    let told: Vec<_> = fields
        .filter(|it| {
            it[0]
                .as_str()
                .unwrap()
                .eq_ignore_ascii_case("x-forwarded-user")
        })
        .map(|it| it[1].as_str().unwrap().to_owned())
        .collect();
    let expected = format!("{login}@corp.example");
    assert_eq!(told, [expected], "seed {seed}: {told_app}");
}

/// Somebody who signs in, asks, and signs in again when that is over.
async fn live(scene: Arc<Scene>, login: &'static str, seed: u64) {
    let mut browser = scene.vestibule.browser();
    let mut number = 0;
    while !scene.is_over() {
        number += 1;
        let url = scene.vestibule.url(HOST, &format!("/of/{login}/{number}"));
        let request = http::Request::get(&url).body(bytes::Bytes::new()).unwrap();
        let Ok(answer) = browser.try_send(request).await else {
            continue;
        };
        match answer.status.as_u16() {
            200 => {
                assert_told(&answer, login, seed);
                scene.through.fetch_add(1, Ordering::Relaxed);
            }
            401 => {
                scene.sign_in(&mut browser, login).await;
            }
            502..=504 => {}
            other => panic!("seed {seed}: {login} got {other}"),
        }
    }
}

/// Somebody without a session who claims to be somebody else.
async fn intrude(scene: Arc<Scene>, seed: u64) {
    let mut browser = scene.vestibule.browser();
    while !scene.is_over() {
        let url = scene.vestibule.url(HOST, "/of/nobody/0");
        let request = http::Request::get(&url)
            .header("x-forwarded-user", "ann@corp.example")
            .header(
                "cookie",
                "__Host-vestibule=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            );
        let asked = browser.try_send(request.body(bytes::Bytes::new()).unwrap());
        if let Ok(answer) = asked.await {
            let status = answer.status.as_u16();
            assert!(matches!(status, 401 | 503), "seed {seed}: {status}");
        }
    }
}

/// One blow: something goes, comes back, or says something else.
async fn strike(scene: &Scene, dice: &mut Dice) {
    match dice.below(9) {
        0 => scene.idp.go_down().await,
        1 => scene.app.go_down().await,
        2 => scene.idp.lie(|it| it.token = Reply::Close),
        3 => scene
            .idp
            .lie(|it| it.token = Reply::json(500, &serde_json::json!({}))),
        4 => scene.idp.lie(|it| it.keys = Reply::Close),
        5 => scene
            .idp
            .lie(|it| it.discovery = Reply::Bare(200, "text/html", "<p>".to_owned())),
        6 => drop(scene.vestibule.sessions().end(
            &::vestibule::session::Selection::All,
            ::vestibule::session::EndCause::Revoked,
        )),
        _ => {}
    }
    let pause = Duration::from_millis(20 + dice.below(120));
    tokio::time::sleep(pause).await;
    // Time goes by for those who wait by the clock: retries, and apps that do not answer.
    scene
        .vestibule
        .time()
        .advance(Duration::from_secs(dice.below(8)));
    if dice.below(2) == 0 {
        put_right(scene).await;
    }
}

async fn put_right(scene: &Scene) {
    scene.idp.tells_the_truth();
    // Whoever is there already goes first: an address is taken once.
    scene.idp.go_down().await;
    scene.idp.come_back();
    scene.app.go_down().await;
    scene.app.come_back();
}

async fn run(seed: u64) {
    let time = clock::manual();
    let idp = issuer::honest(&time).entra().run();
    let app = upstream::echo().run();
    let vestibule = vestibule::at(&time)
        .route("wiki", HOST, "allow = \"signed-in\"", &app)
        .entra(&idp)
        .main("[log]\naccess = \"off\"")
        .run();
    vestibule.can_sign_in(HOST).await;
    let scene = Arc::new(Scene {
        vestibule,
        idp,
        app,
        over: AtomicBool::new(false),
        through: AtomicU64::new(0),
        desk: tokio::sync::Mutex::default(),
    });
    let mut people = JoinSet::new();
    for login in ["ann", "bob", "eve"] {
        people.spawn(live(Arc::clone(&scene), login, seed));
    }
    people.spawn(intrude(Arc::clone(&scene), seed));
    let mut dice = Dice(seed);
    for _ in 0..BLOWS {
        strike(&scene, &mut dice).await;
    }
    put_right(&scene).await;
    let before = scene.through.load(Ordering::Relaxed);
    eventually("people come through again", || {
        scene.vestibule.time().advance(Duration::from_millis(50));
        scene.through.load(Ordering::Relaxed) > before + 10
    })
    .await;
    scene.over.store(true, Ordering::Release);
    while let Some(person) = people.join_next().await {
        person.unwrap();
    }
    // By what the app saw: each path belongs to the person who asked for it, and nobody's to anybody.
    let requests = scene.app.requests();
    assert!(!requests.is_empty());
    for request in requests {
        let login = request.target.split('/').nth(2).unwrap();
        let told = format!("{login}@corp.example");
        assert_eq!(
            request.all("x-forwarded-user"),
            [told],
            "seed {seed}: {request:?}"
        );
        assert_ne!(login, "nobody", "seed {seed}");
    }
    for login in ["ann", "bob", "eve"] {
        let mut browser = scene.vestibule.browser();
        assert!(
            scene.sign_in(&mut browser, login).await.is_some(),
            "{login}"
        );
    }
    let metrics = scene.vestibule.metrics();
    assert!(metrics.contains("vestibule_panics_total 0"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_in_or_becomes_somebody_else_while_everything_comes_and_goes() {
    // S-298, S-001, S-002
    run(0x5eed_2026_1121).await;
}
