//! From a record to a conclusion.

use super::belief::to_forget;
use super::conclusion::{
    Conclusion, Figure, Finding, LimitFinding, LockoutFinding, Material, Reason, WithoutPrior,
};
use super::declared;
use super::evidence;
use super::lockout;
use super::nested::{Inner, Outer};
use super::observations::{Attempt, Observations};
use super::peeks;
use super::posterior::Posterior;
use super::scope;
use crate::infer::Decision;
use crate::infer::fit::Member;
use crate::model::Kind;

/// A kind is said with this probability.
const SURE: f64 = 0.95;

/// What the record tells. Takes up to some seconds for some hundred thousand attempts.
#[must_use]
pub fn conclude(observations: &Observations) -> Conclusion {
    let base = scope::base(observations);
    let belongs = |a: &Attempt| base.as_ref().is_none_or(|base| base.holds(a));
    let posterior = base.as_ref().map(|base| &base.posterior);
    let likeliest = posterior.and_then(|p| p.members.first()).map(|m| m.kind);
    let explained = posterior.is_some_and(Posterior::explains);
    let mut pairs = match posterior {
        Some(posterior) if explained => scope::pairs(observations, posterior),
        _ => Vec::new(),
    };
    peeks::tell(observations, &mut pairs);
    let limit = match posterior {
        Some(posterior) => LimitFinding {
            scope: scope::scope(&observations.parties, &pairs),
            ..limit(posterior, lockout::lockout(observations, posterior, belongs))
        },
        None => self_limited(observations),
    };
    let without_prior = match base.as_ref().filter(|_| explained) {
        Some(base) => without_prior(&base.posterior, &base.record(observations), belongs),
        None => WithoutPrior { kind: None, rate: None, burst: None, window: None },
    };
    let inner = likeliest.zip(posterior).filter(|_| explained);
    let inner = inner.map(|(kind, p)| Inner::new(observations, kind, p.latency, &pairs));
    let behind = inner.as_ref().and_then(|inner| behind(observations, inner));
    let mut remarks = remarks(observations, &limit, &without_prior);
    if behind.is_none()
        && let Some(inner) = &inner
    {
        remarks.extend(inner.together(observations));
    }
    Conclusion {
        material: material(observations),
        declared: declared::declared(observations, posterior.filter(|_| explained)),
        remarks,
        limits: std::iter::once(limit).chain(behind).collect(),
        pairs,
        without_prior,
    }
}

/// The limit behind the first, such as one per tenant outside of one per token; `None`: none was met.
fn behind(observations: &Observations, inner: &Inner) -> Option<LimitFinding> {
    let outer = Outer::of(observations, inner).filter(Outer::is_certain)?;
    let lockout = lockout::lockout(&outer.residue, &outer.posterior, |a| outer.belongs(a));
    Some(LimitFinding {
        scope: scope::scope(&observations.parties, &outer.pairs),
        ..limit(&outer.posterior, lockout)
    })
}

fn material(observations: &Observations) -> Material {
    let attempts = &observations.attempts;
    let count = |decision| attempts.iter().filter(|a| a.decision == decision).count() as u64;
    let latency = evidence::latency(observations);
    let (first, last) = (attempts.first(), attempts.last());
    Material {
        attempts: attempts.len() as u64,
        admitted: count(Decision::Admitted),
        refused: count(Decision::Refused),
        unknown: count(Decision::Unknown),
        epochs: evidence::epochs(observations, &latency),
        seconds: first.zip(last).map_or(0.0, |(a, b)| b.sent - a.sent),
        round_trip: latency.rtt,
        jitter: latency.jitter_max,
    }
}

fn unknown<T>(reason: Reason, detail: &str, experiment: &str) -> Finding<T> {
    Finding::Unknown { reason, detail: detail.to_owned(), experiment: experiment.to_owned() }
}

fn limit(posterior: &Posterior, lockout: Finding<LockoutFinding>) -> LimitFinding {
    let kinds = posterior.kinds();
    if !posterior.explains() {
        let nothing = everything_unknown(
            Reason::SeveralLayers,
            "no single limit of the known kinds predicts what was admitted and refused",
            "the same traffic by one credential alone; or a probe, which sends from rest",
        );
        return LimitFinding { lockout, ..nothing };
    }
    let said = kinds.first().copied().filter(|k| k.probability > SURE);
    let kind = said.map(|k| k.kind);
    let epochs = posterior.trips;
    let figure = |figure: Option<Figure>, evidence: String| match figure {
        Some(value) if value.high / value.low < 3.0 => {
            Finding::Known { value, confidence: 0.95, evidence }
        }
        Some(value) => unknown(
            Reason::TooLittleData,
            &format!("anything from {:.4} to {:.4} predicts what was seen", value.low, value.high),
            "more refusals, from rest and at different rates",
        ),
        None => unknown(Reason::TooLittleData, "nothing tells", "more refusals, from rest"),
    };
    let of =
        || format!("{epochs} places where refusals began or still held, and what was admitted");
    LimitFinding {
        kind: match said {
            Some(k) => Finding::Known { value: k.kind, confidence: k.probability, evidence: of() },
            None => unknown(
                Reason::NotIdentifiable,
                "several kinds predict what was seen",
                "bursts at different rates from rest, and two with a pause between",
            ),
        },
        rate: figure(posterior.rate(kind), of()),
        burst: figure(posterior.burst(kind), of()),
        window: figure(posterior.window(kind), of()),
        phase: phase(posterior),
        refused_count: refused_count(posterior, &lockout),
        lockout,
        kinds,
        ..everything_unknown(Reason::NotIdentifiable, "nothing tells", "a probe")
    }
}

