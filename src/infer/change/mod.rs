//! Tells when a limit moved: a sequential test of what is admitted and refused against what is believed.
//!
//! The believed limiter is asked about every request (the [`meter`]). A refusal that it would not make is
//! evidence that the limit fell: for each of some [`cells`](meter::CELLS) of a fallen limit, a CUSUM of the
//! likelihood ratio of "it lies in this cell" against "it is as believed, and requests are refused by chance once in
//! so many". An admission that the believed limiter would not make is evidence that it rose. The threshold
//! is that of Lorden's bound: the time to a false alarm is no less than [`FALSE_ALARM_EVERY`] on average.

mod background;
mod belief;
mod decide;
mod floor;
mod meter;
mod scores;
mod stated;

#[cfg(test)]
mod tests;

use std::time::Duration;

use self::background::Background;
use self::floor::Floor;
use self::meter::Meter;
use self::scores::{Rise, Scores};
use self::stated::Stated;
use crate::model::{ChangeSight, Estimate, Interval, LimitChange, LimitDirection, Moment};

/// Time of sending at the believed limit to a false alarm, at least and on average, unless told otherwise: a quarter
/// of a year.
pub const FALSE_ALARM_EVERY: Duration = Duration::from_secs(90 * 86_400);
/// A refusal by chance lifts several cells, each of which may raise the alarm: all of them together not much more
/// often than one (the bench `change` shows how often).
const OVERLAP: f64 = 2.0;
/// How often limits move, for the confidence that is told: once a month, in seconds.
const MOVES_EVERY_S: f64 = 30.0 * 86_400.0;
/// An estimate whose ends are closer than this is held against what comes.
const FIRM: f64 = 1.1;
/// So much of the evidence is enough where a firm estimate says the same: more than one refusal.
const MOST: f64 = 0.75;
/// So much of it is enough where a firm estimate has said the same for so long, in seconds.
const HALF: f64 = 0.5;
const SETTLED_S: f64 = 15.0;
/// An estimate that nothing else speaks for is believed once it has been the same for so long, in seconds.
const ODD_S: f64 = 60.0;
/// An estimate that is wider than this does not say where a limit has moved to.
const VAGUE: f64 = 1.5;
/// A limit that has moved by less is the same.
const MOVED: f64 = 0.07;
/// How long an estimate is waited for that says where to, after the evidence is enough, in seconds.
const FELL_WAIT_S: f64 = 2.0;
const BLIND_WAIT_S: f64 = 10.0;
const ROSE_WAIT_S: f64 = 10.0;
/// A rise can be seen for so long after more was sent than is believed to be admitted, in seconds.
const ROSE_SEEN_S: f64 = 900.0;
/// What is sent faster than this, in relation to what was admitted for long, is no evidence of a fall.
const FASTER: f64 = 1.1;

/// What is held against what comes.
#[derive(Clone, Debug)]
enum Reference {
    Nothing,
    /// No limit has shown, but this much was admitted for long, per second.
    AtLeast(f64),
    Known(Box<Estimate>),
}

/// The evidence is enough; where the limit moved to is not told yet.
#[derive(Clone, Copy, Debug)]
struct Pending {
    direction: LimitDirection,
    /// Where to, if no estimate says it better.
    to: Interval,
    score: f64,
    since: f64,
    deadline: f64,
}

/// The test of one scope. O(1) for each attempt, in bounded memory.
#[derive(Clone, Debug)]
pub struct Detector {
    reference: Reference,
    meter: Meter,
    scores: Scores,
    rise: Rise,
    background: Background,
    floor: Floor,
    stated: Stated,
    /// Since when about this much is believed, in seconds.
    believed_since: f64,
    /// What was believed before that, per second, and given up although nothing said that the limit had moved.
    doubted: Option<f64>,
    /// Before this the meter does not know yet what is used, in seconds.
    warm_at: f64,
    pending: Option<Pending>,
    /// An estimate that is waited with until the evidence against the one before is gone, or enough.
    next: Option<Box<Estimate>>,
    /// Since when.
    next_since: f64,
    /// An estimate of another limit that nothing else speaks for: since when, and its rate.
    odd: Option<(f64, f64)>,
    /// Time of sending to a false alarm, at least and on average, in seconds.
    alarm_every_s: f64,
}

