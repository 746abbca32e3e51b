//! What serves: the data threads, and the listeners without TLS beside them.
//!
//! Decides nothing about a request, and starts nothing that a stop does not end.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

use anyhow::Context;
use arc_swap::ArcSwap;
use tokio::{
    net::TcpStream,
    runtime::{Builder, Handle},
};

use crate::{
    config::listener::Limits,
    gateway::{Gateway, RedirectToHttps, Worker},
    listener::{
        Doorstep, Entrance, FrontDoor, Phase, PlainSocket, Pressure, Room, Sockets, Terms,
        accept::accept,
        connection::{serve_in_clear, serve_plain, serve_tls},
        contained,
        front_door::serve_behind_front,
    },
    ops::Ops,
};

/// What a connection is received with; swapped whole.
pub(super) struct Reception {
    pub(super) entrance: Entrance,
    /// Of the listener for fronts that end TLS.
    pub(super) front_door: FrontDoor,
    /// Of the listener that redirects to HTTPS.
    pub(super) doorstep: Doorstep,
    pub(super) limits: Arc<Limits>,
}

/// Most connections at once of a listener without TLS: each has one short answer.
pub(super) const ROOM_BESIDE: usize = 1_000;

/// One thread that accepts, serves and forwards.
pub(super) struct DataThread {
    /// For HTTPS.
    pub(super) https: Option<TcpListener>,
    /// For fronts that end TLS.
    pub(super) plain: Option<PlainSocket>,
    pub(super) reception: Arc<ArcSwap<Reception>>,
    pub(super) gateway: Arc<Gateway>,
    pub(super) room: Room,
    pub(super) terms: Terms,
    /// Set when this thread can no longer accept: the process is not ready then.
    pub(super) crippled: Arc<AtomicBool>,
}

impl DataThread {
    /// Starts it; it serves once it is told to, and ends with the stop.
    pub(super) fn start(self, number: usize) -> anyhow::Result<Started> {
        let (begin, told) = mpsc::channel();
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .context("failed to start the runtime of a data thread")?;
        let thread = thread::Builder::new()
            .name(format!("data-{number}"))
            .spawn(move || {
                if told.recv().is_ok() {
                    runtime.block_on(self.run());
                }
                // Not to be held up by a name that is still being looked up.
                runtime.shutdown_background();
            })
            .context("failed to start a data thread")?;
        Ok(Started { begin, thread })
    }

    async fn run(mut self) {
        let worker = Worker::new(Arc::clone(&self.gateway));
        let (https, plain) = (self.https.take(), self.plain.take());
        // Each by itself: what befalls the one is no reason to leave the other.
        let over_tls = async {
            if let Some(https) = https {
                attend(self.accept_tls(https, &worker), &self.terms, &self.crippled).await;
            }
        };
        let of_fronts = async {
            if let Some(plain) = plain {
                let accepting = self.accept_from_fronts(plain, &worker);
                attend(accepting, &self.terms, &self.crippled).await;
            }
        };
        tokio::join!(over_tls, of_fronts);
    }

    async fn accept_tls(&self, listener: TcpListener, worker: &Arc<Worker>) -> io::Result<()> {
        let serve = |stream, address| {
            let (reception, worker) = (self.reception.load_full(), Arc::clone(worker));
            let terms = self.terms.with(&reception.limits);
            async move {
                let make = |peer| worker.service(peer);
                serve_tls(stream, address, &reception.entrance, make, &terms).await;
            }
        };
        let shutdown = self.terms.shutdown.clone();
        accept(listener, self.room.clone(), shutdown, serve).await
    }

    async fn accept_from_fronts(
        &self,
        socket: PlainSocket,
        worker: &Arc<Worker>,
    ) -> io::Result<()> {
        let serve = |stream, address| {
            let (reception, worker) = (self.reception.load_full(), Arc::clone(worker));
            let terms = self.terms.with(&reception.limits);
            async move {
                let make = |peer| worker.service(peer);
                serve_behind_front(stream, address, &reception.front_door, make, &terms).await;
            }
        };
        let shutdown = self.terms.shutdown.clone();
        accept(socket, self.room.clone(), shutdown, serve).await
    }
}

