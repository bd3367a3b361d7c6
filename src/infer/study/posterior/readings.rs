//! How a record may be read: pauses are the limit's own, or a lockout's; refused requests count, or not. The reading
//! under which it is likeliest is believed, and the others as far as they are likely: an experiment may tell which holds.

use super::{Given, LIGHTEST, Posterior};
use crate::infer::families::Latency;
use crate::infer::fit::{Fit, Member, Served};
use crate::infer::grid::ln_sum_of;
use crate::infer::record::Excerpt;
use crate::infer::study::evidence::{self, Pauses, Reading};
use crate::infer::study::lockout::{self, Likely};
use crate::infer::study::observations::{Attempt, Observations};
use crate::model::Kind;

/// How much less likely the record may become by its pauses: at all, and by each of them.
const EXPLAINED: (f64, f64) = (5.0, 0.5);
/// That refused requests count is less likely than that they do not, by so much, as a logarithm.
const COUNTED: f64 = -3.0;
/// Fewer places where refusals began do not tell.
const COUNTED_TRIPS: usize = 4;

/// A record that may be read in several ways.
pub(super) struct Readings<'a, F> {
    pub(super) observations: &'a Observations,
    pub(super) belongs: F,
    pub(super) latency: Latency,
    pub(super) given: &'a Given,
    pub(super) served: Option<Served>,
}

impl<F: Fn(&Attempt) -> bool> Readings<'_, F> {
    /// What is believed, whether refused requests count or not.
    pub(super) fn likeliest(&self) -> Option<Posterior> {
        if let Some(refused_count) = self.given.refused_count {
            return self.paused(refused_count).map(|(found, _)| found);
        }
        let (plain, likely) = self.paused(false)?;
        if plain.trips < COUNTED_TRIPS {
            return Some(plain);
        }
        let Some((counted, likelier)) = self.paused(true) else { return Some(plain) };
        let told = likelier - likely;
        let odds = told + COUNTED;
        let (mut best, other) = if odds > 0.0 { (counted, plain) } else { (plain, counted) };
        best.mix(other, -odds.abs());
        Some(Posterior { refused_count: Some(told), ..best })
    }

    /// What is believed, whatever pauses are; and how likely all of it is then, pauses included, as a logarithm.
    fn paused(&self, refused_count: bool) -> Option<(Posterior, f64)> {
        let reading = |pauses| Reading { pauses, refused_count };
        let record = |pauses| {
            evidence::excerpt(self.observations, &self.latency, reading(pauses), &self.belongs)
        };
        let likely = Likely::of(self.observations, &self.belongs);
        let read = |record: &Excerpt, pauses, lockouts| {
            let found = self.weighed(record, reading(pauses), likely.by_chance)?;
            let all = found.evidence + lockouts;
            Some((found, all))
        };
        if let Some(pauses) = self.given.pauses {
            let (found, all) = read(&record(pauses), pauses, 0.0)?;
            return Some((Posterior { surely: f64::INFINITY, ..found }, all));
        }
        let (apart, within) = (record(Pauses::Lockout), record(Pauses::Limit));
        let places = |record: &Excerpt| record.trips.len();
        let mut readings = vec![read(&within, Pauses::Limit, 0.0)];
        if places(&within) != places(&apart) || apart.pauses != within.pauses {
            // A limit that explains the pauses as well is believed, even if it explains them a little worse.
            let otherwise = |left: &Excerpt, lockouts: f64| {
                let holds = places(&within).saturating_sub(places(left)) as f64;
                lockouts - EXPLAINED.0 - EXPLAINED.1 * holds
            };
            readings.push(read(&apart, Pauses::Lockout, otherwise(&apart, likely.lockouts)));
            if let Some(than) = lockout::shortest(self.observations, &self.belongs) {
                let longer = Pauses::Longer(than);
                let left = record(longer);
                readings.push(read(&left, longer, otherwise(&left, Likely::LENGTH)));
            }
        }
        together(readings.into_iter().flatten().collect())
    }

    fn weighed(&self, record: &Excerpt, reading: Reading, by_chance: f64) -> Option<Posterior> {
        let (latency, inherited, served) = (self.latency, None, self.served);
        let Given { flat, sure, .. } = *self.given;
        let fit = Fit { record, latency, inherited, thorough: true, flat, served, sure };
        let mut members = fit.members()?;
        if reading.pauses == Pauses::Limit {
            let clocked = |m: &&mut Member| matches!(m.kind, Kind::FixedWindow { .. });
            members.iter_mut().filter(clocked).for_each(|m| m.weight += by_chance);
        }
        Posterior::from(members, latency, reading, record.trips.len())
    }
}

/// What several readings say, each with how likely all of it is then; the likeliest is what the record is taken for.
fn together(mut readings: Vec<(Posterior, f64)>) -> Option<(Posterior, f64)> {
    readings.sort_by(|a, b| b.1.total_cmp(&a.1));
    let second = readings.get(1).map(|(_, likely)| *likely);
    let mut readings = readings.into_iter();
    let (mut all, best) = readings.next()?;
    all.surely = second.map_or(0.0, |second| best - second);
    let mut mass = best;
    for (other, likely) in readings {
        all.mix(other, likely - mass);
        mass = ln_sum_of([mass, likely].into_iter());
    }
    Some((all, best))
}

