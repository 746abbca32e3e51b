//! What a client can do against HTTP/2 and HPACK, and what comes of it: bytes on a TLS connection
//! to the whole application, judged by what the server says (RFC 9113, RFC 7541, RFC 8441).
//!
//! Every case has a connection of its own and a session, and ends with a PING and a good request on
//! that connection; so "nothing happens" means that both were answered. Requests that no app may
//! see carry a mark, and no app sees it, but for the cases below.
//!
//! 421 cases: 311 end as the standard says, 56 with a less specific code, 43 with the
//! connection instead of the stream, 11 as the table lists.
//!
//! "A less specific code" is `PROTOCOL_ERROR` where RFC 9113 names `FRAME_SIZE_ERROR`,
//! `FLOW_CONTROL_ERROR` or `COMPRESSION_ERROR`: the connection ends all the same, and nobody acts on
//! the code. "The connection instead of the stream" is what RFC 9113 5.4 lets every endpoint choose.
//! Both, and all of the following, are choices of the libraries below:
//!
//! | Section | Case | Reason |
//! | --- | --- | --- |
//! | 3.4 | a request before SETTINGS | a |
//! | 3.4 | a PING before SETTINGS | a |
//! | 3.4 | an acknowledgement before SETTINGS | a |
//! | 5.1 | a second head behind the end of a request | b |
//! | 8.1 | :path in trailers | c |
//! | 8.1 | :method in trailers | c |
//! | 8.1 | :status in trailers | c |
//! | 8.2.1 | an empty name at the end of a frame that does not end its block | d |
//! | 8.3.1 | a :path with a fragment | e |
//! | 8.3.1 | a :path that begins with a question mark | f |
//! | HPACK 4.2 | a size in the middle of a block, first in its frame | g |
//!
//! - a: any frame may be the first. Until SETTINGS come, all settings have their first values.
//! - b: the stream is reset with `PROTOCOL_ERROR` instead of `STREAM_CLOSED`.
//! - c: these fields of trailers are dropped, and no trailers of a request reach an app.
//! - d: a field without a name is dropped; nobody sees it, and the other fields stay.
//! - e: the fragment is cut off; rules and app see the same path.
//! - f: it is read as `/?`; rules and app see the same path.
//! - g: a size may stand at the beginning of every frame. It is within its limit all the same.

mod asks;
mod bed;
mod case;
mod ended_streams;
mod field_blocks;
mod fields;
mod flow_control;
mod forwarded;
mod frame_types;
mod framing;
mod heard;
mod hpack;
mod hpack_tables;
mod preface;
mod requests;
mod settings;
mod streams;

use std::collections::HashSet;

use self::{
    asks::Asks,
    case::{Case, Departure},
};

/// All tables, each with the test that plays it.
macro_rules! groups {
    ($($test:ident: $module:ident,)*) => {
        const TABLES: &[fn(&Asks) -> Vec<Case>] = &[$($module::cases),*];
        $(
            // S-111, S-219, S-221, S-329
            #[tokio::test]
            async fn $test() {
                bed::hold($module::cases).await;
            }
        )*
    };
}

groups! {
    a_connection_begins_with_its_preface: preface,
    frames_have_a_size_and_what_is_unknown_in_them_is_ignored: framing,
    a_field_block_is_one_unit: field_blocks,
    a_stream_is_opened_once_and_in_order: streams,
    nothing_comes_behind_the_end_of_a_stream: ended_streams,
    windows_are_kept_on_both_sides: flow_control,
    every_type_of_frame_has_its_place_and_length: frame_types,
    settings_stay_within_their_ranges: settings,
    a_malformed_request_reaches_no_app: requests,
    a_malformed_field_reaches_no_app: fields,
    a_field_block_that_cannot_be_read_ends_its_connection: hpack,
    both_sides_hold_the_same_table: hpack_tables,
}

#[test]
fn what_departs_from_the_standard_is_listed_and_counted() {
    let documentation: Vec<_> = include_str!("http2_conformance.rs")
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .collect();
    let asks = Asks {
        authority: "wiki.example:443".to_owned(),
        cookie: "session=1".to_owned().repeat(10),
    };
    let cases: Vec<_> = TABLES.iter().flat_map(|table| table(&asks)).collect();
    let names: HashSet<_> = cases.iter().map(|it| (it.section, it.name)).collect();
    assert_eq!(names.len(), cases.len(), "two cases of one name");

    let departing = |departure| {
        let departs = |it: &&Case| matches!(&it.departs, Some((is, _)) if *is == departure);
        cases.iter().filter(departs).collect::<Vec<_>>()
    };
    let [code, wider, listed] =
        [Departure::Code, Departure::Wider, Departure::Listed].map(departing);
    let rows = documentation.iter().filter(|line| line.starts_with(" | "));
    // Two lines are the head of the table.
    assert_eq!(rows.count(), listed.len() + 2);
    for case in &listed {
        let row = format!(" | {} | {} |", case.section, case.name);
        let is_listed = documentation.iter().any(|line| line.starts_with(&row));
        assert!(is_listed, "no row for{row}");
    }
    let strict = cases.len() - code.len() - wider.len() - listed.len();
    let counts = format!(
        " {} cases: {strict} end as the standard says, {} with a less specific code, {} with the\n \
         connection instead of the stream, {} as the table lists.",
        cases.len(),
        code.len(),
        wider.len(),
        listed.len()
    );
    assert!(documentation.join("\n").contains(&counts), "{counts}");
}
