//! What pages say in English: plain words for people, not for engineers.
//!
//! A text says what happened and what to do. It blames nobody, promises nothing, and knows nothing
//! of the inside; names and numbers are put beside it, never into it.

use std::time::Duration;

use super::catalogue::{Attempts, Faults, Labels, Refusals, Situation, Texts};

pub(super) const TEXTS: Texts = Texts {
    labels: LABELS,
    attempts: ATTEMPTS,
    faults: FAULTS,
    refusals: REFUSALS,
    address_too_long: Situation {
        title: "The address is too long",
        what: "The link you followed is longer than this site accepts.",
        steps: &["Open the start page of the app and find your way from there."],
    },
    bad_request: Situation {
        title: "This request could not be understood",
        what: "Your browser sent something that this site does not accept. Nothing was changed.",
        steps: &[
            "Go back and try again.",
            "If you came by a link or a bookmark, open the start page of the app instead.",
        ],
    },
    body_too_large: Situation {
        title: "Too much to send at once",
        what: "What you tried to send is larger than this site accepts. It was not passed on.",
        steps: &["Go back and try it with a smaller file or a shorter text."],
    },
    cross_site: Situation {
        title: "You are still signed in",
        what: "Another website tried to sign you out. That is not allowed, so nothing was changed.",
        steps: &[
            "To sign out, use the sign-out link of the app itself.",
            "If you did not expect this page, you can simply close it.",
        ],
    },
    headers_too_large: Situation {
        title: "Your browser sends too much with each request",
        what: "This is mostly caused by cookies that have piled up for this site. \
               The request was not passed on.",
        steps: &[
            "Delete the cookies of this site in the settings of your browser.",
            "Then open the app again. You may have to sign in again.",
        ],
    },
    internal: Situation {
        title: "Something went wrong on our side",
        what: "The page could not be shown because of a fault in the sign-in service. \
               It is nothing you did.",
        steps: &[
            "Wait a moment, then try again.",
            "If it happens again, report it with the reference below.",
        ],
    },
    looping: Situation {
        title: "Your browser does not keep you signed in",
        what: "You signed in, but your browser came back without the cookie that says so. \
               To spare you going round in circles, the sign-in was stopped here.",
        steps: &[
            "Allow cookies for this site in the settings of your browser.",
            "Switch off extensions that block cookies or tracking for this site.",
            "Open the app in a normal window of its own, not inside another app or page.",
            "Then sign in again.",
        ],
    },
    me: Situation {
        title: "You are signed in",
        what: "This is what your sign-in says about you.",
        steps: &[],
    },
    method_not_allowed: Situation {
        title: "That does not work at this address",
        what: "The address exists, but it cannot be used in this way. Nothing was changed.",
        steps: &["Go back, or open the start page of the app."],
    },
    misdirected: Situation {
        title: "Your browser reached the wrong place",
        what: "The connection was made for another site than the one you asked for.",
        steps: &["Close the browser and open the address again."],
    },
    not_found: Situation {
        title: "There is nothing at this address",
        what: "The page you asked for does not exist here.",
        steps: &[
            "Check the address for typing mistakes.",
            "If you came by a link or a bookmark, it may be out of date.",
        ],
    },
    provider_down: Situation {
        title: "Signing in is not possible right now",
        what: "The sign-in service of your organisation cannot be reached at the moment. \
               Whoever is already signed in can go on working.",
        steps: &["Wait a minute, then try again."],
    },
    sign_in: Situation {
        title: "Please sign in",
        what: "You need to sign in to use this app.",
        steps: &[],
    },
    sign_out: Situation {
        title: "Do you want to sign out?",
        what: "You will be signed out of this app and of the account you signed in with, and so \
               perhaps of other apps. What you have not saved may be lost.",
        steps: &[],
    },
    signed_out: Situation {
        title: "You are signed out",
        what: "You are signed out here. The account you signed in with may still be open in \
               this browser.",
        steps: &["On a computer that others use too, close all windows of the browser now."],
    },
    store_down: Situation {
        title: "The app is not available right now",
        what: "Your sign-in cannot be checked at the moment, so nobody is let in to be on the \
               safe side. It is nothing you did.",
        steps: &["Wait a minute, then reload this page."],
    },
    two_vestibules: Situation {
        title: "The sign-in could not be finished",
        what: "Your sign-in began at one server and ended at another that knows nothing of it. \
               The site has to be set up differently; trying again will not help for long.",
        steps: &["Report this page to the people who run the app, with the reference below."],
    },
    upstream_crowded: Situation {
        title: "The app is busy",
        what: "More people use the app at the moment than it can serve at once. What you sent did \
               not reach it.",
        steps: &["Wait a few seconds, then reload this page."],
    },
    upstream_down: Situation {
        title: "The app does not answer",
        what: "You reached the entrance, but the app behind it is not available at the moment. \
               It has nothing to do with your sign-in.",
        steps: &["Wait a minute, then reload this page."],
    },
    upstream_slow: Situation {
        title: "The app takes too long",
        what: "The app did not answer in time. It may still be working on what you sent.",
        steps: &[
            "Wait a minute, then look whether what you did has taken effect before doing it again.",
        ],
    },
};

