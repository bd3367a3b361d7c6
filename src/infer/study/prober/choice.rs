//! Which experiment is next, and when no more are needed.

use super::flow::{Part, Step};
use super::{Known, Milestone, Prober, Trial};
use crate::infer::study::belief::{BELOW, Belief, more_than_ever};
use crate::infer::study::design::{Experiment, Piece, Prices};
use crate::infer::study::plan::Ended;
use crate::model::Moment;

/// The first rate of a search, as a share of the highest, and how much faster each piece of it is.
const FIRST: f64 = 0.001;
const FASTER: f64 = 1.25;
/// Seconds that a piece of the search takes: less where the highest rate is high, or most of what a small bucket costs is
/// what it admits meanwhile. All pieces up to that rate are five times the last.
const SEARCH_PIECE: (f64, f64) = (0.1, 0.25);
const SEARCH_LAST: f64 = 100.0;
/// ... and that it goes on at the highest rate: longer than nearly every window.
const SEARCH_TOP: f64 = 100.0;
/// After so many experiments it is not going to know better.
const EXPERIMENTS_MAX: usize = 30;
/// With fewer refused than these nothing is believed: the search, and others that bear it out; fewer where they cost
/// three times as much as they should.
const REFUSED_MIN: (usize, usize) = (4, 3);
/// So many of them may be such that nothing new is expected of them.
const TESTED_MAX: usize = 8;
/// So many in a row without a refusal, and what is believed does not tell where refusals begin: from there on, and till
/// there are so many that a limit was lifted, all that may be sent is.
const IDLE: std::ops::Range<usize> = 2..8;
pub(super) const WITHOUT_PREDICTION: &str = "how much is admitted from rest, whatever is predicted";
/// Experiments about one pair of parties, how much of a quota each of them uses, and quotas that are too small for that:
/// then they take so many turns.
const PAIR_TRIALS_MAX: usize = 3;
const PAIR: &str = "whether another party shares the limit";
const MOST: f64 = 0.85;
const FEW: f64 = 7.0;
const TURNS: usize = 60;
/// Requests and time that rate and burst should cost at most, in requests of a full quota and in windows, or at least.
const FAIR: (f64, f64) = (1_500.0, 3.0);
const FAIR_TIME: (f64, f64) = (300.0, 5.0);

/// What is asked about, and what has been done for it.
pub(super) struct Inquiry<'a> {
    pub(super) belief: &'a Belief,
    pub(super) trials: &'a [Trial],
    pub(super) requests: u64,
    /// The highest rate that it may be asked at.
    pub(super) rate_max: f64,
    /// Experiments after which it is not going to be known better.
    pub(super) trials_max: usize,
}

impl Prober {
    pub(super) fn choose(&mut self, now: Moment) {
        if let Some(ended) = self.exhausted(now) {
            self.step = Step::Done(ended);
            return;
        }
        if !self.belief.is_any() {
            if self.trials.is_empty() {
                let search = self.search();
                self.begin(search, "a search for where refusals begin", false, now);
            } else {
                let refused = self.throttles > 0;
                let ended = if refused { Ended::Answered } else { Ended::NeverRefused };
                self.step = Step::Done(ended);
            }
            return;
        }
        if self.belief.knows_numbers() {
            self.reach(Known::Numbers, now);
        }
        let known = self.belief.knows_numbers() && self.belief.knows_kind();
        if known {
            self.reach(Known::Kind, now);
        }
        let inquiry = Inquiry {
            belief: &self.belief,
            trials: &self.trials,
            requests: self.observations.attempts.len() as u64,
            rate_max: self.assignment.budget.rate,
            trials_max: EXPERIMENTS_MAX,
        };
        // Once others have sent, nothing more is learned of the first by itself.
        let alone = self.pair == (1, 0) && self.together.is_none();
        let experiment = self.experiment(&inquiry, known, now);
        let Some(Experiment { pieces, why }) = experiment.filter(|_| alone) else {
            let pair = self.next_pair(now).map(|parts| (parts, PAIR));
            match pair.or_else(|| self.next_together(now)) {
                Some((parts, why)) => self.begin(parts, why, false, now),
                None => self.step = Step::Done(Ended::Answered),
            }
            return;
        };
        let even = pieces.len() == 1;
        let parts = pieces.into_iter().map(|piece| Part { party: 0, piece }).collect();
        self.begin(parts, why, even, now);
    }

