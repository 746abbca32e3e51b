//! What became of a request, in one word.

/// What was decided about a request; the word in log and metric.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decision {
    /// Forwarded with an identity.
    Allow,
    /// Signed in, but not let in.
    Forbid,
    /// Nobody was left to answer.
    Left,
    /// Needs a sign-in: redirected, or told so.
    Login,
    /// Answered by vestibule itself, below its own prefix.
    Own,
    /// Forwarded without an identity, by a public rule.
    Public,
    /// Not a request that can be answered: malformed, for another host, of a refused method.
    Refuse,
    /// Could not be answered because of a fault, ours or the app's.
    Unavailable,
}

impl Decision {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Allow,
        Self::Forbid,
        Self::Left,
        Self::Login,
        Self::Own,
        Self::Public,
        Self::Refuse,
        Self::Unavailable,
    ];

    /// The word in log and metric.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Forbid => "forbid",
            Self::Left => "left",
            Self::Login => "login",
            Self::Own => "own",
            Self::Public => "public",
            Self::Refuse => "refuse",
            Self::Unavailable => "unavailable",
        }
    }
}
