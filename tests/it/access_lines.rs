//! Every request leaves one line and one count, whatever becomes of it, over HTTP/1.1 and HTTP/2.

use std::time::Duration;

use http::{Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::support::{
    PATIENCE,
    client::kept::{Kept, nothing},
    eventually,
    front::{Front, HOST, front},
    lines::Lines,
    pki::Alpn,
    upstream::{self, Afterwards, Raw},
    vestibule::Upstream,
};

const PROTOCOLS: [(Alpn, &str); 2] = [(Alpn::Http1, "h1"), (Alpn::H2, "h2")];

/// What is public lies below here.
const PUBLIC: &str = "allow = \"signed-in\"\n[[public]]\npath = \"/pub/*\"";

/// Begins an answer with `first` and never ends it.
const BEGUN: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";

struct Scene {
    front: Front,
    lines: Lines,
}

fn scene(app: &impl Upstream) -> Scene {
    let lines = Lines::default();
    let front = front(|it| it.route("wiki", HOST, PUBLIC, app).telling(&lines));
    Scene { front, lines }
}

fn answering(bytes: &'static str) -> Raw {
    upstream::raw().answers(bytes).run()
}

impl Scene {
    async fn kept(&self, alpn: Alpn) -> Kept {
        let vestibule = &self.front.vestibule;
        let raw = vestibule.raw(HOST).offering(alpn, vestibule.pki());
        raw.keep(alpn).await
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        cookie: &str,
    ) -> Request<crate::support::client::kept::Sent> {
        let url = self.front.vestibule.url(HOST, path);
        let request = Request::builder().method(method).uri(url);
        request.header("cookie", cookie).body(nothing()).unwrap()
    }

    fn count(&self, decision: &str) -> u64 {
        let sample = format!("vestibule_requests_total{{route=\"wiki\",decision=\"{decision}\"}}");
        self.front.metric(&sample)
    }

    fn cut(&self, reason: &str) -> u64 {
        let sample = format!("vestibule_answers_cut_total{{route=\"wiki\",reason=\"{reason}\"}}");
        self.front.metric(&sample)
    }

    /// Reads until the body ends in a fault, while another `tick` goes by now and then.
    async fn breaks_off(&self, answer: Response<Incoming>, tick: Duration) {
        let mut body = answer.into_body();
        let reading = async {
            loop {
                let waiting = tokio::time::timeout(Duration::from_millis(20), body.frame());
                match waiting.await {
                    Ok(None) => panic!("it looks whole"),
                    Ok(Some(Err(_))) => break,
                    Ok(Some(Ok(_))) => {}
                    Err(_) => self.front.vestibule.time().advance(tick),
                }
            }
        };
        let read = tokio::time::timeout(PATIENCE, reading).await;
        read.expect("the answer breaks off");
    }
}

/// Asserts some members of a line.
fn says(line: &Value, members: &Value) {
    for (name, value) in members.as_object().unwrap() {
        assert_eq!(&line[name], value, "{name} of {line}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_its_answer_leaves_a_line() {
    // S-322
    for (alpn, protocol) in PROTOCOLS {
        let app = upstream::raw().run();
        let scene = scene(&app);
        let mut kept = scene.kept(alpn).await;
        let request = scene.request(Method::GET, "/pub/left?secret", "");
        let asking = tokio::spawn(async move { kept.ask(request).await.is_ok() });
        eventually("the app was asked", || !app.heard().is_empty()).await;
        asking.abort();
        let line = scene.lines.only("/pub/left").await;
        says(
            &line,
            &json!({
                "protocol": protocol, "method": "GET", "route": "wiki", "decision": "left",
                "reason": "client_left", "status": 499, "ended": "client_left", "bytes": 0,
                "user": null,
            }),
        );
        assert_eq!((scene.count("left"), scene.count("public")), (1, 0));
        assert_eq!(scene.cut("client_left"), 0, "there was no answer to cut");
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_its_answer_is_told_apart() {
    // S-322
    for (alpn, protocol) in PROTOCOLS {
        let app = answering(BEGUN);
        let scene = scene(&app);
        let mut kept = scene.kept(alpn).await;
        let request = scene.request(Method::GET, "/pub/middle", "");
        let mut answer = kept.ask(request).await.unwrap();
        answer.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(scene.lines.of("/pub/middle"), Vec::<Value>::new());
        scene.front.vestibule.time().advance(Duration::from_secs(2));
        drop((answer, kept));
        let line = scene.lines.only("/pub/middle").await;
        says(
            &line,
            &json!({
                "protocol": protocol, "decision": "public", "reason": "public_rule",
                "status": 200, "ended": "client_left", "bytes": 5, "micros": 0,
                "total_micros": 2_000_000,
            }),
        );
        assert_eq!((scene.count("public"), scene.cut("client_left")), (1, 1));
    }
}

#[tokio::test]
async fn an_app_that_breaks_off_or_stalls_is_no_plain_200() {
    // S-322, S-225
    let breaking = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst";
    for (alpn, _) in PROTOCOLS {
        for (script, afterwards, reason) in [
            (breaking, Afterwards::Close, "upstream_body_broken_off"),
            (BEGUN, Afterwards::Listen, "upstream_body_timeout"),
        ] {
            let app = upstream::raw().answers(script).then(afterwards).run();
            let scene = scene(&app);
            let mut kept = scene.kept(alpn).await;
            let request = scene.request(Method::GET, "/pub/broken", "");
            let answer = kept.ask(request).await.unwrap();
            scene.breaks_off(answer, Duration::from_mins(1)).await;
            let line = scene.lines.only("/pub/broken").await;
            says(
                &line,
                &json!({
                    "decision": "public", "status": 200, "ended": reason, "bytes": 5,
                }),
            );
            assert_eq!((scene.count("public"), scene.cut(reason)), (1, 1));
        }
    }
}

#[tokio::test]
async fn a_download_that_ends_with_its_session_says_so() {
    // S-322, S-271
    for (alpn, _) in PROTOCOLS {
        let app = answering(BEGUN);
        let scene = scene(&app);
        let cookie = scene.front.session(HOST).await;
        let mut kept = scene.kept(alpn).await;
        scene
            .front
            .vestibule
            .time()
            .advance(Duration::from_secs(24 * 3600 - 30));
        let request = scene.request(Method::GET, "/download", &cookie);
        let answer = kept.ask(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        scene.breaks_off(answer, Duration::from_secs(31)).await;
        let line = scene.lines.only("/download").await;
        says(
            &line,
            &json!({
                "decision": "allow", "reason": "session", "status": 200,
                "ended": "session_over", "bytes": 5, "user": "ann@corp.example",
            }),
        );
        assert_eq!((scene.count("allow"), scene.cut("session_over")), (1, 1));
    }
}

#[tokio::test]
async fn an_answer_that_came_to_its_end_is_whole_with_a_body_or_without() {
    // S-322
    const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    const CHUNKED: &str =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    for (alpn, _) in PROTOCOLS {
        for (method, script, status, bytes) in [
            (Method::GET, ANSWER, 200, 5),
            (Method::GET, CHUNKED, 200, 5),
            (
                Method::HEAD,
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                200,
                0,
            ),
            (Method::GET, "HTTP/1.1 204 No Content\r\n\r\n", 204, 0),
            (
                Method::GET,
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
                304,
                0,
            ),
            (
                Method::GET,
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                200,
                0,
            ),
        ] {
            let app = answering(script);
            let scene = scene(&app);
            let mut kept = scene.kept(alpn).await;
            let request = scene.request(method, "/pub/whole", "");
            let answer = kept.ask(request).await.unwrap();
            assert_eq!(answer.status().as_u16(), status);
            answer.into_body().collect().await.unwrap();
            let line = scene.lines.only("/pub/whole").await;
            says(
                &line,
                &json!({ "status": status, "ended": "whole", "bytes": bytes }),
            );
            assert_eq!((scene.count("public"), scene.cut("client_left")), (1, 0));
        }
    }
}

#[tokio::test]
async fn an_answer_of_ours_is_whole_too() {
    // S-322
    let app = upstream::raw().run();
    for (alpn, _) in PROTOCOLS {
        let scene = scene(&app);
        let mut kept = scene.kept(alpn).await;
        for (method, has_body) in [(Method::GET, true), (Method::HEAD, false)] {
            let path = format!("/.vestibule/signed-out?{method}");
            let request = scene.request(method.clone(), &path, "");
            let answer = kept.ask(request).await.unwrap();
            assert_eq!(answer.status(), 200);
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(!body.is_empty(), has_body, "{method}");
            let of_method = || {
                let mut lines = scene.lines.of("/.vestibule/signed-out");
                lines.retain(|line| line["method"] == method.as_str());
                lines
            };
            eventually("its line", || !of_method().is_empty()).await;
            says(
                &of_method()[0],
                &json!({
                    "decision": "own", "status": 200, "ended": "whole", "bytes": body.len(),
                    "host": scene.front.vestibule.authority(HOST),
                }),
            );
        }
        let request = scene.request(Method::GET, "/inside", "");
        let answer = kept.ask(request).await.unwrap();
        let problem = answer.into_body().collect().await.unwrap().to_bytes();
        let line = scene.lines.only("/inside").await;
        says(
            &line,
            &json!({
                "decision": "login", "reason": "no_session", "status": 401, "ended": "whole",
                "bytes": problem.len(),
            }),
        );
    }
}
