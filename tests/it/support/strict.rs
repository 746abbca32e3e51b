//! An app with a parser of its own, as strict as the standard lets it be: whatever it takes for one
//! request can be taken for one request only (RFC 9110 5, RFC 9112 2 to 7).

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{lock, server::Server, vestibule::Upstream};

/// A request as the strict parser reads it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Read {
    pub(crate) method: String,
    pub(crate) target: String,
    /// Names in lower case, values one character a byte, in order.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Read {
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.headers.iter().filter(|(it, _)| it == name);
        fields.map(|(_, value)| value.as_str()).collect()
    }
}

/// A running strict app. It answers each request with 200 and no body, and keeps the connection.
pub(crate) struct Strict {
    server: Server,
    /// What came, or what was wrong with it.
    read: Arc<Mutex<Vec<Result<Read, String>>>>,
}

impl Upstream for Strict {
    fn address(&self) -> SocketAddr {
        self.server.address()
    }
}

pub(crate) fn strict() -> Strict {
    let read = Arc::default();
    let kept = Arc::clone(&read);
    let server = Server::run(move |stream, _| serve(stream, Arc::clone(&kept)));
    Strict { server, read }
}

impl Strict {
    /// What came since this was last asked.
    ///
    /// # Panics
    /// If anything that came could be read in more than one way, or not at all.
    pub(crate) fn take(&self) -> Vec<Read> {
        let read = std::mem::take(&mut *lock(&self.read));
        let read = read.into_iter();
        read.map(|it| it.unwrap_or_else(|fault| panic!("{fault}")))
            .collect()
    }
}

async fn serve(mut stream: TcpStream, read: Arc<Mutex<Vec<Result<Read, String>>>>) {
    let mut bytes = Vec::new();
    loop {
        match parse(&bytes) {
            Ok(Some((request, length))) => {
                bytes.drain(..length);
                // Nobody pipelines towards an app: what is left would be a second request.
                let fault = || format!("bytes behind {request:?}: {bytes:?}");
                let kept = bytes
                    .is_empty()
                    .then_some(request.clone())
                    .ok_or_else(fault);
                lock(&read).push(kept);
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                if stream.write_all(answer).await.is_err() {
                    return;
                }
            }
            Ok(None) => match stream.read_buf(&mut bytes).await {
                Ok(0) | Err(_) if bytes.is_empty() => return,
                Ok(0) | Err(_) => {
                    let text = String::from_utf8_lossy(&bytes);
                    lock(&read).push(Err(format!("broken off: {text}")));
                    return;
                }
                Ok(_) => {}
            },
            Err(fault) => {
                let text = String::from_utf8_lossy(&bytes);
                lock(&read).push(Err(format!("{fault}: {text}")));
                return;
            }
        }
    }
}

/// The request that `bytes` begin with and its length; `None` if more must come.
fn parse(bytes: &[u8]) -> Result<Option<(Read, usize)>, &'static str> {
    let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = &bytes[..end];
    let mut lines = split_lines(head)?.into_iter();
    let (method, target) = request_line(lines.next().unwrap_or_default())?;
    let headers = lines.map(field).collect::<Result<Vec<_>, _>>()?;
    let mut read = Read {
        method,
        target,
        headers,
        body: Vec::new(),
    };
    if read.all("host").len() != 1 {
        return Err("not one host");
    }
    let rest = &bytes[end + 4..];
    let (body, length) = match (
        read.all("content-length")[..].to_vec(),
        read.all("transfer-encoding"),
    ) {
        (lengths, codings) if lengths.len() + codings.len() > 1 => {
            return Err("framed more than once");
        }
        (lengths, _) if lengths.len() == 1 => {
            let digits = lengths[0];
            if digits.is_empty() || !digits.bytes().all(|it| it.is_ascii_digit()) {
                return Err("a length that is no number");
            }
            let length: usize = digits.parse().map_err(|_| "a length too large")?;
            let Some(body) = rest.get(..length) else {
                return Ok(None);
            };
            (body.to_vec(), length)
        }
        (_, codings) if codings.len() == 1 => {
            if codings[0] != "chunked" {
                return Err("a coding that is not chunked");
            }
            match chunks(rest)? {
                Some(chunks) => chunks,
                None => return Ok(None),
            }
        }
        _ => (Vec::new(), 0),
    };
    read.body = body;
    Ok(Some((read, end + 4 + length)))
}

