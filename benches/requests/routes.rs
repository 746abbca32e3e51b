//! From host and path to the route that decides.

use std::sync::Arc;

use divan::{Bencher, black_box};
use vestibule::{
    config::{Config, route::Authority},
    gateway::RouteTable,
    identity::RouteId,
    telemetry::Metrics,
    upstream::{Apps, RouteTls, Seats},
};

use crate::{
    house::{self, Spread},
    people::{ROUTE, authority},
};

const COUNTS: [usize; 2] = [1, 1_000];

/// Routes of one host, told apart by their prefixes; found is the one for the whole host, which is the
/// last that is looked at.
#[divan::bench(args = COUNTS)]
fn prefixes(bencher: Bencher<'_, '_>, routes: usize) {
    measure(
        bencher,
        &house::config(routes, Spread::Prefixes),
        &authority(),
    );
}

/// One route for each host.
#[divan::bench(args = COUNTS)]
fn hosts(bencher: Bencher<'_, '_>, routes: usize) {
    measure(bencher, &house::config(routes, Spread::Hosts), &authority());
}

fn measure(bencher: Bencher<'_, '_>, config: &Config, authority: &Authority) {
    let clock = vestibule::clock::Clock::system();
    let providers = house::providers(config, &clock);
    let metrics = Arc::new(Metrics::new(clock));
    let known = Apps::new(Arc::new(Seats::new(1, 1)), Arc::clone(&metrics));
    let upstreams = (&known, &RouteTls::new());
    let table = RouteTable::new(config, &providers, upstreams, &metrics);
    let table = table.expect("the routes fit");
    let find = || {
        let path = black_box("/orders/4711/positions");
        table.route_at(black_box(authority), path)
    };
    assert_eq!(find(), Some(&RouteId(ROUTE.to_owned())));
    bencher.bench_local(find);
}
