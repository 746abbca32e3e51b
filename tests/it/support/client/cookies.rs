//! A browser's cookies (RFC 6265bis), as strict as browsers are about prefixes.

use std::time::Duration;

use url::Url;
use vestibule::clock::{Clock, Deadline};

/// The cookies of one browser.
pub(super) struct Jar {
    clock: Clock,
    cookies: Vec<Cookie>,
    refused: Vec<String>,
}

struct Cookie {
    name: String,
    value: String,
    host: String,
    /// Set with a `Domain`: goes to names below the host as well.
    domain_wide: bool,
    path: String,
    secure: bool,
    end: Option<Deadline>,
}

impl Jar {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            cookies: Vec::new(),
            refused: Vec::new(),
        }
    }

    pub(super) fn refused(&self) -> &[String] {
        &self.refused
    }

    pub(super) fn forget(&mut self, name: &str) {
        self.cookies.retain(|cookie| cookie.name != name);
    }

    pub(super) fn value(&self, url: &Url, name: &str) -> Option<String> {
        let mut sent = self.sent_to(url).into_iter();
        Some(sent.find(|cookie| cookie.name == name)?.value.clone())
    }

    pub(super) fn names(&self, url: &Url) -> Vec<String> {
        let sent = self.sent_to(url).into_iter();
        sent.map(|cookie| cookie.name.clone()).collect()
    }

    /// The `Cookie` line of a request to `url`, if there is anything to send.
    pub(super) fn line_for(&self, url: &Url) -> Option<String> {
        let sent = self.sent_to(url).into_iter();
        let pairs: Vec<_> = sent.map(|it| format!("{}={}", it.name, it.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// Takes one `Set-Cookie` line of an answer from `url`, or refuses it.
    pub(super) fn take(&mut self, url: &Url, line: &str) {
        let Some((cookie, kept)) = self.read(url, line) else {
            self.refused.push(line.to_owned());
            return;
        };
        let same = |old: &Cookie| {
            (&old.name, &old.host, &old.path) == (&cookie.name, &cookie.host, &cookie.path)
        };
        match self.cookies.iter().position(same) {
            Some(at) if kept => self.cookies[at] = cookie,
            Some(at) => drop(self.cookies.remove(at)),
            None if kept => self.cookies.push(cookie),
            None => {}
        }
    }

    /// The cookie of a line, and whether it is kept or removed; `None` if a browser refuses it.
    fn read(&self, url: &Url, line: &str) -> Option<(Cookie, bool)> {
        let mut parts = line.split(';').map(str::trim);
        let (name, value) = parts.next()?.split_once('=')?;
        let host = url.host_str()?.to_ascii_lowercase();
        let mut cookie = Cookie {
            name: name.trim().to_owned(),
            value: value.trim().to_owned(),
            domain_wide: false,
            path: default_path(url),
            secure: false,
            end: None,
            host,
        };
        let (mut kept, mut path_given) = (true, false);
        for attribute in parts {
            let (word, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            match word.to_ascii_lowercase().as_str() {
                "secure" => cookie.secure = true,
                "path" if value.starts_with('/') => {
                    cookie.path = value.to_owned();
                    path_given = true;
                }
                "domain" => {
                    let domain = value.trim_start_matches('.').to_ascii_lowercase();
                    if !is_below(&cookie.host, &domain) {
                        return None;
                    }
                    (cookie.host, cookie.domain_wide) = (domain, true);
                }
                "max-age" => {
                    let seconds: i64 = value.parse().ok()?;
                    kept = seconds > 0;
                    let age = Duration::from_secs(seconds.unsigned_abs());
                    cookie.end = Some(self.clock.now().deadline_after(age));
                }
                "expires" => kept = kept && !value.contains(" 1970 "),
                _ => {}
            }
        }
        let secure = cookie.secure && url.scheme() == "https";
        let bound = !cookie.domain_wide && path_given && cookie.path == "/";
        let folded = cookie.name.to_ascii_lowercase();
        let refused = (cookie.secure && url.scheme() != "https")
            || (folded.starts_with("__secure-") && !secure)
            || (folded.starts_with("__host-") && !(secure && bound));
        (!refused).then_some((cookie, kept))
    }

    /// Longer paths first, then the older ones (RFC 6265bis 5.8.3).
    fn sent_to(&self, url: &Url) -> Vec<&Cookie> {
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        let now = self.clock.now();
        let mut sent: Vec<_> = self
            .cookies
            .iter()
            .filter(|it| it.host == host || (it.domain_wide && is_below(&host, &it.host)))
            .filter(|it| path_matches(&it.path, url.path()))
            .filter(|it| !it.secure || url.scheme() == "https")
            .filter(|it| it.end.is_none_or(|end| !end.has_passed(now)))
            .collect();
        sent.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        sent
    }
}

fn is_below(host: &str, domain: &str) -> bool {
    let rest = host.strip_suffix(domain);
    !domain.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn path_matches(cookie: &str, path: &str) -> bool {
    path.strip_prefix(cookie)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || cookie.ends_with('/'))
}

fn default_path(url: &Url) -> String {
    match url.path().rfind('/') {
        Some(0) | None => "/".to_owned(),
        Some(end) => url.path()[..end].to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::clock;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn sent(jar: &Jar, to: &str) -> Option<String> {
        jar.line_for(&url(to))
    }

    #[test]
    fn a_prefix_is_taken_only_with_what_it_promises() {
        let mut jar = Jar::new(clock::manual().clock());
        let page = url("https://a.example/x/y");
        for refused in [
            "__Host-a=1; Path=/",
            "__Host-a=1; Secure",
            "__Host-a=1; Secure; Path=/x",
            "__Host-a=1; Secure; Path=/; Domain=a.example",
            "__host-a=1; Path=/",
            "__Secure-a=1",
            "a=1; Domain=b.example",
            "a",
        ] {
            jar.take(&page, refused);
            assert_eq!(jar.refused().last().map(String::as_str), Some(refused));
        }
        jar.take(&url("http://a.example/"), "a=1; Secure");
        assert_eq!(jar.refused().len(), 9);
        jar.take(&page, "__Host-a=1; Secure; Path=/; HttpOnly");
        assert_eq!(
            sent(&jar, "https://a.example/").as_deref(),
            Some("__Host-a=1")
        );
        assert_eq!(sent(&jar, "https://b.example/"), None);
        assert_eq!(sent(&jar, "http://a.example/"), None);
    }

    #[test]
    fn paths_hosts_and_ages_decide_where_a_cookie_goes() {
        let time = clock::manual();
        let mut jar = Jar::new(time.clock());
        let page = url("https://a.example/x/y");
        jar.take(&page, "wide=1; Domain=example; Path=/");
        jar.take(&page, "deep=2");
        jar.take(&page, "brief=3; Path=/; Max-Age=60");
        assert_eq!(
            sent(&jar, "https://a.example/x/z").as_deref(),
            Some("deep=2; wide=1; brief=3")
        );
        assert_eq!(
            sent(&jar, "https://b.example/xy").as_deref(),
            Some("wide=1")
        );
        time.advance(Duration::from_mins(1));
        assert_eq!(jar.names(&url("https://a.example/xy")), ["wide"]);
        jar.take(&page, "wide=; Domain=example; Path=/; Max-Age=0");
        jar.take(&page, "deep=; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(sent(&jar, "https://a.example/x/z"), None);
        jar.take(&page, "a=1");
        jar.take(&page, "a=2");
        assert_eq!(jar.value(&page, "a").as_deref(), Some("2"));
        jar.forget("a");
        assert_eq!(jar.value(&page, "a"), None);
    }
}
