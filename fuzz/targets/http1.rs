//! A second opinion on HTTP/1.1: reads requests and answers by the letter of RFC 9112, and calls a
//! fault whatever two readers could take for two different things.
//!
//! Shares no code with vestibule or hyper; it must never learn from either what to accept.

use std::fmt;

/// A field: its name as written, its value without the blanks around it.
pub type Field = (Vec<u8>, Vec<u8>);

/// A request, or as much of one as came.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Request {
    /// As written.
    pub method: Vec<u8>,
    /// As written.
    pub target: Vec<u8>,
    /// In order.
    pub fields: Vec<Field>,
    /// Without its framing.
    pub body: Vec<u8>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, target) = (self.method.escape_ascii(), self.target.escape_ascii());
        write!(f, "{method} {target}")?;
        for (name, value) in &self.fields {
            write!(f, ", {}: {}", name.escape_ascii(), value.escape_ascii())?;
        }
        write!(
            f,
            ", body of {}: {}",
            self.body.len(),
            self.body.escape_ascii()
        )
    }
}

/// An answer, or as much of one as came.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Answer {
    /// Three digits.
    pub status: u16,
    /// In order.
    pub fields: Vec<Field>,
    /// Without its framing.
    pub body: Vec<u8>,
}

/// How a stream of messages ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum End<M> {
    /// Behind a whole message.
    Clean,
    /// The head of the next message is malformed.
    FaultInHead(&'static str),
    /// The framing of the next message can be read in two ways, or not at all.
    FaultInFraming(&'static str),
    /// The body of this message is malformed.
    FaultInBody(M, &'static str),
    /// In the middle of a head.
    InHead,
    /// In the middle of the body of this message.
    InBody(M),
    /// An answer whose body ends with the connection.
    UntilClose(M),
}

/// What a stream of bytes says.
#[derive(Clone, Debug)]
pub struct Reading<M> {
    /// The whole messages, in order.
    pub whole: Vec<M>,
    /// What is behind them.
    pub end: End<M>,
}

/// The fields of this name, which is in lower case.
pub fn all<'a>(fields: &'a [Field], name: &str) -> Vec<&'a [u8]> {
    let wanted = |(it, _): &&Field| it.eq_ignore_ascii_case(name.as_bytes());
    let found = fields.iter().filter(wanted);
    found.map(|(_, value)| value.as_slice()).collect()
}

/// A name as the least particular reader takes it: lower case, and `_` for all but letters and digits.
pub fn folded(name: &[u8]) -> String {
    let fold = |it: &u8| match it {
        it if it.is_ascii_alphanumeric() => char::from(it.to_ascii_lowercase()),
        _ => '_',
    };
    name.iter().map(fold).collect()
}

/// Whether `part` stands anywhere in `text`, in whatever case.
pub fn contains_any_case(text: &[u8], part: &[u8]) -> bool {
    let mut windows = text.windows(part.len());
    windows.any(|it| it.eq_ignore_ascii_case(part))
}

/// Reads the requests of one connection, as if each left it open.
pub fn requests(bytes: &[u8]) -> Reading<Request> {
    let mut whole = Vec::new();
    let mut rest = bytes;
    let end = loop {
        // One empty line before a request is skipped (RFC 9112 2.2).
        let from = rest.strip_prefix(b"\r\n").unwrap_or(rest);
        if from.is_empty() || from == b"\r" && from.len() == rest.len() {
            break End::Clean;
        }
        let (head, behind) = match split_head(from) {
            Ok(Some(split)) => split,
            Ok(None) => break End::InHead,
            Err(fault) => break End::FaultInHead(fault),
        };
        let (mut request, framing) = match request_head(&head) {
            Ok(read) => read,
            Err(end) => break end,
        };
        match read_body(framing, behind) {
            Body::Whole(body, length) => {
                request.body = body;
                whole.push(request);
                rest = &behind[length..];
            }
            Body::Part(body) => {
                request.body = body;
                break End::InBody(request);
            }
            Body::Fault(body, fault) => {
                request.body = body;
                break End::FaultInBody(request, fault);
            }
        }
    };
    Reading { whole, end }
}

