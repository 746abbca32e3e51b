//! A further session of the same sign-in ends when the first one does.
//!
//! Without this a person could carry a sign-in from host to host past its 24 hours. Only what the
//! provider signed tells two sign-ins apart; what came beside the token is in the person's own hands.

use crate::{
    clock::Deadline,
    config::route::Authority,
    identity::Identity,
    session::{Session, SessionKey},
};

/// A session that is about to be made.
pub(super) struct Newcomer<'a> {
    /// Whose it will be.
    pub(super) identity: &'a Identity,
    /// Where it will count.
    pub(super) authority: &'a Authority,
    /// The session that the browser presented, which it will replace.
    pub(super) presented: Option<SessionKey>,
}

/// The end of a session that is about to be made: `own`, or the earlier end of a live session of the
/// same person that came from the same sign-in.
pub(super) fn deadline<'a>(
    own: Deadline,
    newcomer: &Newcomer<'_>,
    others: impl Iterator<Item = &'a Session>,
) -> Deadline {
    others
        .filter(|other| newcomer.is_same_sign_in_as(other))
        .fold(own, |end, other| end.earliest(other.deadline()))
}

impl Newcomer<'_> {
    /// Two sessions of the provider are two sign-ins, and so are two proofs of who one is, both by
    /// the provider's own word and clock. Where it says neither, a session on another host counts as
    /// of the same sign-in, and the one this browser presents does: in doubt the earlier end.
    fn is_same_sign_in_as(&self, other: &Session) -> bool {
        let (new, old) = (self.identity, other.identity());
        if new.provider() != old.provider() {
            return false;
        }
        match (new.auth_time(), old.auth_time()) {
            (Some(new), Some(old)) if new > old => return false,
            (Some(new), Some(old)) if new == old => return true,
            _ => {}
        }
        match (new.sid(), old.sid()) {
            (Some(new), Some(old)) => new == old,
            _ => other.authority() != self.authority || Some(other.key()) == self.presented,
        }
    }
}