const LABELS: Labels = Labels {
    entrance: "Sign-in",
    steps_heading: "What you can do",
    help_heading: "Need help?",
    help_desk: "Ask your IT help desk.",
    contact: "Contact:",
    quote_reference: "Quote the reference below; it helps them find out what happened.",
    reference: "Reference",
    time: "Time",
    sign_in_with: |provider| format!("Sign in with {provider}"),
    sign_in_again: "Sign in again",
    start_again: "Start again",
    sign_out: "Sign out",
    try_again: "Try again",
    use_another_account: "Sign out and use another account",
    signed_in_as: "Signed in as",
    provider_code: "Error code",
    claims_received: "What came instead",
    for_the_operator: "For the operator",
    two_vestibules: "two vestibules without a shared store",
    user: "User name",
    name: "Name",
    email: "E-mail",
    groups: "Groups",
    groups_unknown: "Too many to be listed",
    roles: "Roles",
    provider: "Signed in with",
    signed_in_at: "Signed in at",
    expires_at: "Signed in until",
    in_future: |duration| format!("in {}", hours_and_minutes(duration)),
    none: "None",
    entries: |count| format!("{count} entries"),
};

const ATTEMPTS: Attempts = Attempts {
    expired: Situation {
        title: "The sign-in took too long",
        what: "For your safety a sign-in has to be finished within ten minutes.",
        steps: &["Start again."],
    },
    foreign: Situation {
        title: "This sign-in was started elsewhere",
        what: "It was started in another browser, in a private window, or for another address, \
               and can only be finished there.",
        steps: &["Start again in this browser."],
    },
    unknown: Situation {
        title: "This sign-in is not known",
        what: "Your browser does not hold the beginning of this sign-in any more. That happens \
               with bookmarks of the sign-in page, or when cookies are blocked or were deleted.",
        steps: &[
            "Start again, and bookmark the app rather than the sign-in page.",
            "If this page comes back, allow cookies for this site in the settings of your browser.",
        ],
    },
    used: Situation {
        title: "This sign-in was already used",
        what: "A sign-in works once. That happens when a page is reloaded or after going back.",
        steps: &["Start again."],
    },
};

