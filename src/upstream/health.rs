//! Asks an address of an app again and again whether it is well, on a connection of its own each time.
//!
//! It says nothing of anybody: no identity, no cookie, no address of a client. Any answer that is no
//! error (2xx, 3xx) is well. What becomes of an address is decided by its [`Standing`].

use std::{pin::pin, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderValue, Request, StatusCode, Uri,
    header::{ACCEPT, CONNECTION, HOST, USER_AGENT},
};
use http_body_util::Empty;
use thiserror::Error;
use tokio::select;

use super::{
    client::{Spoken, speak},
    connect::{Way, dial},
    error::UpstreamError,
    standing::Standing,
};
use crate::{clock::Clock, config::route::HealthCheck, telemetry::chain};

/// Who asks, so that an app's own log can leave it out.
const AGENT: HeaderValue = HeaderValue::from_static("vestibule-health");

/// The check of one address, for as long as it is run.
#[derive(Clone, Debug)]
pub struct Checkup {
    pub(super) way: Way,
    pub(super) host: HeaderValue,
    pub(super) standing: Arc<Standing>,
    pub(super) rules: HealthCheck,
}

/// Why an address is not well.
#[derive(Debug, Error)]
enum Unwell {
    #[error("it answered with status {}", .0.as_u16())]
    Answered(StatusCode),
    #[error("it did not answer properly")]
    Exchange(#[source] hyper::Error),
    #[error("it did not answer in time")]
    Late,
    #[error("the path cannot be asked for")]
    Path(#[from] http::uri::InvalidUri),
    #[error(transparent)]
    Unreachable(#[from] UpstreamError),
}

impl Checkup {
    /// Checks at once and then at intervals, for ever.
    pub async fn keep_checking(&self, clock: Clock) {
        loop {
            match self.check(&clock).await {
                Ok(()) => self.standing.is_well(),
                Err(unwell) => self.standing.is_unwell(&chain(&unwell)),
            }
            clock.sleep(self.rules.every).await;
        }
    }

    async fn check(&self, clock: &Clock) -> Result<(), Unwell> {
        let status = select! {
            biased;
            status = self.ask(clock) => status?,
            () = clock.sleep(self.rules.timeout) => return Err(Unwell::Late),
        };
        if status.is_success() || status.is_redirection() {
            Ok(())
        } else {
            Err(Unwell::Answered(status))
        }
    }

    async fn ask(&self, clock: &Clock) -> Result<StatusCode, Unwell> {
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = self.rules.path.parse::<Uri>()?;
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        headers.insert(USER_AGENT, AGENT);
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));

        let stream = dial(&self.way, clock).await?;
        let Spoken {
            mut sender,
            expected,
            driver,
        } = speak(stream).await.map_err(Unwell::Exchange)?;
        expected.next_answer(false);
        let mut answer = pin!(sender.send_request(request));
        let answer = select! {
            biased;
            answer = &mut answer => answer,
            _ = driver => answer.await,
        };
        Ok(answer.map_err(Unwell::Exchange)?.status())
    }
}
