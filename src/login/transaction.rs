//! The pending sign-in: what has to be remembered between our redirect and the provider's answer.
//!
//! It is kept by the browser, sealed, in a cookie of its own for ten minutes: so that nothing an
//! unauthenticated client does takes our memory, and so that an answer counts only in the browser
//! that asked. Nothing here may be read without opening the seal.

use std::{fmt::Write, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};

use super::{memory::Run, return_to::ReturnTo};
use crate::{
    clock::Timestamp,
    config::route::Authority,
    identity::{ProviderName, RouteId, Standing},
    key_ring::{KeyRing, OpenError},
    secret::{Secret, digest_of},
    session::cookie,
};

/// How long a person may take at the provider.
pub const ATTEMPT_LIFETIME: Duration = Duration::from_mins(10);
/// Most attempts one browser may have under way.
const MAX_ATTEMPTS: usize = 5;
/// Most bytes that the cookies of all attempts may take together.
const MAX_COOKIE_BYTES: usize = 8 * 1024;
/// Most cookies that one answer removes: its head must not grow with what a client sends.
const MAX_REMOVALS: usize = 20;
/// What the names of these cookies begin with; eight hexadecimal digits follow.
const COOKIE_PREFIX: &str = "__Host-vestibule-login-";
/// The trail of sign-ins that came back without their session.
const TRAIL_COOKIE: &str = "__Host-vestibule-trail";
const PURPOSE: &str = "sign-in attempt";
const TRAIL_PURPOSE: &str = "sign-in trail";

/// A sign-in that was begun.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Comes back with the answer; 256 bits.
    pub state: Secret,
    /// Comes back inside the ID token; 256 bits.
    pub nonce: Secret,
    /// Proves to the token endpoint that we began it (RFC 7636).
    pub pkce_verifier: Secret,
    /// Where the person wanted to go.
    pub return_to: ReturnTo,
    /// The host it was begun on.
    pub authority: Authority,
    /// The provider it was sent to.
    pub provider: ProviderName,
    /// What that provider was then: its code is for nobody else (RFC 9700 4.4).
    pub standing: Standing,
    /// The route it was begun for.
    pub route: RouteId,
    /// When it was begun.
    pub begun_at: Timestamp,
    /// How many sign-ins right before it came back without a session.
    pub returns: u8,
    /// The process that began it: it counts where that one's memory is.
    pub run: Run,
}

/// Why an answer fits no attempt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AttemptError {
    /// It was begun more than ten minutes ago, to come back here.
    Expired(ReturnTo),
    /// Another vestibule sealed it, with which this one shares no key ring.
    Foreign,
    /// This browser holds no attempt with this state, or not one of this host.
    Unknown,
}

/// What is sealed; short names, because a cookie has little room.
#[derive(Deserialize, Serialize)]
struct Sealed {
    s: String,
    n: String,
    v: String,
    r: String,
    h: String,
    o: u16,
    i: String,
    t: String,
    b: i64,
    c: u8,
    #[serde(default)]
    p: Run,
    #[serde(default)]
    a: String,
}

impl Attempt {
    /// A new attempt with fresh secrets.
    #[must_use]
    pub fn new(
        return_to: ReturnTo,
        authority: Authority,
        provider: ProviderName,
        route: RouteId,
        begun_at: Timestamp,
        returns: u8,
    ) -> Self {
        Self {
            state: Secret::random(),
            nonce: Secret::random(),
            pkce_verifier: Secret::random(),
            return_to,
            authority,
            provider,
            route,
            begun_at,
            returns,
            run: Run::default(),
            standing: Standing::from_bytes([0; 32]),
        }
    }

    /// The same attempt, begun by `run` at a provider that stands on `standing`; without this it counts
    /// nowhere.
    #[must_use]
    pub fn of_run(self, run: Run, standing: Standing) -> Self {
        Self {
            standing,
            run,
            ..self
        }
    }

