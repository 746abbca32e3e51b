//! What a session costs in memory: fills a store and looks at what the process grew by.
//!
//! `VESTIBULE_BENCH_SESSIONS=1000000 cargo bench --profile dist --bench requests` prints it instead of
//! measuring anything else. Linux only: it reads `/proc/self/status`.

use std::{env, fs, sync::Arc};

use vestibule::{
    clock::Clock,
    identity::Standing,
    session::{MemoryStore, Session, SessionStore, SessionToken},
    telemetry::Metrics,
};

use crate::people;

/// How many sessions somebody wants to know the memory of.
pub(crate) fn wanted() -> Option<u32> {
    let text = env::var("VESTIBULE_BENCH_SESSIONS").ok()?;
    Some(text.parse().expect("VESTIBULE_BENCH_SESSIONS is a number"))
}

/// Prints what so many sessions cost: in a store; and by themselves, kept in a list.
///
/// Every person has one, and no route has looked at it yet: what a route keeps of it comes on top.
pub(crate) fn report(sessions: u32) {
    assert_ne!(sessions, 0, "there is nothing to divide by");
    let clock = Clock::system();
    let metrics = Arc::new(Metrics::new(clock.clone()));
    let store = MemoryStore::new(2 * u64::from(sessions), clock.clone(), metrics);
    let mut alone: Vec<Arc<Session>> = Vec::new();
    let begin = |number| {
        let standing = Standing::from_bytes([0; 32]);
        people::session(number, &SessionToken::random(), standing, &clock)
    };
    let stored = grown_by(|| {
        for number in 0..sessions {
            store.insert(begin(number)).expect("the store is in memory");
        }
        assert_eq!(store.live(), u64::from(sessions));
    });
    let by_itself = grown_by(|| {
        alone.extend((0..sessions).map(|number| Arc::new(begin(number))));
    });
    println!("{sessions} sessions; what the process grew by for each:");
    println!("  in the store  {:>5} bytes", stored / u64::from(sessions));
    println!(
        "  by itself     {:>5} bytes",
        by_itself / u64::from(sessions)
    );
    println!("  its own part  {:>5} bytes", size_of::<Session>());
}

/// How many more bytes are resident after `act` than before it.
fn grown_by(act: impl FnOnce()) -> u64 {
    let before = resident();
    act();
    resident().saturating_sub(before)
}

fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: u64 = kib.and_then(|it| it.parse().ok()).expect("it has a number");
    kib * 1024
}
