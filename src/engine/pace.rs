//! The pace of one gate: the evenly spaced plan that its adaptive streams share, what was learned of
//! the limit, and what has been told of it. Which stream may send, and why not, is not known here.

use std::time::Duration;

use rand::Rng;

use super::spread;
use super::timers::Armed;
use crate::infer::Found;
use crate::model::{Answer, Estimate, GateId, Moment, Pace, Rate, SkipReason};
use crate::policy::{Adaptive, AdaptiveSettings};
use crate::schedule::{Arrivals, Claim, Schedule, ScheduleSettings, Turns};

/// What adaptive streams may send whatever else is going on, per second: where nothing is sent,
/// nothing is learned.
const LEAST: f64 = 1.0 / 60.0;

/// How often the ceilings of streams that ramp up are looked at.
const RAMP_STEP: Duration = Duration::from_millis(100);

/// Changes of the rate alone are told at most this often.
const TELL_PERIOD: Duration = Duration::from_millis(250);

/// A policy that asks for a review at once is asked again no sooner than after this.
const REVIEW_LEAST: Duration = Duration::from_millis(1);

/// Why no tick can be used at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// Ticks can be used.
    No,
    /// One reason for all streams.
    All(SkipReason),
    /// Every stream has its own, noted with it.
    Each,
}

/// What configuration and ramps allow the streams behind a gate now.
#[derive(Debug)]
pub(super) struct Terms {
    /// Of its adaptive streams.
    pub(super) claims: Vec<Claim>,
    /// What its fixed streams send, per second.
    pub(super) fixed: f64,
    /// The largest of its adaptive streams.
    pub(super) catch_up_slots: u32,
    /// A ramp is going on.
    pub(super) ramping: bool,
}

impl Terms {
    pub(super) const NONE: Self =
        Self { claims: Vec::new(), fixed: 0.0, catch_up_slots: 0, ramping: false };

    /// Adds an adaptive stream. At the start of a ramp it may have next to nothing.
    pub(super) fn admit(&mut self, mut claim: Claim, settings: &ScheduleSettings) {
        let full = settings.rate.per_second();
        self.ramping |= claim.ceiling < full;
        claim.ceiling = claim.ceiling.max(full.min(LEAST));
        self.claims.push(claim);
        self.catch_up_slots = self.catch_up_slots.max(settings.catch_up_slots);
    }

    /// Adds a fixed stream that sends at `rate` now.
    pub(super) fn endure(&mut self, rate: f64, settings: &ScheduleSettings) {
        self.ramping |= rate < settings.rate.per_second();
        self.fixed += rate;
    }

    fn ceiling(&self) -> f64 {
        self.fixed + self.claims.iter().map(|claim| claim.ceiling).sum::<f64>()
    }
}

/// What is known of a limit when its pace begins.
#[derive(Debug)]
pub(super) enum Prior {
    Nothing,
    /// By an earlier run of the daemon.
    Remembered(Box<Estimate>),
    /// By another gate, round the same streams.
    Here(Box<Adaptive>),
}

/// The pace of one gate.
#[derive(Debug)]
pub(super) struct GatePace {
    pub(super) schedule: Schedule,
    pub(super) turns: Turns,
    pub(super) adaptive: Adaptive,
    settings: AdaptiveSettings,
    ceiling: f64,
    fixed: f64,
    /// What is divided among the adaptive streams, per second, and the plan that it makes.
    total: f64,
    rate: Rate,
    pub(super) catch_up_slots: u32,
    pub(super) armed: Armed,
    pub(super) held: Held,
    /// Something has happened that the policy has not been asked about.
    news: bool,
    /// When to look at ramps again.
    ceilings_at: Moment,
    /// When to look for messages whose deadline has passed.
    pub(super) expire_at: Moment,
    told: Option<(Moment, Pace)>,
    /// When to tell what was kept back.
    tell_at: Moment,
}

impl GatePace {
    pub(super) fn new(
        gate: GateId,
        prior: Prior,
        settings: AdaptiveSettings,
        terms: Terms,
        now: Moment,
        rng: &mut impl Rng,
    ) -> Self {
        let ceiling = terms.ceiling();
        let adaptive = match prior {
            Prior::Nothing => Adaptive::new(settings, ceiling, None, now),
            Prior::Remembered(estimate) => Adaptive::new(settings, ceiling, Some(*estimate), now),
            Prior::Here(mut known) => {
                known.configure(settings, ceiling, now);
                *known
            }
        };
        let mut turns = Turns::default();
        let total = total(&adaptive, terms.fixed);
        let rate = Rate::nearest(turns.divide(total, terms.claims, now));
        let plan = ScheduleSettings {
            rate,
            arrivals: Arrivals::Uniform,
            ramp: Duration::ZERO,
            catch_up_slots: terms.catch_up_slots,
        };
        let phase = spread(gate.0);
        Self {
            schedule: Schedule::start(&plan, now, phase, rng),
            turns,
            adaptive,
            settings,
            ceiling,
            fixed: terms.fixed,
            total,
            rate,
            catch_up_slots: terms.catch_up_slots,
            armed: Armed::NOT,
            held: Held::No,
            news: true,
            ceilings_at: ceilings_at(terms.ramping, now),
            expire_at: now,
            told: None,
            tell_at: Moment::NEVER,
        }
    }

