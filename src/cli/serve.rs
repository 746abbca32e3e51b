//! `vestibule serve`: runs until a signal says otherwise.

use std::{path::Path, process::ExitCode};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Format, environment, findings};
use crate::{
    app::{self, Running},
    clock::Clock,
    telemetry::start_log,
};

/// Serves the configuration; nothing is served if anything in it is an error.
pub(super) fn run(config: &Path) -> ExitCode {
    let _log = start_log();
    let clock = Clock::system();
    let prepared = app::prepare(config, &environment(), &clock);
    eprint!("{}", findings::render(&prepared.findings, Format::Text));
    let Some(ready) = prepared.ready else {
        eprintln!("nothing is served until the errors above are put right");
        return ExitCode::FAILURE;
    };
    match app::start(ready, &clock).and_then(until_stopped) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Waits for SIGTERM or SIGINT, then stops softly; a second signal ends it at once.
pub(super) fn until_stopped(running: Running) -> anyhow::Result<()> {
    let waiting = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    waiting.block_on(async {
        let mut signals = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        );
        next(&mut signals).await;
        tracing::info!("stopping: requests under way may finish; a second signal ends them");
        let end_now = running.hard_stop();
        let again = tokio::spawn(async move {
            next(&mut signals).await;
            end_now();
        });
        running.stop().await;
        again.abort();
        tracing::info!("stopped");
        Ok(())
    })
}

async fn next((terminate, interrupt): &mut (Signal, Signal)) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
