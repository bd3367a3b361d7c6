//! One question: a limiter, and the network in front of it.

use std::fmt;
use std::time::Duration;

use plimsoll::limiter::{Layer, LimiterSettings, Lockout};
use plimsoll::model::{Factor, Identity, Kind, Rate, Scope};
use plimsoll::netem::{AdviceStyle, HintStyle, NetworkSettings, ServerSettings};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// One question.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) seed: u64,
    pub(crate) limiter: LimiterSettings,
    pub(crate) advice: AdviceStyle,
    pub(crate) network: NetworkSettings,
    pub(crate) service: Duration,
    pub(crate) scope: Scope,
    /// A limit of the whole tenant behind it.
    pub(crate) behind: Option<LimiterSettings>,
    pub(crate) hints: HintStyle,
    /// The highest rate that the probe may send at, per second.
    pub(crate) ceiling: f64,
}

const ROUND: [f64; 8] = [1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0];

impl Case {
    /// The case of that number.
    pub(crate) fn drawn(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let per_second = log_uniform(&mut rng, 5.0, 2_000.0);
        let (kind, service) = kind(&mut rng, per_second);
        let lockout = match rng.random_range(0..5) {
            0 => Lockout::Fixed(Duration::from_secs(30)),
            1 => Lockout::Extended(Duration::from_secs(10)),
            _ => Lockout::None,
        };
        let advice = match rng.random_range(0..3) {
            0 => AdviceStyle::Exact,
            1 => AdviceStyle::WholeSeconds,
            _ => AdviceStyle::None,
        };
        let counts_refused = rng.random_range(0..8) == 0;
        let network = NetworkSettings {
            rtt: Duration::from_secs_f64(log_uniform(&mut rng, 0.005, 0.2)),
            jitter: Duration::from_secs_f64(log_uniform(&mut rng, 0.0001, 0.005)),
            timeout: Duration::from_secs(30),
            ..NetworkSettings::default()
        };
        let scope = Scope::Shared(scope(&mut rng));
        let ceiling = stated(&kind, service) * rng.random_range(3.0..10.0);
        let limiter = LimiterSettings { kind, lockout, counts_refused };
        let (hints, behind) = (HintStyle::None, None);
        Self { seed, limiter, advice, network, service, scope, behind, hints, ceiling }
    }

    /// The same limit, per token, inside one of the tenant that is met by all parties together.
    pub(crate) fn nested(seed: u64) -> Self {
        const HOLDERS: f64 = 3.0;
        let mut case = Self::drawn(seed);
        let mut rng = StdRng::seed_from_u64(seed.wrapping_mul(0xd1b5_4a32_d192_ed03));
        let (per_second, _) = case.truth();
        let most = 0.65 * HOLDERS;
        let per_second = per_second * rng.random_range(1.3..most);
        let kind = loop {
            let (kind, _) = kind(&mut rng, per_second);
            if !matches!(kind, Kind::Concurrency { .. } | Kind::Queue { .. })
                && burst(&kind) > 1.2 * burst(&case.limiter.kind)
            {
                break kind;
            }
        };
        case.ceiling = case.ceiling.max(stated(&kind, case.service) * 3.0);
        case.scope = Scope::Shared([Factor::Token].into());
        case.limiter.counts_refused = false;
        case.behind = Some(LimiterSettings::plain(kind));
        case
    }

    pub(crate) const fn kind_name(&self) -> &'static str {
        self.limiter.kind.as_str()
    }

    pub(crate) fn server(&self) -> ServerSettings {
        ServerSettings {
            service: self.service,
            layers: std::iter::once(layer("limit", self.scope.clone(), self.limiter))
                .chain(self.behind.map(|limiter| {
                    layer("behind", Scope::Shared([Factor::Tenant].into()), limiter)
                }))
                .collect(),
            advice: self.advice,
            hints: self.hints,
            ..ServerSettings::default()
        }
    }

    /// The parties that the probe has: pairs that differ in one factor each.
    pub(crate) fn parties() -> Vec<Identity> {
        let base = Identity {
            token: "a".into(),
            client: "app".into(),
            user: "ann".into(),
            tenant: "acme".into(),
            address: "10.0.0.1".into(),
            route: "POST /messages".into(),
        };
        let token = Identity { token: "b".into(), ..base.clone() };
        let user = Identity { user: "bob".into(), ..token.clone() };
        let client = Identity { client: "other".into(), token: "c".into(), ..base.clone() };
        vec![base, token, user, client]
    }

    /// The rate and the burst that are asked for.
    pub(crate) fn truth(&self) -> (f64, f64) {
        (stated(&self.limiter.kind, self.service), burst(&self.limiter.kind))
    }

    /// The kind, rate and burst of what is behind it.
    pub(crate) fn truth_behind(&self) -> Option<(Kind, f64, f64)> {
        let kind = self.behind?.kind;
        Some((kind, stated(&kind, self.service), burst(&kind)))
    }
}

