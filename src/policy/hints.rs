//! What quota hints allow, as long as they are believed.
//!
//! A hint is as old as its answer: what was sent since has to be taken off what it says is left. A
//! refusal while plenty was left by that reckoning is a lie; two of them, in different epochs, and the
//! hints are not believed again.

use std::time::Duration;

use crate::model::{Answer, Moment, QuotaHint, Verdict};

/// Lies until hints are distrusted.
const LIES_MAX: u32 = 2;
/// A refusal with more than this share of the limit left (and more than so many requests) is a lie.
const PLENTY: (f64, f64) = (0.1, 3.0);

/// A quota that is said to have risen by this share of its limit in all, long before its reset and without one, is
/// another's. What comes free evenly until the reset is no rise, and neither are a few that overtook each other.
const RISEN: f64 = 0.2;
const OVERTAKEN: f64 = 2.0;
/// So is one of which others have used this share when so little of its time is over.
const USED: f64 = 0.5;
const BEGUN: f64 = 0.2;
/// Hints that have lied once, and say that nothing is left, are asked again after so long: by one request.
const DOUBTED: Duration = Duration::from_secs(2);
const LONG_BEFORE: Duration = Duration::from_secs(5);
const SAME_RESET: Duration = Duration::from_millis(1_100);
/// A quota of which this share is left is hardly touched.
const UNTOUCHED: f64 = 0.5;

/// The latest hints, and what they are worth.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HintGuard {
    latest: Option<Latest>,
    lies: u32,
    window: Option<Window>,
    /// By how much quotas have risen that could not, as a share of their limits.
    risen: f64,
    /// Since when one request may go out although nothing is left.
    asked_at: Option<Moment>,
    /// Refusals that follow one another are one lesson.
    refusing: bool,
}

#[derive(Clone, Copy, Debug)]
struct Latest {
    /// When the request was sent that was answered with it.
    sent_at: Moment,
    limit: f64,
    /// What is left, less what was sent since; negative when more was sent than was left.
    left: f64,
    /// What was said to be left, and how old that was when it came, in seconds.
    said: f64,
    age_s: f64,
    reset_at: Option<Moment>,
    heard_at: Moment,
}

/// What hints with one reset have said.
#[derive(Clone, Copy, Debug)]
struct Window {
    reset_at: Moment,
    /// What was left by the latest, and when that was heard.
    left: f64,
    heard_at: Moment,
    /// Requests that we have sent since the first.
    sent: f64,
}

impl Latest {
    fn is_untouched(&self) -> bool {
        self.said >= self.limit * UNTOUCHED
    }
}

impl HintGuard {
    /// Whether hints are believed; `None`: there has been none.
    pub(super) fn trusted(&self) -> Option<bool> {
        self.latest.map(|_| self.lies < LIES_MAX)
    }

    /// Whether they are not believed, whatever comes.
    pub(super) const fn lie(&self) -> bool {
        self.lies >= LIES_MAX
    }

    /// An earlier run has found that they lie.
    pub(super) const fn distrust(&mut self) {
        self.lies = LIES_MAX;
    }

    fn believed(&self) -> Option<&Latest> {
        self.latest.as_ref().filter(|_| self.lies < LIES_MAX)
    }

    pub(super) fn sent(&mut self) {
        if let Some(latest) = &mut self.latest {
            latest.left -= 1.0;
        }
        if let Some(window) = &mut self.window {
            window.sent += 1.0;
        }
    }

    /// One request may ask when the reset has come, or when there is reason to doubt that nothing is left until then.
    pub(super) fn review(&mut self, now: Moment) {
        let doubted = self.lies > 0 && self.vetoes(now);
        let Some(latest) = &mut self.latest else { return };
        if latest.reset_at.is_some_and(|at| at <= now) {
            latest.reset_at = None;
            latest.left = latest.left.max(1.0);
        } else if doubted
            && latest.reset_at.is_some_and(|at| at > now + LONG_BEFORE)
            && now.since(latest.heard_at) >= DOUBTED
        {
            latest.left = 1.0;
            self.asked_at = Some(now);
        }
    }

    /// What the answer to such a request says of them.
    fn confirm(&mut self, answer: &Answer) {
        if self.asked_at.take_if(|at| answer.sent_at >= *at).is_some() {
            match answer.verdict {
                Verdict::Accepted => self.lies += 1,
                Verdict::Throttled => self.lies = self.lies.saturating_sub(1),
                _ => {}
            }
        }
    }

