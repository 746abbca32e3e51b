//! Why connections are ended by a limit: the words of `vestibule_connections_cut_total`.

use super::{frame_budget, room::OF_ROOM};
use crate::{head_guard::HeadFault, telemetry::Metrics};

/// The words that are said where they belong, beside those of a head and of a client's budgets.
const SAID: [&str; 7] = [
    "connections_per_address",
    "flood_continuation",
    "flood_http2",
    "frame_timeout",
    "proxy_header",
    "tls_timeout",
    "untrusted_front",
];

/// Shows every word at zero before the first connection was ended by it.
pub fn expect_cuts(metrics: &Metrics) {
    for word in words() {
        metrics.expect_connection_cut(word);
    }
}

fn words() -> impl Iterator<Item = &'static str> {
    let of_budgets = frame_budget::reasons();
    SAID.into_iter()
        .chain(of_budgets)
        .chain([HeadFault::Late.reason(), OF_ROOM])
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::telemetry::words::assert_explained;

    /// The code of this module, without its tests and without this file.
    fn code() -> String {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/listener");
        let files = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
        let files = files.filter(|it| it.is_file() && !it.ends_with("cut.rs"));
        files
            .map(|it| fs::read_to_string(it).unwrap())
            .map(|it| it.split("\nmod tests").next().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn every_word_is_listed_and_explained() {
        assert_explained(words());
        let code = code();
        for word in SAID {
            assert!(code.contains(&format!("\"{word}\"")), "nobody says {word}");
        }
        for (_, rest) in code.match_indices("connection_cut(").map(|(at, it)| {
            let rest = &code[at + it.len()..];
            (at, rest.split(')').next().unwrap())
        }) {
            let is_listed = words().any(|word| rest == format!("\"{word}\""));
            let is_of_a_list = rest == "reason" || rest == "OF_ROOM" || rest.ends_with("reason(");
            assert!(is_listed || is_of_a_list, "{rest} is on no list");
        }
    }
}
