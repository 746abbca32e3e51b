//! Who and what is registered in the tenant: client applications and people.

use crate::secret::{Secret, digest_of};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

/// The object id of the group "staff" that the demo's members are in.
pub const STAFF_GROUP: &str = "6b1c5f0e-52ad-4c0b-9a53-0d7f1e2c4a88";

/// A client application, as registered.
#[derive(Clone, Debug)]
pub struct Client {
    /// The application (client) id.
    pub client_id: String,
    /// Its one secret.
    pub secret: Secret,
    /// Compared exactly, ports included; a post-logout address must be one of them too.
    pub redirect_uris: Vec<String>,
    /// Loaded in a frame with `?sid=` when somebody signs out; one per application.
    pub front_channel_logout_uri: Option<String>,
}

/// A person in the tenant's directory.
#[derive(Clone, Debug)]
pub struct Person {
    /// The object id, a GUID: the key of the person, and what the sign-in form posts.
    pub id: String,
    /// The display name.
    pub name: String,
    /// The user principal name.
    pub user_name: String,
    /// The mail address, if there is one.
    pub email: Option<String>,
    /// App roles; the claim is absent if there are none.
    pub roles: Vec<String>,
    /// Object ids of groups; the claim is absent if there are none.
    pub groups: Vec<String>,
    /// Where a guest comes from; members have none.
    pub guest: Option<Guest>,
    /// A disabled person cannot sign in (AADSTS50057).
    pub disabled: bool,
}

/// What makes a person a guest.
#[derive(Clone, Debug)]
pub struct Guest {
    /// The `idp` claim: who authenticated them.
    pub idp: String,
}

impl Person {
    /// A member of group staff with the app role `Erp.User`.
    #[must_use]
    pub fn ann() -> Self {
        Self {
            id: "0d4c8a52-1f6e-4d0c-8b36-5a1f9e7c2b01".to_owned(),
            name: "Ann Lindqvist".to_owned(),
            user_name: "ann@contoso.example".to_owned(),
            email: Some("ann@contoso.example".to_owned()),
            roles: vec!["Erp.User".to_owned()],
            groups: vec![STAFF_GROUP.to_owned()],
            guest: None,
            disabled: false,
        }
    }

    /// A member of group staff without any role, whose name is not ASCII.
    #[must_use]
    pub fn zoe() -> Self {
        Self {
            id: "7e2b6d90-3c58-4f17-9d84-c06b2a5f1e02".to_owned(),
            name: "Zoë Müller".to_owned(),
            user_name: "zoe@contoso.example".to_owned(),
            email: Some("zoe@contoso.example".to_owned()),
            roles: Vec::new(),
            ..Self::ann()
        }
    }

    /// A guest from another organisation, in no group.
    #[must_use]
    pub fn gil() -> Self {
        Self {
            id: "b85f0c13-9a27-4e6b-a1d0-38e4f7d69c03".to_owned(),
            name: "Gil Partner".to_owned(),
            user_name: "gil_partner.example#EXT#@contoso.example".to_owned(),
            email: Some("gil@partner.example".to_owned()),
            roles: Vec::new(),
            groups: Vec::new(),
            guest: Some(Guest {
                idp: "https://sts.windows.net/5f1d7c4e-8a36-4b92-b0e5-7c2f91d3a604/".to_owned(),
            }),
            disabled: false,
        }
    }

    /// The three people of the demo.
    #[must_use]
    pub fn three() -> Vec<Self> {
        vec![Self::ann(), Self::zoe(), Self::gil()]
    }

    /// The `login_hint` claim: opaque to everybody else.
    pub(super) fn login_hint(&self) -> String {
        let digest = digest_of(&[b"login_hint", self.id.as_bytes()]);
        format!("O.{}", BASE64_URL_SAFE_NO_PAD.encode(digest))
    }

    /// The pairwise `sub` of this person at one client: 43 characters.
    pub(super) fn subject_at(&self, client_id: &str) -> String {
        let digest = digest_of(&[b"sub", self.id.as_bytes(), client_id.as_bytes()]);
        BASE64_URL_SAFE_NO_PAD.encode(digest)
    }

    /// Whether an authorization request's `login_hint` means this person.
    pub(super) fn is_hinted_by(&self, hint: &str) -> bool {
        hint == self.login_hint() || hint.to_lowercase() == self.user_name.to_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::is_guid;

    #[test]
    fn the_three_people_are_distinct_and_well_formed() {
        let people = Person::three();
        for person in &people {
            assert!(is_guid(&person.id), "{}", person.name);
            assert!(person.groups.iter().all(|group| is_guid(group)));
            let same = people.iter().filter(|other| {
                other.id == person.id
                    || other.user_name == person.user_name
                    || other.login_hint() == person.login_hint()
            });
            assert_eq!(same.count(), 1, "{}", person.name);
        }
    }

    #[test]
    fn a_subject_is_pairwise() {
        let ann = Person::ann();
        assert_eq!(ann.subject_at("a").len(), 43);
        assert_ne!(ann.subject_at("a"), ann.subject_at("b"));
        assert_ne!(ann.subject_at("a"), Person::zoe().subject_at("a"));
    }
}
