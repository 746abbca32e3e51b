//! What serves: the data threads, and the listeners without TLS beside them.
//!
//! Decides nothing about a request, and starts nothing that a stop does not end.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use anyhow::Context;
use tokio::{
    net::TcpStream,
    runtime::{Builder, Handle},
};

use crate::{
    gateway::{Gateway, RedirectToHttps, Worker},
    listener::{
        Entrance, Phase, Pressure, Room, Sockets, Terms,
        accept::accept,
        connection::{serve_plain, serve_tls},
    },
    ops::Ops,
};

/// Most connections at once of a listener without TLS: each has one short answer.
pub(super) const ROOM_BESIDE: usize = 1_000;

/// One thread that accepts, serves and forwards.
pub(super) struct DataThread {
    pub(super) listener: TcpListener,
    pub(super) entrance: Arc<Entrance>,
    pub(super) gateway: Arc<Gateway>,
    pub(super) room: Room,
    pub(super) terms: Terms,
    /// Set when this thread can no longer accept: the process is not ready then.
    pub(super) crippled: Arc<AtomicBool>,
}

impl DataThread {
    /// Starts it; it ends with the stop.
    pub(super) fn start(self, number: usize) -> anyhow::Result<thread::JoinHandle<()>> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .context("failed to start the runtime of a data thread")?;
        thread::Builder::new()
            .name(format!("data-{number}"))
            .spawn(move || {
                runtime.block_on(self.run());
                // Not to be held up by a name that is still being looked up.
                runtime.shutdown_background();
            })
            .context("failed to start a data thread")
    }

    async fn run(self) {
        let Self {
            listener,
            entrance,
            gateway,
            room,
            terms,
            crippled,
        } = self;
        let shutdown = terms.shutdown.clone();
        let worker = Worker::new(gateway);
        let serve = |stream, address| {
            let (entrance, worker) = (Arc::clone(&entrance), Arc::clone(&worker));
            let terms = terms.clone();
            async move {
                let make = |peer| worker.service(peer);
                serve_tls(stream, address, &entrance, make, &terms).await;
            }
        };
        if let Err(error) = accept(listener, room, shutdown.clone(), serve).await {
            tracing::error!(%error, "a data thread stopped accepting connections");
            crippled.store(true, Ordering::Release);
        }
        // What this thread has begun goes on here until it is done, or until the end.
        tokio::select! {
            () = shutdown.finished() => {}
            () = shutdown.reached(Phase::Ended) => {}
        }
    }
}

/// Serves a listener without TLS on the control runtime; it has room and pressure of its own.
pub(super) fn serve_beside<S>(control: &Handle, sockets: Sockets, terms: &Terms, service: &S)
where
    S: PlainService,
{
    let terms = Terms {
        pressure: Pressure::default(),
        ..terms.clone()
    };
    let connections = terms.limits.connections.min(ROOM_BESIDE);
    let room = Room::new(connections, terms.pressure.clone());
    for listener in sockets.into_listeners() {
        let (room, terms, service) = (room.clone(), terms.clone(), service.clone());
        control.spawn(async move {
            let shutdown = terms.shutdown.clone();
            let serve = |stream, address| {
                let (terms, service) = (terms.clone(), service.clone());
                async move { service.serve(stream, address, terms).await }
            };
            if let Err(error) = accept(listener, room, shutdown.clone(), serve).await {
                tracing::error!(%error, "a listener without TLS stopped accepting connections");
            }
        });
    }
}

/// A service that a listener without TLS can serve.
pub(super) trait PlainService: Clone + Send + Sync + 'static {
    fn serve(
        self,
        stream: TcpStream,
        address: SocketAddr,
        terms: Terms,
    ) -> impl Future<Output = ()> + Send;
}

impl PlainService for RedirectToHttps {
    async fn serve(self, stream: TcpStream, address: SocketAddr, terms: Terms) {
        serve_plain(stream, address, |_| self, &terms).await;
    }
}

impl PlainService for Ops {
    async fn serve(self, stream: TcpStream, address: SocketAddr, terms: Terms) {
        serve_plain(stream, address, |_| self, &terms).await;
    }
}
