//! Tests of the guard: tables for every rule, in every way that bytes may come; a second parser and
//! hyper itself to compare with.

mod answers;
mod beside_hyper;
mod bodies;
mod guard;
mod near_valid;
mod properties;
mod requests;
mod second_parser;
mod support;
