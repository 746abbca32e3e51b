//! A whole head: the first line, the fields, the empty line, and room for so many bytes of them.

use super::{
    HeadLimits,
    doubt::{Scanned, within},
    fields::{Fields, Framing, Section},
    start_line::StartLine,
};

/// A head under way.
#[derive(Debug)]
pub(super) struct Head {
    start: StartLine,
    /// There are none before the first line is whole.
    fields: Option<Fields>,
    most_fields: usize,
    room: usize,
}

impl Head {
    pub(super) fn new(start: StartLine, limits: HeadLimits) -> Self {
        Self {
            start,
            fields: None,
            most_fields: limits.headers,
            room: limits.head_bytes,
        }
    }

    /// Looks at bytes of the head; it ends behind the empty line.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Scanned {
        let Self {
            start,
            fields,
            most_fields,
            room,
        } = self;
        within(room, bytes, |window| {
            if let Some(fields) = fields {
                return fields.scan(window);
            }
            let Some(end) = start.scan(window)? else {
                return Ok(None);
            };
            let section = Section::Head {
                is_http_11: start.is_http_11,
            };
            let fields = fields.insert(Fields::new(section, *most_fields));
            let scanned = fields.scan(&window[end..]);
            scanned
                .map(|done| done.map(|done| end + done))
                .map_err(|offence| offence.shifted(end))
        })
    }

    pub(super) fn start(&self) -> &StartLine {
        &self.start
    }

    /// Whether it asks for another protocol behind its message (RFC 9110 7.8).
    pub(super) fn asks_to_switch(&self) -> bool {
        let asks = |fields: &Fields| fields.asks_to_switch;
        self.start.is_http_11 && self.fields.as_ref().is_some_and(asks)
    }

    pub(super) fn framing(&self) -> Framing {
        self.fields
            .as_ref()
            .map_or_else(Framing::default, |fields| fields.framing)
    }
}
