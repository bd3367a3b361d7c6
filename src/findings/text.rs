//! The report for a terminal: the answer first, then what it rests on.

use std::fmt::Write as _;

use super::baseline::Standing;
use super::document::{ExperimentPart, Report, Source};
use super::words::{self, Outcome};
use crate::infer::study::Finding;

/// Some lines, the last of them ended.
#[must_use]
pub fn to_text(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(report, &mut out);
    out
}

fn write(report: &Report, out: &mut String) -> std::fmt::Result {
    let found = &report.conclusion;
    let material = &found.material;
    writeln!(out, "{}", words::headline(&found.limits, material.admitted, material.refused))?;
    for (i, limit) in found.limits.iter().enumerate() {
        if i > 0 {
            writeln!(out, "\nAround it: {}", words::answer(limit))?;
        }
        writeln!(out)?;
        rows(&words::rows(limit), out)?;
    }
    pairs(report, out)?;
    declared(report, out)?;
    changes(report, out)?;
    if !report.asks.is_empty() {
        writeln!(out, "\nWhat to ask the vendor")?;
    }
    for ask in &report.asks {
        writeln!(out, "  {}\n    {}", ask.whom, ask.text)?;
    }
    if !found.remarks.is_empty() {
        writeln!(out)?;
    }
    for remark in &found.remarks {
        writeln!(out, "Note: {remark}")?;
    }
    rests_on(report, out)
}

fn rows(rows: &[words::Row], out: &mut String) -> std::fmt::Result {
    for row in rows {
        match &row.outcome {
            Outcome::Known { value, interval, confidence, evidence } => {
                let interval = match interval.as_str() {
                    "" => String::new(),
                    between => format!(" ({between})"),
                };
                writeln!(out, "  {:<17} {value}{interval}, {confidence} sure", row.what)?;
                under(evidence, out)?;
            }
            Outcome::Unknown { reason, detail, experiment } => {
                writeln!(out, "  {:<17} unknown: {reason}", row.what)?;
                under(detail, out)?;
                if !experiment.is_empty() {
                    under(&format!("would tell: {experiment}"), out)?;
                }
            }
        }
    }
    Ok(())
}

/// A line below an answer, where there is something to say.
fn under(text: &str, out: &mut String) -> std::fmt::Result {
    if text.is_empty() {
        return Ok(());
    }
    writeln!(out, "  {:<17}   {text}", "")
}

fn pairs(report: &Report, out: &mut String) -> std::fmt::Result {
    if report.conclusion.pairs.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nWho shares it")?;
    for pair in &report.conclusion.pairs {
        let (a, b) = &pair.parties;
        let differ: Vec<_> = pair.differ_in.iter().map(|factor| factor.as_str()).collect();
        let shared = match &pair.shared {
            Finding::Known { value, confidence, .. } => {
                let word = if *value { "share it" } else { "have one each" };
                format!("{word}, {} sure", words::percent(*confidence))
            }
            Finding::Unknown { detail, .. } => format!("unknown: {detail}"),
        };
        writeln!(out, "  {a} and {b} (differ in {}): {shared}", differ.join(", "))?;
    }
    Ok(())
}

fn declared(report: &Report, out: &mut String) -> std::fmt::Result {
    if report.conclusion.declared.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nDeclared, beside measured")?;
    for one in &report.conclusion.declared {
        let word = match one.agrees {
            Some(true) => "agrees",
            Some(false) => "DISAGREES",
            None => "cannot be compared",
        };
        writeln!(out, "  {}: {}\n    measured: {} ({word})", one.source, one.says, one.measured)?;
    }
    Ok(())
}

fn changes(report: &Report, out: &mut String) -> std::fmt::Result {
    let Some(changes) = &report.changes else { return Ok(()) };
    let since = changes.since.as_ref().map_or_else(String::new, |at| format!(" since {at}"));
    if changes.any() {
        writeln!(out, "\nCHANGED{since}")?;
        for line in changes.lines(Standing::Changed) {
            writeln!(out, "  {line}")?;
        }
    } else {
        writeln!(out, "\nNothing has changed{since}, as far as both reports tell.")?;
    }
    for line in changes.lines(Standing::Unclear) {
        writeln!(out, "  cannot be compared: {line}")?;
    }
    Ok(())
}

fn rests_on(report: &Report, out: &mut String) -> std::fmt::Result {
    let material = &report.conclusion.material;
    writeln!(
        out,
        "\nIt rests on {} requests in {}: {} admitted, {} refused, {} without a telling answer.",
        material.attempts,
        words::seconds(material.seconds.round()),
        material.admitted,
        material.refused,
        material.unknown
    )?;
    if let Some(agreed) = report.timeline.agreed {
        let decided = report.timeline.decided;
        writeln!(out, "The limit as concluded decides {agreed} of {decided} as the server did.")?;
    }
    match (&report.experiment, &report.subject.source) {
        (Some(part), _) => spent(part, out),
        (None, Source::Record { files }) => writeln!(out, "From {}.", files.join(", ")),
        (None, Source::Probe) => Ok(()),
    }
}

fn spent(part: &ExperimentPart, out: &mut String) -> std::fmt::Result {
    let ExperimentPart { budget, spent, how, trials } = part;
    let peeks = match spent.peeks {
        0 => String::new(),
        n => format!(", {n} of them inside another credential's pause, as --peek allows"),
    };
    writeln!(
        out,
        "The probe sent {} of at most {} requests{peeks}; {} of at most {} were refused. It took {} \
         of at most {}, made {} trials, and ended because {}.",
        spent.requests,
        budget.requests,
        spent.throttles,
        budget.throttles,
        words::seconds(spent.seconds.round()),
        words::seconds(budget.seconds),
        trials.len(),
        words::how(*how)
    )
}
