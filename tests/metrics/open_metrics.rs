//! The OpenMetrics text, read strictly, and its exemplars.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use plimsoll::model::{Event, Verdict};
use plimsoll::telemetry::{Sampling, Telemetry, TracingSettings};

use crate::support::*;
use crate::traces::Memory;

/// One sample line.
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
    exemplar: Option<(HashMap<String, String>, f64, f64)>,
}

/// Reads `{a="b",c="d"}` at the start of `text`; returns the labels and the rest.
fn read_labels(text: &str) -> (Vec<(String, String)>, &str) {
    let mut rest = text.strip_prefix('{').expect("labels");
    let mut labels = Vec::new();
    while !rest.starts_with('}') {
        let (name, after) = rest.split_once("=\"").expect("a quoted value");
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{name}");
        let (mut value, mut chars) = (String::new(), after.char_indices());
        let end = loop {
            match chars.next().expect("a closing quote") {
                (i, '"') => break i,
                (_, '\\') => match chars.next().expect("an escaped character").1 {
                    'n' => value.push('\n'),
                    c @ ('\\' | '"') => value.push(c),
                    c => panic!("\\{c} is no escape"),
                },
                (_, c) => value.push(c),
            }
        };
        labels.push((name.to_owned(), value));
        rest = &after[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    (labels, &rest[1..])
}

fn read_number(text: &str) -> f64 {
    match text {
        "+Inf" => f64::INFINITY,
        _ => text.parse().unwrap_or_else(|_| panic!("{text:?} is no number")),
    }
}

fn read_sample(line: &str) -> Sample {
    let split = line.find(['{', ' ']).expect("a value");
    let (name, rest) = line.split_at(split);
    let (labels, rest) = if rest.starts_with('{') { read_labels(rest) } else { (Vec::new(), rest) };
    let rest = rest.strip_prefix(' ').expect("one space before the value");
    let Some((value, exemplar)) = rest.split_once(" # ") else {
        let value = read_number(rest);
        return Sample { name: name.to_owned(), labels, value, exemplar: None };
    };
    let (own, rest) = read_labels(exemplar);
    let characters: usize = own.iter().map(|(k, v)| k.chars().count() + v.chars().count()).sum();
    assert!(characters <= 128, "an exemplar's labels have {characters} characters");
    let parts: Vec<_> = rest.trim_start().split(' ').collect();
    let [measured, timestamp] = parts[..] else { panic!("a value and a timestamp: {rest:?}") };
    let exemplar = (own.into_iter().collect(), read_number(measured), read_number(timestamp));
    Sample { name: name.to_owned(), labels, value: read_number(value), exemplar: Some(exemplar) }
}

/// Reads a whole exposition and checks what the specification demands of it.
fn read_strictly(text: &str) -> Vec<Sample> {
    let body = text.strip_suffix("# EOF\n").expect("# EOF ends it");
    assert!(!body.contains("# EOF") && !body.contains("\n\n"), "once, and no empty lines");
    let (mut families, mut series) = (HashSet::new(), HashSet::new());
    let (mut family, mut kind, mut samples) = (String::new(), String::new(), Vec::new());
    for line in body.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, _) = help.split_once(' ').expect("a help text");
            assert!(families.insert(name.to_owned()), "{name} appears twice");
            family = name.to_owned();
            continue;
        }
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, of) = declared.split_once(' ').expect("a type");
            assert_eq!(name, family, "HELP and TYPE of one family follow each other");
            assert!(!name.ends_with("_total"), "{name}: the suffix belongs to the sample");
            kind = of.to_owned();
            continue;
        }
        assert!(!line.starts_with('#'), "{line}");
        let sample = read_sample(line);
        let suffix = sample.name.strip_prefix(&family).expect("samples follow their family");
        match kind.as_str() {
            "counter" => assert_eq!(suffix, "_total", "{line}"),
            "gauge" => assert_eq!(suffix, "", "{line}"),
            "histogram" => assert!(matches!(suffix, "_bucket" | "_sum" | "_count"), "{line}"),
            other => panic!("type {other}"),
        }
        let le = sample.labels.iter().find(|(name, _)| name == "le");
        assert_eq!(le.is_some(), suffix == "_bucket", "{line}");
        if let Some((_, bound)) = le {
            assert!(bound == "+Inf" || bound.contains('.'), "{bound}: bounds are floats");
        }
        if kind == "counter" {
            assert!(sample.value >= 0.0, "{line}");
        }
        assert!(sample.exemplar.is_none() || matches!(suffix, "_total" | "_bucket"), "{line}");
        let mut key = sample.labels.clone();
        key.sort();
        assert!(series.insert((sample.name.clone(), key)), "twice: {line}");
        samples.push(sample);
    }
    samples
}

