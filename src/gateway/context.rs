//! What is known about a request from its first moment: its id, when it began, who sent it.

use std::{fmt, sync::Arc};

use http::{HeaderMap, HeaderValue};

use super::{
    authenticate::Authenticated,
    client_address::Client,
    house::HouseRules,
    page_view::Waiting,
    routes::{RouteEntry, RouteTable, Site},
};
use crate::{
    clock::{Clock, Moment},
    login::Door,
    pages::{Language, PageContext},
    peer::Peer,
    secret::random_name,
    upstream::Reached,
};

/// The id of a request: 128 random bits as 32 hexadecimal digits. Ours alone; what a client sends
/// under the same name is removed.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) struct RequestId([u8; 32]);

impl RequestId {
    fn random() -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 32];
        for (byte, pair) in random_name::<16>().iter().zip(text.chunks_exact_mut(2)) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Self(text)
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    pub(super) fn header_value(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.0).expect("hexadecimal digits are visible ASCII")
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known about a request from its first moment.
pub(super) struct RequestContext {
    pub(super) id: RequestId,
    pub(super) began: Moment,
    pub(super) peer: Arc<Peer>,
    /// Who sent it, which a front may have said.
    pub(super) client: Client,
    /// The configuration it goes by, whatever is swapped meanwhile.
    pub(super) table: Arc<RouteTable>,
    /// Where it is at its app.
    pub(super) reached: Reached,
}

impl RequestContext {
    pub(super) fn new(
        peer: Arc<Peer>,
        client: Client,
        table: Arc<RouteTable>,
        clock: &Clock,
    ) -> Self {
        Self {
            id: RequestId::random(),
            began: clock.now(),
            peer,
            client,
            table,
            reached: Reached::default(),
        }
    }

    /// What holds for it whatever its route.
    pub(super) fn house(&self) -> &HouseRules {
        &self.table.house
    }

    /// What a page needs to know about this request.
    pub(super) fn page<'b>(
        &'b self,
        entry: Option<&'b RouteEntry>,
        language: Language,
    ) -> PageContext<'b> {
        PageContext {
            request_id: self.id.as_str(),
            app: entry.map(|entry| entry.route.title.as_str()),
            help: entry.map(|entry| &entry.route.help),
            time: self.began.wall,
            language,
        }
    }

    /// What the endpoints of a sign-in need to know about this request.
    pub(super) fn door<'b>(
        &'b self,
        site: &'b Site,
        entry: &'b RouteEntry,
        headers: &'b HeaderMap,
        waiting: Waiting,
        authenticated: &'b Authenticated,
    ) -> Door<'b> {
        Door {
            authority: &site.authority,
            relying_party: &site.relying_party,
            provider_title: &entry.provider_title,
            route: &entry.route.id,
            headers,
            wants_page: waiting.wants_page(),
            page: self.page(Some(entry), Language::from_accept_language(headers)),
            now: self.began,
            session_lifetime: self.house().session_lifetime,
            session: authenticated.session(),
        }
    }
}
