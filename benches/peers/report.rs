//! The result for people: one line a measure.

use crate::measures::{Outcome, Row};
use crate::stats::median;
use crate::tools::Tool;
use crate::turn::Turn;

/// Above this share of a core used by others, the figures say more about them.
const OTHERS_PERCENT_MAX: f64 = 5.0;

pub(crate) fn heading(us: Tool) {
    println!("Medians over the turns (least–most of them), and the ratio of the medians.");
    println!(
        "{:<13} {:<15} {:>29} {:>9} {:>29} {:>7}  {:<13} met",
        "contest",
        "measure",
        us.name(),
        "peer",
        "",
        "ratio",
        "bar"
    );
}

pub(crate) fn contest(us: Tool, outcome: &Outcome) {
    for row in &outcome.rows {
        line(row);
    }
    let turns = || outcome.our_turns.iter().chain(&outcome.peer_turns);
    let others = turns().map(|turn| turn.others_percent).fold(0.0, f64::max);
    if others > OTHERS_PERCENT_MAX {
        println!("  NOTE: other programs used up to {others:.0} % of a core meanwhile");
    }
    if us == Tool::Plimsoll {
        telemetry(&outcome.our_turns);
    }
}

/// Evidence that everything observable was observed.
fn telemetry(turns: &[Turn]) {
    let sum = |count: fn(&Turn) -> u64| turns.iter().map(count).sum::<u64>();
    let (scrapes, spans, lines) = (sum(|t| t.scrapes), sum(|t| t.spans), sum(|t| t.log_lines));
    println!("  telemetry: {scrapes} scrapes, {spans} spans collected, {lines} log lines");
    if [scrapes, spans, lines].contains(&0) {
        println!("  NOTE: not all telemetry was on");
    }
}

fn line(row: &Row) {
    let met = match row.met {
        None => "",
        Some(true) => "met",
        Some(false) => "NOT met",
    };
    println!(
        "{:<13} {:<15} {:>29} {:>9} {:>29} {:>7.3}  {:<13} {met}",
        row.contest,
        row.measure,
        figures(&row.ours, row.unit),
        row.peer_name,
        figures(&row.peer, row.unit),
        row.ratio,
        row.bar.as_deref().unwrap_or_default(),
    );
}

/// The median, and how far the turns lie apart.
fn figures(turns: &[f64], unit: &str) -> String {
    let least = turns.iter().copied().fold(f64::INFINITY, f64::min);
    let most = turns.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let middle = median(turns);
    let digits = if middle.abs() >= 1_000.0 { 0 } else { 2 };
    format!("{middle:.digits$} {unit} ({least:.digits$}–{most:.digits$})")
}
