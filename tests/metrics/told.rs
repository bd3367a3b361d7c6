//! What people are told: log lines and live events.

use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex};

use plimsoll::model::{
    CredentialId, Dialect, Event, GateChange, GateId, Pace, PaceReason, TokenEvent, Verdict,
};
use plimsoll::telemetry::LiveSink;
use serde_json::{Value, json};
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::support::*;

/// A place for lines.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A second subscriber. As long as there is but one, a call site that is first met on a thread which has none, such as
/// that of another test, is taken to interest nobody, for good.
static SECOND: LazyLock<tracing::Dispatch> = LazyLock::new(|| {
    tracing::Dispatch::new(tracing_subscriber::registry().with(dynamic_filter_fn(|_, _| true)))
});

/// The lines that `events` cause at `level`.
fn logged(level: tracing::Level, events: &[Event]) -> Vec<Value> {
    LazyLock::force(&SECOND);
    let lines = Lines::default();
    let sink = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(level)
        .with_writer(move || sink.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let (_telemetry, mut observer) = plain();
        observer.credentials(wall(), at(0), [(CredentialId(0), "cred".into())]);
        feed(&mut observer, at(0), events);
    });
    let bytes = lines.0.lock().expect("not poisoned").clone();
    let text = String::from_utf8(bytes).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

fn events() -> Vec<Event> {
    let gate = |change| Event::Gate(GateId(0), change);
    let mut events = vec![Event::StreamAdded(stream(0, "s", "t")), gate_added(0, "d")];
    events.extend(single(0, 0xabc, Verdict::Throttled, at(1)));
    events.extend([
        gate(closed(at(30_000), 1, false)),
        gate(GateChange::HalfOpen),
        gate(closed(at(9_000_000), 2, true)),
        gate(GateChange::Violated),
        Event::Token(
            CredentialId(0),
            TokenEvent::Unavailable { throttled: true, retry_at: at(60_000) },
        ),
        Event::DrainStarted,
    ]);
    events
}

#[test]
fn what_must_be_acted_on_is_an_error_and_attempts_are_no_news() {
    let lines = logged(tracing::Level::INFO, &events());
    let told: Vec<_> = lines
        .iter()
        .map(|l| (l["level"].as_str().expect("a level"), l["message"].as_str().expect("a text")))
        .map(|(level, text)| (level, text.split([':', ';', ' ']).next().expect("a word")))
        .collect();
    assert_eq!(
        told,
        [
            ("INFO", "stream"),
            ("WARN", "gate"),
            ("INFO", "pause"),
            ("ERROR", "gate"),
            ("ERROR", "a"),
            ("WARN", "no"),
            ("INFO", "draining")
        ]
    );
    let closed = &lines[1];
    assert_eq!(closed["gate"], "d");
    assert_eq!(
        closed["until"], "2023-11-14T22:13:50Z",
        "thirty seconds after the epoch of the test"
    );
    assert_eq!(closed["advice_s"], 30.0);
    assert_eq!(closed["level"], "WARN");
    assert_eq!(closed["cause"], "s");
    assert_eq!(lines[5]["credential"], "cred");
}

#[test]
fn at_debug_level_each_attempt_leads_to_its_trace() {
    let lines = logged(tracing::Level::DEBUG, &events());
    let attempt = lines.iter().find(|l| l["message"] == "attempt ended").expect("told");
    assert_eq!(attempt["trace_id"], format!("{:032x}", 0xabc));
    assert_eq!(attempt["span_id"], order(0, 0xabc, 0, at(1)).span.to_string());
    assert_eq!(attempt["status"], 429);
    let message = lines.iter().find(|l| l["message"] == "message ended").expect("told");
    assert_eq!(message["trace_id"], attempt["trace_id"]);
}

/// Remembers what it is told, if it wants to.
#[derive(Clone, Default)]
struct Sink {
    wanted: bool,
    told: Arc<Mutex<Vec<(&'static str, Value)>>>,
    lasting: Arc<Mutex<Vec<&'static str>>>,
}

impl LiveSink for Sink {
    fn wanted(&self) -> bool {
        self.wanted
    }

    fn publish(&self, kind: &'static str, json: String) {
        let data = serde_json::from_str(&json).expect("JSON");
        self.told.lock().expect("not poisoned").push((kind, data));
    }

