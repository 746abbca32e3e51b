//! Everything of ours that a person sees, and the refusals that machines read.
//!
//! What happened is told by a [`Notice`], in words from a [`Language`]'s catalogue; templates only
//! arrange them. Pages need no script, say nothing about the inside (no version, no address of an
//! app, no text of a provider: S-083, S-238), and every answer made here carries the same security
//! headers, because all of them leave through one function of `render.rs`.

mod assets;
mod catalogue;
mod english;
mod notice;
mod problem;
mod render;
mod shown;
mod view;

pub use assets::asset;
pub use catalogue::Language;
pub use notice::{Attempt, ForbiddenReason, Notice, SignInFault};
pub use problem::{Problem, problem};
pub use render::{PageContext, PageResponse, empty, json, redirect, respond, tell, tell_as};
