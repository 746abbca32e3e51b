//! What one process leaves to the next: its sessions, and the sign-ins that must not be used again,
//! sealed into the state folder on a soft stop and read back once at start.
//!
//! A session's end never moves later by it, whatever happened to the clock in between; and nothing
//! that has ended comes back: the snapshot is removed before the first session of it counts, and one
//! that is in any way odd is none at all (S-270, S-284, S-285).

mod folder;
mod judge;
mod sealed;

use std::{
    borrow::Cow,
    fs::File,
    io::{self, BufReader, BufWriter, Seek},
    path::Path,
    sync::Arc,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

pub use self::{folder::FolderError, judge::Judge, sealed::SealedError};

use self::{
    folder::{Folder, Taken},
    sealed::{Reader, Writer},
};
use super::{
    model::{EndCause, Session, SessionKey, SignIn},
    store::{Selection, SessionStore, StoreError},
};
use crate::{
    clock::{Clock, Deadline, Moment, Timestamp, Uptime},
    config::{route::Authority, session::SessionLimits},
    identity::{ClaimRules, Identity, ProviderName, ProviderSessionId, RouteId, Standing},
    key_ring::SharedKeyRing,
    secret::Secret,
};

/// What a session may take in the file, with an ID token of two hundred groups in it twice.
const SESSION_BYTES: u64 = 32 * 1024;
/// What everything else may take.
const FURTHER_BYTES: u64 = 128 * 1024 * 1024;

/// Why there is no snapshot to go on from, or none was left.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// Nothing could be taken from the state folder, or left there.
    #[error("failed to use the state folder")]
    Folder(#[from] FolderError),
    /// The clock stands before the moment at which it was written.
    #[error("the snapshot is of {written_at}, and the clock stands at {now}")]
    Future {
        /// When it was written.
        written_at: Timestamp,
        /// What the clock says.
        now: Timestamp,
    },
    /// The key ring is in memory alone: nobody could open a snapshot.
    #[error("the key ring is not kept")]
    NoKeyRing,
    /// It is no snapshot, or not of this vestibule.
    #[error("failed to read the snapshot")]
    Sealed(#[from] SealedError),
    /// It is older than the process that was started last.
    #[error("the snapshot is not of the process before this one")]
    Stale,
    /// The store does not keep what was in it.
    #[error("failed to keep the sessions of the snapshot")]
    Store(#[from] StoreError),
}

/// How many sessions became what.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// They are in the store, or in the snapshot.
    pub kept: u64,
    /// They ended while nobody served, or there is no room for them.
    pub ended: u64,
    /// They are of a host or provider that is not there any more, or could not be read or written.
    pub refused: u64,
}

/// Where snapshots are kept, and how they are judged.
pub struct Snapshots {
    folder: Folder,
    ring: SharedKeyRing,
    clock: Clock,
    judge: Judge,
    limits: SessionLimits,
}

/// One line of a snapshot.
#[derive(Deserialize, Serialize)]
enum Line<'a> {
    Closing {
        sessions: u64,
        notes: u64,
    },
    Note(Cow<'a, str>),
    Opening {
        /// The process that wrote it.
        owner: Cow<'a, str>,
        sessions: u64,
        uptime: Option<Uptime>,
    },
    Session(Box<SealedSession<'a>>),
}

/// A session without what is made again from the rest.
#[derive(Deserialize, Serialize)]
struct SealedSession<'a> {
    /// 32 bytes, base64url.
    key: String,
    provider: Cow<'a, str>,
    /// 32 bytes, base64url.
    standing: String,
    rules: ClaimRules,
    claims: Cow<'a, str>,
    sid: Option<Cow<'a, str>>,
    host: Cow<'a, str>,
    port: u16,
    route: Cow<'a, str>,
    id_token_hint: Option<Cow<'a, str>>,
    /// Milliseconds since 1970, as is the next one.
    signed_in_at: i64,
    ends_at: i64,
    /// Milliseconds that were left by the monotonic clock.
    left: u64,
}

impl Snapshots {
    /// Snapshots in a state folder, sealed by `ring`.
    #[must_use]
    pub fn new(
        state_dir: &Path,
        ring: SharedKeyRing,
        clock: Clock,
        judge: Judge,
        limits: SessionLimits,
    ) -> Self {
        Self {
            folder: Folder::at(state_dir),
            ring,
            clock,
            judge,
            limits,
        }
    }

    /// Leaves the live sessions of `store` and `notes` to the next process. Nothing may change them
    /// any more: what ends after this would live again.
    ///
    /// # Errors
    /// Returns why none was left.
    pub fn write(
        &self,
        store: &dyn SessionStore,
        notes: impl Iterator<Item = String>,
    ) -> Result<Tally, SnapshotError> {
        if !self.ring.is_kept() {
            return Err(SnapshotError::NoKeyRing);
        }
        let mut sessions = store.select(&Selection::All)?;
        // The oldest first: if there is less room then, they are the ones to go.
        sessions.sort_by_key(|session| (session.signed_in_at(), session.key()));
        let mut tally = Tally::default();
        self.folder.put(|file| {
            let (file, written) = self.write_to(file, &sessions, notes)?;
            tally = written;
            Ok(file)
        })?;
        Ok(tally)
    }

    fn write_to(
        &self,
        file: File,
        sessions: &[Arc<Session>],
        notes: impl Iterator<Item = String>,
    ) -> io::Result<(File, Tally)> {
        let now = self.clock.now();
        let mut tally = Tally::default();
        let mut writer = Writer::begin(BufWriter::new(file), &self.ring, now.wall)?;
        writer.line(&Line::Opening {
            owner: self.folder.own().into(),
            sessions: sessions.len() as u64,
            uptime: self.clock.uptime(),
        })?;
        for session in sessions {
            if !session.is_live(now) {
                tally.ended += 1;
            } else if writer.line(&Line::Session(Box::new(sealed(session, now))))? {
                tally.kept += 1;
            } else {
                tally.refused += 1;
            }
        }
        let mut kept_notes = 0;
        for note in notes {
            kept_notes += u64::from(writer.line(&Line::Note(note.into()))?);
        }
        writer.line(&Line::Closing {
            sessions: tally.kept,
            notes: kept_notes,
        })?;
        let file = writer
            .finish()?
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        Ok((file, tally))
    }

    /// Takes the snapshot of the process before this one, once: puts its sessions into `store` and
    /// hands its notes to `note`. `None` if there is none. To be called before anything is served.
    ///
    /// # Errors
    /// Returns why nothing of it counts; nothing of it is in the store then.
    pub fn take(
        &self,
        store: &dyn SessionStore,
        note: impl FnMut(&str),
    ) -> Result<Option<Tally>, SnapshotError> {
        let most = self.limits.capacity.saturating_mul(SESSION_BYTES);
        let Some(taken) = self.folder.take(most.saturating_add(FURTHER_BYTES))? else {
            return Ok(None);
        };
        // Twice: nothing of it counts before all of it was seen to be whole.
        self.verify(&taken)?;
        let restored = self.restore(&taken, store, note);
        if restored.is_err() {
            store.end(&Selection::All, EndCause::Revoked)?;
        }
        restored.map(Some)
    }

    fn reader<'a>(
        &'a self,
        file: &'a File,
    ) -> Result<Reader<'a, BufReader<&'a File>>, SealedError> {
        let mut file = file;
        file.rewind()?;
        Reader::begin(BufReader::new(file), &self.ring)
    }

    fn verify(&self, taken: &Taken) -> Result<(), SnapshotError> {
        let mut reader = self.reader(&taken.file)?;
        let (mut sessions, mut notes, mut closing) = (0_u64, 0_u64, None);
        let mut owner = None;
        while let Some(piece) = reader.piece()? {
            for line in lines(&piece) {
                match serde_json::from_slice(line) {
                    Ok(Line::Opening { owner: own, .. }) => owner = Some(own.into_owned()),
                    Ok(Line::Note(_)) => notes += 1,
                    Ok(Line::Session(_)) => sessions += 1,
                    Ok(Line::Closing {
                        sessions: of_sessions,
                        notes: of_notes,
                    }) => closing = Some((of_sessions, of_notes)),
                    Err(_) => return Err(SealedError::Broken.into()),
                }
            }
        }
        if closing != Some((sessions, notes)) {
            return Err(SealedError::Broken.into());
        }
        if owner.as_ref() != Some(&taken.owner) {
            return Err(SnapshotError::Stale);
        }
        let (written_at, now) = (reader.written_at(), self.clock.now().wall);
        if now < written_at {
            return Err(SnapshotError::Future { written_at, now });
        }
        Ok(())
    }

    fn restore(
        &self,
        taken: &Taken,
        store: &dyn SessionStore,
        mut note: impl FnMut(&str),
    ) -> Result<Tally, SnapshotError> {
        let mut reader = self.reader(&taken.file)?;
        let mut tally = Tally::default();
        let mut passage = self.passage(reader.written_at(), None);
        let mut surplus = 0;
        while let Some(piece) = reader.piece()? {
            for line in lines(&piece) {
                match serde_json::from_slice(line).map_err(|_| SealedError::Broken)? {
                    Line::Opening {
                        sessions, uptime, ..
                    } => {
                        passage = self.passage(reader.written_at(), uptime.as_ref());
                        surplus = sessions.saturating_sub(self.limits.capacity);
                    }
                    Line::Session(_) if surplus > 0 => {
                        surplus -= 1;
                        tally.ended += 1;
                    }
                    Line::Session(sealed) => match self.opened(*sealed) {
                        None => tally.refused += 1,
                        Some(opened) => match opened.now(&passage, self.limits) {
                            None => tally.ended += 1,
                            Some(session) => {
                                store.insert(session)?;
                                tally.kept += 1;
                            }
                        },
                    },
                    Line::Note(text) => note(&text),
                    Line::Closing { .. } => {}
                }
            }
        }
        Ok(tally)
    }

    /// How long nobody served: the longer of what the wall clock and the machine's own count say, so
    /// that a clock that was set back gives nobody time.
    fn passage(&self, written_at: Timestamp, then: Option<&Uptime>) -> Passage {
        let now = self.clock.now();
        let uptime = self.clock.uptime();
        let counted = uptime.zip(then).and_then(|(now, then)| now.since(then));
        Passage {
            now,
            elapsed: now.wall.since(written_at).max(counted.unwrap_or_default()),
        }
    }

    /// Makes the parts of a session again; `None` if it is not to count any more.
    fn opened(&self, sealed: SealedSession<'_>) -> Option<Opened> {
        let key = BASE64_URL_SAFE_NO_PAD.decode(&sealed.key).ok()?;
        let key = SessionKey::from_bytes(key.try_into().ok()?);
        let authority = Authority {
            host: sealed.host.into_owned(),
            port: sealed.port,
        };
        let provider = ProviderName(sealed.provider.into_owned());
        let standing = BASE64_URL_SAFE_NO_PAD.decode(&sealed.standing).ok()?;
        let standing = Standing::from_bytes(standing.try_into().ok()?);
        if !self.judge.admits(&authority, &provider, standing) {
            return None;
        }
        let claims: Map<String, Value> = serde_json::from_str(&sealed.claims).ok()?;
        let identity = Identity::from_verified_claims(provider, sealed.rules, &claims).ok()?;
        Some(Opened {
            key,
            identity,
            sign_in: SignIn {
                standing,
                sid: sealed.sid.map(|sid| ProviderSessionId(sid.into_owned())),
                at: Timestamp::from_unix_millis(sealed.signed_in_at),
            },
            authority,
            route: RouteId(sealed.route.into_owned()),
            id_token_hint: sealed
                .id_token_hint
                .map(|hint| Secret::new(hint.into_owned())),
            ends_at: Timestamp::from_unix_millis(sealed.ends_at),
            left: Duration::from_millis(sealed.left),
        })
    }
}

/// The time between two processes.
struct Passage {
    now: Moment,
    elapsed: Duration,
}

/// A session that was read, before its end is judged.
struct Opened {
    key: SessionKey,
    identity: Identity,
    sign_in: SignIn,
    authority: Authority,
    route: RouteId,
    id_token_hint: Option<Secret>,
    ends_at: Timestamp,
    left: Duration,
}

impl Opened {
    /// The session as it is now, if it has not ended: by the wall clock where it always was, or
    /// earlier if the longest lifetime has been shortened; by the monotonic clock what is left.
    fn now(self, passage: &Passage, limits: SessionLimits) -> Option<Session> {
        let now = passage.now;
        let lifetime = limits.max.duration();
        let left = self.left.min(lifetime).checked_sub(passage.elapsed)?;
        let deadline = Deadline {
            wall: self.ends_at.min(self.sign_in.at.plus(lifetime)),
            monotonic: now.monotonic.saturating_add(left),
        };
        if deadline.has_passed(now) {
            return None;
        }
        let session = Session::new(
            self.key,
            self.identity,
            self.sign_in,
            self.authority,
            self.route,
            deadline,
        );
        Some(match self.id_token_hint {
            Some(hint) => session.with_id_token_hint(hint),
            None => session,
        })
    }
}

fn sealed(session: &Session, now: Moment) -> SealedSession<'_> {
    let identity = session.identity();
    let left = session.deadline().monotonic.saturating_sub(now.monotonic);
    SealedSession {
        key: BASE64_URL_SAFE_NO_PAD.encode(session.key().as_bytes()),
        provider: identity.provider().0.as_str().into(),
        standing: BASE64_URL_SAFE_NO_PAD.encode(session.standing().as_bytes()),
        rules: identity.rules(),
        claims: identity.claims().into(),
        sid: session.sid().map(|sid| sid.0.as_str().into()),
        host: session.authority().host.as_str().into(),
        port: session.authority().port,
        route: session.route().0.as_str().into(),
        id_token_hint: session.id_token_hint().map(|hint| hint.expose().into()),
        signed_in_at: session.signed_in_at().unix_millis(),
        ends_at: session.deadline().wall.unix_millis(),
        left: u64::try_from(left.as_millis()).unwrap_or(0),
    }
}

/// The lines of a piece; JSON itself has no line feed.
fn lines(piece: &[u8]) -> impl Iterator<Item = &[u8]> {
    piece
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
}
