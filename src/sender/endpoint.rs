//! Sends requests to one target.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use reqwest::Url;

use super::classify::{self, Response};
use super::clock::Clock;
use super::connections::{ClientError, Connections, Line, server_url};
use super::exchange::{Bounds, exchange};
use super::settings::{ConnectionSettings, EndpointSettings};
use super::tokens::Bearer;
use crate::model::{Advice, Answer, Failure, FailureKind, MessageId, Moment, Verdict};

/// The part of a request that differs from message to message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    path: Arc<str>,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

/// A path that cannot be appended to a base URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a path is empty or begins with / or ?, and holds only printable ASCII without # and \\")]
pub struct PathError;

impl Rendered {
    /// A request for `path`, which is appended to the base URL and so cannot name another host.
    /// Values of `headers` that are secret must be marked sensitive, so that they are not shown.
    ///
    /// # Errors
    /// The path is not empty and begins with neither `/` nor `?`, or holds a character that a
    /// path or query cannot.
    pub fn new(
        path: Arc<str>,
        headers: Vec<(HeaderName, HeaderValue)>,
        body: Bytes,
    ) -> Result<Self, PathError> {
        let begins = path.is_empty() || path.starts_with(['/', '?']);
        let printable = path.bytes().all(|b| b.is_ascii_graphic() && b != b'#' && b != b'\\');
        if begins && printable { Ok(Self { path, headers, body }) } else { Err(PathError) }
    }
}

/// Sends to one target. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct EndpointClient {
    inner: Arc<Inner>,
}

struct Inner {
    line: Arc<Line>,
    settings: EndpointSettings,
    clock: Clock,
    /// The first path sent to and its URL: most targets have no placeholder in the path, and
    /// cloning a URL is cheaper than parsing it.
    usual: OnceLock<(Arc<str>, Url)>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("name", &self.settings.name).finish_non_exhaustive()
    }
}

impl EndpointClient {
    /// Prepares to send to a target.
    ///
    /// # Errors
    /// The base URL is not usable, a file that the connection needs is not, or no HTTP client can be
    /// built on this system.
    pub fn new(
        settings: EndpointSettings,
        connection: &ConnectionSettings,
        connections: &mut Connections,
        clock: Clock,
    ) -> Result<Self, ClientError> {
        let url = server_url(&settings.base_url)?;
        if url.query().is_some() || settings.base_url.ends_with('/') {
            return Err(ClientError::Url("has a query or ends with a slash"));
        }
        let (version, timeout) = (settings.http_version, settings.connect_timeout);
        let line = connections.line(&url, connection, version, timeout)?;
        let usual = OnceLock::new();
        Ok(Self { inner: Arc::new(Inner { line, settings, clock, usual }) })
    }

    /// Sends one request, once. `traceparent` joins the server's trace to ours; `message` goes into
    /// the idempotency key, where the target has one. The answer's moments count from the first
    /// poll of the future, which borrows nothing.
    ///
    /// `on_refusal` is told of a throttle when its headers have come, with what they advise: a
    /// Retry-After counts from there, however long the body takes. The answer says it again.
    pub fn send<F>(
        &self,
        request: Rendered,
        bearer: Option<&Bearer>,
        traceparent: Option<HeaderValue>,
        message: MessageId,
        on_refusal: F,
    ) -> impl Future<Output = Answer> + Send + use<F>
    where
        F: Fn(Moment, Advice) + Send + Sync,
    {
        let request = self.inner.build(request, bearer, traceparent, message);
        let inner = Arc::clone(&self.inner);
        async move {
            match request {
                Some(request) => inner.attempt(request, &on_refusal).await,
                None => {
                    let now = inner.clock.now();
                    Answer::bare(Verdict::Failed(NOTHING_SENT), now, now)
                }
            }
        }
    }
}

/// A URL that could not be put together, from parts that were both checked.
const NOTHING_SENT: Failure = Failure { kind: FailureKind::Connect, may_have_arrived: false };

impl Inner {
    fn build(
        &self,
        rendered: Rendered,
        bearer: Option<&Bearer>,
        traceparent: Option<HeaderValue>,
        message: MessageId,
    ) -> Option<reqwest::Request> {
        let url = self.url(&rendered.path)?;
        let mut request = reqwest::Request::new(self.settings.method.clone(), url);
        let headers = request.headers_mut();
        for (name, value) in rendered.headers {
            headers.insert(name, value);
        }
        if let Some(value) = traceparent {
            headers.insert(HeaderName::from_static("traceparent"), value);
        }
        if let Some(name) = &self.settings.idempotency_key_header {
            headers.insert(name, HeaderValue::try_from(message.to_string()).ok()?);
        }
        if let Some(bearer) = bearer {
            headers.insert(AUTHORIZATION, bearer.header().clone());
        }
        if !rendered.body.is_empty() {
            *request.body_mut() = Some(rendered.body.into());
        }
        Some(request)
    }

    fn url(&self, path: &Arc<str>) -> Option<Url> {
        let parse = || Url::parse(&format!("{}{path}", self.settings.base_url)).ok();
        if let Some((usual, url)) = self.usual.get() {
            return if usual == path { Some(url.clone()) } else { parse() };
        }
        let url = parse()?;
        // Another thread may have set it meanwhile; then this URL is simply not the usual one.
        let _ = self.usual.set((Arc::clone(path), url.clone()));
        Some(url)
    }

    async fn attempt(
        &self,
        request: reqwest::Request,
        on_refusal: &(dyn Fn(Moment, Advice) + Send + Sync),
    ) -> Answer {
        let settings = &self.settings;
        let wall = || self.clock.unix_nanos();
        let wants_body = settings.success.body.is_some();
        let bounds = Bounds {
            timeout: settings.timeout,
            body_bytes_max: settings.response_bytes_max,
            keep_body: &|status| status >= 400 || wants_body,
            on_head: &|head| {
                if matches!(head.status, 429 | 503) {
                    let response =
                        Response { status: head.status, headers: &head.headers, body: Ok(&[]) };
                    let reading =
                        classify::read(response, &settings.success, settings.dialect, &wall);
                    if reading.verdict == Verdict::Throttled {
                        on_refusal(head.at, reading.advice);
                    }
                }
            },
        };
        let done = exchange(&self.line, request, &bounds, &self.clock).await;
        let (head, body) = match done.result {
            Ok(response) => response,
            Err(failure) => {
                return Answer::bare(Verdict::Failed(failure), done.sent_at, done.done_at);
            }
        };
        let response = Response {
            status: head.status,
            headers: &head.headers,
            body: body.as_deref().map_err(|k| *k),
        };
        let reading = classify::read(response, &settings.success, settings.dialect, &wall);
        Answer {
            verdict: reading.verdict,
            status: Some(head.status),
            sent_at: done.sent_at,
            headers_at: Some(head.at),
            done_at: done.done_at,
            advice: reading.advice,
            hints: reading.hints,
            malformed: reading.malformed,
            named_limit: reading.named_limit,
            correlation_id: reading.correlation_id,
        }
    }
}
