//! Who is at the other end of a connection, as the socket, a trusted front and the handshake say.
//!
//! No header takes part: what a client says about itself is not here.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// How a request came in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
    /// HTTP/1.1 or 1.0 over TLS.
    Http1,
    /// HTTP/2 over TLS.
    Http2,
    /// HTTP/1.1 without TLS.
    Plain,
    /// HTTP/1.1 from a front that ended TLS; where that is, whomever it names.
    BehindFront(IpAddr),
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The client's address: the socket's, or the one a trusted front named before TLS.
    pub address: SocketAddr,
    /// A front that has to say for whom it speaks said that it does not know: whatever comes through
    /// it then is not to be believed, as trusted as the front itself is.
    pub unnamed: bool,
    /// The host the client asked for in its handshake, in lower case.
    pub server_name: Option<Arc<str>>,
    /// The protocol.
    pub transport: Transport,
}
