//! The text of the state file: what is in it, how long ago it was written, and whether it can be believed.
//!
//! Spans rather than times, and when they were taken: on the clock since the machine's start, which nobody
//! steps, and on the wall clock for the case that the machine has been started anew. Whatever has been done
//! to the wall clock since, no pause becomes longer than it was. It must not know where the text is kept.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{
    CountMemory, Estimate, EstimateMemory, EstimateSource, Factor, Interval, Kind, MannersMemory,
    Memory, Moment, PauseMemory, Rate, SafetyMemory, ScopeKey, ScopeMemory, Subject, subject_name,
};

/// The version that this program writes.
const VERSION: u64 = 3;
/// The oldest that it reads: without counts, and without the clock since the machine's start. The second did not know
/// how servers behave.
const VERSION_OLDEST: u64 = 1;

/// A time, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Since the Unix epoch.
    pub(super) unix_ns: i64,
    /// Since the start of the machine.
    pub(super) boot_ns: u64,
}

#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

#[derive(Serialize, Deserialize)]
struct StateText {
    version: u64,
    written_unix_ns: i64,
    /// Which start of the machine it was written in, and how long after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    boot: Option<BootText>,
    scopes: Vec<ScopeText>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    counts: Vec<CountText>,
    /// What an operator has paused: names of streams, `*` for everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    paused: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct BootText {
    id: String,
    ns: u64,
}

/// Messages that caps count: ages in seconds, and how many.
#[derive(Serialize, Deserialize)]
struct CountText {
    /// The name of a stream, `*` for all together.
    stream: String,
    hour: Vec<(f64, u64)>,
    day: Vec<(f64, u64)>,
    in_all: u64,
    /// May have been sent after the file was written, so they count as sent.
    reserved: u64,
}

#[derive(Serialize, Deserialize)]
struct ScopeText {
    domain: String,
    /// Factors of the scope with the holder's values, in order.
    values: Vec<(Factor, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pause: Option<PauseText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    estimate: Option<EstimateText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    manners: Option<MannersText>,
}

/// How a server was found to behave.
#[derive(Serialize, Deserialize)]
struct MannersText {
    hints_lie: bool,
    silence_s: f64,
    unused_s: f64,
}

#[derive(Serialize, Deserialize)]
struct PauseText {
    left_s: f64,
    asked_s: f64,
    level: u32,
    long: bool,
}

#[derive(Serialize, Deserialize)]
struct EstimateText {
    unused_s: f64,
    rate: f64,
    rate_low: f64,
    rate_high: f64,
    rate_cautious: f64,
    limiter: LimiterText,
    confidence: f64,
    jitter_s: f64,
    throttles: u32,
}

/// A limiter. Where windows begin is left out: on the clock of one run, it means nothing to the next.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum LimiterText {
    FixedWindow { limit: u64, window_s: f64 },
    OnDemandWindow { limit: u64, window_s: f64 },
    SlidingLog { limit: u64, window_s: f64 },
    SlidingCounter { limit: u64, window_s: f64 },
    TokenBucket { rate: f64, burst: u64 },
    Queue { rate: f64, depth: u64 },
    Concurrency { limit: u64 },
}

/// The text for what is known at this time, in this start of the machine.
pub(super) fn text(memory: &Memory, now: Stamp, boot_id: Option<&str>) -> String {
    let file = StateText {
        version: VERSION,
        written_unix_ns: now.unix_ns,
        boot: boot_id.map(|id| BootText { id: id.to_owned(), ns: now.boot_ns }),
        scopes: memory.scopes.iter().map(ScopeText::of).collect(),
        counts: memory.safety.counts.iter().map(CountText::of).collect(),
        paused: memory.safety.paused.iter().map(|s| subject_name(s).to_owned()).collect(),
    };
    // Plain numbers and texts: serialising them cannot fail.
    let mut text = serde_json::to_string_pretty(&file).unwrap_or_default();
    text.push('\n');
    text
}

