//! The simulator's file, as it is written: every key is optional and has a default.
//!
//! It says nothing about whether the values make sense together: `validate` does, all at once.

use std::net::{Ipv4Addr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::advice::RetryAfter;
use super::settings_limits::LimitSettings;
use crate::model::HumanDuration;

/// The simulated API. Its clients, secrets and tokens are make-believe: never put real ones here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SimulatorSettings {
    /// Address and port to listen on.
    pub listen_address: SocketAddr,
    /// Seed of everything random: latency, faults, ids, tokens.
    pub seed: u64,
    /// Whether operations want a bearer token that is known here (else 401).
    pub require_token: bool,
    /// Connections served at once; further ones wait.
    #[schemars(range(min = 1))]
    pub connections_max: usize,
    /// A longer request body is answered 413. Bytes.
    #[schemars(range(min = 1))]
    pub body_bytes_max: usize,
    /// A connection on which nothing comes for this long is closed.
    pub idle_timeout: HumanDuration,
    /// What a refusal says in Retry-After: "exact" (the truth, rounded up to a second), "none", or
    /// always the same duration.
    pub retry_after: RetryAfter,
    /// How Retry-After is written.
    pub retry_after_form: RetryAfterForm,
    /// Header dialects in which every answer of an operation describes its quota.
    pub quota_headers: Vec<QuotaHeaders>,
    /// What X-RateLimit-Reset counts.
    pub x_ratelimit_reset: ResetForm,
    /// The shape of error bodies.
    pub error_body: ErrorShape,
    /// The login server.
    pub oauth: OauthSettings,
    /// OAuth clients.
    pub clients: Vec<ClientSettings>,
    /// Bearer tokens that need no login.
    pub tokens: Vec<StaticTokenSettings>,
    /// What can be called.
    pub operations: Vec<OperationSettings>,
    /// The limits, in the order in which they are asked; every one must admit a request.
    pub limits: Vec<LimitSettings>,
    /// Time to serve an admitted request.
    pub latency: LatencySettings,
    /// What goes wrong.
    pub faults: FaultSettings,
}

impl Default for SimulatorSettings {
    fn default() -> Self {
        let operation = |shape| OperationSettings { shape, ..OperationSettings::default() };
        Self {
            listen_address: (Ipv4Addr::LOCALHOST, 8080).into(),
            seed: 1,
            require_token: false,
            connections_max: 10_000,
            body_bytes_max: 512_000,
            idle_timeout: HumanDuration(std::time::Duration::from_secs(75)),
            retry_after: RetryAfter::Exact,
            retry_after_form: RetryAfterForm::Seconds,
            quota_headers: vec![QuotaHeaders::XRatelimit],
            x_ratelimit_reset: ResetForm::Delta,
            error_body: ErrorShape::Genesys,
            oauth: OauthSettings::default(),
            clients: Vec::new(),
            tokens: Vec::new(),
            operations: Shape::ALL.map(operation).into(),
            limits: Vec::new(),
            latency: LatencySettings::default(),
            faults: FaultSettings::default(),
        }
    }
}

/// How Retry-After is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfterForm {
    /// Delta seconds.
    Seconds,
    /// A date, to be read against the answer's own Date.
    HttpDate,
}

/// Dialects in which an answer describes a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QuotaHeaders {
    /// `RateLimit` and `RateLimit-Policy` as structured fields (draft-11); all limits are listed.
    IetfStructured,
    /// `RateLimit: limit=…, remaining=…, reset=…` (draft-07). Not together with the former.
    IetfDraft07,
    /// `RateLimit-Limit`, `-Remaining`, `-Reset` (draft-06).
    IetfDraft06,
    /// `X-RateLimit-Limit`, `-Remaining`, `-Reset`.
    XRatelimit,
    /// `inin-ratelimit-count`, `-allowed`, `-reset` (Genesys Cloud).
    Inin,
}

/// What a reset header counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResetForm {
    /// Seconds from now.
    Delta,
    /// Seconds since the Unix epoch.
    Epoch,
}

/// Shapes of error bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorShape {
    /// Genesys Cloud's ErrorBody, which names the limit; with an ININ-Correlation-Id header.
    Genesys,
    /// RFC 9457 problem details.
    ProblemJson,
}

/// The login server (OAuth 2 client credentials).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OauthSettings {
    /// Path of the token endpoint.
    pub path: String,
    /// How long a token is good for.
    pub token_lifetime: HumanDuration,
    /// Tokens remembered; the oldest is forgotten (and so refused) when there are more.
    #[schemars(range(min = 1))]
    pub tokens_max: usize,
}

