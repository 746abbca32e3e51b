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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::{
        clock::{ManualClock, Timestamp},
        identity::{ClaimRules, ProviderName, RouteId, Standing},
        session::{SessionToken, SignIn},
    };

    const DAY: Duration = Duration::from_hours(24);

    fn identity(more: &Value) -> Identity {
        let mut claims = json!({"iss": "https://id.example", "sub": "ann"});
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let name = ProviderName("id".to_owned());
        let claims = claims.as_object().unwrap();
        Identity::from_verified_claims(name, ClaimRules::Oidc, claims).unwrap()
    }

    fn authority(host: &str) -> Authority {
        Authority {
            host: host.to_owned(),
            port: 443,
        }
    }

    #[test]
    fn only_the_providers_signed_word_makes_a_sign_in_a_new_one() {
        // S-005: old claims, new claims, same host, presented by this browser; whether it inherits.
        let (one, two) = (json!({"sid": "1"}), json!({"sid": "2"}));
        let (early, late) = (json!({"auth_time": 100}), json!({"auth_time": 101}));
        let none = json!({});
        for (old, new, same_host, presented, inherits) in [
            (&one, &one, true, false, true),
            (&one, &one, false, false, true),
            (&one, &two, false, false, false),
            (&one, &two, true, true, false),
            (&none, &none, false, false, true),
            (&none, &none, true, true, true),
            (&none, &none, true, false, false),
            (&one, &none, false, false, true),
            (&early, &late, false, true, false),
            (&late, &early, false, false, true),
            (&early, &early, true, false, true),
            (&none, &late, false, false, true),
        ] {
            let time = ManualClock::starting_at(Timestamp::from_unix_seconds(1_800_000_000));
            let then = time.clock().now();
            let other = Session::new(
                SessionToken::random().key(),
                identity(old),
                SignIn {
                    standing: Standing::from_bytes([7; 32]),
                    sid: None,
                    at: then.wall,
                },
                authority("a.example"),
                RouteId("a".to_owned()),
                then.deadline_after(DAY),
            );
            time.advance(DAY / 2);
            let own = time.clock().now().deadline_after(DAY);
            let host = if same_host { "a.example" } else { "b.example" };
            let newcomer = Newcomer {
                identity: &identity(new),
                authority: &authority(host),
                presented: presented.then(|| other.key()),
            };
            let end = deadline(own, &newcomer, std::iter::once(&other));
            let expected = if inherits { other.deadline() } else { own };
            assert_eq!(end, expected, "{old} {new} {same_host} {presented}");
        }
    }
}
