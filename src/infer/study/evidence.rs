//! From a list of attempts to the record that a fit reads.

use super::observations::{Attempt, Observations};
use crate::infer::Decision;
use crate::infer::curve::{CLOSE_TOLERANCE_S, Curve};
use crate::infer::families::Latency;
use crate::infer::latency::Latencies;
use crate::infer::record::{Excerpt, Note, Trip};
use crate::infer::track::Track;

/// Points of a curve, trips and notes that a study keeps.
const POINTS_MAX: usize = 1 << 17;
const TRIPS_MAX: usize = 48;
const NOTES_MAX: usize = 256;

/// How closely an advised pause is read, as a ratio.
const ADVICE_ABOUT: f64 = 0.003;

/// What the pauses after refusals are taken for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pauses {
    /// The limit itself: who asks too early, or before what was advised, is refused by it.
    Limit,
    /// Something of their own, such as a lockout: they tell nothing of the limit.
    Lockout,
    /// A lockout of no more than so many seconds: longer ones are the limit's.
    Longer(f64),
}

/// How a record is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Reading {
    pub(super) pauses: Pauses,
    /// Whether refused requests count against the limit as admitted ones do.
    pub(super) refused_count: bool,
}

/// What a group of parties has been through.
pub(super) fn excerpt(
    observations: &Observations,
    latency: &Latency,
    reading: Reading,
    belongs: impl Fn(&Attempt) -> bool,
) -> Excerpt {
    let attempts: Vec<&Attempt> = observations.attempts.iter().filter(|a| belongs(a)).collect();
    let (trips, pauses) = trips(&attempts, latency, reading.pauses);
    let trips = spread(trips);
    let late = attempts.iter().any(|a| lateness(a, latency) > 0.0).then(|| {
        let arrived = |a: &Attempt| a.sent + lateness(a, latency);
        let later = |trip: &Trip| Trip { t: trip.t + trip.late, ..*trip };
        arrivals(&attempts, trips.iter().map(later).collect(), reading, arrived)
    });
    let notes: Vec<Note> = attempts.iter().filter_map(|a| note(a)).collect();
    let every = notes.len().div_ceil(NOTES_MAX).max(1);
    let notes = notes.into_iter().step_by(every).collect();
    let late = late.map(Box::new);
    Excerpt { notes, pauses, late, ..arrivals(&attempts, trips, reading, |a| a.sent) }
}

/// Who was admitted by when, if they arrived at such times, and the trips.
fn arrivals(
    attempts: &[&Attempt],
    trips: Vec<Trip>,
    reading: Reading,
    arrived: impl Fn(&Attempt) -> f64,
) -> Excerpt {
    let start = attempts.first().map_or(0.0, |first| first.sent - 1.0);
    let curve = || Curve::within(CLOSE_TOLERANCE_S, start, POINTS_MAX);
    let (mut sends, mut counted, mut ends) = (curve(), curve(), curve());
    let mut times: Vec<(f64, bool)> =
        attempts.iter().map(|a| (arrived(a), a.decision != Decision::Refused)).collect();
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut marks = trips.iter().peekable();
    let mut before = true;
    for (at, admitted) in
        times.into_iter().filter(|(_, admitted)| *admitted || reading.refused_count)
    {
        let turn = std::mem::replace(&mut before, admitted) != admitted;
        let marked = marks.next_if(|trip| trip.t <= at).is_some();
        if marked || turn {
            sends.pin();
            counted.pin();
        }
        if admitted {
            sends.count(at);
        }
        if reading.refused_count {
            counted.count(at);
        }
        // Who is refused is told from those who follow.
        if marked {
            counted.pin();
        }
    }
    let admitted = attempts.iter().filter(|a| a.decision != Decision::Refused);
    let mut answers: Vec<f64> = admitted.filter_map(|a| a.answered).collect();
    answers.sort_by(f64::total_cmp);
    answers.into_iter().for_each(|at| ends.count(at));
    let track = |curve: &Curve| Track::since(curve, f64::NEG_INFINITY);
    Excerpt {
        held: None,
        counted: reading.refused_count.then(|| track(&counted)),
        sends: track(&sends),
        ends: track(&ends),
        trips,
        notes: Vec::new(),
        pauses: Vec::new(),
        settled: true,
        late: None,
    }
}