/// Reads the final answers to requests of these methods; interim ones are passed over.
///
/// Beyond the last method an answer counts as one to a GET.
pub fn answers(bytes: &[u8], methods: &[Vec<u8>]) -> Reading<Answer> {
    let mut whole: Vec<Answer> = Vec::new();
    let mut rest = bytes;
    let end = loop {
        if rest.is_empty() {
            break End::Clean;
        }
        let (head, behind) = match split_head(rest) {
            Ok(Some(split)) => split,
            Ok(None) => break End::InHead,
            Err(fault) => break End::FaultInHead(fault),
        };
        let method = methods.get(whole.len()).map_or(&b"GET"[..], Vec::as_slice);
        let (mut answer, framing) = match answer_head(&head, method) {
            Ok(read) => read,
            Err(end) => break end,
        };
        if answer.status < 200 {
            rest = behind;
            continue;
        }
        let Some(framing) = framing else {
            answer.body = behind.to_vec();
            break End::UntilClose(answer);
        };
        match read_body(framing, behind) {
            Body::Whole(body, length) => {
                answer.body = body;
                whole.push(answer);
                rest = &behind[length..];
            }
            Body::Part(body) => {
                answer.body = body;
                break End::InBody(answer);
            }
            Body::Fault(body, fault) => {
                answer.body = body;
                break End::FaultInBody(answer, fault);
            }
        }
    };
    Reading { whole, end }
}

#[derive(Clone, Copy)]
enum Framing {
    Chunked,
    Length(u64),
}

enum Body {
    Fault(Vec<u8>, &'static str),
    Part(Vec<u8>),
    Whole(Vec<u8>, usize),
}

/// The lines of the head that `bytes` begin with, and what is behind it; `None` if more must come.
type Head<'a> = Option<(Vec<&'a [u8]>, &'a [u8])>;

fn split_head(bytes: &[u8]) -> Result<Head<'_>, &'static str> {
    let mut lines = Vec::new();
    let mut rest = bytes;
    loop {
        let Some(at) = rest.iter().position(|it| matches!(it, b'\r' | b'\n' | 0)) else {
            return Ok(None);
        };
        match rest.get(at..at + 2) {
            Some(b"\r\n") => {}
            None if rest[at] == b'\r' => return Ok(None),
            _ => return Err("a line end of one byte, or NUL"),
        }
        let (line, behind) = (&rest[..at], &rest[at + 2..]);
        if line.is_empty() {
            return Ok(Some((lines, behind)));
        }
        lines.push(line);
        rest = behind;
    }
}

fn request_head(lines: &[&[u8]]) -> Result<(Request, Framing), End<Request>> {
    let Some((first, fields)) = lines.split_first() else {
        return Err(End::FaultInHead("an empty line too many"));
    };
    let words: Vec<_> = first.split(|it| *it == b' ').collect();
    let [method, target, version] = words[..] else {
        return Err(End::FaultInHead("a request line that is not three words"));
    };
    let minor = match version {
        b"HTTP/1.0" => 0,
        b"HTTP/1.1" => 1,
        _ => return Err(End::FaultInHead("another version")),
    };
    let visible = |it: &u8| (0x21..=0x7e).contains(it) && *it != b'#';
    if !is_token(method) || target.is_empty() || !target.iter().all(visible) {
        return Err(End::FaultInHead("a malformed request line"));
    }
    let fields = read_fields(fields).map_err(End::FaultInHead)?;
    let framing = framing_of(&fields, minor).map_err(End::FaultInFraming)?;
    let request = Request {
        method: method.to_vec(),
        target: target.to_vec(),
        fields,
        body: Vec::new(),
    };
    Ok((request, framing.unwrap_or(Framing::Length(0))))
}

/// The framing is absent where the body ends with the connection.
fn answer_head(lines: &[&[u8]], method: &[u8]) -> Result<(Answer, Option<Framing>), End<Answer>> {
    let Some((first, fields)) = lines.split_first() else {
        return Err(End::FaultInHead("no status line"));
    };
    let minor = match first.get(..9) {
        Some(b"HTTP/1.0 ") => 0,
        Some(b"HTTP/1.1 ") => 1,
        _ => return Err(End::FaultInHead("another version")),
    };
    let digits = first.get(9..12).unwrap_or_default();
    let has_blank = matches!(first.get(12), None | Some(b' '));
    if digits.len() != 3 || !digits.iter().all(u8::is_ascii_digit) || !has_blank {
        return Err(End::FaultInHead("a malformed status line"));
    }
    let status = digits
        .iter()
        .fold(0, |sum, it| sum * 10 + u16::from(it - b'0'));
    if !(100..=599).contains(&status) {
        return Err(End::FaultInHead("a status that is none"));
    }
    let fields = read_fields(fields).map_err(End::FaultInHead)?;
    let framing = framing_of(&fields, minor).map_err(End::FaultInFraming)?;
    let bodiless = method == b"HEAD" || status < 200 || matches!(status, 204 | 304);
    let framing = if bodiless {
        Some(Framing::Length(0))
    } else {
        framing
    };
    let answer = Answer {
        status,
        fields,
        body: Vec::new(),
    };
    Ok((answer, framing))
}

fn read_fields(lines: &[&[u8]]) -> Result<Vec<Field>, &'static str> {
    let mut fields = Vec::with_capacity(lines.len());
    for line in lines {
        let colon = line.iter().position(|it| *it == b':').ok_or("no colon")?;
        let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
        if !is_token(name) {
            return Err("a field name that is none");
        }
        if value.iter().any(|it| *it != b'\t' && it.is_ascii_control()) {
            return Err("a control byte in a value");
        }
        fields.push((name.to_vec(), value.to_vec()));
    }
    Ok(fields)
}

