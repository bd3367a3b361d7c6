//! What answers state of a quota, where that was right before: who states another one says himself that it moved.

use super::MOVED;

/// Answers that state it, and how long they do, in seconds, at least.
const ANSWERS: u32 = 12;
const SECONDS: f64 = 2.0;

/// The quota that is stated.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stated {
    /// That of the limit that is believed.
    held: Option<f64>,
    /// A smaller one that is stated instead.
    less: Option<Less>,
}

#[derive(Clone, Copy, Debug)]
struct Less {
    limit: f64,
    since: f64,
    answers: u32,
}

impl Stated {
    /// An answer to a request of `t` (in seconds) states a quota; `believed`: that of the limit that is believed.
    pub(super) fn note(&mut self, limit: f64, believed: Option<f64>, t: f64) {
        if believed.is_some_and(|believed| (believed / limit - 1.0).abs() < 0.01) {
            (self.held, self.less) = (Some(limit), None);
            return;
        }
        let less = self.held.is_some_and(|held| limit < held * (1.0 - MOVED));
        let same = self.less.filter(|less| less.limit == limit);
        let begun = Less { limit, since: t, answers: 0 };
        self.less = less.then(|| {
            let so_far = same.unwrap_or(begun);
            Less { answers: so_far.answers + 1, ..so_far }
        });
    }

    /// Whether answers state another quota than they did of the limit that is believed.
    pub(super) fn differs(&self, quota: f64) -> bool {
        self.held.is_some_and(|held| held != quota)
    }

    /// So much of the believed limit was used, and more admitted: what is stated since a window ago, and is less, is
    /// not the limit.
    pub(super) fn admitted(&mut self, share: f64, grain: f64, t: f64, window: f64) {
        let Some((held, less)) = self.held.zip(self.less) else { return };
        let over = share > less.limit / held * (1.0 + MOVED) + grain;
        if over && t > less.since + window {
            *self = Self::default();
        }
    }

    /// What is left of the limit, as a share, and since when, when that has been stated for long enough.
    pub(super) fn fell(&self, t: f64, window: f64) -> Option<(f64, f64)> {
        let (held, less) = self.held.zip(self.less)?;
        let enough = less.answers >= ANSWERS && t - less.since >= SECONDS.max(window);
        enough.then_some((less.limit / held, less.since))
    }
}
