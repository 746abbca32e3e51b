//! `vestibule serve`: runs until a signal says otherwise.

use std::{path::Path, process::ExitCode};

use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
};

use super::{Format, environment, findings};
use crate::{
    app::{self, InheritError, Inherited, Running, Word},
    clock::Clock,
    telemetry::start_log,
};

/// Serves the configuration; nothing is served if anything in it is an error.
pub(super) fn run(config: &Path) -> ExitCode {
    let environment = environment();
    // Before there is a second thread: it writes the environment.
    let inherited = Inherited::take();
    let _log = start_log();
    match serve(config, environment, inherited) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(
    config: &Path,
    environment: Vec<(String, String)>,
    inherited: Result<Inherited, InheritError>,
) -> anyhow::Result<ExitCode> {
    let signals = Signals::listen()?.with_reload()?;
    let clock = Clock::system();
    let inherited = inherited?;
    let mut prepared = app::prepare(config, &environment, &clock);
    prepared.agree_with(&inherited, config);
    eprint!("{}", findings::render(&prepared.findings, Format::Text));
    let Some(ready) = prepared.ready else {
        eprintln!("nothing is served until the errors above are put right");
        return Ok(ExitCode::FAILURE);
    };
    let mut running = app::start_with(inherited, ready, &clock)?;
    running.follow(config, environment, prepared.sources, app::LOOK_INTERVAL);
    app::tell(Word::Ready);
    signals.await_with(running);
    Ok(ExitCode::SUCCESS)
}

/// SIGTERM, SIGINT and perhaps SIGHUP, listened for from the first moment on: one that comes while
/// things start is obeyed when they have.
pub(super) struct Signals {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
    hangup: Option<Signal>,
}

impl Signals {
    /// Listens from now on.
    pub(super) fn listen() -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let context = runtime.enter();
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        drop(context);
        Ok(Self {
            runtime,
            terminate,
            interrupt,
            hangup: None,
        })
    }

    /// Takes SIGHUP for the wish to reload, from now on; without, it ends the process.
    pub(super) fn with_reload(mut self) -> anyhow::Result<Self> {
        let context = self.runtime.enter();
        let hangup = signal(SignalKind::hangup())?;
        drop(context);
        self.hangup = Some(hangup);
        Ok(self)
    }

    /// Lets `running` run until a signal comes, then stops it softly; a second signal ends it at
    /// once.
    pub(super) fn await_with(self, running: Running) {
        let Self {
            runtime,
            mut terminate,
            mut interrupt,
            mut hangup,
        } = self;
        runtime.block_on(async {
            loop {
                tokio::select! {
                    () = next(&mut terminate, &mut interrupt) => break,
                    () = received(hangup.as_mut()) => running.reload(),
                }
            }
            app::tell(Word::Stopping);
            tracing::info!("stopping: requests under way may finish; a second signal ends them");
            let end_now = running.hard_stop();
            let again = tokio::spawn(async move {
                next(&mut terminate, &mut interrupt).await;
                end_now();
            });
            running.stop().await;
            again.abort();
            tracing::info!("stopped");
        });
    }
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Comes back when the signal does; never if nobody listens for it.
async fn received(signal: Option<&mut Signal>) {
    let heard = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if heard.is_none() {
        std::future::pending::<()>().await;
    }
}
