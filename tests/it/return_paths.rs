//! Wherever we send a browser, it is our own origin or the provider: whatever it was asked to return
//! to, and however it spelled it.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::Request;
use url::{Origin, Url, form_urlencoded};

use crate::support::{
    client::{Answer, Browser, page_view},
    house::{HOST, House, house},
    issuer::person,
};

/// What stands before the foreign host.
const PREFIXES: [&str; 24] = [
    "//",
    "///",
    "////",
    "/\\",
    "\\\\",
    "\\/",
    "/\\/",
    "/\t/",
    "/\n/",
    "/\r\n/",
    "\t//",
    " //",
    "/ /",
    "/\u{0}/",
    "/./\\",
    "http://",
    "https://",
    "https:",
    "https:/",
    "https:\\\\",
    "hTTps://",
    "ftp://",
    "//@",
    "/.//",
];

/// Foreign hosts, some of which end or begin like ours.
const HOSTS: [&str; 5] = [
    "evil.test",
    "wiki.example.evil.test/",
    "evilwiki.example/%2e%2e",
    "wiki.example@evil.test/x?y#z",
    "evil.test\\@wiki.example",
];

/// What no list of prefixes and hosts brings about.
const OTHERS: [&str; 42] = [
    "",
    " ",
    "evil.test",
    "@evil.test",
    ".evil.test",
    ":80",
    ":@evil.test",
    "?//evil.test",
    "#//evil.test",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\nscript:alert(1)",
    "\u{1}javascript:alert(1)",
    "javascript://%0aalert(1)",
    "data:text/html,x",
    "vbscript:x",
    "blob:https://evil.test/x",
    "/%2f%2fevil.test",
    "/%5cevil.test",
    "/%09/evil.test",
    "/%2e%2e//evil.test",
    "/..//evil.test",
    "/../\\evil.test",
    "/x/..//evil.test",
    "/;@evil.test",
    "/@evil.test",
    "/.evil.test",
    "%2f%2fevil.test",
    "%5c%5cevil.test",
    "/\u{2028}/evil.test",
    "/\u{3000}/evil.test",
    "\u{ff0f}\u{ff0f}evil.test",
    "/\u{2215}evil.test",
    "\u{3002}evil.test",
    "/\u{feff}/evil.test",
    "https://evil.test:443%2f@wiki.example",
    "//[::1]/",
    "//2130706433/",
    "//0x7f.1/",
    "/\r\nLocation: https://evil.test/",
    "/.vestibule/logout",
    "/.vestibule/callback?code=x&state=y",
];

/// Every odd target: what a browser, a parser or a filter has been fooled by.
fn targets() -> BTreeSet<String> {
    let joined = PREFIXES
        .iter()
        .flat_map(|prefix| HOSTS.iter().map(move |host| format!("{prefix}{host}")));
    let targets: BTreeSet<_> = joined.chain(OTHERS.map(str::to_owned)).collect();
    assert!(targets.len() >= 150, "{}", targets.len());
    targets
}

struct Allowed {
    own: Origin,
    provider: Origin,
}

impl Allowed {
    fn by(house: &House) -> Self {
        Self {
            own: Url::parse(&house.url("/")).unwrap().origin(),
            provider: Url::parse(&house.idp.authority()).unwrap().origin(),
        }
    }

    /// Every `Location` and every link on a page leads to us or to the provider; where the first one
    /// leads.
    fn check(&self, answer: &Answer, what: &str) -> Option<Url> {
        let locations: Vec<_> = answer.headers.get_all("location").iter().collect();
        assert!(locations.len() <= 1, "{what}");
        assert_eq!(answer.header("refresh"), None, "{what}");
        let text = String::from_utf8_lossy(&answer.body);
        for attribute in ["href=\"", "action=\"", "src=\""] {
            for link in text.split(attribute).skip(1) {
                let link = link.split('"').next().unwrap().replace("&amp;", "&");
                let link = link.replace("&#38;", "&");
                let url = answer.url.join(&link).unwrap();
                assert_eq!(url.origin(), self.own, "{what}: a link to {link}");
                assert!(
                    link.starts_with('/') && !link.starts_with("//"),
                    "{what}: {link}"
                );
            }
        }
        let location = locations.first()?.to_str().unwrap();
        // As an absolute URL, and as a browser would resolve it.
        let url = answer.url.join(location).unwrap();
        assert_eq!(Url::parse(location).unwrap(), url, "{what}: {location}");
        let origin = url.origin();
        assert!(
            origin == self.own || origin == self.provider,
            "{what}: {location}"
        );
        assert!(
            url.username().is_empty() && url.password().is_none(),
            "{what}: {location}"
        );
        Some(url)
    }
}

