//! How many connections one address has at once.
//!
//! Keeps nothing of an address that has none. Knows no front: which address counts is decided before.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

/// The connections of each address, up to a limit; an IPv6 address counts with the whole /64 that a
/// household is given.
#[derive(Debug)]
pub(super) struct PerAddress {
    limit: usize,
    counts: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection of an address; it counts until this is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    all: Arc<PerAddress>,
    key: IpAddr,
}

impl PerAddress {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        let counts = Mutex::default();
        Arc::new(Self { limit, counts })
    }

    /// Counts one more connection of this address; `None` if it has as many as it may.
    pub(super) fn count(self: &Arc<Self>, address: IpAddr) -> Option<Counted> {
        let key = key(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        let all = Arc::clone(self);
        Some(Counted { all, key })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let all = &self.all;
        let mut counts = all.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

fn key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_as_many_as_it_may_and_no_other_pays_for_it() {
        let all = PerAddress::new(2);
        let first = all.count(at("192.0.2.1")).unwrap();
        let _second = all.count(at("::ffff:192.0.2.1")).unwrap();
        assert!(all.count(at("192.0.2.1")).is_none());
        let _other = all.count(at("192.0.2.2")).unwrap();
        drop(first);
        assert!(all.count(at("192.0.2.1")).is_some());
    }

    #[test]
    fn a_household_of_ipv6_is_one_address() {
        let all = PerAddress::new(1);
        let _one = all.count(at("2001:db8::1")).unwrap();
        assert!(all.count(at("2001:db8::ffff:ffff:ffff:ffff")).is_none());
        assert!(all.count(at("2001:db8:0:1::1")).is_some());
    }

    #[test]
    fn nothing_is_kept_of_an_address_that_has_none() {
        let all = PerAddress::new(1);
        drop(all.count(at("192.0.2.1")));
        assert!(all.counts.lock().unwrap().is_empty());
    }
}
