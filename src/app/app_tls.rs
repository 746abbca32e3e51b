//! How TLS is spoken to apps: reads the files that routes name for it, and says what is wrong with them.
//!
//! What is the same as before stays what it was, with the sessions that apps have given it to resume.

use std::{collections::HashMap, sync::Arc};

use crate::{
    config::{
        difference::{Change, Difference},
        finding::{Finding, Place},
        route::{Route, UpstreamProtocol, UpstreamTls},
    },
    telemetry::chain,
    upstream::{
        AppTls, RouteTls,
        tls::{HTTP_1, HTTP_2},
    },
};

/// Reads the files of every route whose app is spoken to over TLS; what is wrong with them is added to
/// `findings`, and so such a route is not among what is returned.
pub(super) fn read(routes: &[Route], findings: &mut Vec<Finding>) -> RouteTls {
    let mut read: HashMap<(&UpstreamTls, UpstreamProtocol), Option<Arc<AppTls>>> = HashMap::new();
    let mut of_routes = RouteTls::new();
    let routes = routes.iter();
    for route in routes.filter(|route| route.to.first().scheme() == "https") {
        let rules = &route.upstream.tls;
        let tls = read
            .entry((rules, route.upstream.protocol))
            .or_insert_with(|| read_files(route, rules, findings));
        if let Some(tls) = tls {
            of_routes.insert(route.id.clone(), Arc::clone(tls));
        }
    }
    of_routes
}

fn read_files(
    route: &Route,
    rules: &UpstreamTls,
    findings: &mut Vec<Finding>,
) -> Option<Arc<AppTls>> {
    // What is not to be spoken is not offered.
    let protocol = match route.upstream.protocol {
        UpstreamProtocol::Http1 => HTTP_1,
        UpstreamProtocol::Http2 => HTTP_2,
    };
    let error = match AppTls::read(rules, &[protocol]) {
        Ok(tls) => return Some(Arc::new(tls)),
        Err(error) => error,
    };
    let file = error.file(rules);
    // That a file is not there was said by whoever looked for it.
    if file.is_none_or(|file| file.is_file()) {
        let place = Place {
            file: file.or(route.place.file.as_ref()).cloned(),
            key: Some(format!("upstream.{}", error.key())),
            ..Place::default()
        };
        findings.push(Finding::error(place, chain(&error), error.remedy()));
    }
    None
}

/// What was just read, or in its place what is in force, where that is the same.
pub(super) fn keeping(new: RouteTls, in_force: &RouteTls) -> RouteTls {
    let kept = new.into_iter().map(|(route, new)| {
        let old = in_force.values().find(|old| old.digest() == new.digest());
        let kept = old.map_or(new, Arc::clone);
        (route, kept)
    });
    kept.collect()
}

/// Adds what is in other files than before under the same names.
pub(super) fn add_changed(difference: &mut Difference, before: &RouteTls, after: &RouteTls) {
    for (route, new) in after {
        let Some(old) = before.get(route).filter(|old| old.digest() != new.digest()) else {
            continue;
        };
        let key = if old.trusts_as(new) {
            "upstream.client_cert_file"
        } else {
            "upstream.ca_file"
        };
        let mut routes = difference.routes.iter_mut();
        match routes.find(|(known, _)| known == route) {
            Some((_, Change::Keys(keys))) if keys.iter().any(|it| is_of_tls(it)) => {}
            Some((_, Change::Keys(keys))) => keys.push(key),
            Some(_) => {}
            None => {
                let change = Change::Keys(vec![key]);
                difference.routes.push((route.clone(), change));
            }
        }
    }
}

/// Whether a key by itself makes TLS another one.
fn is_of_tls(key: &str) -> bool {
    matches!(
        key,
        "upstream.ca_file" | "upstream.client_cert_file" | "upstream.server_name"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::RouteId;

    #[test]
    fn a_file_that_holds_something_else_is_a_change_beside_others() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let rules = UpstreamTls {
            ca_file: Some(file.clone()),
            ..UpstreamTls::default()
        };
        let read = || {
            let made = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
            std::fs::write(&file, made.cert.pem()).unwrap();
            let tls = AppTls::read(&rules, &[HTTP_1]).unwrap();
            RouteTls::from([(RouteId("wiki".to_owned()), Arc::new(tls))])
        };
        let (before, after) = (read(), read());
        let of_wiki = |keys: &[&'static str]| {
            let change = Change::Keys(keys.to_vec());
            vec![(RouteId("wiki".to_owned()), change)]
        };
        for (known, told) in [
            (vec![], of_wiki(&["upstream.ca_file"])),
            (of_wiki(&["title"]), of_wiki(&["title", "upstream.ca_file"])),
            (
                of_wiki(&["upstream.ca_file"]),
                of_wiki(&["upstream.ca_file"]),
            ),
        ] {
            let mut difference = Difference {
                routes: known,
                ..Difference::default()
            };
            add_changed(&mut difference, &before, &after);
            assert_eq!(difference.routes, told);
        }
        let mut difference = Difference::default();
        let kept = keeping(after.clone(), &after);
        add_changed(&mut difference, &after, &kept);
        assert!(difference.is_nothing());
        assert!(
            kept.values()
                .zip(after.values())
                .all(|(it, other)| Arc::ptr_eq(it, other))
        );
    }
}
