//! The form of a snapshot on disk: a head that says what it is, then pieces, each sealed by itself.
//!
//! Each piece is bound to the head, to its number and to whether it is the last one (the STREAM
//! construction of Hoang, Reyhanitabar, Rogaway and Vizár, 2015), so that none can be altered, moved,
//! left out or added, and never more than one is held. Knows nothing of what the lines in it say.

use std::io::{self, Read, Write};

use serde::Serialize;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    clock::Timestamp,
    key_ring::{KeyRing, NONCE_BYTES},
    secret::random_bytes,
};

/// What the file begins with.
const MAGIC: [u8; 8] = *b"vestsess";
/// Another form is another number; none but this one is read.
const VERSION: u32 = 1;
/// A piece that has come to so many bytes is sealed.
const PIECE_BYTES: usize = 256 * 1024;
/// The longest line that is written: an ID token is far shorter.
const MAX_LINE_BYTES: usize = 2 * 1024 * 1024;
/// The longest sealed piece that is read.
const MAX_PIECE_BYTES: usize = PIECE_BYTES + MAX_LINE_BYTES + 1024;
const PURPOSE: &[u8] = b"session snapshot";
const HEAD_BYTES: usize = 40;

/// Why a file is no snapshot of ours.
#[derive(Debug, Error)]
pub enum SealedError {
    /// It was altered, ends early, or goes on after its end.
    #[error("it was altered, or is not whole")]
    Broken,
    /// The key ring is another one.
    #[error("it was sealed by the key ring of another vestibule")]
    Foreign,
    /// It could not be read.
    #[error("it could not be read")]
    Io(#[from] io::Error),
    /// It is something else altogether.
    #[error("it is no snapshot")]
    Unknown,
    /// A vestibule of another version wrote it.
    #[error("its form is that of another version ({0})")]
    Version(u32),
}

/// A snapshot that is being written; without [`Writer::finish`] it is none.
pub(super) struct Writer<'a, W> {
    output: W,
    ring: &'a KeyRing,
    head: [u8; HEAD_BYTES],
    number: u64,
    piece: Zeroizing<Vec<u8>>,
}

impl<'a, W: Write> Writer<'a, W> {
    pub(super) fn begin(
        mut output: W,
        ring: &'a KeyRing,
        written_at: Timestamp,
    ) -> io::Result<Self> {
        let head = head(ring.id(), random_bytes(), written_at);
        output.write_all(&head)?;
        Ok(Self {
            output,
            ring,
            head,
            number: 0,
            piece: Zeroizing::new(Vec::with_capacity(PIECE_BYTES * 2)),
        })
    }

    /// Adds a line; `false` if it is too long to be kept.
    pub(super) fn line(&mut self, line: &impl Serialize) -> io::Result<bool> {
        let before = self.piece.len();
        serde_json::to_writer(&mut *self.piece, line)?;
        if self.piece.len() - before > MAX_LINE_BYTES {
            self.piece.truncate(before);
            return Ok(false);
        }
        self.piece.push(b'\n');
        if self.piece.len() >= PIECE_BYTES {
            self.seal(false)?;
        }
        Ok(true)
    }

    /// Writes the end, without which nothing before it counts.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        self.output.flush()?;
        Ok(self.output)
    }

    fn seal(&mut self, is_last: bool) -> io::Result<()> {
        let bound = bound(&self.head, self.number, is_last);
        let nonce = self.ring.seal_piece(&bound, &mut self.piece);
        let length = u32::try_from(self.piece.len()).map_err(io::Error::other)?;
        self.output.write_all(&[u8::from(is_last)])?;
        self.output.write_all(&length.to_be_bytes())?;
        self.output.write_all(&nonce)?;
        self.output.write_all(&self.piece)?;
        self.piece.clear();
        self.number += 1;
        Ok(())
    }
}

/// A snapshot that is being read, piece by piece.
pub(super) struct Reader<'a, R> {
    input: R,
    ring: &'a KeyRing,
    head: [u8; HEAD_BYTES],
    number: u64,
    is_over: bool,
}

