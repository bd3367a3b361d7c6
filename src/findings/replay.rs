//! The concluded limit, played over what was sent: does it decide as the server did?

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::words::known;
use crate::infer::Decision;
use crate::infer::study::{KindName, LimitFinding, LockoutFinding, Observations};
use crate::limiter::{Kind, Layer, Layers, Limiter, LimiterSettings, Lockout, Ruling};
use crate::model::{Moment, Rate, Scope};

/// Bars of the picture over time.
const BINS: usize = 240;

/// What was admitted and refused over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Timeline {
    /// How long a bin is, in seconds.
    pub bin_seconds: f64,
    /// The bins, from the first request on.
    pub bins: Vec<Bin>,
    /// Of the requests that were decided, how many the concluded limit decides as the server did; absent where
    /// there is no limit that can be played.
    pub agreed: Option<u64>,
    /// Requests that were decided.
    pub decided: u64,
}

/// Requests that were sent within a bin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bin {
    /// Admitted.
    pub admitted: u64,
    /// Refused.
    pub refused: u64,
    /// Without an answer that tells.
    pub unknown: u64,
    /// How many of them the concluded limit would have admitted.
    pub predicted: u64,
}

/// A limiter as it was concluded; `None` where a number that it needs is unknown.
pub(super) fn settings(limit: &LimitFinding) -> Option<LimiterSettings> {
    let of = |finding| known(finding).map(|f: &crate::infer::study::Figure| f.value);
    let (rate, burst) = (of(&limit.rate), of(&limit.burst));
    let count = || Some((burst?.round() as u64).max(1));
    let span = |seconds: f64| Duration::try_from_secs_f64(seconds).ok();
    let window = of(&limit.window).and_then(span);
    let phase = of(&limit.phase).and_then(span).unwrap_or_default();
    let refill = rate.map(Rate::nearest);
    let kind = match known(&limit.kind)? {
        KindName::FixedWindow => Kind::FixedWindow { limit: count()?, window: window?, phase },
        KindName::OnDemandWindow => Kind::OnDemandWindow { limit: count()?, window: window? },
        KindName::SlidingLog => Kind::SlidingLog { limit: count()?, window: window? },
        KindName::SlidingCounter => {
            Kind::SlidingCounter { limit: count()?, window: window?, phase }
        }
        KindName::TokenBucket => Kind::TokenBucket { rate: refill?, burst: count()? },
        KindName::Queue => Kind::Queue { rate: refill?, depth: count()?.saturating_sub(1) },
        KindName::Concurrency => Kind::Concurrency { limit: count()? },
    };
    let lockout = match known(&limit.lockout) {
        // What was asked for was honoured, so it need not be played.
        None | Some(LockoutFinding::None | LockoutFinding::Advised { .. }) => Lockout::None,
        Some(LockoutFinding::Fixed { seconds }) => Lockout::Fixed(span(seconds.value)?),
        Some(LockoutFinding::Extended { seconds }) => Lockout::Extended(span(seconds.value)?),
    };
    let counts_refused = known(&limit.refused_count).copied().unwrap_or(false);
    Some(LimiterSettings { kind, lockout, counts_refused })
}

/// Plays limits over the record: for each attempt, whether all of them would have admitted it.
fn play(observations: &Observations, limits: &[LimitFinding]) -> Option<Vec<bool>> {
    // Without the first there is nothing to play; of those around it, those that are known.
    settings(limits.first()?)?;
    let played: Vec<_> = limits.iter().filter_map(|l| Some((l, settings(l)?))).collect();
    let first = observations.attempts.first()?.sent;
    let windows = played.iter().map(|(_, s)| s.kind.window().as_secs_f64());
    let held = played.iter().any(|(_, s)| matches!(s.kind, Kind::Concurrency { .. }));
    // Well before the first.
    let origin = first - windows.fold(1.0, f64::max);
    let layer = |(limit, settings): &(&LimitFinding, LimiterSettings)| Layer {
        name: "".into(),
        scope: Scope::Shared(
            known(&limit.scope).map(|s| s.factors.iter().copied().collect()).unwrap_or_default(),
        ),
        limiter: LimiterSettings { kind: shifted(settings.kind, origin), ..*settings },
    };
    let mut layers = Layers::new(played.iter().map(layer).collect());
    let moment = |at: f64| Moment::from_nanos(((at - origin).max(0.0) * 1e9) as u64);
    // Requests of a concurrency limit leave when they are answered.
    let mut events: Vec<(f64, usize, bool)> = Vec::new();
    for (i, attempt) in observations.attempts.iter().enumerate() {
        events.push((attempt.sent, i, false));
        if let Some(answered) = attempt.answered.filter(|_| held) {
            events.push((answered, i, true));
        }
    }
    events.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut admitted = vec![false; observations.attempts.len()];
    for (at, i, leaves) in events {
        let identity = observations.parties.get(observations.attempts[i].party)?;
        if !leaves {
            let ruling = layers.decide(moment(at), identity);
            admitted[i] = matches!(ruling, Ruling::Admitted { .. });
        } else if admitted[i] {
            layers.release(moment(at), identity);
        }
    }
    Some(admitted)
}

