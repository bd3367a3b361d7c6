//! What a member says of a hint before it is read.

use super::Note;

/// What a member says at the time of a note: how much is used, and when the quota is whole again.
#[derive(Clone, Copy)]
pub(super) struct Prediction {
    pub(super) used: f64,
    /// How far off that may be, for what a member stands for beside itself.
    pub(super) give: f64,
    pub(super) reset: f64,
}

impl Prediction {
    pub(super) const fn exactly(used: f64, reset: f64) -> Self {
        Self { used, give: 0.0, reset }
    }

    /// If what is used may also be anything up to this.
    pub(super) fn up_to(self, most: f64) -> Self {
        let more = (most - self.used).max(0.0) / 2.0;
        Self { used: self.used + more, give: self.give + more, ..self }
    }

    /// That of a member that stands for all between two others.
    pub(super) fn between(self, other: Self) -> Self {
        Self {
            used: (self.used + other.used) / 2.0,
            give: (self.used - other.used).abs() / 2.0,
            reset: (self.reset + other.reset) / 2.0,
        }
    }
}

/// What is said by a member that stands for all between two others.
pub(super) fn between(
    mut one: impl FnMut(&Note) -> Prediction,
    mut other: impl FnMut(&Note) -> Prediction,
) -> impl FnMut(&Note) -> Prediction {
    move |note| one(note).between(other(note))
}
