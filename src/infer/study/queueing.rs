//! Does the limit delay what it admits? A queue that lets `rate` requests through per second, evenly, holds each of
//! them until its turn comes: how long answers took is then told by what was sent before.

use super::observations::Attempt;
use crate::infer::Decision;
use crate::infer::families::Latency;
use crate::infer::fit::Served;
use crate::infer::latency::Latencies;

/// So much of how answers differ has to be told by a queue, and so many of them delayed by it.
const TOLD: f64 = 0.75;
const DELAYED: usize = 6;
/// Of a queue that holds few, answers tell less than jitter does: then it has to make them so much likelier, as a
/// logarithm, and each has to be later by what the queue says, within these ratios.
const LIKELIER: f64 = 30.0;
const LATER: (f64, f64) = (0.67, 1.5);
/// Rates that are tried: from so many per second to so many, in steps of this.
const SLOWEST: f64 = 0.02;
const FASTEST: f64 = 20_000.0;
const STEP: f64 = 0.015;
/// Of more attempts than about this, the latest.
const LATEST: usize = 12_000;
/// No rate is known closer than this, as a ratio: the first of a busy time may have come a little later than it was
/// sent, and everybody behind it.
const CLOSEST: f64 = 2e-4;
/// Of each answer it is believed by no more than this, and of all of them: they are not independent.
const TOLD_EACH: f64 = 1.0;
const TOLD_MOST: f64 = 100.0;

/// An admitted request: when it was sent, and how long its answer took.
type Turn = (f64, Option<f64>);

/// A queue that explains how long answers took.
pub(super) struct Queue {
    pub(super) served: Served,
    /// What the network takes beside it.
    pub(super) latency: Latency,
    /// Logarithm of how much likelier it makes what was seen.
    pub(super) told: f64,
    /// It tells more of how answers differ than anything else may.
    pub(super) plainly: bool,
}

/// The queue that explains how long answers took; `None`: none does.
pub(super) fn queueing<'a>(attempts: impl Iterator<Item = &'a Attempt>) -> Option<Queue> {
    let mut refused = Latencies::default();
    let mut turns: Vec<Turn> = Vec::new();
    for attempt in attempts {
        let took = attempt.answered.map(|at| at - attempt.sent);
        match (attempt.decision, took) {
            (Decision::Refused, Some(took)) => refused.note(took, false),
            (Decision::Refused, None) => {}
            (Decision::Unknown, _) => turns.push((attempt.sent, None)),
            (Decision::Admitted, took) => turns.push((attempt.sent, took)),
        }
    }
    let turns = latest(&turns);
    let alone = spread(turns.iter().filter_map(|turn| turn.1));
    let long = long(turns)?;
    let left = |ln: f64| left(turns, ln.exp(), long);
    let steps = ((FASTEST / SLOWEST).ln() / STEP) as u32;
    let tried = (0..=steps).map(|i| SLOWEST.ln() + STEP * f64::from(i));
    let (best, least) = tried.map(|ln| (ln, left(ln))).min_by(|a, b| a.1.total_cmp(&b.1))?;
    let plainly = least * least < (1.0 - TOLD) * alone * alone;
    if !plainly && !is_likelier(turns, best.exp(), (alone / least).ln()) {
        return None;
    }
    let ln = lowest(best - STEP, best + STEP, left);
    let (rate, least) = (ln.exp(), left(ln));
    let delayed = residuals(turns, rate).filter(|(_, delay)| *delay > 3.0 * least).count();
    if delayed < DELAYED {
        return None;
    }
    let mut latencies = refused;
    residuals(turns, rate).for_each(|(took, delay)| latencies.note((took - delay).max(0.0), true));
    let served = Served { rate, spread: uncertainty(turns, rate, least, long) };
    let each = (alone / least).ln().min(TOLD_EACH);
    let told = (each * delayed as f64).min(TOLD_MOST);
    // Answers are delayed by the limit, and not on the way.
    let latency = Latency { usual: f64::INFINITY, ..latencies.summary() };
    Some(Queue { served, latency, told, plainly })
}

