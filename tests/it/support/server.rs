//! A TCP server on loopback: accepts, counts, stops, comes back at the same address.

use std::{
    any::Any,
    future::Future,
    net::{Ipv4Addr, SocketAddr, TcpListener as StdListener},
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Arc, LazyLock, Mutex},
    thread,
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use super::lock;

/// One for all servers of the process: none of them may depend on the runtime of a test.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("support")
        .enable_all()
        .build()
        .expect("the system has two threads to give")
});

type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;
type Handler = dyn Fn(TcpStream, usize) -> Serving + Send + Sync;

/// A server; it stops when it is dropped, and hands a panic of its own to whoever drops it.
pub(super) struct Server {
    address: SocketAddr,
    handler: Arc<Handler>,
    shared: Arc<Shared>,
    listening: Mutex<Option<Listening>>,
}

#[derive(Default)]
struct Shared {
    /// Who connected, in order.
    peers: Mutex<Vec<SocketAddr>>,
    panic: Mutex<Option<String>>,
}

struct Listening {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves each connection with `handler`, which is told the number of the connection, from zero.
    pub(super) fn run<F>(handler: impl Fn(TcpStream, usize) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            handler: Arc::new(move |stream, number| Box::pin(handler(stream, number))),
            shared: Arc::default(),
            listening: Mutex::default(),
        };
        server.listen(listener);
        server
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections were accepted so far.
    pub(super) fn accepted(&self) -> usize {
        lock(&self.shared.peers).len()
    }

    /// Closes the listener and every connection; whoever connects now is refused.
    pub(super) async fn go_down(&self) {
        let listening = lock(&self.listening).take();
        if let Some(Listening { stop, task }) = listening {
            stop.cancel();
            task.await.unwrap();
        }
    }

    /// Listens again where it did before.
    pub(super) fn come_back(&self) {
        // A connection of another test may have been given the port for its own end.
        for attempt in 0.. {
            match StdListener::bind(self.address) {
                Ok(listener) => return self.listen(listener),
                Err(error) => assert!(attempt < 1000, "{error}"),
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Every connection that was made before this call has been accepted when it returns; says how
    /// many there were.
    ///
    /// Listeners hand out connections in order, so one of our own, once accepted, proves it.
    pub(super) async fn accepted_for_sure(&self) -> usize {
        let probe = TcpStream::connect(self.address).await.unwrap();
        let own = probe.local_addr().unwrap();
        super::eventually("the probe was accepted", || {
            lock(&self.shared.peers).contains(&own)
        })
        .await;
        let mut peers = lock(&self.shared.peers);
        peers.retain(|peer| *peer != own);
        peers.len()
    }

    fn listen(&self, listener: StdListener) {
        listener.set_nonblocking(true).unwrap();
        let stop = CancellationToken::new();
        let (handler, shared) = (Arc::clone(&self.handler), Arc::clone(&self.shared));
        let stopped = stop.clone();
        let task = RUNTIME.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            let accepting = accept(listener, &handler, &shared);
            stopped.run_until_cancelled(accepting).await;
        });
        *lock(&self.listening) = Some(Listening { stop, task });
    }
}

/// Dropping the future drops the set, and with it every connection.
async fn accept(listener: TcpListener, handler: &Arc<Handler>, shared: &Arc<Shared>) {
    let mut connections = JoinSet::new();
    for number in 0.. {
        let (stream, peer) = listener.accept().await.unwrap();
        lock(&shared.peers).push(peer);
        let serving = AssertUnwindSafe(handler(stream, number)).catch_unwind();
        let shared = Arc::clone(shared);
        connections.spawn(async move {
            if let Err(panic) = serving.await {
                lock(&shared.panic).get_or_insert_with(|| message_of(&*panic));
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic without a text".to_owned())
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(Listening { stop, .. }) = lock(&self.listening).take() {
            stop.cancel();
        }
        let panic = lock(&self.shared.panic).take();
        if let Some(panic) = panic
            && !thread::panicking()
        {
            panic!("a server of the tests panicked: {panic}");
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_server_goes_down_and_comes_back_at_its_address() {
        let server = Server::run(|mut stream, _| async move {
            stream.write_all(b"here").await.unwrap();
            std::future::pending::<()>().await;
        });
        let mut first = TcpStream::connect(server.address()).await.unwrap();
        let mut greeting = [0; 4];
        first.read_exact(&mut greeting).await.unwrap();

        server.go_down().await;
        assert_eq!(first.read(&mut greeting).await.unwrap_or(0), 0);
        assert!(TcpStream::connect(server.address()).await.is_err());

        server.come_back();
        let mut second = TcpStream::connect(server.address()).await.unwrap();
        second.read_exact(&mut greeting).await.unwrap();
        assert_eq!(server.accepted(), 2);
    }

    #[tokio::test]
    #[should_panic(expected = "a server of the tests panicked: the lie was found out")]
    async fn a_panic_in_a_server_reaches_the_test() {
        let server = Server::run(|_, _| async { panic!("the lie was found out") });
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let closed = stream.read(&mut [0; 1]).await;
        assert_eq!(closed.unwrap_or(0), 0);
        super::super::eventually("the panic was noted", || {
            lock(&server.shared.panic).is_some()
        })
        .await;
    }
}
