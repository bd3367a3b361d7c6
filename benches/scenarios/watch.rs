//! One run, step by step: for whoever wants to know why a case misses its bars.

use plimsoll::model::{Event, GateChange, Moment};

use crate::lab::case::Case;
use crate::lab::engine::Adaptive;
use crate::lab::run::{MEASURED, run};
use crate::lab::verdict;

/// Runs the first of the cases and shows its gates and its pace; true when it keeps its bars.
pub(crate) fn watch(cases: &[Case], seed: u64) -> Result<bool, String> {
    let case = cases.first().ok_or("no case has that in its line")?;
    let measured = case.learning() + case.recovery().unwrap_or_default();
    println!("{case}, seed {seed}: measured from {:.0} s", measured.as_secs_f64());
    let outcome = run(case, seed, MEASURED, &mut Adaptive::new(case, seed, show));
    println!("{outcome:#?}");
    let missed = verdict::misses(case, &outcome);
    println!(
        "misses: {}",
        if missed.is_empty() { "nothing".to_owned() } else { missed.join(", ") }
    );
    Ok(missed.is_empty())
}

fn show(now: Moment, event: &Event) {
    let at = now.as_secs_f64();
    match event {
        Event::Pace(_, pace) => {
            let (state, reason) = (pace.state.as_str(), pace.reason.as_str());
            print!("{at:9.3}  {:9.3}/s  {state}, {reason}", pace.rate);
            if let Some(estimate) = &pace.estimate {
                let (rate, kind) = (estimate.rate, estimate.limiter);
                print!("; {:.3} in [{:.3}, {:.3}]", rate.value, rate.low, rate.high);
                print!(", {kind:?} with {:.2}", estimate.confidence);
            }
            if let Some(most) = pace.in_flight_max {
                print!("; {most} in flight");
            }
            println!();
        }
        Event::Gate(_, GateChange::Closed { until, level, .. }) => {
            println!("{at:9.3}  closed until {:.3}, level {level}", until.as_secs_f64());
        }
        Event::Gate(_, GateChange::Opened { held }) => {
            println!("{at:9.3}  opened after {:.3} s", held.as_secs_f64());
        }
        _ => {}
    }
}
