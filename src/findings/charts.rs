//! The pictures that convince.

use std::fmt::Write as _;

use super::document::Report;
use super::replay::{admitted_from_rest, settings};
use super::svg::{Plot, Scale, escape};
use super::words;
use crate::infer::study::{Finding, KindShare, PairFinding};

/// Admitted and refused over time, with what the concluded limit would have admitted.
pub(super) fn over_time(report: &Report) -> Option<String> {
    let timeline = &report.timeline;
    let length = timeline.bin_seconds;
    let total = |bin: &super::Bin| (bin.admitted + bin.refused + bin.unknown) as f64 / length;
    let highest = timeline.bins.iter().map(total).fold(0.0, f64::max);
    if highest <= 0.0 {
        return None;
    }
    let end = timeline.bins.len() as f64 * length;
    let (x, y) =
        (Scale::Linear { low: 0.0, high: end }, Scale::Linear { low: 0.0, high: highest * 1.05 });
    let title = "Requests per second over time, admitted and refused, with the limit's prediction";
    let mut plot =
        Plot::new(x, y, title, ("seconds since the first request", "requests per second"));
    for (i, bin) in timeline.bins.iter().enumerate() {
        let from = i as f64 * length;
        let said = format!(
            "{} to {}: {} admitted, {} refused, {} unknown",
            words::seconds(from),
            words::seconds(from + length),
            bin.admitted,
            bin.refused,
            bin.unknown
        );
        let mut low = 0.0;
        let stack = [("admitted", bin.admitted), ("refused", bin.refused), ("open", bin.unknown)];
        for (class, count) in stack {
            let height = count as f64 / length;
            if count > 0 {
                plot.bar(class, (from, from + length), (low, low + height), &said);
            }
            low += height;
        }
    }
    if timeline.agreed.is_some() {
        let steps = timeline.bins.iter().enumerate().flat_map(|(i, bin)| {
            let (from, height) = (i as f64 * length, bin.predicted as f64 / length);
            [(from, height), (from + length, height)]
        });
        plot.line("model", &steps.collect::<Vec<_>>());
    }
    Some(plot.to_svg())
}

/// How many were admitted at each rate before the first refusal, over the curve of the concluded limit.
pub(super) fn admitted_by_rate(report: &Report) -> Option<String> {
    const STEPS: i32 = 48;
    let trials = &report.experiment.as_ref()?.trials;
    let telling: Vec<_> =
        trials.iter().filter(|t| t.even && t.admitted > 0 && t.rate > 0.0).collect();
    let most = telling.iter().map(|t| t.admitted).max()? as f64;
    let least = telling.iter().map(|t| t.admitted).min()? as f64;
    let slowest = telling.iter().map(|t| t.rate).reduce(f64::min)? / 1.5;
    let fastest = telling.iter().map(|t| t.rate).reduce(f64::max)? * 1.5;
    let (low, high) = ((least / 2.0).max(0.5), most * 2.0);
    let x = Scale::Log { low: slowest, high: fastest };
    let y = Scale::Log { low, high };
    let title = "Requests admitted before the first refusal, against the rate of the trial";
    let labels = ("rate of the trial, per second", "admitted until refused");
    let mut plot = Plot::new(x, y, title, labels);
    if let Some(model) = report.conclusion.limits.first().and_then(settings) {
        let cut = high.ceil() as u64;
        let rate = |i: i32| slowest * (fastest / slowest).powf(f64::from(i) / f64::from(STEPS));
        let curve: Vec<_> = (0..=STEPS)
            .filter_map(|i| {
                let (least, most) = admitted_from_rest(&model, rate(i), cut);
                Some((rate(i), least? as f64, most.map_or(high, |n| n as f64)))
            })
            .collect();
        if curve.iter().any(|(_, least, most)| most > least) {
            let upper = curve.iter().map(|(rate, _, most)| (*rate, *most));
            let lower = curve.iter().rev().map(|(rate, least, _)| (*rate, *least));
            plot.area("band", &upper.chain(lower).collect::<Vec<_>>());
        }
        plot.line("model", &curve.iter().map(|(r, n, _)| (*r, *n)).collect::<Vec<_>>());
    }
    for trial in telling {
        let class = if trial.refused { "refused dot" } else { "open dot" };
        let until = if trial.refused { "then refused" } else { "none refused" };
        let said = format!(
            "at {}: {} admitted, {until}; {}",
            words::rate(trial.rate),
            trial.admitted,
            trial.why
        );
        plot.dot(class, trial.rate, trial.admitted as f64, &said);
    }
    Some(plot.to_svg())
}

/// Every kind with its probability, as bars of a table.
pub(super) fn kinds(shares: &[KindShare]) -> String {
    let mut out = String::from(r#"<div class="wide"><table class="bars"><tbody>"#);
    for share in shares {
        let width = (share.probability * 100.0).clamp(0.0, 100.0);
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            r#"<tr><th scope="row">{}</th><td><svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true"><rect class="track" width="100" height="6"/><rect class="admitted" width="{width:.2}" height="6"/></svg></td><td class="number">{}</td></tr>"#,
            escape(words::kind(share.kind)),
            escape(&words::percent(share.probability))
        );
    }
    out + "</tbody></table></div>"
}

/// Who shares the limit with whom.
pub(super) fn matrix(pairs: &[PairFinding]) -> Option<String> {
    let mut names: Vec<&str> = Vec::new();
    for pair in pairs {
        for name in [&pair.parties.0, &pair.parties.1] {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
    }
    if names.is_empty() {
        return None;
    }
    let head: String =
        names.iter().map(|n| format!(r#"<th scope="col">{}</th>"#, escape(n))).collect();
    let mut out = format!(
        r#"<div class="wide"><table class="matrix"><thead><tr><td></td>{head}</tr></thead><tbody>"#
    );
    for a in &names {
        let _ = write!(out, r#"<tr><th scope="row">{}</th>"#, escape(a));
        for b in &names {
            out.push_str(&cell(pairs, a, b));
        }
        out.push_str("</tr>");
    }
    Some(out + "</tbody></table></div>")
}

fn cell(pairs: &[PairFinding], a: &str, b: &str) -> String {
    let is = |pair: &&PairFinding| {
        let (one, other) = (pair.parties.0.as_str(), pair.parties.1.as_str());
        (one, other) == (a, b) || (one, other) == (b, a)
    };
    let Some(pair) = pairs.iter().find(is) else { return "<td></td>".to_owned() };
    let differ: Vec<_> = pair.differ_in.iter().map(|factor| factor.as_str()).collect();
    let differ = escape(&differ.join(", "));
    let (class, word, title) = match &pair.shared {
        Finding::Known { value: true, confidence, evidence } => {
            ("shared", format!("shared, {}", words::percent(*confidence)), evidence)
        }
        Finding::Known { value: false, confidence, evidence } => {
            ("apart", format!("one each, {}", words::percent(*confidence)), evidence)
        }
        Finding::Unknown { detail, .. } => ("unknown", "unknown".to_owned(), detail),
    };
    format!(
        r#"<td class="{class}" title="{}">{}<br><small>differ in {differ}</small></td>"#,
        escape(title),
        escape(&word)
    )
}