impl<'a, R: Read> Reader<'a, R> {
    /// Reads the head. What it says of the time is not to be believed before a piece has opened.
    pub(super) fn begin(mut input: R, ring: &'a KeyRing) -> Result<Self, SealedError> {
        let mut head = [0; HEAD_BYTES];
        input.read_exact(&mut head).map_err(|error| match error {
            error if error.kind() == io::ErrorKind::UnexpectedEof => SealedError::Unknown,
            error => error.into(),
        })?;
        let (magic, rest) = head.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(SealedError::Unknown);
        }
        let version = u32::from_be_bytes([rest[0], rest[1], rest[2], rest[3]]);
        if version != VERSION {
            return Err(SealedError::Version(version));
        }
        if rest[4..8] != ring.id() {
            return Err(SealedError::Foreign);
        }
        Ok(Self {
            input,
            ring,
            head,
            number: 0,
            is_over: false,
        })
    }

    /// When it was begun to be written.
    pub(super) fn written_at(&self) -> Timestamp {
        let mut millis = [0; 8];
        millis.copy_from_slice(&self.head[HEAD_BYTES - 8..]);
        Timestamp::from_unix_millis(i64::from_be_bytes(millis))
    }

    /// The lines of the next piece; `None` at the end, which was seen to be one.
    pub(super) fn piece(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, SealedError> {
        if self.is_over {
            return Ok(None);
        }
        let mut prefix = [0; 1 + 4 + NONCE_BYTES];
        self.fill(&mut prefix)?;
        let is_last = prefix[0] == 1;
        let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]);
        let length = usize::try_from(length).map_err(|_| SealedError::Broken)?;
        if prefix[0] > 1 || length > MAX_PIECE_BYTES {
            return Err(SealedError::Broken);
        }
        let mut sealed = vec![0; length];
        self.fill(&mut sealed)?;
        let mut nonce = [0; NONCE_BYTES];
        nonce.copy_from_slice(&prefix[5..]);
        let bound = bound(&self.head, self.number, is_last);
        let piece = self.ring.open_piece(&bound, nonce, &sealed);
        let piece = piece.map_err(|_| SealedError::Broken)?;
        self.number += 1;
        if is_last {
            self.is_over = true;
            if self.input.read(&mut [0])? != 0 {
                return Err(SealedError::Broken);
            }
        }
        Ok(Some(piece))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), SealedError> {
        self.input.read_exact(bytes).map_err(|error| match error {
            error if error.kind() == io::ErrorKind::UnexpectedEof => SealedError::Broken,
            error => error.into(),
        })
    }
}

fn head(ring: [u8; 4], id: [u8; 16], written_at: Timestamp) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..8].copy_from_slice(&MAGIC);
    head[8..12].copy_from_slice(&VERSION.to_be_bytes());
    head[12..16].copy_from_slice(&ring);
    head[16..32].copy_from_slice(&id);
    head[32..].copy_from_slice(&written_at.unix_millis().to_be_bytes());
    head
}