impl Detector {
    /// One that believes what an earlier run learned, or nothing.
    #[must_use]
    pub fn new(prior: Option<&Estimate>) -> Self {
        let mut detector = Self {
            reference: Reference::Nothing,
            meter: Meter::Blind { rate: 1.0 },
            scores: Scores::new(0),
            rise: Rise::default(),
            background: Background::default(),
            floor: Floor::default(),
            stated: Stated::default(),
            believed_since: f64::NEG_INFINITY,
            doubted: None,
            warm_at: f64::NEG_INFINITY,
            pending: None,
            next: None,
            next_since: 0.0,
            odd: None,
            alarm_every_s: FALSE_ALARM_EVERY.as_secs_f64(),
        };
        if let Some(prior) = prior.filter(|prior| is_firm(prior)) {
            detector.adopt(prior, f64::NEG_INFINITY);
        }
        detector
    }

    /// The time of sending to a false alarm, at least and on average.
    #[must_use]
    pub fn alarm_every(&self) -> Duration {
        Duration::from_secs_f64(self.alarm_every_s)
    }

    /// Sets it.
    pub fn set_alarm_every(&mut self, interval: Duration) {
        self.alarm_every_s = interval.as_secs_f64();
    }

    /// A request that was sent at `t` (seconds, in order of sending) was admitted; or nothing tells, and it
    /// may have been: that is no evidence.
    pub fn admitted(&mut self, t: f64, told: bool) {
        self.floor.count(t);
        if !matches!(self.reference, Reference::Known(_)) && !self.scores.is_lifted() {
            self.look_at_floor();
        }
        if matches!(self.reference, Reference::Nothing) {
            return;
        }
        let place = self.meter.place(t);
        self.meter.count(t);
        if !told || t < self.warm_at {
            return;
        }
        self.stated.admitted(place.share, self.meter.grain(), t, self.window());
        self.background.admitted += 1.0;
        if self.scores.is_lifted() {
            let chance = self.chance();
            self.scores.admitted(&place, &self.meter, chance);
            if matches!(self.meter, Meter::Blind { .. }) && self.floor.is_unbroken() {
                self.scores.acquit();
            }
            if !self.scores.is_lifted() {
                self.background.refused += f64::from(self.scores.take_refusals());
                self.take_next(t);
            }
        }
        self.scores.prove(&place, t, self.window());
        // What was never refused is no limit that could have risen.
        let met = matches!(&self.reference, Reference::Known(known) if known.throttles > 0);
        if place.share >= self.meter.above() && met {
            self.rise.admitted(place.share, t, self.window());
            self.decide_rise(t);
        }
    }

    /// The first refusal after traffic had flowed, sent at `t`. Those that follow it within the same pause
    /// are no evidence of their own: a lockout refuses them all.
    pub fn refused(&mut self, t: f64) {
        let explained = self.floor.rate(t) > self.believed() * FASTER;
        self.floor.refused(matches!(self.reference, Reference::Nothing));
        if matches!(self.reference, Reference::Nothing) {
            return;
        }
        let place = self.meter.place(t);
        let blind = matches!(self.meter, Meter::Blind { .. });
        if t < self.warm_at {
            return;
        }
        if place.share >= self.meter.above() {
            self.rise.refused(place.share);
            return;
        }
        self.rise.clear();
        if place.explained || (blind && explained) {
            return;
        }
        let chance = self.chance();
        let known = self.scores.refused(&place, &self.meter, chance, t);
        if !known {
            self.background.unproven(self.scores.is_proven());
        } else if !self.scores.is_lifted() {
            self.background.refused += f64::from(self.scores.take_refusals());
        }
        self.decide_fall(t);
    }

    /// The answer to a request of `t` (seconds, in order of sending) states a quota.
    pub fn stated(&mut self, limit: f64, t: f64) {
        let believed = match (&self.reference, &self.meter) {
            (Reference::Known(_), Meter::Counted { limit, .. }) => Some(*limit),
            (Reference::Known(_), Meter::Refilled { burst, .. }) => Some(*burst),
            _ => None,
        };
        self.stated.note(limit, believed, t);
        if let (Some(_), Some((share, since))) = (believed, self.stated.fell(t, self.window())) {
            self.decide_stated(share, since, t);
        }
    }

    /// Traffic flows again after a pause.
    pub fn resumed(&mut self) {
        self.floor.resumed();
    }

