//! The parameters of a request, from its query or its form body; each name at most once.

use bytes::Bytes;
use http::{Request, header};
use url::form_urlencoded;

use super::fault::Fault;

/// Name and value pairs without doubled names; empty values count as absent.
#[derive(Clone, Debug, Default)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads what stands behind the `?` of the request's address.
    pub(super) fn of_query(request: &Request<Bytes>) -> Result<Self, Fault> {
        Self::parse(request.uri().query().unwrap_or_default().as_bytes())
    }

    /// Reads the body, if it is a form; any other body has no parameters, as at Entra ID.
    pub(super) fn of_form(request: &Request<Bytes>) -> Result<Self, Fault> {
        let is_form = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|kind| {
                kind.trim()
                    .eq_ignore_ascii_case("application/x-www-form-urlencoded")
            });
        if is_form {
            Self::parse(request.body())
        } else {
            Ok(Self::default())
        }
    }

    fn parse(raw: &[u8]) -> Result<Self, Fault> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(raw).into_owned() {
            if pairs.iter().any(|(known, _)| known == &name) {
                return Err(Fault::invalid_request(
                    9_000_411,
                    format!("The parameter '{name}' is there more than once."),
                ));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// The value under a name; none if it is absent or empty.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, value)| known == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// The value under a name that has to be there.
    pub(super) fn required(&self, name: &str) -> Result<&str, Fault> {
        self.value(name).ok_or_else(|| {
            Fault::invalid_request(
                900_144,
                format!("The request must contain the parameter '{name}'."),
            )
        })
    }

    /// All of it in URL-encoded form, to go behind a `?`.
    pub(super) fn encoded(&self) -> String {
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.0)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubled_parameter_is_refused() {
        assert!(Parameters::parse(b"client_id=a&client_id=a").is_err());
        assert!(Parameters::parse(b"client_id=a&state=a").is_ok());
    }

    #[test]
    fn parameters_survive_encoding() {
        let parameters = Parameters::parse(b"state=a%26b%3D%2B+%C3%AB&empty=").unwrap();
        assert_eq!(parameters.value("state"), Some("a&b=+ ë"));
        assert_eq!(parameters.value("empty"), None);
        let again = Parameters::parse(parameters.encoded().as_bytes()).unwrap();
        assert_eq!(again.value("state"), Some("a&b=+ ë"));
    }
}
