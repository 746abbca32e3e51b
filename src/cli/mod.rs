//! The command line: one file per verb. Exit codes: 0 fine, 1 findings or failure, 2 usage.
//!
//! Nothing here decides anything about a request.

mod check;
#[cfg(feature = "demo")]
mod demo;
mod findings;
mod routes;
mod serve;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand, ValueEnum};

/// Single sign-on in front of web apps that know nothing of it.
#[derive(Debug, Parser)]
#[command(name = "vestibule", version, disable_help_subcommand = true)]
struct Arguments {
    /// The folder that holds vestibule.toml and routes.d/
    #[arg(long, global = true, default_value = "config", value_name = "DIR")]
    config: PathBuf,
    /// What to do; serves if nothing is said
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Say everything that is wrong with the configuration, without the network
    Check {
        /// Count warnings as well
        #[arg(long)]
        strict: bool,
        /// For people or for scripts
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Try it on this machine: an emulated Entra tenant and two legacy apps, loopback only
    #[cfg(feature = "demo")]
    Demo {
        /// The port to serve HTTPS on; 0 takes any free one
        #[arg(long, default_value_t = 8443)]
        port: u16,
        /// A new or empty folder for the demo's files, or one of an earlier demo; a temporary one by
        /// default, removed at the end
        #[arg(long, value_name = "DIR")]
        folder: Option<PathBuf>,
    },
    /// Print the route table as it would be served
    Routes {
        /// For people or for scripts
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Run it (the default)
    Serve,
    /// Print the version
    Version,
}

/// How a verb prints what it has to say.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Format {
    /// One JSON document
    Json,
    /// Lines for people
    #[default]
    Text,
}

/// Runs what the arguments of the process ask for.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let config = &arguments.config;
    match arguments.verb.unwrap_or(Verb::Serve) {
        Verb::Check { strict, format } => check::run(config, strict, format),
        #[cfg(feature = "demo")]
        Verb::Demo { port, folder } => demo::run(port, folder),
        Verb::Routes { format } => routes::run(config, format),
        Verb::Serve => serve::run(config),
        Verb::Version => {
            println!("vestibule {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
    }
}

/// The variables that may be configuration, as far as they are text.
fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("VESTIBULE_"))
        .collect()
}
