//! A further session of the same sign-in ends when the first one does.
//!
//! Without this a person could carry a sign-in from host to host past its 24 hours.

use crate::{
    clock::{Deadline, Timestamp},
    config::route::Authority,
    identity::{Identity, ProviderSessionId},
    session::Session,
};

/// The end of a session that is about to be made: `own`, or the earlier end of a live session of the
/// same person that came from the same sign-in.
pub(super) fn deadline<'a>(
    own: Deadline,
    identity: &Identity,
    sid: Option<&ProviderSessionId>,
    authority: &Authority,
    others: impl Iterator<Item = &'a Session>,
) -> Deadline {
    others
        .filter(|other| other.identity().provider() == identity.provider())
        .filter(|other| {
            let proved_since = identity
                .auth_time()
                .is_some_and(|proved_at| proved_at > seconds(other.signed_in_at()));
            !proved_since && is_same_sign_in(sid, other, authority)
        })
        .fold(own, |end, other| end.earliest(other.deadline()))
}

/// Two sessions of the provider are two sign-ins. Where it does not tell them apart, a session on
/// another host counts as the same one: in doubt the earlier end.
fn is_same_sign_in(
    sid: Option<&ProviderSessionId>,
    other: &Session,
    authority: &Authority,
) -> bool {
    match (sid, other.sid()) {
        (Some(sid), Some(other)) => sid == other,
        _ => other.authority() != authority,
    }
}

/// `auth_time` has whole seconds.
fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_unix_seconds(at.unix_seconds())
}
