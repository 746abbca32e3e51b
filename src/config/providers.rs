//! Resolves `[entra]` and `[idp.<name>]`, credential files included.
//!
//! A secret is read here and goes into its [`Secret`] at once; no finding may hold it.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Read as _,
    path::Path,
};

use openidconnect::core::CoreJwsSigningAlgorithm;

use super::{
    certificate_files::{is_there, is_world_readable, reason},
    defaults,
    document::Document,
    finding::Finding,
    provider::{Provider, ProviderKind, Tenants},
    provider_addresses::{Tenant, is_guid},
    schema::{RawKind, RawMain, RawProvider},
    spans::KeyPath,
    values::{Fault, Of, Word},
    watch::Sources,
};
use crate::{identity::ProviderName, secret::Secret};

/// The providers that were written, and those of them that are in order.
#[derive(Debug, Default)]
pub(super) struct Providers {
    /// Every name, `entra` first, then by name.
    pub(super) names: Vec<ProviderName>,
    pub(super) resolved: Vec<Provider>,
}

/// The most a secret file may hold: no client secret comes near it.
const LONGEST_SECRET_BYTES: u64 = 64 * 1024;

/// Resolves every provider of the main file.
pub(super) fn resolve(
    document: &Document,
    raw: &mut RawMain,
    base: &Path,
    findings: &mut Vec<Finding>,
) -> Providers {
    let mut providers = Providers::default();
    let entra = KeyPath::of(&["entra"]);
    let idp = KeyPath::of(&["idp"]);
    if document.has(&entra) {
        if document.has(&idp.key("entra")) {
            findings.push(document.error(
                &idp.key("entra"),
                Fault::new(
                    "[entra] is short for [idp.entra], and both are there",
                    "write one of them",
                ),
            ));
        }
        providers.names.push(ProviderName("entra".to_owned()));
        if let Some(raw) = raw.entra.take() {
            let one = One {
                document,
                base,
                path: entra,
            };
            let kind = Some(RawKind::Entra);
            providers
                .resolved
                .extend(one.provider("entra", kind, raw.0, findings));
        }
    }
    let named: BTreeSet<String> = document.keys(&idp);
    let entra_first = named.iter().filter(|name| *name == "entra");
    for name in entra_first.chain(named.iter().filter(|name| *name != "entra")) {
        let known = ProviderName(name.clone());
        if providers.names.contains(&known) {
            continue;
        }
        providers.names.push(known);
        let path = idp.key(name);
        if let Some(raw) = raw.idp.remove(name) {
            let kind = if document.is_faulty(&path.key("kind")) {
                None
            } else {
                Some(raw.kind.unwrap_or_default())
            };
            let one = One {
                document,
                base,
                path,
            };
            providers
                .resolved
                .extend(one.provider(name, kind, raw, findings));
        }
    }
    providers
}

/// The files that [`resolve`] would read, and the roots that a provider's client will.
pub(super) fn sources(raw: &RawMain, base: &Path, sources: &mut Sources) {
    let entra = raw.entra.iter().map(|entra| &entra.0);
    for provider in entra.chain(raw.idp.values()) {
        let files = [&provider.client_secret_file, &provider.ca_file];
        for Of(file) in files.into_iter().flatten() {
            sources.file(base.join(&file.0));
        }
    }
}

struct One<'a> {
    document: &'a Document,
    base: &'a Path,
    path: KeyPath,
}

