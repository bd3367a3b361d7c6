//! No request inside a Retry-After, by nginx's record of arrivals.

use crate::limited::{RETRY_AFTER_S, Records};
use crate::support::collector::Span;
use crate::traces;

/// From the hand-over to the HTTP client until nginx has read the request, on a busy machine. What was handed over
/// before the refusal was heard may still arrive.
const ON_THE_WAY_S: f64 = 0.05;
/// nginx writes times down to the millisecond, and an arrival is the difference of two.
const ROUNDING_S: f64 = 0.003;
/// From nginx's answer until the daemon has heard it, on a busy machine.
const HEARD_MAX_S: f64 = 0.5;

/// When the headers of an attempt's response came, as Unix time in seconds.
fn headers_at_s(span: &Span) -> f64 {
    let events = span.raw["events"].as_array().map(Vec::as_slice).unwrap_or_default();
    let headers = events.iter().find(|event| event["name"] == "headers");
    let time = headers.and_then(|event| event["timeUnixNano"].as_str());
    let ns: f64 = time.and_then(|ns| ns.parse().ok()).unwrap_or_else(|| panic!("{span:?}"));
    ns / 1e9
}

/// After each 429 nothing arrives until its Retry-After, counted from when its headers were received, is over; and
/// then traffic goes on.
pub(crate) fn were_kept(records: &Records, min_epochs: f64) {
    let spans = traces::attempts_by_id(&records.spans);
    for refusal in records.refused() {
        let heard_s = headers_at_s(spans[&traces::ids(refusal)]);
        // Both clocks are this machine's. A daemon that claimed to have heard it late would excuse itself.
        let delay_s = heard_s - refusal.time_s;
        assert!((-ROUNDING_S..HEARD_MAX_S).contains(&delay_s), "heard after {delay_s} s");
        let silent_s = heard_s + ON_THE_WAY_S..heard_s + f64::from(RETRY_AFTER_S) - ROUNDING_S;
        for access in &records.log {
            let arrived_s = access.arrived_s();
            assert!(
                !silent_s.contains(&arrived_s),
                "{:.3} s into the pause that {refusal:?} asked for: {access:?}",
                arrived_s - heard_s
            );
        }
    }
    let value = |expression: &str| records.prometheus.value(expression);
    assert_eq!(value("sum(plimsoll_gate_violations_total)"), Some(0.0));
    // Both streams stand behind one gate while nobody has said who shares the limit.
    assert_eq!(value("count(plimsoll_gate_epochs_total)"), Some(1.0));
    let epochs = value("plimsoll_gate_epochs_total").unwrap_or_default();
    assert!(epochs >= min_epochs, "{epochs} pauses");
    let refused = records.refused().count() as f64;
    assert!(epochs <= refused, "{epochs} pauses for {refused} refusals");
}