/// The latest of them, after the longest silence that there is not too long before: nobody waits after that.
fn latest(turns: &[Turn]) -> &[Turn] {
    let from = turns.len().saturating_sub(2 * LATEST);
    let to = turns.len().saturating_sub(LATEST / 2).max(from + 1);
    if from == 0 {
        return turns;
    }
    let silence = |i: &usize| turns[*i].0 - turns[*i - 1].0;
    let after = (from..to).max_by(|a, b| silence(a).total_cmp(&silence(b)));
    &turns[after.unwrap_or(from)..]
}

/// How long each answer took, and how long a queue would have held its request.
fn residuals(turns: &[Turn], rate: f64) -> impl Iterator<Item = (f64, f64)> {
    let mut free = f64::NEG_INFINITY;
    turns.iter().filter_map(move |(sent, took)| {
        let begun = sent.max(free);
        free = begun + 1.0 / rate;
        took.map(|took| (took, begun - sent))
    })
}

/// How much answers differ otherwise. Those that wait in a queue may all be later by something: whoever came first of a
/// busy time was a little later than it was sent.
fn left(turns: &[Turn], rate: f64, long: f64) -> f64 {
    let (mut waited, mut passed) = (Spread::default(), Spread::default());
    for (took, delay) in residuals(turns, rate) {
        if delay > long { &mut waited } else { &mut passed }.enter(took - delay);
    }
    let n = waited.n + passed.n;
    if n < 2.0 { f64::INFINITY } else { ((waited.squares + passed.squares) / n).sqrt() }
}

/// Whether a queue at this rate makes answers far likelier, each by so much (as a logarithm), and not only because
/// answers take longer under load: they take as much longer as it says.
fn is_likelier(turns: &[Turn], rate: f64, each: f64) -> bool {
    let (mut told, mut both, mut sum) = (Spread::default(), Spread::default(), Spread::default());
    for (took, delay) in residuals(turns, rate) {
        told.enter(delay);
        both.enter(took);
        sum.enter(took + delay);
    }
    // The slope of what answers took over what the queue says.
    let slope = (sum.squares - told.squares - both.squares) / 2.0 / told.squares;
    told.n * each > LIKELIER && (LATER.0..=LATER.1).contains(&slope)
}

/// Who waits longer than this waits long, in seconds: a part of what the longest answers took beyond the shortest.
fn long(turns: &[Turn]) -> Option<f64> {
    const PART: f64 = 0.25;
    const LONGEST: f64 = 0.98;
    let mut took: Vec<f64> = turns.iter().filter_map(|turn| turn.1).collect();
    took.sort_by(f64::total_cmp);
    let longest = took.get((took.len() as f64 * LONGEST) as usize)?;
    Some((longest - took.first()?) * PART)
}

/// A sum of squares about the mean.
#[derive(Default)]
struct Spread {
    n: f64,
    mean: f64,
    squares: f64,
}

impl Spread {
    fn enter(&mut self, value: f64) {
        self.n += 1.0;
        let off = value - self.mean;
        self.mean += off / self.n;
        self.squares += off * (value - self.mean);
    }
}

fn spread(values: impl Iterator<Item = f64>) -> f64 {
    let mut all = Spread::default();
    values.for_each(|value| all.enter(value));
    if all.n < 2.0 { f64::INFINITY } else { (all.squares / all.n).sqrt() }
}

/// The lowest point of a valley (golden section).
fn lowest(mut a: f64, mut b: f64, of: impl Fn(f64) -> f64) -> f64 {
    const GOLDEN: f64 = 0.618_033_988_749_895;
    const STEPS: u32 = 28;
    for _ in 0..STEPS {
        let (left, right) = (b - (b - a) * GOLDEN, a + (b - a) * GOLDEN);
        if of(left) < of(right) {
            b = right;
        } else {
            a = left;
        }
    }
    (a + b) / 2.0
}