/// What a text tells at this time; or what is wrong with it. In another start of the machine the wall clock
/// decides, and if it stands before the time of writing, it counts as standing at it.
pub(super) fn parse(text: &str, now: Stamp, boot_id: Option<&str>) -> Result<Memory, String> {
    let version = read::<Versioned>(text)?.version;
    if !(VERSION_OLDEST..=VERSION).contains(&version) {
        let reads = format!("{VERSION_OLDEST} to {VERSION}");
        return Err(format!("version: {version}, where this program reads {reads}"));
    }
    let file: StateText = read(text)?;
    let elapsed = file.elapsed(now, boot_id);
    let mut scopes = Vec::new();
    for (i, scope) in file.scopes.into_iter().enumerate() {
        let name = format!("scopes[{i}]");
        let memory = scope.memory().map_err(|what| format!("{name}.{what}"))?;
        scopes.extend(memory.later(elapsed));
    }
    let mut safety = SafetyMemory::default();
    for (i, count) in file.counts.iter().enumerate() {
        let memory = count.memory().map_err(|what| format!("counts[{i}].{what}"))?;
        safety.counts.push((subject(&count.stream), memory));
    }
    safety.paused = file.paused.iter().map(|name| subject(name)).collect();
    Ok(Memory { scopes, safety: safety.later(elapsed) })
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|e| e.to_string())?;
    json.end().map_err(|e| e.to_string())?;
    Ok(value)
}

fn subject(name: &str) -> Subject {
    (name != subject_name(&None)).then(|| name.into())
}

impl StateText {
    fn elapsed(&self, now: Stamp, boot_id: Option<&str>) -> Duration {
        let same = self.boot.as_ref().filter(|boot| Some(&*boot.id) == boot_id);
        if let Some(ns) = same.and_then(|boot| now.boot_ns.checked_sub(boot.ns)) {
            return Duration::from_nanos(ns);
        }
        let elapsed = now.unix_ns.saturating_sub(self.written_unix_ns);
        Duration::from_nanos(u64::try_from(elapsed).unwrap_or_default())
    }
}

impl CountText {
    fn of((subject, memory): &(Subject, CountMemory)) -> Self {
        let steps = |steps: &[(Duration, u64)]| {
            steps.iter().map(|(age, count)| (age.as_secs_f64(), *count)).collect()
        };
        Self {
            stream: subject_name(subject).to_owned(),
            hour: steps(&memory.hour),
            day: steps(&memory.day),
            in_all: memory.in_all,
            reserved: memory.reserved,
        }
    }

    fn memory(&self) -> Result<CountMemory, String> {
        let steps = |name: &str, steps: &[(f64, u64)]| -> Result<Vec<_>, String> {
            steps.iter().map(|(age, count)| Ok((span(name, *age)?, *count))).collect()
        };
        Ok(CountMemory {
            hour: steps("hour", &self.hour)?,
            day: steps("day", &self.day)?,
            in_all: self.in_all,
            reserved: self.reserved,
        })
    }
}

impl ScopeText {
    fn of(memory: &ScopeMemory) -> Self {
        let values = memory.key.values.iter().map(|(f, v)| (*f, v.to_string())).collect();
        Self {
            domain: memory.key.domain.to_string(),
            values,
            pause: memory.pause.as_ref().map(PauseText::of),
            estimate: memory.estimate.as_ref().map(EstimateText::of),
            manners: memory.manners.as_ref().map(MannersText::of),
        }
    }

    fn memory(self) -> Result<ScopeMemory, String> {
        let values = self.values.into_iter().map(|(f, v)| (f, Arc::from(v))).collect();
        Ok(ScopeMemory {
            key: ScopeKey { domain: self.domain.into(), values },
            pause: self.pause.map(|p| p.memory()).transpose().map_err(|e| format!("pause.{e}"))?,
            estimate: self
                .estimate
                .map(|e| e.memory())
                .transpose()
                .map_err(|e| format!("estimate.{e}"))?,
            manners: self
                .manners
                .map(|m| m.memory())
                .transpose()
                .map_err(|e| format!("manners.{e}"))?,
        })
    }
}

impl MannersText {
    fn of(manners: &MannersMemory) -> Self {
        let MannersMemory { hints_lie, silence, unused } = *manners;
        Self { hints_lie, silence_s: silence.as_secs_f64(), unused_s: unused.as_secs_f64() }
    }

    fn memory(&self) -> Result<MannersMemory, String> {
        Ok(MannersMemory {
            hints_lie: self.hints_lie,
            silence: span("silence_s", self.silence_s)?,
            unused: span("unused_s", self.unused_s)?,
        })
    }
}

impl PauseText {
    fn of(pause: &PauseMemory) -> Self {
        let PauseMemory { left, asked, level, long } = *pause;
        Self { left_s: left.as_secs_f64(), asked_s: asked.as_secs_f64(), level, long }
    }

