//! Fuzz targets: plain functions that take any bytes and panic where a promise is broken.
//!
//! They have two drivers. `fuzz/fuzz_targets` hands them to libFuzzer; `tests/it/fuzz.rs` replays
//! `fuzz/corpus` and mutates it for a while in every run of the tests.

pub mod answer_head;
pub mod cookie;
pub mod head;
pub mod host;
pub mod house;
pub mod http1;
pub mod http2;
pub mod proxy_header;
pub mod return_target;
pub mod route_file;

/// A target.
pub type Target = fn(&[u8]);

/// Every target with the name of its corpus.
pub const ALL: &[(&str, Target)] = &[
    ("answer_head", answer_head::check),
    ("cookie", cookie::check),
    ("head", head::check),
    ("host", host::check),
    ("proxy_header", proxy_header::check),
    ("return_target", return_target::check),
    ("route_file", route_file::check),
];
