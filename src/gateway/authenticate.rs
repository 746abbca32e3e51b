//! From the session cookie to a live session of this host, or to the word that says why not.
//!
//! An unusable cookie is no session, never an error; a store that does not answer is an error, never
//! "no session" (S-006, S-050).

use std::sync::Arc;

use http::HeaderMap;

use super::routes::Site;
use crate::{
    clock::Moment,
    session::{
        Session, SessionStore, StoreError,
        cookie::{Presented, presented},
    },
};

/// What the cookies of a request amount to.
pub(super) enum Authenticated {
    /// Nobody, and why.
    Nobody(&'static str),
    /// A live session of this host.
    Session(Arc<Session>),
}

impl Authenticated {
    /// The session, if there is one.
    pub(super) fn session(&self) -> Option<&Arc<Session>> {
        match self {
            Self::Nobody(_) => None,
            Self::Session(session) => Some(session),
        }
    }
}

/// Finds the session that a request presents.
///
/// # Errors
/// Returns [`StoreError`] if the store cannot be asked.
pub(super) fn authenticate(
    store: &dyn SessionStore,
    headers: &HeaderMap,
    site: &Site,
    now: Moment,
) -> Result<Authenticated, StoreError> {
    let key = match presented(headers) {
        Presented::Absent => return Ok(Authenticated::Nobody("no_session")),
        Presented::Unusable => return Ok(Authenticated::Nobody("unusable_cookie")),
        Presented::Key(key) => key,
    };
    let Some(session) = store.find(&key)? else {
        return Ok(Authenticated::Nobody("unknown_session"));
    };
    if !is_of(&session, site) {
        return Ok(Authenticated::Nobody("foreign_session"));
    }
    // Whatever the store says: the session's own end decides (S-056).
    if !session.is_live(now) {
        return Ok(Authenticated::Nobody("unknown_session"));
    }
    Ok(Authenticated::Session(session))
}

/// Whether a session counts on this host: it belongs to one host and one provider, and a provider that
/// stands on something else now is another one.
pub(super) fn is_of(session: &Session, site: &Site) -> bool {
    session.authority() == &site.authority
        && session.identity().provider() == site.relying_party.name()
        && session.standing() == site.relying_party.standing()
}
