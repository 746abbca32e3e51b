//! The contract of `SessionStore`: one suite that every store must pass.
//!
//! A store joins by a [`Bed`] of its own and one line of [`store_contract!`].

use std::{collections::HashSet, sync::Arc, thread, time::Duration};

use serde_json::{Map, json};
use vestibule::{
    clock::{ManualClock, Timestamp},
    config::route::Authority,
    identity::{ClaimRules, Identity, ProviderName, ProviderSessionId, RouteId, Standing},
    session::{
        EndCause, MemoryStore, Selection, Session, SessionKey, SessionStore, SessionToken, SignIn,
        StoreError, model::RouteView, store::MAX_SESSIONS_PER_PERSON,
    },
    telemetry::Metrics,
};

use crate::support::clock;

const DAY: Duration = Duration::from_hours(24);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);

/// A store under test, with the hands on its time.
trait Bed {
    /// A fresh store for at most `capacity` sessions.
    fn with_capacity(capacity: u64) -> Self;

    fn store(&self) -> &Arc<dyn SessionStore>;

    /// The time the store and its sessions go by. Moving it must not run any housekeeping.
    fn time(&self) -> &ManualClock;

    /// Runs all housekeeping that is due, now.
    fn tidy(&self);
}

struct MemoryBed {
    memory: Arc<MemoryStore>,
    store: Arc<dyn SessionStore>,
    time: ManualClock,
}

impl Bed for MemoryBed {
    fn with_capacity(capacity: u64) -> Self {
        let time = clock::manual();
        let metrics = Arc::new(Metrics::new(time.clock()));
        let memory = Arc::new(MemoryStore::new(capacity, time.clock(), metrics));
        Self {
            store: Arc::clone(&memory) as Arc<dyn SessionStore>,
            memory,
            time,
        }
    }

    fn store(&self) -> &Arc<dyn SessionStore> {
        &self.store
    }

    fn time(&self) -> &ManualClock {
        &self.time
    }

    fn tidy(&self) {
        self.memory.tidy();
    }
}

