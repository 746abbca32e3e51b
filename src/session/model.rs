//! A session: a person who has signed in, on one host, through one provider, until a fixed instant.
//!
//! Nothing in this module may change when a session ends, but to end it now.

use std::{
    any::Any,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::{
    clock::{Deadline, Moment, Timestamp},
    config::route::Authority,
    identity::{Identity, ProviderSessionId, RouteId, Standing},
    secret::{Secret, random_bytes},
};

/// What a browser holds: 32 random bytes as 43 characters of base64url.
#[derive(Clone, Debug)]
pub struct SessionToken(Secret);

impl SessionToken {
    /// A new one; nobody has ever seen it.
    #[must_use]
    pub fn random() -> Self {
        Self(Secret::new(
            BASE64_URL_SAFE_NO_PAD.encode(random_bytes::<32>()),
        ))
    }

    /// The characters, for the cookie.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// The name under which the store knows it.
    #[must_use]
    pub fn key(&self) -> SessionKey {
        // What `random` encodes always decodes; a foreign text never reaches this type.
        SessionKey::of_cookie_value(self.expose().as_bytes()).unwrap_or(SessionKey([0; 32]))
    }
}

/// The SHA-256 of a session token's 32 bytes: all that the store knows, so that whoever reads the
/// store cannot come in with it.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SessionKey([u8; 32]);

impl SessionKey {
    /// The key of a cookie value, if it is exactly 43 characters of canonical base64url.
    #[must_use]
    pub fn of_cookie_value(value: &[u8]) -> Option<Self> {
        if value.len() != 43 {
            return None;
        }
        let mut token = [0; 32];
        let length = BASE64_URL_SAFE_NO_PAD
            .decode_slice(value, &mut token)
            .ok()?;
        if length != token.len() {
            return None;
        }
        let mut key = [0; 32];
        key.copy_from_slice(digest::digest(&digest::SHA256, &token).as_ref());
        Some(Self(key))
    }

    /// The key that [`SessionKey::as_bytes`] gave the bytes of.
    #[must_use]
    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for deriving what hangs on the session.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The first eight bytes, enough to tell sessions apart in a log and no use to an attacker.
impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(")?;
        for byte in &self.0[..8] {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}

/// Why a session ended; the word in log and metric.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum EndCause {
    /// The store was full and this one had not been used for longest.
    Evicted = 1,
    /// Its fixed end came.
    Expired = 2,
    /// The person had too many.
    Limit = 3,
    /// The same browser signed in anew.
    Replaced = 4,
    /// An administrator, or the provider, ended it.
    Revoked = 5,
    /// The person signed out.
    SignedOut = 6,
}

impl EndCause {
    /// All causes, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::Evicted,
        Self::Expired,
        Self::Limit,
        Self::Replaced,
        Self::Revoked,
        Self::SignedOut,
    ];

    /// The word in log and metric.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Evicted => "evicted",
            Self::Expired => "expired",
            Self::Limit => "limit",
            Self::Replaced => "replaced",
            Self::Revoked => "revoked",
            Self::SignedOut => "signed_out",
        }
    }
}

/// What a route made of a session once, to be used for every further request of it.
///
/// The gateway decides what that is; the session only keeps it as long as itself. `generation`
/// names the set of routes it was made from, so that a reload makes it void.
#[derive(Clone)]
pub struct RouteView {
    /// The route it was made for.
    pub route: RouteId,
    /// The generation of the route table it was made from.
    pub generation: u64,
    /// Whether it lets the person in.
    pub lets_in: bool,
    /// What the gateway made.
    pub view: Arc<dyn Any + Send + Sync>,
}

/// The sign-in that a session comes from.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// What the provider was then.
    pub standing: Standing,
    /// The provider's own session: the token's `sid`, or what the provider said beside it.
    pub sid: Option<ProviderSessionId>,
    /// When it was.
    pub at: Timestamp,
}

/// A person who has signed in, on one host, through one provider, until a fixed instant.
pub struct Session {
    key: SessionKey,
    identity: Identity,
    authority: Authority,
    route: RouteId,
    sign_in: SignIn,
    id_token_hint: Option<Secret>,
    deadline: Deadline,
    /// Zero while it lives, else the [`EndCause`]; written once.
    ended: AtomicU8,
    views: ArcSwap<Vec<RouteView>>,
}

impl Session {
    /// A session of `identity` on `authority`, begun at `route`, that ends at `deadline`.
    #[must_use]
    pub fn new(
        key: SessionKey,
        identity: Identity,
        sign_in: SignIn,
        authority: Authority,
        route: RouteId,
        deadline: Deadline,
    ) -> Self {
        Self {
            key,
            identity,
            authority,
            route,
            sign_in,
            id_token_hint: None,
            deadline,
            ended: AtomicU8::new(0),
            views: ArcSwap::from_pointee(Vec::new()),
        }
    }

