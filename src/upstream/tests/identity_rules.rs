//! What the app is told about a person.

use http::HeaderName;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::support::{header, identity};
use crate::{
    config::route::{GroupsSent, IdentityRules, Placeholder, Segment},
    upstream::{RenderError, identity_header::MAX_VALUE_BYTES, render},
};

fn rules(groups: GroupsSent, segments: Vec<Segment>, join: &str) -> IdentityRules {
    let mut header = header("X-Told", segments);
    header.join = join.to_owned();
    IdentityRules {
        user_claims: vec!["employeeid".to_owned(), "preferred_username".to_owned()],
        groups,
        headers: vec![header],
    }
}

fn told_with(
    claims: &Value,
    rules: &IdentityRules,
    named: &[&str],
) -> Result<Option<String>, RenderError> {
    let mut claims = claims.clone();
    if claims.get("preferred_username").is_none() {
        claims["preferred_username"] = json!("ann");
    }
    let named: Vec<_> = named.iter().map(|group| (*group).to_owned()).collect();
    let rendered = render(&identity(&claims), rules, &named)?;
    let value = rendered.headers.first();
    Ok(value.map(|(_, value)| value.to_str().unwrap().to_owned()))
}

fn told(claims: &Value, placeholder: Placeholder) -> Option<String> {
    let rules = rules(GroupsSent::All, vec![Segment::Value(placeholder)], ",");
    told_with(claims, &rules, &[]).unwrap()
}

/// What an app that decodes percent escapes reads.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(&behind[..2]).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
            rest = &behind[2..];
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn no_claim_breaks_out_of_its_value() {
    // S-228
    for (name, expected) in [
        ("Bob\r\nX-App-Roles: admin", "Bob%0D%0AX-App-Roles: admin"),
        ("a\0b", "a%00b"),
        ("\u{10d}\u{10a}", "%C4%8D%C4%8A"),
        ("a\u{2028}", "a%E2%80%A8"),
        ("Zo\u{eb}", "Zo%C3%AB"),
        ("\u{1f600}", "%F0%9F%98%80"),
        ("100%", "100%25"),
        ("  a b ", "%20%20a b%20"),
        ("\ta", "%09a"),
        ("Ann, B.", "Ann, B."),
        ("\u{7f}", "%7F"),
    ] {
        assert_eq!(
            told(&json!({"name": name}), Placeholder::Name).as_deref(),
            Some(expected)
        );
    }
}

#[test]
fn no_element_becomes_two() {
    // S-229
    let roles = json!({"roles": ["user,admin", " admin", "a;b", ""]});
    let joined = |join| {
        let told_by = rules(
            GroupsSent::All,
            vec![Segment::Value(Placeholder::Roles)],
            join,
        );
        told_with(&roles, &told_by, &[]).unwrap().unwrap()
    };
    assert_eq!(joined(","), "user%2Cadmin,%20admin,a;b");
    assert_eq!(joined("; "), "user%2Cadmin; %20admin; a%3Bb");
    assert_eq!(joined(" "), "user%2Cadmin %20admin a;b");
    assert_eq!(joined(""), joined(","));
}

#[test]
fn a_header_without_a_value_is_absent() {
    // S-014
    for placeholder in [
        Placeholder::Email,
        Placeholder::Groups,
        Placeholder::Name,
        Placeholder::Roles,
    ] {
        assert_eq!(told(&json!({}), placeholder), None);
    }
    assert_eq!(
        told(
            &json!({"email": "a@evil.test@corp.test"}),
            Placeholder::Email
        ),
        None
    );
    let segments = vec![
        Segment::Value(Placeholder::User),
        Segment::Literal(" <".to_owned()),
        Segment::Value(Placeholder::Email),
        Segment::Literal(">".to_owned()),
    ];
    let rules = rules(GroupsSent::Named, segments, ",");
    assert_eq!(told_with(&json!({}), &rules, &[]).unwrap(), None);
    let claims = json!({"email": "ann@corp.test"});
    let told = told_with(&claims, &rules, &[]).unwrap();
    assert_eq!(told.as_deref(), Some("ann <ann@corp.test>"));
}

