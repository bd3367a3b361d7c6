//! What a study concludes, with what it rests on: the content of every report.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Named;
use crate::model::Factor;

/// A number with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Figure {
    /// The best single value.
    pub value: f64,
    /// The truth is below this in 2.5 % of cases.
    pub low: f64,
    /// The truth is above this in 2.5 % of cases.
    pub high: f64,
}

/// An answer, or why there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "status")]
pub enum Finding<T> {
    /// It is known.
    Known {
        /// What it is.
        value: T,
        /// The posterior probability that it is so; for a figure, that it is inside its interval.
        confidence: f64,
        /// What tells, in a sentence.
        evidence: String,
    },
    /// The record does not tell.
    Unknown {
        /// Why.
        reason: Reason,
        /// The same in a sentence, with the numbers.
        detail: String,
        /// The experiment that would tell.
        experiment: String,
    },
}

/// Why something is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Nobody was refused: the sender was the bottleneck, so silence is no evidence.
    SelfLimited,
    /// There are too few refusals, or attempts, to tell.
    TooLittleData,
    /// Several answers predict what was seen equally well.
    NotIdentifiable,
    /// No single limit explains what was seen: there are several, or it moved.
    SeveralLayers,
    /// The budget ended first.
    Budget,
}

/// The kinds of limiter as reports name them.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum KindName {
    /// So many in each window of the server's clock.
    FixedWindow,
    /// So many in each window; the first request after its end begins the next.
    OnDemandWindow,
    /// So many in any interval of a window's length.
    SlidingLog,
    /// This window's count and a share of the previous one's.
    SlidingCounter,
    /// Tokens, refilled continuously (GCRA).
    TokenBucket,
    /// Delays first, refuses when too many wait.
    Queue,
    /// So many at once.
    Concurrency,
}

/// What a refusal brings beyond itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "form")]
pub enum LockoutFinding {
    /// Nothing: as soon as the limit allows it, requests are admitted again.
    None,
    /// Refusals ask for so long, and more than the limit explains. It was honoured, so whether it is enforced is
    /// not known.
    Advised {
        /// How long, in seconds.
        seconds: Figure,
    },
    /// Everything is refused for so long from the refusal that began it.
    Fixed {
        /// How long, in seconds.
        seconds: Figure,
    },
    /// The same, but each request refused meanwhile starts the time afresh.
    Extended {
        /// How long, in seconds.
        seconds: Figure,
    },
}

impl LockoutFinding {
    /// How long it lasts, in seconds; `None`: there is none.
    #[must_use]
    pub fn seconds(&self) -> Option<Figure> {
        match self {
            Self::None => None,
            Self::Advised { seconds } | Self::Fixed { seconds } | Self::Extended { seconds } => {
                Some(*seconds)
            }
        }
    }
}

/// One limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LimitFinding {
    /// What kind it is.
    pub kind: Finding<KindName>,
    /// Every kind with its posterior probability, the likeliest first.
    pub kinds: Vec<KindShare>,
    /// The highest rate that is admitted for as long as it is sent evenly, per second.
    pub rate: Finding<Figure>,
    /// Requests that are admitted at once after a rest.
    pub burst: Finding<Figure>,
    /// Length of the window, in seconds (for a bucket or queue: the time to fill it).
    pub window: Finding<Figure>,
    /// Where a window begins: seconds after a whole multiple of its length on the record's clock.
    pub phase: Finding<Figure>,
    /// What a refusal brings beyond itself.
    pub lockout: Finding<LockoutFinding>,
    /// Whether a refused request uses up quota as an admitted one does.
    pub refused_count: Finding<bool>,
    /// Who shares it.
    pub scope: Finding<ScopeFinding>,
}

/// A kind and its probability.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KindShare {
    /// The kind.
    pub kind: KindName,
    /// Its posterior probability.
    pub probability: f64,
}

/// Who shares a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScopeFinding {
    /// The limit is shared by requests that agree in all of these; empty: by everybody.
    pub factors: Vec<Factor>,
    /// Other scopes that the parties of the record cannot tell from it.
    pub alike: Vec<Vec<Factor>>,
}

/// Whether two parties share a limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PairFinding {
    /// The parties, by their readable names.
    pub parties: (String, String),
    /// In which factors they differ.
    pub differ_in: Vec<Factor>,
    /// Whether they share it.
    pub shared: Finding<bool>,
}

/// What somebody says of a limit, beside what was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeclaredFinding {
    /// Who says it: `quota hints`, `named limit`, `declared-limits API`, `advice`.
    pub source: String,
    /// What is said, in a sentence.
    pub says: String,
    /// The named limit, where it has a name.
    pub named: Option<Named>,
    /// Whether it agrees with what was measured; `None`: they cannot be compared.
    pub agrees: Option<bool>,
    /// What was measured beside it, in a sentence.
    pub measured: String,
}

/// What would be concluded if round numbers were no likelier than others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WithoutPrior {
    /// The likeliest kind.
    pub kind: Option<KindName>,
    /// Rate, per second.
    pub rate: Option<Figure>,
    /// Requests at once after a rest.
    pub burst: Option<Figure>,
    /// Window, in seconds.
    pub window: Option<Figure>,
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Material {
    /// Attempts in the record.
    pub attempts: u64,
    /// Of them, admitted by the limit.
    pub admitted: u64,
    /// Of them, refused because of it.
    pub refused: u64,
    /// Of them, without an answer that tells.
    pub unknown: u64,
    /// Times that traffic flowed and was refused.
    pub epochs: u64,
    /// Seconds from the first to the last.
    pub seconds: f64,
    /// The shortest time from sending to answer, in seconds.
    pub round_trip: f64,
    /// How much later than another a request may arrive that was sent at the same time, in seconds.
    pub jitter: f64,
}

/// Everything that a study concludes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Conclusion {
    /// What was looked at.
    pub material: Material,
    /// The limit that binds first; others, such as one per tenant outside of one per token, after it.
    pub limits: Vec<LimitFinding>,
    /// For each pair of parties, whether they share the first limit.
    pub pairs: Vec<PairFinding>,
    /// What headers, refusals and the declared-limits API say, beside what was measured.
    pub declared: Vec<DeclaredFinding>,
    /// What would be concluded without the prior on round numbers.
    pub without_prior: WithoutPrior,
    /// What else a reader should know, each in a sentence.
    pub remarks: Vec<String>,
}