    /// Configuration or a ramp has changed what is allowed. The ticks until now must have been dealt
    /// with.
    pub(super) fn configure(
        &mut self,
        settings: AdaptiveSettings,
        terms: Terms,
        now: Moment,
        rng: &mut impl Rng,
    ) {
        let ceiling = terms.ceiling();
        if self.settings != settings || self.ceiling != ceiling {
            self.adaptive.configure(settings, ceiling, now);
        }
        (self.settings, self.ceiling, self.fixed) = (settings, ceiling, terms.fixed);
        self.catch_up_slots = terms.catch_up_slots;
        self.ceilings_at = ceilings_at(terms.ramping, now);
        self.news = true;
        self.total = total(&self.adaptive, self.fixed);
        let given = self.turns.divide(self.total, terms.claims, now);
        self.change_rate(given, now, rng);
    }

    /// Whether the policy, or a ramp, has to be looked at.
    pub(super) fn is_due(&self, now: Moment) -> bool {
        self.news || self.look_at(Moment::ZERO) <= now
    }

    pub(super) fn ceilings_are_due(&self, now: Moment) -> bool {
        self.ceilings_at <= now
    }

    /// When [`Self::is_due`] next, if nothing happens before.
    pub(super) fn look_at(&self, now: Moment) -> Moment {
        let review_at = self.adaptive.review_at().max(now + REVIEW_LEAST);
        review_at.min(self.ceilings_at).min(self.tell_at)
    }

    /// Asks the policy for its rate. The ticks until now must have been dealt with.
    pub(super) fn review(&mut self, now: Moment, rng: &mut impl Rng) {
        self.news = false;
        self.adaptive.review(now);
        let total = total(&self.adaptive, self.fixed);
        if total != self.total {
            self.total = total;
            let given = self.turns.share_out(total);
            self.change_rate(given, now, rng);
        }
    }

    fn change_rate(&mut self, given: f64, now: Moment, rng: &mut impl Rng) {
        let rate = Rate::nearest(given);
        if rate != self.rate {
            self.rate = rate;
            self.schedule.change_rate(rate, now, rng);
        }
    }

    /// The pace, when there is something to tell. A climb is told in steps.
    pub(super) fn tell(&mut self, now: Moment) -> Option<Pace> {
        self.tell_at = Moment::NEVER;
        let pace = self.adaptive.pace();
        if let Some((told_at, told)) = &self.told {
            if !has_changed(told, &pace) {
                return None;
            }
            let again_at = *told_at + TELL_PERIOD;
            if only_faster_or_slower(told, &pace) && now < again_at {
                self.tell_at = again_at;
                return None;
            }
        }
        self.told = Some((now, pace.clone()));
        Some(pace)
    }

    pub(super) fn fitted(&mut self, found: &Found, now: Moment) {
        if found.news {
            self.adaptive.estimated(found.estimate.clone(), now);
        }
        self.news = true;
    }

    pub(super) fn sent(&mut self, now: Moment) {
        self.adaptive.sent(now);
    }

    /// `later`: requests of the scope that were sent after this one.
    pub(super) fn answered(&mut self, answer: &Answer, later: u64, now: Moment) {
        self.adaptive.answered(answer, later, now);
        self.news = true;
    }

    pub(super) fn closed(&mut self, now: Moment) {
        self.adaptive.closed(now);
        self.news = true;
    }

    /// The gate is closed, and was before there was a pace.
    pub(super) fn rest(&mut self) {
        self.adaptive.rest();
        self.news = true;
    }

    pub(super) fn opened(&mut self, held: Duration, now: Moment) {
        self.adaptive.opened(held, now);
        self.news = true;
    }
}

/// What is left for adaptive streams of the rate that the policy gives the whole scope.
fn total(adaptive: &Adaptive, fixed: f64) -> f64 {
    let rate = adaptive.rate();
    (rate - fixed).max(rate.min(LEAST)).max(f64::MIN_POSITIVE)
}

fn ceilings_at(ramping: bool, now: Moment) -> Moment {
    if ramping { now + RAMP_STEP } else { Moment::NEVER }
}

fn only_faster_or_slower(told: &Pace, now: &Pace) -> bool {
    told.state == now.state
        && told.estimate == now.estimate
        && told.hints_trusted == now.hints_trusted
        && told.in_flight_max == now.in_flight_max
}

fn has_changed(told: &Pace, now: &Pace) -> bool {
    let moved = |a: f64, b: f64| (a - b).abs() > 0.01 * a.abs();
    !only_faster_or_slower(told, now)
        || told.reason != now.reason
        || moved(told.rate, now.rate)
        || moved(told.ceiling, now.ceiling)
}
