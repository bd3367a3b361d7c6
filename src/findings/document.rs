//! The report as a document: everything that its renderings say.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::baseline::Changes;
use super::replay::{self, Timeline};
use super::vendor::{self, Ask};
use crate::infer::study::{
    Conclusion, Ended, Figure, Finding, LimitFinding, LockoutFinding, Observations, Trial,
};
use crate::model::{Factor, Identity};

/// The version of the document's form. It rises when something in it changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 1;

/// What was found out about a limit, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Version of this document's form.
    pub schema_version: u32,
    /// What wrote it, such as `plimsoll 0.1.0`.
    pub generator: String,
    /// What was studied.
    pub subject: Subject,
    /// When the first request of the record was sent (RFC 3339); absent when the record does not tell.
    pub began: Option<String>,
    /// When the latest was.
    pub ended: Option<String>,
    /// Who sent; trials and pairs refer to them.
    pub parties: Vec<Party>,
    /// What was concluded: the limits, each answer with its evidence.
    pub conclusion: Conclusion,
    /// What to ask the vendor.
    pub asks: Vec<Ask>,
    /// The experiments of a probe.
    pub experiment: Option<ExperimentPart>,
    /// What was admitted and refused over time, beside what the concluded limit would have done.
    pub timeline: Timeline,
    /// What is different from an earlier report.
    pub changes: Option<Changes>,
}

/// What was studied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Subject {
    /// Where the record comes from.
    pub source: Source,
    /// The name of the target in configuration.
    pub target: Option<String>,
    /// Host of the API, with its port where it is not the usual one.
    pub server: Option<String>,
    /// Method and path.
    pub operation: Option<String>,
    /// Whose API it is, as far as it matters for what to ask.
    pub vendor: Vendor,
}

/// Where a record comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Source {
    /// Experiments that were made for it.
    Probe,
    /// Files.
    Record {
        /// Their names.
        files: Vec<String>,
    },
}

/// Whose API it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Vendor {
    /// Genesys Cloud.
    Genesys,
    /// Somebody else's.
    #[default]
    Other,
}

/// Who sent. What is not stated is absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Party {
    /// A readable name, such as that of the stream.
    pub name: String,
    /// The credential, which stands for its token.
    pub token: Option<String>,
    /// OAuth client or API key.
    pub client: Option<String>,
    /// User.
    pub user: Option<String>,
    /// Organisation.
    pub tenant: Option<String>,
    /// Source address.
    pub address: Option<String>,
    /// Method and path.
    pub route: Option<String>,
}

impl Party {
    /// A party by its name and its identity.
    #[must_use]
    pub fn new(name: &str, identity: &Identity) -> Self {
        let stated = |factor| {
            let value = identity.value(factor);
            (!value.is_empty()).then(|| value.to_string())
        };
        Self {
            name: name.to_owned(),
            token: stated(Factor::Token),
            client: stated(Factor::Client),
            user: stated(Factor::User),
            tenant: stated(Factor::Tenant),
            address: stated(Factor::Address),
            route: stated(Factor::Route),
        }
    }
}

/// The experiments of a probe, what they might cost, and what they did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExperimentPart {
    /// What it might cost.
    pub budget: Cost,
    /// What it did cost.
    pub spent: Spent,
    /// How it ended.
    pub how: How,
    /// Each experiment.
    pub trials: Vec<Trial>,
}

/// What a probe may cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cost {
    /// Requests in all.
    pub requests: u64,
    /// Refusals in all.
    pub throttles: u64,
    /// Time in all, in seconds.
    pub seconds: f64,
    /// The highest rate, per second.
    pub rate: f64,
}

/// What a probe did cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Spent {
    /// Requests sent.
    pub requests: u64,
    /// Of them, refused.
    pub throttles: u64,
    /// Of them, sent inside another credential's pause, because the user allowed it.
    pub peeks: u64,
    /// Time, in seconds.
    pub seconds: f64,
    /// Slots that were ordered and not sent: a pause, a cap, no token.
    pub skipped: u64,
}

/// How a probe ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Everything is known that it can find out.
    Answered,
    /// Nobody was refused at the highest rate that the budget allows.
    NeverRefused,
    /// The budget's requests were used up.
    Requests,
    /// The budget's refusals were used up.
    Throttles,
    /// The budget's time was over.
    Time,
    /// Somebody stopped it.
    Interrupted,
}

