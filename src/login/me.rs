//! Who one is here: the same facts as a page for people and as JSON for apps.
//!
//! Shows what vestibule knows of the session it is asked with, and nothing of any other.

use http::StatusCode;
use serde::Serialize;

use super::{Answer, Door, Login};
use crate::{
    identity::Groups,
    pages::{self, Notice},
    reserved::LOGOUT,
    session::Session,
    telemetry::Decision,
};

/// The user name as the app of the route is told it, if the route's rules find one.
#[derive(Clone, Copy, Debug)]
pub struct UserName<'a>(pub Option<&'a str>);

/// What `me` answers to a machine.
#[derive(Serialize)]
struct Me<'a> {
    user: Option<&'a str>,
    name: Option<&'a str>,
    email: Option<&'a str>,
    /// `null` when the provider had too many to list.
    groups: Option<&'a [String]>,
    roles: &'a [String],
    idp: &'a str,
    route: &'a str,
    signed_in_at: String,
    expires_at: String,
}

impl Login {
    /// `GET /.vestibule/me` with a session.
    #[must_use]
    pub fn me(&self, door: &Door<'_>, session: &Session, user: UserName<'_>) -> Answer {
        let identity = session.identity();
        let groups = match identity.groups() {
            Groups::Listed(groups) => Some(groups.as_slice()),
            Groups::Overage => None,
        };
        let response = if door.wants_page {
            let notice = Notice::Me {
                user: user.0.unwrap_or_default(),
                name: identity.name(),
                email: identity.email(),
                groups,
                roles: identity.roles(),
                provider: door.provider_title,
                signed_in_at: session.signed_in_at(),
                expires_at: session.deadline().wall,
                logout: LOGOUT,
            };
            pages::respond(&notice, &door.page)
        } else {
            pages::json(
                StatusCode::OK,
                &Me {
                    user: user.0,
                    name: identity.name(),
                    email: identity.email(),
                    groups,
                    roles: identity.roles(),
                    idp: &identity.provider().0,
                    route: &session.route().0,
                    signed_in_at: session.signed_in_at().to_string(),
                    expires_at: session.deadline().wall.to_string(),
                },
            )
        };
        Answer {
            response,
            decision: Decision::Own,
            reason: "me",
        }
    }
}
