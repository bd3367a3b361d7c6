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

/// What a group of parties has been through.
pub(super) fn excerpt(
    observations: &Observations,
    latency: &Latency,
    belongs: impl Fn(&Attempt) -> bool,
) -> Excerpt {
    let attempts: Vec<&Attempt> = observations.attempts.iter().filter(|a| belongs(a)).collect();
    let start = attempts.first().map_or(0.0, |first| first.sent - 1.0);
    let mut sends = Curve::within(TOLERANCE_S, start, POINTS_MAX);
    let mut ends = Curve::within(TOLERANCE_S, start, POINTS_MAX);
    let trips = trips(&attempts, latency.jitter_max);
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

/// Where refusals began, of each epoch the first and the last place at which nothing was admitted out of turn.
fn trips(attempts: &[&Attempt], jitter: f64) -> Vec<Trip> {
    let mut trips = Vec::new();
    let mut from = 0;
    while let Some(first) = position(attempts, from, |a| a.decision == Decision::Refused) {
        let heard = attempts[first].answered.unwrap_or(attempts[first].sent);
        let end = position(attempts, first, |a| a.sent > heard).unwrap_or(attempts.len());
        let flown = attempts[..first].iter().any(|a| a.decision == Decision::Admitted);
        let mut settled = settled(attempts, first, end, jitter);
        if flown && let Some(begin) = settled.next() {
            trips.push(begin);
            trips.extend(settled.last());
        }
        // Whoever asks during the pause and is refused tells of the pause, not of the limit.
        let mut heard = heard;
        let mut next = end;
        for (i, attempt) in attempts.iter().enumerate().skip(first) {
            if attempt.sent > heard && attempt.decision == Decision::Admitted {
                break;
            }
            next = i + 1;
            if attempt.decision == Decision::Refused {
                heard = heard.max(attempt.answered.unwrap_or(attempt.sent));
            }
        }
        from = next;
    }
    trips
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
    let before =
        |i: usize| attempts[..i].iter().rev().filter(|a| a.decision == Decision::Admitted).take(8);
    (from..to).filter(|i| attempts[*i].decision == Decision::Refused).filter_map(move |i| {
        let t = attempts[i].sent;
        let latest = before(i).next()?.sent;
        // Only the first after an admission.
        let first = attempts[..i]
            .iter()
            .rev()
            .take_while(|a| a.decision == Decision::Refused)
            .take(1)
            .next()
            .is_none();
        let next = attempts[i..].iter().find(|a| a.decision == Decision::Admitted);
        let undisturbed = next.is_none_or(|next| next.sent > t + jitter);
        let known = before(i).count() as f64;
        let since = before(i).last()?.sent;
        let rate = known / (t - since).max(1e-6);
        (first && undisturbed).then_some(Trip { t, rate, gap: t - latest, settled: true })
    })
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
