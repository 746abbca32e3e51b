//! Reads the files and the environment into a [`Config`], or into everything that is wrong with them.
//!
//! Each source is walked against the schema first, which finds all its faults at once; figment then
//! merges and extracts what is well-formed, and what was extracted is resolved and cross-checked.
//! Nothing here may panic, whatever the files hold, or touch the network.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{
    Config,
    certificate_files::{self, reason},
    check, defaults,
    document::{Document, Layer, Source},
    environment::{self, Environment, Variable},
    finding::{Finding, Place, Severity},
    limits,
    listener::{Limits, Listen, TlsFiles},
    near_variables::{NO_SUCH_ROUTE, Variables},
    providers::{self, Providers},
    route::{GroupAliases, Route},
    routes_file::{self, Candidate, Surroundings},
    schema::{self, RawMain, RawRoute},
    sections,
    session::SessionLimits,
    spans::{self, Content, KeyPath, Node},
    values::{Format as _, Name, folded},
    walk,
    watch::{Sources, listed},
};
use crate::identity::RouteId;

/// What loading gave: the configuration if it can be served, and everything found on the way.
#[derive(Debug)]
pub struct Loaded {
    /// The resolved configuration; `None` if any finding is an error.
    pub config: Option<Config>,
    /// Everything that is wrong, in the order of files and lines.
    pub findings: Vec<Finding>,
    /// The certificate pairs that are there, whatever else is wrong: they can be looked into.
    pub tls: TlsFiles,
    /// Whether there have to be any.
    pub serves_tls: bool,
    /// The routes that are clear in themselves, whatever else is wrong.
    pub routes: Vec<Route>,
    /// Every file that took part, or would have: what has to change for anything here to change.
    pub sources: Sources,
}

/// The largest file that is read: a route file of a thousand lines comes to a twentieth of it.
const LARGEST_FILE_BYTES: u64 = 1024 * 1024;

/// How the names of route files end.
const ROUTE_FILES: &[&str] = &["toml"];

/// Reads `config_dir/vestibule.toml` and `config_dir/routes.d/*.toml` with the environment given.
///
/// Relative paths in files are taken from the parent of `config_dir`. The files are read, and the
/// certificate and secret files they name are looked at; nothing else is touched.
#[must_use]
pub fn load(config_dir: &Path, environment: &[(String, String)]) -> Loaded {
    let mut findings = Vec::new();
    let environment = environment::read(environment, &mut findings);
    let base = base_of(config_dir);
    let main = Main::read(config_dir, &base, &environment, &mut findings);
    let (candidates, ids) = routes(config_dir, &main, &environment, &mut findings);
    if Variables::are_wanted(&environment.ignored, &findings) {
        let providers = main.providers.names.iter().map(|name| name.0.as_str());
        Variables::of(providers, &ids).say_what_was_meant(&environment.ignored, &mut findings);
    }
    findings.extend(check::between_routes(&candidates));
    for candidate in &candidates {
        let name = candidate.provider.as_ref();
        let mut resolved = main.providers.resolved.iter();
        let provider = resolved.find(|provider| Some(&provider.name) == name);
        findings.extend(check::within_route(candidate, provider, &main.listen));
    }
    findings.sort();
    findings.dedup();
    let is_refused = findings
        .iter()
        .any(|finding| finding.severity == Severity::Error);
    let (tls, serves_tls) = (main.tls.clone(), main.serves_tls);
    let mut sources = main.sources.clone();
    let files = candidates.iter().flat_map(|candidate| &candidate.files);
    files.for_each(|file| sources.file(file.clone()));
    let routes: Vec<_> = candidates
        .iter()
        .filter_map(|candidate| candidate.route.clone())
        .collect();
    let config = main.config(candidates).filter(|_| !is_refused);
    if config.is_none() && !is_refused {
        findings.push(Finding::error(
            Place::file(config_dir),
            "the configuration could not be resolved",
            "please report this",
        ));
    }
    Loaded {
        config,
        findings,
        tls,
        serves_tls,
        routes,
        sources,
    }
}

/// The main file, resolved so far as it can be.
struct Main {
    document: Document,
    raw: RawMain,
    layers: Vec<Layer>,
    /// Whether its text is known; without, nothing can be said to be missing.
    is_known: bool,
    listen: Listen,
    limits: Option<Limits>,
    serves_tls: bool,
    tls: TlsFiles,
    session: Option<SessionLimits>,
    state_dir: PathBuf,
    providers: Providers,
    aliases: GroupAliases,
    sources: Sources,
    base: PathBuf,
}

