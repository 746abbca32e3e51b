//! How the exchange of a request ended, in one word.

/// How an exchange ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    /// Before the answer was whole, and why; one of the code's own words.
    Cut(&'static str),
    /// With the whole answer handed to the connection.
    Whole,
}

impl Ended {
    /// The connection or the stream was over first: the client left, took nothing of its answer, or
    /// the grace of a stop ran out.
    pub const CLIENT_LEFT: Self = Self::Cut("client_left");

    /// The word in log and metric.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Cut(reason) => reason,
            Self::Whole => "whole",
        }
    }
}
