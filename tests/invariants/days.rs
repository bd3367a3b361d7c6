//! Days in virtual time: what months in production are made of.

use std::sync::Arc;
use std::time::Duration;

use plimsoll::engine::{Plan, StreamPlan};
use plimsoll::limiter::{Kind, Lockout};
use plimsoll::model::{Rate, Scope, SkipReason, WallOffset};
use plimsoll::netem::{HintStyle, ServerSettings};
use plimsoll::policy::{BackoffSettings, BreakerSettings, CapSettings, Jitter, Mode};
use plimsoll::schedule::{Arrivals, ScheduleSettings, Timetable};

use crate::coverage::Coverage;
use crate::envelope::Script;
use crate::run::run;
use crate::scenario::{Scenario, at, layer, ms};

const HOUR_S: f64 = 3_600.0;

impl Coverage {
    fn skipped_for(&self, reason: SkipReason) -> u64 {
        self.skipped[reason.index()]
    }
}

#[test]
fn a_day_of_traffic_adds_up() {
    let coverage = run(&Scenario::a_day()).expect("a day keeps every invariant");
    assert!(coverage.sent > 400_000, "{coverage:?}");
}

/// A day from midnight on with everything that holds traffic back: caps for an hour and for the day, active hours, an
/// operator's pauses, an API that fails now and then, a state file that is slow and at times cannot be written, a
/// wall clock that is stepped, and reloads.
fn a_day_held_back() -> Scenario {
    let mut scenario = Scenario::a_day();
    // 14 November 2023, 00:00 UTC.
    let midnight =
        |hours: i64| WallOffset::observed((1_699_920_000 + hours * 3_600) * 1_000_000_000, at(0.0));
    let safety = &mut scenario.plan.safety;
    safety.recorded = true;
    safety.caps = CapSettings { per_day: Some(220_000), ..CapSettings::default() };
    safety.breaker = BreakerSettings {
        failures: 2,
        pause: BackoffSettings { base: ms(1_000), cap: ms(60_000), jitter: Jitter::Equal },
    };
    let hours = "daily 06:00-22:00".parse().expect("hours");
    let day = &mut scenario.plan.streams[0];
    day.safety.caps = CapSettings { per_hour: Some(15_000), ..CapSettings::default() };
    day.safety.hours = Some(Arc::new(Timetable::new(vec![hours], "UTC").expect("a zone")));
    let schedule = ScheduleSettings { rate: Rate::per_sec(1).expect("in bounds"), ..day.schedule };
    let always =
        StreamPlan { name: "always".into(), schedule, safety: Default::default(), ..day.clone() };
    scenario.plan.streams.push(always);
    scenario.server.server_error = 0.02;
    let pause = |from: f64, length: f64, subject: Option<&str>| {
        let subject = subject.map(Arc::from);
        [(at(from * HOUR_S), subject.clone(), true), (at((from + length) * HOUR_S), subject, false)]
    };
    scenario.stalls = vec![(at(7.5 * HOUR_S), Duration::from_secs(60))];
    scenario.script = Script {
        pauses: [pause(9.0, 0.5, Some("day")), pause(11.0, 0.25, None)].concat(),
        wall: midnight(0),
        steps: vec![(at(12.2 * HOUR_S), midnight(1)), (at(13.7 * HOUR_S), midnight(0))],
        // In the night, in an hour whose cap is reached, in a pause of "day", and while the clock is wrong.
        to_and_fro: [7.9, 9.2, 10.6, 13.1, 14.9].map(|hour| at(hour * HOUR_S)).to_vec(),
        write_time: ms(30),
        write_trouble: 0.01,
    };
    scenario.reload = Some((at(3.3 * HOUR_S), with_other_figures(&scenario.plan)));
    scenario
}

/// The same day as somebody else would have planned it: slower by day, under another cap, and with a guest.
fn with_other_figures(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    let day = &mut plan.streams[0];
    day.schedule.rate = "4.6/s".parse().expect("a rate");
    day.safety.caps = CapSettings { per_hour: Some(13_000), ..CapSettings::default() };
    let mut guest = plan.streams[1].clone();
    guest.name = "guest".into();
    guest.safety.caps = CapSettings { in_all: Some(9_000), ..CapSettings::default() };
    plan.streams.push(guest);
    plan
}

#[test]
fn a_day_that_is_held_back_by_all_there_is_adds_up() {
    let coverage = run(&a_day_held_back()).expect("a day keeps every invariant");
    // The day's cap leaves 220,000 messages, and retries beside them.
    assert!((200_000..260_000).contains(&coverage.sent), "{coverage:?}");
    // Slots of "day": eight hours at night, half an hour and a quarter of pauses, four hours and more at a cap.
    for (reason, least) in [
        (SkipReason::OffHours, 100_000),
        (SkipReason::Paused, 10_000),
        (SkipReason::Capped, 50_000),
        (SkipReason::CircuitOpen, 100),
        (SkipReason::Unrecorded, 1),
        (SkipReason::Gated, 100),
        (SkipReason::Late, 100),
    ] {
        let skipped = coverage.skipped_for(reason);
        assert!(skipped >= least, "{reason}: {skipped}: {coverage:?}");
    }
}

/// Adaptive traffic right at its limit, beside a little that is not and comes when it likes.
fn at_the_limit() -> Scenario {
    let mut scenario = Scenario::a_day();
    let plan = &mut scenario.plan;
    let like = plan.streams[0].clone();
    let stream = |name: &str, mode, arrivals, rate| StreamPlan {
        name: name.into(),
        mode,
        schedule: ScheduleSettings {
            rate: Rate::per_sec(rate).expect("in bounds"),
            arrivals,
            ..like.schedule
        },
        ..like.clone()
    };
    plan.streams = vec![
        stream("adaptive", Mode::Adaptive, Arrivals::Uniform, 60),
        stream("beside", Mode::Fixed, Arrivals::Poisson, 3),
    ];
    plan.adaptive.margin = 0.0;
    let limit = Kind::SlidingLog { limit: 40, window: Duration::from_secs(1) };
    scenario.server = ServerSettings {
        layers: vec![layer(limit, Lockout::None, Scope::Undecided)],
        hints: HintStyle::Honest,
        ..scenario.server
    };
    scenario.stalls = Vec::new();
    scenario.drain_at = at(900.0);
    scenario
}

#[test]
fn what_the_learned_limit_says_no_to_is_accounted_for() {
    let (mut vetoed, mut sent) = (0, 0);
    for seed in 1..=4 {
        let coverage = run(&Scenario { seed, ..at_the_limit() }).expect("it keeps every invariant");
        vetoed += coverage.skipped_for(SkipReason::Vetoed);
        sent += coverage.sent;
    }
    assert!(vetoed > 100 && sent > 80_000, "{vetoed} of {sent}");
}