impl One<'_> {
    fn provider(
        &self,
        name: &str,
        kind: Option<RawKind>,
        mut raw: RawProvider,
        findings: &mut Vec<Finding>,
    ) -> Option<Provider> {
        let kind = match kind {
            Some(RawKind::Entra) => self.entra(&mut raw, findings),
            Some(RawKind::Oidc) => self.oidc(&mut raw, findings),
            None => None,
        };
        let is_entra = matches!(kind, Some(ProviderKind::Entra { .. }));
        let secret = self.secret(&mut raw, is_entra, findings);
        let scopes = self.scopes(raw.scopes, findings);
        let ca_file = raw.ca_file.map(|file| self.base.join(file.0.0));
        if let Some(Err(fault)) = ca_file.as_deref().map(is_there) {
            findings.push(self.document.error(&self.path.key("ca_file"), fault));
        }
        Some(Provider {
            name: ProviderName(name.to_owned()),
            kind: kind?,
            client_id: raw.client_id?.0.0,
            client_secret: secret?,
            scopes,
            algorithms: match raw.algorithms {
                Some(algorithms) => algorithms.into_iter().map(|Of(known)| known.0).collect(),
                None => vec![CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256],
            },
            ca_file,
        })
    }

    fn entra(&self, raw: &mut RawProvider, findings: &mut Vec<Finding>) -> Option<ProviderKind> {
        self.refuse("issuer", "entra", "write tenant or endpoint", findings);
        let (tenant, authority) = match (raw.tenant.take(), raw.endpoint.take()) {
            (Some(_), Some(_)) => {
                let fault = Fault::new("tenant and endpoint both say where", "write one of them");
                self.error("endpoint", fault, findings);
                return None;
            }
            (Some(Of(tenant)), None) => {
                let authority = tenant.authority()?;
                (tenant, authority)
            }
            (None, Some(Of(endpoint))) => (endpoint.tenant, endpoint.authority),
            (None, None) => {
                if !self.is_faulty("tenant") && !self.is_faulty("endpoint") {
                    let fault = Fault::new(
                        "the key is missing",
                        "write tenant = \"<id or domain>\", or endpoint = \
                         \"https://login.microsoftonline.com/<tenant>/v2.0\"",
                    );
                    self.error("tenant", fault, findings);
                }
                return None;
            }
        };
        let tenants = self.tenants(&tenant, raw, findings)?;
        Some(ProviderKind::Entra { authority, tenants })
    }

    fn tenants(
        &self,
        tenant: &Tenant,
        raw: &mut RawProvider,
        findings: &mut Vec<Finding>,
    ) -> Option<Tenants> {
        let listed = raw.tenants.take();
        match (tenant.is_shared(), listed) {
            (true, Some(listed)) => Some(Tenants::Listed(
                listed.into_iter().map(|Of(tenant)| tenant.0).collect(),
            )),
            (true, None) => {
                if !self.is_faulty("tenants") {
                    let message = format!("people of any tenant meet at `{}`", tenant.0);
                    let remedy = "list the tenants whose people count, tenants = [\"<id>\"], or \
                                  write your own tenant";
                    self.error("tenants", Fault::new(message, remedy), findings);
                }
                None
            }
            (false, Some(_)) => {
                let message = format!("only people of `{}` sign in there", tenant.0);
                let remedy = "leave it out, or write tenant = \"organizations\" with the list";
                self.error("tenants", Fault::new(message, remedy), findings);
                None
            }
            (false, None) => Some(Tenants::Single),
        }
    }

    fn oidc(&self, raw: &mut RawProvider, findings: &mut Vec<Finding>) -> Option<ProviderKind> {
        for key in ["tenant", "endpoint", "tenants"] {
            self.refuse(
                key,
                "oidc",
                "write kind = \"entra\", or issuer instead",
                findings,
            );
        }
        if raw.issuer.is_none() && !self.is_faulty("issuer") {
            let fault = Fault::new(
                "the key is missing",
                "write issuer = \"https://...\" as the provider's metadata says; for Entra ID \
                 kind = \"entra\" with tenant",
            );
            self.error("issuer", fault, findings);
        }
        let issuer = raw.issuer.take()?.0.0;
        Some(ProviderKind::Oidc { issuer })
    }

    fn secret(
        &self,
        raw: &mut RawProvider,
        is_entra: bool,
        findings: &mut Vec<Finding>,
    ) -> Option<Secret> {
        let (inline, in_file) = ("client_secret", "client_secret_file");
        if self.has(inline) && self.has(in_file) {
            let whence = |key| match self.document.place(&self.path.key(key)).variable {
                Some(variable) => format!("{key} (from the variable {variable})"),
                None => key.to_owned(),
            };
            let message = format!("{} and {} are both there", whence(inline), whence(in_file));
            self.error(in_file, Fault::new(message, "keep one of them"), findings);
            return None;
        }
        let (key, secret) = match (raw.client_secret.take(), raw.client_secret_file.take()) {
            (Some(secret), _) => {
                let place = self.document.place(&self.path.key(inline));
                if place.file.as_deref().is_some_and(is_world_readable) {
                    let message = "everybody on this machine can read the file with this secret";
                    let fault = Fault::new(message, "chmod o-r, or use client_secret_file");
                    let path = self.path.key(inline);
                    findings.push(self.document.warning(&path, fault));
                }
                (inline, secret.0)
            }
            (None, Some(file)) => {
                let file = self.base.join(file.0.0);
                let secret = secret_in(&file)
                    .map_err(|fault| self.error(in_file, fault, findings))
                    .ok()?;
                if is_world_readable(&file) {
                    let message = format!("everybody on this machine can read {}", file.display());
                    let fault = Fault::new(message, "chmod o-r");
                    let path = self.path.key(in_file);
                    findings.push(self.document.warning(&path, fault));
                }
                (in_file, secret)
            }
            (None, None) => {
                if !self.is_faulty(inline) && !self.is_faulty(in_file) {
                    let fault = Fault::new(
                        "the key is missing",
                        "write client_secret_file = \"<path>\", or client_secret, or set it in the \
                         environment",
                    );
                    self.error(inline, fault, findings);
                }
                return None;
            }
        };
        if is_entra && is_guid(secret.expose()) {
            let fault = Fault::new(
                "the secret looks like the id of a secret",
                "Entra ID shows id and value once, side by side: the value is needed",
            );
            findings.push(self.document.warning(&self.path.key(key), fault));
        }
        Some(secret)
    }

    fn scopes(&self, raw: Option<Vec<Of<Word>>>, findings: &mut Vec<Finding>) -> Vec<String> {
        let Some(raw) = raw else {
            return defaults::SCOPES.map(str::to_owned).to_vec();
        };
        let scopes: Vec<String> = raw.into_iter().map(|Of(scope)| scope.0).collect();
        if !scopes.iter().any(|scope| scope == "openid") {
            let fault = Fault::new(
                "openid is not among the scopes, and without it nobody signs in",
                "add \"openid\"",
            );
            self.error("scopes", fault, findings);
        }
        scopes
    }

    fn refuse(&self, key: &str, kind: &str, remedy: &str, findings: &mut Vec<Finding>) {
        if self.has(key) {
            let message = format!("a provider of kind `{kind}` has no {key}");
            self.error(key, Fault::new(message, remedy), findings);
        }
    }

    fn has(&self, key: &str) -> bool {
        self.document.has(&self.path.key(key))
    }

    fn is_faulty(&self, key: &str) -> bool {
        self.document.is_faulty(&self.path.key(key))
    }

    fn error(&self, key: &str, fault: Fault, findings: &mut Vec<Finding>) {
        findings.push(self.document.error(&self.path.key(key), fault));
    }
}

/// Reads a file that holds one secret and perhaps a newline.
fn secret_in(path: &Path) -> Result<Secret, Fault> {
    let remedy = "write the path of a file that holds the secret and nothing else";
    is_there(path).map_err(|fault| Fault::new(fault.message, remedy))?;
    let fault = |why: &str| Fault::new(format!("{} {why}", path.display()), remedy);
    let is_long = |metadata: fs::Metadata| metadata.len() > LONGEST_SECRET_BYTES;
    if fs::metadata(path).is_ok_and(is_long) {
        return Err(fault("is too large for a secret"));
    }
    let mut text = zeroize::Zeroizing::new(String::new());
    File::open(path)
        .and_then(|file| file.take(LONGEST_SECRET_BYTES).read_to_string(&mut text))
        .map_err(|error| fault(&format!("cannot be read: {}", reason(&error))))?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(fault("is empty"));
    }
    Ok(Secret::new(secret.to_owned()))
}
