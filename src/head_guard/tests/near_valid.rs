//! Texts that are messages, or nearly: from good and bad parts, and then a byte or two spoilt.

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};

type Part = BoxedStrategy<Vec<u8>>;

/// Mostly one of the good ones.
fn part(good: &'static [&'static str], bad: &'static [&'static str]) -> Part {
    prop_oneof![60 => select(good), 1 => select(bad)]
        .prop_map(|text| text.as_bytes().to_vec())
        .boxed()
}

fn join(parts: Vec<Part>) -> Part {
    parts.prop_map(|parts| parts.concat()).boxed()
}

fn line_end() -> Part {
    part(&["\r\n"], &["\n", "\r", "\r\r\n", "\n\r", "", " \r\n"])
}

fn request_line() -> Part {
    let method = part(
        &["GET", "POST", "PUT", "M-SEARCH", "CONNECT", "HEAD", "PRI"],
        &[
            "get",
            "G T",
            "",
            "G_T",
            "1GET",
            "MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM",
        ],
    );
    let space = || part(&[" "], &["  ", "\t", ""]);
    let target = part(
        &["/", "/a?b=c", "*", "a:443", "http://a/b", "/%20;x=[1]"],
        &[
            "",
            "/#",
            "/a b",
            "/\0",
            "/\u{e9}",
            "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ],
    );
    let version = part(
        &["HTTP/1.1", "HTTP/1.1", "HTTP/1.0"],
        &[
            "HTTP/2.0",
            "HTTP/1.2",
            "HTTP/01.1",
            "HTTP/2",
            "HTTP/1.10",
            "",
            "http/1.1",
            "HTTP/",
        ],
    );
    join(vec![method, space(), target, space(), version, line_end()])
}

fn status_line() -> Part {
    let version = part(
        &["HTTP/1.1", "HTTP/1.1", "HTTP/1.0"],
        &["HTTP/2.0", "HTTP/1", "http/1.1"],
    );
    let space = part(&[" "], &["  ", "\t", ""]);
    let status = part(
        &["200", "200", "204", "304", "404", "599", "100", "103"],
        &["99", "600", "2000", "+20", "", "101"],
    );
    let phrase = part(
        &["", " ", " OK", " Not Found \u{e9}"],
        &["OK", " \0", "\tOK"],
    );
    join(vec![version, space, status, phrase, line_end()])
}

fn field() -> Part {
    let any = join(vec![
        part(
            &["Host", "X", "Content-Lengths", "T"],
            &["", "X ", " X", "X\0", "X\u{e9}"],
        ),
        part(&[":", ": "], &["", " :", ":\t"]),
        part(
            &["a", "", "a b\t", "\u{e9}"],
            &["\0", "\u{7f}", "a\r\n b", "a\nb", "a\rb"],
        ),
        line_end(),
    ]);
    let framing = prop_oneof![
        join(vec![
            part(&["Content-Length", "content-length"], &["Content-Length "]),
            part(&[": ", ":"], &[":  ", ":\t", ":"]),
            part(
                &["0", "1", "3", "12"],
                &["", "+1", "03", "1 ", "1,1", "00", "99999999999999999999"]
            ),
            line_end(),
        ]),
        join(vec![
            part(
                &["Transfer-Encoding", "TRANSFER-encoding"],
                &["Transfer-Encoding "]
            ),
            part(&[": ", ":"], &[":  ", ":\t"]),
            part(
                &["chunked", "Chunked"],
                &["gzip", "chunked ", "", "chunked, gzip", "xchunked"]
            ),
            line_end(),
        ]),
    ];
    prop_oneof![2 => any, 1 => framing.boxed()].boxed()
}

fn head(first_line: Part) -> Part {
    let fields = vec(field(), 0..4)
        .prop_map(|fields| fields.concat())
        .boxed();
    join(vec![first_line, fields, line_end()])
}

fn chunks() -> Part {
    let chunk = || {
        join(vec![
            part(
                &["1", "01", "0000000000000001"],
                &["0x1", "+1", "", " 1", "2", "00000000000000001"],
            ),
            part(
                &["", "", ";", ";a=b", ";a=\"b\\\";\""],
                &[" ", ";\n", ";\r", ";\"", ";\"\r\n\"", "x"],
            ),
            line_end(),
            part(&["a", "\r", "0"], &["", "ab"]),
            line_end(),
        ])
    };
    let trailers = vec(field(), 0..2)
        .prop_map(|fields| fields.concat())
        .boxed();
    let chunks = vec(chunk(), 0..3)
        .prop_map(|chunks| chunks.concat())
        .boxed();
    let last = part(&["0", "00", "0;a"], &["", "0 ", "0;\""]);
    join(vec![chunks, last, line_end(), trailers, line_end()])
}

fn body() -> Part {
    let plain = part(
        &["", "", "a", "abc", "GET / HTTP/1.1\r\n"],
        &["\r\n", "\r\n\r\n", "\n"],
    );
    prop_oneof![plain, chunks()].boxed()
}

/// A message whose head says how its body comes, and says the truth.
fn framed(first_line: &'static str) -> Part {
    let lengths = vec(any::<u8>(), 0..12).prop_map(move |body| {
        let length = format!("{first_line}\r\nContent-Length: {}\r\n\r\n", body.len());
        [length.as_bytes(), &body].concat()
    });
    let head = format!("{first_line}\r\nTransfer-Encoding: chunked\r\n\r\n").into_bytes();
    prop_oneof![lengths.boxed(), join(vec![Just(head).boxed(), chunks()])].boxed()
}

#[derive(Clone, Debug)]
enum Spoil {
    Replace(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Double(Index),
}

fn spoil() -> impl Strategy<Value = Spoil> {
    let byte = || prop_oneof![select(b"\r\n \t:;#\0\"\\0a,".as_slice()), any::<u8>(),];
    prop_oneof![
        (any::<Index>(), byte()).prop_map(|(at, byte)| Spoil::Replace(at, byte)),
        (any::<Index>(), byte()).prop_map(|(at, byte)| Spoil::Insert(at, byte)),
        any::<Index>().prop_map(Spoil::Remove),
        any::<Index>().prop_map(Spoil::Double),
    ]
}

fn spoilt(mut text: Vec<u8>, spoils: Vec<Spoil>) -> Vec<u8> {
    for spoil in spoils {
        if text.is_empty() {
            break;
        }
        match spoil {
            Spoil::Replace(at, byte) => *at.get_mut(&mut text) = byte,
            Spoil::Insert(at, byte) => text.insert(at.index(text.len()), byte),
            Spoil::Remove(at) => {
                text.remove(at.index(text.len()));
            }
            Spoil::Double(at) => {
                let at = at.index(text.len());
                text.insert(at, text[at]);
            }
        }
    }
    text
}

fn now_and_then_spoilt(text: Part) -> Part {
    let spoils =
        prop_oneof![2 => Just(0..1), 1 => Just(1..3)].prop_flat_map(|many| vec(spoil(), many));
    (text, spoils)
        .prop_map(|(text, spoils)| spoilt(text, spoils))
        .boxed()
}

fn messages(one: Part, most: usize) -> Part {
    let empty_line = part(&["", "", "\r\n"], &["\n", "\r\n\r\n", "\r"]);
    let one = join(vec![empty_line, one]);
    let all = vec(one, 1..=most).prop_map(|all| all.concat()).boxed();
    now_and_then_spoilt(all)
}

/// Requests, or nearly.
pub(super) fn requests() -> Part {
    let one = prop_oneof![
        1 => join(vec![head(request_line()), body()]),
        1 => framed("PUT /a HTTP/1.1"),
    ];
    messages(one.boxed(), 3)
}

/// An answer with some before it and behind it, or nearly.
pub(super) fn answers() -> Part {
    let one = prop_oneof![
        1 => join(vec![head(status_line()), body()]),
        1 => framed("HTTP/1.1 200 OK"),
        1 => Just(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()),
    ];
    messages(one.boxed(), 3)
}
