//! A rate by feel: where no estimate explains the refusals, they come as often as is worth it.
//!
//! Each refusal lowers the rate by a little, and the time without one raises it so slowly that this is undone when the next
//! one may come: a stochastic approximation (Robbins and Monro, 1951) of the rate at which a wanted share is
//! refused, whether that is a wall or a chance that grows. How long that takes follows from what a refusal costs.

use std::time::Duration;

use crate::model::Moment;

/// By how much a refusal lowers the rate, as a logarithm.
const CUT: f64 = 0.03;
/// One that comes sooner than such a share of the usual time lowers it by twice as much, the next by twice that; at most
/// so much.
const SOON: f64 = 0.1;
const CUT_MAX: f64 = 0.5;
/// For each of several that came soon the way back begins at so much less, and takes so much longer, up to a time.
const NEAR: f64 = 0.9;
const BACK_S: f64 = 8.0;
const BACK_MAX_S: f64 = 120.0;
/// When the usual time has passed without one, the rate rises faster and faster: by so many cuts at twice that time, and
/// in all by no more than this, as a logarithm.
const LATE: f64 = 4.0;
const LATE_MOST: f64 = 10.0;
/// What was admitted on average over so many seconds may be sent again, unless refusals say otherwise.
const SUSTAINED_S: f64 = 120.0;
/// A refusal at less than this share of it says little.
const FAR_BELOW: f64 = 0.75;
/// A refusal is worth so many requests, and its pause so many times its length.
const REQUESTS_PER_REFUSAL: f64 = 800.0;
const TIMES_PAUSE: f64 = 50.0;
/// From here on a pause is long.
const DEAR: Duration = Duration::from_secs(10);
const SPAN_S: (f64, f64) = (5.0, 3_600.0);
/// How long what was admitted is remembered, in slices.
const SLICE_S: u64 = 2;
const SLICE_NS: u64 = SLICE_S * 1_000_000_000;
const SLICES: usize = 60;

/// Where the rate is, and how it goes on from there.
#[derive(Clone, Debug)]
pub(super) struct Feel {
    /// The rate at which the latest refusal came, as far as it may be sustained, and the one that came of it, per second.
    wall: f64,
    base: f64,
    /// When traffic flowed again.
    began_at: Moment,
    /// By how much the rate rises in the usual time, as a logarithm: by what the latest refusal lowered it, or more.
    cut: f64,
    /// Refusals that came soon, one after the other.
    row: u32,
    /// Refused requests of the present epoch, and what an epoch costs: refused requests, and seconds.
    refused: u32,
    cost: f64,
    pause: Duration,
    /// Requests admitted in the latest slices of time, and which of them is the present.
    slices: [u32; SLICES],
    slice: u64,
}

impl Default for Feel {
    fn default() -> Self {
        Self {
            wall: 0.0,
            base: 0.0,
            began_at: Moment::ZERO,
            cut: CUT,
            row: 0,
            refused: 0,
            cost: 1.0,
            pause: Duration::ZERO,
            slices: [0; SLICES],
            slice: 0,
        }
    }
}

impl Feel {
    pub(super) fn admitted(&mut self, now: Moment) {
        self.turn_to(now);
        self.slices[(self.slice % SLICES as u64) as usize] += 1;
    }

    pub(super) const fn refused(&mut self) {
        self.refused += 1;
    }

    fn turn_to(&mut self, now: Moment) {
        let slice = now.as_nanos() / SLICE_NS;
        for passed in (self.slice + 1)..=slice.min(self.slice + SLICES as u64) {
            self.slices[(passed % SLICES as u64) as usize] = 0;
        }
        self.slice = self.slice.max(slice);
    }

    /// What has been admitted in so many of the latest seconds, pauses included, per second.
    pub(super) fn average(&mut self, seconds: f64, now: Moment) -> f64 {
        self.turn_to(now);
        let slices = ((seconds / SLICE_S as f64).ceil() as u64).clamp(2, SLICES as u64);
        let sum: f64 = (0..slices)
            .filter_map(|i| self.slice.checked_sub(i))
            .map(|slice| f64::from(self.slices[(slice % SLICES as u64) as usize]))
            .sum();
        // The present slice is not over.
        let present = (now.as_nanos() % SLICE_NS) as f64 / 1e9;
        sum / ((slices - 1) as f64 * SLICE_S as f64 + present)
    }

    /// A refusal at this rate; `felt`: it is one of this mode.
    pub(super) fn tripped(&mut self, rate: f64, felt: bool, now: Moment) {
        let soon = felt && now.since(self.began_at).as_secs_f64() < SOON * self.span();
        self.row = if soon { self.row.saturating_add(1) } else { 0 };
        let twice = 2.0_f64.powi(i32::try_from(self.row).unwrap_or(i32::MAX));
        self.cut = (CUT * twice).min(CUT_MAX);
        let sustained = self.average(SUSTAINED_S, now);
        self.wall = rate.max(sustained);
        self.base = self.wall * (-self.cut).exp();
        if rate < sustained * FAR_BELOW {
            // What was admitted so far was still counted: that says little of where the wall is.
            self.cut = CUT_MAX;
        }
    }

    /// Traffic flows again after a pause.
    pub(super) fn opened(&mut self, held: Duration, now: Moment) {
        self.cost += 0.5 * (f64::from(self.refused.max(1)) - self.cost);
        self.pause = (self.pause + held) / 2;
        (self.refused, self.began_at) = (0, now);
    }

