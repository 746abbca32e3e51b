//! Which words a page is written in, and which words a language must have.
//!
//! [`Texts`] has no default and no optional text: a language that lacks one does not compile. No
//! text here is markup; templates escape all of it.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header::ACCEPT_LANGUAGE};

use super::{
    english,
    notice::{Attempt, ForbiddenReason, SignInFault},
};

/// A language that pages can be written in.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Language {
    /// English, which everybody gets who asks for nothing we have.
    #[default]
    English,
}

impl Language {
    /// The language a browser likes best among those there are (RFC 9110 12.5.4).
    #[must_use]
    pub fn from_accept_language(headers: &HeaderMap) -> Self {
        Self::of_wishes(headers.get_all(ACCEPT_LANGUAGE))
    }

    /// The same for the lines of `Accept-Language` alone.
    pub fn of_wishes<'a>(lines: impl IntoIterator<Item = &'a HeaderValue>) -> Self {
        let ranges = lines
            .into_iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','));
        preferred(ranges, Self::of_subtag).unwrap_or_default()
    }

    /// The BCP 47 tag, for `<html lang>`.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
        }
    }

    fn of_subtag(primary: &str) -> Option<Self> {
        primary.eq_ignore_ascii_case("en").then_some(Self::English)
    }

    pub(super) fn texts(self) -> &'static Texts {
        match self {
            Self::English => &english::TEXTS,
        }
    }
}

/// The known language of the highest weight, the first of several; a range counts by its first
/// subtag, and what has no valid weight does not count.
fn preferred<'a, L>(
    ranges: impl Iterator<Item = &'a str>,
    known: impl Fn(&str) -> Option<L>,
) -> Option<L> {
    let mut best: Option<(f32, L)> = None;
    for range in ranges {
        let (tag, parameter) = range.split_once(';').unwrap_or((range, "q=1"));
        let weight = parameter
            .trim()
            .strip_prefix("q=")
            .and_then(|weight| weight.parse::<f32>().ok())
            .filter(|weight| *weight > 0.0 && *weight <= 1.0);
        let primary = tag.trim().split('-').next().unwrap_or_default();
        if let (Some(weight), Some(language)) = (weight, known(primary))
            && best.as_ref().is_none_or(|(highest, _)| weight > *highest)
        {
            best = Some((weight, language));
        }
    }
    best.map(|(_, language)| language)
}

/// What one page says.
pub(super) struct Situation {
    /// What is the matter, in a few words: the heading and, with the app's title, the tab.
    pub(super) title: &'static str,
    /// What happened.
    pub(super) what: &'static str,
    /// What the person can do, one step each.
    pub(super) steps: &'static [&'static str],
}

/// Everything that a page says in one language.
pub(super) struct Texts {
    pub(super) labels: Labels,
    pub(super) attempts: Attempts,
    pub(super) faults: Faults,
    pub(super) refusals: Refusals,
    pub(super) address_too_long: Situation,
    pub(super) bad_request: Situation,
    pub(super) body_too_large: Situation,
    pub(super) cross_site: Situation,
    pub(super) headers_too_large: Situation,
    pub(super) internal: Situation,
    pub(super) looping: Situation,
    pub(super) me: Situation,
    pub(super) method_not_allowed: Situation,
    pub(super) misdirected: Situation,
    pub(super) not_found: Situation,
    pub(super) provider_down: Situation,
    pub(super) sign_in: Situation,
    pub(super) sign_out: Situation,
    pub(super) signed_out: Situation,
    pub(super) store_down: Situation,
    pub(super) two_vestibules: Situation,
    pub(super) upstream_crowded: Situation,
    pub(super) upstream_down: Situation,
    pub(super) upstream_slow: Situation,
}

/// What stands around the situations: headings, buttons, names of values.
pub(super) struct Labels {
    /// At the top of a page that belongs to no app.
    pub(super) entrance: &'static str,
    pub(super) steps_heading: &'static str,
    pub(super) help_heading: &'static str,
    /// Whom to ask where the operator named nobody.
    pub(super) help_desk: &'static str,
    pub(super) contact: &'static str,
    /// Why the reference matters.
    pub(super) quote_reference: &'static str,
    pub(super) reference: &'static str,
    pub(super) time: &'static str,
    pub(super) sign_in_with: fn(&str) -> String,
    pub(super) sign_in_again: &'static str,
    pub(super) start_again: &'static str,
    pub(super) sign_out: &'static str,
    pub(super) try_again: &'static str,
    pub(super) use_another_account: &'static str,
    pub(super) signed_in_as: &'static str,
    pub(super) provider_code: &'static str,
    pub(super) claims_received: &'static str,
    pub(super) for_the_operator: &'static str,
    pub(super) two_vestibules: &'static str,
    pub(super) user: &'static str,
    pub(super) name: &'static str,
    pub(super) email: &'static str,
    pub(super) groups: &'static str,
    pub(super) groups_unknown: &'static str,
    pub(super) roles: &'static str,
    pub(super) provider: &'static str,
    pub(super) signed_in_at: &'static str,
    pub(super) expires_at: &'static str,
    /// How far off an end is.
    pub(super) in_future: fn(Duration) -> String,
    pub(super) none: &'static str,
    /// What opens a long list: "120 entries".
    pub(super) entries: fn(usize) -> String,
}

