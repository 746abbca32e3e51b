//! A finding: one thing that is wrong with the configuration, said so that it can be put right.
//!
//! A finding names its place (file, line, column, key) and what is allowed. It must never carry the
//! value of a secret.

use std::{fmt, path::PathBuf};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// Nothing is served with it.
    Error,
    /// It is served, and said.
    Warning,
}

/// Where a finding is: a file, a line in it, an environment variable, or nothing in particular.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// The file, as the operator can open it.
    pub file: Option<PathBuf>,
    /// Line and column, both from one.
    pub position: Option<(usize, usize)>,
    /// The environment variable, when the value came from there.
    pub variable: Option<String>,
    /// The key path, `session.max` or `public[0].path`.
    pub key: Option<String>,
}

/// One thing that is wrong, and what to do about it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// How bad.
    pub severity: Severity,
    /// What is wrong: lower case, no final period.
    pub message: String,
    /// What is allowed, or what to do; lower case, no final period; may be empty.
    pub remedy: String,
}

impl Place {
    /// A whole file.
    #[must_use]
    pub fn file(file: impl Into<PathBuf>) -> Self {
        Self {
            file: Some(file.into()),
            ..Self::default()
        }
    }
}

impl Finding {
    /// Something with which nothing is served.
    #[must_use]
    pub fn error(place: Place, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        let (message, remedy) = (message.into(), remedy.into());
        Self {
            place,
            severity: Severity::Error,
            message,
            remedy,
        }
    }

    /// Something that is served all the same.
    #[must_use]
    pub fn warning(place: Place, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(place, message, remedy)
        }
    }
}

/// `config/vestibule.toml:3:1: sesion`, or as much of it as is known.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        if let Some(file) = &self.file {
            write!(f, "{}", file.display())?;
            if let Some((line, column)) = self.position {
                write!(f, ":{line}:{column}")?;
            }
            separator = ": ";
        }
        if let Some(variable) = &self.variable {
            write!(f, "{separator}{variable}")?;
            separator = ": ";
        }
        if let Some(key) = &self.key {
            write!(f, "{separator}{key}")?;
        }
        Ok(())
    }
}

/// `error: PLACE: MESSAGE (REMEDY)` on one line.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: ")?;
        if self.place != Place::default() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.message)?;
        if self.remedy.is_empty() {
            Ok(())
        } else {
            write!(f, " ({})", self.remedy)
        }
    }
}
