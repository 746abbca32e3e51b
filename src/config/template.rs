//! Identity headers as they are written: their names and their `{placeholders}`.
//!
//! A header that frames the message, routes it or belongs to the connection can never be one: its
//! value would come from a person's claims. Sources: RFC 9110 5.1 and 7.6.1, RFC 9112 6.

use http::HeaderName;

use super::{
    route::{Placeholder, Segment, Template},
    values::{Fault, Format, folded, shown},
};
use crate::reserved::REQUEST_FIELDS;

/// Names (folded), beside those that are taken from every request, that say how the message is framed,
/// where it goes, or what the connection does; or that vestibule sets itself.
const RESERVED: &[&str] = &[
    "content_encoding",
    "content_range",
    "content_type",
    "cookie",
    "cookie2",
    "max_forwards",
    "origin",
    "range",
    "set_cookie",
    "traceparent",
    "tracestate",
    "via",
    "x_forwarded_for",
    "x_forwarded_host",
    "x_forwarded_port",
    "x_forwarded_prefix",
    "x_forwarded_proto",
    "x_forwarded_protocol",
    "x_forwarded_scheme",
    "x_forwarded_server",
    "x_forwarded_ssl",
];

/// Beginnings (folded) of further such names.
const RESERVED_BEGINNINGS: &[&str] = &["sec_", "x_accel_"];

/// The name of a header that may tell the app who somebody is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct IdentityHeaderName(pub(super) HeaderName);

impl Format for IdentityHeaderName {
    const NAME: &'static str = "identity-header";
    const ALLOWED: &'static str =
        "write a header name of its own, letters, digits and `-`: X-Remote-User";

    fn parse(text: &str) -> Result<Self, Fault> {
        let fault = |why: &str| Fault::new(format!("{} {why}", shown(text)), Self::ALLOWED);
        let name =
            HeaderName::from_bytes(text.as_bytes()).map_err(|_| fault("is not a header name"))?;
        let fold = folded(text);
        let reserved = RESERVED
            .iter()
            .chain(REQUEST_FIELDS)
            .any(|name| *name == fold)
            || RESERVED_BEGINNINGS
                .iter()
                .any(|begin| fold.starts_with(begin));
        if reserved {
            return Err(fault(
                "cannot carry an identity: it frames or routes the request, or vestibule sets it",
            ));
        }
        Ok(Self(name))
    }
}

/// The value of an identity header, with placeholders.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct TemplateText(pub(super) Template);

impl Format for TemplateText {
    const NAME: &'static str = "header-template";
    const ALLOWED: &'static str = "allowed are {user}, {email}, {name}, {preferred_username}, \
                                   {groups}, {roles}, and visible ASCII around them";

    fn parse(text: &str) -> Result<Self, Fault> {
        let fault = |message: String| Fault::new(message, Self::ALLOWED);
        if text.is_empty() || text.trim() != text {
            return Err(fault(format!(
                "{} is empty or has blanks at its edges",
                shown(text)
            )));
        }
        let mut segments = Vec::new();
        let mut rest = text;
        while let Some(position) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(position);
            literal(before, &mut segments).map_err(fault)?;
            let inside = brace
                .strip_prefix('{')
                .and_then(|inside| inside.split_once('}'))
                .filter(|(name, _)| !name.contains('{'));
            let Some((name, after)) = inside else {
                return Err(fault(format!("{} has an unpaired brace", shown(text))));
            };
            let value = placeholder(name)
                .ok_or_else(|| fault(format!("{} is not a placeholder", shown(name))))?;
            segments.push(Segment::Value(value));
            rest = after;
        }
        literal(rest, &mut segments).map_err(fault)?;
        Ok(Self(Template(segments)))
    }
}

/// What may stand between the values of a list: visible ASCII and blanks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct HeaderText(pub(super) String);

impl Format for HeaderText {
    const NAME: &'static str = "header-text";
    const ALLOWED: &'static str = "write visible ASCII: \",\" or \"; \"";

    fn parse(text: &str) -> Result<Self, Fault> {
        if text.is_empty() || text.contains('%') || !text.bytes().all(is_visible_or_blank) {
            return Err(Fault::new(
                format!("{} cannot separate values in a header", shown(text)),
                Self::ALLOWED,
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

fn placeholder(name: &str) -> Option<Placeholder> {
    Some(match name {
        "email" => Placeholder::Email,
        "groups" => Placeholder::Groups,
        "name" => Placeholder::Name,
        "preferred_username" => Placeholder::PreferredUsername,
        "roles" => Placeholder::Roles,
        "user" => Placeholder::User,
        _ => return None,
    })
}

fn literal(text: &str, segments: &mut Vec<Segment>) -> Result<(), String> {
    if !text.bytes().all(is_visible_or_blank) {
        return Err(format!("{} is not plain ASCII", shown(text)));
    }
    if !text.is_empty() {
        segments.push(Segment::Literal(text.to_owned()));
    }
    Ok(())
}

fn is_visible_or_blank(byte: u8) -> bool {
    (0x20..=0x7e).contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_text_and_placeholders() {
        let TemplateText(template) = TemplateText::parse("u={user}; g={groups}").unwrap();
        assert_eq!(
            template.0,
            [
                Segment::Literal("u=".to_owned()),
                Segment::Value(Placeholder::User),
                Segment::Literal("; g=".to_owned()),
                Segment::Value(Placeholder::Groups),
            ]
        );
    }

    #[test]
    fn a_template_with_anything_else_is_refused() {
        // S-084
        for text in [
            "",
            " {user}",
            "{user",
            "user}",
            "{{user}}",
            "{}",
            "{User}",
            "{env.SECRET}",
            "{us{er}",
            "a\r\nb",
            "\u{fc}{user}",
            "{user}\t",
        ] {
            assert!(TemplateText::parse(text).is_err(), "{text:?}");
        }
        let fault = TemplateText::parse("{upn}").unwrap_err();
        assert_eq!(fault.message, "\"upn\" is not a placeholder");
        assert!(fault.remedy.contains("{preferred_username}"));
    }

    #[test]
    fn a_header_that_frames_or_routes_never_carries_an_identity() {
        for name in [
            "Connection",
            "transfer-encoding",
            "Transfer_Encoding",
            "Content-Length",
            "Host",
            "Cookie",
            "TE",
            "Trailer",
            "Upgrade",
            "Keep-Alive",
            "Proxy-Connection",
            "X-Request-Id",
            "traceparent",
            "X-Forwarded-For",
            "x_forwarded_host",
            "X-Forwarded-Proto",
            "Expect",
            "Sec-WebSocket-Key",
            "X-Accel-Redirect",
            "X-Original-URL",
            "",
            "a b",
            "a:b",
            "\u{fc}",
        ] {
            assert!(IdentityHeaderName::parse(name).is_err(), "{name}");
        }
        for name in ["X-Forwarded-User", "REMOTE_USER", "x-VESTIBULE-user"] {
            assert!(IdentityHeaderName::parse(name).is_ok(), "{name}");
        }
    }
}
