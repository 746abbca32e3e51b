//! The access log: one line per request, from whatever thread, on standard output.
//!
//! Never waits for the disk: a line that nobody takes is dropped and counted.

use std::io::{self, Write};

use serde::Serialize;
use tracing_appender::non_blocking::{
    DEFAULT_BUFFERED_LINES_LIMIT, ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard,
};

use crate::config::AccessLog;

/// One line of the access log.
#[derive(Debug, Serialize)]
pub struct AccessRecord<'a> {
    /// When the exchange ended.
    pub time: String,
    /// The id that the app and our pages were given.
    pub request_id: &'a str,
    /// The client's address.
    pub peer: String,
    /// The protocol: `h1` or `h2`.
    pub protocol: &'static str,
    /// The method.
    pub method: &'a str,
    /// The host of the route, or the one that was asked for in vain.
    pub host: Option<&'a str>,
    /// The path, without the query.
    pub path: &'a str,
    /// The route that decided.
    pub route: Option<&'a str>,
    /// What was decided.
    pub decision: &'static str,
    /// Why, in one word.
    pub reason: &'a str,
    /// The status of the answer.
    pub status: u16,
    /// The user name the app was told.
    pub user: Option<&'a str>,
    /// How the exchange ended.
    pub ended: &'static str,
    /// How many bytes of the answer's body were handed on.
    pub bytes: u64,
    /// From the request's head to the answer's, in microseconds.
    pub micros: u64,
    /// From the request's head to the end of the exchange, in microseconds.
    pub total_micros: u64,
}

/// Writes access records from whatever thread, without waiting for the disk.
#[derive(Clone)]
pub struct AccessWriter(Option<(AccessLog, NonBlocking)>);

impl AccessWriter {
    /// Writes to standard output in the configured form. The guard writes out what is pending
    /// when it is dropped.
    #[must_use]
    pub fn to_stdout(form: AccessLog) -> (Self, Option<WorkerGuard>) {
        if form == AccessLog::Off {
            return (Self(None), None);
        }
        let (writer, guard) = Self::to(io::stdout(), form);
        (writer, Some(guard))
    }

    /// Writes to `sink` from a thread of its own; as JSON unless text is asked for.
    pub fn to(sink: impl Write + Send + 'static, form: AccessLog) -> (Self, WorkerGuard) {
        Self::holding(sink, form, DEFAULT_BUFFERED_LINES_LIMIT)
    }

    /// Keeps so many lines for a sink that does not take them; what comes on top is dropped.
    fn holding(
        sink: impl Write + Send + 'static,
        form: AccessLog,
        lines: usize,
    ) -> (Self, WorkerGuard) {
        let builder = NonBlockingBuilder::default().lossy(true);
        let (writer, guard) = builder.buffered_lines_limit(lines).finish(sink);
        (Self(Some((form, writer))), guard)
    }

    /// Whether a record would be written at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Counts the lines that were dropped.
    pub(super) fn dropped(&self) -> Option<ErrorCounter> {
        self.0.as_ref().map(|(_, writer)| writer.error_counter())
    }

    /// Writes one line.
    pub fn write(&self, record: &AccessRecord<'_>) {
        let Some((form, writer)) = &self.0 else {
            return;
        };
        let mut line = match form {
            AccessLog::Json | AccessLog::Off => serde_json::to_vec(record).unwrap_or_default(),
            AccessLog::Text => text_line(record).into_bytes(),
        };
        line.push(b'\n');
        // A full queue drops the line rather than holding up a request; the writer counts those.
        let _ = writer.clone().write_all(&line);
    }
}

fn text_line(record: &AccessRecord<'_>) -> String {
    format!(
        "{} {} {} {} {} {} {} route={} {}({}) user={} id={} ended={} bytes={} head={}us \
         total={}us",
        record.time,
        record.peer,
        record.protocol,
        record.method,
        record.host.unwrap_or("-").escape_debug(),
        record.path.escape_debug(),
        record.status,
        record.route.unwrap_or("-"),
        record.decision,
        record.reason,
        record
            .user
            .map_or_else(|| "-".to_owned(), |user| user.escape_debug().to_string()),
        record.request_id,
        record.ended,
        record.bytes,
        record.micros,
        record.total_micros,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Clock,
        telemetry::{Decision, Metrics},
    };

    fn record() -> AccessRecord<'static> {
        AccessRecord {
            time: "2026-11-21T19:29:53Z".to_owned(),
            request_id: "0af7651916cd43dd8448eb211c80319c",
            peer: "192.0.2.1".to_owned(),
            protocol: "h2",
            method: "GET",
            host: Some("wiki.example.com"),
            path: "/a\u{1b}[31m",
            route: Some("wiki"),
            decision: Decision::Allow.word(),
            reason: "session",
            status: 200,
            user: Some("ann\n@example.com"),
            ended: "whole",
            bytes: 7,
            micros: 42,
            total_micros: 43,
        }
    }

    #[test]
    fn a_line_of_the_access_log_cannot_be_broken_from_outside() {
        let json = serde_json::to_string(&record()).unwrap();
        for line in [json, text_line(&record())] {
            assert!(!line.contains(['\n', '\u{1b}']), "{line}");
            assert!(
                line.contains("wiki.example.com") && line.contains("allow"),
                "{line}"
            );
        }
    }

    /// Takes nothing for as long as the test holds the other end.
    struct Blocked(std::sync::mpsc::Receiver<()>);

    impl Write for Blocked {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_log_that_nobody_takes_holds_nobody_up_and_counts_what_it_drops() {
        // S-267
        let metrics = Metrics::new(Clock::system());
        let (release, held) = std::sync::mpsc::channel();
        let (writer, guard) = AccessWriter::holding(Blocked(held), AccessLog::Json, 10);
        metrics.watch(&writer);
        let dropped = || {
            let text = metrics.text(0);
            let (_, tail) = text
                .split_once("vestibule_access_lines_dropped_total ")
                .unwrap();
            tail.lines().next().unwrap().parse::<u64>().unwrap()
        };
        assert_eq!(dropped(), 0);
        for _ in 0..100 {
            writer.write(&record());
        }
        // Ten wait, one at most is being written.
        assert!((89..=90).contains(&dropped()), "{}", dropped());
        drop(release);
        drop(guard);
        assert!((89..=90).contains(&dropped()), "{}", dropped());
    }
}
