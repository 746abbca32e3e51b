//! Hands the arguments to the command line and turns its result into an exit code.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Gives idle connections the least memory of the allocators that were measured, and gives back to
/// the system what a crowd has left behind.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    vestibule::cli::run()
}
