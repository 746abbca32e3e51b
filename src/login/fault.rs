//! What went wrong at the provider, in the few situations a page can explain.
//!
//! Branches on the OAuth `error` word and, for the help text only, on the number behind `AADSTS`
//! (`entra.md` 2.1: the numbers change at any time). The description's text goes nowhere.

use crate::pages::SignInFault;

/// An error that came back in the front channel or from the token endpoint.
pub(super) struct ProviderFault {
    /// The situation.
    pub(super) what: SignInFault,
    /// The number behind `AADSTS`.
    pub(super) code: Option<u32>,
    /// The word in log and metric.
    pub(super) reason: &'static str,
}

impl ProviderFault {
    /// Reads the `error` word and the number in the description.
    pub(super) fn new(error: &str, code: Option<u32>) -> Self {
        let (what, reason) = match error {
            "access_denied" => (SignInFault::Cancelled, "access_denied"),
            "consent_required" => (SignInFault::ConsentMissing, "consent_required"),
            "interaction_required" => (SignInFault::MoreSteps, "interaction_required"),
            "login_required" => (SignInFault::MoreSteps, "login_required"),
            "account_selection_required" => (SignInFault::MoreSteps, "account_selection_required"),
            "invalid_client" => (SignInFault::Misconfigured, "invalid_client"),
            "unauthorized_client" => (SignInFault::Misconfigured, "unauthorized_client"),
            "invalid_scope" => (SignInFault::Misconfigured, "invalid_scope"),
            "invalid_request" => (SignInFault::Misconfigured, "invalid_request"),
            "unsupported_response_type" => {
                (SignInFault::Misconfigured, "unsupported_response_type")
            }
            "invalid_grant" => (SignInFault::AnswerInvalid, "invalid_grant"),
            _ => (SignInFault::ProviderRefused, "provider_refused"),
        };
        let what = code.and_then(of_code).unwrap_or(what);
        Self { what, code, reason }
    }

    /// Whether the provider says that it is a passing fault of its own (RFC 6749 4.1.2.1).
    pub(super) fn is_passing(error: &str) -> bool {
        matches!(error, "server_error" | "temporarily_unavailable")
    }
}

/// The codes of `entra.md` 2.2 that name another situation than their `error` word does.
fn of_code(code: u32) -> Option<SignInFault> {
    Some(match code {
        65001 | 90094 | 90095 => SignInFault::ConsentMissing,
        65004 => SignInFault::ConsentDeclined,
        50105 => SignInFault::NotAssigned,
        50020 | 16000 | 51004 | 50034 | 50014 | 90072 | 16003 => SignInFault::AccountUnknown,
        500_208 => SignInFault::PersonalAccount,
        53000..=53004 | 53010 | 530_032 | 530_035 | 50097 | 50129 | 50131 | 50155 | 50187 => {
            SignInFault::DeviceOrPlace
        }
        50072 | 50074 | 50076 | 50078 | 50079 | 50158 => SignInFault::MoreSteps,
        50053 | 50055 | 50056 | 50057 | 50126 | 50144 => SignInFault::AccountBlocked,
        50011 | 700_016 | 7_000_215 | 7_000_222 | 7_000_218 | 700_027 | 50194 | 90002 | 90008
        | 650_056 | 650_057 => SignInFault::Misconfigured,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_says_more_than_the_error_word_and_odd_words_say_nothing() {
        assert_eq!(
            ProviderFault::new("access_denied", None).what,
            SignInFault::Cancelled
        );
        let declined = ProviderFault::new("access_denied", Some(65004));
        assert_eq!(declined.what, SignInFault::ConsentDeclined);
        assert_eq!(
            ProviderFault::new("\"><svg>", None).reason,
            "provider_refused"
        );
    }
}
