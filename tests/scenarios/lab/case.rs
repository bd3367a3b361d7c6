//! One case of an experiment: everything that a run depends on, but for the seed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use plimsoll::limiter::{Kind, Layer, LimiterSettings, Lockout};
use plimsoll::model::{Factor, HumanDuration, Identity, Moment, Rate, Scope};
use plimsoll::netem::{
    AdviceStyle, HintStyle, LimitChange, Neighbour, NetworkSettings, ServerSettings,
};

use super::file::{Arrivals, Experiment};
use super::grid;
use super::words::{AdviceWord, Cap, HintsWord, Limiter, LockoutWord};

/// One combination of an experiment's axes.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) experiment: Arc<Experiment>,
    pub(crate) limiter: Limiter,
    cap: Option<Cap>,
    pub(crate) ceiling: f64,
    hints: HintsWord,
    advice: AdviceWord,
    lockout: LockoutWord,
    counts_refused: bool,
    pub(crate) rtt: Duration,
    pub(crate) jitter: Duration,
    pub(crate) service: Duration,
    pub(crate) service_jitter: Duration,
    pub(crate) shards: u32,
}

/// How many of an experiment's combinations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cover {
    Pairwise,
    All,
}

/// The cases of an experiment.
pub(crate) fn cases(experiment: &Arc<Experiment>, cover: Cover) -> Vec<Case> {
    let e = experiment;
    let lengths = [
        e.limiter.0.len(),
        e.cap.as_ref().map_or(1, |cap| cap.0.len()),
        e.ceiling.0.len(),
        e.hints.0.len(),
        e.advice.0.len(),
        e.lockout.0.len(),
        e.counts_refused.0.len(),
        e.rtt.0.len(),
        e.jitter.0.len(),
        e.service.0.len(),
        e.service_jitter.0.len(),
        e.shards.0.len(),
    ];
    let rows = match cover {
        Cover::Pairwise => grid::pairwise(&lengths),
        Cover::All => grid::all(&lengths),
    };
    let case = |row: Vec<usize>| Case {
        experiment: Arc::clone(e),
        limiter: e.limiter.0[row[0]],
        cap: e.cap.as_ref().map(|cap| cap.0[row[1]]),
        ceiling: e.ceiling.0[row[2]],
        hints: e.hints.0[row[3]],
        advice: e.advice.0[row[4]],
        lockout: e.lockout.0[row[5]],
        counts_refused: e.counts_refused.0[row[6]],
        rtt: e.rtt.0[row[7]].0,
        jitter: e.jitter.0[row[8]].0,
        service: e.service.0[row[9]].0,
        service_jitter: e.service_jitter.0[row[10]].0,
        shards: e.shards.0[row[11]],
    };
    rows.into_iter().map(case).collect()
}

/// The tenant whom every limit of every case takes us for, our neighbours included.
pub(crate) fn identity() -> Identity {
    Identity { tenant: "acme".into(), ..Identity::default() }
}

impl Case {
    /// What the limiter admits for ever, per second, were there neither network nor neighbours. For a
    /// concurrency limit: what its places serve while every one is taken again after a round trip.
    pub(crate) fn cap(&self) -> f64 {
        match (self.limiter, self.cap) {
            (Limiter::Concurrency(n), _) => n as f64 / self.turnaround().as_secs_f64(),
            (_, cap) => cap.expect("checked on loading").rate.per_second(),
        }
    }

    /// From the sending of a request to its answer, on average.
    pub(crate) fn turnaround(&self) -> Duration {
        self.rtt + self.jitter + self.service + self.service_jitter / 2
    }

    /// The configured rate of all streams together, per second.
    pub(crate) fn ceiling_rate(&self) -> f64 {
        self.ceiling * self.cap()
    }

    pub(crate) fn change_factor(&self) -> Option<f64> {
        self.experiment.change.as_ref().map(|change| change.cap_times)
    }

    /// Honest hints from which the limit can be read. A bucket of one has nothing left after every
    /// request, and a reset in whole seconds says nothing of its rate.
    pub(crate) fn hints_tell(&self) -> bool {
        self.hints.0 == HintStyle::Honest && !self.is_single()
    }

    /// Two requests closer together than one interval are one too many, so jitter counts.
    pub(crate) fn is_single(&self) -> bool {
        match self.kind(1.0, Duration::ZERO) {
            Kind::TokenBucket { burst, .. } => burst <= 1,
            Kind::Queue { depth, .. } => depth == 0,
            _ => false,
        }
    }

    /// The limiter's window: for a bucket or a queue, the time in which all of it comes back.
    pub(crate) fn window(&self) -> Duration {
        self.kind(1.0, Duration::ZERO).window()
    }

    /// Where windows begin at fixed times, their length.
    pub(crate) fn grid(&self) -> Option<Duration> {
        let gridded = matches!(self.limiter, Limiter::FixedWindow | Limiter::SlidingCounter);
        gridded.then(|| self.window())
    }

