//! What a session store promises. `tests/it/session_store.rs` holds every store to it.
//!
//! A store must never hand out a session that has ended, whatever its own housekeeping has got
//! round to, and must never put one back: there is no call that replaces or prolongs a session.

use std::sync::Arc;

use thiserror::Error;

use super::model::{EndCause, Session, SessionKey};
use crate::{
    clock::Timestamp,
    config::route::Authority,
    identity::{PersonKey, ProviderName, ProviderSessionId, RouteId},
};

/// How many sessions one person may have; beyond that the oldest ends.
pub const MAX_SESSIONS_PER_PERSON: usize = 20;

/// The store could not be asked. Whoever gets this must refuse.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A session with this key is there already, which chance alone cannot bring about.
    #[error("a session with this key exists already")]
    Duplicate,
    /// The store does not answer.
    #[error("the session store cannot be reached")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Which sessions.
#[derive(Clone, Debug)]
pub enum Selection {
    /// Every one.
    All,
    /// The one with this key.
    Key(SessionKey),
    /// All of one person, on all hosts.
    Person(PersonKey),
    /// All that were used at a route, or began there.
    Route(RouteId),
    /// All that came from one session at a provider.
    Sid(ProviderName, ProviderSessionId),
}

/// One live session, for lists: what an administrator may see of it.
#[derive(Clone, Debug)]
pub struct SessionSummary {
    /// Its key.
    pub key: SessionKey,
    /// Whose it is.
    pub person: PersonKey,
    /// The host it counts on.
    pub authority: Authority,
    /// When it began.
    pub signed_in_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
}

/// Keeps sessions, finds them, ends them.
pub trait SessionStore: Send + Sync {
    /// The live session with this key. Called for every request: must not wait for a lock that
    /// is held while anything else is done.
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if the store cannot be asked.
    fn find(&self, key: &SessionKey) -> Result<Option<Arc<Session>>, StoreError>;

    /// Keeps a new session. If its person has more than [`MAX_SESSIONS_PER_PERSON`], the oldest
    /// end. Once this returns, `find` finds it.
    ///
    /// # Errors
    /// Returns [`StoreError::Duplicate`] if the key is taken, [`StoreError::Unavailable`] if the
    /// store cannot be asked.
    fn insert(&self, session: Session) -> Result<Arc<Session>, StoreError>;

    /// Live sessions that `selection` names, in no order.
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if the store cannot be asked.
    fn select(&self, selection: &Selection) -> Result<Vec<Arc<Session>>, StoreError>;

    /// Ends what `selection` names, with all that hangs on it; returns how many had been live.
    /// Once this returns, `find` finds none of them.
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if the store cannot be asked.
    fn end(&self, selection: &Selection, cause: EndCause) -> Result<usize, StoreError>;

    /// About how many sessions are kept, for the gauge.
    fn live(&self) -> u64;
}