/// Follows at most four redirects and checks each before it is taken; where it ended.
async fn follow(browser: &mut Browser, allowed: &Allowed, first: Answer, what: &str) -> Answer {
    let mut answer = first;
    for _ in 0..4 {
        let Some(next) = allowed.check(&answer, what) else {
            break;
        };
        answer = browser.view(next.as_str()).await;
    }
    answer
}

fn encoded(target: &str) -> String {
    form_urlencoded::byte_serialize(target.as_bytes()).collect()
}

#[tokio::test]
async fn a_sign_in_ends_at_home_whatever_it_was_to_return_to() {
    // S-072, S-073, S-074
    let house = house().await;
    let allowed = Allowed::by(&house);
    for target in targets() {
        let mut browser = house.browser();
        let url = house.url(&format!("/.vestibule/login?return={}", encoded(&target)));
        let first = browser.view(&url).await;
        assert_eq!(first.status, 302, "{target:?}");
        let last = follow(&mut browser, &allowed, first, &target).await;
        assert_eq!(last.status, 200, "{target:?}: {}", last.text());
        assert_eq!(last.url.origin(), allowed.own);
        let own = target.starts_with('/') && !target.starts_with("//");
        assert!(
            own || last.url.as_str() == house.url("/"),
            "{target:?}: {}",
            last.url
        );
    }
}

#[tokio::test]
async fn a_sign_out_ends_at_home_whatever_it_was_to_return_to() {
    // S-072, S-074, S-156
    let house = house().await;
    let allowed = Allowed::by(&house);
    house.idp.signs_in(person("ann"));
    let mut browser = house.browser();
    for target in targets() {
        house.sign_in(&mut browser, person("ann")).await;
        house.wait(std::time::Duration::from_secs(61));
        let url = house.url(&format!("/.vestibule/logout?return={}", encoded(&target)));
        let asked = browser.view(&url).await;
        assert_eq!(asked.status, 200);
        assert_eq!(allowed.check(&asked, &target), None);

        let request = page_view(Request::get(&url)).header("sec-fetch-site", "same-origin");
        let first = browser.send(request.body(Bytes::new()).unwrap()).await;
        assert_eq!(first.status, 303, "{target:?}");
        let last = follow(&mut browser, &allowed, first, &target).await;
        assert_eq!(last.status, 200, "{target:?}");
        assert_eq!(last.url.path(), "/.vestibule/signed-out");
        assert!(!house.is_in(&mut browser).await);
    }
}

#[tokio::test]
async fn a_form_of_ours_leads_home_whatever_it_carries() {
    // S-072: the return path of the sign-out form.
    let house = house().await;
    let allowed = Allowed::by(&house);
    let mut browser = house.browser();
    for target in targets().into_iter().step_by(5) {
        house.sign_in(&mut browser, person("ann")).await;
        house.wait(std::time::Duration::from_secs(61));
        let asked = browser.view(&house.url("/.vestibule/logout")).await;
        let token = asked
            .text()
            .split("name=\"token\" value=\"")
            .nth(1)
            .unwrap();
        let token = token.split('"').next().unwrap().to_owned();
        let fields = [("token", &*token), ("return", &*target)];
        let first = browser
            .post(&house.url("/.vestibule/logout"), &fields)
            .await;
        assert_eq!(first.status, 303, "{target:?}");
        let last = follow(&mut browser, &allowed, first, &target).await;
        assert_eq!(last.url.path(), "/.vestibule/signed-out");
    }
}

