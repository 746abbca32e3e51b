//! A strict parser of its own kind, to compare the guard with: it has the whole text before it, cuts
//! it into lines and words, and shares nothing with the guard but the limits.

use crate::head_guard::HeadLimits;

const BREAK: &[u8] = b"\r\n";
const HEAD_END: &[u8] = b"\r\n\r\n";

/// A message that came to its end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Message {
    /// The words of its first line.
    pub(super) first_line: Vec<String>,
    pub(super) body: Vec<u8>,
    /// Where it ends in the whole text.
    pub(super) end: usize,
}

/// How a text ends behind its whole messages.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Ending {
    /// There is nothing more.
    Clean,
    /// What follows is no message.
    Refused,
    /// What follows may become one.
    Unfinished,
}

/// What a text says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Reading {
    pub(super) messages: Vec<Message>,
    /// The heads, interim ones too, and that of a message whose body is refused or unfinished.
    pub(super) heads: u64,
    pub(super) ending: Ending,
}

/// Why there is no message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum No {
    Refused,
    Unfinished,
}

type Maybe<T> = Result<T, No>;

#[derive(Debug)]
struct Head {
    first_line: Vec<String>,
    fields: Vec<(String, Vec<u8>)>,
}

#[derive(Debug)]
enum Framing {
    Nothing,
    Length(usize),
    Chunks,
    Rest,
}

/// Reads requests, one after the other.
pub(super) fn requests(text: &[u8], limits: HeadLimits) -> Reading {
    read(text, |text, at, heads| request(text, at, limits, heads))
}

/// Reads the answer to one request; nothing may follow it.
pub(super) fn answer(text: &[u8], without_body: bool, limits: HeadLimits) -> Reading {
    read(text, |text, at, heads| {
        ensure(at == 0)?;
        answer_at(text, without_body, limits, heads)
    })
}

fn read(text: &[u8], next: impl Fn(&[u8], usize, &mut u64) -> Maybe<Message>) -> Reading {
    let mut messages: Vec<Message> = Vec::new();
    let mut heads = 0;
    let ending = loop {
        let at = messages.last().map_or(0, |message| message.end);
        if at == text.len() {
            break Ending::Clean;
        }
        match next(text, at, &mut heads) {
            Ok(message) => messages.push(message),
            Err(No::Refused) => break Ending::Refused,
            Err(No::Unfinished) => break Ending::Unfinished,
        }
    };
    Reading {
        messages,
        heads,
        ending,
    }
}

fn request(text: &[u8], at: usize, limits: HeadLimits, heads: &mut u64) -> Maybe<Message> {
    let (head, at) = head(text, at, limits)?;
    let [method, target, version] = &head.first_line[..] else {
        return Err(No::Refused);
    };
    let letters = |text: &str| {
        text.chars()
            .all(|c| matches!(c, 'A'..='Z' | '0'..='9' | '-'))
    };
    ensure(method.starts_with(|c: char| c.is_ascii_uppercase()))?;
    ensure(method.len() <= 32 && letters(method))?;
    ensure(!target.is_empty() && target.len() <= limits.target_bytes)?;
    ensure(
        target
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#'),
    )?;
    let framing = match framing(&head, version)? {
        Framing::Rest => Framing::Nothing,
        framing => framing,
    };
    *heads += 1;
    let (body, end) = body(text, at, &framing, limits)?;
    Ok(Message {
        first_line: head.first_line,
        body,
        end,
    })
}

fn answer_at(
    text: &[u8],
    without_body: bool,
    limits: HeadLimits,
    heads: &mut u64,
) -> Maybe<Message> {
    let mut at = 0;
    for _ in 0..=16 {
        let (head, behind) = head(text, at, limits)?;
        at = behind;
        let [version, status, ..] = &head.first_line[..] else {
            return Err(No::Refused);
        };
        ensure(status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit()))?;
        let framing = framing(&head, version)?;
        let number = status.parse().unwrap_or(0);
        ensure((100..600).contains(&number))?;
        let framing = match number {
            101 => Framing::Rest,
            100..=199 => {
                ensure(*heads < 16)?;
                *heads += 1;
                continue;
            }
            204 | 304 => Framing::Nothing,
            _ if without_body => Framing::Nothing,
            _ => framing,
        };
        *heads += 1;
        let (body, end) = body(text, at, &framing, limits)?;
        // What goes on to the connection's end has not come to it.
        ensure_come(!matches!(framing, Framing::Rest))?;
        return Ok(Message {
            first_line: head.first_line,
            body,
            end,
        });
    }
    Err(No::Refused)
}

/// The head that begins at `at`, and where it ends.
fn head(text: &[u8], mut at: usize, limits: HeadLimits) -> Maybe<(Head, usize)> {
    if text[at..].starts_with(BREAK) {
        at += 2;
    }
    if text[at..].starts_with(BREAK) {
        return Err(No::Refused);
    }
    let length = find(&text[at..], HEAD_END)?;
    let end = at + length + HEAD_END.len();
    ensure(end - at <= limits.head_bytes)?;
    let lines = lines(&text[at..at + length])?;
    let (first, lines) = lines.split_first().ok_or(No::Refused)?;
    let is_status_line = first.starts_with(b"HTTP/");
    // A status line has a phrase of many words behind its status, or none.
    let words: Vec<_> = if is_status_line {
        first.splitn(3, |byte| *byte == b' ').collect()
    } else {
        first.split(|byte| *byte == b' ').collect()
    };
    if let (true, Some(phrase)) = (is_status_line, words.get(2)) {
        ensure(phrase.iter().all(|byte| is_text(*byte)))?;
    }
    let first_line = words
        .iter()
        .map(|word| String::from_utf8_lossy(word).into_owned());
    let head = Head {
        first_line: first_line.collect(),
        fields: fields(lines, limits)?,
    };
    Ok((head, end))
}

