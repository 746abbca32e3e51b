//! The fields of a page view on their way to the app, and those of its answer on their way back.
//!
//! Each is rewritten in a map that is as full as hyper hands it over; making and dropping it is not
//! measured.

use std::sync::Arc;

use divan::Bencher;
use http::{HeaderMap, HeaderName, HeaderValue};
use vestibule::{
    clock::Clock,
    config::Config,
    session::SessionToken,
    telemetry::Metrics,
    upstream::{
        Apps, RemovalList, RenderedIdentity, RouteTarget, RouteTls, Seats,
        answer_headers::{AnswerFacts, for_client},
        cookies::cut_from_request,
        headers::{RequestFacts, for_upstream},
    },
};

use crate::{
    app,
    browser::{cookies, fields},
    house::{self, Spread},
};

const SAMPLES: u32 = 500;
const SIZE: u32 = 100;

#[divan::bench(sample_count = SAMPLES, sample_size = SIZE)]
fn to_the_app(bencher: Bencher<'_, '_>) {
    let (config, target) = route();
    let removal = RemovalList::new(&config.routes);
    let identity = RenderedIdentity {
        user: "ann@example.com".to_owned(),
        headers: vec![
            header("x-remote-user", "ann@example.com"),
            header("x-remote-name", "Ann Example"),
        ],
    };
    let forwarded_for = HeaderValue::from_static("192.0.2.7");
    let request_id = HeaderValue::from_static("0123456789abcdef0123456789abcdef");
    let facts = RequestFacts {
        forwarded_for: &forwarded_for,
        request_id: &request_id,
        identity: Some(&identity),
    };
    let rewrite = |mut headers: HeaderMap| {
        for_upstream(&mut headers, &target, &removal, facts).expect("nothing in it is refused");
        headers
    };
    let rewritten = rewrite(page_view());
    assert_eq!(rewritten["x-remote-name"], "Ann Example");
    assert_eq!(rewritten["cookie"], cookies(None).as_str());
    bencher.with_inputs(page_view).bench_local_values(rewrite);
}

#[divan::bench(sample_count = SAMPLES, sample_size = SIZE)]
fn to_the_client(bencher: Bencher<'_, '_>) {
    let (_, target) = route();
    let hsts = HeaderValue::from_static("max-age=86400");
    let facts = AnswerFacts {
        session_decided: true,
        hsts: Some(&hsts),
    };
    let rewrite = |mut headers: HeaderMap| {
        for_client(&mut headers, &target, facts);
        headers
    };
    let rewritten = rewrite(answer());
    assert_eq!(rewritten["cache-control"], "private");
    assert!(!rewritten.contains_key("server"));
    bencher.with_inputs(answer).bench_local_values(rewrite);
}

/// The session's cookie among ten others; a part of [`to_the_app`].
#[divan::bench(sample_count = SAMPLES, sample_size = SIZE)]
fn cookies_to_the_app(bencher: Bencher<'_, '_>) {
    let cut = |mut headers: HeaderMap| {
        cut_from_request(&mut headers);
        headers
    };
    assert_eq!(cut(page_view())["cookie"], cookies(None).as_str());
    bencher.with_inputs(page_view).bench_local_values(cut);
}

fn route() -> (Config, RouteTarget) {
    let config = house::config(1, Spread::Prefixes);
    let metrics = Arc::new(Metrics::new(Clock::system()));
    let apps = Apps::new(Arc::new(Seats::new(1, 1)), metrics);
    let target = RouteTarget::new(&config.routes[0], &apps, &RouteTls::new());
    let target = target.expect("its names can stand in a header");
    (config, target)
}

fn header(name: &'static str, value: &'static str) -> (HeaderName, HeaderValue) {
    (
        HeaderName::from_static(name),
        HeaderValue::from_static(value),
    )
}

fn page_view() -> HeaderMap {
    fields(&cookies(Some(SessionToken::random().expose())))
}

fn answer() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(app::FIELDS.len());
    for (name, value) in app::FIELDS {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("it is a name");
        headers.append(name, HeaderValue::from_static(value));
    }
    headers
}