    /// Finds the attempt that `state` belongs to among the cookies of the browser that brings it.
    ///
    /// # Errors
    /// Returns [`AttemptError`] if there is none for this host, it is too old, or another vestibule
    /// sealed it.
    pub fn find(
        headers: &HeaderMap,
        state: &str,
        authority: &Authority,
        now: Timestamp,
        ring: &KeyRing,
    ) -> Result<Self, AttemptError> {
        let name = cookie_name(state);
        let mut values = cookie::pairs(headers)
            .filter(|(key, _)| *key == name.as_bytes())
            .map(|(_, value)| value);
        let value = values.next().ok_or(AttemptError::Unknown)?;
        if values.next().is_some() {
            return Err(AttemptError::Unknown);
        }
        let attempt = Self::open(value, ring).map_err(|error| match error {
            OpenError::Foreign => AttemptError::Foreign,
            OpenError::Invalid => AttemptError::Unknown,
        })?;
        if !attempt.state.matches(state) || &attempt.authority != authority {
            return Err(AttemptError::Unknown);
        }
        // A clock that was set back does not make it younger than new.
        let age = now.since(attempt.begun_at);
        if age >= ATTEMPT_LIFETIME || now < attempt.begun_at.minus(ATTEMPT_LIFETIME) {
            return Err(AttemptError::Expired(attempt.return_to));
        }
        Ok(attempt)
    }

    /// `Set-Cookie` lines that keep this attempt, and drop the oldest others if it gets too many;
    /// of very many a few each time.
    #[must_use]
    pub fn keep(&self, headers: &HeaderMap, ring: &KeyRing) -> Vec<HeaderValue> {
        let sealed = ring.seal(PURPOSE, &self.to_bytes());
        let name = cookie_name(self.state.expose());
        let seconds = ATTEMPT_LIFETIME.as_secs();
        let mut lines = vec![set_cookie(&name, sealed.expose(), seconds)];
        let mut bytes = name.len() + sealed.expose().len();
        let mut surplus = Vec::new();
        for (at, (_, other)) in pending(headers, ring).into_iter().enumerate() {
            bytes += other.bytes;
            if at + 1 >= MAX_ATTEMPTS || bytes > MAX_COOKIE_BYTES {
                surplus.push(set_cookie(&other.name, "", 0));
            }
        }
        lines.extend(surplus.into_iter().rev().take(MAX_REMOVALS));
        lines
    }

    /// `Set-Cookie` that removes this attempt from the browser.
    #[must_use]
    pub fn drop_cookie(state: &str) -> HeaderValue {
        set_cookie(&cookie_name(state), "", 0)
    }

    fn open(value: &[u8], ring: &KeyRing) -> Result<Self, OpenError> {
        let value = std::str::from_utf8(value).map_err(|_| OpenError::Invalid)?;
        let plain = ring.open_sealed(PURPOSE, value)?;
        let sealed: Sealed = serde_json::from_slice(&plain).map_err(|_| OpenError::Invalid)?;
        Ok(Self {
            state: Secret::new(sealed.s),
            nonce: Secret::new(sealed.n),
            pkce_verifier: Secret::new(sealed.v),
            return_to: ReturnTo::new(&sealed.r),
            authority: Authority {
                host: sealed.h,
                port: sealed.o,
            },
            provider: ProviderName(sealed.i),
            route: RouteId(sealed.t),
            begun_at: Timestamp::from_unix_millis(sealed.b),
            returns: sealed.c,
            run: sealed.p,
            standing: standing_of(&sealed.a),
        })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let sealed = Sealed {
            s: self.state.expose().to_owned(),
            n: self.nonce.expose().to_owned(),
            v: self.pkce_verifier.expose().to_owned(),
            r: self.return_to.as_str().to_owned(),
            h: self.authority.host.clone(),
            o: self.authority.port,
            i: self.provider.0.clone(),
            t: self.route.0.clone(),
            b: self.begun_at.unix_millis(),
            c: self.returns,
            p: self.run,
            a: BASE64_URL_SAFE_NO_PAD.encode(self.standing.as_bytes()),
        };
        serde_json::to_vec(&sealed).expect("texts and numbers are always JSON")
    }
}

/// What was written; nothing that a provider stands on if it cannot be read.
fn standing_of(text: &str) -> Standing {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
    Standing::from_bytes(bytes.try_into().unwrap_or_default())
}

/// The trail that a finished sign-in leaves for a minute: if the browser is back without a session
/// while it is fresh, the session cookie did not stay.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Trail {
    /// How many sign-ins in a row came back without a session.
    pub returns: u8,
}

#[derive(Deserialize, Serialize)]
struct SealedTrail {
    returns: u8,
    at: i64,
}

impl Trail {
    /// After so many returns a loop explains itself instead of going on.
    pub const LIMIT: u8 = 3;
    const LIFETIME: Duration = Duration::from_mins(1);

