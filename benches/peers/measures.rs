//! What is compared, and the bars.

use serde::Serialize;

use crate::tools::{Tool, Traffic};
use crate::turn::Turn;
use crate::{Arguments, Result, stats, turn};

const SERVICE_US: u64 = 5_000;

/// Two sides that take turns.
struct Contest {
    name: &'static str,
    ours: Traffic,
    /// What it is compared with, under this name.
    peer: (Tool, Traffic, &'static str),
    measures: &'static [Measure],
}

/// One figure of a turn, and what is asked of it.
struct Measure {
    name: &'static str,
    unit: &'static str,
    figure: fn(&Turn) -> f64,
    bar: Bar,
}

#[derive(Clone, Copy)]
enum Bar {
    /// For information.
    None,
    RatioAtMost(f64),
    RatioAtLeast(f64),
    /// In the measure's own unit.
    AtMost(f64),
}

/// A line of the result.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) contest: &'static str,
    pub(crate) measure: &'static str,
    pub(crate) unit: &'static str,
    /// A figure for each turn.
    pub(crate) ours: Vec<f64>,
    pub(crate) peer_name: &'static str,
    pub(crate) peer: Vec<f64>,
    /// Of the medians.
    pub(crate) ratio: f64,
    pub(crate) bar: Option<String>,
    pub(crate) met: Option<bool>,
}

/// Everything that a contest brought.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) rows: Vec<Row>,
    pub(crate) our_turns: Vec<Turn>,
    pub(crate) peer_turns: Vec<Turn>,
}

const fn measure(name: &'static str, unit: &'static str, figure: fn(&Turn) -> f64) -> Measure {
    Measure { name, unit, figure, bar: Bar::None }
}

impl Measure {
    const fn bar(self, bar: Bar) -> Self {
        Self { bar, ..self }
    }
}

const LATENESS: &[Measure] = &[
    measure("lateness p50", "ms", |t| t.lateness_p50_ms.unwrap_or(f64::NAN)),
    measure("lateness p99", "ms", |t| t.lateness_p99_ms.unwrap_or(f64::NAN))
        .bar(Bar::RatioAtMost(0.25)),
    measure("lateness p99.9", "ms", |t| t.lateness_p999_ms.unwrap_or(f64::NAN)),
    measure("lateness max", "ms", |t| t.lateness_max_ms.unwrap_or(f64::NAN)),
    // Without its sign, or the errors of two turns would make up for each other.
    measure("|rate error|", "ppm", |t| t.rate_error_ppm.map_or(f64::NAN, f64::abs))
        .bar(Bar::AtMost(10.0)),
];

const CPU: fn(&Turn) -> f64 = |t| t.cpu_percent;
const RESIDENT: fn(&Turn) -> f64 = |t| t.resident_mib;

const COST: &[Measure] = &[
    measure("CPU", "% core", CPU).bar(Bar::RatioAtMost(2.0)),
    measure("resident max", "MiB", RESIDENT).bar(Bar::AtMost(25.0)),
];

const MANY_STREAMS: &[Measure] = &[
    measure("requests", "/s", |t| t.rate),
    measure("CPU", "% core", CPU).bar(Bar::RatioAtMost(2.0)),
    measure("resident max", "MiB", RESIDENT).bar(Bar::AtMost(64.0)),
];

const PEAK: &[Measure] = &[
    measure("requests", "/s", |t| t.rate).bar(Bar::RatioAtLeast(0.6)),
    measure("CPU", "% core", CPU),
    measure("server's CPU", "% core", |t| t.server_cpu_percent),
];

fn contests() -> Vec<Contest> {
    let steady = |rate| Traffic { streams: 1, rate_each: Some(rate), service_us: SERVICE_US };
    let against_oha = |name, traffic: Traffic, measures| Contest {
        name,
        ours: traffic,
        peer: (Tool::Oha, traffic, "oha"),
        measures,
    };
    let peak = Traffic { streams: 1, rate_each: None, service_us: 0 };
    let many = Traffic { streams: 1_000, rate_each: Some(1.0), service_us: SERVICE_US };
    vec![
        against_oha("97.3/s", steady(97.3), LATENESS),
        against_oha("1000/s", steady(1_000.0), LATENESS),
        against_oha("100/s", steady(100.0), COST),
        Contest {
            name: "1000 streams",
            ours: many,
            peer: (Tool::Plimsoll, steady(1_000.0), "1 stream"),
            measures: MANY_STREAMS,
        },
        against_oha("peak", peak, PEAK),
    ]
}

/// The names that `--only` takes.
pub(crate) fn names() -> Vec<&'static str> {
    contests().iter().map(|contest| contest.name).collect()
}

/// Runs the contests that were asked for; `tell` hears of each as it ends.
pub(crate) fn run(arguments: &Arguments, mut tell: impl FnMut(&Outcome)) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for contest in contests() {
        if arguments.only.is_empty() || arguments.only.iter().any(|name| name == contest.name) {
            let outcome = contest.run(arguments)?;
            tell(&outcome);
            outcomes.push(outcome);
        }
    }
    Ok(outcomes)
}

impl Contest {
    /// In turns, so that whatever the machine is going through concerns both.
    fn run(&self, arguments: &Arguments) -> Result<Outcome> {
        let (mut our_turns, mut peer_turns) = (Vec::new(), Vec::new());
        let (peer, peer_traffic, _) = &self.peer;
        let (us, peer) =
            if arguments.calibrate { (Tool::Oha, Tool::Oha) } else { (Tool::Plimsoll, *peer) };
        for round in 1..=arguments.rounds() {
            eprintln!("{}: round {round} of {}", self.name, arguments.rounds());
            our_turns.push(turn::take(us, &self.ours, arguments)?);
            peer_turns.push(turn::take(peer, peer_traffic, arguments)?);
        }
        let mut rows: Vec<_> =
            self.measures.iter().map(|m| self.row(m, &our_turns, &peer_turns)).collect();
        if arguments.calibrate {
            // The bars are Plimsoll's.
            rows.iter_mut().for_each(|row| (row.bar, row.met) = (None, None));
        }
        Ok(Outcome { rows, our_turns, peer_turns })
    }

    fn row(&self, measure: &Measure, our_turns: &[Turn], peer_turns: &[Turn]) -> Row {
        let ours: Vec<f64> = our_turns.iter().map(measure.figure).collect();
        let peer: Vec<f64> = peer_turns.iter().map(measure.figure).collect();
        let median = stats::median(&ours);
        let ratio = median / stats::median(&peer);
        let unit = measure.unit;
        let (bar, met) = match measure.bar {
            Bar::None => (None, None),
            Bar::RatioAtMost(most) => (Some(format!("ratio ≤ {most}")), Some(ratio <= most)),
            Bar::RatioAtLeast(least) => (Some(format!("ratio ≥ {least}")), Some(ratio >= least)),
            Bar::AtMost(most) => (Some(format!("≤ {most} {unit}")), Some(median <= most)),
        };
        Row {
            contest: self.name,
            measure: measure.name,
            unit,
            ours,
            peer_name: self.peer.2,
            peer,
            ratio,
            bar,
            met,
        }
    }
}
