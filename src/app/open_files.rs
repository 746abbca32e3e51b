//! How the files that this process may have open are shared: one for each client's connection, one for
//! each connection to an app, a few more. Never lowers the limit.
//!
//! What may be open is counted from above: no connection of either kind is made without a seat. The
//! seats towards apps are as many as clients have, or as many fewer as there are too few files, but
//! half at the least; below that the operator is told, and files may run out.

use crate::{config::Config, telemetry::chain};

use super::threads::ROOM_BESIDE;

/// Logs, the state folder, the control runtime, and requests to providers, which are bounded there.
const FURTHER_FILES: usize = 128;

/// Of one data thread: its runtime's three, its listening socket, and a connection that was accepted
/// and waits for room.
const FILES_PER_THREAD: usize = 5;

/// Of one data thread for fronts: its listening socket, and a connection that waits for room.
const FILES_PER_THREAD_FOR_FRONTS: usize = 2;

/// Raises the limit as far as it goes, and says so if that is too little for `connections`. Returns how
/// many connections to apps there may be.
pub(super) fn allow_for(config: &Config) -> usize {
    let need = Need::of(config);
    let allowed = match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(allowed) => allowed,
        Err(error) => {
            tracing::warn!(
                error = chain(&error),
                needed = need.all(need.clients),
                "failed to raise the limit of open files; see to it that it is high enough (ulimit -n)"
            );
            // Nobody is refused because of what we could not find out.
            return need.clients;
        }
    };
    let allowed = usize::try_from(allowed).unwrap_or(usize::MAX);
    let needed = need.all(need.fewest_seats());
    if allowed < needed {
        tracing::warn!(
            connections = need.clients,
            needed,
            allowed,
            "the system allows this process too few open files for [limits] connections: beyond them \
             clients wait although there should be room; raise the hard limit (LimitNOFILE= of the \
             unit, ulimit -Hn, --ulimit of the container), or lower connections"
        );
    }
    need.seats(allowed)
}

/// What files are needed for.
#[derive(Clone, Copy, Debug)]
struct Need {
    /// Connections of clients.
    clients: usize,
    /// Everything but connections of clients and to apps.
    further: usize,
}

impl Need {
    fn of(config: &Config) -> Self {
        let beside = [config.listen.http, config.ops].into_iter().flatten();
        let for_fronts = config.listen.plain.as_ref();
        let for_fronts = for_fronts.map_or(0, |_| FILES_PER_THREAD_FOR_FRONTS);
        Self {
            clients: config.limits.connections,
            further: FURTHER_FILES
                + config.listen.workers * (FILES_PER_THREAD + for_fronts)
                + beside.count() * ROOM_BESIDE.min(config.limits.connections),
        }
    }

    fn all(self, seats: usize) -> usize {
        self.clients
            .saturating_add(seats)
            .saturating_add(self.further)
    }

    fn fewest_seats(self) -> usize {
        self.clients.div_ceil(2)
    }

    /// How many connections to apps there may be among `allowed` files.
    fn seats(self, allowed: usize) -> usize {
        let left = allowed.saturating_sub(self.all(0));
        if left >= self.fewest_seats() {
            return left.min(self.clients);
        }
        // There is no bound that holds for both; clients are told to wait, apps are not asked in vain.
        let half = allowed.saturating_sub(self.further) / 2;
        half.clamp(1, self.fewest_seats().max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By default, on four cores.
    const USUAL: Need = Need {
        clients: 10_000,
        further: FURTHER_FILES + 4 * FILES_PER_THREAD,
    };

    #[test]
    fn apps_have_what_clients_leave_of_the_files_up_to_as_many_as_they() {
        // S-260
        for (allowed, seats) in [
            (1_048_576, 10_000),
            (20_148, 10_000),
            (20_147, 9_999),
            (20_000, 9_852),
            (15_148, 5_000),
        ] {
            assert_eq!(USUAL.seats(allowed), seats, "of {allowed}");
            assert!(USUAL.all(seats) <= allowed, "it is a bound");
            assert!(USUAL.all(USUAL.fewest_seats()) <= allowed, "no warning");
        }
    }

    #[test]
    fn with_too_few_files_apps_have_half_of_them_and_never_none() {
        for (allowed, seats) in [
            (15_147, 5_000),
            (8_340, 4_096),
            (1_024, 438),
            (64, 1),
            (0, 1),
        ] {
            assert!(USUAL.all(USUAL.fewest_seats()) > allowed, "a warning");
            assert_eq!(USUAL.seats(allowed), seats, "of {allowed}");
        }
        let endless = Need {
            clients: usize::MAX,
            further: 1,
        };
        assert_eq!(endless.all(usize::MAX), usize::MAX);
        assert_eq!(endless.seats(101), 50);
    }
}
