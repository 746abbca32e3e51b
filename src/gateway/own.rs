//! The reserved prefix: which endpoint answers `/.vestibule/NAME`, on every host, whatever the
//! routes say. Nothing below it ever reaches an upstream.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, header::CONTENT_TYPE, request::Parts};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use super::{
    authenticate::{Authenticated, authenticate},
    context::RequestContext,
    error::GatewayError,
    handle::Worker,
    judged::Judged,
    page_view::Waiting,
    routes::{RouteEntry, RouteTable, Site},
};
use crate::{
    login::{
        Answer, UserName,
        return_to::{ReturnTo, single_parameter},
    },
    pages, reserved,
    session::Session,
    telemetry::Decision,
};

/// The largest form of ours, in bytes.
const MAX_FORM_BYTES: usize = 8 * 1024;
/// How long a client may take to send one.
const FORM_TIMEOUT: Duration = Duration::from_secs(10);

/// The endpoints, by what stands behind the prefix.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Endpoint {
    Callback,
    FrontchannelLogout,
    Login,
    Logout,
    Me,
    SignedOut,
}

impl Endpoint {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "callback" => Self::Callback,
            "frontchannel-logout" => Self::FrontchannelLogout,
            "login" => Self::Login,
            "logout" => Self::Logout,
            "me" => Self::Me,
            "signed-out" => Self::SignedOut,
            _ => return None,
        })
    }

    /// What `Allow` says.
    fn methods(self) -> &'static str {
        match self {
            Self::Callback | Self::FrontchannelLogout | Self::Login => "GET",
            Self::Logout => "GET, POST",
            Self::Me | Self::SignedOut => "GET, HEAD",
        }
    }

    fn allows(self, method: &Method) -> bool {
        self.methods()
            .split(", ")
            .any(|allowed| allowed == method.as_str())
    }
}

impl Worker {
    /// Answers a request below the reserved prefix.
    pub(super) async fn answer_own(
        &self,
        context: &RequestContext,
        table: &RouteTable,
        site: &Site,
        parts: &Parts,
        body: Incoming,
    ) -> Result<Answer, GatewayError> {
        let path = parts.uri.path();
        let name = path.strip_prefix(reserved::PATHS).unwrap_or_default();
        let waiting = Waiting::of(&parts.method, &parts.headers);
        let Some(endpoint) = Endpoint::named(name) else {
            return asset(&parts.method, name).ok_or(GatewayError::NoEndpoint);
        };
        if !endpoint.allows(&parts.method) {
            return Err(GatewayError::OwnMethod(endpoint.methods()));
        }
        let widest = site.widest_route();
        let form = match parts.method {
            Method::POST => read_form(&parts.headers, body).await,
            _ => None,
        };
        let authenticated = authenticate(self.store(), &parts.headers, site, context.began)?;
        let query = parts.uri.query();
        let entry = route_of_return(site, form.as_deref().or(query)).unwrap_or(widest);
        let door = context.door(site, entry, &parts.headers, waiting, &authenticated);
        let login = self.login();
        Ok(match endpoint {
            Endpoint::Callback => login.callback(&door, query).await,
            Endpoint::FrontchannelLogout => login.frontchannel_logout(&door, query),
            Endpoint::Login => login.login(&door, query),
            Endpoint::Logout => login.logout(&door, &parts.method, query, form.as_deref()),
            Endpoint::SignedOut => login.signed_out(&door, query),
            Endpoint::Me => match &authenticated {
                Authenticated::Nobody(reason) => login.ask(&door, &ReturnTo::new(path), reason),
                Authenticated::Session(session) => {
                    let user = user_name(table, site, entry, session);
                    login.me(&door, session, UserName(user.as_deref()))
                }
            },
        })
    }
}

/// The user name as the app would be told it: of the route the session began at, if it is here.
fn user_name(
    table: &RouteTable,
    site: &Site,
    otherwise: &RouteEntry,
    session: &Session,
) -> Option<String> {
    let entry = site
        .route_by_id(session.route())
        .map_or(otherwise, AsRef::as_ref);
    Judged::of(table, entry, session).user().map(str::to_owned)
}

/// Style and pictures of our pages.
fn asset(method: &Method, name: &str) -> Option<Answer> {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let response = pages::asset(name).filter(|_| reads)?;
    Some(Answer {
        response,
        decision: Decision::Own,
        reason: "asset",
    })
}

/// The route that a sign-in or sign-out is about: the one of the page it leads back to.
fn route_of_return<'a>(site: &'a Site, parameters: Option<&str>) -> Option<&'a RouteEntry> {
    let return_to = ReturnTo::new(&single_parameter(parameters, "return")?);
    site.route(return_to.path()).map(AsRef::as_ref)
}

/// The text of a form, if it is one of a size that ours have.
async fn read_form(headers: &HeaderMap, body: Incoming) -> Option<String> {
    let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return None;
    }
    let reading = Limited::new(body, MAX_FORM_BYTES).collect();
    let read = tokio::time::timeout(FORM_TIMEOUT, reading)
        .await
        .ok()?
        .ok()?;
    let bytes: Bytes = read.to_bytes();
    String::from_utf8(bytes.into()).ok()
}
