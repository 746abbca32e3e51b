//! What must be remembered of sign-ins so that none counts twice, and none brings back what has ended.
//!
//! Bounded, and all of it can be handed to the process that follows. An attempt counts only where
//! whoever has seen it used would know: at the process that began it, or at one that was handed what
//! that process remembered. So no restart makes a used state good again, with or without a hand-over.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use moka::{policy::EvictionPolicy, sync::Cache};
use serde::{Deserialize, Serialize};

use super::return_to::ReturnTo;
use crate::{
    identity::{ProviderName, ProviderSessionId},
    secret::random_bytes,
    session::SessionKey,
};

/// Bytes that used states may take in memory; each lies there for [`USED_LIFETIME`].
const MAX_USED_BYTES: u64 = 32 * 1024 * 1024;
/// About what one used state takes besides its path, in bytes.
const USED_BYTES: u32 = 128;
/// Longer than an attempt lives, so that none can be used twice.
const USED_LIFETIME: Duration = Duration::from_mins(20);
/// How long the end of a provider's session is remembered, for a sign-in of it that is under way.
const ENDED_SID_LIFETIME: Duration = Duration::from_mins(1);
const MAX_ENDED_SIDS: u64 = 100_000;
/// How many processes back an attempt may have been begun.
const MAX_PREDECESSORS: usize = 32;

/// Names the process that began an attempt; never the same twice.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Run(u64);

/// A sign-in that came to a session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Finished {
    pub(super) session: SessionKey,
    pub(super) return_to: ReturnTo,
}

/// A state that was used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Used {
    /// What its sign-in came to, if it has come to anything.
    pub(super) led_to: Option<Finished>,
}

/// What the sign-ins of one process have left behind.
pub struct Memory {
    run: Run,
    /// Whose memory this process was handed, the last one first.
    predecessors: Mutex<Vec<Run>>,
    /// Digest of a used state; where its sign-in led, once it has.
    used: Cache<[u8; 32], Option<Finished>>,
    /// Sessions at a provider that ended a moment ago.
    ended_sids: Cache<(ProviderName, ProviderSessionId), ()>,
}

/// What one process tells the next.
#[derive(Deserialize, Serialize)]
enum Note {
    EndedSid {
        provider: String,
        sid: String,
    },
    /// Everything of this one is in the notes.
    Run(Run),
    Used {
        /// 32 bytes, base64url, as are those of the session.
        digest: String,
        finished: Option<(String, String)>,
    },
}

impl Default for Memory {
    fn default() -> Self {
        // By the order of use, here as for sessions: the default policy would refuse the newest.
        let used = Cache::builder()
            .eviction_policy(EvictionPolicy::lru())
            .weigher(|_, finished: &Option<Finished>| {
                let path = finished
                    .as_ref()
                    .map_or(0, |it| it.return_to.as_str().len());
                USED_BYTES.saturating_add(u32::try_from(path).unwrap_or(u32::MAX))
            })
            .max_capacity(MAX_USED_BYTES)
            .time_to_live(USED_LIFETIME)
            .build();
        let ended_sids = Cache::builder()
            .eviction_policy(EvictionPolicy::lru())
            .max_capacity(MAX_ENDED_SIDS)
            .time_to_live(ENDED_SID_LIFETIME)
            .build();
        Self {
            run: Run(u64::from_be_bytes(random_bytes())),
            predecessors: Mutex::default(),
            used,
            ended_sids,
        }
    }
}

impl Memory {
    /// The name under which this process begins attempts.
    pub(super) fn run(&self) -> Run {
        self.run
    }

    /// Whether a used attempt of `run` would be known here.
    pub(super) fn knows(&self, run: Run) -> bool {
        run == self.run || self.predecessors().contains(&run)
    }

    /// What is known of a state, if it was used.
    pub(super) fn used(&self, state: &[u8; 32]) -> Option<Used> {
        self.used.get(state).map(|led_to| Used { led_to })
    }

    /// Marks a state as used; `false` if it was before.
    pub(super) fn use_once(&self, state: [u8; 32]) -> bool {
        self.used.entry(state).or_insert(None).is_fresh()
    }

    /// Remembers where the sign-in of a used state led.
    pub(super) fn finish(&self, state: [u8; 32], finished: Finished) {
        self.used.insert(state, Some(finished));
    }

    /// Remembers that a provider's session has ended.
    pub(super) fn end_sid(&self, provider: ProviderName, sid: ProviderSessionId) {
        self.ended_sids.insert((provider, sid), ());
    }

    /// Whether a provider's session ended a moment ago.
    pub(super) fn has_ended(&self, provider: &ProviderName, sid: &ProviderSessionId) -> bool {
        self.ended_sids
            .contains_key(&(provider.clone(), sid.clone()))
    }

