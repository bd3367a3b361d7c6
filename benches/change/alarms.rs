//! False alarms of the detector, at the level of decisions: what is sent, admitted and refused by chance.

use std::time::Duration;

use plimsoll::infer::{Detector, FALSE_ALARM_EVERY};
use plimsoll::model::{Estimate, EstimateSource, Interval, Kind, Moment};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// Traffic under a limit that stays.
struct Traffic {
    detector: Detector,
    known: Estimate,
    rng: SmallRng,
    now: f64,
    /// Time of sending, without pauses.
    ungated: f64,
    /// The chance that a request is refused for no reason; and that it is answered 5xx, which is no refusal, or not at
    /// all, which tells nothing.
    refused: f64,
    failed: f64,
    /// The pause that a refusal brings, and how long the way back to the rate takes from a third of it.
    pause: f64,
    back: f64,
    back_from: f64,
}

impl Traffic {
    fn new(rate: f64, every: f64, refused: f64, back: f64, seed: u64) -> Self {
        let kind = Kind::FixedWindow {
            limit: rate as u64,
            window: Duration::from_secs(1),
            phase: Duration::from_millis(370),
        };
        let known = Estimate {
            rate: Interval { value: rate, low: rate * 0.99, high: rate * 1.01 },
            cautious: rate * 0.99,
            limiter: kind,
            confidence: 0.97,
            jitter: Duration::ZERO,
            source: EstimateSource::Throttles,
            throttles: 3,
            at: Moment::ZERO,
        };
        let mut detector = Detector::new(None);
        detector.set_alarm_every(std::time::Duration::from_secs_f64(every));
        detector.estimated(&known, Moment::ZERO);
        Self {
            detector,
            known,
            rng: SmallRng::seed_from_u64(seed),
            now: 100.0,
            ungated: 0.0,
            refused,
            failed: 0.001,
            pause: 5.0,
            back,
            back_from: f64::NEG_INFINITY,
        }
    }

    /// Sends for so many seconds: false alarms.
    fn alarms(&mut self, seconds: f64, most: u32) -> (u32, f64) {
        let begin = self.ungated;
        let mut alarms = 0;
        while self.ungated < begin + seconds && alarms < most {
            let risen = if self.back > 0.0 {
                ((self.now - self.back_from) / self.back).min(1.0)
            } else {
                1.0
            };
            let rate = self.known.rate.value * 0.97;
            let rate = if risen < 1.0 { rate * 0.35_f64.powf(1.0 - risen) } else { rate };
            self.now += 1.0 / rate;
            self.ungated += 1.0 / rate;
            let luck: f64 = self.rng.random();
            let moment = || Moment::from_nanos((self.now * 1e9) as u64);
            let found = if luck < self.refused {
                self.detector.refused(self.now);
                let found = self.detector.due(moment());
                self.now += self.pause;
                self.back_from = self.now;
                self.detector.resumed();
                found
            } else {
                self.detector.admitted(self.now, luck < 1.0 - self.failed / 2.0);
                self.detector.due(moment())
            };
            if found.is_some() {
                alarms += 1;
                let now = Moment::from_nanos((self.now * 1e9) as u64);
                self.detector.estimated(&self.known, now);
            }
        }
        (alarms, self.ungated - begin)
    }
}

/// What is stated against what comes of it, for thresholds so low that it can be waited for.
pub(crate) fn run_lengths() {
    println!(
        "| refused by chance | way back | stated, at least | false alarms | mean time between them |"
    );
    println!("|---|---|---|---|---|");
    for (chance, back) in [(0.003, 0.0), (0.003, 15.0), (0.03, 0.0), (0.03, 15.0)] {
        for every in [60.0, 600.0, 3_600.0, 21_600.0] {
            let mut traffic = Traffic::new(100.0, every, chance, back, 1);
            // What is refused by chance is learned first.
            traffic.alarms(3_600.0, u32::MAX);
            let (alarms, seconds) = traffic.alarms(every * 100.0, 200);
            let mean = if alarms == 0 {
                format!("> {seconds:.0} s")
            } else {
                format!("{:.0} s", seconds / f64::from(alarms))
            };
            println!("| {:.1} % | {back} s | {every} s | {alarms} | {mean} |", chance * 100.0);
        }
    }
    println!();
}

/// Months at 100/s with the threshold that is shipped.
pub(crate) fn months() {
    const MONTHS: f64 = 3.0;
    let month = 30.0 * 86_400.0;
    let stated = MONTHS * month / FALSE_ALARM_EVERY.as_secs_f64();
    println!(
        "| refused by chance | way back | months at 100/s | stated, at most on average | false alarms |"
    );
    println!("|---|---|---|---|---|");
    for (chance, back) in
        [(0.0, 0.0), (1e-5, 15.0), (1e-4, 15.0), (1e-3, 0.0), (1e-3, 15.0), (1e-2, 15.0)]
    {
        let mut traffic = Traffic::new(100.0, FALSE_ALARM_EVERY.as_secs_f64(), chance, back, 1);
        let (alarms, _) = traffic.alarms(MONTHS * month, u32::MAX);
        println!("| {} % | {back} s | {MONTHS} | {stated:.1} | {alarms} |", chance * 100.0);
    }
    println!();
}
