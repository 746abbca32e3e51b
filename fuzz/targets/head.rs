//! What a client writes on a connection, against what the apps get to see of it: S-001 to S-004.
//!
//! The bytes are read twice, by vestibule and by [`http1`]; wherever both do not read the same, or
//! what an app gets is not what was read, a promise is broken. `{session}` and `{other}` in the input
//! stand for the sessions of the two hosts.

mod said;

use self::said::{
    is_open, named_host, nominated, origin_form, session_cookies, session_cookies_in_any_spelling,
};
use super::{
    house::{self, ADMIN, APP, Call, Conversation, Heard, House, OTHER, PEER, USER},
    http1::{self, Answer, End, Field, Reading, Request, all, contains_any_case, folded},
    http2,
};

/// The cookie of a session.
const COOKIE: &[u8] = b"__Host-vestibule";

/// What a header of the routes is called once folded: by default, or on `wiki`.
const IDENTITY: &[&str] = &[
    "x_auth_name",
    "x_forwarded_email",
    "x_forwarded_groups",
    "x_forwarded_preferred_username",
    "x_forwarded_user",
    "x_remote_user",
];

/// What the app gets from us on every request, each once.
const OURS: &[&str] = &[
    "host",
    "traceparent",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
];

/// Names, folded, under which nothing that a client sends arrives.
const NEVER_FROM_A_CLIENT: &[&str] = &[
    "alt_used",
    "expect",
    "forwarded",
    "http2_settings",
    "keep_alive",
    "proxy",
    "proxy_authenticate",
    "proxy_authorization",
    "proxy_connection",
    "te",
    "trailer",
    "true_client_ip",
    "upgrade",
    "x_client_ip",
    "x_forwarded",
    "x_http_method",
    "x_http_method_override",
    "x_method_override",
    "x_original_uri",
    "x_original_url",
    "x_real_ip",
    "x_rewrite_uri",
    "x_rewrite_url",
    "x_sendfile",
];

/// Whole families of them.
const NEVER_BELOW: &[&str] = &["x_accel_", "x_forwarded_", "x_vestibule_"];

/// How many requests came how far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// To the gateway.
    pub judged: usize,
    /// To an app.
    pub forwarded: usize,
}

/// Says `input` and judges what comes of it.
///
/// # Panics
/// If a promise is broken.
pub fn check(input: &[u8]) {
    run(input);
}

/// As [`check`]; says how far the requests came.
///
/// # Panics
/// If a promise is broken.
pub fn run(input: &[u8]) -> Seen {
    house::with(|house| {
        let bytes = house.fill_in(input);
        let reading = http1::requests(&bytes);
        let is_whole = matches!(reading.end, End::Clean);
        let pieces = pieces_of(&bytes);
        let conversation = house.converse(&pieces, is_whole);
        let judge = Judge {
            house,
            reading: &reading,
            conversation: &conversation,
        };
        judge.requests();
        judge.answers();
        judge.seen()
    })
}

/// As [`run`], for one request over HTTP/2; its `Host` is said as `:authority`.
///
/// # Panics
/// If a promise is broken.
pub fn run_http2(request: &Request) -> Seen {
    house::with(|house| {
        let mut request = request.clone();
        for (_, value) in &mut request.fields {
            *value = house.fill_in(value);
        }
        let conversation = house.converse_http2(&http2::bytes_of(&request));
        // Nothing behind a `#` comes as far as anybody who could look.
        let end = request.target.iter().position(|it| *it == b'#');
        request.target.truncate(end.unwrap_or(request.target.len()));
        let reading = Reading {
            whole: vec![request],
            end: End::Clean,
        };
        let judge = Judge {
            house,
            reading: &reading,
            conversation: &conversation,
        };
        judge.requests();
        assert_eq!(
            house.panics(),
            0,
            "S-006: a request ended in a fault of ours"
        );
        judge.seen()
    })
}

/// Cuts some inputs into several writes, always the same ones: a reader must not mind where.
fn pieces_of(bytes: &[u8]) -> Vec<&[u8]> {
    let sum = bytes.iter().fold(17_u32, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u32::from(*byte))
    });
    if sum % 4 != 0 || bytes.is_empty() {
        return vec![bytes];
    }
    let size = (sum / 4) as usize % bytes.len() + 1;
    bytes.chunks(size.max(bytes.len() / 8)).collect()
}

struct Judge<'a> {
    house: &'a House,
    /// What the client said, as the second reader understands it.
    reading: &'a Reading<Request>,
    conversation: &'a Conversation,
}

