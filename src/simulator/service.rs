//! One request: read, judged, waited for, answered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;

use super::bodies::{self, Defect};
use super::clock::Clock;
use super::draw::Fate;
use super::errors::{self, Trouble};
use super::headers;
use super::oauth;
use super::routes::{self, Called};
use super::state::{Call, Core, Judged, Login, Outcome};
use super::stats::Stats;
use super::validate::Simulation;
use crate::limiter::Quota;
use crate::model::{Identity, Moment};

/// For a request body to arrive; a client that takes longer is cut off.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

const STATS_PATH: &str = "/simulator/stats";

pub(super) type Answer = Response<Full<Bytes>>;

/// The connection is to be reset, without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is reset on purpose")]
pub(super) struct Reset;

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) simulation: Simulation,
    clock: Clock,
    core: Mutex<Core>,
}

/// Gives a place back however the request ends, a client that hangs up included.
struct Place<'a> {
    shared: &'a Shared,
    who: Identity,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut core = self.shared.core();
        core.release(self.shared.clock.now(), &self.who);
    }
}

/// A request body, or what to answer in its place.
enum Body {
    Whole(Bytes),
    TooLarge,
}

impl Shared {
    pub(super) fn new(simulation: Simulation) -> Self {
        let core = Mutex::new(Core::new(&simulation));
        Self { simulation, clock: Clock::start(), core }
    }

    /// A panic elsewhere leaves counts that are still counts, so poison is no reason to stop.
    pub(super) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unix(&self, at: Moment) -> f64 {
        self.clock.unix(at).as_secs_f64()
    }

    pub(super) fn stats(&self) -> Stats {
        let now = self.clock.now();
        let core = self.core();
        let routes = self.simulation.operations.iter().zip(&core.routes);
        let limits = self.simulation.limits.iter().zip(&core.limits);
        Stats {
            started_at: self.unix(Moment::ZERO),
            uptime_seconds: now.as_secs_f64(),
            connections: core.connections,
            unmatched: core.unmatched,
            routes: routes.map(|(o, s)| (o.route.to_string(), *s)).collect(),
            limits: limits.map(|(l, s)| (l.layer.name.to_string(), *s)).collect(),
            login: core.login,
        }
    }

    /// Answers one request from `address`.
    pub(super) async fn handle(
        &self,
        address: &Arc<str>,
        request: Request<Incoming>,
    ) -> Result<Answer, Reset> {
        let path = request.uri().path();
        if path == self.simulation.settings.oauth.path && request.method() == Method::POST {
            return self.log_in(address, request).await;
        }
        match routes::find(&self.simulation.operations, request.method(), path) {
            Called::Operation(operation) => self.call(operation, address, request).await,
            Called::Nothing if path == STATS_PATH && request.method() == Method::GET => {
                Ok(json(StatusCode::OK, serde_json::to_string(&self.stats()).unwrap_or_default()))
            }
            Called::Nothing => {
                let message = "There is no such operation";
                Ok(self.unmatched(Trouble { status: 404, code: "not.found", message }))
            }
            Called::WrongMethod(other) => {
                let message = "The operation has another method";
                let trouble = Trouble { status: 405, code: "method.not.allowed", message };
                let mut answer = self.unmatched(trouble);
                let allowed = self.simulation.operations[other].method.as_str();
                if let Ok(allowed) = HeaderValue::from_str(allowed) {
                    answer.headers_mut().insert(ALLOW, allowed);
                }
                Ok(answer)
            }
        }
    }