impl Posterior {
    /// Adds what another reading of the same record says, by the logarithm of its odds.
    fn mix(&mut self, other: Self, ln_odds: f64) {
        let odds = ln_odds.exp();
        let scaled = |of: f64| move |m: Member| Member { weight: m.weight * of, ..m };
        let members = std::mem::take(&mut self.members).into_iter().map(scaled(1.0 / (1.0 + odds)));
        let others = other.members.into_iter().map(scaled(odds / (1.0 + odds)));
        self.members = members.chain(others).filter(|m| m.weight > LIGHTEST).collect();
        self.members.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::infer::Decision;
    use crate::infer::study::conclude::conclude;
    use crate::infer::study::conclusion::{Finding, KindName, LimitFinding, LockoutFinding};
    use crate::limiter::{Decision as Decided, Limiter, LimiterSettings, Lockout};
    use crate::model::{Identity, Moment, Rate};

    /// What is sent: so many at 50 per second, silence for so many seconds, and then at a rate until somebody is refused,
    /// and some times more; then one request every now and then until it is admitted, and silence for half a minute.
    type Burst = (u32, f64, f64);

    fn study(settings: LimiterSettings, bursts: &[Burst], advised: bool) -> LimitFinding {
        let mut limiter = Limiter::new(&settings);
        let mut attempts = Vec::new();
        // How long to wait, if it is refused.
        let mut send = |t: f64| {
            let now = Moment::ZERO + Duration::from_secs_f64(t + 0.005);
            let (decision, wait) = match limiter.decide(now) {
                Decided::Admitted { .. } => (Decision::Admitted, None),
                Decided::Refused { retry_after } => {
                    (Decision::Refused, Some(retry_after.as_secs_f64()))
                }
            };
            let (answered, advice) = (Some(t + 0.01), wait.filter(|_| advised));
            attempts.push(Attempt { sent: t, answered, decision, party: 0, advice, quota: None });
            wait
        };
        let mut t = 100.0;
        for ((first, silence, rate), beyond) in bursts.iter().zip([10, 40, 3, 25, 16, 32]) {
            for _ in 0..*first {
                send(t);
                t += 0.02;
            }
            t += silence;
            while send(t).is_none() {
                t += 1.0 / rate;
            }
            for _ in 0..beyond {
                t += 1.0 / rate;
                send(t);
            }
            // Where nothing is advised, at intervals that no lockout has.
            let mut asked = 1.0;
            t += 0.9;
            while let Some(wait) = send(t) {
                t += if advised { wait + 0.01 } else { 0.9 + asked % 3.0 * 0.2 };
                asked += 1.0;
            }
            t += 30.0;
        }
        let parties = vec![Identity::default()];
        conclude(&Observations { parties, attempts, ..Observations::default() }).limits.remove(0)
    }

    fn known<T: Copy>(finding: &Finding<T>) -> Option<T> {
        match finding {
            Finding::Known { value, .. } => Some(*value),
            Finding::Unknown { .. } => None,
        }
    }

    #[test]
    fn whether_refused_requests_count_is_told_by_what_is_admitted_after_them() {
        let bursts =
            [(0, 0.0, 40.0), (30, 6.2, 100.0), (0, 0.0, 13.0), (20, 6.4, 60.0), (25, 2.0, 18.0)];
        let log = Kind::SlidingLog { limit: 60, window: Duration::from_secs(7) };
        let bucket = Kind::TokenBucket { rate: Rate::nearest(8.0), burst: 40 };
        for kind in [log, bucket] {
            for counts_refused in [false, true] {
                let settings = LimiterSettings { counts_refused, ..LimiterSettings::plain(kind) };
                let found = study(settings, &bursts, false);
                assert_eq!(known(&found.kind), Some(KindName::of(&kind)), "{found:?}");
                let burst = known(&found.burst).expect("a burst");
                let limit = super::super::burst(&kind);
                assert!(burst.low <= limit && limit <= burst.high, "{kind:?}: {burst:?}");
                assert_eq!(known(&found.refused_count), Some(counts_refused), "{kind:?} {found:?}");
            }
        }
    }

    #[test]
    fn a_lockout_hides_whether_refused_requests_count() {
        let kind = Kind::SlidingLog { limit: 60, window: Duration::from_secs(5) };
        let lockout = Lockout::Fixed(Duration::from_secs(10));
        let bursts = [(0, 0.0, 40.0), (30, 4.2, 100.0), (0, 0.0, 15.0), (20, 4.4, 60.0)];
        for counts_refused in [false, true] {
            let settings = LimiterSettings { lockout, counts_refused, kind };
            let found = study(settings, &bursts, true);
            assert_eq!(known(&found.kind), Some(KindName::SlidingLog), "{found:?}");
            let hidden = "the lockout lasts until the limit has forgotten";
            assert!(
                matches!(&found.refused_count, Finding::Unknown { detail, .. } if detail.starts_with(hidden)),
                "{found:?}"
            );
        }
    }

    #[test]
    fn a_pause_is_a_lockout_or_the_rest_of_a_longer_window() {
        let phase = Duration::from_secs(3);
        let kind = Kind::FixedWindow { limit: 300, window: Duration::from_secs(20), phase };
        let lockout = Lockout::Fixed(Duration::from_secs(8));
        let settings = LimiterSettings { lockout, ..LimiterSettings::plain(kind) };
        let rates = [90.0, 200.0, 31.0, 60.0, 150.0, 25.0];
        let found = study(settings, &rates.map(|rate| (0, 0.0, rate)), true);
        assert_eq!(known(&found.kind), Some(KindName::FixedWindow), "{found:?}");
        let window = known(&found.window).expect("a window");
        assert!(window.low <= 20.0 && 20.0 <= window.high, "{window:?}");
        let Some(LockoutFinding::Advised { seconds }) = known(&found.lockout) else {
            panic!("{:?}", found.lockout);
        };
        assert!(6.0 < seconds.value && seconds.high <= 8.0, "{seconds:?}");
    }
}