/// Where windows begin, if the likeliest limiter has any that begin at fixed times.
fn phase(posterior: &Posterior) -> Finding<Figure> {
    let found = posterior.members.first().and_then(|m| match m.kind {
        Kind::FixedWindow { window, phase, .. } | Kind::SlidingCounter { window, phase, .. } => {
            Some((window.as_secs_f64(), phase.as_secs_f64()))
        }
        _ => None,
    });
    let Some((window, value)) = found else {
        return unknown(
            Reason::NotIdentifiable,
            "a limit of this kind has no windows that begin at fixed times",
            "none",
        );
    };
    let near = posterior.phases().into_iter().map(|(phase, weight)| {
        let off = (phase - value + window / 2.0).rem_euclid(window) - window / 2.0;
        (value + off, window / 1e4, weight)
    });
    match super::posterior::figure(near) {
        Some(value) => Finding::Known {
            value,
            confidence: 0.95,
            evidence: "when requests were admitted again".into(),
        },
        None => unknown(Reason::TooLittleData, "nothing tells", "more refusals"),
    }
}

/// Whether refused requests count as admitted ones do.
fn refused_count(posterior: &Posterior, lockout: &Finding<LockoutFinding>) -> Finding<bool> {
    let differs = |m: &Member| {
        matches!(
            m.kind,
            Kind::SlidingLog { .. }
                | Kind::SlidingCounter { .. }
                | Kind::TokenBucket { .. }
                | Kind::Queue { .. }
        )
    };
    if !posterior.members.first().is_some_and(differs) {
        return unknown(
            Reason::NotIdentifiable,
            "a limit of this kind admits as many if refused requests count as if not",
            "none",
        );
    }
    // Whoever is locked out uses up nothing, and comes back to a limit that has forgotten who was refused.
    let locked = match lockout {
        Finding::Known { value, .. } => value.seconds().map_or(0.0, |seconds| seconds.high),
        Finding::Unknown { .. } => 0.0,
    };
    if posterior.members.first().is_some_and(|m| to_forget(&m.kind) <= locked) {
        return unknown(
            Reason::NotIdentifiable,
            "the lockout lasts until the limit has forgotten what it refused",
            "none",
        );
    }
    // What was likelier beforehand is not said to have been measured.
    let told = posterior.refused_count.unwrap_or(0.0);
    let confidence = 1.0 / (1.0 + (-told.abs()).exp());
    if confidence < SURE {
        return unknown(
            Reason::TooLittleData,
            "what was admitted after refusals is as likely if they count as if not",
            "requests beyond the limit for longer than a window: a limit that counts them admits \
             nothing as long as they come",
        );
    }
    let value = told > 0.0;
    let evidence = if value {
        "what was admitted after refusals is explained if they are counted"
    } else {
        "what was admitted after refusals is explained if they are not counted"
    };
    Finding::Known { value, confidence, evidence: evidence.into() }
}

fn everything_unknown(reason: Reason, detail: &str, experiment: &str) -> LimitFinding {
    LimitFinding {
        kind: unknown(reason, detail, experiment),
        kinds: Vec::new(),
        rate: unknown(reason, detail, experiment),
        burst: unknown(reason, detail, experiment),
        window: unknown(reason, detail, experiment),
        phase: unknown(reason, detail, experiment),
        lockout: unknown::<LockoutFinding>(reason, detail, experiment),
        refused_count: unknown(
            Reason::NotIdentifiable,
            "nothing tells",
            "requests beyond the limit for longer than a window: a limit that counts them admits \
             nothing as long as they come",
        ),
        scope: unknown(reason, detail, experiment),
    }
}

fn self_limited(observations: &Observations) -> LimitFinding {
    let sent = observations.attempts.len();
    everything_unknown(
        Reason::SelfLimited,
        &format!("none of {sent} requests was refused: the limit is above what was sent"),
        "a probe, or a run at a higher rate",
    )
}

fn without_prior(
    with: &Posterior,
    observations: &Observations,
    belongs: impl Fn(&Attempt) -> bool,
) -> WithoutPrior {
    let flat = with.without_prior(observations, belongs);
    let Some(flat) = flat.filter(Posterior::explains) else {
        return WithoutPrior { kind: None, rate: None, burst: None, window: None };
    };
    let first = flat.kinds().first().copied().filter(|k| k.probability > SURE);
    let kind = first.map(|k| k.kind);
    WithoutPrior { kind, rate: flat.rate(kind), burst: flat.burst(kind), window: flat.window(kind) }
}

fn remarks(
    observations: &Observations,
    limit: &LimitFinding,
    without: &WithoutPrior,
) -> Vec<String> {
    const FEW: usize = 50;
    let mut remarks = Vec::new();
    let (late, all) = (evidence::held_up(observations), observations.attempts.len());
    if late * FEW > all {
        remarks.push(format!(
            "{late} of {all} answers took far longer than most: their requests may have come later than \
             they were sent, and figures may be further off than their intervals say"
        ));
    }
    if observations.resolution > 0.0 {
        remarks.push(format!(
            "times are known to within {:.3} s: nothing faster than that can be told",
            observations.resolution
        ));
    }
    if let (Finding::Known { value, .. }, Some(flat)) = (&limit.rate, &without.rate)
        && (flat.high < value.low || value.high < flat.low)
    {
        remarks.push(format!(
            "the rate rests on round numbers being likelier: without that it would be {:.4}/s \
             ({:.4} to {:.4})",
            flat.value, flat.low, flat.high
        ));
    }
    if observations.named.len() > 1 {
        let keys: Vec<&str> = observations.named.iter().map(|(n, _)| n.key.as_str()).collect();
        remarks.push(format!("refusals name several limits: {}", keys.join(", ")));
    }
    remarks
}