#[tokio::test]
async fn a_page_with_an_odd_address_is_returned_to_on_our_own_host() {
    // S-072: the return path of a page view is the address itself.
    let house = house().await;
    let allowed = Allowed::by(&house);
    for path in [
        "//evil.test",
        "//evil.test/%2f..",
        "///evil.test",
        "/%5cevil.test",
        "/%5c%5cevil.test",
        "/%2f%2fevil.test",
        "/.//evil.test",
        "/..//evil.test",
        "/%2e%2e//evil.test",
        "/;//evil.test",
        "/@evil.test",
        "//@evil.test",
        "//wiki.example@evil.test",
        "/https://evil.test",
        "/https:evil.test",
        "/?https://evil.test",
        "/?//evil.test",
        "/%09/evil.test",
        "/%0d%0aLocation:%20https://evil.test",
        "/javascript:alert(1)",
        "//%5cevil.test",
        "/.vestibule//evil.test",
        "/.vestibule/../..//evil.test",
        "/.vestibule/login//evil.test",
        "/.vestibule/logout/..//evil.test",
        "/.vestibule",
        "/.vestibule/",
    ] {
        let mut browser = house.browser();
        let first = browser.view(&house.url(path)).await;
        let last = follow(&mut browser, &allowed, first, path).await;
        assert!(
            matches!(last.status.as_u16(), 200 | 400 | 404),
            "{path}: {}",
            last.status
        );
        let script = house.browser().get(&house.url(path)).await;
        assert_eq!(allowed.check(&script, path), None);
    }
}

#[tokio::test]
async fn raw_targets_lead_nowhere_else() {
    // S-072: bytes that no URL may hold, as they are on the wire.
    let house = house().await;
    let allowed = Allowed::by(&house);
    let authority = house.vestibule.authority(HOST);
    for target in targets().into_iter().step_by(3) {
        for line in [
            format!("/.vestibule/login?return={target}"),
            format!("/.vestibule/logout?return={target}"),
            target.clone(),
        ] {
            let line: String = line.replace(['\r', '\n'], "");
            let head = format!(
                "GET {line} HTTP/1.1\r\nHost: {authority}\r\nAccept: text/html\r\n\
                 Sec-Fetch-Site: same-origin\r\nConnection: close\r\n\r\n"
            );
            let said = house.vestibule.raw(HOST).say(head).await.text();
            let locations = said.lines().filter_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("location").then_some(value)
            });
            for location in locations {
                let origin = Url::parse(location.trim()).unwrap().origin();
                assert!(
                    origin == allowed.own || origin == allowed.provider,
                    "{line:?}: {location}"
                );
            }
        }
    }
    house.assert_no_panic();
}

#[tokio::test]
async fn an_own_path_comes_back_byte_for_byte() {
    let house = house().await;
    for path in [
        "/",
        "/a?b=c&d=%2F%2f",
        "/a;b=c",
        "/%5c%5cx",
        "/a?u=https://other.example/",
        "/a?",
        "/a//b",
        "/%E2%82%AC",
        "/a?q=1+2&r=%20",
        "/.vestibule/me",
        "/.vestibulex",
        "/a%23b?c%26d",
    ] {
        let mut browser = house.browser();
        let url = house.url(&format!("/.vestibule/login?return={}", encoded(path)));
        let back = house.way_back_to(&mut browser, &url).await;
        let answer = browser.view(back.as_str()).await;
        assert_eq!(answer.header("location"), Some(&*house.url(path)));
    }
    let longest = format!("/{}", "a".repeat(2047));
    for (path, kept) in [(longest.clone(), true), (longest + "a", false)] {
        let mut browser = house.browser();
        let back = house.way_back(&mut browser, &path).await;
        let answer = browser.view(back.as_str()).await;
        let expected = if kept {
            house.url(&path)
        } else {
            house.url("/")
        };
        assert_eq!(answer.header("location"), Some(&*expected));
    }
}
