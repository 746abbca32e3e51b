//! From a situation to what stands on its page: texts, facts, and the one thing to press.
//!
//! Every value that comes from outside goes through [`Shown`] or [`LocalLink`] here, so that the
//! template has nothing to decide.

use crate::clock::Timestamp;

use super::{
    catalogue::{Labels, Situation, Texts},
    notice::{ForbiddenReason, Notice, SignInFault},
    shown::{LocalLink, Shown, ShownTime},
};

/// A list longer than this is folded away until it is asked for.
const LONG_LIST: usize = 8;

/// What stands on one page, between the header and the help.
pub(super) struct View<'a> {
    pub(super) tone: &'static str,
    pub(super) situation: &'static Situation,
    pub(super) facts: Vec<Fact<'a>>,
    pub(super) action: Option<Action<'a>>,
}

/// One line of the list of facts.
pub(super) struct Fact<'a> {
    pub(super) label: &'static str,
    pub(super) value: Value<'a>,
}

/// A value beside its label.
pub(super) enum Value<'a> {
    Code(String),
    List {
        entries: Vec<Shown<'a>>,
        /// Set if the list is to be folded.
        summary: Option<String>,
    },
    Text(Shown<'a>),
    Time {
        at: ShownTime,
        note: Option<String>,
    },
    Words(&'static str),
}

/// What the button does.
pub(super) enum Action<'a> {
    /// A form that is sent by POST.
    Form {
        label: &'static str,
        action: LocalLink<'a>,
        /// Byte for byte; only the template's escaping lies between.
        token: &'a str,
        return_to: &'a str,
    },
    Link {
        label: String,
        href: LocalLink<'a>,
        /// Stands back: not what most people who see the page want.
        quiet: bool,
    },
}

/// What the page about `notice` holds, in these words, at `now`.
pub(super) fn view<'a>(notice: &Notice<'a>, texts: &'static Texts, now: Timestamp) -> View<'a> {
    View {
        tone: tone(notice),
        situation: situation(notice, texts),
        facts: facts(notice, &texts.labels, now),
        action: action(notice, &texts.labels),
    }
}

/// The class that colours the page's edge; nothing is said by it alone.
fn tone(notice: &Notice<'_>) -> &'static str {
    let status = notice.status();
    if status.is_success() || matches!(notice, Notice::SignIn { .. }) {
        "plain"
    } else if status.is_server_error() {
        "fault"
    } else {
        "caution"
    }
}

fn situation<'t>(notice: &Notice<'_>, texts: &'t Texts) -> &'t Situation {
    match notice {
        Notice::AddressTooLong => &texts.address_too_long,
        Notice::BadRequest => &texts.bad_request,
        Notice::BodyTooLarge => &texts.body_too_large,
        Notice::CrossSite => &texts.cross_site,
        Notice::Forbidden { why, .. } => texts.refusals.of(*why),
        Notice::HeadersTooLarge => &texts.headers_too_large,
        Notice::Internal => &texts.internal,
        Notice::Loop { .. } => &texts.looping,
        Notice::Me { .. } => &texts.me,
        Notice::MethodNotAllowed { .. } => &texts.method_not_allowed,
        Notice::Misdirected => &texts.misdirected,
        Notice::NotFound => &texts.not_found,
        Notice::ProviderDown { .. } => &texts.provider_down,
        Notice::SignIn { .. } => &texts.sign_in,
        Notice::SignInFailed { what, .. } => texts.faults.of(*what),
        Notice::SignOut { .. } => &texts.sign_out,
        Notice::SignedOut { .. } => &texts.signed_out,
        Notice::StartAgain { reason, .. } => texts.attempts.of(*reason),
        Notice::StoreDown => &texts.store_down,
        Notice::TwoVestibules => &texts.two_vestibules,
        Notice::UpstreamCrowded => &texts.upstream_crowded,
        Notice::UpstreamDown => &texts.upstream_down,
        Notice::UpstreamSlow => &texts.upstream_slow,
    }
}

fn facts<'a>(notice: &Notice<'a>, labels: &Labels, now: Timestamp) -> Vec<Fact<'a>> {
    let fact = |label, value| Fact { label, value };
    match notice {
        Notice::Forbidden { user, why, .. } => {
            let user = user.map(|user| fact(labels.signed_in_as, Value::Text(Shown(user))));
            let came = match why {
                ForbiddenReason::NoUserName { came } => {
                    Some(fact(labels.claims_received, list(came, labels)))
                }
                _ => None,
            };
            user.into_iter().chain(came).collect()
        }
        Notice::Me { .. } => person(notice, labels, now),
        Notice::SignInFailed {
            provider_code: Some(code),
            ..
        } => vec![fact(
            labels.provider_code,
            Value::Code(format!("AADSTS{code}")),
        )],
        Notice::TwoVestibules => vec![fact(
            labels.for_the_operator,
            Value::Words(labels.two_vestibules),
        )],
        _ => Vec::new(),
    }
}