    /// The next experiment about a limit; `None`: no more are needed, or of use.
    pub(super) fn experiment(
        &self,
        inquiry: &Inquiry<'_>,
        known: bool,
        now: Moment,
    ) -> Option<Experiment> {
        let Inquiry { belief, trials, rate_max, .. } = *inquiry;
        let made = |why: &str| trials.iter().filter(|t| t.why == why).count();
        let prices = self.prices(belief, rate_max);
        let tested = !belief.is_at(rate_max) || made(BELOW) > 0;
        let spent = inquiry.requests as f64 / prices.requests;
        let least = if spent >= 3.0 { REFUSED_MIN.1 } else { REFUSED_MIN.0 };
        let enough = trials.iter().filter(|trial| trial.refused).count() >= least;
        if trials.len() >= inquiry.trials_max || (known && tested && enough) {
            return None;
        }
        let most = trials.iter().map(|trial| trial.admitted).max().unwrap_or_default();
        let idle = trials.iter().rev().take_while(|trial| !trial.refused).count();
        if idle > 0
            && let Some(experiment) = belief.unexplained(rate_max, trials.len(), most)
        {
            return Some(experiment);
        }
        if !known && IDLE.contains(&idle) {
            let pieces = vec![more_than_ever(rate_max, idle - IDLE.start, most)];
            return Some(Experiment { pieces, why: WITHOUT_PREDICTION });
        }
        let best = || belief.experiment(&prices, now.as_secs_f64(), made);
        // Where everything that is believed predicts the same, it is put to the test.
        let test = || {
            (trials.len() < TESTED_MAX).then(|| belief.test(&prices, trials.len(), most)).flatten()
        };
        let unexplained = || {
            let few = trials.len() < 2 * TESTED_MAX;
            few.then(|| belief.unexplained(rate_max, trials.len(), most)).flatten()
        };
        if known || !tested { test() } else { best().or_else(test).or_else(unexplained) }
    }

    /// An experiment with the next party of which it is not known whether it shares the limit of the first: most of a
    /// quota by one, and then by the other.
    fn next_pair(&mut self, now: Moment) -> Option<Vec<Part>> {
        while self.pair.0 < self.assignment.parties.len() {
            let (other, made) = self.pair;
            let decided = made > 0 && self.belief.decides(&self.observations, other);
            if decided {
                self.milestones.push(Milestone {
                    known: Known::Pair,
                    requests: self.observations.attempts.len() as u64,
                    after: now.since(self.began),
                });
            }
            if decided || made >= PAIR_TRIALS_MAX {
                self.pair = (other + 1, 0);
                continue;
            }
            self.pair = (other, made + 1);
            let (first, second) = if made % 2 == 0 { (0, other) } else { (other, 0) };
            let (quota, rate) =
                self.belief.quota(self.assignment.budget.rate, now.as_secs_f64())?;
            let piece = |rate: f64, count: f64| Piece { wait: 0.0, rate, count: count as u64 };
            if quota < FEW {
                // Too few to share out: by turns, each at seven tenths of what one may send.
                let rate = self.belief.rate_and_window()?.0 * 1.4;
                let turn = |i: usize| if i.is_multiple_of(2) { first } else { second };
                let parts = (0..TURNS).map(|i| Part { party: turn(i), piece: piece(rate, 1.0) });
                return Some(parts.collect());
            }
            let share = (quota * MOST).floor();
            let parts = [first, second].map(|party| Part { party, piece: piece(rate, share) });
            return Some(parts.into());
        }
        None
    }

    /// Faster and faster, up to what the budget allows.
    fn search(&self) -> Vec<Part> {
        let top = self.assignment.budget.rate;
        let piece = (SEARCH_LAST / top).clamp(SEARCH_PIECE.0, SEARCH_PIECE.1);
        let mut rate = (top * FIRST).max(1.0).min(top);
        let mut parts = Vec::new();
        loop {
            let seconds = if rate >= top { SEARCH_TOP } else { piece };
            let count = (rate * seconds).ceil() as u64;
            parts.push(Part { party: 0, piece: Piece { wait: 0.0, rate, count } });
            if rate >= top {
                return parts;
            }
            rate = (rate * FASTER).min(top);
        }
    }

    fn prices(&self, belief: &Belief, rate_max: f64) -> Prices {
        let burst = belief.burst().unwrap_or(1.0);
        let window = belief.rate_and_window().map_or(1.0, |(_, window)| window);
        let left = self.left();
        Prices {
            requests: FAIR.0.max(FAIR.1 * burst),
            seconds: FAIR_TIME.0.max(FAIR_TIME.1 * window),
            rate_max,
            count_max: (FAIR.0.max(FAIR.1 * burst) as u64).min(left),
            refusal: self.refusal_costs(),
            rest: belief.rest(),
        }
    }

    /// Seconds that the pauses after refusals took, on average.
    fn refusal_costs(&self) -> f64 {
        let advised: Vec<f64> =
            self.observations.attempts.iter().filter_map(|a| a.advice).collect();
        if advised.is_empty() { 1.0 } else { advised.iter().sum::<f64>() / advised.len() as f64 }
    }

    fn reach(&mut self, known: Known, now: Moment) {
        if self.milestones.iter().all(|m| m.known != known) {
            let requests = self.observations.attempts.len() as u64;
            self.milestones.push(Milestone { known, requests, after: now.since(self.began) });
        }
    }
}