/// How closely the rate is known, as a ratio: how much answers differ otherwise, and how much later each would have
/// come at another rate; and that everybody in a busy time depends on who came when it began.
fn uncertainty(turns: &[Turn], rate: f64, left: f64, long: f64) -> f64 {
    const NUDGE: f64 = 1e-4;
    const BEGINNING: f64 = 0.15;
    let nudged = residuals(turns, rate * (1.0 - NUDGE)).map(|(_, delay)| delay);
    let moved = residuals(turns, rate).zip(nudged).map(|((_, a), b)| (b - a) / NUDGE);
    let sway = spread(moved) * (turns.len() as f64).sqrt();
    let waited = spread(residuals(turns, rate).map(|turn| turn.1).filter(|delay| *delay > long));
    let mut busy = false;
    let times = residuals(turns, rate).filter(|(_, delay)| {
        let begins = *delay > long && !busy;
        busy = if busy { *delay > 0.0 } else { *delay > long };
        begins
    });
    let beginnings = BEGINNING * left / waited.max(1e-12) / (times.count() as f64).sqrt();
    (2.0 * left / sway.max(1e-12)).hypot(beginnings).hypot(CLOSEST)
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// Requests at `sending` per second for 4 s and as long again after a silence, to a server that lets `serving`
    /// through per second and refuses whoever would wait for longer than `patience`.
    fn record(sending: f64, serving: Option<f64>, patience: f64, jitter: f64) -> Vec<Attempt> {
        let mut rng = StdRng::seed_from_u64(7);
        let mut requests: Vec<(f64, f64)> = (0..(8.0 * sending) as u32)
            .map(|i| f64::from(i) / sending)
            .map(|t| if t < 4.0 { t } else { t + 10.0 })
            .map(|sent| (sent, sent + 0.02 + jitter * rng.random::<f64>()))
            .collect();
        requests.sort_by(|a, b| a.1.total_cmp(&b.1));
        let mut free = 0.0_f64;
        let attempt = |(sent, arrived): (f64, f64)| {
            let begun = serving.map_or(arrived, |_| arrived.max(free));
            let refused = begun - arrived > patience;
            if !refused && let Some(serving) = serving {
                free = begun + 1.0 / serving;
            }
            let left = if refused { arrived } else { begun };
            Attempt {
                sent,
                answered: Some(left + 0.02 + jitter * rng.random::<f64>()),
                decision: if refused { Decision::Refused } else { Decision::Admitted },
                party: 0,
                advice: None,
                quota: None,
            }
        };
        let mut attempts: Vec<Attempt> = requests.into_iter().map(attempt).collect();
        attempts.sort_by(|a, b| a.sent.total_cmp(&b.sent));
        attempts
    }

    #[test]
    fn delays_tell_how_fast_a_queue_lets_through() {
        for (sending, serving, jitter) in [(60.0, 50.0, 0.001), (400.0, 150.0, 0.003)] {
            let attempts = record(sending, Some(serving), 0.5, jitter);
            let queue = queueing(attempts.iter()).expect("a queue");
            let off = (queue.served.rate / serving).ln().abs();
            assert!(queue.plainly && off < 0.003, "{} of {serving}", queue.served.rate);
            assert!(off < 3.0 * queue.served.spread, "{off} of {}", queue.served.spread);
            // What the network takes is left, without what the queue did.
            assert!((queue.latency.answer - 0.04 - jitter).abs() < jitter, "{:?}", queue.latency);
        }
    }

    #[test]
    fn a_queue_of_two_is_told_by_many_answers() {
        let attempts = record(330.0, Some(300.0), 1.9 / 300.0, 0.004);
        let queue = queueing(attempts.iter()).expect("a queue");
        assert!(!queue.plainly, "jitter takes as long");
        let off = (queue.served.rate / 300.0).ln().abs();
        assert!(off < 2.0 * queue.served.spread && off < 0.02, "{:?}", queue.served);
    }

    #[test]
    fn the_latest_begin_after_a_silence() {
        let sent = |i: u32| f64::from(i) * 0.01 + if i < 20_000 { 0.0 } else { 30.0 };
        let turns: Vec<Turn> = (0..40_000).map(|i| (sent(i), None)).collect();
        assert_eq!(latest(&turns).first(), Some(&(230.0, None)));
        assert_eq!(latest(&turns[..LATEST]).len(), LATEST);
    }

    #[test]
    fn jitter_is_no_queue() {
        for jitter in [0.0, 0.0005, 0.005, 0.05] {
            let attempts = record(100.0, None, 0.5, jitter);
            assert!(queueing(attempts.iter()).is_none(), "jitter {jitter}");
        }
    }
}