fn person<'a>(notice: &Notice<'a>, labels: &Labels, now: Timestamp) -> Vec<Fact<'a>> {
    let Notice::Me {
        user,
        name,
        email,
        groups,
        roles,
        provider,
        signed_in_at,
        expires_at,
        ..
    } = notice
    else {
        return Vec::new();
    };
    let optional = |text: Option<&'a str>| {
        text.map_or(Value::Words(labels.none), |text| Value::Text(Shown(text)))
    };
    let groups = groups.map_or(Value::Words(labels.groups_unknown), |groups| {
        list(groups, labels)
    });
    let signed_in_at = Value::Time {
        at: ShownTime(*signed_in_at),
        note: None,
    };
    let expires_at = Value::Time {
        at: ShownTime(*expires_at),
        note: Some((labels.in_future)(expires_at.since(now))),
    };
    [
        (labels.user, Value::Text(Shown(user))),
        (labels.name, optional(*name)),
        (labels.email, optional(*email)),
        (labels.roles, list(roles, labels)),
        (labels.groups, groups),
        (labels.provider, Value::Text(Shown(provider))),
        (labels.signed_in_at, signed_in_at),
        (labels.expires_at, expires_at),
    ]
    .into_iter()
    .map(|(label, value)| Fact { label, value })
    .collect()
}

fn list<'a>(entries: &'a [String], labels: &Labels) -> Value<'a> {
    if entries.is_empty() {
        return Value::Words(labels.none);
    }
    Value::List {
        entries: entries.iter().map(|entry| Shown(entry)).collect(),
        summary: (entries.len() > LONG_LIST).then(|| (labels.entries)(entries.len())),
    }
}

fn action<'a>(notice: &Notice<'a>, labels: &Labels) -> Option<Action<'a>> {
    let link = |label: &str, href, quiet| Action::Link {
        label: label.to_owned(),
        href: LocalLink(href),
        quiet,
    };
    match notice {
        Notice::Forbidden { logout, .. } => Some(link(labels.use_another_account, logout, true)),
        Notice::Me { logout, .. } => Some(link(labels.sign_out, logout, true)),
        Notice::SignOut {
            token,
            return_to,
            action,
            ..
        } => Some(Action::Form {
            label: labels.sign_out,
            action: LocalLink(action),
            token,
            return_to,
        }),
        Notice::SignIn { provider, login } => {
            let label = (labels.sign_in_with)(&Shown(provider).to_string());
            Some(link(&label, login, false))
        }
        Notice::SignedOut { login } => Some(link(labels.sign_in_again, login, true)),
        Notice::Loop { login } | Notice::ProviderDown { login, .. } => {
            Some(link(labels.try_again, login, false))
        }
        // Nobody gets in until an operator has acted.
        Notice::SignInFailed {
            what: SignInFault::Misconfigured,
            ..
        } => None,
        Notice::SignInFailed { what, login, .. } => {
            Some(link(labels.try_again, login, needs_others(*what)))
        }
        Notice::StartAgain { login, .. } => Some(link(labels.start_again, login, false)),
        _ => None,
    }
}

/// Whether trying again is of no use until somebody else has done something.
fn needs_others(fault: SignInFault) -> bool {
    matches!(
        fault,
        SignInFault::AccountBlocked | SignInFault::ConsentMissing | SignInFault::NotAssigned
    )
}