fn bound(head: &[u8; HEAD_BYTES], number: u64, is_last: bool) -> Vec<u8> {
    let mut bound = Vec::with_capacity(PURPOSE.len() + HEAD_BYTES + 9);
    bound.extend_from_slice(PURPOSE);
    bound.extend_from_slice(head);
    bound.extend_from_slice(&number.to_be_bytes());
    bound.push(u8::from(is_last));
    bound
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    fn ring() -> KeyRing {
        KeyRing::in_memory(Clock::system())
    }

    fn at() -> Timestamp {
        Timestamp::from_unix_millis(1_800_000_000_123)
    }

    /// Three pieces: two that are full and a last one.
    fn written(ring: &KeyRing) -> Vec<u8> {
        let mut writer = Writer::begin(Vec::new(), ring, at()).unwrap();
        for letter in ["a", "b", "c"] {
            let length = if letter == "c" { 10 } else { PIECE_BYTES };
            assert!(writer.line(&letter.repeat(length)).unwrap());
        }
        writer.finish().unwrap()
    }

    fn read(ring: &KeyRing, bytes: &[u8]) -> Result<Vec<u8>, SealedError> {
        let mut reader = Reader::begin(bytes, ring)?;
        assert_eq!(reader.written_at(), at());
        let mut first_letters = Vec::new();
        while let Some(piece) = reader.piece()? {
            first_letters.extend(piece.get(1));
        }
        Ok(first_letters)
    }

    /// Where each piece begins, and the end.
    fn borders(bytes: &[u8]) -> Vec<usize> {
        let mut borders = vec![HEAD_BYTES];
        while let Some(rest) = bytes
            .get(borders[borders.len() - 1]..)
            .filter(|it| !it.is_empty())
        {
            let length = u32::from_be_bytes(rest[1..5].try_into().unwrap());
            let prefix = 5 + NONCE_BYTES;
            let end = borders[borders.len() - 1] + prefix + usize::try_from(length).unwrap();
            borders.push(end);
        }
        borders
    }

    #[test]
    fn what_was_written_is_read_in_pieces() {
        let ring = ring();
        let bytes = written(&ring);
        assert_eq!(borders(&bytes).len(), 4);
        assert_eq!(read(&ring, &bytes).unwrap(), b"abc");
    }

    #[test]
    fn a_snapshot_that_ends_anywhere_but_at_its_end_is_none() {
        // S-284
        let ring = ring();
        let bytes = written(&ring);
        let borders = borders(&bytes);
        let near = |border: &usize| border.saturating_sub(2)..(border + 20).min(bytes.len());
        for end in (0..64).chain(borders.iter().flat_map(near)) {
            if end < bytes.len() {
                assert!(read(&ring, &bytes[..end]).is_err(), "{end}");
            }
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(read(&ring, &longer).is_err());
        longer.pop();
        longer.extend_from_slice(&bytes[HEAD_BYTES..]);
        assert!(read(&ring, &longer).is_err());
    }

    #[test]
    fn pieces_can_be_neither_altered_moved_nor_left_out() {
        // S-283, S-284
        let ring = ring();
        let bytes = written(&ring);
        let at = borders(&bytes);
        let piece = |number: usize| &bytes[at[number]..at[number + 1]];
        let head = &bytes[..HEAD_BYTES];
        for odd in [
            [head, piece(1), piece(0), piece(2)].concat(),
            [head, piece(0), piece(2)].concat(),
            [head, piece(2)].concat(),
            [head, piece(0), piece(0), piece(1), piece(2)].concat(),
        ] {
            assert!(matches!(read(&ring, &odd), Err(SealedError::Broken)));
        }
        // Of the same ring, of the same moment, and still another snapshot.
        let other = written(&ring);
        let odd = [head, &other[at[0]..at[1]], piece(1), piece(2)].concat();
        assert!(matches!(read(&ring, &odd), Err(SealedError::Broken)));
        for byte in (16..96).chain(at.iter().copied().filter(|it| *it < bytes.len())) {
            let mut odd = bytes.clone();
            odd[byte] ^= 1;
            let mut reader = Reader::begin(odd.as_slice(), &ring).unwrap();
            let mut all = || -> Result<(), SealedError> {
                while reader.piece()?.is_some() {}
                Ok(())
            };
            assert!(all().is_err(), "byte {byte}");
        }
    }

    #[test]
    fn what_was_written_by_others_is_told_apart() {
        // S-284
        let ring = ring();
        let bytes = written(&ring);
        let other = KeyRing::in_memory(Clock::system());
        assert!(matches!(read(&other, &bytes), Err(SealedError::Foreign)));
        let mut newer = bytes.clone();
        newer[11] = 2;
        assert!(matches!(read(&ring, &newer), Err(SealedError::Version(2))));
        for odd in [&b""[..], b"{}", &[0; 4096]] {
            assert!(matches!(read(&ring, odd), Err(SealedError::Unknown)));
        }
    }

    #[test]
    fn a_length_that_no_piece_has_reserves_no_memory() {
        // S-284
        let ring = ring();
        let mut bytes = written(&ring);
        bytes[HEAD_BYTES + 1..HEAD_BYTES + 5].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(matches!(read(&ring, &bytes), Err(SealedError::Broken)));
    }

    #[test]
    fn a_line_that_is_too_long_is_left_out() {
        let ring = ring();
        let mut writer = Writer::begin(Vec::new(), &ring, at()).unwrap();
        assert!(!writer.line(&"x".repeat(MAX_LINE_BYTES)).unwrap());
        assert!(writer.line(&"y".repeat(MAX_LINE_BYTES - 2)).unwrap());
        assert_eq!(read(&ring, &writer.finish().unwrap()).unwrap(), b"y");
    }
}
