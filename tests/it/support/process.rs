//! The program itself as a process of its own, on real files and the system's clock.

use std::{
    net::TcpStream,
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::Duration,
};

use super::{PATIENCE, vestibule::Builder};

/// A running `vestibule serve`; killed if it is dropped before it was stopped.
pub(crate) struct Process {
    child: Option<Child>,
    built: Builder,
}

/// Starts `serve` and waits until it listens.
pub(crate) async fn serve(built: Builder) -> Process {
    let mut command = built.command();
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.arg("serve").spawn().unwrap();
    let process = Process {
        child: Some(child),
        built,
    };
    let address = url::Url::parse(&process.built.url("127.0.0.1", "")).unwrap();
    let address = address.socket_addrs(|| None).unwrap()[0];
    let polling = async {
        while TcpStream::connect(address).is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let listens = tokio::time::timeout(PATIENCE, polling).await;
    assert!(listens.is_ok(), "the process did not begin to listen");
    process
}

impl Process {
    pub(crate) fn built(&self) -> &Builder {
        &self.built
    }

    /// The number that the system knows it by.
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().expect("it was not stopped yet").id()
    }

    /// Sends SIGTERM and waits for the end; nobody reads what is printed until then.
    pub(crate) async fn terminate_unread(mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it was not stopped yet");
        terminate(&child);
        let ending = async {
            loop {
                if let Some(status) = child.try_wait().unwrap() {
                    break status;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let ended = tokio::time::timeout(PATIENCE, ending).await;
        ended.unwrap_or_else(|_| {
            let _ = child.kill();
            panic!("SIGTERM does not end it")
        })
    }

    /// How much of the machine's memory it takes up, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: u64 = line
            .unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap();
        kib * 1024
    }

    /// Sends SIGTERM, waits for the end, and hands back all that was printed.
    pub(crate) async fn terminate(mut self) -> Output {
        let child = self.child.take().expect("it was not stopped yet");
        terminate(&child);
        let waiting = tokio::task::spawn_blocking(|| child.wait_with_output());
        let ended = tokio::time::timeout(PATIENCE, waiting).await;
        ended.expect("SIGTERM ends it").unwrap().unwrap()
    }
}

fn terminate(child: &Child) {
    let signalled = Command::new("kill").arg(child.id().to_string()).status();
    assert!(signalled.unwrap().success());
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