    /// The fresh trail of this browser, if there is one.
    #[must_use]
    pub fn of(headers: &HeaderMap, now: Timestamp, ring: &KeyRing) -> Option<Self> {
        let value = cookie::pairs(headers)
            .find(|(name, _)| *name == TRAIL_COOKIE.as_bytes())
            .and_then(|(_, value)| std::str::from_utf8(value).ok())?;
        let plain = ring.open_sealed(TRAIL_PURPOSE, value).ok()?;
        let sealed: SealedTrail = serde_json::from_slice(&plain).ok()?;
        let age = now.since(Timestamp::from_unix_millis(sealed.at));
        (age < Self::LIFETIME).then_some(Self {
            returns: sealed.returns,
        })
    }

    /// `Set-Cookie` that leaves the trail.
    ///
    /// # Panics
    /// Never: two numbers are always JSON.
    #[must_use]
    pub fn leave(self, now: Timestamp, ring: &KeyRing) -> HeaderValue {
        let sealed = SealedTrail {
            returns: self.returns,
            at: now.unix_millis(),
        };
        let plain = serde_json::to_vec(&sealed).expect("numbers are always JSON");
        let sealed = ring.seal(TRAIL_PURPOSE, &plain);
        set_cookie(TRAIL_COOKIE, sealed.expose(), Self::LIFETIME.as_secs())
    }

    /// `Set-Cookie` that removes it: for a person who asks to try again.
    #[must_use]
    pub fn forget() -> HeaderValue {
        set_cookie(TRAIL_COOKIE, "", 0)
    }
}

struct Pending {
    name: String,
    bytes: usize,
}

/// The attempts a browser holds, the youngest first; what cannot be opened counts as oldest.
fn pending(headers: &HeaderMap, ring: &KeyRing) -> Vec<(i64, Pending)> {
    let mut pending: Vec<_> = cookie::pairs(headers)
        .filter(|(name, _)| name.starts_with(COOKIE_PREFIX.as_bytes()))
        .take(MAX_ATTEMPTS + MAX_REMOVALS)
        .filter_map(|(name, value)| {
            let name = std::str::from_utf8(name).ok()?;
            let digits = name.strip_prefix(COOKIE_PREFIX)?;
            if digits.len() != 8 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return None;
            }
            let begun_at =
                Attempt::open(value, ring).map_or(i64::MIN, |it| it.begun_at.unix_millis());
            let bytes = name.len() + value.len();
            Some((
                begun_at,
                Pending {
                    name: name.to_owned(),
                    bytes,
                },
            ))
        })
        .collect();
    pending.sort_by_key(|(begun_at, _)| std::cmp::Reverse(*begun_at));
    pending
}

