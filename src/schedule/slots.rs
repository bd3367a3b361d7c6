//! The slots of one stream, on absolute time.
//!
//! Slot *i* is due at a time computed from *i*, so that the schedule never drifts and a backlog of
//! any length is counted in one step (uniform arrivals) or one cheap draw a slot (Poisson).

use std::collections::VecDeque;
use std::time::Duration;

use rand::{Rng, RngExt};

use super::ramp::Ramp;
use super::{Arrivals, ScheduleSettings};
use crate::model::{Moment, Rate};

/// When the slots of a stream are due.
#[derive(Clone, Debug)]
pub struct Schedule {
    rate: Rate,
    ramp: Ramp,
    anchor: Moment,
    last_due: Option<Moment>,
    arrivals: State,
}

#[derive(Clone, Debug)]
enum State {
    /// The index of the next slot, and that of the first one which there is not.
    Uniform { next: u64, end: u64 },
    /// Operational time of the next slot to be drawn after `pending`; `pending` holds the slots
    /// already drawn and not yet taken, at least one, at most the catch-up bound.
    Poisson { drawn_ns: u64, pending: VecDeque<Moment> },
}

impl Schedule {
    /// A schedule whose first slot is `phase` of a period after `at`; `phase` in `[0, 1)` spreads
    /// streams of one rate over its period instead of letting them fire together.
    pub fn start(settings: &ScheduleSettings, at: Moment, phase: f64, rng: &mut impl Rng) -> Self {
        let shift = settings.rate.period().mul_f64(phase.clamp(0.0, 1.0));
        let ramp_ns = u64::try_from(settings.ramp.as_nanos()).unwrap_or(u64::MAX);
        let arrivals = match settings.arrivals {
            Arrivals::Uniform => State::Uniform { next: 0, end: u64::MAX },
            Arrivals::Poisson => State::Poisson { drawn_ns: 0, pending: VecDeque::new() },
        };
        let mut schedule = Self {
            rate: settings.rate,
            ramp: Ramp::new(ramp_ns),
            anchor: at + shift,
            last_due: None,
            arrivals,
        };
        schedule.draw_ahead(rng);
        schedule
    }

    /// A schedule without slots, until it is told of a burst.
    #[must_use]
    pub const fn idle(rate: Rate) -> Self {
        Self {
            rate,
            ramp: Ramp::new(0),
            anchor: Moment::ZERO,
            last_due: None,
            arrivals: State::Uniform { next: 0, end: 0 },
        }
    }

    /// Lays out so many slots evenly at a rate, and nothing after them. The first is due now, or where a slot
    /// was taken before, one period of `ceiling` after that.
    pub fn burst(&mut self, rate: Rate, count: u64, ceiling: Rate, now: Moment) {
        self.anchor = self.last_due.map_or(now, |last| now.max(last + ceiling.period()));
        self.rate = rate;
        self.ramp = Ramp::new(0);
        self.arrivals = State::Uniform { next: 0, end: count };
    }

    /// The slot that was taken last went out at `now`: those of a burst that follow keep their distance to it, but for an
    /// eighth of a period, which may be made up for.
    pub fn keep_distance(&mut self, now: Moment) {
        let Some(due) = self.last_due else { return };
        let late = now.since(due).saturating_sub(self.rate.period() / 8);
        self.anchor += late;
        self.last_due = Some(now.max(due));
    }

    /// Takes the slots that are left away: they were never planned.
    pub fn end(&mut self) {
        self.arrivals = State::Uniform { next: 0, end: 0 };
    }

    /// Goes on at another rate from `now`: the next slot is one new period after the last one that
    /// was taken, or at once if that has passed. The ramp belongs to the start and is over.
    pub fn change_rate(&mut self, rate: Rate, now: Moment, rng: &mut impl Rng) {
        let earliest = now - rate.period();
        self.anchor = self.last_due.map_or(now, |last| last.max(earliest));
        self.rate = rate;
        self.ramp = Ramp::new(0);
        match &mut self.arrivals {
            State::Uniform { next, .. } => *next = u64::from(self.last_due.is_some()),
            State::Poisson { drawn_ns, pending } => {
                *drawn_ns = 0;
                pending.clear();
                self.anchor = now;
            }
        }
        self.draw_ahead(rng);
    }

    /// When the next slot is due.
    #[must_use]
    pub fn next_due(&self) -> Moment {
        match &self.arrivals {
            State::Uniform { next, end } if next >= end => Moment::NEVER,
            State::Uniform { next, .. } => self.at(self.rate.nanos_to(*next)),
            State::Poisson { pending, .. } => pending.front().copied().unwrap_or(Moment::NEVER),
        }
    }

