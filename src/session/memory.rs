//! The store in this process: moka, with the sessions' own deadlines.
//!
//! moka only frees memory: whether a session counts is read from the session itself. Its
//! `time_to_live` is not used, because it starts again whenever an entry is inserted again, and its
//! default admission policy is not either, because it may silently refuse a new session when full.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use moka::{Expiry, notification::RemovalCause, policy::EvictionPolicy, sync::Cache};

use super::{
    model::{EndCause, Session, SessionKey},
    store::{MAX_SESSIONS_PER_PERSON, Selection, SessionStore, StoreError},
};
use crate::{
    clock::Clock,
    identity::{PersonKey, ProviderName, ProviderSessionId},
    telemetry::Metrics,
};

/// Sessions in this process's memory.
pub struct MemoryStore {
    sessions: Cache<SessionKey, Arc<Session>>,
    index: Arc<Index>,
    clock: Clock,
    metrics: Arc<Metrics>,
    capacity: u64,
}

impl MemoryStore {
    /// An empty store for at most `capacity` sessions; beyond that the least recently used ends,
    /// which is counted and warned about.
    #[must_use]
    pub fn new(capacity: u64, clock: Clock, metrics: Arc<Metrics>) -> Self {
        for cause in EndCause::ALL {
            metrics.expect_session_end(cause.word());
        }
        let index = Arc::new(Index::default());
        let listener = {
            let (index, metrics) = (Arc::clone(&index), Arc::clone(&metrics));
            move |_: Arc<SessionKey>, session: Arc<Session>, cause: RemovalCause| {
                let ended = match cause {
                    RemovalCause::Size => EndCause::Evicted,
                    RemovalCause::Expired => EndCause::Expired,
                    RemovalCause::Explicit | RemovalCause::Replaced => EndCause::Revoked,
                };
                if session.end(ended) && ended == EndCause::Evicted {
                    tracing::warn!(
                        person = %session.identity().person(),
                        "a session ended early because the store is full; raise [session] capacity"
                    );
                }
                index.forget(&session);
                if let Some(cause) = session.ended() {
                    metrics.session_ended(cause.word());
                }
            }
        };
        let sessions = Cache::builder()
            .max_capacity(capacity)
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(UntilDeadline(clock.clone()))
            .eviction_listener(listener)
            .build();
        Self {
            sessions,
            index,
            clock,
            metrics,
            capacity,
        }
    }

    /// Removes what has ended from memory now instead of by and by.
    pub fn tidy(&self) {
        self.sessions.run_pending_tasks();
    }

    fn end_one(&self, session: &Session, cause: EndCause) -> bool {
        let was_live = session.is_live(self.clock.now()) && session.end(cause);
        self.sessions.invalidate(&session.key());
        was_live
    }

    fn live_of(&self, keys: Vec<SessionKey>) -> Vec<Arc<Session>> {
        let now = self.clock.now();
        keys.into_iter()
            .filter_map(|key| self.sessions.get(&key))
            .filter(|session| session.is_live(now))
            .collect()
    }

    fn live_where(&self, wanted: impl Fn(&Session) -> bool) -> Vec<Arc<Session>> {
        let now = self.clock.now();
        self.sessions
            .iter()
            .map(|(_, session)| session)
            .filter(|session| session.is_live(now) && wanted(session))
            .collect()
    }
}

impl SessionStore for MemoryStore {
    fn find(&self, key: &SessionKey) -> Result<Option<Arc<Session>>, StoreError> {
        let Some(session) = self.sessions.get(key) else {
            return Ok(None);
        };
        if session.is_live(self.clock.now()) {
            return Ok(Some(session));
        }
        self.sessions.invalidate(key);
        Ok(None)
    }