fn cookie_name(state: &str) -> String {
    let digest = digest_of(&[b"state", state.as_bytes()]);
    let mut name = String::with_capacity(COOKIE_PREFIX.len() + 8);
    name.push_str(COOKIE_PREFIX);
    for byte in &digest[..4] {
        // Writing into a string cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

fn set_cookie(name: &str, value: &str, max_age: u64) -> HeaderValue {
    let line = format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={max_age}");
    let mut line = HeaderValue::try_from(line).expect("names and base64url are visible ASCII");
    line.set_sensitive(true);
    line
}

#[cfg(test)]
mod tests {
    use http::header::COOKIE;

    use super::*;
    use crate::clock::ManualClock;

    fn authority() -> Authority {
        Authority {
            host: "wiki.example.com".to_owned(),
            port: 443,
        }
    }

    fn now() -> Timestamp {
        Timestamp::from_unix_seconds(1_800_000_000)
    }

    fn ring() -> KeyRing {
        KeyRing::in_memory(ManualClock::starting_at(now()).clock())
    }

    fn attempt(return_to: &str, begun_at: Timestamp) -> Attempt {
        let (provider, route) = (ProviderName("entra".to_owned()), RouteId("wiki".to_owned()));
        Attempt::new(
            ReturnTo::new(return_to),
            authority(),
            provider,
            route,
            begun_at,
            0,
        )
    }

    fn cookie_of(line: &HeaderValue) -> String {
        line.to_str().unwrap().split(';').next().unwrap().to_owned()
    }

    fn browser(cookies: &[String]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::try_from(cookies.join("; ")).unwrap());
        headers
    }

    #[test]
    fn an_attempt_is_found_by_its_state_in_its_browser_on_its_host_for_ten_minutes() {
        // S-177
        let ring = ring();
        let attempt = attempt("/page?x=1", now());
        let headers = browser(&[cookie_of(&attempt.keep(&HeaderMap::new(), &ring)[0])]);
        let state = attempt.state.expose();
        let find = |headers: &HeaderMap, state: &str, authority: &Authority, at| {
            Attempt::find(headers, state, authority, at, &ring)
                .map(|found| found.return_to.as_str().to_owned())
        };
        let late = now().plus(Duration::from_secs(599));
        assert_eq!(
            find(&headers, state, &authority(), late).unwrap(),
            "/page?x=1"
        );
        let too_late = Err(AttemptError::Expired(ReturnTo::new("/page?x=1")));
        assert_eq!(
            find(&headers, state, &authority(), now().plus(ATTEMPT_LIFETIME)),
            too_late
        );
        let unknown = Err(AttemptError::Unknown);
        assert_eq!(find(&HeaderMap::new(), state, &authority(), now()), unknown);
        assert_eq!(find(&headers, "", &authority(), now()), unknown);
        assert_eq!(
            find(&headers, &state.to_lowercase(), &authority(), now()),
            unknown
        );
        let elsewhere = Authority {
            host: "erp.example.com".to_owned(),
            port: 443,
        };
        assert_eq!(find(&headers, state, &elsewhere, now()), unknown);
        let other_ring = Attempt::find(&headers, state, &authority(), now(), &self::ring());
        assert!(matches!(other_ring, Err(AttemptError::Foreign)));
    }

    #[test]
    fn the_cookie_of_another_attempt_under_the_right_name_counts_as_none() {
        // S-177: the login cookie of another sign-in.
        let ring = ring();
        let (mine, other) = (attempt("/", now()), attempt("/", now()));
        let value = cookie_of(&other.keep(&HeaderMap::new(), &ring)[0]);
        let value = value.split_once('=').unwrap().1.to_owned();
        let name = cookie_name(mine.state.expose());
        let headers = browser(&[format!("{name}={value}")]);
        let found = Attempt::find(&headers, mine.state.expose(), &authority(), now(), &ring);
        assert!(matches!(found, Err(AttemptError::Unknown)));
    }

    #[test]
    fn a_browser_keeps_five_attempts_and_eight_kilobytes() {
        // S-080
        for (return_to, most) in [
            ("/short".to_owned(), 5),
            (format!("/{}", "a".repeat(2000)), 2),
        ] {
            let ring = ring();
            let mut cookies: Vec<String> = Vec::new();
            for second in 0..20 {
                let begun_at = now().plus(Duration::from_secs(second));
                for line in attempt(&return_to, begun_at).keep(&browser(&cookies), &ring) {
                    let cookie = cookie_of(&line);
                    let name = cookie.split_once('=').unwrap().0.to_owned();
                    if line.to_str().unwrap().ends_with("Max-Age=0") {
                        cookies.retain(|kept| !kept.starts_with(&name));
                    } else {
                        cookies.push(cookie);
                    }
                }
                assert!(cookies.len() <= most, "{} at {second}", cookies.len());
                assert!(cookies.iter().map(String::len).sum::<usize>() <= MAX_COOKIE_BYTES);
            }
            assert_eq!(cookies.len(), most);
        }
    }

    #[test]
    fn our_cookies_have_the_beginning_by_which_they_are_kept_from_apps() {
        for name in [COOKIE_PREFIX, TRAIL_COOKIE] {
            assert!(name.starts_with(crate::reserved::COOKIES), "{name}");
        }
    }

    #[test]
    fn an_answer_does_not_grow_with_the_cookies_that_come() {
        // S-076: a cookie bomb.
        let ring = ring();
        let bomb: Vec<_> = (0..500)
            .map(|at| format!("{COOKIE_PREFIX}{at:08x}=x"))
            .collect();
        let lines = attempt("/", now()).keep(&browser(&bomb), &ring);
        assert_eq!(lines.len(), 1 + MAX_REMOVALS);
    }

    #[test]
    fn a_trail_is_fresh_for_a_minute_and_cannot_be_forged() {
        let ring = ring();
        let line = Trail { returns: 2 }.leave(now(), &ring);
        let headers = browser(&[cookie_of(&line)]);
        assert_eq!(
            Trail::of(&headers, now(), &ring),
            Some(Trail { returns: 2 })
        );
        assert_eq!(
            Trail::of(&headers, now().plus(Duration::from_mins(1)), &ring),
            None
        );
        assert_eq!(
            Trail::of(&browser(&[format!("{TRAIL_COOKIE}=x")]), now(), &ring),
            None
        );
    }
}