fn layer(name: &str, scope: Scope, limiter: LimiterSettings) -> Layer {
    Layer { name: name.into(), scope, limiter }
}

fn log_uniform(rng: &mut StdRng, low: f64, high: f64) -> f64 {
    (low.ln() + rng.random::<f64>() * (high / low).ln()).exp()
}

fn kind(rng: &mut StdRng, per_second: f64) -> (Kind, Duration) {
    let window = if rng.random() {
        ROUND[rng.random_range(0..ROUND.len())]
    } else {
        (log_uniform(rng, 1.0, 60.0) * 1e3).round() / 1e3
    };
    let limit = (per_second * window).round().max(2.0) as u64;
    let phase = Duration::from_secs_f64(window * rng.random::<f64>());
    let window = Duration::from_secs_f64(window);
    // Of the orders of magnitude that configuration states.
    let digits = 10.0_f64.powf(per_second.log10().floor() - 1.0);
    let round = if rng.random() { (per_second / digits).round() * digits } else { per_second };
    let rate = Rate::from_per_second(round).expect("a rate");
    let tokens = log_uniform(rng, 1.0, 10.0 * per_second).round() as u64;
    let service = Duration::from_millis(5);
    let kind = match rng.random_range(0..7) {
        0 => Kind::FixedWindow { limit, window, phase },
        1 => Kind::OnDemandWindow { limit, window },
        2 => Kind::SlidingLog { limit, window },
        3 => Kind::SlidingCounter { limit, window, phase },
        4 => Kind::TokenBucket { rate, burst: tokens },
        5 => Kind::Queue { rate, depth: tokens.min((per_second * 5.0) as u64).max(1) },
        _ => {
            let service = Duration::from_secs_f64(log_uniform(rng, 0.05, 0.5));
            let limit = (per_second * service.as_secs_f64()).round().max(2.0) as u64;
            return (Kind::Concurrency { limit }, service);
        }
    };
    (kind, service)
}

fn scope(rng: &mut StdRng) -> std::collections::BTreeSet<Factor> {
    match rng.random_range(0..5) {
        0 => [Factor::Token].into(),
        1 => [Factor::Client].into(),
        2 => [Factor::User].into(),
        3 => [Factor::Tenant].into(),
        _ => [Factor::Tenant, Factor::Client].into(),
    }
}

fn stated(kind: &Kind, service: Duration) -> f64 {
    match *kind {
        Kind::FixedWindow { limit, window, .. }
        | Kind::OnDemandWindow { limit, window }
        | Kind::SlidingLog { limit, window }
        | Kind::SlidingCounter { limit, window, .. } => limit as f64 / window.as_secs_f64(),
        Kind::TokenBucket { rate, .. } | Kind::Queue { rate, .. } => rate.per_second(),
        Kind::Concurrency { limit } => limit as f64 / service.as_secs_f64(),
    }
}

fn burst(kind: &Kind) -> f64 {
    match *kind {
        Kind::FixedWindow { limit, .. }
        | Kind::OnDemandWindow { limit, .. }
        | Kind::SlidingLog { limit, .. }
        | Kind::SlidingCounter { limit, .. }
        | Kind::Concurrency { limit } => limit as f64,
        Kind::TokenBucket { burst, .. } => burst as f64,
        Kind::Queue { depth, .. } => depth as f64 + 1.0,
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {:?} {:?}{} {:?} inside {:?} rtt {:?} jitter {:?} service {:?} ceiling {:.0} {}",
            self.seed,
            self.limiter.kind,
            self.limiter.lockout,
            if self.limiter.counts_refused { " counts refused" } else { "" },
            self.advice,
            self.behind.map(|behind| behind.kind),
            self.network.rtt,
            self.network.jitter,
            self.service,
            self.ceiling,
            self.scope,
        )
    }
}
