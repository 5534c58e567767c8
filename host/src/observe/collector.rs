//! How spans get to the collector: OTLP's transport, over the HTTP client that the host has anyway.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use sqlitrest_runtime::config::without_userinfo;

use super::logging;

/// The largest answer that is read.
const MOST: u64 = 1 << 20;

/// So often it is said that spans are lost.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// The collector. It is asked by the thread of the exporter alone, which may wait.
#[derive(Debug)]
pub struct Collector {
    /// Its address as it is configured, for the log.
    endpoint: String,
    agent: ureq::Agent,
    said: Mutex<Option<Instant>>,
}

impl Collector {
    /// One that may take so long.
    pub fn new(endpoint: &str, timeout: Duration) -> Collector {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(crate::SERVER);
        Collector {
            endpoint: without_userinfo(endpoint),
            agent: config.build().into(),
            said: Mutex::default(),
        }
    }

    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ureq::Error> {
        let (head, body) = request.into_parts();
        let response = self.agent.run(Request::from_parts(head, body.as_ref()))?;
        let (head, mut body) = response.into_parts();
        let body = body.with_config().limit(MOST).read_to_vec()?;
        Ok(Response::from_parts(head, body.into()))
    }

    /// Says it, but not again and again.
    fn say(&self, why: &str) {
        let Ok(mut said) = self.said.lock() else { return };
        if said.is_none_or(|said| said.elapsed() > SAID_EVERY) {
            *said = Some(Instant::now());
            logging::warn(format_args!("spans are lost: the collector at {}: {why}", self.endpoint));
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        match self.send(request) {
            Ok(response) if response.status().is_success() => Ok(response),
            // The exporter decides whether to try again.
            Ok(response) => {
                self.say(&format!("it answers {}", response.status()));
                Ok(response)
            }
            Err(error) => {
                self.say(&error.to_string());
                Err(error.into())
            }
        }
    }
}
