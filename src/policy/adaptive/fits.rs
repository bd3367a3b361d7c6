//! What becomes of the rate when a fit comes back.

use super::{Adaptive, CONFIDENT, Mode, RISE};
use crate::model::{Estimate, EstimateSource, Interval, Kind, Moment, PaceReason};

/// An estimate whose ends are closer than this is known well enough to be held.
const KNOWN: f64 = 1.012;
/// So is one whose cautious rate is so close to its value, if it may not well be far more.
const CLOSE: f64 = 0.99;
/// Where refusals are dear, after some of them, this is close enough to a bucket of one: jitter leaves that much open.
const NEAR: f64 = 0.975;
const OPEN: f64 = 1.1;
/// A search from the low end of an estimate reaches its far end in about this long, in seconds ...
const SEEK_S: f64 = 20.0;
/// ... but rises no faster and no slower than this, per second.
const GROWTH: (f64, f64) = (0.004, 0.1);
/// An estimate that is less than this share of what was admitted in the past minutes does not explain it.
const REFUTED: f64 = 0.5;
const REMEMBERED_S: f64 = 120.0;
/// Where the way back begins after a refusal by a limit that is stated.
const NEARLY: f64 = 0.8;
/// Where a search begins when the limit turns out to be another than was believed.
const RESTART: f64 = 0.35;
/// From so many refusals on, an estimate that leaves much open will not get better: the rate goes by feel.
const STUBBORN: u32 = 3;
/// A bucket has been tested by so many.
const TESTED: u32 = 3;
/// One whose ends have come so much closer (as a logarithm) is getting better.
const NARROWED: f64 = 0.7;
/// Where refusals cost little, it may take so many.
const PATIENT: u32 = 4;
/// An estimate that changes is given another chance, until so many have come.
const HOPELESS: u32 = 6;
/// Less will do where so many came that the estimate had not foreseen.
const SURPRISES: u32 = 2;
/// And where the limit seemed to have fallen more often than this, one time after the other.
const FALLS: u32 = 1;
/// How long the way back takes after a refusal that was not to be expected, in seconds.
const RETURN_S: f64 = 15.0;
/// A rate at which a refusal came while it was held is held at most so much of, whatever the estimate.
const BELOW_A_TRIP: f64 = 0.985;
/// A rate that moves by less than this is the same.
const SAME: f64 = 0.002;
/// An estimate that moves by more than this is another limit.
const MOVED: f64 = 0.07;
/// A rate that hints allow is not more than so much above the present one at once.
const STEP_UP: f64 = 1.25;

impl Adaptive {
    /// A fit came back; `None`: the record does not tell.
    pub fn estimated(&mut self, estimate: Option<Estimate>, now: Moment) {
        let hinted = estimate.as_ref().is_some_and(|e| e.source == EstimateSource::Hints);
        if hinted && self.hints.trusted() == Some(false) && self.tripped.is_none() {
            return;
        }
        if hinted && estimate.as_ref().is_some_and(|estimate| self.knows_better(estimate)) {
            return;
        }
        let before = std::mem::replace(&mut self.estimate, estimate);
        let tripped = self.tripped.take();
        if let Some(estimate) = self.estimate.clone() {
            self.learned(&estimate, before.as_ref(), tripped, now);
            return;
        }
        self.shadow.adopt(None);
        if before.is_some() {
            self.start_over(tripped, now);
        }
    }

    /// Whether hints suddenly leave open how much more a limit may be that is known and held, and say nothing else of it:
    /// they tell little where the quota is hardly touched.
    fn knows_better(&self, estimate: &Estimate) -> bool {
        self.mode == Mode::Hold
            && self.tripped.is_none()
            && estimate.rate.spread() > OPEN
            && self.estimate.as_ref().is_some_and(|held| {
                held.rate.spread() < KNOWN
                    && held.limiter.quota() == estimate.limiter.quota()
                    && estimate.rate.value > held.rate.value
            })
    }