    /// All of it, for the process that follows.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        let own = std::iter::once(self.run);
        let before = self.predecessors().clone();
        let runs = own.chain(before).take(MAX_PREDECESSORS).map(Note::Run);
        let ended = self.ended_sids.iter().map(|(ended, ())| Note::EndedSid {
            provider: ended.0.0.clone(),
            sid: ended.1.0.clone(),
        });
        let used = self.used.iter().map(|(state, finished)| Note::Used {
            digest: BASE64_URL_SAFE_NO_PAD.encode(*state),
            finished: finished.map(|it| {
                let session = BASE64_URL_SAFE_NO_PAD.encode(it.session.as_bytes());
                (session, it.return_to.as_str().to_owned())
            }),
        });
        runs.chain(ended)
            .chain(used)
            .filter_map(|note| serde_json::to_string(&note).ok())
    }

    /// Takes over what [`Memory::notes`] of an earlier process said. What it means is not known of a
    /// note that cannot be read: the attempts of that process do not count then.
    pub fn recall<'a>(&self, notes: impl Iterator<Item = &'a str>) {
        let mut runs = Vec::new();
        for note in notes {
            if self.recall_one(note, &mut runs).is_none() {
                tracing::warn!("what the last process remembered of sign-ins cannot be read");
                return;
            }
        }
        *self.predecessors() = runs;
    }

    fn recall_one(&self, note: &str, runs: &mut Vec<Run>) -> Option<()> {
        match serde_json::from_str(note).ok()? {
            Note::EndedSid { provider, sid } => {
                self.end_sid(ProviderName(provider), ProviderSessionId(sid));
            }
            Note::Run(run) => runs.push(run),
            Note::Used { digest, finished } => {
                let finished = match finished {
                    None => None,
                    Some((session, return_to)) => Some(Finished {
                        session: SessionKey::from_bytes(bytes(&session)?),
                        return_to: ReturnTo::new(&return_to),
                    }),
                };
                self.used.insert(bytes(&digest)?, finished);
            }
        }
        Some(())
    }

    fn predecessors(&self) -> MutexGuard<'_, Vec<Run>> {
        self.predecessors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes(text: &str) -> Option<[u8; 32]> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn following(memory: &Memory) -> Memory {
        let next = Memory::default();
        let notes: Vec<_> = memory.notes().collect();
        next.recall(notes.iter().map(String::as_str));
        next
    }

    #[test]
    fn a_used_state_stays_used_at_the_process_that_follows() {
        // S-177, S-287
        let first = Memory::default();
        let finished = Finished {
            session: SessionKey::from_bytes([7; 32]),
            return_to: ReturnTo::new("/page?x=1"),
        };
        assert!(first.use_once([1; 32]) && first.use_once([2; 32]));
        first.finish([2; 32], finished.clone());
        let second = following(&first);
        assert_eq!(second.used(&[1; 32]), Some(Used { led_to: None }));
        assert_eq!(second.used(&[2; 32]).unwrap().led_to, Some(finished));
        assert!(!second.use_once([1; 32]));
        assert!(second.use_once([3; 32]));
    }

    #[test]
    fn an_attempt_counts_only_where_its_use_would_be_known() {
        // S-177, S-287
        let first = Memory::default();
        let third = following(&following(&first));
        assert!(third.knows(first.run()) && third.knows(third.run()));
        let without = Memory::default();
        assert!(!without.knows(first.run()) && !without.knows(Run::default()));
        // A restart without a hand-over in between breaks the chain.
        assert!(!following(&without).knows(first.run()));
    }

    #[test]
    fn the_names_of_processes_do_not_pile_up() {
        let mut memory = Memory::default();
        for _ in 0..MAX_PREDECESSORS + 5 {
            memory = following(&memory);
        }
        assert_eq!(memory.notes().count(), MAX_PREDECESSORS);
    }

    #[test]
    fn a_session_that_ended_at_its_provider_is_remembered_across_a_restart() {
        let (provider, sid) = (
            ProviderName("idp".to_owned()),
            ProviderSessionId("s".to_owned()),
        );
        let first = Memory::default();
        first.end_sid(provider.clone(), sid.clone());
        assert!(following(&first).has_ended(&provider, &sid));
    }

    #[test]
    fn notes_that_cannot_be_read_make_no_attempt_good() {
        let first = Memory::default();
        let mut notes: Vec<_> = first.notes().collect();
        notes.push("{\"Used\":{\"digest\":\"short\"}}".to_owned());
        let second = Memory::default();
        second.recall(notes.iter().map(String::as_str));
        assert!(!second.knows(first.run()));
    }
}
