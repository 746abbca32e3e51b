//! Puts another configuration in force while everything goes on: all of it or nothing, one swap right
//! after the other: certificates, the reception of new connections, providers, and the route table
//! last, with everything that a request is judged by.
//!
//! Everything that can fail is built before anything is swapped. Sessions, connections and requests
//! under way stay; what they may do is judged by what is in force. Never swaps in what `check` would
//! refuse, nor a certificate that is worse than the one it replaces.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use tokio::{
    runtime::Handle,
    task::{AbortHandle, JoinHandle},
};

use super::{
    app_tls,
    changes::{self, Changes},
    checkups::Checkups,
    kept_up::{PAUSE, kept_up},
    prepare::{Prepared, Ready},
    threads::Reception,
};
use crate::{
    clock::Clock,
    config::{
        Config,
        difference::{Change, Difference},
        finding::{Finding, Place},
    },
    gateway::{Gateway, Providers, RouteTable},
    identity::ProviderName,
    listener::certs::Certificates,
    oidc::RelyingParty,
    telemetry::{ReloadOutcome, SharedMetrics},
    upstream::{Apps, RouteTls},
};

/// The parts of a running vestibule that a reload replaces.
pub(super) struct Swaps {
    pub(super) gateway: Arc<Gateway>,
    pub(super) certificates: Arc<Certificates>,
    pub(super) reception: Arc<ArcSwap<Reception>>,
    pub(super) providers: Arc<ArcSwap<Providers>>,
    pub(super) metrics: SharedMetrics,
    pub(super) apps: Arc<Apps>,
    pub(super) clock: Clock,
}

/// What is in force, and what was said of what is not.
pub(super) struct InForce {
    swaps: Arc<Swaps>,
    /// As the process was started: some of it stays until the next start.
    started: Arc<Config>,
    config: Arc<Config>,
    tls: RouteTls,
    fresh: Fresh,
    checkups: Checkups,
    /// The findings of the last files that were read, so that nothing is said twice.
    said: Vec<Finding>,
    /// Whether those files were refused.
    is_stale: bool,
    /// Keys that wait for the next start.
    waiting: Vec<&'static str>,
}

/// Why files are read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Occasion {
    /// Somebody asked for it, and waits to be told.
    Asked,
    /// They look changed.
    Changed,
    /// They were changed while the process started, perhaps.
    Started,
}

/// The tasks that keep providers fresh, by provider.
pub(super) struct Fresh {
    control: Handle,
    metrics: SharedMetrics,
    tasks: HashMap<ProviderName, AbortHandle>,
}

impl Fresh {
    /// Each provider keeps itself fresh on `control`, and is waited for by nobody.
    pub(super) fn new(control: Handle, metrics: SharedMetrics, providers: &Providers) -> Self {
        let tasks = HashMap::new();
        let mut fresh = Self {
            control,
            metrics,
            tasks,
        };
        for provider in providers.values() {
            fresh.begin(provider);
        }
        fresh
    }

    /// Keeps this provider fresh, and no other of its name.
    fn begin(&mut self, provider: &Arc<RelyingParty>) {
        let task = self.task(Arc::clone(provider));
        let before = self
            .tasks
            .insert(provider.name().clone(), task.abort_handle());
        if let Some(before) = before {
            before.abort();
        }
    }

    fn end(&mut self, name: &ProviderName) {
        if let Some(task) = self.tasks.remove(name) {
            task.abort();
        }
    }

    fn task(&self, provider: Arc<RelyingParty>) -> JoinHandle<()> {
        let fresh = move || Arc::clone(&provider).keep_fresh();
        let metrics = Arc::clone(&self.metrics);
        self.control
            .spawn(kept_up("keeping a provider fresh", metrics, PAUSE, fresh))
    }
}

impl InForce {
    /// What a process was started with.
    pub(super) fn new(
        swaps: Arc<Swaps>,
        started: Arc<Config>,
        fresh: Fresh,
        (tls, checkups): (RouteTls, Checkups),
    ) -> Self {
        Self {
            swaps,
            config: Arc::clone(&started),
            started,
            tls,
            fresh,
            checkups,
            said: Vec::new(),
            is_stale: false,
            waiting: Vec::new(),
        }
    }

    /// Whether the files on disk are others than those in force, because they were refused.
    pub(super) fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// Puts what was read in force, or says why not.
    pub(super) fn take_up(&mut self, prepared: Prepared, occasion: Occasion) {
        let Prepared {
            mut findings,
            ready,
            ..
        } = prepared;
        let taken = match ready {
            Some(ready) => self.try_to_take_up(ready, &mut findings),
            None => None,
        };
        let Some(changes) = taken else {
            self.refuse(findings, occasion);
            return;
        };
        self.warn(findings, occasion);
        let was_stale = std::mem::replace(&mut self.is_stale, false);
        let outcome = if changes.is_nothing() {
            if was_stale || occasion == Occasion::Asked {
                tracing::info!("the configuration on disk is the one in force");
            }
            ReloadOutcome::Unchanged
        } else {
            changes.tell();
            tracing::info!(routes = self.config.routes.len(), "configuration reloaded");
            ReloadOutcome::Applied
        };
        self.swaps.metrics.reloaded(outcome);
    }

    /// Says that what could not even be read is not in force.
    pub(super) fn refuse(&mut self, findings: Vec<Finding>, occasion: Occasion) {
        let is_known = self.is_stale && self.said == findings;
        if is_known && occasion != Occasion::Asked {
            return;
        }
        self.swaps.metrics.reloaded(ReloadOutcome::Refused);
        changes::tell_refused(&findings);
        self.is_stale = true;
        self.said = findings;
    }