/// CR LF is the only end of a line, and neither stands anywhere else.
fn split_lines(head: &[u8]) -> Result<Vec<&[u8]>, &'static str> {
    let mut lines = Vec::new();
    let mut rest = head;
    while let Some(at) = rest.windows(2).position(|it| it == b"\r\n") {
        lines.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    lines.push(rest);
    if lines
        .iter()
        .any(|line| line.iter().any(|it| matches!(it, b'\r' | b'\n' | 0)))
    {
        return Err("a line end of one byte, or NUL");
    }
    Ok(lines)
}

fn request_line(line: &[u8]) -> Result<(String, String), &'static str> {
    let words: Vec<_> = line.split(|it| *it == b' ').collect();
    let [method, target, b"HTTP/1.1"] = words[..] else {
        return Err("a request line that is not three words");
    };
    let is_origin_form = target.starts_with(b"/") || target == b"*";
    let visible = target
        .iter()
        .all(|it| (0x21..=0x7e).contains(it) && *it != b'#');
    if !(is_token(method) && is_origin_form && visible) {
        return Err("a request line that is malformed");
    }
    Ok((text(method), text(target)))
}

fn field(line: &[u8]) -> Result<(String, String), &'static str> {
    let colon = line.iter().position(|it| *it == b':').ok_or("no colon")?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    if !is_token(name) {
        return Err("a field name that is none");
    }
    if value.iter().any(|it| *it != b'\t' && it.is_ascii_control()) {
        return Err("a control byte in a value");
    }
    Ok((text(name).to_ascii_lowercase(), text(value)))
}

/// Plain chunks without extensions and without trailers.
fn chunks(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, &'static str> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let rest = &bytes[at..];
        let Some(end) = rest.windows(2).position(|it| it == b"\r\n") else {
            return Ok(None);
        };
        let size = text(&rest[..end]);
        if size.is_empty() || !size.bytes().all(|it| it.is_ascii_hexdigit()) {
            return Err("a chunk size that is no number");
        }
        let size = usize::from_str_radix(&size, 16).map_err(|_| "a chunk too large")?;
        let Some(data) = rest.get(end + 2..end + 4 + size) else {
            return Ok(None);
        };
        if !data.ends_with(b"\r\n") {
            return Err("a chunk that is longer than it says");
        }
        body.extend_from_slice(&data[..size]);
        at += end + 4 + size;
        if size == 0 {
            return Ok(Some((body, at)));
        }
    }
}

fn is_token(text: &[u8]) -> bool {
    let special = b"!#$%&'*+-.^_`|~";
    let known = |it: &u8| it.is_ascii_alphanumeric() || special.contains(it);
    !text.is_empty() && text.iter().all(known)
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_read_in_two_ways_is_not_read() {
        for bytes in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx",
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;x\r\na\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        ] {
            assert!(parse(bytes.as_bytes()).is_err(), "{bytes}");
        }
    }

    #[test]
    fn a_whole_request_is_read_and_a_part_is_waited_for() {
        let head = "POST /a?b HTTP/1.1\r\nHost: a\r\nX: 1\r\n";
        let sized = format!("{head}Content-Length: 2\r\n\r\nhi");
        let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
        for bytes in [&sized, &chunked] {
            let (read, length) = parse(bytes.as_bytes()).unwrap().unwrap();
            assert_eq!(
                (read.method.as_str(), read.target.as_str()),
                ("POST", "/a?b")
            );
            assert_eq!((read.all("x"), &read.body[..]), (vec!["1"], &b"hi"[..]));
            assert_eq!(length, bytes.len());
            for end in 0..bytes.len() {
                assert_eq!(parse(&bytes.as_bytes()[..end]), Ok(None));
            }
        }
    }
}
