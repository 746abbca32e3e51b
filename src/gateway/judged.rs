//! What a route makes of a person: the verdict, and the headers the app will be told. Made once per
//! session and route, used for every request; void when the route table changes.

use std::sync::Arc;

use super::{
    authorize::{Verdict, judge, judge_app},
    bearer::is_name_of_an_app,
    error::{ForbiddenPerson, GatewayError, WhyForbidden},
    routes::{RouteEntry, RouteTable},
};
use crate::{
    identity::Identity,
    session::{RouteView, Session},
    upstream::{RenderError, RenderedIdentity, render, render_as},
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
            let judged = Arc::new(Self::person(entry, session.identity()));
            session.keep_view(&RouteView {
                route: entry.route.id.clone(),
                generation: table.generation,
                lets_in: matches!(*judged, Self::Allowed(_)),
                view: Arc::clone(&judged) as Arc<_>,
            });
            judged
        })
    }

    /// Judges a person, and renders what the app is told of whoever is let in.
    pub(super) fn person(entry: &RouteEntry, identity: &Identity) -> Self {
        let rendered = render(identity, &entry.route.identity, &entry.named_groups);
        let user = rendered.as_ref().ok().map(|it| it.user.clone());
        let is_like_app = entry.bearer.is_some() && user.as_deref().is_some_and(is_name_of_an_app);
        let verdict = judge(&entry.route, identity, user.as_deref());
        Self::of_verdict(entry, identity, user, is_like_app, verdict, rendered)
    }

    /// Judges an app that acts for itself; `name` is what it is called.
    pub(super) fn app(entry: &RouteEntry, identity: &Identity, name: String) -> Self {
        let verdict = judge_app(&entry.route, identity, &name);
        let rules = &entry.route.identity;
        let rendered = render_as(identity, name.clone(), rules, &entry.named_groups);
        Self::of_verdict(entry, identity, Some(name), false, verdict, rendered)
    }

    fn of_verdict(
        entry: &RouteEntry,
        identity: &Identity,
        user: Option<String>,
        is_like_app: bool,
        verdict: Verdict,
        rendered: Result<RenderedIdentity, RenderError>,
    ) -> Self {
        let why = match verdict {
            Verdict::Forbid(forbidden) => WhyForbidden::Rules(forbidden),
            Verdict::Allow if is_like_app => WhyForbidden::NamedLikeApp,
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
        let preferred = || identity.preferred_username().map(str::to_owned);
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
