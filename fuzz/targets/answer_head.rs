//! What an app writes as its answer, against what the client gets to see of it (S-225, S-232).
//!
//! The first line of the input says how it is asked: `HEAD` or GET, with a `session` or on a public
//! path, and whether the app will `close` the connection. The rest are the app's bytes. A second
//! request follows on the client's connection: whatever the app said, its answer is its own.

use super::{
    house::{self, Conversation, House, Script},
    http1::{self, Answer, End, Field, all, contains_any_case, folded},
};

/// Names, folded, that are no app's to say.
const NEVER_FROM_AN_APP: &[&str] = &[
    "alt_svc",
    "http2_settings",
    "keep_alive",
    "proxy_authenticate",
    "proxy_authorization",
    "proxy_connection",
    "server",
    "te",
    "trailer",
    "upgrade",
    "via",
    "x_auth_name",
    "x_remote_user",
];

/// Has an app answer with `input` and judges what the client gets.
///
/// # Panics
/// If a promise is broken.
pub fn check(input: &[u8]) {
    let end = input.iter().position(|it| *it == b'\n');
    let (how, bytes) = match end {
        Some(at) => (&input[..at], &input[at + 1..]),
        None => (input, &b""[..]),
    };
    let is_said = |word: &[u8]| how.windows(word.len()).any(|it| it == word);
    let asked = Asked {
        method: if is_said(b"HEAD") { b"HEAD" } else { b"GET" },
        with_session: is_said(b"session"),
    };
    let script = Script {
        bytes: bytes.to_vec(),
        closes: is_said(b"close"),
    };
    house::with(|house| {
        let said = asked.requests(house);
        let conversation = house.converse_about(script.clone(), &said);
        asked.judge(&script, &conversation);
        assert_eq!(
            house.panics(),
            0,
            "S-006: a request ended in a fault of ours"
        );
    });
}

struct Asked {
    method: &'static [u8],
    with_session: bool,
}

impl Asked {
    fn requests(&self, house: &House) -> Vec<u8> {
        let method = String::from_utf8_lossy(self.method);
        let session = house.session();
        let first = if self.with_session {
            format!(
                "{method} /answer HTTP/1.1\r\nHost: app.test\r\nCookie: __Host-vestibule={session}\r\n\r\n"
            )
        } else {
            format!("{method} /open/answer HTTP/1.1\r\nHost: app.test\r\n\r\n")
        };
        let second = "GET /open/after HTTP/1.1\r\nHost: app.test\r\n\r\n";
        format!("{first}{second}").into_bytes()
    }

    fn judge(&self, script: &Script, conversation: &Conversation) {
        let methods = [self.method.to_vec(), b"GET".to_vec()];
        let got = http1::answers(&conversation.said, &methods);
        let text = String::from_utf8_lossy(&conversation.said);
        // An answer that breaks off does so for the client too, and one may end with its connection.
        let is_readable = matches!(
            got.end,
            End::Clean | End::InHead | End::InBody(_) | End::UntilClose(_)
        );
        assert!(is_readable, "S-225: the client cannot read this: {text}");
        assert!(
            got.whole.len() <= 2,
            "S-225: an answer that nobody asked for: {text}"
        );
        if let Some(second) = got.whole.get(1) {
            let is_ours = second.status == 200
                && all(&second.fields, "x-app") == [b"here"]
                && second.body == b"ok";
            assert!(
                is_ours,
                "S-225: the second answer is not that of its app: {text}"
            );
        }
        let part = match &got.end {
            End::InBody(part) | End::UntilClose(part) => Some(part),
            _ => None,
        };
        if let Some(first) = got.whole.iter().chain(part).next() {
            self.fields(first);
        }
        self.first(script, conversation, got.whole.first());
    }

    /// What the app said in one way is what the client gets; what it did not, is a 502.
    fn first(&self, script: &Script, conversation: &Conversation, got: Option<&Answer>) {
        let said = http1::answers(&script.bytes, &[self.method.to_vec()]);
        if matches!(said.end, End::FaultInFraming(_)) && said.whole.is_empty() {
            let is_refused = got.is_none_or(|it| it.status == 502);
            assert!(
                is_refused,
                "S-225: an answer that can be read in two ways is passed on"
            );
        }
        let (Some(got), Some(said)) = (got, said.whole.first()) else {
            let is_broken = matches!(said.end, End::InBody(_)) && script.closes;
            let is_passed = got.is_some_and(|it| it.status != 502);
            assert!(
                !(is_broken && is_passed) && conversation.calls.len() <= 2,
                "S-225: a part of an answer became a whole one"
            );
            return;
        };
        if got.status == said.status && got.status != 502 {
            assert_eq!(got.body, said.body, "S-225: another body than the app's");
        } else {
            assert_eq!(got.status, 502, "S-225: another status than the app's");
        }
    }

    /// S-232: what is ours to say is said by us alone.
    fn fields(&self, answer: &Answer) {
        let fields = &answer.fields;
        let hsts = all(fields, "strict-transport-security");
        assert_eq!(hsts, [b"max-age=86400"], "S-232: HSTS is ours");
        for (name, value) in fields {
            let is_removed = NEVER_FROM_AN_APP.contains(&folded(name).as_str());
            let name = String::from_utf8_lossy(name);
            assert!(!is_removed, "S-232: `{name}` passed from an app");
            let pair = value.split(|it| *it == b';').next().unwrap_or_default();
            let is_cookie = name.eq_ignore_ascii_case("set-cookie");
            assert!(
                !(is_cookie && contains_any_case(pair, b"__Host-vestibule")),
                "S-232: an app sets a cookie of ours"
            );
        }
        for line in all(fields, "clear-site-data") {
            let clears = line.contains(&b'*') || contains_any_case(line, b"cookies");
            assert!(!clears, "S-232: an app signs people out");
        }
        if self.with_session {
            assert!(
                is_private(fields),
                "S-247: a shared cache may keep this: {fields:?}"
            );
        }
    }
}

fn is_private(fields: &[Field]) -> bool {
    let lines = all(fields, "cache-control").into_iter();
    let mut directives = lines.flat_map(|line| line.split(|it| *it == b','));
    directives.any(|it| {
        let it = it.trim_ascii();
        it.eq_ignore_ascii_case(b"private") || it.eq_ignore_ascii_case(b"no-store")
    })
}
