//! Makes heads: a request that a browser could send, with a few oddities of the kinds that have
//! fooled readers of HTTP before.

use super::words::{
    CODINGS, COOKIES, FORWARDED, HOSTS, IDENTITY, LENGTHS, METHODS, NOMINATED, PATHS, SEGMENTS,
    SEPARATORS,
};
use crate::fuzz::{
    Random,
    targets::http1::{Field, Request},
};

/// Makes one head after another.
pub(super) struct Generator {
    random: Random,
}

/// A request that is being made: how it is written is not yet decided.
struct Draft {
    request: Request,
    version: &'static str,
    /// Behind each line.
    line_end: &'static [u8],
    /// The body as it is written, with its framing.
    body: Vec<u8>,
}

type Oddity = fn(&mut Generator, &mut Draft);

/// What may be odd, over either protocol.
const ODDITIES: &[Oddity] = &[
    Generator::spoofed_identity,
    Generator::spoofed_identity,
    Generator::forwarded_family,
    Generator::nominations,
    Generator::odd_path,
    Generator::odd_path,
    Generator::cookies_of_ours,
    Generator::odd_host,
    Generator::odd_method,
];

/// What may be odd about the bytes of HTTP/1 alone.
const ODD_BYTES: &[Oddity] = &[
    Generator::absolute_form,
    Generator::odd_framing,
    Generator::odd_framing,
    Generator::odd_lines,
    Generator::odd_version,
    Generator::expectation,
    Generator::chunked_with_trailers,
];

impl Generator {
    pub(super) fn new(random: Random) -> Self {
        Self { random }
    }

    /// What a client writes on one connection: mostly one request, sometimes up to three.
    pub(super) fn connection(&mut self) -> Vec<u8> {
        let count = match self.random.below(10) {
            0 => 3,
            1 | 2 => 2,
            _ => 1,
        };
        let mut bytes = Vec::new();
        for _ in 0..count {
            let mut draft = self.draft();
            for _ in 0..self.oddities() {
                let kinds = if self.random.once_in(2) {
                    ODDITIES
                } else {
                    ODD_BYTES
                };
                kinds[self.random.below(kinds.len())](self, &mut draft);
            }
            draft.write(&mut bytes);
        }
        if self.random.once_in(40) {
            bytes.truncate(self.random.below(bytes.len() + 1));
        }
        bytes
    }

    /// One request for any protocol.
    pub(super) fn request(&mut self) -> Request {
        let mut draft = self.draft();
        for _ in 0..self.oddities() {
            ODDITIES[self.random.below(ODDITIES.len())](self, &mut draft);
        }
        draft.request
    }

    fn oddities(&mut self) -> usize {
        [0, 1, 1, 1, 2, 2, 3][self.random.below(7)]
    }

    fn draft(&mut self) -> Draft {
        let method = self
            .random
            .of(&["GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE"]);
        let mut request = Request {
            method: method.into(),
            target: self.random.of(PATHS).into(),
            fields: vec![field("Host", "app.test"), field("Accept", "*/*")],
            body: Vec::new(),
        };
        if self.random.once_in(5) {
            request.target.extend_from_slice(b"?a=1&b=%2F");
        }
        if !self.random.once_in(3) {
            let session = "__Host-vestibule={session}";
            let cookie = match self.random.below(3) {
                0 => session.to_owned(),
                1 => format!("a=1; {session}"),
                _ => format!("a=1; {session}; b=2"),
            };
            request.fields.push(field("Cookie", &cookie));
        }
        let mut draft = Draft {
            request,
            version: "HTTP/1.1",
            line_end: b"\r\n",
            body: Vec::new(),
        };
        if matches!(method, "POST" | "PUT") || self.random.once_in(12) {
            self.plain_body(&mut draft);
        }
        draft
    }

    fn plain_body(&mut self, draft: &mut Draft) {
        draft.request.body = match self.random.below(4) {
            0 => Vec::new(),
            1 => b"GET /admin HTTP/1.1\r\nHost: app.test\r\n\r\n".to_vec(),
            2 => b"hello".to_vec(),
            _ => vec![b'a'; self.random.below(3_000)],
        };
        draft.body.clone_from(&draft.request.body);
        let length = draft.body.len().to_string();
        draft.request.fields.push(field("Content-Length", &length));
    }