impl Main {
    fn read(
        config_dir: &Path,
        base: &Path,
        environment: &Environment,
        findings: &mut Vec<Finding>,
    ) -> Self {
        let schema = schema::main_file();
        let file = config_dir.join("vestibule.toml");
        let root = tree(&file, findings);
        let is_known = root.is_some();
        let mut layers = vec![defaults::main_file()];
        layers.extend(written(&schema, file, root, &environment.main, findings));
        let document = Document::of(layers.clone());
        let mut raw: RawMain = document.extract(findings);
        let mut main = Self {
            listen: sections::listen(&raw.listen, base),
            limits: None,
            serves_tls: sections::serves_tls(&raw),
            tls: TlsFiles { pairs: Vec::new() },
            session: None,
            state_dir: sections::state_dir(&raw, base),
            providers: Providers::default(),
            aliases: GroupAliases::new(),
            sources: sources(config_dir, base, &raw),
            base: base.to_owned(),
            layers,
            is_known,
            raw: RawMain::default(),
            document,
        };
        if is_known {
            let document = &main.document;
            document.report_missing(&schema, findings);
            if !environment.hands_over_sockets {
                sections::address_is_written(document, &raw.listen, findings);
            }
            sections::addresses_differ(document, &raw, findings);
            sections::fronts_are_named(document, &raw.listen, findings);
            sections::plain_is_for_fronts(document, &main.listen, findings);
            main.limits = Some(limits::resolve(document, &raw.limits, findings));
            if main.serves_tls {
                main.tls = certificate_files::resolve(document, &raw.tls, base, findings);
            }
            main.session = Some(sections::session(document, &raw.session, findings));
            main.providers = providers::resolve(document, &mut raw, base, findings);
            let aliases = std::mem::take(&mut raw.aliases.groups).into_iter();
            main.aliases = aliases.map(|(name, value)| (name, value.0.0)).collect();
            if main.providers.names.is_empty() {
                let place = Place::file(config_dir.join("vestibule.toml"));
                let message = "no identity provider is configured, so nobody can sign in";
                let remedy = "write [entra] with tenant, client_id and client_secret_file";
                findings.push(Finding::error(place, message, remedy));
            }
        }
        main.raw = raw;
        main
    }

    fn config(self, candidates: Vec<Candidate>) -> Option<Config> {
        let routes = candidates.into_iter().map(|candidate| candidate.route);
        let mut routes = routes.collect::<Option<Vec<_>>>()?;
        routes.sort_by(|one, other| one.id.cmp(&other.id));
        Some(Config {
            listen: self.listen,
            limits: self.limits?,
            tls: self.tls,
            state_dir: self.state_dir,
            session: self.session?,
            log: self.raw.log.access.unwrap_or_default(),
            ops: self.raw.ops.listen.map(|listen| listen.0),
            providers: self.providers.resolved,
            routes,
        })
    }
}

/// What takes part, as far as the main file says.
fn sources(config_dir: &Path, base: &Path, raw: &RawMain) -> Sources {
    let mut sources = Sources::default();
    sources.file(config_dir.join("vestibule.toml"));
    sources.folder(config_dir.join("routes.d"), ROUTE_FILES);
    certificate_files::sources(&raw.tls, base, &mut sources);
    providers::sources(raw, base, &mut sources);
    sources
}

/// What there is in `routes.d/`, and the id of each file.
fn routes(
    config_dir: &Path,
    main: &Main,
    environment: &Environment,
    findings: &mut Vec<Finding>,
) -> (Vec<Candidate>, Vec<String>) {
    let folder = config_dir.join("routes.d");
    let files = match listed(&folder, ROUTE_FILES) {
        Ok(files) => files,
        Err(error) => {
            let message = format!("cannot look for routes: {}", reason(&error));
            let remedy = "make the folder and put one file for each app into it";
            findings.push(Finding::error(Place::file(folder), message, remedy));
            return Default::default();
        }
    };
    if files.is_empty() {
        findings.push(Finding::error(
            Place::file(&folder),
            "there is no route",
            "put a file into it, wiki.toml, with from, to and allow",
        ));
    }
    let schema = schema::route_file();
    let mut ids = Vec::new();
    let mut candidates = Vec::new();
    for file in files {
        let root = tree(&file, findings);
        let id = route_id(&file, root.as_ref(), findings);
        let variables = environment.routes.get(&folded(&id.0));
        let variables = variables.map_or(&[][..], Vec::as_slice);
        ids.push(id.0.clone());
        candidates.extend(route(&schema, main, file, root, id, variables, findings));
    }
    for (id, variables) in &environment.routes {
        if ids.iter().any(|known| folded(known) == *id) {
            continue;
        }
        for variable in variables {
            let message = format!("{NO_SUCH_ROUTE} `{id}`");
            let remedy = format!("routes are: {}", ids.join(", "));
            findings.push(Finding::error(
                environment::place(variable.name()),
                message,
                remedy,
            ));
        }
    }
    (candidates, ids)
}