    /// What was believed is no longer true, and nothing else is known yet.
    fn start_over(&mut self, tripped: Option<(Mode, f64)>, now: Moment) {
        let Some((_, rate)) = tripped.filter(|(mode, _)| *mode != Mode::Feel) else {
            return;
        };
        self.falls += 1;
        if self.falls > FALLS {
            // What seems to fall again and again is something else.
            self.grope(PaceReason::LimitFell, now);
            return;
        }
        self.trust = 1.0;
        // Of a new limit little has been seen: what the old one has cost says nothing of how hard it is to find.
        self.trips = self.trips.min(1);
        self.shadow.adopt(None);
        let mode = Mode::Seek { growth: (1.1 / RESTART).ln() / SEEK_S, target: None };
        self.turn(mode, rate * RESTART, PaceReason::LimitFell, now);
    }

    fn learned(
        &mut self,
        estimate: &Estimate,
        before: Option<&Estimate>,
        tripped: Option<(Mode, f64)>,
        now: Moment,
    ) {
        let rate = estimate.rate;
        let moved = before.and_then(|before| moved(before, estimate));
        let hinted = estimate.source == EstimateSource::Hints;
        let usual = if hinted { PaceReason::Hinted } else { PaceReason::Estimated };
        let reason = moved.unwrap_or(usual);
        if moved.is_some() {
            self.trust = 1.0;
        }
        // Where a refusal costs little, it is worth one to know whether it is far more.
        let enough = estimate.throttles >= STUBBORN && self.feel.is_dear();
        let single = matches!(estimate.limiter, Kind::TokenBucket { burst: 1, .. });
        let close = estimate.cautious >= rate.value * if enough && single { NEAR } else { CLOSE }
            && (rate.high < rate.value * OPEN || enough || hinted);
        let refuted = rate.value < REFUTED * self.feel.average(REMEMBERED_S, now);
        let open = (rate.spread() > KNOWN && !close) || refuted || self.is_untested(estimate);
        let narrowed = before.is_some_and(|b| rate.spread().ln() < NARROWED * b.rate.spread().ln());
        if self.is_baffled(open, narrowed || moved.is_some()) {
            self.grope(reason, now);
        } else if refuted && hinted {
            self.start_over(tripped, now);
        } else if !open {
            self.hold(tripped, reason, now);
        } else if tripped.is_some() || !self.holds_within(rate) {
            self.seek(rate, tripped, reason, now);
        }
    }

    /// Whether a third refusal, which costs little, would tell if it is a bucket at all: two of them agree with some
    /// bucket whatever refused them.
    fn is_untested(&self, estimate: &Estimate) -> bool {
        let bucket = matches!(estimate.limiter, Kind::TokenBucket { burst: 2.., .. });
        let refused = estimate.source == EstimateSource::Throttles;
        bucket && refused && estimate.throttles < TESTED && !self.feel.is_dear()
    }

    /// Whether so many refusals, and the estimate that came of them, say that no estimate will do. `news`: it is another
    /// than before, or much closer.
    fn is_baffled(&self, open: bool, news: bool) -> bool {
        let Some(estimate) = &self.estimate else {
            return false;
        };
        if self.states_window() && !open {
            // The limit is stated, and hints that lie are found out: a refusal says how close to it is too close.
            return false;
        }
        if self.crowd.most().is_some() {
            return true;
        }
        if self.mode == Mode::Feel {
            // It may have been found at last.
            return open || (self.surprises >= SURPRISES && !self.feel.agrees(estimate.rate.value));
        }
        let hinted = estimate.source == EstimateSource::Hints;
        let enough = if self.feel.is_dear() { STUBBORN } else { PATIENT };
        let hopeful = news && self.trips < HOPELESS;
        let astray = (open && !hinted) || (self.trips > enough && self.surprises >= SURPRISES);
        self.trips >= enough && astray && !hopeful
    }

