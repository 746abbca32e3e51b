//! The key ring: seals what a browser carries for us and what one process leaves to the next, and
//! signs the tokens of our forms.
//!
//! The ring lies in the state folder (mode 0600 in a folder of mode 0700), so that a sign-in under
//! way survives a restart. Whatever cannot be opened is one error without detail; nothing here may
//! tell why, or print a key.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, Aad, Nonce, RandomizedNonceKey},
    hkdf, hmac,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    clock::{Clock, Timestamp},
    secret::{Secret, random_bytes},
};

/// A key older than this is followed by a new one at the next start.
const ROTATE_AFTER: Duration = Duration::from_hours(30 * 24);
/// How long what an older key sealed is still accepted; nothing sealed lives longer.
const OLD_KEY_GRACE: Duration = Duration::from_hours(1);
const FILE_NAME: &str = "keyring.json";
/// How long the nonce of something sealed is.
pub const NONCE_BYTES: usize = 12;

/// Why a sealed text was not opened.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum OpenError {
    /// Another ring sealed it: there are two vestibules that do not share a store.
    #[error("sealed by the key ring of another vestibule")]
    Foreign,
    /// Altered, made for another purpose, or sealed by a key that is gone.
    #[error("not sealed by this key ring for this purpose")]
    Invalid,
}

/// The ring could not be kept in the state folder; keys in memory serve until the process ends.
#[derive(Debug, Error)]
pub enum KeyRingError {
    /// The folder or file could not be read or written.
    #[error("failed to keep the key ring at {}", .0.display())]
    Io(PathBuf, #[source] io::Error),
    /// The file is there but is no key ring. It is left as it is; what is in it is not quoted.
    #[error("failed to read the key ring at {}: it is no key ring from line {line} on", .path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// From one.
        line: usize,
    },
    /// A new key could not be written; the old ones serve on.
    #[error("failed to add a key to the key ring at {}", .0.display())]
    Rotate(PathBuf, #[source] io::Error),
}

/// What the file holds.
#[derive(Clone, Deserialize, Serialize)]
struct RingFile {
    /// Eight hexadecimal digits that tell rings apart.
    id: String,
    keys: Vec<KeyRecord>,
}

#[derive(Clone, Deserialize, Serialize)]
struct KeyRecord {
    created_at: i64,
    /// 32 bytes, base64url.
    key: String,
}

struct Ring {
    id: [u8; 4],
    /// The newest first; it alone seals.
    keys: Vec<Key>,
}

struct Key {
    created_at: Timestamp,
    seal: RandomizedNonceKey,
    sign: hmac::Key,
    /// For files: what a browser brings is never opened with it.
    store: RandomizedNonceKey,
}

/// Keys that seal and sign; behind one swap, so that they can be changed while requests use them.
pub struct KeyRing {
    ring: ArcSwap<Ring>,
    clock: Clock,
    is_kept: bool,
}

impl KeyRing {
    /// Reads the ring of a state folder, or makes one there.
    ///
    /// The error, if there is one, says why the ring is in memory alone: sign-ins under way are then
    /// lost at a restart, nothing else.
    #[must_use]
    pub fn open(state_dir: &Path, clock: Clock) -> (Self, Option<KeyRingError>) {
        let now = clock.now().wall;
        let (ring, error, is_kept) = match kept_in(state_dir, now) {
            Ok((ring, error)) => (ring, error, true),
            Err(error) => (Ring::in_memory(now), Some(error), false),
        };
        (
            Self {
                ring: ArcSwap::from_pointee(ring),
                clock,
                is_kept,
            },
            error,
        )
    }

    /// A ring that lives as long as the process.
    #[must_use]
    pub fn in_memory(clock: Clock) -> Self {
        let ring = Ring::in_memory(clock.now().wall);
        Self {
            ring: ArcSwap::from_pointee(ring),
            clock,
            is_kept: false,
        }
    }

    /// Whether it lies in the state folder, so that the next process has it as well.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// What tells it from other rings.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        self.ring.load().id
    }

