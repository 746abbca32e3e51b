//! `vestibule check`: everything that can be known without the network, all at once.

use std::{path::Path, process::ExitCode};

use super::{Format, environment, findings};
use crate::{app, clock::Clock};

/// Prints what is wrong; fails if anything is that counts.
pub(super) fn run(config: &Path, strict: bool, format: Format) -> ExitCode {
    let prepared = app::prepare(config, &environment(), &Clock::system());
    let (errors, warnings) = findings::count(&prepared.findings);
    print!("{}", findings::render(&prepared.findings, format));
    if format == Format::Text {
        match (errors, warnings) {
            (0, 0) => println!("fine: {} can be served", config.display()),
            _ => println!(
                "{}, {}",
                counted(errors, "error"),
                counted(warnings, "warning")
            ),
        }
    }
    if errors > 0 || (strict && warnings > 0) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn counted(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}