    /// Takes the next slot and returns when it was due.
    pub fn take(&mut self, rng: &mut impl Rng) -> Moment {
        let due = self.next_due();
        match &mut self.arrivals {
            State::Uniform { next, .. } => *next += 1,
            State::Poisson { pending, .. } => {
                pending.pop_front();
            }
        }
        self.last_due = Some(due);
        self.draw_ahead(rng);
        due
    }

    /// Discards every slot due before `at`; returns how many.
    pub fn skip_before(&mut self, at: Moment, rng: &mut impl Rng) -> u64 {
        if at == Moment::ZERO { 0 } else { self.trim(at - Duration::from_nanos(1), 0, rng) }
    }

    /// Discards the slots due up to and including `now`, but for the latest `keep`; returns how
    /// many were discarded.
    pub fn trim(&mut self, now: Moment, keep: u32, rng: &mut impl Rng) -> u64 {
        if self.next_due() > now {
            return 0;
        }
        let through = self.rate.events_through(self.operational(now));
        let State::Uniform { next, end } = &mut self.arrivals else {
            return self.trim_drawn(now, keep as usize, rng);
        };
        let through = through.min(*end);
        let discarded = through.saturating_sub(*next).saturating_sub(u64::from(keep));
        *next += discarded;
        if let Some(last) = next.checked_sub(1).filter(|_| discarded > 0) {
            self.last_due = Some(self.at(self.rate.nanos_to(last)));
        }
        discarded
    }

    /// The rate that the schedule aims at, per second, the ramp included.
    #[must_use]
    pub fn rate_at(&self, now: Moment) -> f64 {
        if self.next_due() == Moment::NEVER {
            return 0.0;
        }
        let elapsed = u64::try_from(now.since(self.anchor).as_nanos()).unwrap_or(u64::MAX);
        self.rate.per_second() * self.ramp.share(elapsed)
    }

    fn trim_drawn(&mut self, now: Moment, keep: usize, rng: &mut impl Rng) -> u64 {
        let mut discarded = 0;
        loop {
            let State::Poisson { pending, .. } = &mut self.arrivals else { return discarded };
            let overdue = pending.iter().take_while(|due| **due <= now).count();
            let all_drawn = overdue < pending.len();
            for _ in 0..overdue.saturating_sub(keep) {
                pending.pop_front();
                discarded += 1;
            }
            if all_drawn {
                return discarded;
            }
            self.draw_one(rng);
        }
    }

    fn draw_ahead(&mut self, rng: &mut impl Rng) {
        if matches!(&self.arrivals, State::Poisson { pending, .. } if pending.is_empty()) {
            self.draw_one(rng);
        }
    }

    /// Draws the next Poisson slot: exponential gaps in operational time.
    fn draw_one(&mut self, rng: &mut impl Rng) {
        let (anchor, ramp, mean_ns) = (self.anchor, self.ramp, 1e9 / self.rate.per_second());
        if let State::Poisson { drawn_ns, pending } = &mut self.arrivals {
            // 1 − u is in (0, 1], so the logarithm is finite.
            let gap = -(1.0 - rng.random::<f64>()).ln() * mean_ns;
            *drawn_ns = drawn_ns.saturating_add(gap.round() as u64);
            pending.push_back(anchor + Duration::from_nanos(ramp.real(*drawn_ns)));
        }
    }

    fn at(&self, operational_ns: u64) -> Moment {
        self.anchor + Duration::from_nanos(self.ramp.real(operational_ns))
    }

