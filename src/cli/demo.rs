//! `vestibule demo`: the emulated tenant, the legacy apps, and vestibule itself in front of them.
//!
//! Vestibule reads the demo's files as it would read an operator's; nothing is served in another way
//! than `serve` serves it.

use std::{path::PathBuf, process::ExitCode};

use tokio::runtime::Builder;

use super::{Format, findings, serve::Signals};
use crate::{
    app,
    clock::Clock,
    demo::{Demo, DemoSettings},
    telemetry::start_log,
};

/// Runs until a signal says otherwise; a temporary folder is removed then.
pub(super) fn run(port: u16, folder: Option<PathBuf>) -> ExitCode {
    let _log = start_log();
    match demonstrate(port, folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn demonstrate(port: u16, folder: Option<PathBuf>) -> anyhow::Result<()> {
    let stop = Signals::listen()?;
    let clock = Clock::system();
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let settings = DemoSettings {
        folder,
        port,
        clock: clock.clone(),
    };
    let demo = runtime.block_on(Demo::prepare(settings))?;
    let served = serve(&demo, &clock, stop);
    runtime.block_on(demo.stop());
    served
}

fn serve(demo: &Demo, clock: &Clock, stop: Signals) -> anyhow::Result<()> {
    // The environment of whoever tries the demo has no say in it.
    let prepared = app::prepare(demo.config_dir(), &[], clock);
    eprint!("{}", findings::render(&prepared.findings, Format::Text));
    let ready = prepared
        .ready
        .ok_or_else(|| anyhow::anyhow!("the demo's own files are wrong"))?;
    let running = app::start(ready, clock)?;
    println!("{}", demo.introduction());
    stop.await_with(running);
    Ok(())
}
