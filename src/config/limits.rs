//! Resolves `[limits]`: what is written within its bounds, the default for the rest.
//!
//! Never takes a value that would keep every client out or let one wait for ever. The bounds of plain
//! numbers stand in the schema; those of sizes and durations here.

use std::time::Duration;

use super::{
    document::Document,
    finding::Finding,
    listener::Limits,
    remedies,
    schema::{self, RawLimits, RawUpTo},
    size::{self, Size, SizeOrOff},
    spans::KeyPath,
    values::{Fault, Of},
};

/// hyper reads heads into a buffer of this size at the least.
const SMALLEST_HEAD: u64 = 8 * 1024;
const LARGEST_HEAD: u64 = 256 * 1024;

/// A sign-in comes back with a code and a state in its target.
const SMALLEST_TARGET: u64 = 256;
/// `http::Uri` takes no more than 65,534 bytes.
const LARGEST_TARGET: u64 = 63 * 1024;

const SMALLEST_BODY: u64 = 1024;
const LARGEST_BODY: u64 = 1024 * 1024 * 1024 * 1024;

const SHORTEST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// Resolves `[limits]`; what is out of bounds is a finding, and its default holds.
pub(super) fn resolve(document: &Document, raw: &RawLimits, findings: &mut Vec<Finding>) -> Limits {
    let default = Limits::default();
    let mut section = Section { document, findings };
    let limits = Limits {
        head_bytes: section.bytes(
            "head_bytes",
            raw.head_bytes.as_ref(),
            HEAD,
            default.head_bytes,
        ),
        headers: raw.headers.unwrap_or(default.headers),
        target_bytes: section.bytes(
            "target_bytes",
            raw.target_bytes.as_ref(),
            TARGET,
            default.target_bytes,
        ),
        head_timeout: section.wait(
            "head_timeout",
            raw.head_timeout.as_ref(),
            default.head_timeout,
        ),
        tls_timeout: section.wait("tls_timeout", raw.tls_timeout.as_ref(), default.tls_timeout),
        idle: section.wait("idle", raw.idle.as_ref(), default.idle),
        body_idle: section.wait("body_idle", raw.body_idle.as_ref(), default.body_idle),
        streams: raw.streams.unwrap_or(default.streams),
        connections: raw.connections.unwrap_or(default.connections),
        connections_per_address: match raw.connections_per_address {
            Some(RawUpTo::Count(count)) => Some(count),
            Some(RawUpTo::Off(_)) => None,
            None => default.connections_per_address,
        },
        body_bytes: section.body("body_bytes", raw.body_bytes.as_ref(), default.body_bytes),
        public_body_bytes: section.body(
            "public_body_bytes",
            raw.public_body_bytes.as_ref(),
            default.public_body_bytes,
        ),
    };
    section.target_fits_head(&limits);
    limits
}

/// The least and the most bytes.
type Bounds = (u64, u64);

const HEAD: Bounds = (SMALLEST_HEAD, LARGEST_HEAD);
const TARGET: Bounds = (SMALLEST_TARGET, LARGEST_TARGET);
const BODY: Bounds = (SMALLEST_BODY, LARGEST_BODY);

struct Section<'a> {
    document: &'a Document,
    findings: &'a mut Vec<Finding>,
}

impl Section<'_> {
    fn bytes(
        &mut self,
        key: &str,
        raw: Option<&Of<Size>>,
        bounds: Bounds,
        default: usize,
    ) -> usize {
        let within = raw.and_then(|raw| self.within(key, raw.0, bounds));
        within
            .and_then(|size| usize::try_from(size.0).ok())
            .unwrap_or(default)
    }

    fn body(
        &mut self,
        key: &str,
        raw: Option<&Of<SizeOrOff>>,
        default: Option<u64>,
    ) -> Option<u64> {
        match raw.map(|raw| raw.0.0) {
            None => default,
            Some(None) => None,
            Some(Some(size)) => match self.within(key, size, BODY) {
                Some(size) => Some(size.0),
                None => default,
            },
        }
    }

    fn within(&mut self, key: &str, size: Size, (least, most): Bounds) -> Option<Size> {
        if (least..=most).contains(&size.0) {
            return Some(size);
        }
        self.out_of_range(key, "the size is out of range");
        None
    }

    fn wait(&mut self, key: &str, raw: Option<&Of<Duration>>, default: Duration) -> Duration {
        match raw.map(|raw| raw.0) {
            Some(wait) if !(SHORTEST_WAIT..=LONGEST_WAIT).contains(&wait) => {
                self.out_of_range(key, "the duration is out of range");
                default
            }
            written => written.unwrap_or(default),
        }
    }

    /// The target is a part of the head.
    fn target_fits_head(&mut self, limits: &Limits) {
        if limits.target_bytes < limits.head_bytes {
            return;
        }
        let target = KeyPath::of(&["limits", "target_bytes"]);
        // What an operator did not write cannot be what is wrong.
        let key = if self.document.has(&target) {
            "target_bytes"
        } else {
            "head_bytes"
        };
        let fault = Fault::new(
            format!(
                "a head of {} has no room for a target of {}",
                size::written(limits.head_bytes as u64),
                size::written(limits.target_bytes as u64),
            ),
            format!(
                "write target_bytes below head_bytes, \"{}\"",
                size::written(limits.head_bytes as u64 / 2)
            ),
        );
        self.fault(key, fault);
    }

    fn out_of_range(&mut self, key: &str, message: &str) {
        let path = KeyPath::of(&["limits", key]);
        let remedy = remedies::allowed(&schema::main_file(), &path);
        self.findings
            .push(self.document.error(&path, Fault::new(message, remedy)));
    }

    fn fault(&mut self, key: &str, fault: Fault) {
        let path = KeyPath::of(&["limits", key]);
        self.findings.push(self.document.error(&path, fault));
    }
}
