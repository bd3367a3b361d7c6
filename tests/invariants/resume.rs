//! Which answers to a resume request say that the limit let it pass.

use plimsoll::engine::{Engine, Input, Output};
use plimsoll::model::{Answer, Failure, FailureKind, GateState, Moment, Verdict, WallOffset};

use crate::scenario::Scenario;

/// What the gate is right after its resume request was answered so.
fn after(verdict: Verdict) -> GateState {
    let mut engine = Engine::new(1, None);
    let mut now = Moment::ZERO;
    engine.handle(now, Input::Apply(Scenario::a_day().plan));
    loop {
        match engine.poll(now) {
            Output::Send(order) => {
                let verdict = if order.resume { verdict } else { Verdict::Throttled };
                let answer = Answer::bare(verdict, now, now);
                engine.handle(now, Input::Answered { attempt: order.attempt, answer });
                if order.resume {
                    return engine.status(now, WallOffset::default()).gates[0].state;
                }
            }
            Output::WakeAt(wake) => now = wake,
            Output::Fit(gate, job) => engine.handle(now, Input::Fitted(gate, job.run())),
            Output::Event(_) | Output::FetchToken(_) | Output::Record => {}
            Output::Drained => unreachable!("nobody drains it"),
        }
    }
}

#[test]
fn a_final_answer_opens_the_gate_and_no_other_does() {
    let failed = |kind| Verdict::Failed(Failure { kind, may_have_arrived: true });
    for (verdict, state) in [
        (Verdict::Accepted, GateState::Open),
        (Verdict::Rejected, GateState::Open),
        // Who asks may be looked at before how often.
        (Verdict::Unauthorized, GateState::Closed),
        (failed(FailureKind::ServerError), GateState::Closed),
        (failed(FailureKind::Timeout), GateState::Closed),
        (Verdict::Throttled, GateState::Closed),
    ] {
        assert_eq!(after(verdict), state, "{verdict:?}");
    }
}
