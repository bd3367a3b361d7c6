//! A rate by feel: where no estimate explains the refusals, the rate hovers about the place of the latest.
//!
//! It comes back fast to just below that place, stays there for long, and passes it slower than it came
//! (the curve of TCP CUBIC). How long it stays follows from what a refusal costs.

use std::time::Duration;

use crate::model::Moment;

/// The share of the wall at which the rate begins again after a refusal, and of that for each refusal that came on the
/// way back.
const CUT: f64 = 0.8;
const CUT_AGAIN: f64 = 0.5;
const CUT_LEAST: f64 = 0.02;
/// The rate is back at this share of the wall in so many seconds, twice as many for each refusal of a row, at most so many.
const NEAR: f64 = 0.96;
const BACK_S: f64 = 8.0;
const BACK_MAX_S: f64 = 120.0;
/// And stays just under this one.
const TOP: f64 = 0.99;
/// It passes the wall, and goes on, by so much of it in as long as it stayed.
const SLOPE: f64 = 0.1;
/// A refusal is worth so many requests, and its pause so many times its length.
const REQUESTS_PER_REFUSAL: f64 = 600.0;
const TIMES_PAUSE: f64 = 50.0;
/// From here on a pause is long.
const DEAR: Duration = Duration::from_secs(10);
const SPAN_S: (f64, f64) = (20.0, 3_600.0);
/// A refusal below this share of the wall came on the way back.
const WAY: f64 = 0.9;
/// It lowers the wall to no less than so much of it: what was sent before may have brought it on.
const STEP_DOWN: f64 = 0.8;
/// One that comes sooner than so many pauses after the last lowers the wall by so much more, the next by twice as much.
const SOON: f64 = 10.0;
const FALL: f64 = 0.025;
const FALL_MAX: f64 = 0.25;
/// How long what was admitted is remembered, in slices.
const SLICE_S: u64 = 2;
const SLICE_NS: u64 = SLICE_S * 1_000_000_000;
const SLICES: usize = 60;

/// The place of the wall, and the way back to it.
#[derive(Clone, Debug)]
pub(super) struct Feel {
    /// The rate at which the latest refusal came.
    wall: f64,
    /// Where the way back began, as a share of the wall, when, and how long it takes.
    from: f64,
    began_at: Moment,
    back_s: f64,
    /// Refusals that came on the way back, one after the other.
    row: u32,
    /// Refusals that came soon after a pause, one after the other.
    soon: i32,
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
            from: CUT,
            began_at: Moment::ZERO,
            back_s: BACK_S,
            row: 0,
            soon: 0,
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

    /// A refusal at this rate; `felt`: it is the one of this time.
    pub(super) fn tripped(&mut self, rate: f64, felt: bool, now: Moment) {
        let on_the_way = rate < WAY * self.wall;
        self.row = if on_the_way { self.row + 1 } else { 0 };
        // One that comes soon, as pauses go, says that this rate is too high for what a pause gives back.
        let soon = felt && !on_the_way && now.since(self.began_at) < self.pause.mul_f64(SOON);
        self.soon = if soon { self.soon + 1 } else { 0 };
        let fall = if soon { FALL * 2.0_f64.powi(self.soon.min(4)) } else { 0.0 };
        self.wall = (rate * (1.0 - fall.min(FALL_MAX))).max(if on_the_way {
            STEP_DOWN * self.wall
        } else {
            0.0
        });
        let again = i32::try_from(self.row).unwrap_or(i32::MAX);
        self.from = (CUT * CUT_AGAIN.powi(again)).max(CUT_LEAST);
        self.back_s = (BACK_S * 2.0_f64.powi(again)).min(BACK_MAX_S);
    }

    /// Traffic flows again after a pause.
    pub(super) fn opened(&mut self, held: Duration, now: Moment) {
        self.cost += 0.5 * (f64::from(self.refused.max(1)) - self.cost);
        self.pause = (self.pause + held) / 2;
        (self.refused, self.began_at) = (0, now);
    }

    /// The rate at this time.
    pub(super) fn rate(&self, now: Moment) -> f64 {
        let t = now.since(self.began_at).as_secs_f64();
        if t < self.back_s {
            let (low, high) = (self.from.ln(), NEAR.ln());
            return self.wall * (low + (high - low) * t / self.back_s).exp();
        }
        let span = (REQUESTS_PER_REFUSAL * self.cost / self.wall.max(1e-3))
            .max(TIMES_PAUSE * self.pause.as_secs_f64())
            .clamp(SPAN_S.0, SPAN_S.1);
        let x = (t - self.back_s) / span - 1.0;
        let slope = if x < 0.0 { TOP - NEAR } else { SLOPE };
        self.wall * (TOP + slope * x.powi(3))
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