    fn publish_lasting(&self, kind: &'static str, json: String) {
        self.lasting.lock().expect("not poisoned").push(kind);
        self.publish(kind, json);
    }
}

fn live(events: &[Event]) -> Vec<(&'static str, Value)> {
    let sink = Sink { wanted: true, ..Sink::default() };
    let (_telemetry, mut observer) = plain();
    observer.set_live(Box::new(sink.clone()));
    feed(&mut observer, at(0), events);
    sink.told.lock().expect("not poisoned").clone()
}

#[test]
fn listeners_are_told_of_changes_and_now_and_then_of_hints() {
    let mut all = events();
    for message in 1..=20 {
        let order = order(0, message, 0, at(1));
        let mut hinted = answer(Verdict::Accepted, at(1));
        hinted.hints = vec![hint(Dialect::Inin, 5)];
        all.push(ended(order, hinted));
    }
    let told = live(&all);
    let kinds: Vec<_> = told.iter().map(|(kind, _)| *kind).collect();
    let expected = ["stream", "gate", "gate", "gate", "gate", "gate", "token", "drain", "hint"];
    assert_eq!(kinds, expected, "one hint of twenty within a quarter of a second");
    assert_eq!(told[2].1["change"], "closed");
    assert_eq!(told[2].1["until"], EPOCH_S as f64 + 30.0);
    assert_eq!(told[2].1["cause"], "s");
    assert_eq!(told[8].1["hints"][0]["remaining"], 5);
    assert!(told.iter().all(|(_, data)| data["at"] == EPOCH_S as f64));
}

#[test]
fn a_gate_that_goes_is_told_by_its_name() {
    let told = live(&[gate_added(0, "d"), Event::GateRemoved(GateId(0))]);
    let changes: Vec<_> =
        told.iter().map(|(kind, data)| (*kind, &data["gate"], &data["change"])).collect();
    let (gate, added, removed) = (json!("d"), json!("added"), json!("removed"));
    assert_eq!(changes, [("gate", &gate, &added), ("gate", &gate, &removed)]);
}

#[test]
fn for_nobody_only_what_lasts_is_made() {
    let mut all = events();
    let order = order(0, 1, 0, at(1));
    let mut hinted = answer(Verdict::Accepted, at(1));
    hinted.hints = vec![hint(Dialect::Inin, 5)];
    let climbing = |rate| {
        let pace = Pace { reason: PaceReason::Admitted, rate, ..pace(97.0) };
        Event::Pace(GateId(0), Box::new(pace))
    };
    all.extend([ended(order, hinted), climbing(50.0), climbing(51.0), climbing(52.0)]);
    let sink = Sink::default();
    let (_telemetry, mut observer) = plain();
    observer.set_live(Box::new(sink.clone()));
    feed(&mut observer, at(0), &all);
    let lasting = sink.lasting.lock().expect("not poisoned").clone();
    assert_eq!(lasting.len(), sink.told.lock().expect("not poisoned").len());
    // No hint, no extension of a pause, and a rate that climbs is told once.
    let expected = ["stream", "gate", "gate", "gate", "gate", "gate", "token", "drain", "pace"];
    assert_eq!(lasting, expected);
}

#[test]
fn a_limit_that_moves_is_told_and_a_rate_that_does_is_not() {
    let told = |reason, limit, hints_trusted| {
        let pace = Pace { reason, hints_trusted: Some(hints_trusted), ..pace(limit) };
        Event::Pace(GateId(0), Box::new(pace))
    };
    let events = [
        gate_added(0, "d"),
        told(PaceReason::Estimated, 97.0, true),
        told(PaceReason::Admitted, 97.1, true),
        told(PaceReason::LimitFell, 60.0, true),
        told(PaceReason::LimitFell, 60.0, false),
        told(PaceReason::LimitRose, 60.2, false),
        Event::PaceRemoved(GateId(0)),
    ];
    let lines = logged(tracing::Level::INFO, &events);
    let texts: Vec<_> = lines
        .iter()
        .map(|l| (l["level"].as_str().expect("a level"), l["message"].as_str().expect("a text")))
        .collect();
    let known = ("INFO", "the limit, as far as it is known");
    let expected = [
        known,
        ("WARN", "the limit has fallen"),
        known,
        ("WARN", "quota hints contradict what is admitted: they are not believed"),
        ("INFO", "the limit has risen"),
    ];
    assert_eq!(texts, expected);
    assert_eq!((&lines[0]["gate"], &lines[0]["rate"]), (&json!("d"), &json!(97.0)));

    let live = live(&events);
    assert_eq!(live.len(), 7);
    assert_eq!(live[1].0, "pace");
    assert_eq!(live[1].1["estimate"]["kind"], "sliding_log");
    assert_eq!(live[1].1["estimate"]["at"], EPOCH_S as f64 + 1.0);
    assert_eq!(live[6].1["change"], "removed");
}

#[test]
fn a_change_of_a_limit_is_told_in_a_line_and_kept_for_the_page() {
    let events = [gate_added(0, "d"), known(0, 100.0), moved(0, 100.0, 60.0), known(0, 60.0)];
    let lines = logged(tracing::Level::INFO, &events);
    let texts: Vec<_> = lines.iter().map(|l| l["message"].as_str().expect("a text")).collect();
    let known = "the limit, as far as it is known";
    let fell = "limit fell from 100/s to 60.0/s at 22:13:22, confidence 0.98";
    assert_eq!(texts, [known, fell, known]);
    assert_eq!((&lines[1]["level"], &lines[1]["gate"]), (&json!("WARN"), &json!("d")));

    let live = live(&events);
    let told: Vec<_> = live.iter().map(|(kind, data)| (*kind, data["change"].clone())).collect();
    let expected = [("gate", "added"), ("limit", "known"), ("limit", "fell"), ("limit", "known")];
    assert_eq!(told, expected.map(|(kind, change)| (kind, json!(change))));
    assert_eq!(live[2].1["to"], json!({"value": 60.0, "low": 59.0, "high": 61.0}));
    assert_eq!(live[2].1["since"], EPOCH_S as f64 + 2.0);
    let headroom = live[1].1["headroom"].as_f64().expect("a number");
    assert!((headroom - 0.2).abs() < 1e-9, "{headroom}");

    let sink = Sink::default();
    let (_telemetry, mut observer) = plain();
    observer.set_live(Box::new(sink.clone()));
    feed(&mut observer, at(0), &events);
    assert_eq!(*sink.lasting.lock().expect("not poisoned"), ["gate", "limit"], "for an hour later");
}
