//! What a request says, by a reading of its own: which host, which path, whose session.

use super::{
    super::http1::{Request, all},
    COOKIE,
};

/// The host that a request names: by its target, else by its only `Host`; without the usual port.
pub(super) fn named_host(said: &Request) -> Option<String> {
    let written = match (authority_of(&said.target), &all(&said.fields, "host")[..]) {
        (Some(authority), _) => authority,
        (None, [host]) => host,
        _ => return None,
    };
    let host = String::from_utf8_lossy(written).to_ascii_lowercase();
    Some(host.strip_suffix(":443").unwrap_or(&host).to_owned())
}

/// Path and query of a target in origin or absolute form; `None` for any other.
pub(super) fn origin_form(target: &[u8]) -> Option<Vec<u8>> {
    if target.starts_with(b"/") || target == b"*" {
        return Some(target.to_vec());
    }
    let rest = behind_scheme(target)?;
    let end = rest.iter().position(|it| matches!(it, b'/' | b'?'));
    let behind = &rest[end.unwrap_or(rest.len())..];
    Some(match behind.first() {
        Some(b'/') => behind.to_vec(),
        _ => [b"/", behind].concat(),
    })
}

fn authority_of(target: &[u8]) -> Option<&[u8]> {
    let rest = behind_scheme(target)?;
    let end = rest.iter().position(|it| matches!(it, b'/' | b'?'));
    Some(&rest[..end.unwrap_or(rest.len())])
}

fn behind_scheme(target: &[u8]) -> Option<&[u8]> {
    let at = target.windows(3).position(|it| it == b"://")?;
    let is_http = |it: &&str| target[..at].eq_ignore_ascii_case(it.as_bytes());
    ["http", "https"].iter().find(|it| is_http(it))?;
    Some(&target[at + 3..])
}

/// Whether the public rules of `wiki` open this: a reading of its own of what a plain path is.
pub(super) fn is_open(method: &[u8], target: &[u8]) -> bool {
    let end = target.iter().position(|it| *it == b'?');
    let path = &target[..end.unwrap_or(target.len())];
    let reads = matches!(method, b"GET" | b"HEAD");
    (path.starts_with(b"/open/") || path == b"/health" && reads) && is_plain(path)
}

fn is_plain(path: &[u8]) -> bool {
    let mut at = 0;
    while at < path.len() {
        match path[at] {
            b'%' => {
                let digits = path.get(at + 1..at + 3).unwrap_or_default();
                let is_upper = |it: &u8| matches!(it, b'0'..=b'9' | b'A'..=b'F');
                if digits.len() < 2 || !digits.iter().all(is_upper) {
                    return false;
                }
                let is_plain = digits == b"20" || digits[0] >= b'8';
                if !is_plain || matches!(digits, b"C0" | b"C1") {
                    return false;
                }
                at += 3;
            }
            b';' | b'\\' | b'#' => return false,
            0x21..=0x7e => at += 1,
            _ => return false,
        }
    }
    let segments: Vec<_> = path[1..].split(|it| *it == b'/').collect();
    let last = segments.len() - 1;
    segments.iter().enumerate().all(|(at, segment)| {
        *segment != b"." && *segment != b".." && (!segment.is_empty() || at == last)
    })
}

/// The values of every cookie that bears the name of ours.
pub(super) fn session_cookies(said: &Request) -> Vec<&[u8]> {
    let lines = all(&said.fields, "cookie").into_iter();
    let pairs = lines.flat_map(|line| line.split(|it| *it == b';'));
    pairs
        .filter_map(|pair| {
            let at = pair.iter().position(|it| *it == b'=')?;
            (pair[..at].trim_ascii() == COOKIE).then(|| pair[at + 1..].trim_ascii())
        })
        .collect()
}

/// The values behind our name wherever it stands in a pair, without quotes.
pub(super) fn session_cookies_in_any_spelling(said: &Request) -> Vec<&[u8]> {
    let lines = all(&said.fields, "cookie").into_iter();
    let pairs = lines.flat_map(|line| line.split(|it| *it == b';'));
    pairs
        .filter_map(|pair| {
            let mut windows = pair.windows(COOKIE.len());
            let at = windows.position(|it| it.eq_ignore_ascii_case(COOKIE))?;
            let behind = &pair[at + COOKIE.len()..];
            let equals = behind.iter().position(|it| *it == b'=')?;
            let value = behind[equals + 1..].trim_ascii();
            let value = value.strip_prefix(b"\"").unwrap_or(value);
            Some(value.strip_suffix(b"\"").unwrap_or(value))
        })
        .collect()
}

/// The names in `Connection`, in lower case.
pub(super) fn nominated(said: &Request) -> Vec<String> {
    let lines = all(&said.fields, "connection").into_iter();
    let names = lines.flat_map(|line| line.split(|it| *it == b','));
    names
        .map(|it| String::from_utf8_lossy(it.trim_ascii()).to_ascii_lowercase())
        .collect()
}