fn lines(text: &[u8]) -> Maybe<Vec<&[u8]>> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Ok(end) = find(rest, BREAK) {
        lines.push(&rest[..end]);
        rest = &rest[end + 2..];
    }
    lines.push(rest);
    let is_clean = |line: &&[u8]| !line.contains(&b'\r') && !line.contains(&b'\n');
    ensure(lines.iter().all(is_clean))?;
    Ok(lines)
}

fn fields(lines: &[&[u8]], limits: HeadLimits) -> Maybe<Vec<(String, Vec<u8>)>> {
    ensure(lines.len() <= limits.headers)?;
    lines.iter().map(|line| field(line)).collect()
}

fn field(line: &[u8]) -> Maybe<(String, Vec<u8>)> {
    let colon = line.iter().position(|byte| *byte == b':');
    let (name, value) = line.split_at(colon.ok_or(No::Refused)?);
    let value = &value[1..];
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    ensure(!name.is_empty() && name.iter().all(is_token))?;
    ensure(value.iter().all(|byte| is_text(*byte)))?;
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    Ok((name, value.to_vec()))
}

fn framing(head: &Head, version: &str) -> Maybe<Framing> {
    ensure(matches!(version, "HTTP/1.0" | "HTTP/1.1"))?;
    let values = |wanted: &str| -> Vec<&[u8]> {
        let named = head.fields.iter().filter(|(name, _)| name == wanted);
        named
            .map(|(_, value)| value.strip_prefix(b" ").unwrap_or(value))
            .collect()
    };
    match (
        &values("content-length")[..],
        &values("transfer-encoding")[..],
    ) {
        ([], []) => Ok(Framing::Rest),
        ([length], []) => {
            let length = str::from_utf8(length).map_err(|_| No::Refused)?;
            ensure((1..=19).contains(&length.len()))?;
            ensure(length.bytes().all(|byte| byte.is_ascii_digit()))?;
            ensure(length == "0" || !length.starts_with('0'))?;
            length.parse().map(Framing::Length).map_err(|_| No::Refused)
        }
        ([], [coding]) => {
            ensure(version == "HTTP/1.1" && coding.eq_ignore_ascii_case(b"chunked"))?;
            Ok(Framing::Chunks)
        }
        _ => Err(No::Refused),
    }
}

fn body(text: &[u8], at: usize, framing: &Framing, limits: HeadLimits) -> Maybe<(Vec<u8>, usize)> {
    match framing {
        Framing::Nothing => Ok((Vec::new(), at)),
        Framing::Length(length) => {
            let end = at.saturating_add(*length);
            let body = text.get(at..end).ok_or(No::Unfinished)?;
            Ok((body.to_vec(), end))
        }
        Framing::Chunks => chunks(text, at, limits),
        Framing::Rest => Ok((text[at..].to_vec(), text.len())),
    }
}

fn chunks(text: &[u8], mut at: usize, limits: HeadLimits) -> Maybe<(Vec<u8>, usize)> {
    let mut body = Vec::new();
    let mut extensions = 0;
    loop {
        let end = at + find(&text[at..], BREAK)?;
        let line = &text[at..end];
        at = end + 2;
        let semicolon = line.iter().position(|byte| *byte == b';');
        let (size, extension) = line.split_at(semicolon.unwrap_or(line.len()));
        ensure((1..=16).contains(&size.len()) && size.iter().all(u8::is_ascii_hexdigit))?;
        extensions += extension.len().saturating_sub(1);
        ensure(extensions <= 4096 && extension.iter().all(|byte| is_text(*byte)))?;
        ensure(has_closed_quotes(extension))?;
        let size = String::from_utf8_lossy(size);
        let size = usize::from_str_radix(&size, 16).map_err(|_| No::Refused)?;
        if size == 0 {
            return Ok((body, trailers(text, at, limits)?));
        }
        let data_end = at.saturating_add(size);
        body.extend(text.get(at..data_end).ok_or(No::Unfinished)?);
        at = data_end + 2;
        ensure_come(text.len() >= at)?;
        ensure(&text[data_end..at] == BREAK)?;
    }
}

fn trailers(text: &[u8], at: usize, limits: HeadLimits) -> Maybe<usize> {
    if text[at..].starts_with(BREAK) {
        ensure(limits.head_bytes >= 2)?;
        return Ok(at + 2);
    }
    let length = find(&text[at..], HEAD_END)?;
    ensure(length + HEAD_END.len() <= limits.head_bytes)?;
    let fields = fields(&lines(&text[at..at + length])?, limits)?;
    let frames = |name: &str| matches!(name, "content-length" | "transfer-encoding");
    ensure(!fields.iter().any(|(name, _)| frames(name)))?;
    Ok(at + length + HEAD_END.len())
}

fn has_closed_quotes(extension: &[u8]) -> bool {
    let mut is_quoted = false;
    let mut bytes = extension.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\\' if is_quoted => {
                bytes.next();
            }
            _ => {}
        }
    }
    !is_quoted
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

fn find(text: &[u8], wanted: &[u8]) -> Maybe<usize> {
    let found = text
        .windows(wanted.len())
        .position(|window| window == wanted);
    found.ok_or(No::Unfinished)
}

fn ensure(holds: bool) -> Maybe<()> {
    if holds { Ok(()) } else { Err(No::Refused) }
}

fn ensure_come(has_come: bool) -> Maybe<()> {
    if has_come {
        Ok(())
    } else {
        Err(No::Unfinished)
    }
}