    /// Encrypts and authenticates a piece of a file in place; it opens for the same `bound` alone.
    /// Returns the nonce, which has to be kept with it.
    ///
    /// # Panics
    /// If `plain` is longer than 64 GiB, which nobody has in memory at once.
    #[must_use]
    pub fn seal_piece(&self, bound: &[u8], plain: &mut Vec<u8>) -> [u8; NONCE_BYTES] {
        let nonce = self.ring.load().keys[0]
            .store
            .seal_in_place_append_tag(Aad::from(bound), plain)
            .expect("AES-GCM-SIV seals anything shorter than 64 GiB");
        *nonce.as_ref()
    }

    /// Opens what [`KeyRing::seal_piece`] made.
    ///
    /// # Errors
    /// Returns [`OpenError::Invalid`] if it is not what was sealed, or was sealed for something else.
    pub fn open_piece(
        &self,
        bound: &[u8],
        nonce: [u8; NONCE_BYTES],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let ring = self.ring.load();
        for key in ring.accepted(self.clock.now().wall) {
            let nonce = Nonce::assume_unique_for_key(nonce);
            let mut piece = Zeroizing::new(sealed.to_vec());
            let opened = key.store.open_in_place(nonce, Aad::from(bound), &mut piece);
            if let Ok(length) = opened.map(|plain| plain.len()) {
                piece.truncate(length);
                return Ok(piece);
            }
        }
        Err(OpenError::Invalid)
    }

    /// Encrypts and authenticates `plain` for `purpose`, as base64url.
    ///
    /// # Panics
    /// If `plain` is longer than 64 GiB, which nothing that fits a cookie is.
    #[must_use]
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> Secret {
        let ring = self.ring.load();
        let mut sealed = plain.to_vec();
        let nonce = ring.keys[0]
            .seal
            .seal_in_place_append_tag(Aad::from(purpose.as_bytes()), &mut sealed)
            .expect("AES-GCM-SIV seals anything shorter than 64 GiB");
        let mut whole = Vec::with_capacity(ring.id.len() + NONCE_BYTES + sealed.len());
        whole.extend_from_slice(&ring.id);
        whole.extend_from_slice(nonce.as_ref());
        whole.extend_from_slice(&sealed);
        Secret::new(BASE64_URL_SAFE_NO_PAD.encode(whole))
    }

    /// Opens what [`KeyRing::seal`] made for the same purpose.
    ///
    /// # Errors
    /// Returns [`OpenError::Foreign`] if it carries another ring's id, else [`OpenError::Invalid`].
    pub fn open_sealed(&self, purpose: &str, sealed: &str) -> Result<Vec<u8>, OpenError> {
        let whole = BASE64_URL_SAFE_NO_PAD
            .decode(sealed)
            .map_err(|_| OpenError::Invalid)?;
        let ring = self.ring.load();
        let (id, rest) = whole
            .split_at_checked(ring.id.len())
            .ok_or(OpenError::Invalid)?;
        let (nonce, body) = rest
            .split_at_checked(NONCE_BYTES)
            .ok_or(OpenError::Invalid)?;
        if id != ring.id {
            return Err(OpenError::Foreign);
        }
        for key in ring.accepted(self.clock.now().wall) {
            let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| OpenError::Invalid)?;
            let mut body = body.to_vec();
            if let Ok(plain) =
                key.seal
                    .open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut body)
            {
                return Ok(plain.to_vec());
            }
        }
        Err(OpenError::Invalid)
    }

    /// A token that only this ring can make for `purpose` and `subject`: for forms.
    #[must_use]
    pub fn sign(&self, purpose: &str, subject: &[u8]) -> Secret {
        let ring = self.ring.load();
        let tag = hmac::sign(&ring.keys[0].sign, &signed(purpose, subject));
        Secret::new(BASE64_URL_SAFE_NO_PAD.encode(tag))
    }

    /// Whether `token` is what [`KeyRing::sign`] makes, or made with a key of the last hour.
    #[must_use]
    pub fn is_signed(&self, purpose: &str, subject: &[u8], token: &str) -> bool {
        let Ok(tag) = BASE64_URL_SAFE_NO_PAD.decode(token) else {
            return false;
        };
        let ring = self.ring.load();
        let message = signed(purpose, subject);
        ring.accepted(self.clock.now().wall)
            .any(|key| hmac::verify(&key.sign, &message, &tag).is_ok())
    }
}

/// Purpose and subject with a border between them that neither can move (S-047).
fn signed(purpose: &str, subject: &[u8]) -> [u8; 32] {
    crate::secret::digest_of(&[purpose.as_bytes(), subject])
}