    fn memory(&self) -> Result<PauseMemory, String> {
        let (left, asked) = (span("left_s", self.left_s)?, span("asked_s", self.asked_s)?);
        if asked > left {
            return Err("asked_s: more than left_s".to_owned());
        }
        Ok(PauseMemory { left, asked, level: self.level, long: self.long })
    }
}

impl EstimateText {
    fn of(memory: &EstimateMemory) -> Self {
        let EstimateMemory { estimate, unused } = memory;
        Self {
            unused_s: unused.as_secs_f64(),
            rate: estimate.rate.value,
            rate_low: estimate.rate.low,
            rate_high: estimate.rate.high,
            rate_cautious: estimate.cautious,
            limiter: LimiterText::of(&estimate.limiter),
            confidence: estimate.confidence,
            jitter_s: estimate.jitter.as_secs_f64(),
            throttles: estimate.throttles,
        }
    }

    fn memory(&self) -> Result<EstimateMemory, String> {
        let Self { rate, rate_low, rate_high, rate_cautious, confidence, .. } = *self;
        for (name, value) in [("rate", rate), ("rate_low", rate_low), ("rate_high", rate_high)] {
            self::rate(name, value)?;
        }
        self::rate("rate_cautious", rate_cautious)?;
        if !(rate_low <= rate && rate <= rate_high && rate_cautious <= rate_high) {
            return Err("rate: not between rate_low and rate_high".to_owned());
        }
        if !(0.0..=1.0).contains(&confidence) {
            return Err(format!("confidence: {confidence} is not between 0 and 1"));
        }
        let estimate = Estimate {
            rate: Interval { value: rate, low: rate_low, high: rate_high },
            cautious: rate_cautious,
            limiter: self.limiter.kind().map_err(|e| format!("limiter.{e}"))?,
            confidence,
            jitter: span("jitter_s", self.jitter_s)?,
            source: EstimateSource::Memory,
            throttles: self.throttles,
            at: Moment::ZERO,
        };
        Ok(EstimateMemory { estimate, unused: span("unused_s", self.unused_s)? })
    }
}

impl LimiterText {
    fn of(kind: &Kind) -> Self {
        match *kind {
            Kind::FixedWindow { limit, window, .. } => {
                Self::FixedWindow { limit, window_s: window.as_secs_f64() }
            }
            Kind::OnDemandWindow { limit, window } => {
                Self::OnDemandWindow { limit, window_s: window.as_secs_f64() }
            }
            Kind::SlidingLog { limit, window } => {
                Self::SlidingLog { limit, window_s: window.as_secs_f64() }
            }
            Kind::SlidingCounter { limit, window, .. } => {
                Self::SlidingCounter { limit, window_s: window.as_secs_f64() }
            }
            Kind::TokenBucket { rate, burst } => {
                Self::TokenBucket { rate: rate.per_second(), burst }
            }
            Kind::Queue { rate, depth } => Self::Queue { rate: rate.per_second(), depth },
            Kind::Concurrency { limit } => Self::Concurrency { limit },
        }
    }

    fn kind(&self) -> Result<Kind, String> {
        let phase = Duration::ZERO;
        Ok(match *self {
            Self::FixedWindow { limit, window_s } => {
                Kind::FixedWindow { limit, window: span("window_s", window_s)?, phase }
            }
            Self::OnDemandWindow { limit, window_s } => {
                Kind::OnDemandWindow { limit, window: span("window_s", window_s)? }
            }
            Self::SlidingLog { limit, window_s } => {
                Kind::SlidingLog { limit, window: span("window_s", window_s)? }
            }
            Self::SlidingCounter { limit, window_s } => {
                Kind::SlidingCounter { limit, window: span("window_s", window_s)?, phase }
            }
            Self::TokenBucket { rate, burst } => {
                Kind::TokenBucket { rate: self::rate("rate", rate)?, burst }
            }
            Self::Queue { rate, depth } => Kind::Queue { rate: self::rate("rate", rate)?, depth },
            Self::Concurrency { limit } => Kind::Concurrency { limit },
        })
    }
}

fn span(name: &str, seconds: f64) -> Result<Duration, String> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| format!("{name}: {seconds} is no span of time"))
}

fn rate(name: &str, per_second: f64) -> Result<Rate, String> {
    Rate::from_per_second(per_second).ok_or_else(|| format!("{name}: {per_second} is no rate"))
}

#[cfg(test)]
mod tests;
