//! Who a request says came in: the whole of what these apps know about sign-in.

use bytes::Bytes;
use http::{HeaderName, Request};

use crate::demo::text::percent_decoded;

use super::AppSettings;

/// What the headers said, decoded for showing.
pub(super) struct Visitor {
    /// The user name, if the header was there.
    pub(super) user: Option<String>,
    name: Option<String>,
}

impl Visitor {
    pub(super) fn of(settings: &AppSettings, request: &Request<Bytes>) -> Self {
        let value = |name: &HeaderName| {
            let value = request.headers().get(name)?;
            Some(percent_decoded(&String::from_utf8_lossy(value.as_bytes())))
        };
        Self {
            user: value(&settings.user_header),
            name: settings.name_header.as_ref().and_then(value),
        }
    }

    /// What to call them: the display name, else the user name.
    pub(super) fn shown(&self) -> Option<&str> {
        self.name.as_deref().or(self.user.as_deref())
    }
}
