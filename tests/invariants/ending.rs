//! A run that ends while something holds it back: the slots until then are counted, as those of any other second.

use plimsoll::engine::{Engine, Input, Output};
use plimsoll::model::{Moment, WallOffset};
use plimsoll::policy::Mode;
use plimsoll::schedule::Arrivals;

use crate::scenario::{Scenario, at};

/// The slots of a stream that is paused from the start, and the rate of its plan, after so many seconds.
fn slots(mode: Mode, seconds: f64) -> (u64, f64) {
    let mut plan = Scenario::a_day().plan;
    plan.safety.paused = true;
    let stream = &mut plan.streams[0];
    stream.mode = mode;
    stream.schedule.rate = "1000/s".parse().expect("a rate");
    stream.schedule.arrivals = Arrivals::Uniform;
    let mut engine = Engine::new(1, None);
    let mut now = Moment::ZERO;
    engine.handle(now, Input::Apply(plan));
    while now < at(seconds) {
        match engine.poll(now) {
            Output::WakeAt(wake) => now = wake.min(at(seconds)),
            Output::Send(order) => panic!("it is paused: {order:?}"),
            _ => {}
        }
    }
    let pace = engine.status(now, WallOffset::default()).gates[0].pace.clone();
    engine.handle(now, Input::Drain);
    while engine.poll(now) != Output::Drained {}
    let status = engine.status(now, WallOffset::default());
    (status.streams[0].scheduled, pace.map_or(1_000.0, |pace| pace.rate))
}

#[test]
fn a_drain_counts_the_slots_that_were_held_back_until_then() {
    for mode in [Mode::Fixed, Mode::Adaptive] {
        // Early and late in a second in which nobody has looked yet.
        let ((early, _), (late, rate)) = (slots(mode, 3.05), slots(mode, 3.95));
        let (more, planned) = ((late - early) as f64, rate * 0.9);
        // A plan that is still climbing was slower before.
        let within = planned * 0.85 - 1.0..=planned + 1.0;
        assert!(planned > 10.0 && within.contains(&more), "{mode:?}: {more} slots of {planned}");
    }
}