/// A text for each [`Attempt`].
pub(super) struct Attempts {
    pub(super) expired: Situation,
    pub(super) foreign: Situation,
    pub(super) unknown: Situation,
    pub(super) used: Situation,
}

impl Attempts {
    pub(super) fn of(&self, attempt: Attempt) -> &Situation {
        match attempt {
            Attempt::Expired => &self.expired,
            Attempt::Foreign => &self.foreign,
            Attempt::Unknown => &self.unknown,
            Attempt::Used => &self.used,
        }
    }
}

/// A text for each [`SignInFault`].
pub(super) struct Faults {
    pub(super) account_blocked: Situation,
    pub(super) account_unknown: Situation,
    pub(super) answer_invalid: Situation,
    pub(super) cancelled: Situation,
    pub(super) consent_declined: Situation,
    pub(super) consent_missing: Situation,
    pub(super) device_or_place: Situation,
    pub(super) misconfigured: Situation,
    pub(super) more_steps: Situation,
    pub(super) not_assigned: Situation,
    pub(super) personal_account: Situation,
    pub(super) provider_refused: Situation,
}

impl Faults {
    pub(super) fn of(&self, fault: SignInFault) -> &Situation {
        match fault {
            SignInFault::AccountBlocked => &self.account_blocked,
            SignInFault::AccountUnknown => &self.account_unknown,
            SignInFault::AnswerInvalid => &self.answer_invalid,
            SignInFault::Cancelled => &self.cancelled,
            SignInFault::ConsentDeclined => &self.consent_declined,
            SignInFault::ConsentMissing => &self.consent_missing,
            SignInFault::DeviceOrPlace => &self.device_or_place,
            SignInFault::Misconfigured => &self.misconfigured,
            SignInFault::MoreSteps => &self.more_steps,
            SignInFault::NotAssigned => &self.not_assigned,
            SignInFault::PersonalAccount => &self.personal_account,
            SignInFault::ProviderRefused => &self.provider_refused,
        }
    }
}

/// A text for each [`ForbiddenReason`].
pub(super) struct Refusals {
    pub(super) denied: Situation,
    pub(super) groups_unknown: Situation,
    pub(super) guest: Situation,
    pub(super) no_user_name: Situation,
    pub(super) not_allowed: Situation,
}

impl Refusals {
    pub(super) fn of(&self, reason: ForbiddenReason<'_>) -> &Situation {
        match reason {
            ForbiddenReason::Denied => &self.denied,
            ForbiddenReason::GroupsUnknown => &self.groups_unknown,
            ForbiddenReason::Guest => &self.guest,
            ForbiddenReason::NoUserName { .. } => &self.no_user_name,
            ForbiddenReason::NotAllowed => &self.not_allowed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(line: &str) -> Option<String> {
        preferred(line.split(','), |tag| {
            ["en", "de"].contains(&tag).then(|| tag.to_owned())
        })
    }

    #[test]
    fn the_weightiest_known_language_wins() {
        for (line, chosen) in [
            ("de-CH, en;q=0.8", Some("de")),
            ("fr, en;q=0.5, de;q=0.7", Some("de")),
            ("en;q=0.5,de;q=0.5", Some("en")),
            ("de;q=0, en;q=0.1", Some("en")),
            ("de;q=NaN, de;q=2, de;q=-1, de;x", None),
            ("", None),
            (";;;,,-", None),
        ] {
            assert_eq!(choose(line).as_deref(), chosen, "{line}");
        }
    }

    #[test]
    fn whoever_asks_for_nothing_we_have_reads_english() {
        let mut headers = HeaderMap::new();
        for line in [&b"tlh"[..], b"\xff\xfe"] {
            headers.append(ACCEPT_LANGUAGE, line.try_into().unwrap());
        }
        assert_eq!(Language::from_accept_language(&headers), Language::English);
    }
}