    /// How long it usually is from one refusal to the next, in seconds: as long as one is worth.
    fn span(&self) -> f64 {
        (REQUESTS_PER_REFUSAL * self.cost / self.base.max(1e-3))
            .max(TIMES_PAUSE * self.pause.as_secs_f64())
            .clamp(SPAN_S.0, SPAN_S.1)
    }

    /// The rate at this time.
    pub(super) fn rate(&self, now: Moment) -> f64 {
        let t = now.since(self.began_at).as_secs_f64();
        let spans = t / self.span();
        let late = LATE * (spans - 1.0).max(0.0).powi(2);
        let rate = self.base * (self.cut * (spans + late)).min(LATE_MOST).exp();
        // After several in a row, what was sent before is still counted: back step by step.
        let back_s = (BACK_S * f64::from(self.row)).min(BACK_MAX_S);
        if t < back_s { rate * NEAR.powf(f64::from(self.row) * (1.0 - t / back_s)) } else { rate }
    }

    /// How long a refusal has had traffic wait lately.
    pub(super) const fn pause(&self) -> Duration {
        self.pause
    }

    /// Whether a refusal costs a long pause.
    pub(super) fn is_dear(&self) -> bool {
        self.pause > DEAR
    }

    /// Whether a rate is about where the wall is.
    pub(super) fn agrees(&self, rate: f64) -> bool {
        (0.97..=1.03).contains(&(rate / self.wall))
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// A rate by feel for so many seconds, from a first refusal at `first` per second on. `chance`: that a request at a
    /// rate is refused. What was sent per second, and the share that was refused.
    fn felt(first: f64, seconds: f64, pause: f64, chance: impl Fn(f64, f64) -> f64) -> (f64, f64) {
        let at = |s: f64| Moment::ZERO + Duration::from_secs_f64(s);
        let mut rng = StdRng::seed_from_u64(5);
        let mut feel = Feel::default();
        let (mut t, mut sent, mut refused) = (1_000.0, 0.0, 0.0);
        let hold = Duration::from_secs_f64(pause);
        feel.tripped(first, false, at(t));
        feel.opened(hold, at(t));
        let end = t + seconds;
        while t < end {
            let rate = feel.rate(at(t));
            t += 1.0 / rate;
            sent += 1.0;
            if rng.random::<f64>() >= chance(rate, t - 1_000.0) {
                feel.admitted(at(t));
                continue;
            }
            refused += 1.0;
            feel.refused();
            feel.tripped(rate, true, at(t));
            t += pause;
            feel.opened(hold, at(t));
        }
        (sent / seconds, refused / sent)
    }

    #[test]
    fn a_chance_that_grows_with_the_rate_refuses_as_many_as_is_worth_it() {
        // At 75/s one in 500; the more the faster.
        let chance = |rate: f64, _| 0.002 * (rate / 75.0).powi(14);
        let (sent, share) = felt(110.0, 1_800.0, 0.5, chance);
        assert!((65.0..78.0).contains(&sent), "{sent} per second");
        assert!((0.0005..0.002).contains(&share), "{share} of them refused");
    }

    #[test]
    fn a_wall_is_kept_to_from_just_below() {
        let wall = |rate: f64, _| f64::from(u8::from(rate > 100.0));
        let (sent, share) = felt(103.0, 3_600.0, 0.5, wall);
        // Half of a cut, and the pauses.
        assert!(sent > 96.0, "{sent} of 100");
        assert!(share < 0.002, "{share} of them refused");
        let (sent, _) = felt(103.0, 36_000.0, 30.0, wall);
        assert!(sent > 94.0, "{sent} of 100, with pauses that are dear");
    }

    #[test]
    fn a_refusal_far_below_what_was_sustained_is_soon_left_behind() {
        let at = |s: f64| Moment::ZERO + Duration::from_secs_f64(s);
        let after = |rate: f64| {
            let mut feel = Feel::default();
            (0..1_200).for_each(|i| feel.admitted(at(100.0 + 0.1 * f64::from(i))));
            feel.tripped(rate, false, at(220.0));
            feel.opened(Duration::from_secs(2), at(222.0));
            (feel.rate(at(222.0)), feel.rate(at(302.0)))
        };
        let (low, later) = after(2.0);
        assert!((9.0..10.0).contains(&low), "about what was sustained, and not {low}");
        assert!(later > low * 1.4, "{later} after a while");
        let (wall, later) = after(10.5);
        assert!(later < wall * 1.05, "{later} after a refusal that says where the wall is");
    }

    #[test]
    fn a_wall_that_falls_is_followed_after_few_refusals_and_one_that_rises_in_time() {
        let moves = |to: f64| {
            move |rate: f64, t: f64| f64::from(u8::from(rate > if t < 600.0 { 100.0 } else { to }))
        };
        let (sent, share) = felt(103.0, 1_200.0, 0.5, moves(60.0));
        assert!(sent > 0.94 * 80.0 && share < 0.002, "{sent} of 80, {share} of them refused");
        let (sent, _) = felt(103.0, 1_200.0, 0.5, moves(200.0));
        assert!(sent > 0.93 * 150.0, "{sent} of 150");
    }
}
