//! Everything that can be known about a configuration without the network, all findings at once.
//!
//! `check` and `serve` go through here, so that what passes the one starts with the other.

use std::path::Path;

use super::{app_tls, inherited::Inherited};
use crate::{
    clock::Clock,
    config::{
        Config,
        bearer::KeySource,
        check,
        finding::{Finding, Place, Severity},
        load::load,
        watch::Sources,
    },
    gateway::Providers,
    listener::certs::CertificateSet,
    oidc::RelyingParty,
    telemetry::chain,
    upstream::RouteTls,
};

/// What preparing gave.
pub struct Prepared {
    /// Everything that is wrong, in the order of files and lines.
    pub findings: Vec<Finding>,
    /// What can be served; `None` if any finding is an error.
    pub ready: Option<Ready>,
    /// The files that took part, or would have.
    pub sources: Sources,
}

impl Prepared {
    /// Nothing is served if an address was written that is not that of the socket handed over for it.
    pub fn agree_with(&mut self, inherited: &Inherited, config_dir: &Path) {
        let Some(ready) = &self.ready else {
            return;
        };
        let findings = inherited.findings(&ready.config, config_dir);
        if !findings.is_empty() {
            self.ready = None;
            self.findings.extend(findings);
            self.findings.sort();
        }
    }
}

/// A configuration that can be served, with its certificates read.
pub struct Ready {
    /// The configuration.
    pub config: Config,
    /// The certificates it names.
    pub certificates: CertificateSet,
    /// The providers it names; not asked yet.
    pub(super) providers: Providers,
    /// How TLS is spoken to the apps it names.
    pub(super) tls: RouteTls,
}

/// Reads and checks the configuration in `config_dir`; touches no network.
#[must_use]
pub fn prepare(config_dir: &Path, environment: &[(String, String)], clock: &Clock) -> Prepared {
    let loaded = load(config_dir, environment);
    let mut findings = loaded.findings;
    // Whatever else is wrong: an operator learns of all faults in one run.
    let now = clock.now().wall;
    let certificates = if loaded.serves_tls {
        CertificateSet::read(&loaded.tls, now, &mut findings)
    } else {
        Some(CertificateSet::default())
    };
    if let Some(certificates) = certificates.as_ref().filter(|_| loaded.serves_tls) {
        findings.extend(check::uncovered_hosts(&loaded.routes, |host| {
            certificates.covers(host)
        }));
    }
    let providers = loaded
        .config
        .as_ref()
        .map(|config| providers(config, clock, &mut findings))
        .unwrap_or_default();
    let tls = app_tls::read(&loaded.routes, &mut findings);
    findings.sort();
    let broken = findings
        .iter()
        .any(|finding| finding.severity == Severity::Error);
    let ready = match (loaded.config, certificates) {
        (Some(config), Some(certificates)) if !broken => Some(Ready {
            config,
            certificates,
            providers,
            tls,
        }),
        _ => None,
    };
    Prepared {
        findings,
        ready,
        sources: loaded.sources,
    }
}

/// Sets up every provider, and every other issuer whose access tokens count; what cannot be is a
/// finding.
fn providers(config: &Config, clock: &Clock, findings: &mut Vec<Finding>) -> Providers {
    let mut providers = Providers::new();
    for provider in &config.providers {
        match RelyingParty::new(provider.clone(), clock.clone()) {
            Ok(relying_party) => {
                providers.insert(provider.name.clone(), relying_party);
            }
            Err(error) => {
                let place = Place {
                    file: provider.ca_file.clone(),
                    key: Some(format!("idp.{}", provider.name)),
                    ..Place::default()
                };
                let remedy = "put the provider's section right, and the files it names";
                findings.push(Finding::error(place, chain(&error), remedy));
            }
        }
    }
    key_sources(config, clock, &mut providers, findings);
    providers
}

/// The issuers of access tokens at which nobody signs in, each once.
fn key_sources(
    config: &Config,
    clock: &Clock,
    providers: &mut Providers,
    findings: &mut Vec<Finding>,
) {
    let issuers = config.routes.iter().flat_map(|route| {
        let issuers = route.bearer.iter().flat_map(|bearer| &bearer.issuers);
        issuers.map(move |issuer| (route, issuer))
    });
    for (route, issuer) in issuers {
        let name = issuer.keys.name();
        let KeySource::Issuer(kind) = &issuer.keys else {
            continue;
        };
        if providers.contains_key(&name) {
            continue;
        }
        match RelyingParty::for_keys(name.clone(), kind.clone(), clock.clone()) {
            Ok(key_source) => {
                providers.insert(name, key_source);
            }
            Err(error) => {
                let remedy = "write an issuer whose metadata can be fetched";
                findings.push(Finding::error(route.place.clone(), chain(&error), remedy));
            }
        }
    }
}
