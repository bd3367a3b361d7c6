//! The limits of the simulator's file, as they are written: one flat table for every kind.
//!
//! Which keys a kind needs and which it has no use for is settled in `validate`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Factor, HumanDuration, Rate};

/// One limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// Its name: letters, digits, `.`, `_`, `-`. Unique.
    pub name: String,
    /// How it counts.
    pub kind: LimitKind,
    /// What it limits.
    pub applies_to: AppliesTo,
    /// Requests in a window, or at once. For windows, sliding counters, logs and concurrency.
    #[schemars(range(min = 1))]
    pub limit: Option<u64>,
    /// Length of the window. For windows, sliding counters and logs.
    pub window: Option<HumanDuration>,
    /// Where windows begin, counted from the start of the simulator. For windows and counters.
    pub phase: Option<HumanDuration>,
    /// Refill of a bucket, or the rate at which a queue is served.
    pub rate: Option<Rate>,
    /// What a bucket holds. Unset: 1.
    #[schemars(range(min = 1))]
    pub burst: Option<u64>,
    /// How many requests may wait in a queue.
    pub depth: Option<u64>,
    /// Who shares it: requests that agree in all of these. Empty: everybody.
    pub scope: Vec<Factor>,
    /// The punishment for being refused.
    pub lockout_kind: LockoutKind,
    /// Its length.
    pub lockout: Option<HumanDuration>,
    /// Whether refused requests use up quota too.
    pub counts_refused: bool,
    /// How it refuses.
    pub refusal: Refusal,
    /// `limit.key` of the error body. Empty: the name.
    pub key: String,
    /// `limit.namespace` of the error body. Empty: none is given.
    pub namespace: String,
    /// What it becomes later.
    pub changes: Vec<ChangeSettings>,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            name: String::new(),
            kind: LimitKind::FixedWindow,
            applies_to: AppliesTo::Operations,
            limit: None,
            window: None,
            phase: None,
            rate: None,
            burst: None,
            depth: None,
            scope: Vec::new(),
            lockout_kind: LockoutKind::None,
            lockout: None,
            counts_refused: false,
            refusal: Refusal::TooManyRequests,
            key: String::new(),
            namespace: String::new(),
            changes: Vec::new(),
        }
    }
}

/// How a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitKind {
    /// `limit` in each `window`; windows begin at `phase`.
    FixedWindow,
    /// `limit` in each `window`, which begins with the first request after the one before.
    OnDemandWindow,
    /// `limit` in any `window`, wherever it begins.
    SlidingLog,
    /// The same, approximated by two weighted windows.
    SlidingCounter,
    /// A bucket of `burst` tokens, refilled at `rate`.
    TokenBucket,
    /// Served at `rate`; up to `depth` requests wait, further ones are refused.
    Queue,
    /// `limit` requests at once.
    Concurrency,
}

/// What a limit applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AppliesTo {
    /// Calls of operations.
    Operations,
    /// Token requests.
    Login,
}

/// The punishment for being refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LockoutKind {
    /// None.
    None,
    /// Everything is refused for `lockout` from the refusal that starts it.
    Fixed,
    /// The same, but each request refused meanwhile starts the time afresh.
    Extended,
}

/// How a limit refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// 429 with Retry-After.
    TooManyRequests,
    /// 503 with Retry-After.
    ServiceUnavailable,
    /// 409 with the code `organization.outbound.usage.limit.exceeded`.
    OutboundUsage,
    /// 400 with the code `conversation.message.limit.exceeded`.
    ConversationLimit,
}

/// A change of a limit. What it does not name stays as it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeSettings {
    /// When, counted from the start of the simulator.
    pub after: HumanDuration,
    /// The new limit.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub limit: Option<u64>,
    /// The new rate.
    #[serde(default)]
    pub rate: Option<Rate>,
    /// The new burst.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub burst: Option<u64>,
    /// The new depth.
    #[serde(default)]
    pub depth: Option<u64>,
}
