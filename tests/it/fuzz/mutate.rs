//! Changes seeds a little: bits, bytes, pieces of other seeds, words that matter, numbers.

use super::Random;

/// No input grows beyond this, in bytes.
const LONGEST: usize = 8 * 1024;

/// What readers of HTTP, cookies, addresses and route files stumble over.
const WORDS: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    "\0",
    "\t",
    " ",
    ":",
    ";",
    ",",
    "=",
    "\"",
    "#",
    "?",
    "//",
    "/../",
    "/./",
    "%2e%2e",
    "%2f",
    "%5c",
    "%00",
    "%",
    "\\",
    "@",
    "[::1]",
    ":443",
    ":0",
    "app.test",
    "other.test",
    "https://app.test",
    "http://",
    "/admin",
    "/open/",
    "/.vestibule/",
    "/answer",
    "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n",
    "POST ",
    "HEAD ",
    "OPTIONS * ",
    "HTTP/1.0",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "content-length",
    "Transfer-Encoding: chunked\r\n",
    "chunked",
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "Connection: ",
    "keep-alive",
    "close",
    "X-Remote-User: root\r\n",
    "x_remote.user: root\r\n",
    "X-Forwarded-User: root\r\n",
    "X-Forwarded-Host: evil.test\r\n",
    "X-Auth-Name",
    "Cookie: ",
    "__Host-vestibule={session}",
    "__host-VESTIBULE",
    "{session}",
    "{other}",
    "Set-Cookie: ",
    "Strict-Transport-Security: max-age=0\r\n",
    "session",
    "from = ",
    "allow = \"signed-in\"\n",
    "[[public]]\npath = ",
    "[identity.headers]\n",
    "{user}",
    "'''",
    "[",
    "]",
    "{",
    "}",
    "\u{feff}",
    "\u{2028}",
];

const NUMBERS: &[&str] = &[
    "0",
    "00",
    "1",
    "-1",
    "+1",
    "2147483648",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "0x10",
    "1e3",
    "ffffffffffffffff",
];

/// Makes one input after another.
pub(super) struct Mutator {
    corpus: Vec<Vec<u8>>,
    random: Random,
}

impl Mutator {
    pub(super) fn new(corpus: Vec<Vec<u8>>, random: Random) -> Self {
        Self { corpus, random }
    }

    pub(super) fn next(&mut self) -> Vec<u8> {
        let mut input = self.seed();
        for _ in 0..=self.random.below(4) {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    fn seed(&mut self) -> Vec<u8> {
        self.corpus[self.random.below(self.corpus.len())].clone()
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.random.below(input.len() + 1);
        let end = (at + 1 + self.random.below(16)).min(input.len());
        match self.random.below(10) {
            0 if at < input.len() => input[at] ^= 1 << self.random.below(8),
            1 if at < input.len() => input[at] = self.random.byte(),
            2 => drop(input.drain(at..end)),
            3 => {
                let piece = input[at..end].to_vec();
                input.splice(at..at, piece);
            }
            4 => {
                let other = self.seed();
                let from = self.random.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            5 => self.change_number(input, at),
            6 => self.move_line(input),
            7 if at < input.len() => input[at] = input[at].swap_case(),
            8 => {
                let word = self.random.of(WORDS).bytes();
                input.splice(at..end, word);
            }
            _ => {
                let word = self.random.of(WORDS).bytes();
                input.splice(at..at, word);
            }
        }
    }

    /// Replaces the first number behind `at`.
    fn change_number(&mut self, input: &mut Vec<u8>, at: usize) {
        let digits = |it: &u8| it.is_ascii_digit();
        let Some(begin) = input[at..].iter().position(digits).map(|it| at + it) else {
            return;
        };
        let length = input[begin..].iter().take_while(|it| digits(it)).count();
        let number = self.random.of(NUMBERS).bytes();
        input.splice(begin..begin + length, number);
    }

    /// Puts one line before another.
    fn move_line(&mut self, input: &mut Vec<u8>) {
        let mut lines: Vec<_> = input.split_inclusive(|it| *it == b'\n').collect();
        if lines.is_empty() {
            return;
        }
        let from = self.random.below(lines.len());
        let line = lines[from];
        if !self.random.once_in(3) {
            lines.remove(from);
        }
        lines.insert(self.random.below(lines.len() + 1), line);
        *input = lines.concat();
    }
}

/// The other case of a letter, and itself of anything else.
trait SwapCase {
    fn swap_case(self) -> Self;
}

impl SwapCase for u8 {
    fn swap_case(self) -> Self {
        if self.is_ascii_alphabetic() {
            self ^ 0x20
        } else {
            self
        }
    }
}

#[test]
fn inputs_differ_and_come_again_with_their_seed() {
    let corpus = vec![
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        b"12".to_vec(),
    ];
    let inputs = |seed| {
        let mut mutator = Mutator::new(corpus.clone(), Random::new(seed));
        (0..200).map(|_| mutator.next()).collect::<Vec<_>>()
    };
    assert_eq!(inputs(1), inputs(1));
    assert_ne!(inputs(1), inputs(2));
    let distinct: std::collections::HashSet<_> = inputs(1).into_iter().collect();
    assert!(distinct.len() > 150, "{}", distinct.len());
}
