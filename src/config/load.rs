//! Reads the files and the environment into a [`Config`]. (contract; body follows)
use std::path::Path;

use super::{Config, finding::Finding};

/// What loading gave: the configuration if it can be served, and everything found on the way.
#[derive(Debug)]
pub struct Loaded {
    /// The resolved configuration; `None` if any finding is an error.
    pub config: Option<Config>,
    /// Everything that is wrong, in the order of files and lines.
    pub findings: Vec<Finding>,
}

/// Reads `config_dir/vestibule.toml` and `config_dir/routes.d/*.toml` with the environment given.
#[must_use]
pub fn load(_config_dir: &Path, _environment: &[(String, String)]) -> Loaded {
    Loaded {
        config: None,
        findings: Vec::new(),
    }
}
