//! What is wrong with a message, in one word each.

use http::StatusCode;
use thiserror::Error;

/// Why a message is refused before anybody acts on it.
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
pub enum HeadFault {
    /// A length beside a transfer coding, two lengths, or one that is no number (RFC 9112 6.3).
    #[error("the length of the body can be read in more than one way")]
    AmbiguousLength,
    /// A chunk outside the grammar (RFC 9112 7.1).
    #[error("a chunk of the body is malformed")]
    Chunk,
    /// The head did not come to its end in time.
    #[error("the head did not come to its end in time")]
    Late,
    /// A line that does not end in CR LF, or more than one empty line before the head (RFC 9112 2.2).
    #[error("a line of the head ends in a way that can be read differently")]
    LineEnd,
    /// A field line outside the grammar: folded, without a colon, with control bytes (RFC 9112 5).
    #[error("a field of the head is malformed")]
    MalformedField,
    /// A method outside the grammar, or longer than any (RFC 9110 9.1).
    #[error("the method is malformed")]
    MalformedMethod,
    /// A request line or status line outside the grammar (RFC 9112 3, 4).
    #[error("the first line of the head is malformed")]
    MalformedStart,
    /// A target with bytes that no target has (RFC 9112 3.2).
    #[error("the request target is malformed")]
    MalformedTarget,
    /// Bytes of an answer that nobody asked for.
    #[error("bytes came that belong to no answer")]
    Surplus,
    /// A target longer than we take.
    #[error("the request target is too long")]
    TargetTooLong,
    /// More bytes of head than we take.
    #[error("the head is too large")]
    TooLarge,
    /// More fields than we take.
    #[error("the head has too many fields")]
    TooManyFields,
    /// A transfer coding other than `chunked` alone, or one in HTTP/1.0 (RFC 9112 6.1).
    #[error("the body has a transfer coding that is not read")]
    TransferCoding,
    /// Another version than HTTP/1.0 or HTTP/1.1 (RFC 9112 2.3).
    #[error("the version of HTTP is not one that is spoken")]
    Version,
}

impl HeadFault {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::AmbiguousLength,
        Self::Chunk,
        Self::Late,
        Self::LineEnd,
        Self::MalformedField,
        Self::MalformedMethod,
        Self::MalformedStart,
        Self::MalformedTarget,
        Self::Surplus,
        Self::TargetTooLong,
        Self::TooLarge,
        Self::TooManyFields,
        Self::TransferCoding,
        Self::Version,
    ];

    /// One stable word for logs, metrics and machine-readable answers.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::AmbiguousLength => "ambiguous_length",
            Self::Chunk => "malformed_chunk",
            Self::Late => "head_timeout",
            Self::LineEnd => "ambiguous_line_end",
            Self::MalformedField => "malformed_field",
            Self::MalformedMethod => "malformed_method",
            Self::MalformedStart => "malformed_start_line",
            Self::MalformedTarget => "malformed_target",
            Self::Surplus => "surplus_bytes",
            Self::TargetTooLong => "target_too_long",
            Self::TooLarge => "head_too_large",
            Self::TooManyFields => "too_many_fields",
            Self::TransferCoding => "unknown_transfer_coding",
            Self::Version => "unknown_version",
        }
    }

    /// Which limit it went beyond, for whoever set it.
    #[must_use]
    pub fn detail(self) -> Option<&'static str> {
        Some(match self {
            Self::Late => "the head did not come to its end within [limits] head_timeout",
            Self::TargetTooLong => "the address is longer than [limits] target_bytes allows",
            Self::TooLarge => "the head is larger than [limits] head_bytes allows",
            Self::TooManyFields => "the head has more fields than [limits] headers allows",
            _ => return None,
        })
    }

    /// Whether nothing is wrong but that there is too much of it.
    #[must_use]
    pub fn is_of_size(self) -> bool {
        matches!(
            self,
            Self::TargetTooLong | Self::TooLarge | Self::TooManyFields
        )
    }

    /// Whether it is one behind a head that was let through.
    #[must_use]
    pub fn is_in_body(self) -> bool {
        matches!(self, Self::Chunk)
    }

    /// The status of a client's request with this fault (RFC 9110 15.5, RFC 6585 5).
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Late => StatusCode::REQUEST_TIMEOUT,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::TooLarge | Self::TooManyFields => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::AmbiguousLength
            | Self::Chunk
            | Self::LineEnd
            | Self::MalformedField
            | Self::MalformedMethod
            | Self::MalformedStart
            | Self::MalformedTarget
            | Self::Surplus
            | Self::TransferCoding => StatusCode::BAD_REQUEST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::words::{assert_explained, variants_in};

    #[test]
    fn every_fault_is_listed_and_explained() {
        let listed = HeadFault::ALL.map(|fault| format!("{fault:?}"));
        let known = variants_in(include_str!("fault.rs"), "HeadFault", "reason");
        assert_eq!(listed.as_slice(), known);
        assert_explained(HeadFault::ALL.map(HeadFault::reason));
    }
}