fn framing_of(fields: &[Field], minor: u8) -> Result<Option<Framing>, &'static str> {
    let lengths = all(fields, "content-length");
    let codings = all(fields, "transfer-encoding");
    match (&lengths[..], &codings[..]) {
        ([], []) => Ok(None),
        ([digits], []) => {
            let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
            let length = std::str::from_utf8(digits).ok().filter(|_| is_number);
            let length = length.and_then(|it| it.parse().ok());
            length
                .map(|it| Some(Framing::Length(it)))
                .ok_or("a length that is no number")
        }
        ([], [coding]) if minor == 1 && coding.eq_ignore_ascii_case(b"chunked") => {
            Ok(Some(Framing::Chunked))
        }
        ([], _) => Err("a coding that is not chunked alone"),
        _ => Err("framed more than once"),
    }
}

fn read_body(framing: Framing, bytes: &[u8]) -> Body {
    match framing {
        Framing::Chunked => read_chunks(bytes),
        Framing::Length(length) => {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            match bytes.get(..length) {
                Some(body) => Body::Whole(body.to_vec(), length),
                None => Body::Part(bytes.to_vec()),
            }
        }
    }
}

fn read_chunks(bytes: &[u8]) -> Body {
    let (mut body, mut rest) = (Vec::new(), bytes);
    loop {
        let Some(at) = rest.iter().position(|it| matches!(it, b'\r' | b'\n' | 0)) else {
            return Body::Part(body);
        };
        match rest.get(at..at + 2) {
            Some(b"\r\n") => {}
            None if rest[at] == b'\r' => return Body::Part(body),
            _ => return Body::Fault(body, "a line end of one byte, or NUL"),
        }
        let Some(size) = chunk_size(&rest[..at]) else {
            return Body::Fault(body, "a chunk size that is none");
        };
        rest = &rest[at + 2..];
        if size == 0 {
            return match split_head(rest) {
                Ok(None) => Body::Part(body),
                Ok(Some((trailers, behind))) => match read_fields(&trailers) {
                    Ok(_) => Body::Whole(body, bytes.len() - behind.len()),
                    Err(fault) => Body::Fault(body, fault),
                },
                Err(fault) => Body::Fault(body, fault),
            };
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let Some(data) = rest.get(..size) else {
            body.extend_from_slice(rest);
            return Body::Part(body);
        };
        body.extend_from_slice(data);
        rest = &rest[size..];
        match rest {
            [b'\r', b'\n', ..] => rest = &rest[2..],
            [] | [b'\r'] => return Body::Part(body),
            _ => return Body::Fault(body, "a chunk that is longer than it says"),
        }
    }
}

/// `1*HEXDIG [ BWS ";" anything ]`.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let end = line.iter().position(|it| !it.is_ascii_hexdigit());
    let (digits, extension) = line.split_at(end.unwrap_or(line.len()));
    let extension = extension.trim_ascii_start();
    let has_control = extension
        .iter()
        .any(|it| *it != b'\t' && it.is_ascii_control());
    if !(extension.is_empty() && end.is_none() || extension.starts_with(b";")) || has_control {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', inner @ ..] | [inner @ .., b' ' | b'\t'] = value {
        value = inner;
    }
    value
}

fn is_token(text: &[u8]) -> bool {
    let special = b"!#$%&'*+-.^_`|~";
    let known = |it: &u8| it.is_ascii_alphanumeric() || special.contains(it);
    !text.is_empty() && text.iter().all(known)
}
