//! What a request costs, in time and in allocations: its pieces one by one, and its whole way from a
//! client's bytes to an app and back.
//!
//! Uses what the crate shows to everybody and nothing else. Asserts that each piece does what it is
//! measured at, never how long it takes: times are compared by whoever reads them, between two runs on
//! the same quiet machine.

mod app;
mod browser;
mod fields;
mod gateway;
mod heads;
mod house;
mod memory;
mod people;
mod routes;
mod sessions;

use divan::AllocProfiler;

/// The allocator of the program, with a count of what it is asked for.
#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    match memory::wanted() {
        Some(sessions) => memory::report(sessions),
        None => divan::main(),
    }
}
