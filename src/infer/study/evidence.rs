//! From a list of attempts to the record that a fit reads.

use super::observations::{Attempt, Observations};
use crate::infer::Decision;
use crate::infer::curve::Curve;
use crate::infer::families::Latency;
use crate::infer::latency::Latencies;
use crate::infer::record::{Excerpt, Note, Trip};
use crate::infer::track::Track;

/// Points of a curve, trips and notes that a study keeps.
const POINTS_MAX: usize = 1 << 17;
const TRIPS_MAX: usize = 48;
const NOTES_MAX: usize = 256;
/// How far off a point of a curve may be, in seconds of requests.
const TOLERANCE_S: f64 = 2e-5;

/// How closely an advised pause is read, as a ratio.
const ADVICE_ABOUT: f64 = 0.003;

/// What the pauses after refusals are taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pauses {
    /// The limit itself: who asks too early, or before what was advised, is refused by it.
    Limit,
    /// Something of their own, such as a lockout: they tell nothing of the limit.
    Lockout,
}

/// What a group of parties has been through.
pub(super) fn excerpt(
    observations: &Observations,
    latency: &Latency,
    pauses: Pauses,
    belongs: impl Fn(&Attempt) -> bool,
) -> Excerpt {
    let attempts: Vec<&Attempt> = observations.attempts.iter().filter(|a| belongs(a)).collect();
    let start = attempts.first().map_or(0.0, |first| first.sent - 1.0);
    let mut sends = Curve::within(TOLERANCE_S, start, POINTS_MAX);
    let mut ends = Curve::within(TOLERANCE_S, start, POINTS_MAX);
    let (trips, gaps) = trips(&attempts, latency, pauses);
    let mut marks = trips.iter().peekable();
    let mut answers = Vec::new();
    for attempt in attempts.iter().filter(|a| a.decision != Decision::Refused) {
        if marks.next_if(|trip| trip.t <= attempt.sent).is_some() {
            sends.pin();
        }
        sends.count(attempt.sent);
        answers.extend(attempt.answered);
    }
    answers.sort_by(f64::total_cmp);
    answers.into_iter().for_each(|at| ends.count(at));
    let notes: Vec<Note> = attempts.iter().filter_map(|a| note(a)).collect();
    let every = notes.len().div_ceil(NOTES_MAX).max(1);
    Excerpt {
        sends: Track::since(&sends, f64::NEG_INFINITY),
        ends: Track::since(&ends, f64::NEG_INFINITY),
        trips: spread(trips),
        notes: notes.into_iter().step_by(every).collect(),
        pauses: gaps,
        settled: true,
    }
}

fn note(attempt: &Attempt) -> Option<Note> {
    let quota = attempt.quota?;
    Some(Note {
        t: attempt.sent,
        limit: quota.limit as f64,
        used: quota.limit.saturating_sub(quota.remaining) as f64,
        reset: quota.reset,
    })
}

/// Where refusals began, of each epoch the first and the last place at which nothing was admitted out of turn; and,
/// where pauses tell of the limit, until when it still held; and then when it was last seen to hold, and no longer.
fn trips(attempts: &[&Attempt], latency: &Latency, pauses: Pauses) -> (Vec<Trip>, Vec<(f64, f64)>) {
    let (mut trips, mut gaps) = (Vec::new(), Vec::new());
    let mut from = 0;
    while let Some(first) = position(attempts, from, Attempt::is_refused) {
        let heard = attempts[first].answered.unwrap_or(attempts[first].sent);
        let end = position(attempts, first, |a| a.sent > heard).unwrap_or(attempts.len());
        let flown = attempts[..first].iter().any(|a| a.decision == Decision::Admitted);
        let mut settled = settled(attempts, first, end, latency.jitter_max);
        if flown && let Some(begin) = settled.next() {
            trips.push(begin);
            trips.extend(settled.last());
        } else if flown {
            trips.extend(unsettled(attempts, first, end, latency.jitter_max));
        }
        let (next, held_until) = pause(attempts, first, latency);
        let latest = attempts[..first].iter().rev().find(|a| a.decision == Decision::Admitted);
        if pauses == Pauses::Limit
            && let Some(latest) = latest
            && trips.last().is_none_or(|trip| trip.t < held_until)
        {
            if let Some(again) = attempts.get(next) {
                let jitter = latency.jitter_max;
                gaps.push((held_until - jitter, again.sent + jitter));
            }
            let gap = held_until - latest.sent;
            trips.push(Trip { t: held_until, rate: 1.0 / gap, gap, settled: true });
        }
        from = next;
    }
    (trips, gaps)
}

