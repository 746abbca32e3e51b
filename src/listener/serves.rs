//! What a connection can be served with.

use std::{convert::Infallible, error::Error};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, service::Service};

use crate::head_guard::RefuseHead;

/// A service that always has an answer, also to a head that cannot become a request. Whatever fits is
/// one.
pub trait Serves:
    Service<
        Request<Incoming>,
        Response = Response<<Self as Serves>::Body>,
        Error = Infallible,
        Future: Send + 'static,
    > + RefuseHead
    + Send
    + 'static
{
    /// The bodies of its answers.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static;
}

impl<S, B> Serves for S
where
    S: Service<
            Request<Incoming>,
            Response = Response<B>,
            Error = Infallible,
            Future: Send + 'static,
        > + RefuseHead
        + Send
        + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static,
{
    type Body = B;
}