/// The same limiter on a clock that begins at `origin`.
fn shifted(kind: Kind, origin: f64) -> Kind {
    let moved = |window: Duration, phase: Duration| {
        let phase = (phase.as_secs_f64() - origin).rem_euclid(window.as_secs_f64().max(1e-9));
        Duration::try_from_secs_f64(phase).unwrap_or_default()
    };
    match kind {
        Kind::FixedWindow { limit, window, phase } => {
            Kind::FixedWindow { limit, window, phase: moved(window, phase) }
        }
        Kind::SlidingCounter { limit, window, phase } => {
            Kind::SlidingCounter { limit, window, phase: moved(window, phase) }
        }
        other => other,
    }
}

/// The record in bins, with the limit's prediction beside it.
pub(super) fn timeline(observations: &Observations, limits: &[LimitFinding]) -> Timeline {
    let attempts = &observations.attempts;
    let Some(first) = attempts.first().map(|attempt| attempt.sent) else {
        return Timeline::default();
    };
    let last = attempts.iter().map(|attempt| attempt.sent).fold(first, f64::max);
    let length = ((last - first) / BINS as f64).max(0.001);
    let predicted = (!limits.is_empty()).then(|| play(observations, limits)).flatten();
    let mut bins = vec![Bin::default(); ((last - first) / length) as usize + 1];
    let (mut agreed, mut decided) = (0, 0);
    for (i, attempt) in attempts.iter().enumerate() {
        let at = (((attempt.sent - first).max(0.0)) / length) as usize;
        let Some(bin) = bins.get_mut(at) else { continue };
        match attempt.decision {
            Decision::Admitted => bin.admitted += 1,
            Decision::Refused => bin.refused += 1,
            Decision::Unknown => bin.unknown += 1,
        }
        let Some(admitted) = predicted.as_ref().map(|all| all[i]) else { continue };
        bin.predicted += u64::from(admitted);
        if attempt.decision != Decision::Unknown {
            agreed += u64::from(admitted == (attempt.decision == Decision::Admitted));
        }
    }
    decided += bins.iter().map(|bin| bin.admitted + bin.refused).sum::<u64>();
    Timeline { bin_seconds: length, bins, agreed: predicted.map(|_| agreed), decided }
}

/// How many requests, sent evenly at a rate from a rest on, are admitted before the first refusal: the fewest and
/// the most, over where in a window they may begin. `None`: more than `most`.
pub(super) fn admitted_from_rest(
    settings: &LimiterSettings,
    rate: f64,
    most: u64,
) -> (Option<u64>, Option<u64>) {
    const PHASES: u32 = 12;
    let window = settings.kind.window();
    let begins = |i: u32| {
        let whole = Duration::from_secs(3_600).max(window.saturating_mul(4));
        Moment::ZERO + whole + window.mul_f64(f64::from(i) / f64::from(PHASES))
    };
    let count = |begin: Moment| {
        let mut limiter = Limiter::new(settings);
        let at = |n: u64| begin + Duration::from_secs_f64(n as f64 / rate);
        (0..=most).find(|n| !limiter.decide(at(*n)).is_admitted())
    };
    let phased = matches!(settings.kind, Kind::FixedWindow { .. } | Kind::SlidingCounter { .. });
    let counts: Vec<_> = (0..if phased { PHASES } else { 1 }).map(|i| count(begins(i))).collect();
    let least = counts.iter().flatten().min().copied();
    let all = counts.iter().all(Option::is_some);
    (least, counts.iter().flatten().max().copied().filter(|_| all))
}
