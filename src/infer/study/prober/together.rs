//! All parties that have a limit each, together: is there another one behind it, that they share? Each of them sends
//! less than its own limit admits, so whatever is refused another limit refuses, which is then measured like the first.

use super::Prober;
use super::choice::Inquiry;
use super::flow::Part;
use crate::infer::study::belief::Belief;
use crate::infer::study::conclusion::{Finding, PairFinding};
use crate::infer::study::design::Piece;
use crate::infer::study::nested::Inner;
use crate::model::Moment;

/// How much of its own limit each party sends: so much, and less by so many requests of a quota.
const SHARE: f64 = 0.9;
const SPARE: f64 = 2.0;
/// Together they have to send so many times what one may, or nothing would be learned.
const WORTH: f64 = 1.1;
/// Requests and seconds that the question costs at most, in full quotas of the first limit and in its windows, or at
/// least: as much as every other question.
const FAIR: (f64, f64) = (1_500.0, 3.0);
const FAIR_TIME: (f64, f64) = (300.0, 5.0);
/// After so many experiments it is not going to know better.
const EXPERIMENTS_MAX: usize = 12;
/// Turns of one request each, so many a second; where it takes more, several requests make a turn.
const TURNS_PER_SECOND: f64 = 200.0;
/// So much longer than it took all of them to be refused the others are tried without one.
const LONGER: f64 = 1.5;
const WITHOUT_MAX: usize = 2;

const SEARCH: &str = "whether all parties together meet another limit";
const WITHOUT: &str = "whether a party shares the limit behind";

/// How far it is.
#[derive(Debug)]
pub(super) struct Together {
    /// One party for each limit of its own.
    members: Vec<usize>,
    inner: Inner,
    pub(super) belief: Belief,
    /// How fast all of them together may send.
    rate: f64,
    /// Requests of a turn.
    turn: u64,
    /// Where its trials and its attempts begin.
    trials_from: usize,
    attempts_from: usize,
    /// For each other party whether it shares the limit behind.
    pairs: Vec<PairFinding>,
    /// Members that were left out, each as often as it was.
    without: Vec<usize>,
}

impl Prober {
    /// What to send next, and what that is to tell; `None`: everything is known that it can find out.
    pub(super) fn next_together(&mut self, now: Moment) -> Option<(Vec<Part>, &'static str)> {
        if self.together.is_none() {
            self.together = Some(self.gather()?);
        }
        let together = self.together.as_ref()?;
        let made = self.trials.len() - together.trials_from;
        if !together.belief.is_any() {
            return (made == 0).then(|| (self.search_together(together), SEARCH));
        }
        let inquiry = Inquiry {
            belief: &together.belief,
            trials: &self.trials[together.trials_from..],
            requests: (self.observations.attempts.len() - together.attempts_from) as u64,
            rate_max: together.rate,
            trials_max: EXPERIMENTS_MAX,
        };
        let known = together.belief.knows_numbers() && together.belief.knows_kind();
        let experiment = self.experiment(&inquiry, known, now);
        if let Some(experiment) = experiment.filter(|_| together.without.is_empty()) {
            let pieces = experiment.pieces.iter();
            let parts = pieces.flat_map(|piece| together.turns(piece, &together.members));
            return Some((parts.collect(), experiment.why));
        }
        self.next_without()
    }

    /// What is believed of a limit behind the first.
    pub(super) fn update_together(&mut self) {
        let Some(together) = &mut self.together else { return };
        together.pairs = together.belief.update_behind(&self.observations, &together.inner);
        let apart = |party: &usize| {
            let pair = party.checked_sub(1).and_then(|other| together.pairs.get(other));
            pair.is_some_and(|p| matches!(p.shared, Finding::Known { value: false, .. }))
        };
        let share: Vec<usize> = together.members.iter().copied().filter(|p| !apart(p)).collect();
        if share.len() < together.members.len() {
            // What is known of the others has to be found out without them.
            together.rate *= share.len() as f64 / together.members.len() as f64;
            together.members = share;
            together.trials_from = self.trials.len();
            together.attempts_from = self.observations.attempts.len();
            together.without.clear();
        }
    }

    fn gather(&self) -> Option<Together> {
        let inner = self.belief.inner(&self.observations)?;
        let members = inner.apart();
        let (rate, _) = self.belief.rate_and_window()?;
        let burst = self.belief.burst()?;
        let share = SHARE.min((burst - SPARE) / burst).max(1.0 / (burst + 1.0));
        let fastest = self.assignment.budget.rate;
        let together = (rate * share * members.len() as f64).min(fastest);
        (members.len() > 1 && together > rate * WORTH).then(|| Together {
            turn: (together / TURNS_PER_SECOND).min(burst / 50.0).max(1.0) as u64,
            members,
            inner,
            belief: Belief::default(),
            rate: together,
            trials_from: self.trials.len(),
            attempts_from: self.observations.attempts.len(),
            pairs: Vec::new(),
            without: Vec::new(),
        })
    }

    fn search_together(&self, together: &Together) -> Vec<Part> {
        let burst = self.belief.burst().unwrap_or(1.0);
        let window = self.belief.rate_and_window().map_or(1.0, |(_, window)| window);
        let most = FAIR.0.max(FAIR.1 * burst);
        let count = most.min(together.rate * FAIR_TIME.0.max(FAIR_TIME.1 * window)) as u64;
        together.turns(&Piece { wait: 0.0, rate: together.rate, count }, &together.members)
    }

    /// All but one of those of whom it is not known whether they share the limit behind, for a little longer than all
    /// of them could.
    fn next_without(&mut self) -> Option<(Vec<Part>, &'static str)> {
        let together = self.together.as_mut()?;
        let trials = self.trials[together.trials_from..].iter();
        let refused = trials.filter(|t| t.refused && t.why != WITHOUT);
        // How long all of them could.
        let seconds = refused.map(|t| t.admitted as f64 / t.rate).reduce(f64::max)?;
        let made = |party: usize| together.without.iter().filter(|p| **p == party).count();
        let open = |party: &&usize| {
            let pair = party.checked_sub(1).and_then(|other| together.pairs.get(other));
            pair.is_some_and(|p| matches!(p.shared, Finding::Unknown { .. }))
        };
        let open = together.members.iter().filter(open).filter(|p| made(**p) < WITHOUT_MAX);
        let party = *open.min_by_key(|party| made(**party))?;
        let others: Vec<usize> =
            together.members.iter().copied().filter(|member| *member != party).collect();
        together.without.push(party);
        let rate = together.rate * others.len() as f64 / together.members.len() as f64;
        let count = (rate * seconds * LONGER).ceil() as u64 + 1;
        let piece = Piece { wait: 0.0, rate, count };
        Some((together.turns(&piece, &others), WITHOUT))
    }
}

impl Together {
    /// A piece that these send by turns.
    fn turns(&self, piece: &Piece, members: &[usize]) -> Vec<Part> {
        let turns = piece.count.div_ceil(self.turn);
        let turn = |i: u64| {
            let count = self.turn.min(piece.count - i * self.turn);
            let wait = if i == 0 { piece.wait } else { 0.0 };
            let party = members[i as usize % members.len()];
            Part { party, piece: Piece { wait, rate: piece.rate, count } }
        };
        (0..turns).map(turn).collect()
    }
}
