//! From a `Cookie` field to the session.

use std::sync::{Arc, Mutex, PoisonError};

use divan::{Bencher, black_box};
use http::HeaderMap;
use vestibule::{
    clock::Clock,
    identity::Standing,
    session::{
        MemoryStore, Session, SessionStore, SessionToken,
        cookie::{Presented, presented},
    },
    telemetry::Metrics,
};

use crate::{
    browser::{cookies, fields},
    people,
};

const SIZES: [u32; 2] = [10_000, 1_000_000];

/// A hundred thousand in all: a store writes up what was used of it only now and then.
const SAMPLES: u32 = 1_000;
const SIZE: u32 = 100;

/// The same session each time: its memory is near.
#[divan::bench(args = SIZES, sample_count = SAMPLES, sample_size = SIZE)]
fn hot(bencher: Bencher<'_, '_>, sessions: u32) {
    let filled = filled(sessions);
    let headers = filled.request_of(sessions / 2);
    assert!(filled.find(&headers).is_some());
    bencher.bench_local(|| filled.find(black_box(&headers)));
}

/// Another session each time, far from the one before: its memory is wherever it is.
#[divan::bench(args = SIZES, sample_count = SAMPLES, sample_size = SIZE)]
fn scattered(bencher: Bencher<'_, '_>, sessions: u32) {
    let filled = filled(sessions);
    let mut number = 0;
    let next = move || {
        // Goes round all of them: every size is a power of ten, and this is no multiple of 2 or 5.
        number = (number + 618_033_989_u64) % u64::from(sessions);
        filled.request_of(u32::try_from(number).expect("it is below the size"))
    };
    bencher
        .with_inputs(next)
        .bench_local_refs(|headers| filled.find(headers));
}

/// A store and what opens it.
struct Filled {
    store: MemoryStore,
    tokens: Vec<SessionToken>,
}

impl Filled {
    fn request_of(&self, number: u32) -> HeaderMap {
        let token = usize::try_from(number)
            .ok()
            .and_then(|it| self.tokens.get(it));
        fields(&cookies(token.map(SessionToken::expose)))
    }

    fn find(&self, headers: &HeaderMap) -> Option<Arc<Session>> {
        let Presented::Key(key) = presented(headers) else {
            return None;
        };
        self.store.find(&key).expect("the store is in memory")
    }
}

/// A store of this size; made once, because it takes a while.
fn filled(sessions: u32) -> &'static Filled {
    static FILLED: Mutex<Vec<(u32, &'static Filled)>> = Mutex::new(Vec::new());
    let mut all = FILLED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, filled)) = all.iter().find(|(size, _)| *size == sessions) {
        return filled;
    }
    let clock = Clock::system();
    let metrics = Arc::new(Metrics::new(clock.clone()));
    let store = MemoryStore::new(2 * u64::from(sessions), clock.clone(), metrics);
    let standing = Standing::from_bytes([0; 32]);
    let keep = |number| {
        let token = SessionToken::random();
        let session = people::session(number, &token, standing, &clock);
        store.insert(session).expect("the store is in memory");
        token
    };
    let tokens = (0..sessions).map(keep).collect();
    store.tidy();
    let filled = Box::leak(Box::new(Filled { store, tokens }));
    all.push((sessions, filled));
    filled
}