macro_rules! store_contract {
    ($store:ident, $bed:ty: $($(#[$note:meta])* $promise:ident)*) => {
        mod $store {
            $(
                #[test]
                $(#[$note])*
                fn $promise() {
                    super::$promise::<$bed>();
                }
            )*
        }
    };
}

store_contract! { memory, super::MemoryBed:
    a_kept_session_is_found_by_all_its_names
    a_session_is_listed_under_every_route_it_was_used_at
    each_selection_ends_exactly_what_it_names
    the_first_cause_of_an_end_stays
    an_unknown_key_finds_nobody
    a_session_lives_to_its_last_second_and_no_longer
    the_end_does_not_wait_for_housekeeping
    setting_the_clock_back_prolongs_nothing
    a_session_seen_ended_stays_ended_when_the_clock_goes_back
    a_step_of_the_wall_clock_forward_ends_it
    a_taken_key_is_refused_and_prolongs_nothing
    a_refused_session_leaves_no_trace
    an_ended_session_cannot_be_put_back
    the_oldest_give_way_when_a_person_has_too_many
    one_persons_limit_is_nobody_elses
    a_full_store_ends_the_least_recently_used_and_keeps_the_newcomer
    names_that_look_alike_when_joined_stay_apart
    concurrent_sessions_never_cross
    an_end_is_seen_by_everybody_at_once
}

/// What a session of the tests is made of; the rest is the same for all.
struct Draft {
    person: String,
    provider: String,
    issuer: String,
    sid: Option<String>,
    route: String,
    host: String,
    lifetime: Duration,
}

fn of(person: &str) -> Draft {
    Draft {
        person: person.to_owned(),
        provider: "op".to_owned(),
        issuer: "https://op.example".to_owned(),
        sid: None,
        route: "wiki".to_owned(),
        host: "wiki.example".to_owned(),
        lifetime: DAY,
    }
}

impl Draft {
    fn sid(self, sid: &str) -> Self {
        let sid = Some(sid.to_owned());
        Self { sid, ..self }
    }

    fn route(self, route: &str) -> Self {
        let route = route.to_owned();
        Self { route, ..self }
    }

    fn provider(self, provider: &str) -> Self {
        let provider = provider.to_owned();
        Self { provider, ..self }
    }

    fn issuer(self, issuer: &str) -> Self {
        let issuer = issuer.to_owned();
        Self { issuer, ..self }
    }

    fn ends_after(self, lifetime: Duration) -> Self {
        Self { lifetime, ..self }
    }

    fn identity(&self) -> Identity {
        let mut claims = Map::new();
        claims.insert("iss".to_owned(), json!(self.issuer));
        claims.insert("sub".to_owned(), json!(self.person));
        let provider = ProviderName(self.provider.clone());
        Identity::from_verified_claims(provider, ClaimRules::Oidc, &claims).unwrap()
    }

    /// The session these make at the time of `bed`.
    fn session(&self, bed: &impl Bed, key: SessionKey) -> Session {
        let now = bed.time().clock().now();
        Session::new(
            key,
            self.identity(),
            SignIn {
                standing: Standing::from_bytes([7; 32]),
                sid: self.sid.clone().map(ProviderSessionId),
                at: now.wall,
            },
            Authority {
                host: self.host.clone(),
                port: 443,
            },
            RouteId(self.route.clone()),
            now.deadline_after(self.lifetime),
        )
    }

    fn signs_in(&self, bed: &impl Bed) -> SessionKey {
        let session = self.session(bed, SessionToken::random().key());
        bed.store().insert(session).unwrap().key()
    }

    fn whole_person(&self) -> Selection {
        Selection::Person(self.identity().person().clone())
    }

    fn whole_sid(&self) -> Selection {
        let sid = self.sid.clone().expect("the test gave the draft a sid");
        Selection::Sid(ProviderName(self.provider.clone()), ProviderSessionId(sid))
    }
}

fn is_in(bed: &impl Bed, key: SessionKey) -> bool {
    bed.store().find(&key).unwrap().is_some()
}

fn listed(bed: &impl Bed, selection: &Selection) -> HashSet<SessionKey> {
    let found = bed.store().select(selection).unwrap();
    let keys: HashSet<_> = found.iter().map(|session| session.key()).collect();
    assert_eq!(keys.len(), found.len(), "a session is listed twice");
    keys
}

fn a_second_less_than(duration: Duration) -> Duration {
    duration.checked_sub(SECOND).unwrap()
}

fn at_route(route: &str) -> Selection {
    Selection::Route(RouteId(route.to_owned()))
}

fn a_kept_session_is_found_by_all_its_names<B: Bed>() {
    let bed = B::with_capacity(100);
    let ann = of("ann").sid("s1");
    let key = ann.signs_in(&bed);
    of("bob").route("erp").sid("s2").signs_in(&bed);

    let found = bed.store().find(&key).unwrap().unwrap();
    assert_eq!(found.identity().person(), ann.identity().person());
    assert_eq!(found.authority().host, "wiki.example");
    for selection in [
        Selection::Key(key),
        ann.whole_person(),
        ann.whole_sid(),
        at_route("wiki"),
    ] {
        assert_eq!(
            listed(&bed, &selection),
            HashSet::from([key]),
            "{selection:?}"
        );
    }
    assert_eq!(listed(&bed, &Selection::All).len(), 2);
}

fn a_session_is_listed_under_every_route_it_was_used_at<B: Bed>() {
    let bed = B::with_capacity(100);
    let key = of("ann").route("wiki").signs_in(&bed);
    let view = RouteView {
        route: RouteId("erp".to_owned()),
        generation: 1,
        lets_in: true,
        view: Arc::new(()),
    };
    bed.store().find(&key).unwrap().unwrap().keep_view(&view);
    assert_eq!(listed(&bed, &at_route("erp")), HashSet::from([key]));
    assert_eq!(listed(&bed, &at_route("wiki")), HashSet::from([key]));
    assert!(listed(&bed, &at_route("mail")).is_empty());
}

fn each_selection_ends_exactly_what_it_names<B: Bed>() {
    let ann = of("ann").sid("s1");
    for (name, selection, ended) in [
        ("person", ann.whole_person(), [true, true, false]),
        ("sid", ann.whole_sid(), [true, false, false]),
        ("route", at_route("erp"), [false, true, true]),
        ("all", Selection::All, [true, true, true]),
    ] {
        let bed = B::with_capacity(100);
        let keys = [
            ann.signs_in(&bed),
            of("ann").route("erp").signs_in(&bed),
            of("bob").route("erp").sid("s2").signs_in(&bed),
        ];
        let count = ended.iter().filter(|ended| **ended).count();
        assert_eq!(
            bed.store().end(&selection, EndCause::Revoked).unwrap(),
            count,
            "{name}"
        );
        assert_eq!(keys.map(|key| !is_in(&bed, key)), ended, "{name}");
        assert_eq!(
            bed.store().end(&selection, EndCause::Revoked).unwrap(),
            0,
            "{name}: again"
        );
        assert!(listed(&bed, &selection).is_empty(), "{name}");
    }
    let bed = B::with_capacity(100);
    let keys = [ann.signs_in(&bed), ann.signs_in(&bed)];
    let one = Selection::Key(keys[0]);
    assert_eq!(bed.store().end(&one, EndCause::SignedOut).unwrap(), 1);
    assert_eq!(keys.map(|key| is_in(&bed, key)), [false, true]);
}

fn the_first_cause_of_an_end_stays<B: Bed>() {
    let bed = B::with_capacity(100);
    let key = of("ann").signs_in(&bed);
    let held = bed.store().find(&key).unwrap().unwrap();
    let one = Selection::Key(key);
    bed.store().end(&one, EndCause::SignedOut).unwrap();
    bed.store().end(&one, EndCause::Revoked).unwrap();
    bed.tidy();
    assert_eq!(held.ended(), Some(EndCause::SignedOut));
}

fn an_unknown_key_finds_nobody<B: Bed>() {
    let bed = B::with_capacity(100);
    of("ann").signs_in(&bed);
    assert!(!is_in(&bed, SessionToken::random().key()));
}

fn a_session_lives_to_its_last_second_and_no_longer<B: Bed>() {
    for lifetime in [DAY, 8 * HOUR] {
        let bed = B::with_capacity(100);
        let ann = of("ann").sid("s1").ends_after(lifetime);
        let key = ann.signs_in(&bed);
        bed.time().advance(a_second_less_than(lifetime));
        assert!(is_in(&bed, key), "a second before its end");
        bed.time().advance(SECOND);
        assert!(!is_in(&bed, key), "at its end");
    }
}

fn the_end_does_not_wait_for_housekeeping<B: Bed>() {
    // S-056: nothing tidies here, and nothing has looked at the session before.
    let ann = of("ann").sid("s1");
    for selection in [
        ann.whole_person(),
        ann.whole_sid(),
        at_route("wiki"),
        Selection::All,
    ] {
        let bed = B::with_capacity(100);
        ann.signs_in(&bed);
        bed.time().advance(a_second_less_than(DAY));
        assert_eq!(listed(&bed, &selection).len(), 1, "{selection:?}");
        bed.time().advance(SECOND);
        assert!(listed(&bed, &selection).is_empty(), "{selection:?}");
        assert_eq!(
            bed.store().end(&selection, EndCause::Revoked).unwrap(),
            0,
            "{selection:?}"
        );
    }
}

fn setting_the_clock_back_prolongs_nothing<B: Bed>() {
    // S-070
    let bed = B::with_capacity(100);
    let key = of("ann").signs_in(&bed);
    bed.time().step_wall_back(2 * HOUR);
    bed.time().advance(a_second_less_than(DAY));
    assert!(is_in(&bed, key));
    bed.time().advance(SECOND);
    assert!(!is_in(&bed, key));
}

fn a_session_seen_ended_stays_ended_when_the_clock_goes_back<B: Bed>() {
    let bed = B::with_capacity(100);
    let key = of("ann").signs_in(&bed);
    let held = bed.store().find(&key).unwrap().unwrap();
    bed.time().step_wall_forward(25 * HOUR);
    assert!(!is_in(&bed, key));
    bed.time().step_wall_back(25 * HOUR);
    assert!(!is_in(&bed, key));
    assert!(listed(&bed, &of("ann").whole_person()).is_empty());
    assert_eq!(held.ended(), Some(EndCause::Expired));
}

fn a_step_of_the_wall_clock_forward_ends_it<B: Bed>() {
    // S-070: suspended and resumed, the monotonic clock has seen one hour of twenty-five.
    let bed = B::with_capacity(100);
    let key = of("ann").signs_in(&bed);
    bed.time().advance(HOUR);
    bed.time().step_wall_forward(a_second_less_than(23 * HOUR));
    assert!(is_in(&bed, key));
    bed.time().step_wall_forward(SECOND);
    assert!(!is_in(&bed, key));
}

fn a_taken_key_is_refused_and_prolongs_nothing<B: Bed>() {
    let bed = B::with_capacity(100);
    let ann = of("ann");
    let key = ann.signs_in(&bed);
    bed.time().advance(HOUR);
    let again = bed.store().insert(ann.session(&bed, key));
    assert!(matches!(again, Err(StoreError::Duplicate)));
    bed.time().advance(a_second_less_than(23 * HOUR));
    assert!(is_in(&bed, key));
    bed.time().advance(SECOND);
    assert!(!is_in(&bed, key));
}

fn a_refused_session_leaves_no_trace<B: Bed>() {
    let bed = B::with_capacity(100);
    let key = of("ann").sid("s1").signs_in(&bed);
    let mallory = of("mallory").sid("s2");
    let refused = bed.store().insert(mallory.session(&bed, key));
    assert!(matches!(refused, Err(StoreError::Duplicate)));
    for selection in [mallory.whole_person(), mallory.whole_sid()] {
        assert!(listed(&bed, &selection).is_empty(), "{selection:?}");
        assert_eq!(bed.store().end(&selection, EndCause::Revoked).unwrap(), 0);
    }
    let found = bed.store().find(&key).unwrap().unwrap();
    assert_eq!(found.identity().person(), of("ann").identity().person());
}

fn an_ended_session_cannot_be_put_back<B: Bed>() {
    let bed = B::with_capacity(100);
    let ann = of("ann");
    let ended = ann.session(&bed, SessionToken::random().key());
    let key = ended.key();
    ended.end(EndCause::Revoked);
    // Whether the store refuses it or takes it: nobody gets in with it.
    drop(bed.store().insert(ended));
    assert!(!is_in(&bed, key));
    assert!(listed(&bed, &ann.whole_person()).is_empty());
}

fn the_oldest_give_way_when_a_person_has_too_many<B: Bed>() {
    let bed = B::with_capacity(1000);
    let mut keys = Vec::new();
    for hour in 0..MAX_SESSIONS_PER_PERSON + 3 {
        let host = format!("app{hour}.example");
        keys.push(Draft { host, ..of("ann") }.signs_in(&bed));
        bed.time().advance(SECOND);
    }
    let (gone, kept) = keys.split_at(3);
    assert!(gone.iter().all(|key| !is_in(&bed, *key)));
    assert!(kept.iter().all(|key| is_in(&bed, *key)));
    let of_ann = listed(&bed, &of("ann").whole_person());
    assert_eq!(of_ann, kept.iter().copied().collect());
}

fn one_persons_limit_is_nobody_elses<B: Bed>() {
    let bed = B::with_capacity(1000);
    let bob = of("bob").signs_in(&bed);
    let elsewhere = of("ann").issuer("https://other.example").signs_in(&bed);
    for _ in 0..=MAX_SESSIONS_PER_PERSON {
        bed.time().advance(SECOND);
        of("ann").signs_in(&bed);
    }
    assert!(is_in(&bed, bob) && is_in(&bed, elsewhere));
}

fn a_full_store_ends_the_least_recently_used_and_keeps_the_newcomer<B: Bed>() {
    // S-068: the old ones are in constant use, and still a newcomer gets in.
    const CAPACITY: u64 = 50;
    let bed = B::with_capacity(CAPACITY);
    let old: Vec<_> = (0..CAPACITY)
        .map(|n| of(&format!("old{n}")).signs_in(&bed))
        .collect();
    bed.tidy();
    let idle = bed.store().find(&old[0]).unwrap().unwrap();
    for _ in 0..20 {
        assert!(old[1..].iter().all(|key| is_in(&bed, *key)));
        bed.tidy();
    }
    let newcomer = of("newcomer").signs_in(&bed);
    assert!(is_in(&bed, newcomer));
    bed.tidy();
    assert!(is_in(&bed, newcomer));
    assert!(!is_in(&bed, old[0]), "the one not used for longest");
    assert_eq!(idle.ended(), Some(EndCause::Evicted));
    assert!(old[1..].iter().all(|key| is_in(&bed, *key)));

    for n in 0..2 * CAPACITY {
        let key = of(&format!("new{n}")).signs_in(&bed);
        bed.tidy();
        assert!(is_in(&bed, key), "newcomer {n}");
    }
    assert!(bed.store().live() <= CAPACITY);
}

fn names_that_look_alike_when_joined_stay_apart<B: Bed>() {
    // S-059
    let bed = B::with_capacity(100);
    let one = of("bc").issuer("https://a").provider("p").sid("q1");
    let other = of("c").issuer("https://ab").provider("pq").sid("1");
    let keys = [one.signs_in(&bed), other.signs_in(&bed)];
    assert_eq!(listed(&bed, &one.whole_sid()), HashSet::from([keys[0]]));
    assert_eq!(listed(&bed, &other.whole_sid()), HashSet::from([keys[1]]));
    assert_eq!(listed(&bed, &one.whole_person()), HashSet::from([keys[0]]));
    let ended = bed.store().end(&other.whole_person(), EndCause::Revoked);
    assert_eq!(ended.unwrap(), 1);
    assert_eq!(keys.map(|key| is_in(&bed, key)), [true, false]);
}

fn concurrent_sessions_never_cross<B: Bed>() {
    // S-059: ten thousand pairs, each person's own and its look-alike's.
    const THREADS: usize = 8;
    const PAIRS: usize = 1250;
    let bed = B::with_capacity(100_000);
    // All drafts are made first, so that the threads meet at the store and nowhere else.
    let work: Vec<Vec<_>> = (0..THREADS)
        .map(|thread| {
            (0..PAIRS)
                .flat_map(|n| {
                    let tail = format!("{thread}-{n}");
                    [
                        of(&tail).issuer("https://ab"),
                        of(&format!("b{tail}")).issuer("https://a"),
                    ]
                })
                .map(|draft| {
                    let session = draft.session(&bed, SessionToken::random().key());
                    (session, draft.identity().person().clone())
                })
                .collect()
        })
        .collect();
    let store = bed.store();
    thread::scope(|scope| {
        for sessions in work {
            scope.spawn(move || {
                for (session, person) in sessions {
                    let key = session.key();
                    store.insert(session).unwrap();
                    let found = store.find(&key).unwrap().expect("it was just kept");
                    assert_eq!(found.key(), key);
                    assert_eq!(found.identity().person(), &person);
                    let of_person = store.select(&Selection::Person(person.clone())).unwrap();
                    assert_eq!(of_person.len(), 1);
                    assert_eq!(of_person[0].key(), key);
                }
            });
        }
    });
    assert_eq!(listed(&bed, &Selection::All).len(), THREADS * PAIRS * 2);
}

fn an_end_is_seen_by_everybody_at_once<B: Bed>() {
    let bed = B::with_capacity(10_000);
    let store = bed.store();
    for round in 0..200 {
        let ann = of(&format!("ann{round}")).sid("s");
        let key = ann.signs_in(&bed);
        let held = store.find(&key).unwrap().unwrap();
        thread::scope(|scope| {
            let ends = [ann.whole_person(), ann.whole_sid(), Selection::Key(key)].map(|it| {
                scope.spawn(move || {
                    let ended = store.end(&it, EndCause::Revoked).unwrap();
                    assert!(store.find(&key).unwrap().is_none(), "after its end");
                    ended
                })
            });
            let ended: usize = ends.into_iter().map(|end| end.join().unwrap()).sum();
            assert_eq!(ended, 1, "it was ended once, by one of them");
        });
        assert!(!held.is_live(bed.time().clock().now()), "a tunnel holds it");
    }
}

#[test]
fn the_clock_of_the_tests_stands_where_it_says() {
    let now = clock::manual().clock().now();
    assert_eq!(now.wall, Timestamp::from_unix_seconds(clock::START));
}