#[test]
fn the_first_claim_that_is_there_is_the_user() {
    assert_eq!(
        told(&json!({"employeeid": 7}), Placeholder::User).as_deref(),
        Some("7")
    );
    assert_eq!(
        told(&json!({"employeeid": ["7"]}), Placeholder::User).as_deref(),
        Some("ann")
    );
    let mut rules = rules(GroupsSent::All, Vec::new(), ",");
    rules.user_claims = vec!["upn".to_owned()];
    let error = told_with(&json!({}), &rules, &[]).unwrap_err();
    assert!(matches!(error, RenderError::NoUserName { came } if came.contains(&"sub".to_owned())));
}

#[test]
fn only_named_groups_are_sent_unless_all_are() {
    let claims = json!({"groups": ["a", "B", "c"]});
    let segments = || vec![Segment::Value(Placeholder::Groups)];
    let named = rules(GroupsSent::Named, segments(), ",");
    assert_eq!(
        told_with(&claims, &named, &["c", "a", "b"])
            .unwrap()
            .as_deref(),
        Some("a,c")
    );
    assert_eq!(told_with(&claims, &named, &[]).unwrap(), None);
    let all = rules(GroupsSent::All, segments(), ",");
    assert_eq!(
        told_with(&claims, &all, &[]).unwrap().as_deref(),
        Some("a,B,c")
    );
}

#[test]
fn overage_is_never_read_as_no_groups() {
    let claims = json!({"hasgroups": true});
    let segments = || vec![Segment::Value(Placeholder::Groups)];
    let header = HeaderName::from_static("x-told");
    let unknown = Err(RenderError::GroupsUnknown { header });
    let named = rules(GroupsSent::Named, segments(), ",");
    assert_eq!(
        told_with(&claims, &rules(GroupsSent::All, segments(), ","), &[]),
        unknown
    );
    assert_eq!(told_with(&claims, &named, &["a"]), unknown);
    assert_eq!(
        told_with(&claims, &named, &[]),
        Ok(None),
        "no group is named, so none is told"
    );
}

#[test]
fn what_is_too_long_is_refused_and_not_cut() {
    let fits = "x".repeat(MAX_VALUE_BYTES);
    assert_eq!(
        told(&json!({"name": fits}), Placeholder::Name)
            .unwrap()
            .len(),
        fits.len()
    );
    let rules = rules(
        GroupsSent::All,
        vec![Segment::Value(Placeholder::Name)],
        ",",
    );
    let error = told_with(&json!({"name": format!("{fits}x")}), &rules, &[]).unwrap_err();
    assert!(matches!(error, RenderError::TooLong { .. }));
}

proptest! {
    #[test]
    fn every_value_is_plain_and_decodes_to_the_claim(name in "\\PC{1,40}|.{1,40}") {
        if let Some(value) = told(&json!({"name": name}), Placeholder::Name) {
            prop_assert!(value.bytes().all(|byte| matches!(byte, 0x20..=0x7E)));
            prop_assert_eq!(value.trim(), value.as_str());
            prop_assert_eq!(decoded(&value), name);
        }
    }

    #[test]
    fn every_list_splits_into_its_elements(
        roles in prop::collection::vec(".{1,12}", 1..6),
        join in ",|;|; |\\|| ",
    ) {
        let told_by = rules(GroupsSent::All, vec![Segment::Value(Placeholder::Roles)], &join);
        let value = told_with(&json!({"roles": roles}), &told_by, &[]).unwrap().unwrap();
        let split: Vec<_> = value.split(join.as_str()).map(decoded).collect();
        prop_assert_eq!(split, roles);
    }
}
