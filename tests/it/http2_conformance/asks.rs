//! Field blocks of requests, good ones and bad ones.

use crate::support::h2_frames::plain;

/// Field blocks of requests to the apps of the bed.
pub(super) struct Asks {
    /// `HOST:PORT`.
    pub(super) authority: String,
    /// The cookie of a session: whatever is refused is not refused for want of one.
    pub(super) cookie: String,
}

/// Stands for the authority in a list of fields.
pub(super) const HERE: &[u8] = b"(here)";

impl Asks {
    /// A request that is answered at once, with an empty body.
    pub(super) fn good(&self) -> Vec<u8> {
        self.to(b"GET", b"/")
    }

    /// The head of a request that may have a body; answered once it is whole.
    pub(super) fn post(&self) -> Vec<u8> {
        self.to(b"POST", b"/")
    }

    /// A request that is never answered.
    pub(super) fn held(&self) -> Vec<u8> {
        self.to(b"GET", b"/held/a")
    }

    pub(super) fn to(&self, method: &[u8], path: &[u8]) -> Vec<u8> {
        self.of(&[
            (b":method", method),
            (b":scheme", b"https"),
            (b":authority", HERE),
            (b":path", path),
            self.session(),
        ])
    }

    /// The field by which a request is let in.
    pub(super) fn session(&self) -> (&[u8], &[u8]) {
        (b"cookie", self.cookie.as_bytes())
    }

    /// A list of fields as it is given.
    pub(super) fn of(&self, fields: &[(&[u8], &[u8])]) -> Vec<u8> {
        let fields = fields.iter().map(|(name, value)| match *value {
            HERE => (*name, self.authority.as_bytes()),
            value => (*name, value),
        });
        fields
            .flat_map(|(name, value)| plain(name, value))
            .collect()
    }

    /// A request that no app may see: its pseudo-header fields, a mark, and further fields.
    pub(super) fn bad(&self, pseudo: &[(&[u8], &[u8])], fields: &[(&[u8], &[u8])]) -> Vec<u8> {
        let session = self.of(&[self.session()]);
        [self.of(pseudo), self.marked(), session, self.of(fields)].concat()
    }

    /// A good request with a mark and further fields, that no app may see for their sake.
    pub(super) fn with(&self, fields: &[(&[u8], &[u8])]) -> Vec<u8> {
        [self.good(), self.marked(), self.of(fields)].concat()
    }

    /// The field that no app may see.
    pub(super) fn marked(&self) -> Vec<u8> {
        self.of(&[(MARK.as_bytes(), b"1")])
    }
}

/// The name of the field that marks a request as malformed.
pub(super) const MARK: &str = "x-malformed";
