//! Finds the frames in the bytes of an HTTP/2 connection: their nine bytes of head, and where their
//! payloads end (RFC 9113 4.1). Looks at no payload, keeps nothing but the head under way.

/// The bytes a client sends before its first frame (RFC 9113 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;
/// RFC 9218 7.1.
pub(super) const PRIORITY_UPDATE: u8 = 16;

const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;

const HEAD_LENGTH: usize = 9;

/// What the head of a frame says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct FrameHead {
    /// Of the payload, padding included.
    pub(super) length: usize,
    pub(super) kind: u8,
    flags: u8,
    pub(super) stream: u32,
}

impl FrameHead {
    fn of(bytes: [u8; HEAD_LENGTH]) -> Self {
        let [a, b, c, kind, flags, stream @ ..] = bytes;
        Self {
            length: usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c),
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & 0x7fff_ffff,
        }
    }

    pub(super) fn ends_stream(self) -> bool {
        self.flags & END_STREAM != 0
    }

    pub(super) fn ends_headers(self) -> bool {
        self.flags & END_HEADERS != 0
    }

    pub(super) fn is_padded(self) -> bool {
        self.flags & PADDED != 0
    }
}

/// Where in the bytes of one direction we are.
#[derive(Debug, Default)]
pub(super) struct FrameScan {
    /// Bytes that belong to no head: of the preface, then of payloads.
    skip: usize,
    head: [u8; HEAD_LENGTH],
    /// How much of the head has come.
    have: usize,
}

impl FrameScan {
    /// For bytes that begin with the client's preface.
    pub(super) fn behind_preface() -> Self {
        Self {
            skip: PREFACE.len(),
            ..Self::default()
        }
    }

    /// Goes on to the next complete head; `bytes` is what lies behind it. `None` if the bytes end
    /// before.
    pub(super) fn next(&mut self, bytes: &mut &[u8]) -> Option<FrameHead> {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        *bytes = bytes.get(skipped..)?;
        let wanted = self.head.get_mut(self.have..)?;
        let taken = wanted.len().min(bytes.len());
        let (piece, rest) = bytes.split_at_checked(taken)?;
        wanted.get_mut(..taken)?.copy_from_slice(piece);
        *bytes = rest;
        self.have += taken;
        if self.have < HEAD_LENGTH {
            return None;
        }
        self.have = 0;
        let head = FrameHead::of(self.head);
        self.skip = head.length;
        Some(head)
    }

    /// Whether a head has begun and not come to its end.
    pub(super) fn is_in_head(&self) -> bool {
        self.have > 0
    }

    /// Whether bytes of a payload are still to come.
    pub(super) fn is_in_payload(&self) -> bool {
        self.skip > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads(scan: &mut FrameScan, mut bytes: &[u8]) -> Vec<(u8, usize, u32)> {
        std::iter::from_fn(|| scan.next(&mut bytes))
            .map(|head| (head.kind, head.length, head.stream))
            .collect()
    }

    #[test]
    fn frames_are_found_however_the_bytes_are_cut() {
        let mut bytes = PREFACE.to_vec();
        bytes.extend([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]);
        bytes.extend([
            0,
            0,
            3,
            DATA,
            END_STREAM | PADDED,
            0x80,
            0,
            0,
            5,
            1,
            b'x',
            0,
        ]);
        bytes.extend([0, 0, 4, RST_STREAM, 0, 0, 0, 1, 0, 0, 0, 0, 8]);
        let all = [(SETTINGS, 0, 0), (DATA, 3, 5), (RST_STREAM, 4, 256)];
        for piece in 1..bytes.len() {
            let mut scan = FrameScan::behind_preface();
            let found: Vec<_> = bytes
                .chunks(piece)
                .flat_map(|piece| heads(&mut scan, piece))
                .collect();
            assert_eq!(found, all, "in pieces of {piece}");
            assert!(!scan.is_in_head() && !scan.is_in_payload());
        }
    }

    #[test]
    fn what_has_begun_is_known() {
        let mut scan = FrameScan::default();
        assert!(heads(&mut scan, &[0, 0]).is_empty());
        assert!(scan.is_in_head() && !scan.is_in_payload());
        let head = scan.next(&mut &[2, DATA, END_STREAM, 0, 0, 0, 1, 7][..]);
        let head = head.unwrap();
        assert!(head.ends_stream() && !head.is_padded() && !head.ends_headers());
        assert!(!scan.is_in_head() && scan.is_in_payload());
        assert!(heads(&mut scan, &[7, 7]).is_empty());
        assert!(!scan.is_in_payload());
    }
}