/// How much later than others a request may have arrived whose answer took unusually long, in seconds.
fn lateness(attempt: &Attempt, latency: &Latency) -> f64 {
    let took = attempt.answered.map_or(0.0, |at| at - attempt.sent);
    if took > latency.usual { took - latency.rtt } else { 0.0 }
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
        let mut settled = settled(attempts, first, end, latency);
        if flown && let Some(begin) = settled.next() {
            trips.push(begin);
            trips.extend(settled.last());
        } else if flown {
            trips.extend(unsettled(attempts, first, end, latency.jitter_max));
        }
        let (next, held_until) = pause(attempts, first, latency);
        let latest = attempts[..first].iter().rev().find(|a| a.decision == Decision::Admitted);
        let own = match pauses {
            Pauses::Limit => true,
            Pauses::Lockout => false,
            Pauses::Longer(than) => held_until - attempts[first].sent > than,
        };
        if own
            && let Some(latest) = latest
            && trips.last().is_none_or(|trip| trip.t < held_until)
        {
            if let Some(again) = attempts.get(next) {
                let jitter = latency.jitter_max;
                gaps.push((held_until - jitter, again.sent + jitter));
            }
            let gap = held_until - latest.sent;
            let late = lateness(attempts[next - 1], latency);
            trips.push(Trip {
                t: held_until,
                rate: 1.0 / gap,
                gap,
                settled: true,
                met: false,
                late,
            });
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
    latency: &Latency,
) -> impl Iterator<Item = Trip> + 'a {
    let latency = *latency;
    (from..to).filter(|i| attempts[*i].is_refused()).filter_map(move |i| {
        // Only the first after an admission: a run of refusals is not gone through for each of them.
        if i > 0 && attempts[i - 1].is_refused() {
            return None;
        }
        let trip = Trip { late: lateness(attempts[i], &latency), ..trip(attempts, i, true)? };
        let next = attempts[i..].iter().find(|a| a.decision == Decision::Admitted);
        let open = latency.jitter_max.max(trip.late);
        next.is_none_or(|next| next.sent > trip.t + open).then_some(trip)
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
    /// Who comes later than so many of those before would have was preceded by a silence.
    const AFTER: f64 = 3.0;
    let before = || {
        let admitted = |a: &&&Attempt| a.decision == Decision::Admitted;
        attempts[..refused].iter().rev().filter(admitted).take(8)
    };
    let t = attempts[refused].sent;
    let (latest, earliest) = (before().next()?.sent, before().last()?.sent);
    let rate = before().count() as f64 / (t - earliest).max(1e-6);
    let gap = t - latest;
    Some(Trip { t, rate, gap, settled, met: gap * rate < AFTER, late: 0.0 })
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
    latency.usual = latency.usual.max(latency.rtt + 4.0 * observations.resolution);
    latency
}

/// How many answers took unusually long: their requests may have come later than they were sent.
pub(super) fn held_up(observations: &Observations) -> usize {
    let latency = latency(observations);
    observations.attempts.iter().filter(|a| lateness(a, &latency) > 0.0).count()
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::conclude::conclude;
    use super::super::conclusion::{Figure, Finding, KindName};
    use super::*;
    use crate::limiter::{Limiter, LimiterSettings};
    use crate::model::{Identity, Kind, Moment};

    /// Even traffic at twice what a limiter admits, for twelve seconds; every so often, whatever is sent in a tenth of a
    /// second is held up on its way until its end.
    fn held_up(kind: Kind, every: f64) -> Observations {
        const ON_THE_WAY: f64 = 0.000_2;
        const STALL: f64 = 0.1;
        let mut limiter = Limiter::new(&LimiterSettings::plain(kind));
        let arrived = |sent: f64| {
            let since = sent.rem_euclid(every);
            sent + ON_THE_WAY + if since < STALL { STALL - since } else { 0.0 }
        };
        let attempts = (0..2_400).map(|i| {
            let sent = 0.123 + f64::from(i) * 0.005;
            let now = Moment::ZERO + Duration::from_secs_f64(100.0 + arrived(sent));
            let admitted = limiter.decide(now).is_admitted();
            let decision = if admitted { Decision::Admitted } else { Decision::Refused };
            let answered = Some(arrived(sent) + ON_THE_WAY);
            Attempt { sent, answered, decision, party: 0, advice: None, quota: None }
        });
        let attempts = attempts.collect();
        Observations { parties: vec![Identity::default()], attempts, ..Observations::default() }
    }

    #[test]
    fn who_is_held_up_on_the_way_does_not_hide_the_limit() {
        let window = Duration::from_secs(1);
        let kind = Kind::FixedWindow { limit: 100, window, phase: Duration::from_millis(40) };
        let found = conclude(&held_up(kind, 0.83)).limits.remove(0);
        let known = |finding: &Finding<Figure>| match finding {
            Finding::Known { value, .. } => (value.low, value.high),
            Finding::Unknown { detail, .. } => panic!("{detail}"),
        };
        let (low, high) = known(&found.burst);
        assert!(low <= 100.0 && 100.0 <= high, "{low} to {high}");
        assert!(matches!(found.kind, Finding::Known { value: KindName::FixedWindow, .. }));
    }

    #[test]
    fn only_what_is_held_up_arrives_late() {
        let kind = Kind::SlidingLog { limit: 50, window: Duration::from_secs(2) };
        let late = |every: f64| {
            let observations = held_up(kind, every);
            let latency = latency(&observations);
            observations.attempts.iter().filter(|a| lateness(a, &latency) > 0.0).count()
        };
        // Twelve stalls of twenty requests; the last of each by next to nothing.
        let stalled = late(1.0);
        assert!((12 * 18..=12 * 20).contains(&stalled), "{stalled}");
        assert_eq!(late(1_000.0), 0, "nobody was, after the first");
    }
}
