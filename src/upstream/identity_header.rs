//! What the app is told about the person: a route's header templates filled in from an identity.
//!
//! A value is written so that no byte of a claim can end a line, add a field, or turn one list
//! element into two (S-228, S-229). Nothing is ever cut to fit. Rendering happens once per session
//! and route; the values are shared after that.

use std::fmt::Write as _;

use http::{HeaderName, HeaderValue};
use thiserror::Error;

use crate::{
    config::route::{Encoding, GroupsSent, IdentityHeader, IdentityRules, Placeholder, Segment},
    identity::{Groups, Identity},
};

/// Longest value of one identity header, in bytes as sent.
pub const MAX_VALUE_BYTES: usize = 16 * 1024;

/// The identity headers of one person on one route, ready to be set.
#[derive(Clone, Debug)]
pub struct RenderedIdentity {
    /// The user name that `user_claims` chose, as the token has it.
    pub user: String,
    /// The headers, in the order the route lists them; those without a value are absent.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// A person whom this route's headers cannot describe, and who therefore does not come in.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum RenderError {
    /// The token points elsewhere for the groups, and this route would send some.
    #[error("the groups for `{header}` are not in the token, which lists too many to tell")]
    GroupsUnknown {
        /// The header that would hold them.
        header: HeaderName,
    },
    /// None of `user_claims` names the person.
    #[error("no claim of `user_claims` is there; the token has {}", .came.join(", "))]
    NoUserName {
        /// The names of the claims that came.
        came: Vec<String>,
    },
    /// A value is longer than [`MAX_VALUE_BYTES`].
    #[error("the value of `{header}` is longer than 16 KiB")]
    TooLong {
        /// The header it was for.
        header: HeaderName,
    },
    /// The template's own text cannot stand in a header.
    #[error("the template of `{header}` holds a byte that no header can")]
    Unprintable {
        /// The header it was for.
        header: HeaderName,
    },
}

/// Fills in the headers of a route.
///
/// `named_groups` are the groups that the route's rules name, compared exactly. A header is absent
/// if any of its placeholders has no value; a list without elements is no value.
///
/// # Errors
/// Returns [`RenderError`] if nothing names the person, if a value would be too long, or if groups
/// are to be sent that the token does not list. The last is no error only where the answer does not
/// depend on it, because the route names no group.
pub fn render(
    identity: &Identity,
    rules: &IdentityRules,
    named_groups: &[String],
) -> Result<RenderedIdentity, RenderError> {
    let user = rules
        .user_claims
        .iter()
        .find_map(|claim| identity.claim(claim))
        .ok_or_else(|| RenderError::NoUserName {
            came: identity.claim_names(),
        })?;
    render_as(identity, user, rules, named_groups)
}

/// The same for somebody who is called `user` whatever the claims say.
///
/// # Errors
/// As [`render`], but for the name.
pub fn render_as(
    identity: &Identity,
    user: String,
    rules: &IdentityRules,
    named_groups: &[String],
) -> Result<RenderedIdentity, RenderError> {
    let person = Person {
        identity,
        user: &user,
        groups: &rules.groups,
        named_groups,
    };
    let mut headers = Vec::with_capacity(rules.headers.len());
    for header in &rules.headers {
        if let Some(value) = person.value_of(header)? {
            headers.push((header.name.clone(), value));
        }
    }
    Ok(RenderedIdentity { user, headers })
}

struct Person<'a> {
    identity: &'a Identity,
    user: &'a str,
    groups: &'a GroupsSent,
    named_groups: &'a [String],
}

/// What stands for a placeholder.
enum Told<'a> {
    List(Vec<&'a str>),
    One(Option<&'a str>),
}

impl Person<'_> {
    fn value_of(&self, header: &IdentityHeader) -> Result<Option<HeaderValue>, RenderError> {
        let mut text = String::new();
        for segment in &header.template.0 {
            match segment {
                Segment::Literal(literal) => text.push_str(literal),
                Segment::Value(placeholder) => {
                    if !append(&mut text, header, &self.told(*placeholder, header)?) {
                        return Ok(None);
                    }
                }
            }
            if text.len() > MAX_VALUE_BYTES {
                return Err(RenderError::TooLong {
                    header: header.name.clone(),
                });
            }
        }
        if text.is_empty() {
            return Ok(None);
        }
        let value = HeaderValue::try_from(text).map_err(|_| RenderError::Unprintable {
            header: header.name.clone(),
        })?;
        Ok(Some(value))
    }

    fn told(
        &self,
        placeholder: Placeholder,
        header: &IdentityHeader,
    ) -> Result<Told<'_>, RenderError> {
        Ok(match placeholder {
            Placeholder::Email => Told::One(self.identity.email()),
            Placeholder::Groups => Told::List(self.groups_told(header)?),
            Placeholder::Name => Told::One(self.identity.name()),
            Placeholder::PreferredUsername => Told::One(self.identity.preferred_username()),
            Placeholder::Roles => {
                Told::List(self.identity.roles().iter().map(String::as_str).collect())
            }
            Placeholder::User => Told::One(Some(self.user)),
        })
    }

    fn groups_told(&self, header: &IdentityHeader) -> Result<Vec<&str>, RenderError> {
        let listed = match (self.identity.groups(), self.groups) {
            (Groups::Listed(listed), _) => listed,
            (Groups::Overage, GroupsSent::Named) if self.named_groups.is_empty() => {
                return Ok(Vec::new());
            }
            (Groups::Overage, _) => {
                return Err(RenderError::GroupsUnknown {
                    header: header.name.clone(),
                });
            }
        };
        let all = *self.groups == GroupsSent::All;
        Ok(listed
            .iter()
            .filter(|group| all || self.named_groups.contains(group))
            .map(String::as_str)
            .collect())
    }
}

/// Writes what is told; says `false` if there is nothing.
fn append(text: &mut String, header: &IdentityHeader, told: &Told<'_>) -> bool {
    let Encoding::Percent = header.encoding;
    match told {
        Told::One(None | Some("")) => false,
        Told::One(Some(value)) => {
            percent_encode(text, value, |_| false);
            true
        }
        Told::List(values) => {
            // Without anything between them two values could become a third.
            let join = match header.join.as_str() {
                "" => ",",
                join => join,
            };
            let mut any = false;
            for value in values.iter().filter(|value| !value.is_empty()) {
                if any {
                    text.push_str(join);
                }
                any = true;
                percent_encode(text, value, |byte| separates(join, byte));
                if text.len() > MAX_VALUE_BYTES {
                    break;
                }
            }
            any
        }
    }
}

/// Whether a byte could be read as part of what stands between two elements.
///
/// The comma always counts: fields of one name may be joined by it on the way (RFC 9110 5.3). A
/// blank counts only where nothing else separates.
fn separates(join: &str, byte: u8) -> bool {
    let only_blanks = join.bytes().all(|it| it == b' ');
    byte == b',' || (join.as_bytes().contains(&byte) && (byte != b' ' || only_blanks))
}

fn percent_encode(text: &mut String, value: &str, is_reserved: impl Fn(u8) -> bool) {
    let inner_from = value.len() - value.trim_start_matches(' ').len();
    let inner_to = value.trim_end_matches(' ').len();
    for (at, byte) in value.bytes().enumerate() {
        let at_an_edge = byte == b' ' && (at < inner_from || at >= inner_to);
        let plain = matches!(byte, 0x20..=0x7E) && byte != b'%';
        if plain && !at_an_edge && !is_reserved(byte) {
            text.push(char::from(byte));
        } else {
            write!(text, "%{byte:02X}").expect("writing to a String cannot fail");
        }
    }
}
