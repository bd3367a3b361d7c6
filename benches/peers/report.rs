//! The result for people: one line a measure.

use crate::measures::{Outcome, Row};
use crate::stats::median;
use crate::turn::Turn;

/// Above this share of a core used by others, the figures say more about them.
const OTHERS_PERCENT_MAX: f64 = 5.0;

pub(crate) fn heading() {
    println!(
        "{:<13} {:<15} {:>26} {:>26} {:>7}  {:<13} met",
        "contest", "measure", "plimsoll (each turn)", "peer (each turn)", "ratio", "bar"
    );
}

pub(crate) fn contest(outcome: &Outcome) {
    for row in &outcome.rows {
        line(row);
    }
    let turns = || outcome.our_turns.iter().chain(&outcome.peer_turns);
    let others = turns().map(|turn| turn.others_percent).fold(0.0, f64::max);
    if others > OTHERS_PERCENT_MAX {
        println!("  NOTE: other programs used up to {others:.0} % of a core meanwhile");
    }
    let sum = |count: fn(&Turn) -> u64| outcome.our_turns.iter().map(count).sum::<u64>();
    println!(
        "  telemetry of plimsoll: {} scrapes, {} spans collected, {} log lines",
        sum(|t| t.scrapes),
        sum(|t| t.spans),
        sum(|t| t.log_lines)
    );
}

fn line(row: &Row) {
    let met = match row.met {
        None => "",
        Some(true) => "met",
        Some(false) => "NOT met",
    };
    println!(
        "{:<13} {:<15} {:>26} {:>26} {:>7.3}  {:<13} {met}",
        row.contest,
        row.measure,
        figures(&row.ours, row.unit),
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
