//! The composition root: reads and checks what the operator typed, builds every part from it, starts
//! the threads, and owns the order in which they stop.
//!
//! Nothing below knows this module; what has to be decided here is only who is handed what.

mod app_tls;
mod changes;
mod checkups;
mod follow;
mod front_sockets;
mod handover;
mod inherited;
mod kept_up;
mod open_files;
mod prepare;
mod reload;
mod running;
mod start;
mod threads;

pub use self::{
    follow::LOOK_INTERVAL,
    inherited::{InheritError, Inherited, Word, tell},
    prepare::{Prepared, Ready, prepare},
    running::Running,
    start::{start, start_with, start_with_access_log},
};