    fn insert(&self, session: Session) -> Result<Arc<Session>, StoreError> {
        let session = Arc::new(session);
        let entry = self
            .sessions
            .entry(session.key())
            .or_insert(Arc::clone(&session));
        if !entry.is_fresh() {
            return Err(StoreError::Duplicate);
        }
        self.index.remember(&session);
        if session.ended().is_some() {
            // Evicted right behind its insertion, before there was anything to forget.
            self.index.forget(&session);
        }
        let mut of_person = self.live_of(self.index.of_person(session.identity().person()));
        if of_person.len() > MAX_SESSIONS_PER_PERSON {
            of_person.retain(|it| it.key() != session.key());
            of_person.sort_by_key(|it| (it.signed_in_at(), it.key()));
            let surplus = of_person.len() + 1 - MAX_SESSIONS_PER_PERSON;
            for oldest in of_person.into_iter().take(surplus) {
                self.end_one(&oldest, EndCause::Limit);
            }
        }
        let kept = self.sessions.entry_count();
        if kept.saturating_mul(10) >= self.capacity.saturating_mul(9) {
            self.metrics.warn_of_full_store(kept, self.capacity);
        }
        Ok(session)
    }

    fn select(&self, selection: &Selection) -> Result<Vec<Arc<Session>>, StoreError> {
        Ok(match selection {
            Selection::All => self.live_where(|_| true),
            Selection::Key(key) => self.live_of(vec![*key]),
            Selection::Person(person) => self.live_of(self.index.of_person(person)),
            Selection::Route(route) => self.live_where(|session| session.has_used(route)),
            Selection::Sid(provider, sid) => self.live_of(self.index.of_sid(provider, sid)),
        })
    }

    fn end(&self, selection: &Selection, cause: EndCause) -> Result<usize, StoreError> {
        let chosen = self.select(selection)?;
        Ok(chosen
            .into_iter()
            .filter(|session| self.end_one(session, cause))
            .count())
    }

    fn live(&self) -> u64 {
        self.sessions.run_pending_tasks();
        self.sessions.entry_count()
    }
}

/// Hands moka the sessions' own deadlines: the same after an insertion as after any other.
struct UntilDeadline(Clock);

impl UntilDeadline {
    fn remaining(&self, session: &Session) -> Duration {
        session.deadline().remaining(self.0.now())
    }
}

impl Expiry<SessionKey, Arc<Session>> for UntilDeadline {
    fn expire_after_create(
        &self,
        _: &SessionKey,
        session: &Arc<Session>,
        _: Instant,
    ) -> Option<Duration> {
        Some(self.remaining(session))
    }

    fn expire_after_update(
        &self,
        _: &SessionKey,
        session: &Arc<Session>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(self.remaining(session))
    }
}

/// Who has which sessions. Its lock is never held while moka is called: moka calls back into it.
#[derive(Default)]
struct Index(Mutex<Indexed>);

#[derive(Default)]
struct Indexed {
    persons: HashMap<PersonKey, HashSet<SessionKey>>,
    sids: HashMap<(ProviderName, ProviderSessionId), HashSet<SessionKey>>,
}

impl Index {
    fn lock(&self) -> MutexGuard<'_, Indexed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, session: &Session) {
        let mut indexed = self.lock();
        let person = session.identity().person().clone();
        indexed
            .persons
            .entry(person)
            .or_default()
            .insert(session.key());
        if let Some(sid) = sid_of(session) {
            indexed.sids.entry(sid).or_default().insert(session.key());
        }
    }

    fn forget(&self, session: &Session) {
        let mut indexed = self.lock();
        drop_from(
            &mut indexed.persons,
            session.identity().person(),
            session.key(),
        );
        if let Some(sid) = sid_of(session) {
            drop_from(&mut indexed.sids, &sid, session.key());
        }
    }

    fn of_person(&self, person: &PersonKey) -> Vec<SessionKey> {
        self.lock()
            .persons
            .get(person)
            .map(keys)
            .unwrap_or_default()
    }

    fn of_sid(&self, provider: &ProviderName, sid: &ProviderSessionId) -> Vec<SessionKey> {
        let sid = (provider.clone(), sid.clone());
        self.lock().sids.get(&sid).map(keys).unwrap_or_default()
    }
}

fn keys(set: &HashSet<SessionKey>) -> Vec<SessionKey> {
    set.iter().copied().collect()
}

fn sid_of(session: &Session) -> Option<(ProviderName, ProviderSessionId)> {
    Some((
        session.identity().provider().clone(),
        session.sid()?.clone(),
    ))
}

fn drop_from<K: Eq + Hash>(map: &mut HashMap<K, HashSet<SessionKey>>, name: &K, key: SessionKey) {
    if let Some(set) = map.get_mut(name) {
        set.remove(&key);
        if set.is_empty() {
            map.remove(name);
        }
    }
}
