//! Says what a reload changed, or why it changed nothing: names of keys, never their values.

use crate::config::{
    difference::{Change, Difference},
    finding::{Finding, Severity},
};

/// What a reload changed.
pub(super) struct Changes {
    pub(super) difference: Difference,
    /// Names and ends of new certificates.
    pub(super) added: Vec<String>,
    /// Names and ends of certificates that are gone.
    pub(super) removed: Vec<String>,
    /// Whether the certificates are not the same in the same order.
    pub(super) reordered: bool,
    /// Keys that take effect at the next start, and were not said to before.
    pub(super) waiting: Vec<&'static str>,
}

impl Changes {
    /// Whether everything in force stays as it is.
    pub(super) fn is_nothing(&self) -> bool {
        self.difference.is_nothing() && !self.reordered && self.waiting.is_empty()
    }

    /// One line for each thing that changed.
    pub(super) fn tell(&self) {
        let Difference {
            routes,
            providers,
            settings,
            at_next_start: _,
        } = &self.difference;
        for (route, change) in routes {
            match change {
                Change::Added => tracing::info!(%route, "route added"),
                Change::Keys(keys) => tracing::info!(%route, keys = list(keys), "route changed"),
                Change::Removed => tracing::info!(%route, "route removed"),
            }
        }
        for (provider, change) in providers {
            match change {
                Change::Added => tracing::info!(%provider, "provider added"),
                Change::Keys(keys) => {
                    tracing::info!(%provider, keys = list(keys), "provider changed");
                }
                Change::Removed => tracing::info!(%provider, "provider removed"),
            }
        }
        for certificate in &self.added {
            tracing::info!(certificate, "certificate added");
        }
        for certificate in &self.removed {
            tracing::info!(certificate, "certificate removed");
        }
        if !settings.is_empty() {
            tracing::info!(keys = list(settings), "settings changed");
        }
        if !self.waiting.is_empty() {
            let keys = list(&self.waiting);
            tracing::warn!(keys, "these keys take effect at the next start");
        }
    }
}

/// Every error in one line, as `check` prints it, and one that says what that means.
pub(super) fn tell_refused(findings: &[Finding]) {
    for finding in findings {
        match finding.severity {
            Severity::Error => tracing::error!("{finding}"),
            Severity::Warning => tracing::warn!("{finding}"),
        }
    }
    let errors = findings.iter().filter(|it| it.severity == Severity::Error);
    let errors = errors.count();
    tracing::error!(
        errors,
        "the configuration on disk is refused; the one that was in force stays"
    );
}

/// What is served all the same, and said.
pub(super) fn tell_warnings<'a>(findings: impl Iterator<Item = &'a Finding>) {
    for finding in findings {
        tracing::warn!("{finding}");
    }
}

fn list(keys: &[&str]) -> String {
    keys.join(", ")
}
