//! What never passes from a client: the names, compared the way apps fold them.
//!
//! Gateways between us and the app's code (CGI, WSGI, PHP, servlet filters) read `-`, `_`, `.` and
//! more as one and the same byte. Names are therefore compared folded: lower case, and every byte
//! that is no letter or digit read as `_` (S-001, S-012, S-015, S-025). The list is the same for
//! every route: a header that any route could set is taken from the requests of all.

use http::HeaderName;

use crate::{config::route::Route, reserved::REQUEST_FIELDS};

/// Whole families of such names. `x_vestibule_` is what we call our own.
const NEVER_FROM_A_CLIENT_BELOW: &[&str] = &["x_accel_", "x_forwarded_", "x_vestibule_"];

/// The identity headers of a route that configures none; removed even if every route configures
/// others, because an app may still believe them.
const DEFAULT_IDENTITY_HEADERS: &[&str] = &[
    "x_forwarded_email",
    "x_forwarded_groups",
    "x_forwarded_preferred_username",
    "x_forwarded_user",
];

/// The names that are removed from every request, on every route, public ones too.
#[derive(Clone, Debug)]
pub struct RemovalList(FoldedNames);

impl RemovalList {
    /// The fixed names and the identity headers of all `routes`.
    #[must_use]
    pub fn new(routes: &[Route]) -> Self {
        let identity = routes.iter().flat_map(|route| &route.identity.headers);
        let fixed = REQUEST_FIELDS.iter().chain(DEFAULT_IDENTITY_HEADERS);
        Self(FoldedNames::new(fixed.map(|name| name.as_bytes()).chain(
            identity.map(|header| header.name.as_str().as_bytes()),
        )))
    }

    /// Whether a client's field of this name is removed. Allocates nothing.
    #[must_use]
    pub fn removes(&self, name: &HeaderName) -> bool {
        let name = name.as_str().as_bytes();
        self.0.contains(name)
            || NEVER_FROM_A_CLIENT_BELOW
                .iter()
                .any(|family| is_below(name, family.as_bytes()))
    }
}

/// Reads a byte of a name the way a CGI-style mapper does.
const fn fold(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' | b'0'..=b'9' => byte,
        b'A'..=b'Z' => byte.to_ascii_lowercase(),
        _ => b'_',
    }
}

fn is_below(name: &[u8], family: &[u8]) -> bool {
    name.len() >= family.len() && name.iter().zip(family).all(|(byte, of)| fold(*byte) == *of)
}

/// A set of names that is asked about in any spelling.
#[derive(Clone, Debug)]
pub(super) struct FoldedNames {
    /// Folded, sorted, without duplicates.
    names: Vec<Box<[u8]>>,
    /// For every length up to [`LONGEST_INDEXED`], the first bytes that a name of that length has:
    /// nearly every field of a usual request is done with after one look.
    firsts: [u64; LONGEST_INDEXED + 1],
}

const LONGEST_INDEXED: usize = 40;

impl FoldedNames {
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut names: Vec<Box<[u8]>> = names
            .map(|name| name.iter().copied().map(fold).collect())
            .collect();
        names.sort();
        names.dedup();
        let mut firsts = [0; LONGEST_INDEXED + 1];
        for name in &names {
            if let (Some(first), Some(seen)) = (name.first(), firsts.get_mut(name.len())) {
                *seen |= bit(*first);
            }
        }
        Self { names, firsts }
    }

    pub(super) fn contains(&self, name: &[u8]) -> bool {
        let Some(first) = name.first() else {
            return false;
        };
        if let Some(seen) = self.firsts.get(name.len())
            && seen & bit(fold(*first)) == 0
        {
            return false;
        }
        let folded = || name.iter().copied().map(fold);
        self.names
            .binary_search_by(|candidate| candidate.iter().copied().cmp(folded()))
            .is_ok()
    }
}

/// One bit for each byte that a folded name can hold.
const fn bit(folded: u8) -> u64 {
    match folded {
        b'a'..=b'z' => 1 << (folded - b'a'),
        b'0'..=b'9' => 1 << (26 + folded - b'0'),
        _ => 1 << 36,
    }
}