/// Where the epoch that begins with a refusal ends, and the latest time at which a request would have been
/// refused, or was.
fn pause(attempts: &[&Attempt], first: usize, latency: &Latency) -> (usize, f64) {
    let mut heard = f64::NEG_INFINITY;
    let mut held_until = f64::NEG_INFINITY;
    for (i, attempt) in attempts.iter().enumerate().skip(first) {
        if attempt.decision == Decision::Refused {
            heard = heard.max(attempt.answered.unwrap_or(attempt.sent));
            held_until = held_until.max(attempt.sent);
            if let Some(advice) = attempt.advice {
                // Header fields round up to whole seconds.
                let whole = (advice - advice.round()).abs() < 1e-6;
                let early = if whole { 1.0 } else { 0.001 } + latency.jitter_max;
                // No closer than a grid of windows can follow.
                let early = early.max(advice * ADVICE_ABOUT);
                held_until = held_until.max(attempt.sent + advice - early);
            }
        } else if attempt.sent > heard && attempt.decision == Decision::Admitted {
            return (i, held_until.min(attempt.sent - 1e-6));
        }
    }
    (attempts.len(), held_until)
}

fn position(attempts: &[&Attempt], from: usize, is: impl Fn(&Attempt) -> bool) -> Option<usize> {
    attempts.iter().enumerate().skip(from).find(|(_, a)| is(a)).map(|(i, _)| i)
}

/// Refusals of a stretch after which nothing was admitted for as long as jitter may bring things out of order.
fn settled<'a>(
    attempts: &'a [&'a Attempt],
    from: usize,
    to: usize,
    jitter: f64,
) -> impl Iterator<Item = Trip> + 'a {
    (from..to).filter(|i| attempts[*i].is_refused()).filter_map(move |i| {
        // Only the first after an admission: a run of refusals is not gone through for each of them.
        if i > 0 && attempts[i - 1].is_refused() {
            return None;
        }
        let trip = trip(attempts, i, true)?;
        let next = attempts[i..].iter().find(|a| a.decision == Decision::Admitted);
        next.is_none_or(|next| next.sent > trip.t + jitter).then_some(trip)
    })
}

/// Where places become free faster than jitter lets anybody tell who took one: a refusal after which only those were
/// admitted who found such a place; or else the first.
fn unsettled(attempts: &[&Attempt], from: usize, to: usize, jitter: f64) -> Option<Trip> {
    let begun = attempts[from].sent;
    let mut refused = (from..to).filter(|i| attempts[*i].is_refused());
    let later = refused.find(|i| attempts[*i].sent > begun + jitter);
    trip(attempts, later.unwrap_or(from), false)
}

/// A refusal, and how fast requests had been admitted before it.
fn trip(attempts: &[&Attempt], refused: usize, settled: bool) -> Option<Trip> {
    let before = || {
        let admitted = |a: &&&Attempt| a.decision == Decision::Admitted;
        attempts[..refused].iter().rev().filter(admitted).take(8)
    };
    let t = attempts[refused].sent;
    let (latest, earliest) = (before().next()?.sent, before().last()?.sent);
    let rate = before().count() as f64 / (t - earliest).max(1e-6);
    Some(Trip { t, rate, gap: t - latest, settled })
}

/// So many of them as a fit looks at, the latest and others evenly.
fn spread(trips: Vec<Trip>) -> Vec<Trip> {
    let every = trips.len().div_ceil(TRIPS_MAX).max(1);
    let mut few: Vec<Trip> = trips.into_iter().rev().step_by(every).collect();
    few.reverse();
    few
}

/// How long answers took, and what that tells of the network.
pub(super) fn latency(observations: &Observations) -> Latency {
    let mut latencies = Latencies::default();
    for attempt in &observations.attempts {
        if let Some(answered) = attempt.answered.filter(|_| attempt.decision != Decision::Unknown) {
            latencies.note(answered - attempt.sent, attempt.decision == Decision::Admitted);
        }
    }
    let mut latency = latencies.summary();
    latency.jitter = latency.jitter.max(observations.resolution * 0.3);
    latency.jitter_max = latency.jitter_max.max(observations.resolution);
    latency
}

/// Times that traffic flowed and was refused.
pub(super) fn epochs(observations: &Observations, latency: &Latency) -> u64 {
    let attempts: Vec<&Attempt> = observations.attempts.iter().collect();
    let (mut epochs, mut from) = (0, 0);
    while let Some(first) = position(&attempts, from, Attempt::is_refused) {
        epochs += 1;
        from = pause(&attempts, first, latency).0;
    }
    epochs
}
