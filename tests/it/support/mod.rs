//! What the tests stand on: servers and clients of their own, on loopback, that can lie.

pub(crate) mod clock;