    /// What the learner believes now. The change that this tells of, if it does.
    pub fn estimated(&mut self, estimate: &Estimate, now: Moment) -> Option<LimitChange> {
        let firm = is_firm(estimate);
        if matches!(self.reference, Reference::Nothing) {
            if firm {
                self.adopt(estimate, now.as_secs_f64());
            }
            return None;
        }
        let moved = self.moved(estimate);
        let moved = moved.filter(|direction| firm || self.is_close(estimate, *direction));
        if let Some(direction) = moved
            && let Some((score, since)) = self.supported(estimate, direction)
        {
            return Some(self.announce(
                direction,
                estimate.rate,
                score,
                since,
                now,
                Some(estimate),
            ));
        }
        let settled = self.pending.is_none() && (firm || moved.is_some());
        if settled && self.is_settled(estimate, now) {
            let rising = moved == Some(LimitDirection::Rose) && self.is_rising(now);
            if self.scores.is_lifted() || rising {
                if self.next.is_none() {
                    self.next_since = now.as_secs_f64();
                }
                self.next = Some(Box::new(estimate.clone()));
            } else if firm {
                self.adopt(estimate, now.as_secs_f64());
            }
        }
        None
    }

    /// The change that has waited long enough for an estimate to say where to.
    pub fn due(&mut self, now: Moment) -> Option<LimitChange> {
        let Some(pending) = self.pending else { return self.settled(now) };
        let next = self.next.take();
        let next = next.filter(|e| self.moved(e) == Some(pending.direction));
        if next.is_none() && now.as_secs_f64() < pending.deadline {
            return None;
        }
        let to = next.as_ref().map_or(pending.to, |estimate| estimate.rate);
        let Pending { direction, score, since, .. } = pending;
        Some(self.announce(direction, to, score, Some(since), now, next.as_deref()))
    }

    /// The rate at which requests were admitted in the past seconds, per second, if there were enough to tell.
    #[must_use]
    pub fn admitted_rate(&self, now: Moment) -> Option<f64> {
        Some(self.floor.rate(now.as_secs_f64())).filter(|rate| *rate > 0.0)
    }

    /// The change that a firm estimate has said for a while and part of the evidence supports.
    fn settled(&mut self, now: Moment) -> Option<LimitChange> {
        if self.next.is_none() || now.as_secs_f64() < self.next_since + SETTLED_S {
            return None;
        }
        let next = self.next.take()?;
        self.next_since = now.as_secs_f64();
        let (score, since) = self.scores.best();
        let fell = self.moved(&next) == Some(LimitDirection::Fell);
        // Where no limit is known, nothing says what refusals it explains.
        let known = matches!(self.reference, Reference::Known(_));
        let enough = self.threshold() * if known { HALF } else { MOST };
        if !fell || score < enough {
            self.next = Some(next);
            return None;
        }
        let score = score.max(self.threshold());
        Some(self.announce(LimitDirection::Fell, next.rate, score, since, now, Some(&next)))
    }

    /// Which changes would show in the traffic as it is.
    #[must_use]
    pub fn sight(&self, now: Moment) -> ChangeSight {
        match &self.reference {
            Reference::Nothing => ChangeSight::Nothing,
            Reference::AtLeast(_) => ChangeSight::Falls,
            Reference::Known(_) if self.rise.seen_within(ROSE_SEEN_S, now.as_secs_f64()) => {
                ChangeSight::Both
            }
            Reference::Known(_) if self.scores.is_proven() => ChangeSight::Falls,
            Reference::Known(_) => ChangeSight::Nothing,
        }
    }

    /// The score at which a change is told, at the rate that is believed.
    fn threshold(&self) -> f64 {
        (self.believed() * self.alarm_every_s * OVERLAP).max(1.0).ln()
    }

    fn chance(&mut self) -> f64 {
        let rate = self.believed();
        self.background.chance(rate)
    }

    fn believed(&self) -> f64 {
        match &self.reference {
            Reference::Nothing => 0.0,
            Reference::AtLeast(rate) => *rate,
            Reference::Known(estimate) => estimate.rate.value,
        }
    }

    fn window(&self) -> f64 {
        match &self.reference {
            Reference::Known(estimate) => estimate.limiter.window().as_secs_f64(),
            _ => 0.0,
        }
    }

    fn from(&self) -> Interval {
        match &self.reference {
            Reference::Known(estimate) => estimate.rate,
            _ => at_least(self.believed()),
        }
    }
}

/// Whether an estimate is held against what comes.
fn is_firm(estimate: &Estimate) -> bool {
    estimate.rate.spread() < FIRM
}

const fn at_least(rate: f64) -> Interval {
    Interval { value: rate, low: rate, high: f64::INFINITY }
}

fn moment(t: f64) -> Moment {
    Moment::from_nanos((t.max(0.0) * 1e9).round() as u64)
}