impl Default for OauthSettings {
    fn default() -> Self {
        Self {
            path: "/oauth/token".into(),
            token_lifetime: HumanDuration(std::time::Duration::from_secs(86_400)),
            tokens_max: 100_000,
        }
    }
}

/// An OAuth client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientSettings {
    /// Client id.
    pub id: String,
    /// Client secret (make-believe).
    pub secret: String,
    /// The organisation it belongs to.
    #[serde(default)]
    pub tenant: String,
    /// The user it acts for.
    #[serde(default)]
    pub user: String,
}

/// A bearer token that needs no login. Without a client it counts as a user's token, which the
/// Genesys operations for client credentials refuse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StaticTokenSettings {
    /// The token (make-believe).
    pub value: String,
    /// The client it was given to.
    #[serde(default)]
    pub client: String,
    /// The organisation it belongs to.
    #[serde(default)]
    pub tenant: String,
    /// The user it acts for.
    #[serde(default)]
    pub user: String,
}

/// One operation of the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OperationSettings {
    /// What it expects and answers.
    pub shape: Shape,
    /// HTTP method.
    pub method: String,
    /// Path, with `{placeholders}` for segments that vary. Empty: the shape's own.
    pub path: String,
    /// Status of success. Unset: the shape's own.
    #[schemars(range(min = 200, max = 299))]
    pub status: Option<u16>,
}

impl Default for OperationSettings {
    fn default() -> Self {
        Self { shape: Shape::Generic, method: "POST".into(), path: String::new(), status: None }
    }
}

/// What an operation expects and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Any JSON, answered with an id. Path `/messages`.
    Generic,
    /// Genesys Cloud: a message in a conversation. `textBody` is required.
    GenesysConversation,
    /// Genesys Cloud: an agentless outbound message. `fromAddress` and `toAddressMessengerType` are
    /// required, and a client's token.
    GenesysAgentless,
    /// Genesys Cloud: an inbound open message. `channel` with `from` and `time` is required, and a
    /// client's token.
    GenesysInbound,
}

/// Time to serve an admitted request, on top of any queue. Whole milliseconds are kept best.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LatencySettings {
    /// How it is distributed.
    pub distribution: Distribution,
    /// The constant, or the mean of an exponential or log-normal distribution.
    pub mean: HumanDuration,
    /// Standard deviation of the logarithm, for a log-normal distribution.
    #[schemars(range(min = 0.0, max = 5.0))]
    pub sigma: f64,
    /// The least of a uniform distribution.
    pub min: HumanDuration,
    /// The most of any distribution.
    pub max: HumanDuration,
}

impl Default for LatencySettings {
    fn default() -> Self {
        Self {
            distribution: Distribution::Constant,
            mean: HumanDuration(std::time::Duration::ZERO),
            sigma: 0.5,
            min: HumanDuration(std::time::Duration::ZERO),
            max: HumanDuration(std::time::Duration::from_secs(30)),
        }
    }
}

/// Distributions of the latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    /// Always `mean`.
    Constant,
    /// Uniform from `min` to `max`.
    Uniform,
    /// Exponential with `mean`, cut at `max`.
    Exponential,
    /// Log-normal with `mean` and `sigma`, cut at `max`.
    Lognormal,
}

/// What goes wrong, as ratios of all requests, drawn once for each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FaultSettings {
    /// Admitted requests answered with one of `error_statuses`.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub error_ratio: f64,
    /// The statuses to draw from.
    pub error_statuses: Vec<u16>,
    /// Connections reset when the headers of a request were read, before it is counted or acted on.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub reset_before_ratio: f64,
    /// Connections reset after an admitted request was acted on.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub reset_after_ratio: f64,
    /// Admitted requests that get no answer.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub stall_ratio: f64,
    /// How long such a connection stays open before it is reset.
    pub stall_time: HumanDuration,
    /// Answers whose Retry-After and quota headers are garbage.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub malformed_ratio: f64,
}

impl Default for FaultSettings {
    fn default() -> Self {
        Self {
            error_ratio: 0.0,
            error_statuses: vec![500, 502, 503],
            reset_before_ratio: 0.0,
            reset_after_ratio: 0.0,
            stall_ratio: 0.0,
            stall_time: HumanDuration(std::time::Duration::from_secs(60)),
            malformed_ratio: 0.0,
        }
    }
}