    fn spoofed_identity(&mut self, draft: &mut Draft) {
        for _ in 0..=self.random.below(3) {
            let name = self.random.of(IDENTITY);
            let mut spelled = String::new();
            for letter in name.chars() {
                match letter {
                    '-' if self.random.once_in(2) => spelled.push_str(self.random.of(SEPARATORS)),
                    it if self.random.once_in(3) => spelled.push(it.to_ascii_uppercase()),
                    it => spelled.push(it.to_ascii_lowercase()),
                }
            }
            let at = self.random.below(draft.request.fields.len() + 1);
            draft
                .request
                .fields
                .insert(at, field(&spelled, "root@example.com"));
        }
    }

    fn forwarded_family(&mut self, draft: &mut Draft) {
        for _ in 0..=self.random.below(3) {
            let line = self.random.of(FORWARDED);
            let (name, value) = line.split_once(": ").unwrap();
            draft.request.fields.push(field(name, value));
        }
    }

    fn nominations(&mut self, draft: &mut Draft) {
        let count = 1 + self.random.below(4);
        let names: Vec<_> = (0..count).map(|_| self.random.of(NOMINATED)).collect();
        let fields = &mut draft.request.fields;
        fields.push(field(
            "Connection",
            &names.join(self.random.of(&[", ", ",", " , "])),
        ));
        fields.push(field("X-Mine", "for this hop"));
        match self.random.below(4) {
            0 => fields.push(field("Upgrade", "h2c")),
            1 => fields.push(field("TE", "trailers")),
            2 => fields.push(field("Keep-Alive", "timeout=5")),
            _ => {}
        }
    }

    fn odd_path(&mut self, draft: &mut Draft) {
        let start = self
            .random
            .of(&["", "/", "/open", "/open/x", "/admin", "//", "/a"]);
        let mut path = start.to_owned();
        for _ in 0..=self.random.below(3) {
            path.push('/');
            path.push_str(self.random.of(SEGMENTS));
        }
        if self.random.once_in(8) {
            path.push_str(&"/x".repeat(self.random.below(5_000)));
        }
        if self.random.once_in(30) {
            path = self
                .random
                .of(&["*", "page", "?x", "/", "app.test:443"])
                .to_owned();
        }
        // One byte for each character, so that bytes above ASCII stand alone.
        draft.request.target = path.chars().map(|it| u8::try_from(it).unwrap()).collect();
    }

    fn cookies_of_ours(&mut self, draft: &mut Draft) {
        draft.request.fields.retain(|(name, _)| name != b"Cookie");
        for _ in 0..=self.random.below(2) {
            let count = 1 + self.random.below(5);
            let pairs: Vec<_> = (0..count).map(|_| self.random.of(COOKIES)).collect();
            let line = pairs.join(self.random.of(&["; ", ";", " ; ", ", ", ";;"]));
            draft.request.fields.push(field("Cookie", &line));
        }
    }

    fn odd_host(&mut self, draft: &mut Draft) {
        let fields = &mut draft.request.fields;
        match self.random.below(6) {
            0 => fields.retain(|(name, _)| name != b"Host"),
            1 => fields.push(field("host", self.random.of(HOSTS))),
            _ => {
                let host = self.random.of(HOSTS);
                for (_, value) in fields.iter_mut().filter(|(name, _)| name == b"Host") {
                    *value = host.into();
                }
                if host.to_ascii_lowercase().starts_with("other") {
                    fields.push(field("Cookie", "__Host-vestibule={other}"));
                    fields.retain(|(_, value)| !value.windows(9).any(|it| it == b"{session}"));
                }
            }
        }
    }

    fn odd_method(&mut self, draft: &mut Draft) {
        draft.request.method = self.random.of(METHODS).into();
    }

    fn absolute_form(&mut self, draft: &mut Draft) {
        let scheme = self.random.of(&["http", "https", "HTTPS", "ftp", "https:"]);
        let host = if self.random.once_in(2) {
            "app.test"
        } else {
            self.random.of(HOSTS)
        };
        let start = format!("{scheme}://{host}").into_bytes();
        draft.request.target.splice(0..0, start);
    }

