//! What a route makes of a person: the verdict, and the headers the app will be told. Made once per
//! session and route, used for every request; void when the route table changes.

use std::sync::Arc;

use super::{
    authorize::{Verdict, judge},
    error::{ForbiddenPerson, GatewayError, WhyForbidden},
    routes::{RouteEntry, RouteTable},
};
use crate::{
    session::{RouteView, Session},
    upstream::{RenderError, RenderedIdentity, render},
};

/// The verdict of a route on a session.
pub(super) enum Judged {
    /// Let in, with these headers.
    Allowed(RenderedIdentity),
    /// Not let in.
    Forbidden(ForbiddenPerson),
}

impl Judged {
    /// What `entry` of `table` makes of a session; kept with the session.
    pub(super) fn of(table: &RouteTable, entry: &RouteEntry, session: &Session) -> Arc<Self> {
        let kept = session
            .view(&entry.route.id, table.generation)
            .and_then(|view| Arc::downcast(view).ok());
        kept.unwrap_or_else(|| {
            let judged = Arc::new(Self::new(entry, session));
            session.keep_view(&RouteView {
                route: entry.route.id.clone(),
                generation: table.generation,
                lets_in: matches!(*judged, Self::Allowed(_)),
                view: Arc::clone(&judged) as Arc<_>,
            });
            judged
        })
    }

    /// Judges, and renders what the app is told of whoever is let in.
    fn new(entry: &RouteEntry, session: &Session) -> Self {
        let identity = session.identity();
        let rendered = render(identity, &entry.route.identity, &entry.named_groups);
        let user = rendered.as_ref().ok().map(|it| it.user.clone());
        let why = match judge(&entry.route, identity, user.as_deref()) {
            Verdict::Forbid(forbidden) => WhyForbidden::Rules(forbidden),
            Verdict::Allow => match rendered {
                Ok(rendered) => return Self::Allowed(rendered),
                Err(RenderError::NoUserName { came }) => {
                    tracing::warn!(
                        route = %entry.route.id,
                        wanted = entry.route.identity.user_claims.join(", "),
                        came = came.join(", "),
                        "nobody can come in whose token has none of the claims that name a user; \
                         choose one that came for [identity] user_claims"
                    );
                    WhyForbidden::NoUserName(came)
                }
                Err(error) => {
                    tracing::warn!(
                        route = %entry.route.id,
                        person = %identity.person(),
                        %error,
                        "failed to describe a person in the headers of a route"
                    );
                    WhyForbidden::Unrenderable
                }
            },
        };
        let preferred = || session.identity().preferred_username().map(str::to_owned);
        Self::Forbidden(ForbiddenPerson {
            user: user.or_else(preferred),
            why,
        })
    }

    /// The headers of a person who is let in.
    ///
    /// # Errors
    /// Returns [`GatewayError::Forbidden`] for everybody else.
    pub(super) fn allowed(&self) -> Result<&RenderedIdentity, GatewayError> {
        match self {
            Self::Allowed(rendered) => Ok(rendered),
            Self::Forbidden(person) => Err(GatewayError::Forbidden(person.clone())),
        }
    }

    /// The user name, for log and page.
    pub(super) fn user(&self) -> Option<&str> {
        match self {
            Self::Allowed(rendered) => Some(&rendered.user),
            Self::Forbidden(person) => person.user.as_deref(),
        }
    }
}
