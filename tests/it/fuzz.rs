//! The fuzz targets in every run: their corpus whole, then mutations of it for a while.
//!
//! `VESTIBULE_FUZZ_SECONDS` is how long all targets together are fed mutations (20 unless set), each of
//! them with `LEAST_INPUTS` at the least, however slow the machine is, but for no longer than
//! `LONGEST`; how many there were is printed. `VESTIBULE_FUZZ_SEED` chooses others than those of every
//! run.

mod mutate;
mod random;
mod shrink;

#[path = "../../fuzz/targets/mod.rs"]
#[expect(unreachable_pub, reason = "the fuzz crate has them as its library")]
pub(crate) mod targets;

use std::{
    env, fs,
    io::{self, Write},
    path::Path,
    time::Duration,
};

use vestibule::clock::Clock;

use self::{mutate::Mutator, targets::Target};
pub(crate) use self::{random::Random, shrink::holds_for};

/// The seed of every run.
const SEED: u64 = 0x5EED_7E57;

/// How many mutations every target is fed at the least.
const LEAST_INPUTS: u64 = 2_000;

/// How long a target may take to come to them.
const LONGEST: Duration = Duration::from_secs(20);

#[test]
fn every_seed_holds() {
    for (name, target) in targets::ALL {
        let corpus = corpus(name);
        assert!(corpus.len() >= 12, "{name} has {} seeds", corpus.len());
        for (file, input) in corpus {
            holds_for(&format!("{name}/{file}"), target, &input);
        }
    }
}

#[test]
fn every_target_has_its_driver_and_every_corpus_its_target() {
    let names: Vec<_> = targets::ALL.iter().map(|(name, _)| *name).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for (below, suffix) in [("corpus", ""), ("fuzz_targets", ".rs")] {
        let listed = fs::read_dir(folder.join(below)).unwrap();
        let files = listed.map(|it| it.unwrap().file_name().into_string().unwrap());
        let mut found: Vec<_> = files.collect();
        found.sort();
        let expected: Vec<_> = names.iter().map(|it| format!("{it}{suffix}")).collect();
        assert_eq!(found, expected, "{below}");
    }
}

// S-225, S-232
#[test]
fn mutated_answers_break_no_promise() {
    mutations_hold("answer_head");
}

// S-050, S-188, S-235
#[test]
fn mutated_cookies_break_no_promise() {
    mutations_hold("cookie");
}

// S-001, S-002, S-003, S-004
#[test]
fn mutated_heads_break_no_promise() {
    mutations_hold("head");
}

// S-045, S-217
#[test]
fn mutated_hosts_break_no_promise() {
    mutations_hold("host");
}

// S-072, S-073
#[test]
fn mutated_headers_of_fronts_break_no_promise() {
    mutations_hold("proxy_header");
}

#[test]
fn mutated_return_targets_break_no_promise() {
    mutations_hold("return_target");
}

#[test]
fn mutated_route_files_break_no_promise() {
    mutations_hold("route_file");
}

/// Feeds a target mutations of its corpus for its share of the time, or until they are enough.
fn mutations_hold(name: &str) {
    let found = targets::ALL.iter().find(|(it, _)| *it == name);
    let (_, target): &(_, Target) = found.unwrap();
    let seconds = variable("VESTIBULE_FUZZ_SECONDS").unwrap_or(20);
    let share = Duration::from_secs(seconds) / u32::try_from(targets::ALL.len()).unwrap();
    let seed = variable("VESTIBULE_FUZZ_SEED").unwrap_or(SEED);
    let corpus = corpus(name).into_iter().map(|(_, input)| input).collect();
    let mut mutator = Mutator::new(corpus, Random::new(seed));
    let clock = Clock::system();
    let begun = clock.now();
    let mut inputs = 0_u64;
    loop {
        let elapsed = clock.now().elapsed_since(begun);
        let is_enough = inputs >= LEAST_INPUTS || elapsed >= LONGEST;
        if is_enough && elapsed >= share {
            break;
        }
        inputs += 1;
        let what = || format!("{name}, seed {seed:#x}, input {inputs}");
        holds_for(&what(), target, &mutator.next());
    }
    let few = if inputs < LEAST_INPUTS {
        ", which is too few"
    } else {
        ""
    };
    // Past the harness, which keeps what the macros print of a test that passes.
    let mut out = io::stderr().lock();
    writeln!(out, "fuzz {name}: {inputs} inputs of seed {seed:#x}{few}").unwrap();
}

/// The seeds of a target with their names, in the order of these.
fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let listed = fs::read_dir(folder.join(name)).unwrap();
    let read = |entry: fs::DirEntry| {
        let file = entry.file_name().into_string().unwrap();
        (file, fs::read(entry.path()).unwrap())
    };
    let mut corpus: Vec<_> = listed.map(|entry| read(entry.unwrap())).collect();
    corpus.sort();
    corpus
}

/// A number from the environment; decimal, or hexadecimal behind `0x`.
pub(crate) fn variable(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    Some(number.unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}
