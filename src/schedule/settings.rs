//! What a schedule is made from.

use std::time::Duration;

use crate::model::Rate;

/// How a stream's slots are laid out in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduleSettings {
    /// The full rate, reached at the end of the ramp and never exceeded in intensity.
    pub rate: Rate,
    /// Even spacing, or random.
    pub arrivals: Arrivals,
    /// Time in which the rate rises linearly from zero to full; zero for none.
    pub ramp: Duration,
    /// How many slots that came due while the process was held up may still be sent, back to
    /// back. Older ones are skipped: sending them all is what trips a hard cap.
    pub catch_up_slots: u32,
}

/// The spacing of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Arrivals {
    /// Even: the gentlest way to use a rate.
    #[default]
    Uniform,
    /// Independent exponential gaps. At 0.9 of a cap it exceeds the cap in about one in seven
    /// one-second windows, so it is a choice for realism and not for throughput.
    Poisson,
}