fn route(
    schema: &Value,
    main: &Main,
    file: PathBuf,
    root: Option<Node>,
    id: RouteId,
    variables: &[Variable],
    findings: &mut Vec<Finding>,
) -> Option<Candidate> {
    let is_known = root.is_some();
    let own = written(schema, file, root, variables, findings);
    for layer in own
        .iter()
        .filter(|layer| matches!(layer.source, Source::Variable(_)))
    {
        if layer.has(&KeyPath::of(&["id"])) {
            findings.push(Finding::error(
                layer.place(&KeyPath::of(&["id"]), false),
                "the id of a route names its variables and cannot come from one",
                "write it into the file",
            ));
        }
    }
    if !is_known {
        return None;
    }
    let shared = main
        .layers
        .iter()
        .filter_map(|layer| layer.below("defaults"));
    let mut layers = vec![defaults::route()];
    layers.extend(shared.collect::<Vec<_>>());
    replace_whole(&mut layers, &own);
    layers.extend(own);
    let document = Document::of(layers);
    let raw: RawRoute = document.extract(findings);
    if !main.is_known {
        return None;
    }
    document.report_missing(schema, findings);
    let around = Surroundings {
        main: &main.document,
        providers: &main.providers,
        aliases: &main.aliases,
        base: &main.base,
    };
    Some(routes_file::resolve(document, id, raw, &around, findings))
}

/// `allow`, `bearer` and `identity.headers` are sets that are replaced as a whole, by the file or by
/// `[defaults]`: whoever reads a route file sees everybody it lets in and every header it sends.
fn replace_whole(lower: &mut [Layer], file: &[Layer]) {
    let headers: &[&str] = &["identity", "headers"];
    let is_file = |layer: &&Layer| matches!(layer.source, Source::File(_));
    for path in [&["allow"][..], &["bearer"], headers] {
        let key_path = KeyPath::of(path);
        if file
            .iter()
            .filter(is_file)
            .any(|layer| layer.has(&key_path))
        {
            for layer in lower.iter_mut() {
                layer.remove(path);
            }
        }
    }
    let key_path = KeyPath::of(headers);
    let is_written = |layer: &Layer| layer.source != Source::BuiltIn && layer.has(&key_path);
    if lower.iter().any(is_written) || file.iter().any(is_written) {
        let built_in = |layer: &&mut Layer| layer.source == Source::BuiltIn;
        for layer in lower.iter_mut().filter(built_in) {
            layer.remove(headers);
        }
    }
}

/// The layers of one file and its variables, walked.
fn written(
    schema: &Value,
    file: PathBuf,
    root: Option<Node>,
    variables: &[Variable],
    findings: &mut Vec<Finding>,
) -> Vec<Layer> {
    let trees: Vec<_> = variables
        .iter()
        .map(|variable| variable.tree(root.as_ref()))
        .collect();
    let mut layers = Vec::with_capacity(1 + trees.len());
    if let Some(root) = root {
        layers.push(walk::walk(schema, Source::File(file), root, findings));
    }
    for (source, root) in trees {
        layers.push(walk::walk(schema, source, root, findings));
    }
    layers
}

/// Reads and parses a file; what is wrong with it as TOML is a finding.
fn tree(file: &Path, findings: &mut Vec<Finding>) -> Option<Node> {
    let text = match text_of(file) {
        Ok(text) => text,
        Err(message) => {
            let remedy = "it has to be a readable TOML file in UTF-8";
            findings.push(Finding::error(Place::file(file), message, remedy));
            return None;
        }
    };
    spans::parse(&text)
        .map_err(|faults| {
            findings.extend(faults.into_iter().map(|fault| {
                let place = Place {
                    position: fault.at,
                    ..Place::file(file)
                };
                let message = format!("this is not TOML: {}", fault.message);
                Finding::error(place, message, "see https://toml.io for how it is written")
            }));
        })
        .ok()
}

fn text_of(file: &Path) -> Result<String, String> {
    let unreadable = |error: io::Error| format!("cannot read the file: {}", reason(&error));
    let metadata = fs::metadata(file).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err("cannot read the file: it is not a regular file".to_owned());
    }
    if metadata.len() > LARGEST_FILE_BYTES {
        return Err("cannot read the file: it has more than a mebibyte".to_owned());
    }
    let bytes = fs::read(file).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|_| "cannot read the file: it is not UTF-8".to_owned())
}

/// The id a file gives to its route, or its name.
fn route_id(file: &Path, root: Option<&Node>, findings: &mut Vec<Finding>) -> RouteId {
    let stem = file
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    match root
        .and_then(|root| root.find(&KeyPath::of(&["id"])))
        .map(|node| &node.content)
    {
        Some(Content::Text(id)) if Name::parse(id).is_ok() => RouteId(id.clone()),
        // Said by the walk over the file.
        Some(_) => RouteId(stem),
        None => {
            if let Err(fault) = Name::parse(&stem) {
                let remedy = format!("write id, or rename the file; {}", fault.remedy);
                findings.push(Finding::error(Place::file(file), fault.message, remedy));
            }
            RouteId(stem)
        }
    }
}

/// The folder that holds the config folder, absolute.
fn base_of(config_dir: &Path) -> PathBuf {
    let named = matches!(
        config_dir.components().next_back(),
        Some(std::path::Component::Normal(_))
    );
    let absolute = if named {
        std::path::absolute(config_dir)
    } else {
        // `.` and `..` have no parent by name.
        fs::canonicalize(config_dir)
    };
    let absolute = absolute.unwrap_or_else(|_| config_dir.to_owned());
    absolute
        .parent()
        .map_or_else(|| absolute.clone(), Path::to_owned)
}
