//! The words in which an experiment names limiters, caps and the server's manners.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use plimsoll::limiter::Lockout;
use plimsoll::model::{HumanDuration, Rate};
use plimsoll::netem::{AdviceStyle, HintStyle};

/// Written as text, read back from it.
macro_rules! word {
    ($type:ty) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<HumanDuration>().map(|d| d.0).map_err(|e| format!("{text:?} is {e}"))
}

/// How large a burst or a queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Requests(u64),
    /// As many as the cap admits in this time.
    Worth(Duration),
}

impl Size {
    pub(crate) fn requests(self, rate: Rate) -> u64 {
        match self {
            Self::Requests(n) => n,
            Self::Worth(time) => (rate.per_second() * time.as_secs_f64()).round().max(1.0) as u64,
        }
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(n) => Ok(Self::Requests(n)),
            Err(_) => duration(text).map(Self::Worth),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requests(n) => write!(f, "{n}"),
            Self::Worth(time) => write!(f, "{}", HumanDuration(*time)),
        }
    }
}

/// A kind of limiter, without its cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limiter {
    FixedWindow,
    OnDemandWindow,
    SlidingLog,
    SlidingCounter,
    Bucket(Size),
    Queue(Size),
    Concurrency(u64),
}
word!(Limiter);

impl FromStr for Limiter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = || {
            format!(
                "no limiter is called {text:?}; allowed: fixed window, on-demand window, sliding log, sliding counter, \
                 bucket of 1, bucket of 10s, queue of 5, queue of 1s, concurrency of 20"
            )
        };
        match text {
            "fixed window" => return Ok(Self::FixedWindow),
            "on-demand window" => return Ok(Self::OnDemandWindow),
            "sliding log" => return Ok(Self::SlidingLog),
            "sliding counter" => return Ok(Self::SlidingCounter),
            _ => {}
        }
        let (kind, size) = text.split_once(" of ").ok_or_else(allowed)?;
        let size: Size = size.parse()?;
        match (kind, size) {
            ("bucket", size) => Ok(Self::Bucket(size)),
            ("queue", size) => Ok(Self::Queue(size)),
            ("concurrency", Size::Requests(n)) => Ok(Self::Concurrency(n)),
            _ => Err(allowed()),
        }
    }
}

impl fmt::Display for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FixedWindow => f.write_str("fixed window"),
            Self::OnDemandWindow => f.write_str("on-demand window"),
            Self::SlidingLog => f.write_str("sliding log"),
            Self::SlidingCounter => f.write_str("sliding counter"),
            Self::Bucket(size) => write!(f, "bucket of {size}"),
            Self::Queue(size) => write!(f, "queue of {size}"),
            Self::Concurrency(n) => write!(f, "concurrency of {n}"),
        }
    }
}

/// A rate and the window over which it is counted: the unit's own, unless `over` names another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cap {
    pub(crate) rate: Rate,
    pub(crate) window: Duration,
}
word!(Cap);

impl FromStr for Cap {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (rate, over) = match text.split_once(" over ") {
            Some((rate, over)) => (rate, Some(duration(over)?)),
            None => (text, None),
        };
        let unit = if rate.contains("/min") { 60 } else { 1 };
        let window = over.unwrap_or(Duration::from_secs(unit));
        Ok(Self { rate: rate.parse().map_err(|e| format!("{rate:?} is {e}"))?, window })
    }
}

impl fmt::Display for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.window.as_secs(), self.rate.per_second()) {
            (1, _) => write!(f, "{}", self.rate),
            (60, per_second) => write!(f, "{}/min", per_second * 60.0),
            _ => write!(f, "{} over {}", self.rate, HumanDuration(self.window)),
        }
    }
}

/// What a refusal costs beyond the limit: `none`, `30s`, or `30s, extended` by refused requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LockoutWord(pub(crate) Lockout);
word!(LockoutWord);

impl FromStr for LockoutWord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(Lockout::None));
        }
        match text.split_once(", ") {
            None => duration(text).map(|d| Self(Lockout::Fixed(d))),
            Some((time, "extended")) => duration(time).map(|d| Self(Lockout::Extended(d))),
            Some(_) => Err(format!("{text:?} is no lockout; allowed: none, 30s, or 30s, extended")),
        }
    }
}

impl fmt::Display for LockoutWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Lockout::None => f.write_str("none"),
            Lockout::Fixed(d) => write!(f, "{}", HumanDuration(d)),
            Lockout::Extended(d) => write!(f, "{}, extended", HumanDuration(d)),
        }
    }
}

/// What a refusal says: `silent`, `exact`, `whole seconds`, or always the same, such as `30s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AdviceWord(pub(crate) AdviceStyle);
word!(AdviceWord);

impl FromStr for AdviceWord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(match text {
            "silent" => AdviceStyle::None,
            "exact" => AdviceStyle::Exact,
            "whole seconds" => AdviceStyle::WholeSeconds,
            other => AdviceStyle::Fixed(duration(other)?),
        }))
    }
}

impl fmt::Display for AdviceWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            AdviceStyle::None => f.write_str("silent"),
            AdviceStyle::Exact => f.write_str("exact"),
            AdviceStyle::WholeSeconds => f.write_str("whole seconds"),
            AdviceStyle::Fixed(d) => write!(f, "{}", HumanDuration(d)),
        }
    }
}

/// What answers say of the quota: `none`, `honest`, `frozen`, `foreign`, or `10 times too high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HintsWord(pub(crate) HintStyle);
word!(HintsWord);

impl FromStr for HintsWord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let factor = || text.strip_suffix(" times too high")?.parse().ok();
        Ok(Self(match text {
            "none" => HintStyle::None,
            "honest" => HintStyle::Honest,
            "frozen" => HintStyle::Frozen,
            "foreign" => HintStyle::Foreign,
            _ => factor().map(HintStyle::Inflated).ok_or_else(|| {
                format!(
                    "{text:?} are no hints; allowed: none, honest, frozen, foreign, 10 times too high"
                )
            })?,
        }))
    }
}

impl fmt::Display for HintsWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            HintStyle::None => f.write_str("none"),
            HintStyle::Honest => f.write_str("honest"),
            HintStyle::Frozen => f.write_str("frozen"),
            HintStyle::Foreign => f.write_str("foreign"),
            HintStyle::Inflated(n) => write!(f, "{n} times too high"),
        }
    }
}