    /// The same session with the ID token that a provider wants back at sign-out.
    #[must_use]
    pub fn with_id_token_hint(self, hint: Secret) -> Self {
        Self {
            id_token_hint: Some(hint),
            ..self
        }
    }

    /// The name under which the store knows it.
    #[must_use]
    pub fn key(&self) -> SessionKey {
        self.key
    }

    /// Whose it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The one host it counts on.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The route at which it began.
    #[must_use]
    pub fn route(&self) -> &RouteId {
        &self.route
    }

    /// The provider's own session it came from.
    #[must_use]
    pub fn sid(&self) -> Option<&ProviderSessionId> {
        self.sign_in.sid.as_ref()
    }

    /// The ID token that the provider wants back at sign-out, where it was kept.
    #[must_use]
    pub fn id_token_hint(&self) -> Option<&Secret> {
        self.id_token_hint.as_ref()
    }

    /// When the person signed in.
    #[must_use]
    pub fn signed_in_at(&self) -> Timestamp {
        self.sign_in.at
    }

    /// What the provider was when the person signed in.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.sign_in.standing
    }

    /// When it ends, whatever happens.
    #[must_use]
    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Whether it counts now. **This read is the rule**; a cache's own expiry only frees memory.
    ///
    /// A session seen past its end is marked ended, so that it stays so when the clock goes back.
    #[must_use]
    pub fn is_live(&self, now: Moment) -> bool {
        if self.ended.load(Ordering::Acquire) != 0 {
            return false;
        }
        if self.deadline.has_passed(now) {
            self.end(EndCause::Expired);
            return false;
        }
        true
    }

    /// How long it counts from now on, by whichever clock is nearer to the end; zero if it does not.
    #[must_use]
    pub fn remaining(&self, now: Moment) -> Duration {
        if self.is_live(now) {
            self.deadline.remaining(now)
        } else {
            Duration::ZERO
        }
    }

    /// Ends it now; `true` if it had not ended before. The first cause stays.
    pub fn end(&self, cause: EndCause) -> bool {
        self.ended
            .compare_exchange(0, cause as u8, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Why it ended, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<EndCause> {
        let ended = self.ended.load(Ordering::Acquire);
        EndCause::ALL
            .into_iter()
            .find(|cause| *cause as u8 == ended)
    }

    /// Whether it lets its person in at `route` and was asked for there, or it began there.
    #[must_use]
    pub fn has_used(&self, route: &RouteId) -> bool {
        &self.route == route
            || self
                .views
                .load()
                .iter()
                .any(|view| view.lets_in && &view.route == route)
    }

    /// What was made for `route` from the route table of `generation`, if it was.
    #[must_use]
    pub fn view(&self, route: &RouteId, generation: u64) -> Option<Arc<dyn Any + Send + Sync>> {
        let views = self.views.load();
        let view = views
            .iter()
            .find(|it| it.generation == generation && &it.route == route)?;
        Some(Arc::clone(&view.view))
    }

    /// Keeps what was made for a route; what was made before for the same route is dropped.
    pub fn keep_view(&self, view: &RouteView) {
        self.views.rcu(|views| {
            let mut kept: Vec<_> = views
                .iter()
                .filter(|it| it.route != view.route)
                .cloned()
                .collect();
            kept.push(view.clone());
            kept
        });
    }
}

/// Names key and person; what a session holds is nobody's business.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("key", &self.key)
            .field("person", self.identity.person())
            .field("deadline", &self.deadline.wall)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_digest_alone() {
        let token = SessionToken::random();
        assert_eq!(
            Some(token.key()),
            SessionKey::of_cookie_value(token.expose().as_bytes())
        );
        assert!(!format!("{:?}{token:?}", token.key()).contains(token.expose()));
    }

    #[test]
    fn only_the_canonical_spelling_of_a_token_is_one() {
        // S-050: the last of 43 characters carries four bits; any other low bits are a forgery.
        let token = SessionToken::random();
        for odd in [
            "",
            "=",
            "\"",
            &"A".repeat(4096),
            &"A".repeat(42),
            &"A".repeat(44),
        ] {
            assert!(
                SessionKey::of_cookie_value(odd.as_bytes()).is_none(),
                "{odd:?}"
            );
        }
        let other_spelling = format!("{}B", "A".repeat(42));
        assert!(SessionKey::of_cookie_value(other_spelling.as_bytes()).is_none());
        assert!(SessionKey::of_cookie_value(format!("{}+", "A".repeat(42)).as_bytes()).is_none());
        assert!(SessionKey::of_cookie_value(token.expose().as_bytes()).is_some());
    }
}