impl Ring {
    fn in_memory(now: Timestamp) -> Self {
        Self {
            id: random_bytes(),
            keys: vec![Key::new(random_bytes(), now)],
        }
    }

    /// The newest key, and older ones while what they sealed may still be under way.
    fn accepted(&self, now: Timestamp) -> impl Iterator<Item = &Key> {
        let newest_at = self.keys.first().map_or(now, |newest| newest.created_at);
        let old_too = now < newest_at.plus(OLD_KEY_GRACE);
        self.keys
            .iter()
            .enumerate()
            .filter(move |(at, _)| *at == 0 || old_too)
            .map(|(_, key)| key)
    }

    fn from_file(file: &RingFile) -> Option<Self> {
        let id = u32::from_str_radix(&file.id, 16).ok()?.to_be_bytes();
        let keys = file
            .keys
            .iter()
            .map(|record| {
                let bytes = BASE64_URL_SAFE_NO_PAD.decode(&record.key).ok()?;
                let bytes = <[u8; 32]>::try_from(bytes).ok()?;
                Some(Key::new(
                    bytes,
                    Timestamp::from_unix_seconds(record.created_at),
                ))
            })
            .collect::<Option<Vec<_>>>()?;
        (!keys.is_empty()).then_some(Self { id, keys })
    }
}

impl Key {
    /// Three independent keys, one for each use, from 32 bytes (RFC 5869).
    fn new(bytes: [u8; 32], created_at: Timestamp) -> Self {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"vestibule key ring").extract(&bytes);
        let sealing = |label| {
            RandomizedNonceKey::new(&AES_256_GCM_SIV, &derive(&root, label))
                .expect("the key is as long as AES-256 wants it")
        };
        let sign = hmac::Key::new(hmac::HMAC_SHA256, &derive(&root, b"sign"));
        Self {
            created_at,
            seal: sealing(b"seal"),
            sign,
            store: sealing(b"store"),
        }
    }
}

fn derive(root: &hkdf::Prk, label: &[u8]) -> [u8; 32] {
    let mut derived = [0; 32];
    root.expand(&[label], hkdf::HKDF_SHA256)
        .and_then(|key| key.fill(&mut derived))
        .expect("HKDF gives as many bytes as its own digest has");
    derived
}

/// Reads the ring, makes one if there is none, adds a key if the newest is old; writes what changed.
/// A ring that can be read but not added to serves as it is.
fn kept_in(state_dir: &Path, now: Timestamp) -> Result<(Ring, Option<KeyRingError>), KeyRingError> {
    let path = state_dir.join(FILE_NAME);
    let fail = |error| KeyRingError::Io(path.clone(), error);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state_dir)
        .map_err(fail)?;
    let Some(mut file) = read(&path)? else {
        let id = u32::from_be_bytes(random_bytes());
        let id = format!("{id:08x}");
        let keys = vec![KeyRecord::new(now)];
        let file = RingFile { id, keys };
        write(&path, &file).map_err(fail)?;
        let ring = Ring::from_file(&file).ok_or_else(|| malformed(&path, 1))?;
        return Ok((ring, None));
    };
    let ring = Ring::from_file(&file).ok_or_else(|| malformed(&path, 1))?;
    if now < ring.keys[0].created_at.plus(ROTATE_AFTER) {
        return Ok((ring, None));
    }
    file.keys.insert(0, KeyRecord::new(now));
    file.keys.truncate(2);
    match write(&path, &file) {
        Ok(()) => Ring::from_file(&file)
            .map(|ring| (ring, None))
            .ok_or_else(|| malformed(&path, 1)),
        Err(error) => Ok((ring, Some(KeyRingError::Rotate(path, error)))),
    }
}

fn read(path: &Path) -> Result<Option<RingFile>, KeyRingError> {
    if let Ok(metadata) = fs::metadata(path)
        && metadata.permissions().mode() & 0o077 != 0
    {
        tracing::warn!(
            path = %path.display(),
            "others could read the key ring; it is closed to them now, but keys they may have seen \
             are still in use: delete it to have new ones made"
        );
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))
            .map_err(|error| KeyRingError::Io(path.to_owned(), error))?;
    }
    match fs::read_to_string(path) {
        // The parser's own words would quote what is in the file.
        Ok(text) => serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| malformed(path, error.line())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(KeyRingError::Io(path.to_owned(), error)),
    }
}

