//! A running vestibule whose files change: all of a good change comes into force, nothing of a bad one,
//! and nobody who is in, or has a request under way, notices.

mod certificates;
mod files;
mod process;
mod providers;
mod rules;
mod streams;
mod under_load;

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::support::{
    eventually,
    house::{HOST, House, built},
    upstream::Echo,
    vestibule::{Builder, Vestibule},
};

const FOR_ALL: &str = "allow = \"signed-in\"";

/// A house that follows its files, with whatever `more` adds.
async fn house(more: impl FnOnce(Builder, &Echo) -> Builder) -> House {
    let mut house = built(|idp| idp, more).await;
    house.vestibule.follow();
    // From here on whatever changes has changed since the start.
    let was_read = || reloads(&house.vestibule, "unchanged") == 1;
    eventually("the files were read", was_read).await;
    house
}

/// A house of one route.
async fn plain_house() -> House {
    house(|builder, _| builder).await
}

/// The value of a sample of `/metrics`.
fn sample(vestibule: &Vestibule, name: &str) -> u64 {
    let metrics = vestibule.metrics();
    let mut lines = metrics.lines().filter_map(|line| line.rsplit_once(' '));
    let found = lines.find(|(it, _)| *it == name);
    found
        .unwrap_or_else(|| panic!("{name} in {metrics}"))
        .1
        .parse()
        .unwrap()
}

/// How many reloads came to this.
fn reloads(vestibule: &Vestibule, outcome: &str) -> u64 {
    let name = format!("vestibule_reloads_total{{outcome=\"{outcome}\"}}");
    sample(vestibule, &name)
}

fn is_stale(vestibule: &Vestibule) -> bool {
    sample(vestibule, "vestibule_config_stale") == 1
}

/// Changes something on disk, and waits until that has come to another `outcome`.
async fn comes_to(vestibule: &Vestibule, outcome: &str, change: impl FnOnce()) {
    let before = reloads(vestibule, outcome);
    change();
    eventually(outcome, || reloads(vestibule, outcome) > before).await;
}

fn path(vestibule: &Vestibule, name: &str) -> PathBuf {
    vestibule.folder().join(name)
}

fn route_file(vestibule: &Vestibule, id: &str) -> PathBuf {
    path(vestibule, &format!("config/routes.d/{id}.toml"))
}

/// A route file for `host` (and a path below it), with `rules`.
fn route(vestibule: &Vestibule, host: &str, app: &Echo, rules: &str) -> String {
    let (name, prefix) = host
        .split_once('/')
        .map_or((host, String::new()), |(name, path)| {
            (name, format!("/{path}"))
        });
    let from = vestibule.url(name, &prefix);
    format!(
        "from = \"{from}\"\nto = \"http://{}\"\n{rules}\n",
        app.address()
    )
}

/// Gives the first route these rules instead.
fn rule(house: &House, rules: &str) {
    let text = route(&house.vestibule, HOST, &house.app, rules);
    fs::write(route_file(&house.vestibule, "wiki"), text).unwrap();
}

fn replace(file: &Path, from: &str, to: &str) {
    let before = fs::read_to_string(file).unwrap();
    assert!(before.contains(from), "{from} in {before}");
    fs::write(file, before.replacen(from, to, 1)).unwrap();
}

fn append(file: &Path, text: &str) {
    let before = fs::read_to_string(file).unwrap();
    fs::write(file, format!("{before}{text}\n")).unwrap();
}
