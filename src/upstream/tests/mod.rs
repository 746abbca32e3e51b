//! Tests of what crosses, rule by rule and byte by byte.

mod answer_rules;
mod guarded;
mod http2;
mod identity_rules;
mod request_rules;
mod seats;
mod support;
mod wire;