    async fn call(
        &self,
        operation: usize,
        address: &Arc<str>,
        request: Request<Incoming>,
    ) -> Result<Answer, Reset> {
        let faults = &self.simulation.settings.faults;
        if faults.reset_before_ratio > 0.0 {
            let unix = self.unix(self.clock.now());
            let mut core = self.core();
            if core.resets_before(faults.reset_before_ratio) {
                core.received(operation, unix).reset_before += 1;
                return Err(Reset);
            }
        }
        let (parts, body) = request.into_parts();
        let Body::Whole(body) = self.read(body).await? else {
            let unix = self.unix(self.clock.now());
            self.core().received(operation, unix).too_large += 1;
            let message = "The body is too long";
            let trouble = Trouble { status: 413, code: "request.entity.too.large", message };
            let id = self.core().id();
            return Ok(self.trouble(&trouble, id));
        };
        let shape = self.simulation.operations[operation].shape;
        let body = bodies::check(shape, &body);
        let authorization = parts.headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok());
        let token = authorization.and_then(bearer);
        let call = Call { operation, token, address, body_is_valid: body.is_ok() };
        let now = self.clock.now();
        let judged = self.core().judge(&self.simulation, now, self.unix(now), &call);
        self.answer(operation, now, judged, body).await
    }

    #[expect(clippy::disallowed_methods, reason = "a simulated server takes real time to answer")]
    async fn answer(
        &self,
        operation: usize,
        at: Moment,
        judged: Judged,
        body: Result<bodies::Valid, Defect>,
    ) -> Result<Answer, Reset> {
        let [id, context] = judged.ids;
        let mut answer = match judged.outcome {
            Outcome::Unauthorized => {
                let (code, message) = ("bad.credentials", "Invalid login credentials.");
                return Ok(self.trouble(&Trouble { status: 401, code, message }, context));
            }
            Outcome::Refused { limit, retry_after } => {
                let quota = judged.quotas.first().map(|(_, quota)| quota);
                self.refusal(at, limit, quota, retry_after, context)
            }
            Outcome::Admitted { wait, fate, who, not_a_client } => {
                let place = self.core().holds_places().then(|| Place { shared: self, who });
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
                if fate == Fate::Stall {
                    tokio::time::sleep(self.simulation.settings.faults.stall_time.0).await;
                    return Err(Reset);
                }
                drop(place);
                match fate {
                    Fate::Reset | Fate::Stall => return Err(Reset),
                    Fate::Error(status) => {
                        let (code, message) = ("internal.server.error", "Something went wrong");
                        self.trouble(&Trouble { status, code, message }, context)
                    }
                    Fate::Serve => self.served(operation, body, not_a_client, id, context),
                }
            }
        };
        self.describe(&mut answer, at, &judged.quotas);
        if judged.malformed {
            headers::spoil(answer.headers_mut(), context);
        }
        Ok(answer)
    }

    fn served(
        &self,
        operation: usize,
        body: Result<bodies::Valid, Defect>,
        not_a_client: bool,
        id: u128,
        context: u128,
    ) -> Answer {
        if not_a_client {
            let (code, message) = ("not.a.client", "This request requires a client's token");
            return self.trouble(&Trouble { status: 400, code, message }, context);
        }
        let operation = &self.simulation.operations[operation];
        match body {
            Err(Defect(message)) => {
                let trouble = Trouble { status: 400, code: "bad.request", message: &message };
                self.trouble(&trouble, context)
            }
            Ok(body) => {
                let status = StatusCode::from_u16(operation.status).unwrap_or(StatusCode::OK);
                let text = bodies::success(operation.shape, &body, &uuid(id));
                let mut answer = json(status, text);
                self.correlate(&mut answer, context);
                answer
            }
        }
    }

    /// A refusal by one of the limits, with advice.
    fn refusal(
        &self,
        at: Moment,
        limit: usize,
        quota: Option<&Quota>,
        retry_after: Duration,
        context: u128,
    ) -> Answer {
        let settings = &self.simulation.settings;
        let limit = &self.simulation.limits[limit];
        let advised = settings.retry_after.seconds(retry_after);
        let body = errors::refusal(settings.error_body, limit, quota, advised, &uuid(context));
        let mut answer = self.error(errors::status(limit.refusal), body, context);
        if let Some(seconds) = advised {
            let unix = self.clock.unix(at);
            let form = settings.retry_after_form;
            headers::retry_after(answer.headers_mut(), form, seconds, unix);
        }
        answer
    }

    fn describe(&self, answer: &mut Answer, at: Moment, quotas: &[(usize, Quota)]) {
        if quotas.is_empty() {
            return;
        }
        let settings = &self.simulation.settings;
        let limits = &self.simulation.limits;
        let named: Vec<_> = quotas.iter().map(|(i, q)| (&*limits[*i].layer.name, *q)).collect();
        let unix = self.clock.unix(at).as_secs();
        let headers = answer.headers_mut();
        headers::quotas(headers, &settings.quota_headers, &named, settings.x_ratelimit_reset, unix);
    }

    async fn log_in(
        &self,
        address: &Arc<str>,
        request: Request<Incoming>,
    ) -> Result<Answer, Reset> {
        let (parts, body) = request.into_parts();
        let form = match self.read(body).await? {
            Body::Whole(form) => form,
            Body::TooLarge => Bytes::new(),
        };
        let authorization = parts.headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok());
        let client = oauth::client(&self.simulation.settings.clients, authorization, &form);
        let now = self.clock.now();
        let mut core = self.core();
        core.login.received += 1;
        let client = match client {
            Ok(client) => client,
            Err(refused) => {
                core.login.rejected += 1;
                return Ok(login_error(refused));
            }
        };
        match core.log_in(now, client, address) {
            Login::Granted(token) => {
                let lifetime = self.simulation.settings.oauth.token_lifetime.0.as_secs();
                let body = format!(
                    "{{\"access_token\":\"{token}\",\"token_type\":\"bearer\",\"expires_in\":{lifetime}}}"
                );
                Ok(json(StatusCode::OK, body))
            }
            Login::Refused { limit, retry_after } => {
                let context = core.id();
                drop(core);
                Ok(self.refusal(now, limit, None, retry_after, context))
            }
        }
    }

    async fn read(&self, body: Incoming) -> Result<Body, Reset> {
        let most = self.simulation.settings.body_bytes_max;
        let whole = Limited::new(body, most).collect();
        match tokio::time::timeout(BODY_TIMEOUT, whole).await {
            Ok(Ok(body)) => Ok(Body::Whole(body.to_bytes())),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Ok(Body::TooLarge),
            // The client broke off, or is too slow: there is nobody to answer.
            Ok(Err(_)) | Err(_) => Err(Reset),
        }
    }

    fn unmatched(&self, trouble: Trouble<'_>) -> Answer {
        let mut core = self.core();
        core.unmatched += 1;
        let context = core.id();
        drop(core);
        self.trouble(&trouble, context)
    }

    fn trouble(&self, trouble: &Trouble<'_>, context: u128) -> Answer {
        let shape = self.simulation.settings.error_body;
        let body = errors::body(shape, trouble, &uuid(context));
        self.error(trouble.status, body, context)
    }

    fn error(&self, status: u16, body: String, context: u128) -> Answer {
        let shape = self.simulation.settings.error_body;
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut answer = json(status, body);
        let content_type = HeaderValue::from_static(errors::content_type(shape));
        answer.headers_mut().insert(CONTENT_TYPE, content_type);
        self.correlate(&mut answer, context);
        answer
    }

    fn correlate(&self, answer: &mut Answer, context: u128) {
        if !self.simulation.settings.error_body.is_genesys() {
            return;
        }
        if let Ok(value) = HeaderValue::from_str(&uuid(context)) {
            answer.headers_mut().insert(HeaderName::from_static("inin-correlation-id"), value);
        }
    }
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn login_error(refused: oauth::Refused) -> Answer {
    let oauth::Refused { status, error, description } = refused;
    let body = serde_json::json!({
        "error": error,
        "description": description,
        "error_description": description,
    });
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut answer = json(status, body.to_string());
    if status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Basic realm=\"simulator\"");
        answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    answer
}

fn json(status: StatusCode, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// The usual form of 128 random bits.
fn uuid(bits: u128) -> String {
    let text = format!("{bits:032x}");
    [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
}
