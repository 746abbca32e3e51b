//! How many files this process may have open: as many as the system lets it, since each connection
//! is one, and its way to an app another. Never lowers the limit.

use crate::telemetry::chain;

/// A client's connection, and the one to an app that may go with it.
const FILES_PER_CONNECTION: u64 = 2;
/// Listeners, runtimes, logs, the state folder, providers.
const FURTHER_FILES: u64 = 64;

/// Raises the limit as far as it goes, and says so if that is too little for `connections`, and for so
/// many `beside` them that lead to no app.
pub(super) fn allow_for(connections: usize, beside: usize) {
    let needed = files_needed(connections, beside);
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(allowed) if allowed < needed => tracing::warn!(
            connections,
            needed,
            allowed,
            "the system allows this process too few open files for [limits] connections: beyond them \
             clients wait although there should be room; raise the hard limit (LimitNOFILE= of the \
             unit, ulimit -Hn, --ulimit of the container), or lower connections"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(
            error = chain(&error),
            needed,
            "failed to raise the limit of open files; see to it that it is high enough (ulimit -n)"
        ),
    }
}

fn files_needed(connections: usize, beside: usize) -> u64 {
    let count = |connections| u64::try_from(connections).unwrap_or(u64::MAX);
    count(connections)
        .saturating_mul(FILES_PER_CONNECTION)
        .saturating_add(count(beside))
        .saturating_add(FURTHER_FILES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_needs_a_file_on_each_side() {
        assert_eq!(files_needed(10_000, 0), 20_064);
        assert_eq!(files_needed(10_000, 1_000), 21_064);
        assert_eq!(files_needed(usize::MAX, 0), u64::MAX);
    }
}
