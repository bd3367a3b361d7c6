//! What a world is made from. Every probability is in 0..=1 and drawn once for each request.

use std::time::Duration;

use crate::limiter::{Kind, Layer};
use crate::model::{Identity, Moment, Rate};

/// The way between client and server.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkSettings {
    /// Round trip without jitter; half of it each way.
    pub rtt: Duration,
    /// Uniform in `0..=jitter`, added to each way on its own: requests and answers overtake.
    pub jitter: Duration,
    /// Probability, for each way on its own, that what travels is lost. The client times out.
    pub loss: f64,
    /// Probability that the connection is reset before the request is written: the server never
    /// sees it, and the client knows that.
    pub reset_before_write: f64,
    /// Probability that the connection is reset after the request was written: the server decides
    /// and serves it, the client sees a reset in place of the answer.
    pub reset_after_write: f64,
    /// How long the client waits for an answer.
    pub timeout: Duration,
}

impl Default for NetworkSettings {
    /// A calm wide-area network: 40 ms, 2 ms of jitter each way, nothing lost, patience of 10 s.
    fn default() -> Self {
        Self {
            rtt: Duration::from_millis(40),
            jitter: Duration::from_millis(2),
            loss: 0.0,
            reset_before_write: 0.0,
            reset_after_write: 0.0,
            timeout: Duration::from_secs(10),
        }
    }
}

/// The server.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerSettings {
    /// Time to serve an admitted request; a refusal takes none.
    pub service: Duration,
    /// Uniform in `0..=service_jitter`, added to it.
    pub service_jitter: Duration,
    /// Its limits, in the order in which they are asked.
    pub layers: Vec<Layer>,
    /// Gateways that each keep a record of their own of those limits; every request comes to one at
    /// random. Zero counts as one.
    pub shards: u32,
    /// What a refusal says about when to come back.
    pub advice: AdviceStyle,
    /// What every answer says about the tightest layer, as an X-RateLimit hint.
    pub hints: HintStyle,
    /// How a hint says when its quota is whole again.
    pub resets: ResetStyle,
    /// Probability that an admitted request is answered 500.
    pub server_error: f64,
    /// Probability that a request is answered 401, before any limit is asked.
    pub unauthorized: f64,
    /// Limits that change while the world runs.
    pub changes: Vec<LimitChange>,
    /// Traffic of others, which the same limits decide.
    pub neighbours: Vec<Neighbour>,
}

impl Default for ServerSettings {
    /// No limits, no faults, 5 ms of service, exact advice, no hints.
    fn default() -> Self {
        Self {
            service: Duration::from_millis(5),
            service_jitter: Duration::ZERO,
            layers: Vec::new(),
            shards: 1,
            advice: AdviceStyle::Exact,
            hints: HintStyle::None,
            resets: ResetStyle::WholeSeconds,
            server_error: 0.0,
            unauthorized: 0.0,
            changes: Vec::new(),
            neighbours: Vec::new(),
        }
    }
}

/// What a refusal says about when to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AdviceStyle {
    /// Nothing.
    None,
    /// The truth, to the nanosecond.
    #[default]
    Exact,
    /// The truth, rounded up to whole seconds (at least one), as Retry-After can say it.
    WholeSeconds,
    /// Always this, whatever the truth.
    Fixed(Duration),
}

/// What hints say, true or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum HintStyle {
    /// There are none.
    #[default]
    None,
    /// The truth.
    Honest,
    /// The limit is true, but nothing of it is ever used up.
    Frozen,
    /// Limit and remaining are this many times what they are.
    Inflated(u64),
    /// The numbers of another tenant, whose quota goes its own way.
    Foreign,
}

/// How a hint says when its quota is whole again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ResetStyle {
    /// To the nanosecond.
    Exact,
    /// Rounded up to whole seconds, as header fields say it.
    #[default]
    WholeSeconds,
}

/// Traffic of somebody else that no client sees. Its requests come from nowhere to the server, and
/// nobody waits for their answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// How much.
    pub rate: Rate,
    /// From when.
    pub from: Moment,
    /// Until when, exclusive.
    pub until: Moment,
    /// Even spacing, or independent exponential gaps.
    pub poisson: bool,
    /// Whom the limits take it for.
    pub identity: Identity,
}

/// At this moment, a layer becomes another limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitChange {
    /// When.
    pub at: Moment,
    /// Which layer, in the order of [`ServerSettings::layers`].
    pub layer: usize,
    /// What it is from then on.
    pub kind: Kind,
}