    fn holds_within(&self, rate: Interval) -> bool {
        self.mode == Mode::Hold && (rate.low * 0.9..=rate.value).contains(&self.rate)
    }

    /// Goes by feel.
    fn grope(&mut self, reason: PaceReason, now: Moment) {
        self.shadow.adopt(None);
        if self.mode != Mode::Feel {
            self.turn(Mode::Feel, self.feel.rate(now), reason, now);
        }
    }

    /// Looks for the limit where the estimate has it, from its low end; from far below where it has just been refused
    /// against all expectation.
    fn seek(
        &mut self,
        rate: Interval,
        tripped: Option<(Mode, f64)>,
        reason: PaceReason,
        now: Moment,
    ) {
        let low = rate.low.max(rate.value * 0.3);
        let surprised =
            tripped.filter(|(mode, at)| *at < low || (*mode == Mode::Hold && *at < rate.high));
        let start = surprised.map_or(low, |(_, at)| low.min(at * RESTART));
        let hinted = self.hints.trusted() == Some(true) && tripped.is_none();
        let start = if hinted { start.min(self.rate * STEP_UP) } else { start };
        let growth = (1.25 * rate.value / start).ln() / SEEK_S;
        let mode = Mode::Seek { growth: growth.clamp(GROWTH.0, GROWTH.1), target: None };
        self.shadow.adopt(None);
        self.turn(mode, start, reason, now);
    }

    /// Holds what the estimate allows.
    fn hold(&mut self, tripped: Option<(Mode, f64)>, reason: PaceReason, now: Moment) {
        // Kinds that explain the same hints predict the same; what hints say by themselves is a round trip old.
        let believed = self
            .estimate
            .as_ref()
            .filter(|e| e.confidence > CONFIDENT || e.source == EstimateSource::Hints);
        self.shadow.adopt(believed.map(|e| e.limiter));
        let Some(held) = self.held_rate() else { return };
        let hinted = self.estimate.as_ref().is_some_and(|e| e.source == EstimateSource::Hints);
        let Some((Mode::Hold, tripped)) = tripped else {
            let from = self.rate.max(if tripped.is_some() { held * RESTART } else { 0.0 });
            let same = self.mode == Mode::Hold && (self.rate / held - 1.0).abs() < SAME;
            if hinted && held > from * STEP_UP {
                // Up in steps: hints are a round trip old, and tell more of a limit the closer it is.
                let growth = match self.mode {
                    Mode::Seek { growth, target: Some(_) } => growth,
                    Mode::Hold => RISE,
                    _ => self.first_growth(),
                };
                self.turn(Mode::Seek { growth, target: Some(held) }, from, reason, now);
            } else if !same {
                self.turn(Mode::Hold, held, reason, now);
            }
            return;
        };
        // A refusal where none was to be expected: the limit may have fallen, far below what the
        // record of better times suggests. It shows on the way back to the rate that was held.
        let target = held.min(BELOW_A_TRIP * tripped);
        self.trust *= target / held;
        // Unless hints say that it has not: then it was an accident.
        let start = if self.states_window() { NEARLY } else { RESTART };
        let mode = Mode::Seek { growth: -RESTART.ln() / RETURN_S, target: Some(target) };
        self.turn(mode, target * start, reason, now);
    }

    pub(super) fn held_rate(&self) -> Option<f64> {
        let estimate = self.estimate.as_ref()?;
        Some(estimate.cautious * (1.0 - self.settings.margin) * self.trust)
    }
}

/// Which way the limit has moved, if the new estimate is of another than the old one.
fn moved(before: &Estimate, after: &Estimate) -> Option<PaceReason> {
    let ratio = after.rate.value / before.rate.value;
    match ratio {
        _ if before.rate.spread() > 1.0 + MOVED => None,
        _ if ratio < 1.0 - MOVED => Some(PaceReason::LimitFell),
        _ if ratio > 1.0 + MOVED => Some(PaceReason::LimitRose),
        _ => None,
    }
}
