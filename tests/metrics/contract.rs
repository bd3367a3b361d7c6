//! `METRICS.md` against the binary, both ways.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll::model::{
    BreakerId, CapStatus, CapWindow, CredentialId, Dialect, Event, SubjectSafety, Verdict,
};
use plimsoll::telemetry::{CATALOG, Kind, PodInfo};

use crate::support::*;

const DOCUMENT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/METRICS.md"));

/// A family: its type and label names.
type Families = BTreeMap<String, (String, BTreeSet<String>)>;

/// The words in backquotes.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Rows of tables whose first cell is a metric's name, as cells.
fn rows(columns: usize) -> impl Iterator<Item = Vec<&'static str>> {
    DOCUMENT.lines().filter(|line| line.starts_with("| `plimsoll_")).filter_map(move |line| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        (cells.len() == columns).then_some(cells)
    })
}

fn documented() -> Families {
    rows(5)
        .map(|cells| {
            let name = quoted(cells[0]).concat();
            (name, (cells[1].to_owned(), quoted(cells[2]).into_iter().collect()))
        })
        .collect()
}

/// What a scrape shows once there is one of everything.
fn exported() -> (String, Families) {
    let (telemetry, mut observer) = plain();
    telemetry.objectives(objectives());
    telemetry.runs_in(PodInfo { namespace: "n".into(), pod: "p".into(), node: "node".into() });
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    for name in ["send", "background"] {
        telemetry.watch_runtime(name, runtime.metrics());
    }
    observer.credentials(wall(), at(0), [(CredentialId(0), "cred".into())]);
    let order = order(0, 1, 0, at(0));
    let mut hinted = answer(Verdict::Accepted, at(0));
    hinted.hints = vec![hint(Dialect::Inin, 5)];
    feed(
        &mut observer,
        at(0),
        &[
            Event::StreamAdded(stream(0, "s", "t")),
            gate_added(0, "g"),
            paced(0, 97.0),
            known(0, 97.0),
            moved(0, 97.0, 60.0),
            Event::BreakerAdded(BreakerId(0), "d".into()),
            Event::Sent(order),
            ended(order, hinted),
        ],
    );
    let caps = CapWindow::ALL.iter().map(|window| CapStatus {
        window: *window,
        limit: 10,
        used: 0,
        reached: false,
        room_at: None,
    });
    let subject = Some("s".into());
    let safety = SubjectSafety { subject, paused: false, active: true, caps: caps.collect() };
    observer.envelope(wall(), at(0), vec![safety]);
    let text = telemetry.render(None).body;
    let mut families = Families::new();
    for line in text.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE plimsoll_") {
            let (name, kind) = declared.split_once(' ').expect("a name and a type");
            families.insert(format!("plimsoll_{name}"), (kind.to_owned(), BTreeSet::new()));
        } else if line.starts_with("plimsoll_") {
            let (series, _) = line.rsplit_once(' ').expect("a value");
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .filter_map(|suffix| name.strip_suffix(suffix))
                .find(|base| families.contains_key(*base))
                .unwrap_or(name);
            let (_, known) = families.get_mut(family).expect("TYPE comes first");
            let names = labels.trim_end_matches('}').split(',').filter_map(|l| l.split_once('='));
            known.extend(names.map(|(name, _)| name.to_owned()).filter(|name| name != "le"));
        }
    }
    (text, families)
}

#[test]
fn what_is_documented_is_exported_and_the_other_way_round() {
    let documented = documented();
    assert!(documented.len() > 40, "the tables were found");
    assert_eq!(documented, exported().1);
}

#[test]
fn the_catalog_names_what_is_exported() {
    let catalog: Families = CATALOG
        .iter()
        .map(|family| {
            let kind = match family.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            let labels = family.labels.iter().map(|l| (*l).to_owned()).collect();
            (family.name.to_owned(), (kind.to_owned(), labels))
        })
        .collect();
    assert_eq!(catalog, exported().1);
}

#[test]
fn closed_label_sets_are_documented_and_exported_from_the_start() {
    let (text, _) = exported();
    let mut documented = 0;
    for cells in rows(3) {
        let (metric, label) = (quoted(cells[0]), quoted(cells[1]));
        // The table of buckets has two columns; this one names one metric and one label.
        let ([metric], [label]) = (metric.as_slice(), label.as_slice()) else { continue };
        let values: BTreeSet<_> = quoted(cells[2]).into_iter().collect();
        let marker = format!("{label}=\"");
        let seen: BTreeSet<_> = text
            .lines()
            .filter(|line| line.starts_with(metric.as_str()))
            .filter_map(|line| {
                let (_, rest) = line.split_once(&marker)?;
                rest.split_once('"').map(|(value, _)| value.to_owned())
            })
            .collect();
        assert_eq!(values, seen, "{metric} {label}");
        documented += 1;
    }
    assert_eq!(documented, 25);
}

#[test]
fn the_process_metrics_are_documented_too() {
    let (text, _) = exported();
    let named: BTreeSet<_> =
        quoted(DOCUMENT).into_iter().filter(|w| w.starts_with("process_")).collect();
    let seen: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|rest| rest.split_once(' '))
        .map(|(name, _)| name.to_owned())
        .filter(|name| !name.starts_with("plimsoll_"))
        .collect();
    assert_eq!(named, seen);
}
