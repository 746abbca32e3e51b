//! What makes a request: its pseudo-header fields, its length, its trailers (RFC 9113 8.1, 8.3 and
//! 8.5).

use super::{
    asks::{Asks, HERE},
    case::{Answered, Case, Malformed, OneOf, case},
};
use crate::support::h2_frames::{data, flag, head, headers};

type Fields<'a> = &'a [(&'a [u8], &'a [u8])];

const METHOD: (&[u8], &[u8]) = (b":method", b"GET");
const SCHEME: (&[u8], &[u8]) = (b":scheme", b"https");
const AUTHORITY: (&[u8], &[u8]) = (b":authority", HERE);
const PATH: (&[u8], &[u8]) = (b":path", b"/");

pub(super) fn cases(asks: &Asks) -> Vec<Case> {
    [
        presence(asks),
        values(asks),
        hosts(asks),
        connect(asks),
        lengths(asks),
        trailers(asks),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// RFC 9113 8.3 and 8.3.1: each once, each known, all of them first.
fn presence(asks: &Asks) -> Vec<Case> {
    let bad = |section, name, pseudo: Fields<'_>| {
        case(
            section,
            name,
            headers(1, &asks.bad(pseudo, &[])),
            Malformed(1),
        )
    };
    let late = |name, field| {
        let block = asks.bad(&[METHOD, SCHEME, AUTHORITY], &[(b"x-first", b"1"), field]);
        case("8.3", name, headers(1, &block), Malformed(1))
    };
    vec![
        bad("8.3.1", "no :method", &[SCHEME, AUTHORITY, PATH]),
        bad("8.3.1", "no :scheme", &[METHOD, AUTHORITY, PATH]),
        bad("8.3.1", "no :path", &[METHOD, SCHEME, AUTHORITY]),
        bad(
            "8.3.1",
            "no :path, and host in the place of :authority",
            &[METHOD, SCHEME, (b"host", HERE)],
        ),
        bad("8.3.1", "no pseudo-header field", &[]),
        bad(
            "8.3.1",
            "two :method",
            &[METHOD, METHOD, SCHEME, AUTHORITY, PATH],
        ),
        bad(
            "8.3.1",
            "two :scheme",
            &[METHOD, SCHEME, SCHEME, AUTHORITY, PATH],
        ),
        bad(
            "8.3.1",
            "two :authority",
            &[METHOD, SCHEME, AUTHORITY, AUTHORITY, PATH],
        ),
        bad(
            "8.3.1",
            "two :path",
            &[METHOD, SCHEME, AUTHORITY, PATH, PATH],
        ),
        bad(
            "8.3.1",
            "two :path that differ",
            &[METHOD, SCHEME, AUTHORITY, PATH, (b":path", b"/other")],
        ),
        bad(
            "8.3",
            "a pseudo-header field that nobody knows",
            &[METHOD, SCHEME, AUTHORITY, PATH, (b":user", b"ann")],
        )
        .but_wider(),
        bad(
            "8.3",
            "a pseudo-header field without a name",
            &[METHOD, SCHEME, AUTHORITY, PATH, (b":", b"1")],
        )
        .but_wider(),
        bad(
            "8.3",
            "a pseudo-header field in upper case",
            &[METHOD, SCHEME, AUTHORITY, (b":Path", b"/")],
        )
        .but_wider(),
        bad(
            "8.3",
            ":status in a request",
            &[METHOD, SCHEME, AUTHORITY, PATH, (b":status", b"200")],
        ),
        bad(
            "8.3",
            ":protocol in a request that is no CONNECT",
            &[
                METHOD,
                SCHEME,
                AUTHORITY,
                PATH,
                (b":protocol", b"websocket"),
            ],
        ),
        late(":path behind a regular field", PATH),
        late("a second :method behind a regular field", METHOD),
        late(
            "a pseudo-header field that nobody knows behind a regular one",
            (b":user", b"ann"),
        )
        .but_wider(),
    ]
}

/// RFC 9113 8.3.1: what they may hold.
fn values(asks: &Asks) -> Vec<Case> {
    let path = |name, path| {
        let block = asks.bad(&[METHOD, SCHEME, AUTHORITY, (b":path", path)], &[]);
        case("8.3.1", name, headers(1, &block), Malformed(1))
    };
    let method = |name, method| {
        let block = asks.bad(&[(b":method", method), SCHEME, AUTHORITY, PATH], &[]);
        case("8.3.1", name, headers(1, &block), Malformed(1))
    };
    let scheme = |name, scheme| {
        let block = asks.bad(&[METHOD, (b":scheme", scheme), AUTHORITY, PATH], &[]);
        case("8.3.1", name, headers(1, &block), Malformed(1))
    };
    let same_scheme = asks.of(&[
        METHOD,
        (b":scheme", b"HTTPS"),
        AUTHORITY,
        PATH,
        asks.session(),
    ]);
    vec![
        path("an empty :path", b""),
        path("a :path that is relative", b"wiki"),
        path("a :path that begins with a question mark", b"?a").but_listed(Answered(1)),
        path("a :path that is a whole URL", b"https://wiki.example/"),
        path("a :path of an asterisk in a GET", b"*"),
        path("a :path with a space", b"/a b"),
        path("a :path with a request line in it", b"/ HTTP/1.1\r\nX-A: 1"),
        path("a :path with CR", b"/a\rb"),
        path("a :path with LF", b"/a\nb"),
        path("a :path with NUL", b"/a\0b"),
        path("a :path with tab", b"/a\tb"),
        path("a :path with DEL", b"/a\x7fb"),
        path("a :path with bytes beyond ASCII", b"/\xc3\xa4"),
        path("a :path with bytes that are no text", b"/\xff").but_wider(),
        path("a :path with a fragment", b"/a#b").but_listed(Answered(1)),
        path("a query with a space", b"/?a b"),
        path("a query with LF", b"/?a\nb"),
        method("an empty :method", b"").but_wider(),
        method("a :method with a space", b"GET / HTTP/1.1").but_wider(),
        method("a :method with CR LF", b"GET / HTTP/1.1\r\nX:").but_wider(),
        method("a :method with NUL", b"GE\0T").but_wider(),
        method("a :method with bytes beyond ASCII", b"G\xc3\xa4T").but_wider(),
        scheme("an empty :scheme", b""),
        scheme("a :scheme with a space", b"https "),
        scheme("a :scheme with CR LF", b"https\r\n"),
        scheme("a :scheme of another kind", b"ftp"),
        scheme("a :scheme without TLS on a connection with it", b"http"),
        case(
            "8.3.1",
            "a :scheme in upper case",
            headers(1, &same_scheme),
            OneOf(vec![Answered(1), Malformed(1)]),
        ),
    ]
}

/// RFC 9113 8.3.1: one host, however it is named.
fn hosts(asks: &Asks) -> Vec<Case> {
    let bad = |name, pseudo: Fields<'_>, fields: Fields<'_>| {
        case(
            "8.3.1",
            name,
            headers(1, &asks.bad(pseudo, fields)),
            Malformed(1),
        )
    };
    let authority = |name, value| bad(name, &[METHOD, SCHEME, (b":authority", value), PATH], &[]);
    let nowhere: Fields<'_> = &[METHOD, SCHEME, PATH];
    let here: Fields<'_> = &[METHOD, SCHEME, AUTHORITY, PATH];
    let userinfo = format!("ann@{}", asks.authority);
    let slash = format!("{}/x", asks.authority);
    let no_digits = format!("{}x", asks.authority);
    let by_host = asks.of(&[METHOD, SCHEME, PATH, (b"host", HERE), asks.session()]);
    let by_both = asks.of(&[
        METHOD,
        SCHEME,
        AUTHORITY,
        PATH,
        (b"host", HERE),
        asks.session(),
    ]);
    vec![
        bad("neither :authority nor host", nowhere, &[]),
        bad(
            "host other than :authority",
            here,
            &[(b"host", b"other.example")],
        ),
        bad(
            "host with another port than :authority",
            here,
            &[(b"host", b"wiki.example")],
        ),
        bad("two host", nowhere, &[(b"host", HERE), (b"host", HERE)]),
        bad(
            "two host beside :authority",
            here,
            &[(b"host", HERE), (b"host", HERE)],
        ),
        bad("an empty host beside :authority", here, &[(b"host", b"")]),
        bad("an empty host", nowhere, &[(b"host", b"")]),
        bad(
            "host with userinfo",
            nowhere,
            &[(b"host", userinfo.as_bytes())],
        ),
        bad(
            "a :scheme of another kind beside host alone",
            &[METHOD, (b":scheme", b"ftp"), PATH],
            &[(b"host", HERE)],
        ),
        bad(
            "a :scheme without TLS beside host alone",
            &[METHOD, (b":scheme", b"http"), PATH],
            &[(b"host", HERE)],
        ),
        bad(
            "a :path that is a whole URL beside host alone",
            &[METHOD, SCHEME, (b":path", b"https://wiki.example/")],
            &[(b"host", HERE)],
        ),
        authority("an empty :authority", b""),
        authority(":authority with userinfo", userinfo.as_bytes()),
        authority(":authority with a path", slash.as_bytes()),
        authority(
            ":authority with a port that is no number",
            no_digits.as_bytes(),
        ),
        authority(":authority with a space", b"wiki.example a"),
        authority(":authority with CR LF", b"wiki.example\r\nX: 1"),
        authority(":authority with NUL", b"wiki.example\0"),
        authority(":authority with bytes beyond ASCII", b"wiki.ex\xc3\xa4mple"),
        // Without :authority nobody can look at the scheme, and every client sends it.
        case("8.3.1", "host alone", headers(1, &by_host), Malformed(1)),
        case(
            "8.3.1",
            "host and :authority that agree",
            headers(1, &by_both),
            Answered(1),
        ),
    ]
}

/// RFC 9113 8.5 and RFC 8441 4.
fn connect(asks: &Asks) -> Vec<Case> {
    const CONNECT: (&[u8], &[u8]) = (b":method", b"CONNECT");
    let bad =
        |name, pseudo: Fields<'_>| case("8.5", name, head(1, &asks.bad(pseudo, &[])), Malformed(1));
    vec![
        bad("CONNECT, which nothing here takes", &[CONNECT, AUTHORITY]),
        bad("CONNECT with :scheme", &[CONNECT, SCHEME, AUTHORITY]),
        bad("CONNECT with :path", &[CONNECT, AUTHORITY, PATH]),
        bad(
            "CONNECT with :scheme and :path",
            &[CONNECT, SCHEME, AUTHORITY, PATH],
        ),
        bad("CONNECT without :authority", &[CONNECT]),
        bad(
            "CONNECT with a :protocol that nobody knows",
            &[CONNECT, SCHEME, AUTHORITY, PATH, (b":protocol", b"x")],
        ),
        bad(
            "CONNECT with :protocol and without :path",
            &[CONNECT, SCHEME, AUTHORITY, (b":protocol", b"websocket")],
        ),
    ]
}

/// RFC 9113 8.1.1: the length that is said and the length that comes.
fn lengths(asks: &Asks) -> Vec<Case> {
    let block = |lengths: &[&[u8]]| {
        let fields: Vec<(&[u8], &[u8])> = lengths
            .iter()
            .map(|it| (&b"content-length"[..], *it))
            .collect();
        [asks.post(), asks.marked(), asks.of(&fields)].concat()
    };
    let body = |name, lengths: &[&[u8]], pieces: &[&[u8]]| {
        let mut bytes = head(1, &block(lengths));
        for (at, piece) in pieces.iter().enumerate() {
            let is_last = at + 1 == pieces.len();
            bytes.extend(data(u8::from(is_last), 1, piece));
        }
        case("8.1.1", name, bytes, Malformed(1))
    };
    let right = [asks.post(), asks.of(&[(b"content-length", b"5")])].concat();
    let right = [
        head(1, &right),
        data(0, 1, b"ab"),
        data(flag::END_STREAM, 1, b"cde"),
    ]
    .concat();
    let end = headers(1, &asks.of(&[(b"x-sum", b"1")]));
    vec![
        case(
            "8.1.1",
            "content-length as long as its DATA",
            right,
            Answered(1),
        ),
        body("content-length of zero with DATA", &[b"0"], &[b"a"]),
        body("content-length above its DATA", &[b"10"], &[b"abcde"]),
        body("content-length below its DATA", &[b"5"], &[b"abcdefghij"]),
        body(
            "content-length below its DATA in pieces",
            &[b"5"],
            &[b"abc", b"def", b""],
        ),
        body(
            "content-length above its DATA, the last empty",
            &[b"5"],
            &[b"abc", b""],
        ),
        case(
            "8.1.1",
            "content-length without DATA",
            headers(1, &block(&[b"5"])),
            Malformed(1),
        ),
        case(
            "8.1.1",
            "content-length above its DATA before trailers",
            [head(1, &block(&[b"5"])), data(0, 1, b"abc"), end].concat(),
            Malformed(1),
        ),
        body("content-length with a sign", &[b"+5"], &[b"abcde"]),
        body("content-length that is negative", &[b"-5"], &[b"abcde"]),
        body("content-length that is no number", &[b"five"], &[b"abcde"]),
        body("content-length in hexadecimal", &[b"0x5"], &[b"abcde"]),
        body("an empty content-length", &[b""], &[b"abcde"]),
        body("content-length with blanks in it", &[b"5 5"], &[b"abcde"]),
        body(
            "content-length beyond 64 bits",
            &[b"18446744073709551621"],
            &[b"abcde"],
        ),
        body("two content-length that differ", &[b"5", b"6"], &[b"abcde"]),
        body(
            "a list of two content-length that differ",
            &[b"5, 6"],
            &[b"abcde"],
        ),
        case(
            "8.1.1",
            "two content-length that agree",
            [
                head(
                    1,
                    &[
                        asks.post(),
                        asks.of(&[(b"content-length", b"5"), (b"content-length", b"5")]),
                    ]
                    .concat(),
                ),
                data(flag::END_STREAM, 1, b"abcde"),
            ]
            .concat(),
            OneOf(vec![Answered(1), Malformed(1)]),
        ),
    ]
}

/// RFC 9113 8.1: no pseudo-header field, and nothing else that no request may have.
fn trailers(asks: &Asks) -> Vec<Case> {
    let bad = |name, field| {
        let begun = head(1, &[asks.post(), asks.marked()].concat());
        let end = headers(1, &asks.of(&[field]));
        case(
            "8.1",
            name,
            [begun, data(0, 1, b"a"), end].concat(),
            Malformed(1),
        )
    };
    vec![
        bad(":path in trailers", PATH).but_listed(Answered(1)),
        bad(":method in trailers", METHOD).but_listed(Answered(1)),
        bad(":status in trailers", (b":status", b"200")).but_listed(Answered(1)),
        bad(
            "a pseudo-header field that nobody knows in trailers",
            (b":user", b"ann"),
        )
        .but_wider(),
        bad("upper case in trailers", (b"X-Sum", b"1")).but_wider(),
        bad(
            "a connection-specific field in trailers",
            (b"connection", b"close"),
        ),
    ]
}
