//! What the tenant remembers: registrations, keys, browser sessions, codes. In memory and bounded.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::{
    clock::{Deadline, Moment},
    demo::text::random_guid,
    secret::{Secret, random_bytes},
};

use super::{
    fault::Fault,
    keys::KeyRing,
    registration::{Client, Person},
};

/// A code is good for this long, once.
const CODE_LIFETIME: Duration = Duration::from_mins(10);
/// As after "stay signed in": this long after its last use (`entra.md` 0).
const SESSION_IDLE: Duration = Duration::from_hours(90 * 24);
/// How many sessions, and how many codes, are kept; beyond that the one that ends first goes.
const CAPACITY: usize = 1000;

/// Everything that changes.
pub(super) struct State {
    pub(super) clients: Vec<Client>,
    pub(super) people: Vec<Person>,
    pub(super) keys: KeyRing,
    /// How far before its making a token says it was issued.
    pub(super) backdating: Duration,
    sessions: HashMap<String, BrowserSession>,
    codes: HashMap<String, Issued>,
}

/// A browser in which somebody is signed in at the tenant.
#[derive(Clone, Debug)]
pub(super) struct BrowserSession {
    /// The `sid` of every token of this session, and its `session_state`.
    pub(super) sid: String,
    pub(super) person_id: String,
    /// The clients signed in to, whose front-channel addresses are called at the end.
    pub(super) client_ids: BTreeSet<String>,
    until: Deadline,
}

/// What a code stands for.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) person_id: String,
    pub(super) sid: String,
    pub(super) scopes: Vec<String>,
    pub(super) nonce: Option<String>,
    /// Base64url of the SHA-256 digest of the verifier.
    pub(super) code_challenge: Option<String>,
}

struct Issued {
    grant: Grant,
    until: Deadline,
    used: bool,
}

impl State {
    pub(super) fn new(clients: Vec<Client>, people: Vec<Person>, keys: KeyRing) -> Self {
        Self {
            clients,
            people,
            keys,
            backdating: Duration::ZERO,
            sessions: HashMap::new(),
            codes: HashMap::new(),
        }
    }

    pub(super) fn client(&self, client_id: &str) -> Option<&Client> {
        self.clients.iter().find(|it| it.client_id == client_id)
    }

    pub(super) fn person(&self, id: &str) -> Option<&Person> {
        self.people.iter().find(|it| it.id == id)
    }

    /// Signs a person in; the value for the browser's cookie comes back.
    pub(super) fn open_session(&mut self, person_id: &str, now: Moment) -> Secret {
        make_room(&mut self.sessions, now, |session| session.until);
        let cookie = Secret::random();
        let session = BrowserSession {
            sid: random_guid(),
            person_id: person_id.to_owned(),
            client_ids: BTreeSet::new(),
            until: now.deadline_after(SESSION_IDLE),
        };
        self.sessions.insert(cookie.expose().to_owned(), session);
        cookie
    }

    /// The session behind a cookie, if it is still good; using it prolongs it.
    pub(super) fn session(&mut self, cookie: &str, now: Moment) -> Option<&mut BrowserSession> {
        if self.sessions.get(cookie)?.until.has_passed(now) {
            self.sessions.remove(cookie);
        }
        let session = self.sessions.get_mut(cookie)?;
        session.until = now.deadline_after(SESSION_IDLE);
        Some(session)
    }

    pub(super) fn close_session(&mut self, cookie: &str) -> Option<BrowserSession> {
        self.sessions.remove(cookie)
    }

    /// Makes a code, longer than a kilobyte, as codes commonly are.
    pub(super) fn issue_code(&mut self, grant: Grant, now: Moment) -> String {
        make_room(&mut self.codes, now, |issued| issued.until);
        let code = format!("1.{}", BASE64_URL_SAFE_NO_PAD.encode(random_bytes::<900>()));
        let issued = Issued {
            grant,
            until: now.deadline_after(CODE_LIFETIME),
            used: false,
        };
        self.codes.insert(code.clone(), issued);
        code
    }

    /// Takes a code in; it is spent from here on, whatever becomes of the request.
    pub(super) fn redeem_code(&mut self, code: &str, now: Moment) -> Result<Grant, Fault> {
        match self.codes.get_mut(code) {
            None => Err(Fault::invalid_grant(70_000, "The code is not valid.")),
            Some(issued) if issued.until.has_passed(now) => {
                Err(Fault::invalid_grant(70_008, "The code has expired."))
            }
            Some(issued) if issued.used => Err(Fault::invalid_grant(
                54_005,
                "The code was already redeemed; ask for a new one.",
            )),
            Some(issued) => {
                issued.used = true;
                Ok(issued.grant.clone())
            }
        }
    }
}

/// Lets go of what has ended once there is no room left, and then of what ends first.
fn make_room<T>(kept: &mut HashMap<String, T>, now: Moment, until: impl Fn(&T) -> Deadline) {
    if kept.len() < CAPACITY {
        return;
    }
    kept.retain(|_, value| !until(value).has_passed(now));
    while kept.len() >= CAPACITY {
        let first = kept
            .iter()
            .min_by_key(|(_, value)| until(value).wall)
            .map(|(key, _)| key.clone());
        let Some(first) = first else { return };
        kept.remove(&first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, Timestamp};

    fn state() -> State {
        State::new(Vec::new(), Person::three(), KeyRing::initial().unwrap())
    }

    fn grant() -> Grant {
        Grant {
            client_id: "client".to_owned(),
            redirect_uri: "https://wiki.example/cb".to_owned(),
            person_id: Person::ann().id,
            sid: random_guid(),
            scopes: vec!["openid".to_owned()],
            nonce: None,
            code_challenge: None,
        }
    }

    #[test]
    fn a_code_is_long_and_good_once_for_ten_minutes() {
        let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_800_000_000)).clock();
        let mut state = state();
        let now = clock.now();
        let code = state.issue_code(grant(), now);
        assert!(code.len() > 1024);
        assert!(state.redeem_code(&code, now).is_ok());
        assert_eq!(state.redeem_code(&code, now).unwrap_err().code, 54_005);

        let manual = ManualClock::starting_at(now.wall);
        let late = state.issue_code(grant(), manual.clock().now());
        manual.advance(CODE_LIFETIME);
        let refused = state.redeem_code(&late, manual.clock().now());
        assert_eq!(refused.unwrap_err().code, 70_008);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let manual = ManualClock::starting_at(Timestamp::from_unix_seconds(1_800_000_000));
        let mut state = state();
        let first = state.open_session(&Person::ann().id, manual.clock().now());
        manual.advance(Duration::from_secs(1));
        let now = manual.clock().now();
        for _ in 0..CAPACITY {
            state.open_session(&Person::zoe().id, now);
            state.issue_code(grant(), now);
        }
        assert_eq!(state.sessions.len(), CAPACITY);
        assert_eq!(state.codes.len(), CAPACITY);
        assert!(state.session(first.expose(), now).is_none());
    }
}
