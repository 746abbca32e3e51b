//! The gateway's service, looked at from outside.

use std::{convert::Infallible, pin::Pin};

use http::{Request, Response};
use hyper::{body::Incoming, service::Service};
use vestibule::{
    gateway::GatewayBody,
    head_guard::{HeadFault, RefuseHead},
};

use super::{Call, log::Log};

/// The gateway's service, with every call written down.
pub(super) struct Observed<S> {
    pub(super) service: S,
    pub(super) log: Log,
}

impl<S> Service<Request<Incoming>> for Observed<S>
where
    S: Service<Request<Incoming>, Response = Response<GatewayBody>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.log.moved();
        let uri = request.uri();
        let query = uri.query().map(|it| format!("?{it}")).unwrap_or_default();
        let call = Call {
            method: request.method().as_str().into(),
            target: format!("{}{query}", uri.path()).into(),
        };
        {
            let mut log = self.log.lock();
            log.conversation.calls.push(call);
            log.conversation.under_way += 1;
        }
        let under_way = UnderWay(self.log.clone());
        let answering = self.service.call(request);
        Box::pin(async move {
            let answer = answering.await;
            drop(under_way);
            answer
        })
    }
}

impl<S: RefuseHead> RefuseHead for Observed<S> {
    fn refuse(&self, fault: HeadFault) -> Response<bytes::Bytes> {
        self.service.refuse(fault)
    }
}

/// Until dropped, a call is under way.
struct UnderWay(Log);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.moved();
        let mut log = self.0.lock();
        let under_way = &mut log.conversation.under_way;
        *under_way = under_way.saturating_sub(1);
    }
}