    /// Warnings that were not there before; those of the start were said by it.
    fn warn(&mut self, findings: Vec<Finding>, occasion: Occasion) {
        if occasion != Occasion::Started {
            let is_new = |finding: &&Finding| !self.said.contains(*finding);
            changes::tell_warnings(findings.iter().filter(is_new));
        }
        self.said = findings;
    }

    /// Builds everything, then swaps it; `None` if something of it cannot be, which is a finding.
    fn try_to_take_up(&mut self, ready: Ready, findings: &mut Vec<Finding>) -> Option<Changes> {
        let Ready {
            config,
            certificates,
            providers,
            tls,
        } = ready;
        let swaps = Arc::clone(&self.swaps);
        let before = swaps.certificates.current();
        let worse = certificates.worse_than(&before, swaps.clock.now().wall);
        if !worse.is_empty() {
            findings.extend(worse);
            return None;
        }
        let (providers, replaced) = self.providers(providers, &config);
        let mut difference = Difference::between(&self.config, &config);
        add_roots(&mut difference, &replaced);
        let tls = app_tls::keeping(tls, &self.tls);
        app_tls::add_changed(&mut difference, &self.tls, &tls);
        let upstreams = (&*swaps.apps, &tls);
        let table = RouteTable::new(&config, &providers, upstreams, &swaps.metrics)
            .map_err(|route| {
                let message = format!("failed to build the route `{route}`");
                findings.push(Finding::error(Place::default(), message, "report this"));
            })
            .ok()?;
        // Without HTTPS in the files there are none; what serves it until the next start keeps its own.
        let certificates = (!certificates.is_empty()).then_some(certificates);
        let next = certificates.as_ref().unwrap_or(&before);
        let changes = Changes {
            added: next.without_those_of(&before).collect(),
            removed: before.without_those_of(next).collect(),
            reordered: !next.is_same_as(&before),
            waiting: self.waits_for_start(&config),
            difference,
        };
        let config = Arc::new(config);
        if changes.is_nothing() {
            self.config = config;
            return Some(changes);
        }
        // Whoever is sent to a host by the new table must find its certificate: the table comes last.
        if let Some(certificates) = certificates {
            swaps.certificates.swap(certificates);
        }
        let reception = swaps.reception.load();
        swaps.reception.store(Arc::new(Reception {
            entrance: reception.entrance.renewed(&config.listen),
            front_door: reception.front_door.renewed(&config.listen),
            doorstep: reception.doorstep.renewed(&config.listen),
            limits: Arc::new(config.limits.clone()),
        }));
        self.swap_providers(providers, &replaced);
        self.checkups.replace(table.checkups());
        swaps.gateway.swap(table);
        swaps.apps.keep(&config.routes, &tls);
        self.tls = tls;
        // Last: what is compared with next time is what came into force whole.
        self.config = config;
        Some(changes)
    }

    /// The providers of a new configuration: those that are the same stay, with all they know; the
    /// others take over from their predecessors what still holds. Second, those that are not the same.
    fn providers(&self, new: Providers, config: &Config) -> (Providers, Replaced) {
        let current = self.swaps.providers.load();
        let difference = Difference::between(&self.config, config);
        let mut replaced = Replaced::default();
        let providers = new.into_iter().map(|(name, new)| {
            let Some(old) = current.get(&name) else {
                replaced.names.push(name.clone());
                return (name, new);
            };
            let trusts_others = !new.trusts_as(old);
            let differs = difference.providers.iter().any(|(it, _)| *it == name);
            if !differs && !trusts_others {
                return (name, Arc::clone(old));
            }
            new.inherit(old);
            replaced.names.push(name.clone());
            if trusts_others {
                replaced.trust_others.push(name.clone());
            }
            (name, new)
        });
        (providers.collect(), replaced)
    }

    fn swap_providers(&mut self, providers: Providers, replaced: &Replaced) {
        let before = self.swaps.providers.load_full();
        for name in before.keys().filter(|name| !providers.contains_key(*name)) {
            self.fresh.end(name);
        }
        for provider in replaced.names.iter().filter_map(|it| providers.get(it)) {
            self.fresh.begin(provider);
        }
        self.swaps.providers.store(Arc::new(providers));
    }

    /// Keys that wait for the next start and were not said to.
    fn waits_for_start(&mut self, config: &Config) -> Vec<&'static str> {
        let waiting = Difference::between(&self.started, config).at_next_start;
        if waiting == self.waiting {
            return Vec::new();
        }
        self.waiting.clone_from(&waiting);
        waiting
    }
}

/// Providers that are not those of before under their names.
#[derive(Default)]
struct Replaced {
    names: Vec<ProviderName>,
    /// Those whose `ca_file` names others than it did.
    trust_others: Vec<ProviderName>,
}

/// A `ca_file` may hold something else under the same name.
fn add_roots(difference: &mut Difference, replaced: &Replaced) {
    for name in &replaced.trust_others {
        let key = "ca_file";
        let mut providers = difference.providers.iter_mut();
        match providers.find(|(known, _)| known == name) {
            Some((_, Change::Keys(keys))) if !keys.contains(&key) => keys.push(key),
            Some(_) => {}
            None => {
                let change = Change::Keys(vec![key]);
                difference.providers.push((name.clone(), change));
            }
        }
    }
}
