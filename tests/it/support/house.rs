//! A whole house: a provider, an app, the application between them, and people with browsers.

use std::time::Duration;

use ::vestibule::clock::ManualClock;
use url::Url;

use super::{
    PATIENCE,
    client::{Answer, Browser},
    clock,
    issuer::{self, Issuer, IssuerBuilder, Person, person},
    upstream::{self, Echo},
    vestibule::{self, Builder, Vestibule},
};

/// The host of every house's first route.
pub(crate) const HOST: &str = "wiki.example";

/// The cookie of a session.
pub(crate) const SESSION: &str = "__Host-vestibule";

/// What the cookie of an attempt begins with.
pub(crate) const ATTEMPT: &str = "__Host-vestibule-login-";

/// The application in front of an echo, with one provider.
pub(crate) struct House {
    pub(crate) vestibule: Vestibule,
    pub(crate) idp: Issuer,
    pub(crate) app: Echo,
}

/// A house with a generic provider and one route, `wiki`, for all who are signed in.
pub(crate) async fn house() -> House {
    built(|idp| idp, |house, _| house).await
}

/// The same with Entra ID's shape of provider.
pub(crate) async fn entra_house() -> House {
    let idp = |idp: IssuerBuilder| idp.entra();
    raised(idp, |house, idp, _| house.entra(idp)).await
}

/// A house with a provider of this shape, and whatever `more` adds.
pub(crate) async fn built(
    shape: impl FnOnce(IssuerBuilder) -> IssuerBuilder,
    more: impl FnOnce(Builder, &Echo) -> Builder,
) -> House {
    raised(shape, |house, idp, app| {
        more(house.provider("corp", idp), app)
    })
    .await
}

/// A house around a generic provider that runs already, honest or not.
pub(crate) async fn around(idp: Issuer, time: &ManualClock) -> House {
    let app = upstream::echo().run();
    let vestibule = vestibule::at(time)
        .route("wiki", HOST, "allow = \"signed-in\"", &app)
        .provider("corp", &idp)
        .run();
    vestibule.can_sign_in(HOST).await;
    House {
        vestibule,
        idp,
        app,
    }
}

async fn raised(
    shape: impl FnOnce(IssuerBuilder) -> IssuerBuilder,
    more: impl FnOnce(Builder, &Issuer, &Echo) -> Builder,
) -> House {
    let time = clock::manual();
    let idp = shape(issuer::honest(&time)).run();
    let app = upstream::echo().run();
    let building = vestibule::at(&time).main("[log]\naccess = \"off\"").route(
        "wiki",
        HOST,
        "allow = \"signed-in\"",
        &app,
    );
    let vestibule = more(building, &idp, &app).run();
    vestibule.can_sign_in(HOST).await;
    House {
        vestibule,
        idp,
        app,
    }
}

impl House {
    /// `PATH` on the first route's host.
    pub(crate) fn url(&self, path: &str) -> String {
        self.vestibule.url(HOST, path)
    }

    /// A browser without cookies.
    pub(crate) fn browser(&self) -> Browser {
        self.vestibule.browser()
    }

    /// Lets time go by.
    pub(crate) fn wait(&self, time: Duration) {
        self.vestibule.time().advance(time);
    }

    /// A browser in which this person has signed in on the first route's host.
    pub(crate) async fn browser_of(&self, login: &str) -> Browser {
        let mut browser = self.browser();
        self.sign_in(&mut browser, person(login)).await;
        browser
    }

    /// Signs somebody in on the first route's host.
    pub(crate) async fn sign_in(&self, browser: &mut Browser, who: Person) {
        self.sign_in_at(browser, &self.url("/"), who).await;
    }

    /// Signs somebody in by opening `url`.
    pub(crate) async fn sign_in_at(&self, browser: &mut Browser, url: &str, who: Person) {
        self.idp.signs_in(who);
        let trail = browser.follow(url, 3).await;
        let last = &trail[trail.len() - 1];
        assert_eq!(last.status, 200, "{}", last.text());
        assert_eq!(last.url.as_str(), url);
    }

    /// Opens a page and goes to the provider and no further: where that sends the browser back to.
    pub(crate) async fn way_back(&self, browser: &mut Browser, path: &str) -> Url {
        self.way_back_to(browser, &self.url(path)).await
    }

    /// The same for any address.
    pub(crate) async fn way_back_to(&self, browser: &mut Browser, url: &str) -> Url {
        let trail = browser.follow(url, 1).await;
        assert_eq!(trail[0].status, 302, "{}", trail[0].text());
        let back = trail[1].redirects_to().expect("the provider sends back");
        assert_eq!(back.path(), "/.vestibule/callback");
        back
    }

    /// Goes the whole way from a page of the first route's host: the answer to the callback.
    pub(crate) async fn come_back(&self, browser: &mut Browser) -> Answer {
        let back = self.way_back(browser, "/page").await;
        browser.view(back.as_str()).await
    }

    /// Whether a browser's session lets it through to the app; asks as a script does.
    pub(crate) async fn is_in(&self, browser: &mut Browser) -> bool {
        is_in(browser, &self.url("/")).await
    }

    /// How many sign-ins ended with `reason`, as `/metrics` says.
    pub(crate) fn sign_ins(&self, reason: &str) -> u64 {
        let ending = format!("reason=\"{reason}\"}} ");
        let metrics = self.vestibule.metrics();
        let counts = metrics
            .lines()
            .filter(|line| line.starts_with("vestibule_sign_ins_total{"))
            .filter_map(|line| line.split_once(&ending)?.1.parse::<u64>().ok());
        counts.sum()
    }

    /// No request ended in a fault of ours.
    pub(crate) fn assert_no_panic(&self) {
        let metrics = self.vestibule.metrics();
        assert!(metrics.contains("vestibule_panics_total 0"), "{metrics}");
    }
}

/// Whether a browser's session lets it through at `url`; asks as a script does.
pub(crate) async fn is_in(browser: &mut Browser, url: &str) -> bool {
    match browser.get(url).await.status.as_u16() {
        200 => true,
        401 => false,
        other => panic!("neither in nor out: {other}"),
    }
}

/// The `Set-Cookie` lines of an answer that give a cookie of this name a value.
pub(crate) fn cookies_set(answer: &Answer, name: &str) -> Vec<String> {
    let lines = answer.headers.get_all("set-cookie").iter();
    let prefix = format!("{name}=");
    lines
        .map(|line| line.to_str().unwrap().to_owned())
        .filter(|line| line.starts_with(&prefix) && !line.starts_with(&format!("{prefix};")))
        .collect()
}

/// The page is one of ours that refuses, offers to start again, and gives no session.
pub(crate) fn assert_refused_kindly(answer: &Answer) {
    let text = answer.text();
    assert!(answer.status.is_client_error(), "{}: {text}", answer.status);
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(text.contains("href=\"/.vestibule/login?return="), "{text}");
    assert_eq!(cookies_set(answer, SESSION), Vec::<String>::new());
}

impl Vestibule {
    /// Waits until a sign-in can begin on `host`.
    pub(crate) async fn can_sign_in(&self, host: &str) {
        let mut browser = self.browser();
        let url = self.url(host, "/.vestibule/login");
        let polling = async {
            while browser.view(&url).await.status != 302 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let polled = tokio::time::timeout(PATIENCE, polling).await;
        polled.expect("the provider became known");
    }
}