    fn odd_framing(&mut self, draft: &mut Draft) {
        let fields = &mut draft.request.fields;
        for _ in 0..=self.random.below(2) {
            let (name, value) = if self.random.once_in(2) {
                ("Content-Length", self.random.of(LENGTHS))
            } else {
                ("Transfer-Encoding", self.random.of(CODINGS))
            };
            let at = self.random.below(fields.len() + 1);
            fields.insert(at, field(name, value));
        }
        let body = self.random.of(&[
            "",
            "hello",
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "5;a=\"b\r\n\"\r\nhello\r\n0\r\n\r\n",
            "5 \r\nhello\r\n0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            "5\nhello\n0\n\n",
            "5\r\nhello0\r\n\r\n",
            "fffffffffffffffff\r\nhello",
            "00000005\r\nhello\r\n000\r\n\r\n",
            "5;\nX\r\nhello\r\n0\r\n\r\n",
            "0\r\n\r\nGET /admin HTTP/1.1\r\nHost: app.test\r\n\r\n",
        ]);
        draft.body = body.into();
    }

    fn chunked_with_trailers(&mut self, draft: &mut Draft) {
        let is_framing = |name: &[u8]| name == b"Content-Length" || name == b"Transfer-Encoding";
        draft.request.fields.retain(|(name, _)| !is_framing(name));
        draft
            .request
            .fields
            .push(field("Transfer-Encoding", "chunked"));
        let trailer = self.random.of(&[
            "",
            "X-Remote-User: root\r\n",
            "X: 1\r\nY: 2\r\n",
            "Content-Length: 5\r\n",
            "x y: 1\r\n",
            " folded\r\n",
            "Host: evil.test\n",
        ]);
        let data = "x".repeat(1 + self.random.below(300));
        draft.body = format!("{:x}\r\n{data}\r\n0\r\n{trailer}\r\n", data.len()).into_bytes();
    }

    fn expectation(&mut self, draft: &mut Draft) {
        let expected = [
            "100-continue",
            "100-Continue",
            "y 100-continue",
            "100-continue, x",
            "",
        ];
        draft
            .request
            .fields
            .push(field("Expect", self.random.of(&expected)));
    }

    fn odd_version(&mut self, draft: &mut Draft) {
        let versions = [
            "HTTP/1.0",
            "HTTP/1.0",
            "HTTP/1.2",
            "HTTP/2.0",
            "HTTP/01.1",
            "http/1.1",
            "",
        ];
        draft.version = self.random.of(&versions);
    }

    fn odd_lines(&mut self, draft: &mut Draft) {
        if self.random.once_in(6) {
            draft.line_end = self.random.of(&[&b"\n"[..], b"\r", b"\r\r\n", b" \r\n"]);
            return;
        }
        let at = self.random.below(draft.request.fields.len());
        let (name, value) = &mut draft.request.fields[at];
        match self.random.below(8) {
            0 => name.push(b' '),
            1 => name.insert(0, b' '),
            2 => value.extend_from_slice(b"\r\n X-Remote-User: root"),
            3 => value.extend_from_slice(b"\nX-Remote-User: root"),
            4 => value.extend_from_slice(b"\rX-Remote-User: root"),
            5 => value.push(self.random.byte() % 0x20),
            6 => value.push(0x80 | self.random.byte()),
            _ => name.insert(name.len() / 2, self.random.byte()),
        }
    }
}

impl Draft {
    fn write(&self, bytes: &mut Vec<u8>) {
        let Request {
            method,
            target,
            fields,
            ..
        } = &self.request;
        let line = [method, &b" "[..], target, b" ", self.version.as_bytes()].concat();
        bytes.extend_from_slice(&line);
        bytes.extend_from_slice(self.line_end);
        for (name, value) in fields {
            bytes.extend_from_slice(&[name, &b": "[..], value, self.line_end].concat());
        }
        bytes.extend_from_slice(self.line_end);
        bytes.extend_from_slice(&self.body);
    }
}

fn field(name: &str, value: &str) -> Field {
    (name.into(), value.into())
}
