//! The raw form of `[bearer]`. The rules of the module above hold here.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::{
    bearer::TokenIssuer,
    values::{Line, Of, Word},
};

/// `[bearer]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Bearer", extend("required" = ["audiences"]))]
pub(in crate::config) struct RawBearer {
    /// Whose tokens count: the `iss` they carry, exact. Default: that of the route's provider.
    #[schemars(length(min = 1))]
    pub(in crate::config) issuers: Option<Vec<Of<TokenIssuer>>>,
    /// For whom the tokens must be: their `aud`, exact. Required.
    #[schemars(length(min = 1))]
    pub(in crate::config) audiences: Vec<Of<Word>>,
    /// App roles, any of which lets in an app that acts for itself, exact. These or `scopes`.
    pub(in crate::config) roles: Vec<Of<Line>>,
    /// Scopes, any of which lets in an app that acts for a person whom `allow` lets in, exact.
    pub(in crate::config) scopes: Vec<Of<Word>>,
    /// The clients whose tokens count, by client id. Default: any.
    pub(in crate::config) clients: Vec<Of<Word>>,
}