    /// `later`: requests that were sent after the one that was answered.
    pub(super) fn answered(&mut self, answer: &Answer, later: u64, now: Moment) {
        self.confirm(answer);
        let throttled = answer.verdict == Verdict::Throttled;
        if throttled && !self.refusing {
            self.refusing = true;
            let had = self.latest.map(|l| (l.left + later as f64 + 1.0, l.limit));
            if had.is_some_and(|(left, limit)| left > (limit * PLENTY.0).max(PLENTY.1)) {
                self.lies += 1;
            }
        }
        if answer.verdict == Verdict::Accepted {
            self.refusing = false;
        }
        let Some((hint, limit, remaining)) = QuotaHint::tightest(&answer.hints) else { return };
        if self.latest.is_some_and(|latest| latest.sent_at > answer.sent_at) {
            return;
        }
        let heard_at = answer.headers_at.unwrap_or(now);
        let reset_at = hint.reset.map(|reset| heard_at + reset);
        self.compare(limit as f64, remaining as f64, reset_at, now);
        self.latest = Some(Latest {
            sent_at: answer.sent_at,
            limit: limit as f64,
            left: remaining as f64 - later as f64,
            said: remaining as f64,
            age_s: heard_at.since(answer.sent_at).as_secs_f64(),
            reset_at: reset_at.filter(|at| *at > now),
            heard_at,
        });
    }

    /// What is left of one window does not rise, and a new one has not been used before anybody could.
    fn compare(&mut self, limit: f64, left: f64, reset_at: Option<Moment>, now: Moment) {
        let before = self.window.take();
        let Some(reset_at) = reset_at.filter(|at| *at > now + LONG_BEFORE) else { return };
        self.window = Some(Window { reset_at, left, heard_at: now, sent: 0.0 });
        let Some(before) = before else { return };
        if before.reset_at.since(reset_at).max(reset_at.since(before.reset_at)) < SAME_RESET {
            let passed = now.since(before.heard_at).as_secs_f64();
            let freed = limit * passed / before.reset_at.since(before.heard_at).as_secs_f64();
            self.risen += (left - before.left - freed - OVERTAKEN).max(0.0) / limit;
            let lies = self.risen >= RISEN;
            self.lies += u32::from(lies);
            self.risen *= f64::from(u8::from(!lies));
            self.window = Some(Window { left, heard_at: now, ..before });
        } else if before.reset_at <= now {
            let begun = now.since(before.reset_at) < reset_at.since(now).mul_f64(BEGUN);
            self.lies += u32::from(begun && limit - left - before.sent > limit * USED);
        }
    }

    /// How old the latest was when it came, in seconds; `None`: none is believed.
    pub(super) fn age_s(&self) -> Option<f64> {
        self.believed().map(|latest| latest.age_s)
    }

    /// Whether most of the quota was left by the latest.
    pub(super) fn untouched(&self) -> bool {
        self.believed().is_some_and(Latest::is_untouched)
    }

    /// Whether nothing is left, and how long that will last.
    pub(super) fn exhausted(&self, now: Moment) -> Option<Duration> {
        let latest = self.believed().filter(|_| self.vetoes(now))?;
        latest.reset_at.map(|at| at.since(now))
    }

    /// Whether nothing is left before the reset.
    pub(super) fn vetoes(&self, now: Moment) -> bool {
        self.believed().is_some_and(|l| l.left < 1.0 && l.reset_at.is_some_and(|at| now < at))
    }

    /// The rate at which what is left lasts until the reset, per second.
    pub(super) fn rate_max(&self) -> f64 {
        let Some(latest) = self.believed() else { return f64::INFINITY };
        // Whoever asks does so soon; a veto sees to it that it is one.
        let Some(reset_at) = latest.reset_at.filter(|_| self.asked_at.is_none()) else {
            return f64::INFINITY;
        };
        let until = reset_at.since(latest.heard_at).as_secs_f64();
        let lasting = (latest.left.max(0.0) + 1.0) / until.max(1e-6);
        // A quota that is hardly touched refills as fast as it is used (a bucket's reset is when it is full again): a
        // faster rate shows in the hints, as long as they come before all of it can be gone.
        if latest.is_untouched() {
            lasting.max(0.5 * latest.said / latest.age_s.max(1e-6))
        } else {
            lasting
        }
    }
}