/// Buckets rise, and the last equals the count.
fn check_histograms(samples: &[Sample]) {
    let mut last: HashMap<(String, Vec<(String, String)>), f64> = HashMap::new();
    for sample in samples {
        let rest: Vec<_> = sample.labels.iter().filter(|(k, _)| k != "le").cloned().collect();
        if let Some(base) = sample.name.strip_suffix("_bucket") {
            let previous = last.insert((base.to_owned(), rest), sample.value).unwrap_or(0.0);
            assert!(sample.value >= previous, "{base} falls");
        } else if let Some(total) =
            sample.name.strip_suffix("_count").and_then(|base| last.get(&(base.to_owned(), rest)))
        {
            assert_eq!(*total, sample.value, "{}", sample.name);
        }
    }
    assert!(last.len() > 5, "histograms were seen");
}

#[test]
fn the_text_is_valid_whatever_names_people_choose() {
    let (telemetry, mut observer) = plain();
    let odd = "a \"quoted\\ name\"\nwith a break";
    feed(&mut observer, at(0), &[Event::StreamAdded(stream(0, odd, "t")), gate_added(0, odd)]);
    for message in 1..50 {
        let verdict = if message % 3 == 0 { Verdict::Throttled } else { Verdict::Accepted };
        feed(&mut observer, at(1), &single(0, message, verdict, at(1)));
    }
    let samples = read_strictly(&telemetry.render(Some(OPEN_METRICS)).body);
    check_histograms(&samples);
    let named = samples.iter().filter(|s| s.labels.iter().any(|(_, value)| value == odd));
    assert!(named.count() > 25, "the name survives");
    assert!(samples.iter().all(|s| s.exemplar.is_none()), "no traces, no exemplars");
}

#[test]
fn exemplars_lead_to_spans_that_are_exported_and_to_no_others() {
    let memory = Memory::default();
    let settings = TracingSettings { sampling: Sampling::ratio(0.0), ..Default::default() };
    let (telemetry, mut observer) =
        Telemetry::with_exporter(&build(), 0.0, &settings, memory.clone()).expect("starts");
    feed(&mut observer, at(0), &[Event::StreamAdded(stream(0, "s", "t"))]);
    feed(&mut observer, at(500), &single(0, 0xabc, Verdict::Throttled, at(500)));
    feed(&mut observer, at(600), &single(0, 0xdef, Verdict::Accepted, at(600)));
    let samples = read_strictly(&telemetry.render(Some(OPEN_METRICS)).body);
    let marked: Vec<_> = samples.iter().filter(|s| s.exemplar.is_some()).collect();
    let mut names: Vec<_> = marked.iter().map(|s| s.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "plimsoll_attempts_total",
            "plimsoll_response_duration_seconds_bucket",
            "plimsoll_send_lateness_seconds_bucket",
            "plimsoll_service_duration_seconds_bucket"
        ]
    );
    assert!(telemetry.shutdown(Duration::from_secs(5)));
    let exported: HashSet<_> = memory.ids();
    for sample in marked {
        let (labels, measured, unix_s) = sample.exemplar.clone().expect("filtered");
        assert_eq!(
            labels["trace_id"],
            format!("{:032x}", 0xabc),
            "the accepted one is not sampled"
        );
        let ids = (labels["trace_id"].clone(), labels["span_id"].clone());
        assert!(exported.contains(&ids), "{}: {ids:?} was never exported", sample.name);
        assert!((unix_s - (EPOCH_S as f64 + 0.530)).abs() < 0.002, "{unix_s}");
        if let Some((_, le)) = sample.labels.iter().find(|(name, _)| name == "le") {
            assert!(measured <= read_number(le), "{measured} is not in bucket {le}");
        }
    }
}

#[test]
fn exemplars_go_with_their_series() {
    let settings = TracingSettings { sampling: Sampling::ratio(1.0), ..Default::default() };
    let (telemetry, mut observer) =
        Telemetry::with_exporter(&build(), 0.0, &settings, Memory::default()).expect("starts");
    feed(&mut observer, at(0), &[Event::StreamAdded(stream(0, "s", "t"))]);
    feed(&mut observer, at(1), &single(0, 1, Verdict::Accepted, at(1)));
    let stream_removed = Event::StreamRemoved(plimsoll::model::StreamId(0));
    assert!(telemetry.render(Some(OPEN_METRICS)).body.contains("trace_id"));
    feed(&mut observer, at(2), &[stream_removed]);
    drop(telemetry.render(Some(OPEN_METRICS)));
    feed(&mut observer, at(3), &[Event::StreamAdded(stream(1, "s", "t"))]);
    let samples = read_strictly(&telemetry.render(Some(OPEN_METRICS)).body);
    assert!(samples.iter().all(|s| s.exemplar.is_none()), "the new series starts without");
}