    /// Lockout or Retry-After, where it is the same at every refusal.
    pub(crate) fn pause(&self) -> Duration {
        let locked = match self.lockout.0 {
            Lockout::None => Duration::ZERO,
            Lockout::Fixed(d) | Lockout::Extended(d) => d,
        };
        let advised = match self.advice.0 {
            AdviceStyle::Fixed(d) => d,
            _ => Duration::ZERO,
        };
        locked.max(advised)
    }

    /// One epoch costs more than 3 % of ten minutes.
    pub(crate) fn epochs_are_dear(&self) -> bool {
        self.pause() >= Duration::from_secs(18)
    }

    /// The time to learn: max(2 min, 5 W, 6 L).
    pub(crate) fn learning(&self) -> Duration {
        Duration::from_secs(120).max(self.window() * 5).max(self.pause() * 6)
    }

    /// The time in which a changed cap must be found: a fall max(60 s, 3 W) + 3 L, a rise max(10 min, L / 0.02).
    pub(crate) fn recovery(&self) -> Option<Duration> {
        let change = self.change_factor()?;
        Some(if change < 1.0 {
            Duration::from_secs(60).max(self.window() * 3) + self.pause() * 3
        } else {
            Duration::from_secs(600).max(self.pause() * 50)
        })
    }

    /// The limiter of one gateway when the cap is this many times what it is.
    fn kind(&self, times: f64, phase: Duration) -> Kind {
        let share = times / f64::from(self.shards);
        if let Limiter::Concurrency(n) = self.limiter {
            return Kind::Concurrency { limit: scaled(n as f64, share) };
        }
        let Cap { rate, window } = self.cap.expect("checked on loading");
        let limit = scaled(rate.per_second() * window.as_secs_f64(), share);
        let part = Rate::from_per_second(rate.per_second() * share).expect("a rate of a cap");
        match self.limiter {
            Limiter::FixedWindow => Kind::FixedWindow { limit, window, phase },
            Limiter::OnDemandWindow => Kind::OnDemandWindow { limit, window },
            Limiter::SlidingLog => Kind::SlidingLog { limit, window },
            Limiter::SlidingCounter => Kind::SlidingCounter { limit, window, phase },
            Limiter::Bucket(size) => Kind::TokenBucket { rate: part, burst: size.requests(part) },
            Limiter::Queue(size) => Kind::Queue { rate: part, depth: size.requests(part) },
            Limiter::Concurrency(n) => Kind::Concurrency { limit: n },
        }
    }

    /// Where the server's windows begin: drawn from the seed, because a client cannot know it.
    pub(crate) fn phase(&self, seed: u64) -> Duration {
        let scrambled = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11;
        self.window().mul_f64(scrambled as f64 / (1_u64 << 53) as f64)
    }

    pub(crate) fn network(&self) -> NetworkSettings {
        // The world adds its jitter to each way on its own.
        NetworkSettings { rtt: self.rtt, jitter: self.jitter, ..NetworkSettings::default() }
    }

    pub(crate) fn server(&self, seed: u64) -> ServerSettings {
        let phase = self.phase(seed);
        let limiter = LimiterSettings {
            kind: self.kind(1.0, phase),
            lockout: self.lockout.0,
            counts_refused: self.counts_refused,
        };
        let scope = Scope::Shared([Factor::Tenant].into());
        let change = self.change_factor().map(|times| LimitChange {
            at: Moment::ZERO + self.learning(),
            layer: 0,
            kind: self.kind(times, phase),
        });
        let neighbour = self.experiment.neighbour.as_ref().map(|n| Neighbour {
            rate: Rate::from_per_second(self.cap() * n.share).expect("a rate of a cap"),
            from: Moment::ZERO,
            until: Moment::NEVER,
            poisson: n.arrivals == Arrivals::Poisson,
            identity: identity(),
        });
        ServerSettings {
            service: self.service,
            service_jitter: self.service_jitter,
            layers: vec![Layer { name: "limit".into(), scope, limiter }],
            shards: self.shards,
            advice: self.advice.0,
            hints: self.hints.0,
            changes: change.into_iter().collect(),
            neighbours: neighbour.into_iter().collect(),
            ..ServerSettings::default()
        }
    }
}

fn scaled(n: f64, share: f64) -> u64 {
    (n * share).round().max(1.0) as u64
}

impl fmt::Display for Case {
    /// The combination, without the experiment's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.limiter)?;
        if let Some(cap) = self.cap {
            write!(f, " {cap}")?;
        }
        write!(f, " ×{}", self.ceiling)?;
        if self.hints.0 != HintStyle::None {
            write!(f, ", hints {}", self.hints)?;
        }
        write!(f, ", advice {}", self.advice)?;
        if self.lockout.0 != Lockout::None {
            write!(f, ", lockout {}", self.lockout)?;
        }
        if self.counts_refused {
            f.write_str(", counts refused")?;
        }
        if self.shards > 1 {
            write!(f, ", {} gateways", self.shards)?;
        }
        write!(f, ", rtt {}, jitter {}", HumanDuration(self.rtt), HumanDuration(self.jitter))?;
        if !self.service_jitter.is_zero() {
            let (least, jitter) = (HumanDuration(self.service), HumanDuration(self.service_jitter));
            write!(f, ", service {least} + {jitter}")?;
        }
        Ok(())
    }
}