/// A data thread that does not serve yet; without being told to it ends.
pub(super) struct Started {
    begin: mpsc::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Started {
    /// Lets it serve.
    pub(super) fn begin(self) -> thread::JoinHandle<()> {
        // If it is gone it is joined all the same.
        let _ = self.begin.send(());
        self.thread
    }
}

/// Keeps a thread until what it has begun is done, or until the end: also when it can no longer accept.
async fn attend(
    accepting: impl Future<Output = io::Result<()>>,
    terms: &Terms,
    crippled: &AtomicBool,
) {
    let accepted = contained("accepting on a data thread", &terms.metrics, accepting).await;
    if let Some(Err(error)) = &accepted {
        tracing::error!(%error, "a data thread stopped accepting connections");
    }
    if !matches!(accepted, Some(Ok(()))) {
        crippled.store(true, Ordering::Release);
    }
    tokio::select! {
        () = terms.shutdown.finished() => {}
        () = terms.shutdown.reached(Phase::Ended) => {}
    }
}

/// Serves a listener without TLS on the control runtime; it has room and pressure of its own.
pub(super) fn serve_beside<S>(
    control: &Handle,
    sockets: Sockets,
    terms: &Terms,
    reception: &Arc<ArcSwap<Reception>>,
    service: &S,
) where
    S: PlainService,
{
    let terms = Terms {
        pressure: Pressure::default(),
        ..terms.clone()
    };
    terms.metrics.expect_connections(S::LISTENER);
    let connections = terms.limits.connections.min(ROOM_BESIDE);
    let room = Room::new(connections, terms.pressure.clone());
    for listener in sockets.into_listeners() {
        let (room, terms, service) = (room.clone(), terms.clone(), service.clone());
        let reception = Arc::clone(reception);
        control.spawn(async move {
            let shutdown = terms.shutdown.clone();
            let serve = |stream, address| {
                let (reception, service) = (reception.load_full(), service.clone());
                let terms = terms.with(&reception.limits);
                async move { service.serve(stream, address, &reception, terms).await }
            };
            let accepting = accept(listener, room, shutdown, serve);
            let accepting = contained("accepting without TLS", &terms.metrics, accepting);
            if let Some(Err(error)) = accepting.await {
                tracing::error!(%error, "a listener without TLS stopped accepting connections");
            }
        });
    }
}

/// A service that a listener without TLS can serve.
pub(super) trait PlainService: Clone + Send + Sync + 'static {
    /// The word of its listener in the metrics.
    const LISTENER: &'static str;

    fn serve(
        self,
        stream: TcpStream,
        address: SocketAddr,
        reception: &Reception,
        terms: Terms,
    ) -> impl Future<Output = ()> + Send;
}

impl PlainService for RedirectToHttps {
    const LISTENER: &'static str = "http";

    async fn serve(
        self,
        stream: TcpStream,
        address: SocketAddr,
        reception: &Reception,
        terms: Terms,
    ) {
        let make = |peer| self.service(peer);
        serve_in_clear(stream, address, &reception.doorstep, make, &terms).await;
    }
}

impl PlainService for Ops {
    const LISTENER: &'static str = "ops";

    async fn serve(self, stream: TcpStream, address: SocketAddr, _: &Reception, terms: Terms) {
        serve_plain(stream, address, |_| self, &terms).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::{clock::Clock, listener::Shutdown, telemetry::Metrics};

    // S-268
    #[tokio::test(start_paused = true)]
    async fn a_data_thread_that_faults_while_it_accepts_is_counted_and_finishes_what_it_has() {
        let terms = Terms {
            limits: Arc::new(Limits::default()),
            metrics: Arc::new(Metrics::new(Clock::system())),
            shutdown: Shutdown::default(),
            pressure: Pressure::default(),
        };
        let crippled = AtomicBool::new(false);
        let under_way = terms.shutdown.token();
        let faulty = async { panic!("on purpose") };
        let mut attending = Box::pin(attend(faulty, &terms, &crippled));
        let second = Duration::from_secs(1);
        assert!(timeout(second, attending.as_mut()).await.is_err());
        assert!(crippled.load(Ordering::Acquire), "the process is not ready");
        let counted = terms.metrics.text(0);
        assert!(counted.contains("vestibule_panics_total 1\n"), "{counted}");
        terms.shutdown.advance_to(Phase::Draining);
        assert!(timeout(second, attending.as_mut()).await.is_err());
        drop(under_way);
        timeout(second, attending).await.unwrap();
    }
}
