//! Sessions: who is in, until when.
//!
//! A session's end is fixed when it is made and nothing here can move it later; `cookie` knows how
//! a browser carries it, [`store`] what a store promises, [`memory`] keeps it that promise, and
//! [`snapshot`] carries what is in it from one process to the next.

pub mod cookie;
pub mod memory;
pub mod model;
pub mod snapshot;
pub mod store;

pub use self::{
    memory::MemoryStore,
    model::{EndCause, RouteView, Session, SessionKey, SessionToken, SignIn},
    snapshot::{Judge, Snapshots},
    store::{Selection, SessionStore, StoreError},
};
