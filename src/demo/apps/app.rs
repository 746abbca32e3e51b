//! A running app.

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
};

use bytes::Bytes;
use http::{HeaderName, Request};

use crate::demo::server::{Answer, Bound, Server};

use super::{orders, wiki};

/// What an app is started with.
#[derive(Clone, Debug)]
pub struct AppSettings {
    /// A loopback address; port 0 asks the system for a free one.
    pub listen: SocketAddr,
    /// The header that says who came in.
    pub user_header: HeaderName,
    /// The header with the display name, percent-encoded, if the app gets one.
    pub name_header: Option<HeaderName>,
}

impl AppSettings {
    /// Any free port, and the user's name in this header alone.
    #[must_use]
    pub fn new(user_header: HeaderName) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            user_header,
            name_header: None,
        }
    }
}

/// A running app; dropping it stops it without waiting.
pub struct App {
    server: Server,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}

impl App {
    /// Starts the wiki: pages to read, `/health` and `/static/*` open to everybody.
    ///
    /// # Errors
    /// Returns `InvalidInput` if the address is not loopback, or why it cannot be bound.
    pub async fn wiki(settings: AppSettings) -> io::Result<Self> {
        Self::start(settings, wiki::answer).await
    }

    /// Starts the order entry: shows every header it got, and sends back what is posted.
    ///
    /// # Errors
    /// Returns `InvalidInput` if the address is not loopback, or why it cannot be bound.
    pub async fn orders(settings: AppSettings) -> io::Result<Self> {
        Self::start(settings, orders::answer).await
    }

    async fn start(
        settings: AppSettings,
        answer: fn(&AppSettings, &Request<Bytes>) -> Answer,
    ) -> io::Result<Self> {
        let bound = Bound::to(settings.listen).await?;
        let server = bound.serve(move |request| Some(answer(&settings, request)));
        Ok(Self { server })
    }

    /// The address that was bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Takes no new connections, lets requests under way end, and waits for that.
    pub async fn stop(&self) {
        self.server.stop().await;
    }
}