    fn operational(&self, now: Moment) -> u64 {
        let elapsed = u64::try_from(now.since(self.anchor).as_nanos()).unwrap_or(u64::MAX);
        self.ramp.operational(elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    const START: Moment = Moment::from_nanos(5_000_000_000);

    fn settings(rate: &str, arrivals: Arrivals, ramp: Duration) -> ScheduleSettings {
        ScheduleSettings { rate: rate.parse().expect("a rate"), arrivals, ramp, catch_up_slots: 5 }
    }

    fn after(seconds: f64) -> Moment {
        START + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_day_of_odd_periods_ends_on_the_nanosecond() {
        let mut rng = StdRng::seed_from_u64(1);
        let uniform = settings("97.3/s", Arrivals::Uniform, Duration::ZERO);
        let mut schedule = Schedule::start(&uniform, START, 0.0, &mut rng);
        let slots = 86_400 * 973 / 10;
        assert_eq!(schedule.skip_before(after(86_400.0), &mut rng), slots);
        assert_eq!(schedule.next_due(), after(86_400.0));
    }

    #[test]
    fn a_backlog_keeps_only_its_latest_slots() {
        let mut rng = StdRng::seed_from_u64(1);
        for arrivals in [Arrivals::Uniform, Arrivals::Poisson] {
            let mut schedule =
                Schedule::start(&settings("100/s", arrivals, Duration::ZERO), START, 0.0, &mut rng);
            let now = after(60.0);
            let late = schedule.trim(now, 6, &mut rng);
            assert!((5_500..6_500).contains(&late), "{arrivals:?}: {late}");
            let mut sent = 0;
            while schedule.next_due() <= now {
                schedule.take(&mut rng);
                sent += 1;
            }
            assert_eq!(sent, 6, "{arrivals:?}");
        }
    }

    #[test]
    fn poisson_arrivals_have_the_mean_and_the_spread_of_the_law() {
        let mut rng = StdRng::seed_from_u64(7);
        let poisson = settings("100/s", Arrivals::Poisson, Duration::ZERO);
        let mut schedule = Schedule::start(&poisson, START, 0.0, &mut rng);
        let mut counts = Vec::new();
        for second in 1..=2_000 {
            counts.push(schedule.skip_before(after(f64::from(second)), &mut rng) as f64);
        }
        let mean = counts.iter().sum::<f64>() / counts.len() as f64;
        let variance = counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / counts.len() as f64;
        // Standard errors at 2,000 seconds: 0.22 of the mean, 3.2 of the variance.
        assert!((mean - 100.0).abs() < 1.0, "mean {mean}");
        assert!((variance - 100.0).abs() < 16.0, "variance {variance}");
    }

    #[test]
    fn a_changed_rate_continues_from_the_last_slot() {
        let mut rng = StdRng::seed_from_u64(1);
        let slow = settings("1/min", Arrivals::Uniform, Duration::ZERO);
        let mut schedule = Schedule::start(&slow, START, 0.0, &mut rng);
        assert_eq!(schedule.take(&mut rng), START);
        schedule.change_rate("2/min".parse().expect("a rate"), after(10.0), &mut rng);
        assert_eq!(schedule.next_due(), after(30.0));
        schedule.change_rate("1/s".parse().expect("a rate"), after(20.0), &mut rng);
        assert_eq!(schedule.next_due(), after(20.0), "overdue at the new rate: at once, one only");
        assert_eq!(schedule.trim(after(20.0), 0, &mut rng), 1);
        assert_eq!(schedule.next_due(), after(21.0));
    }

    #[test]
    fn the_ramp_reports_the_rate_it_has_reached() {
        let mut rng = StdRng::seed_from_u64(1);
        let ramped = settings("100/s", Arrivals::Uniform, Duration::from_secs(10));
        let schedule = Schedule::start(&ramped, START, 0.0, &mut rng);
        assert!((schedule.rate_at(after(5.0)) - 50.0).abs() < 1e-6);
        assert!((schedule.rate_at(after(50.0)) - 100.0).abs() < 1e-6);
    }

    proptest! {
        /// The plan's intensity never exceeds the configured rate: any window holds at most
        /// rate × window + 1 slots, whatever the ramp.
        #[test]
        fn uniform_slots_never_exceed_the_rate(events in 1_u64..2_000, ramp_ms in 0_u64..5_000, window_ms in 1_u64..3_000, from_ms in 0_u64..8_000) {
            let mut rng = StdRng::seed_from_u64(1);
            let rate = Rate::per_sec(events).expect("in bounds");
            let mut schedule = Schedule::start(
                &ScheduleSettings { rate, arrivals: Arrivals::Uniform, ramp: Duration::from_millis(ramp_ms), catch_up_slots: 0 },
                START, 0.0, &mut rng);
            let from = START + Duration::from_millis(from_ms);
            schedule.skip_before(from, &mut rng);
            let count = schedule.skip_before(from + Duration::from_millis(window_ms), &mut rng);
            let most = (events * window_ms).div_ceil(1_000) + 1;
            prop_assert!(count <= most, "{count} > {most}");
        }

        /// Counting in bulk and taking one by one agree.
        #[test]
        fn bulk_equals_one_by_one(events in 1_u64..500, ramp_ms in 0_u64..3_000, until_ms in 0_u64..5_000, poisson: bool) {
            let arrivals = if poisson { Arrivals::Poisson } else { Arrivals::Uniform };
            let settings = ScheduleSettings { rate: Rate::per_sec(events).expect("in bounds"), arrivals, ramp: Duration::from_millis(ramp_ms), catch_up_slots: 0 };
            let (mut rng_a, mut rng_b) = (StdRng::seed_from_u64(3), StdRng::seed_from_u64(3));
            let mut bulk = Schedule::start(&settings, START, 0.3, &mut rng_a);
            let mut single = Schedule::start(&settings, START, 0.3, &mut rng_b);
            let until = START + Duration::from_millis(until_ms);
            let counted = bulk.skip_before(until, &mut rng_a);
            let mut taken = 0;
            while single.next_due() < until {
                single.take(&mut rng_b);
                taken += 1;
            }
            prop_assert_eq!(counted, taken);
            prop_assert_eq!(bulk.next_due(), single.next_due());
        }
    }
}