impl Judge<'_> {
    fn seen(&self) -> Seen {
        Seen {
            judged: self.conversation.calls.len(),
            forwarded: self.conversation.heard.len(),
        }
    }

    fn requests(&self) {
        self.calls_are_what_was_said();
        for (at, heard) in self.conversation.heard.iter().enumerate() {
            let call = self.conversation.calls.get(heard.call);
            let call = call.expect("an app hears nothing without a call");
            let earlier = &self.conversation.heard[..at];
            assert!(
                earlier.iter().all(|it| it.call < heard.call),
                "S-003: one request, and the apps hear two, or hear them in another order: {:#?}",
                self.conversation
            );
            self.one_request(call, heard);
        }
        let calls = 0..self.conversation.calls.len();
        let let_in = calls.filter(|at| self.may_pass(*at)).count();
        assert!(
            self.conversation.connections <= let_in,
            "S-002: an app was connected to for somebody who is not let in"
        );
    }

    /// Whether there is any ground to pass this on: a public path, or a session of its host.
    fn may_pass(&self, call: usize) -> bool {
        let Some(said) = self.request(call) else {
            return false;
        };
        let host = named_host(said).unwrap_or_default();
        let target = &self.conversation.calls[call].target;
        let token = if host == APP {
            self.house.session()
        } else {
            self.house.other_session()
        };
        host == APP && is_open(&said.method, target) || session_cookies(said) == [token.as_bytes()]
    }

    /// Whatever comes to be judged was read the same way by the second reader.
    fn calls_are_what_was_said(&self) {
        for (at, call) in self.conversation.calls.iter().enumerate() {
            let Some(request) = self.request(at) else {
                panic!(
                    "S-003: the gateway was asked {call:?}, and in a second opinion that is none: {:?}",
                    self.reading.end
                );
            };
            assert_eq!(call.method, request.method, "S-003: another method");
            if let Some(target) = origin_form(&request.target) {
                assert_eq!(call.target, target, "S-004: another target");
            }
        }
    }

    /// The request behind the call of this number; the last one may be a part of one.
    fn request(&self, at: usize) -> Option<&Request> {
        let part = match &self.reading.end {
            End::InBody(part) | End::FaultInBody(part, _) => Some(part),
            _ => None,
        };
        self.reading.whole.iter().chain(part).nth(at)
    }

    fn one_request(&self, call: &Call, heard: &Heard) {
        let said = self.request(heard.call).expect("every call has one");
        let is_whole = heard.call < self.reading.whole.len();
        let read = http1::requests(&heard.bytes);
        let got = match (&read.whole[..], read.end) {
            ([one], End::Clean) => {
                assert!(
                    is_whole,
                    "S-003: an app took a part for the whole: {heard:?}"
                );
                assert_eq!(one.body, said.body, "S-003: another body");
                one.clone()
            }
            ([], End::InBody(part)) => {
                let is_broken_off = heard.closed && (!is_whole || self.is_refused(heard.call));
                assert!(is_broken_off, "S-003: a whole became a part: {heard:?}");
                assert!(said.body.starts_with(&part.body), "S-003: another body");
                part
            }
            ([], End::InHead) if heard.closed => return,
            other => panic!("S-003: an app could read this in more than one way: {other:#?}"),
        };
        is_of_one_form(&heard.bytes);
        assert_eq!(got.method, said.method, "S-003: another method");
        assert_eq!(
            got.target, call.target,
            "S-004: sent is not what was matched"
        );
        assert_ne!(heard.app, ADMIN, "S-002: nobody is let in there: {said:?}");
        let host = Self::host(said, &got);
        self.identity(said, &got, &host);
        self.cookies(said, &got);
        Self::fields(said, &got);
    }

    /// Whether the client was told that it is at fault, or nothing at all: what is readable in one
    /// way may be refused all the same.
    fn is_refused(&self, call: usize) -> bool {
        let answers = self.answers_read();
        let answer = answers.whole.get(call);
        answer.is_none_or(|it| (400..500).contains(&it.status))
    }

    /// The answers as a client of HTTP/1.1 reads them.
    fn answers_read(&self) -> Reading<Answer> {
        let Conversation { calls, said, .. } = self.conversation;
        let methods: Vec<_> = calls.iter().map(|it| it.method.clone()).collect();
        http1::answers(said, &methods)
    }

    /// The host that both readers see, which is one of ours.
    fn host(said: &Request, got: &Request) -> String {
        let host = named_host(said);
        let host = host.unwrap_or_else(|| panic!("S-003: forwarded without one host: {said:?}"));
        assert!(
            [APP, OTHER].contains(&host.as_str()),
            "S-003: no host of ours: {host}"
        );
        for name in ["host", "x-forwarded-host"] {
            assert_eq!(all(&got.fields, name), [host.as_bytes()], "S-003: {name}");
        }
        host
    }

    /// S-001, S-002: who it is from, if anybody, and nothing else that says so.
    fn identity(&self, said: &Request, got: &Request, host: &str) {
        let is_identity = |(name, _): &&Field| IDENTITY.contains(&folded(name).as_str());
        let mut told: Vec<_> = got.fields.iter().filter(is_identity).cloned().collect();
        told.sort();
        let field = |name: &str, value: &str| (name.into(), value.into());
        let (token, mut ours) = if host == APP {
            let ours = vec![field("x-remote-user", USER), field("x_auth.name", "Ann")];
            (self.house.session(), ours)
        } else {
            let ours = vec![
                field("x-forwarded-email", USER),
                field("x-forwarded-preferred-username", USER),
                field("x-forwarded-user", USER),
            ];
            (self.house.other_session(), ours)
        };
        ours.sort();
        if host == APP && is_open(&said.method, &got.target) {
            assert_eq!(told, [], "S-001: an identity on a public path");
            return;
        }
        let presented = session_cookies(said);
        assert_eq!(
            presented,
            [token.as_bytes()],
            "S-002: forwarded to a protected path without a session: {got:?}"
        );
        assert_eq!(
            told, ours,
            "S-001: another identity than that of the session"
        );
    }

    /// What is ours of the cookies is nowhere in those that arrive: not our name, and not a value
    /// that came under it.
    fn cookies(&self, said: &Request, got: &Request) {
        let ours = session_cookies_in_any_spelling(said);
        for line in all(&got.fields, "cookie") {
            let text = String::from_utf8_lossy(line);
            let has_name = contains_any_case(line, COOKIE);
            assert!(!has_name, "S-001: a cookie of ours reaches the app: {text}");
            for token in [self.house.session(), self.house.other_session()] {
                let token = token.as_bytes();
                let leaks = contains_any_case(line, token) && ours.contains(&token);
                assert!(!leaks, "S-001: a value of ours reaches the app: {text}");
            }
        }
    }

    /// Ours are there once; nothing is that was to be removed, and nothing that nobody said.
    fn fields(said: &Request, got: &Request) {
        for name in OURS {
            assert_eq!(all(&got.fields, name).len(), 1, "S-001: `{name}` once");
        }
        let peer = PEER.to_string();
        assert_eq!(all(&got.fields, "x-forwarded-for"), [peer.as_bytes()]);
        assert_eq!(all(&got.fields, "x-forwarded-proto"), [b"https"]);
        let nominated = nominated(said);
        for (name, value) in &got.fields {
            let lower = String::from_utf8_lossy(name).to_ascii_lowercase();
            let folded = folded(name);
            let is_ours = OURS.contains(&lower.as_str());
            if is_ours || IDENTITY.contains(&folded.as_str()) || is_framing(&lower, value) {
                continue;
            }
            let is_removed = NEVER_FROM_A_CLIENT.contains(&folded.as_str())
                || NEVER_BELOW.iter().any(|family| folded.starts_with(family))
                || [
                    "connection",
                    "content_length",
                    "host",
                    "transfer_encoding",
                    "x_request_id",
                ]
                .contains(&folded.as_str());
            assert!(!is_removed, "S-001: `{lower}` passed from a client");
            assert!(
                !nominated.contains(&lower),
                "S-001: `{lower}` was for one hop and took another"
            );
            // Cookies are cut and joined, a trace is continued.
            let is_rewritten = lower == "cookie";
            let was_said = said
                .fields
                .iter()
                .any(|(it, of)| it.eq_ignore_ascii_case(name) && of == value);
            assert!(
                is_rewritten || was_said,
                "S-003: nobody said `{lower}` so: {value:?}"
            );
        }
    }

    /// What the client gets can be read in one way, and nothing panicked.
    fn answers(&self) {
        let Conversation { calls, said, .. } = self.conversation;
        let answers = self.answers_read();
        let is_cut = self.conversation.under_way > 0;
        let is_clean = answers.end == End::Clean
            || is_cut && matches!(answers.end, End::InHead | End::InBody(_));
        assert!(
            is_clean,
            "S-225: the client cannot read its answers: {:?} in {:?}",
            answers.end,
            String::from_utf8_lossy(said)
        );
        let statuses: Vec<_> = answers.whole.iter().map(|it| it.status).collect();
        assert!(
            statuses.len() <= calls.len() + 1,
            "S-222: more answers than requests: {statuses:?} to {calls:?}"
        );
        let is_fault = statuses.contains(&500) || self.house.panics() > 0;
        assert!(
            !is_fault,
            "S-006: a request ended in a fault of ours: {statuses:?}"
        );
        if matches!(self.reading.end, End::Clean) {
            let is_done = self.conversation.closed || statuses.len() >= self.reading.whole.len();
            assert!(is_done, "S-222: {statuses:?} to {:#?}", self.reading.whole);
        }
    }
}

/// What the form of a forwarded request leaves to chance: nothing.
fn is_of_one_form(bytes: &[u8]) {
    let line_end = bytes.windows(2).position(|it| it == b"\r\n");
    let line = &bytes[..line_end.expect("it was read")];
    assert!(line.ends_with(b" HTTP/1.1"), "S-003: another version");
    let target = line.split(|it| *it == b' ').nth(1).unwrap_or_default();
    assert!(
        target.starts_with(b"/") || target == b"*",
        "S-218: not in origin form"
    );
}

/// `Content-Length` and `Transfer-Encoding` as the second reader has read them, and the one
/// `Connection` of ours.
fn is_framing(name: &str, value: &[u8]) -> bool {
    match name {
        "connection" => value == b"close",
        "content-length" => value.iter().all(u8::is_ascii_digit),
        "transfer-encoding" => value == b"chunked",
        _ => false,
    }
}