fn malformed(path: &Path, line: usize) -> KeyRingError {
    KeyRingError::Parse {
        path: path.to_owned(),
        line,
    }
}

impl KeyRecord {
    fn new(now: Timestamp) -> Self {
        Self {
            created_at: now.unix_seconds(),
            key: BASE64_URL_SAFE_NO_PAD.encode(random_bytes::<32>()),
        }
    }
}

/// Replaces the file in one step, so that a crash leaves the old or the new one.
fn write(path: &Path, file: &RingFile) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut output = new_file(&beside)?;
    output.write_all(&serde_json::to_vec_pretty(file)?)?;
    output.sync_all()?;
    fs::rename(&beside, path)
}

/// A file that was not there, and that nobody else may open: of whatever lay in its place, a link or
/// what an earlier process left, nothing is written to.
pub(crate) fn new_file(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path)
}

/// The ring as every part shares it.
pub type SharedKeyRing = Arc<KeyRing>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn clock() -> ManualClock {
        ManualClock::starting_at(Timestamp::from_unix_seconds(1_800_000_000))
    }

    #[test]
    fn nothing_is_written_through_a_link_that_lies_in_its_place() {
        let state = tempfile::tempdir().unwrap();
        let victim = state.path().join("victim");
        fs::write(&victim, "somebody's").unwrap();
        std::os::unix::fs::symlink(&victim, state.path().join("keyring.new")).unwrap();
        let (_, fault) = KeyRing::open(state.path(), clock().clock());
        assert!(fault.is_none(), "{fault:?}");
        assert_eq!(fs::read(&victim).unwrap(), b"somebody's");
        let ring = fs::symlink_metadata(state.path().join(FILE_NAME)).unwrap();
        assert!(ring.is_file());
        assert_eq!(ring.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_sealed_opens_for_the_same_purpose_only() {
        // S-060
        let ring = KeyRing::in_memory(clock().clock());
        let sealed = ring.seal("attempt", b"state");
        assert_eq!(
            ring.open_sealed("attempt", sealed.expose()).unwrap(),
            b"state"
        );
        assert_eq!(
            ring.open_sealed("trail", sealed.expose()),
            Err(OpenError::Invalid)
        );
    }

    #[test]
    fn every_flipped_bit_is_noticed_and_no_nonce_comes_twice() {
        // S-048
        let ring = KeyRing::in_memory(clock().clock());
        let sealed = ring.seal("attempt", b"state");
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(sealed.expose()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut altered = bytes.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            let altered = BASE64_URL_SAFE_NO_PAD.encode(altered);
            assert!(ring.open_sealed("attempt", &altered).is_err(), "bit {bit}");
        }
        assert_ne!(sealed.expose(), ring.seal("attempt", b"state").expose());
        for odd in ["", "A", "AAAA", "AAAAAAAAAAAAAAAAAAAAAAAA", "\u{e4}"] {
            assert!(ring.open_sealed("attempt", odd).is_err(), "{odd:?}");
        }
    }

    #[test]
    fn a_piece_of_a_file_opens_for_what_it_is_bound_to_and_for_nothing_else() {
        // S-048, S-060
        let (ours, theirs) = (
            KeyRing::in_memory(clock().clock()),
            KeyRing::in_memory(clock().clock()),
        );
        let mut piece = b"sessions".to_vec();
        let nonce = ours.seal_piece(b"first", &mut piece);
        assert_eq!(
            *ours.open_piece(b"first", nonce, &piece).unwrap(),
            b"sessions"
        );
        assert!(ours.open_piece(b"second", nonce, &piece).is_err());
        assert!(theirs.open_piece(b"first", nonce, &piece).is_err());
        for bit in 0..piece.len() * 8 {
            let mut altered = piece.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(
                ours.open_piece(b"first", nonce, &altered).is_err(),
                "bit {bit}"
            );
        }
        assert!(ours.open_piece(b"first", nonce, b"").is_err());
        // What a browser brings is sealed by another key, whatever the words around it.
        let sealed = BASE64_URL_SAFE_NO_PAD
            .decode(ours.seal("first", b"x").expose())
            .unwrap();
        let (nonce, body) = sealed[4..].split_first_chunk().unwrap();
        assert!(ours.open_piece(b"first", *nonce, body).is_err());
    }

    #[test]
    fn another_ring_is_told_apart_from_an_altered_text() {
        let (ours, theirs) = (
            KeyRing::in_memory(clock().clock()),
            KeyRing::in_memory(clock().clock()),
        );
        let sealed = theirs.seal("attempt", b"state");
        assert_eq!(
            ours.open_sealed("attempt", sealed.expose()),
            Err(OpenError::Foreign)
        );
    }

    #[test]
    fn the_ring_survives_a_restart_in_a_folder_only_its_owner_reads() {
        let state = tempfile::tempdir().unwrap();
        let folder = state.path().join("state");
        let (first, error) = KeyRing::open(&folder, clock().clock());
        assert!(error.is_none(), "{error:?}");
        let sealed = first.seal("attempt", b"state");
        let (second, _) = KeyRing::open(&folder, clock().clock());
        assert_eq!(
            second.open_sealed("attempt", sealed.expose()).unwrap(),
            b"state"
        );
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode(&folder), mode(&folder.join(FILE_NAME))),
            (0o700, 0o600)
        );
    }

    #[test]
    fn an_old_key_is_followed_by_a_new_one_and_accepted_for_an_hour() {
        let state = tempfile::tempdir().unwrap();
        let manual = clock();
        let (first, _) = KeyRing::open(state.path(), manual.clock());
        manual.advance(ROTATE_AFTER);
        let sealed = first.seal("attempt", b"state");
        let token = first.sign("logout", b"session");
        let (second, _) = KeyRing::open(state.path(), manual.clock());
        assert!(second.open_sealed("attempt", sealed.expose()).is_ok());
        assert!(second.is_signed("logout", b"session", token.expose()));
        manual.advance(OLD_KEY_GRACE);
        assert!(second.open_sealed("attempt", sealed.expose()).is_err());
        assert!(!second.is_signed("logout", b"session", token.expose()));
    }

    #[test]
    fn a_ring_that_others_can_read_is_closed_to_them() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join(FILE_NAME);
        let _ = KeyRing::open(state.path(), clock().clock());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        let (_, error) = KeyRing::open(state.path(), clock().clock());
        assert!(error.is_none());
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn a_broken_ring_is_left_as_it_is_and_keys_in_memory_serve() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join(FILE_NAME);
        fs::write(&path, "{").unwrap();
        let (ring, error) = KeyRing::open(state.path(), clock().clock());
        assert!(matches!(error, Some(KeyRingError::Parse { line: 1, .. })));
        assert!(ring.open_sealed("a", ring.seal("a", b"b").expose()).is_ok());
        assert_eq!(fs::read_to_string(&path).unwrap(), "{");
    }

    #[test]
    fn a_ring_that_cannot_be_added_to_serves_as_it_is() {
        let state = tempfile::tempdir().unwrap();
        let manual = clock();
        let (first, _) = KeyRing::open(state.path(), manual.clock());
        let sealed = first.seal("attempt", b"state");
        manual.advance(ROTATE_AFTER);
        // A folder in the place of the file to be written: works for every user, root as well.
        fs::create_dir(state.path().join("keyring.new")).unwrap();
        let (second, error) = KeyRing::open(state.path(), manual.clock());
        assert!(matches!(error, Some(KeyRingError::Rotate(..))));
        assert_eq!(
            second.open_sealed("attempt", sealed.expose()).unwrap(),
            b"state"
        );
    }

    #[test]
    fn what_is_in_a_broken_ring_is_not_quoted() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join(FILE_NAME);
        fs::write(&path, r#"{"id": "00000000", "keys": "c2VjcmV0"}"#).unwrap();
        let (_, error) = KeyRing::open(state.path(), clock().clock());
        let text = crate::telemetry::chain(&error.unwrap());
        assert!(
            !text.contains("c2VjcmV0") && text.contains("line 1"),
            "{text}"
        );
    }

    #[test]
    fn a_form_token_counts_for_its_purpose_and_subject_only() {
        let ring = KeyRing::in_memory(clock().clock());
        let token = ring.sign("logout", b"session");
        assert!(ring.is_signed("logout", b"session", token.expose()));
        assert!(!ring.is_signed("logouts", b"ession", token.expose()));
        assert!(!ring.is_signed("logout", b"other", token.expose()));
        assert!(!ring.is_signed("logout", b"session", ""));
    }
}
