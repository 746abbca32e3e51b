//! The way in for fronts that end TLS: this machine's own, and those that are believed.
//!
//! Never serves a connection of anybody else: our cookies and redirects are for HTTPS, and only a front
//! can say that a client came so. Whether it says so is asked with each request, elsewhere.

use std::net::SocketAddr;

use futures_util::FutureExt;

use super::{
    connection::{CONNECTION, Caller, Terms},
    contained::contained,
    doorstep::{Doorstep, Met},
    http1::serve_http1,
    plain_socket::PlainStream,
    serves::Serves,
};
use crate::{
    clock::Clock,
    config::listener::{Limits, Listen, TrustedProxies},
    peer::{Peer, Transport},
    telemetry::Seldom,
};

/// The way in for fronts; all threads share one.
pub struct FrontDoor {
    doorstep: Doorstep,
    trusted_proxies: TrustedProxies,
    clock: Clock,
    stranger: Seldom,
}

impl FrontDoor {
    /// The way in to a listener.
    #[must_use]
    pub fn new(listen: &Listen, limits: &Limits, clock: Clock) -> Self {
        Self {
            doorstep: Doorstep::of_fronts(listen, limits, clock.clone()),
            trusted_proxies: listen.trusted_proxies.clone(),
            clock,
            stranger: Seldom::default(),
        }
    }

    /// The way in by new rules, with the connections counted that came in by these.
    #[must_use]
    pub fn renewed(&self, listen: &Listen) -> Self {
        Self {
            doorstep: self.doorstep.renewed(listen),
            trusted_proxies: listen.trusted_proxies.clone(),
            clock: self.clock.clone(),
            stranger: Seldom::default(),
        }
    }

    /// Lets a front's connection in, or says in log and metrics why not. Also `None` once a stop has
    /// begun.
    async fn enter(
        &self,
        stream: PlainStream,
        caller: Caller,
        terms: &Terms,
    ) -> Option<(PlainStream, Caller, Met)> {
        if self.trusted_proxies.may_end_tls(caller.address.ip()) {
            return self.doorstep.enter(stream, caller, terms).await;
        }
        terms.metrics.connection_cut("untrusted_front");
        let peer = caller.address;
        if self.stranger.is_due(self.clock.now().wall) {
            tracing::warn!(
                %peer,
                "a connection to [listen] plain was closed, which serves only fronts: if it is from one \
                 of yours, name it in [listen] trusted_proxies; clients use the address that the front \
                 has"
            );
        }
        tracing::debug!(%peer, "a connection was not let in");
        None
    }
}

/// Serves a fresh connection of a front with the service that `make` gives for its peer.
pub fn serve_behind_front<S: Serves>(
    stream: PlainStream,
    address: SocketAddr,
    door: &FrontDoor,
    make: impl FnOnce(Peer) -> S,
    terms: &Terms,
) -> impl Future<Output = ()> {
    let serving = async move {
        let _open = terms.metrics.connection_opened("plain");
        let caller = Caller::at(address);
        let front = caller.address.ip();
        // On the heap, so that a connection has nothing of it once it is in.
        let entering = Box::pin(door.enter(stream, caller, terms));
        if let Some((stream, caller, met)) = entering.await {
            let service = make(Peer {
                address: caller.address,
                unnamed: met.unnamed,
                server_name: None,
                transport: Transport::BehindFront(front),
            });
            serve_http1(stream, service, caller, terms).await;
        }
    };
    contained(CONNECTION, &terms.metrics, serving).map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::Arc};

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::Full;
    use hyper::body::Incoming;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixStream,
    };

    use super::*;
    use crate::{
        head_guard::{HeadFault, RefuseHead},
        listener::{Pressure, Shutdown},
        telemetry::Metrics,
    };

    /// Says where the front is.
    struct Hello(Peer);

    impl hyper::service::Service<Request<Incoming>> for Hello {
        type Response = Response<Full<Bytes>>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Self::Response, Infallible>>;

        fn call(&self, _: Request<Incoming>) -> Self::Future {
            let said = format!("{:?}", self.0.transport);
            std::future::ready(Ok(Response::new(Full::from(said))))
        }
    }

    impl RefuseHead for Hello {
        fn refuse(&self, _: HeadFault) -> Response<Bytes> {
            Response::default()
        }
    }

    /// What somebody at this address gets to read.
    async fn read_at(address: &str, metrics: &Arc<Metrics>) -> String {
        let listen = Listen {
            https: None,
            http: None,
            plain: None,
            workers: 1,
            grace: std::time::Duration::ZERO,
            hsts: None,
            trusted_proxies: TrustedProxies(vec!["192.0.2.0/24".parse().unwrap()]),
            proxy_protocol: false,
        };
        let terms = Terms {
            limits: Arc::default(),
            metrics: Arc::clone(metrics),
            shutdown: Shutdown::default(),
            pressure: Pressure::default(),
        };
        let door = FrontDoor::new(&listen, &terms.limits, Clock::system());
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        theirs.write_all(request).await.unwrap();
        let address = (address.parse::<std::net::IpAddr>().unwrap(), 1).into();
        let serving = serve_behind_front(PlainStream::Unix(ours), address, &door, Hello, &terms);
        let mut answer = String::new();
        let reading = theirs.read_to_string(&mut answer);
        let ((), read) = tokio::join!(serving, reading);
        // A connection that is closed with bytes unread may end in a reset.
        drop(read);
        answer
    }

    // S-023
    #[tokio::test]
    async fn only_this_machine_and_fronts_that_are_believed_are_served() {
        let metrics = Arc::new(Metrics::new(Clock::system()));
        for front in ["127.0.0.1", "::1", "::ffff:192.0.2.9", "192.0.2.1"] {
            let answer = read_at(front, &metrics).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{front}: {answer}");
            assert!(answer.contains("BehindFront("), "{answer}");
        }
        assert!(!metrics.text(0).contains("untrusted_front"));
        for stranger in ["192.0.3.1", "10.0.0.1", "fe80::1", "2001:db8::1"] {
            assert_eq!(read_at(stranger, &metrics).await, "", "{stranger}");
        }
        let counted = "vestibule_connections_cut_total{reason=\"untrusted_front\"} 4\n";
        assert!(metrics.text(0).contains(counted));
    }
}