impl From<Ended> for How {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Answered => Self::Answered,
            Ended::NeverRefused => Self::NeverRefused,
            Ended::Requests => Self::Requests,
            Ended::Throttles => Self::Throttles,
            Ended::Time => Self::Time,
            Ended::Interrupted => Self::Interrupted,
        }
    }
}

/// What a report is made of.
#[derive(Clone, Debug)]
pub struct Studied<'a> {
    /// What wrote it, such as `plimsoll 0.1.0`.
    pub generator: String,
    /// What was studied.
    pub subject: Subject,
    /// The readable names of the record's parties, in their order; where there are fewer, the rest is named by
    /// credential, client or number.
    pub names: Vec<String>,
    /// The record.
    pub observations: &'a Observations,
    /// What was concluded of it.
    pub conclusion: Conclusion,
    /// What the record's second 0 is in Unix time; `None`: nobody knows.
    pub unix_origin: Option<f64>,
    /// The experiments, if it was a probe.
    pub experiment: Option<ExperimentPart>,
}

impl Report {
    /// The report. Takes a pass over the record.
    #[must_use]
    pub fn new(studied: Studied<'_>) -> Self {
        let Studied { observations, mut conclusion, mut subject, unix_origin, .. } = studied;
        conclusion.limits.iter_mut().for_each(bound);
        let genesys = |named: &crate::infer::study::Named| vendor::is_genesys(&named.key);
        if observations.named.iter().any(|(named, _)| genesys(named)) {
            subject.vendor = Vendor::Genesys;
        }
        let time = |seconds: Option<f64>| {
            let unix = unix_origin? + seconds?;
            Some(Timestamp::from_millisecond((unix * 1e3) as i64).ok()?.to_string())
        };
        let sent = observations.attempts.iter().map(|attempt| attempt.sent);
        let (first, last) = (sent.clone().next(), sent.reduce(f64::max));
        let name = |(i, identity): (usize, &Identity)| {
            let fallback = [&identity.token, &identity.client, &identity.user, &identity.address];
            let fallback = fallback.into_iter().find(|value| !value.is_empty());
            let fallback = fallback.map_or_else(|| format!("party {}", i + 1), |v| v.to_string());
            Party::new(studied.names.get(i).map_or(&fallback, |name| name), identity)
        };
        let timeline = replay::timeline(observations, &conclusion.limits);
        let asks = vendor::asks(&subject, observations, &conclusion);
        Self {
            schema_version: SCHEMA_VERSION,
            generator: studied.generator,
            began: time(first),
            ended: time(last),
            parties: observations.parties.iter().enumerate().map(name).collect(),
            subject,
            asks,
            experiment: studied.experiment,
            timeline,
            changes: None,
            conclusion,
        }
    }

    /// The document, as pretty JSON.
    ///
    /// # Errors
    /// None that is known: every number in it is finite.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// Reads a document.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn from_json(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            schema_version: u32,
        }
        let head: Head = serde_json::from_str(text)
            .map_err(|e| format!("no report of a probe or of a record: {e}"))?;
        if head.schema_version != SCHEMA_VERSION {
            return Err(format!(
                "a report of version {}; this program reads version {SCHEMA_VERSION}",
                head.schema_version
            ));
        }
        let reader = &mut serde_json::Deserializer::from_str(text);
        serde_path_to_error::deserialize(reader).map_err(|e| format!("{}: {}", e.path(), e.inner()))
    }

    /// The schema of the document.
    #[must_use]
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }

    /// Notes what is different from an earlier report.
    #[must_use]
    pub fn compared_with(mut self, earlier: &Self) -> Self {
        self.changes = Some(Changes::between(earlier, &self));
        self
    }

    /// Whether an earlier report was compared with, and something is different for sure.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.changes.as_ref().is_some_and(Changes::any)
    }
}

/// JSON knows no infinity: an interval without an end ends at the largest number.
fn bound(limit: &mut LimitFinding) {
    let figures = [&mut limit.rate, &mut limit.burst, &mut limit.window, &mut limit.phase];
    for finding in figures {
        if let Finding::Known { value, .. } = finding {
            finite(value);
        }
    }
    if let Finding::Known {
        value: LockoutFinding::Fixed { seconds } | LockoutFinding::Extended { seconds },
        ..
    } = &mut limit.lockout
    {
        finite(seconds);
    }
}

fn finite(figure: &mut Figure) {
    for number in [&mut figure.value, &mut figure.low, &mut figure.high] {
        *number = if number.is_nan() { 0.0 } else { number.clamp(f64::MIN, f64::MAX) };
    }
}
