//! The tables, for a terminal and as markdown.

use std::fmt::Write as _;

use crate::comparison::{Compared, Policy};
use crate::figures::{Row, Summary};
use crate::lab::file::Experiment;

fn percent(share: f64, digits: usize) -> String {
    format!("{:.digits$} %", share * 100.0)
}

fn beside(summary: &Summary) -> String {
    let mut more = String::new();
    if let Some(seconds) = summary.recovered {
        // Writing to a string does not fail.
        let _ = write!(more, "  back after {seconds:.0} s at most");
    }
    if let Some((least, most)) = summary.fairness {
        let _ = write!(more, "  fairness {least:.3} to {most:.3}");
    }
    if summary.early > 0 {
        let _ = write!(more, "  {} SENT INSIDE A RETRY-AFTER", summary.early);
    }
    more
}

fn figures(summary: &Summary) -> String {
    format!(
        "goodput min {:>7} median {:>7}  throttled {:>8}  epochs {:>4}  while learning {:>5}{}",
        percent(summary.goodput_min, 1),
        percent(summary.goodput_median, 1),
        percent(summary.throttled, 3),
        summary.epochs,
        summary.refused_learning,
        beside(summary),
    )
}

/// The cases of one experiment. Those that keep their bars are only counted, unless asked for.
pub(crate) fn experiment(experiment: &Experiment, rows: &[Row], every: bool) {
    let kept = rows.iter().filter(|row| row.keeps()).count();
    println!("\n{}: {}", experiment.name, experiment.question);
    if let Some(why) = &experiment.why {
        for line in why.trim().lines() {
            println!("    | {line}");
        }
    }
    let summary = Summary::of(rows.iter().flat_map(|row| &row.outcomes));
    println!("  {kept} of {} cases keep the bars ({} runs)", rows.len(), summary.runs);
    println!("  {}", figures(&summary));
    for row in rows.iter().filter(|row| every || !row.keeps()) {
        println!("  {} {}", if row.keeps() { "ok  " } else { "MISS" }, row.case);
        println!("         {}", figures(&Summary::of(&row.outcomes)));
        let misses = row.misses();
        let missed: Vec<(u64, &Vec<String>)> = row
            .outcomes
            .iter()
            .map(|o| o.seed)
            .zip(&misses)
            .filter(|(_, m)| !m.is_empty())
            .collect();
        if let Some((seed, first)) = missed.first() {
            let of = row.outcomes.len();
            println!(
                "         {} of {of} seeds, such as {seed}: {}",
                missed.len(),
                first.join(", ")
            );
        }
    }
}

/// Every case under every policy.
pub(crate) fn comparison(compared: &[Compared]) {
    println!("\nThe same beside other policies: goodput, and throttled requests of those sent");
    for Compared { case, summaries } in compared {
        println!("  {case}");
        for (policy, summary) in summaries {
            let goodput = percent(summary.goodput_median, 1);
            let throttled = percent(summary.throttled, 2);
            println!("    {:<26} {goodput:>8}  throttled {throttled:>8}", policy.name());
        }
    }
}

/// The section of the README.
pub(crate) fn markdown(groups: &[(&Experiment, &[Row])], compared: &[Compared]) {
    println!("## Continuous throughput under an unknown cap\n");
    println!(
        "Measured over ten minutes after learning, in virtual time, against an oracle that knows the \
         limiter. Each cell: what was admitted of what could have been, and which part of the requests \
         was throttled.\n"
    );
    let names: Vec<&str> = Policy::ALL.iter().map(|policy| policy.name()).collect();
    println!("| limit | {} |", names.join(" | "));
    println!("|---|{}", "---|".repeat(names.len()));
    for Compared { case, summaries } in compared {
        let cell = |(_, s): &(Policy, Summary)| {
            format!("{}, {}", percent(s.goodput_median, 1), percent(s.throttled, 2))
        };
        let cells: Vec<String> = summaries.iter().map(cell).collect();
        println!("| {case} | {} |", cells.join(" | "));
    }
    if groups.is_empty() {
        return;
    }
    println!("\n| experiment | cases within the bars | goodput, least and median | throttled |");
    println!("|---|---|---|---|");
    for (experiment, rows) in groups {
        let summary = Summary::of(rows.iter().flat_map(|row| &row.outcomes));
        let kept = rows.iter().filter(|row| row.keeps()).count();
        println!(
            "| {} | {kept} of {} | {}, {} | {} |",
            experiment.name,
            rows.len(),
            percent(summary.goodput_min, 1),
            percent(summary.goodput_median, 1),
            percent(summary.throttled, 3),
        );
    }
}