const FAULTS: Faults = Faults {
    account_blocked: Situation {
        title: "This account cannot sign in",
        what: "The sign-in service reports that the account is locked, switched off, or needs a \
               new password.",
        steps: &[
            "If you use other apps with this account, check whether you can still sign in there.",
            "Ask for help to have the account unlocked.",
        ],
    },
    account_unknown: Situation {
        title: "This account does not belong here",
        what: "The account you chose is not known in the organisation that runs this app.",
        steps: &[
            "Try again and choose your work account of this organisation.",
            "If you work for another company, ask to be invited as a guest.",
        ],
    },
    answer_invalid: Situation {
        title: "The sign-in could not be verified",
        what: "The answer of the sign-in service did not pass our checks, so you were not let in.",
        steps: &[
            "Try again.",
            "If it happens again, report it with the reference below.",
        ],
    },
    cancelled: Situation {
        title: "The sign-in was cancelled",
        what: "You went back or closed the sign-in page before it was finished.",
        steps: &["Try again when you are ready."],
    },
    consent_declined: Situation {
        title: "The app was not given permission",
        what: "To let you in, this app has to see your name and address. That was declined.",
        steps: &["Try again, and accept when you are asked for permission."],
    },
    consent_missing: Situation {
        title: "An administrator has to approve this app first",
        what: "Your organisation has not yet approved this app for its people. You cannot do that \
               yourself.",
        steps: &["Ask an administrator of your organisation to approve the app."],
    },
    device_or_place: Situation {
        title: "Your organisation does not allow this sign-in",
        what: "Its rules ask for a company device, a certain place, or a certain browser.",
        steps: &[
            "Try again from your company device.",
            "Use the browser that you use for other work apps, not a private window.",
        ],
    },
    misconfigured: Situation {
        title: "Signing in is not set up correctly",
        what: "The sign-in service refused to work with this site. It is nothing you did, and \
               trying again will not help.",
        steps: &["Report this page to the people who run the app, with the reference below."],
    },
    more_steps: Situation {
        title: "A step of the sign-in is missing",
        what: "Your organisation asks for a further proof of who you are, such as a code on your \
               phone.",
        steps: &["Try again and follow all steps that are asked of you."],
    },
    not_assigned: Situation {
        title: "You have not been given this app",
        what: "You signed in, but your organisation has not assigned this app to you.",
        steps: &["Ask for the app to be assigned to you."],
    },
    personal_account: Situation {
        title: "Please use your work account",
        what: "You signed in with a personal account. This app is open to work accounts only.",
        steps: &["Try again and choose your work account."],
    },
    provider_refused: Situation {
        title: "The sign-in was refused",
        what: "The sign-in service did not let you in.",
        steps: &[
            "Try again.",
            "If it happens again, ask for help and quote the reference below.",
        ],
    },
};

const REFUSALS: Refusals = Refusals {
    denied: Situation {
        title: "You do not have access",
        what: "You are signed in, but your account has been excluded from this app.",
        steps: &["If you think that is a mistake, ask for help."],
    },
    groups_unknown: Situation {
        title: "Your access could not be checked",
        what: "You are signed in, but you belong to so many groups that the sign-in service does \
               not list them. Without them we cannot tell whether you may use this app.",
        steps: &["Report this page to the people who run the app, with the reference below."],
    },
    guest: Situation {
        title: "Guests do not have access",
        what: "You are signed in as a guest of this organisation. This app is open to its own \
               people only.",
        steps: &["If you have an account of this organisation, use that one."],
    },
    no_user_name: Situation {
        title: "Your account lacks a user name",
        what: "You are signed in, but your account does not carry what the app needs to know \
               you by.",
        steps: &["Report this page to the people who run the app, with the reference below."],
    },
    not_allowed: Situation {
        title: "You do not have access",
        what: "You are signed in, but your account has not been given access to this app.",
        steps: &[
            "Ask for access if you need the app for your work.",
            "If you have several accounts, use the other one.",
        ],
    },
};

fn hours_and_minutes(duration: Duration) -> String {
    let minutes = duration.as_secs() / 60;
    match (minutes / 60, minutes % 60) {
        (0, 0) => "less than a minute".to_owned(),
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_reads_in_hours_and_minutes() {
        for (seconds, words) in [
            (0, "less than a minute"),
            (59, "less than a minute"),
            (60, "1 min"),
            (3_599, "59 min"),
            (3_600, "1 h"),
            (86_399, "23 h 59 min"),
        ] {
            assert_eq!(hours_and_minutes(Duration::from_secs(seconds)), words);
        }
    }
}
