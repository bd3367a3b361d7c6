//! The report as a page that needs nothing but itself: it can be mailed, kept, and printed.

use std::fmt::Write as _;

use super::baseline::Standing;
use super::charts;
use super::document::{ExperimentPart, Report, Source};
use super::svg::escape;
use super::words::{self, Outcome};
use crate::infer::study::{DeclaredFinding, LimitFinding, Trial, WithoutPrior};

const STYLE: &str = include_str!("page.css");

/// A whole page.
#[must_use]
pub fn to_html(report: &Report) -> String {
    let found = &report.conclusion;
    let material = &found.material;
    let headline = words::headline(&found.limits, material.admitted, material.refused);
    let subject = &report.subject;
    let of = subject.server.as_deref().or(subject.target.as_deref()).unwrap_or("a record");
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'\">\
         <title>Limit of {}</title><style>{STYLE}</style></head><body><main>",
        escape(of)
    );
    // Writing to a string cannot fail.
    let _ = write!(out, "<p class=\"about\">{}</p><h1>{}</h1>", about(report), escape(&headline));
    changes(report, &mut out);
    for (i, limit) in found.limits.iter().enumerate() {
        if i > 0 {
            let _ = write!(out, "<h2>Around it: {}</h2>", escape(&words::answer(limit)));
        }
        answers(limit, &mut out);
    }
    pictures(report, &mut out);
    declared(&found.declared, &mut out);
    asks(report, &mut out);
    remarks(report, &mut out);
    if let Some(part) = &report.experiment {
        experiment(report, part, &mut out);
    }
    let _ = writeln!(out, "<footer>{}</footer></main></body></html>", escape(&report.generator));
    out
}

fn about(report: &Report) -> String {
    let subject = &report.subject;
    let mut parts = Vec::new();
    if let (Some(server), Some(operation)) = (&subject.server, &subject.operation) {
        parts.push(format!("{operation} of {server}"));
    }
    match &subject.source {
        Source::Probe => parts.push("a probe".to_owned()),
        Source::Record { files } => parts.push(files.join(", ")),
    }
    if let (Some(began), Some(ended)) = (&report.began, &report.ended) {
        parts.push(format!("{began} to {ended}"));
    }
    let names: Vec<_> = report.parties.iter().map(|party| party.name.as_str()).collect();
    parts.push(format!("sent by {}", names.join(", ")));
    escape(&parts.join(" · "))
}

fn answers(limit: &LimitFinding, out: &mut String) {
    out.push_str(
        "<div class=\"wide\"><table class=\"answers\"><thead><tr><th></th><th>answer</th>\
         <th>95 % interval</th><th>confidence</th><th>evidence</th></tr></thead><tbody>",
    );
    for row in words::rows(limit) {
        let cells = match &row.outcome {
            Outcome::Known { value, interval, confidence, evidence } => format!(
                "<td><strong>{}</strong></td><td>{}</td><td>{}</td><td>{}</td>",
                escape(value),
                escape(interval),
                escape(confidence),
                escape(evidence)
            ),
            Outcome::Unknown { reason, detail, experiment } => format!(
                "<td colspan=\"3\"><em>unknown</em>: {}</td><td>{}<br>Would tell: {}</td>",
                escape(reason),
                escape(detail),
                escape(experiment)
            ),
        };
        let _ = write!(out, "<tr><th scope=\"row\">{}</th>{cells}</tr>", row.what);
    }
    out.push_str("</tbody></table></div>");
}

fn pictures(report: &Report, out: &mut String) {
    if let Some(picture) = charts::over_time(report) {
        let (agreed, decided) = (report.timeline.agreed, report.timeline.decided);
        let line = agreed.map_or_else(String::new, |agreed| {
            format!(
                "; <i class=\"model\"></i>line: what the limit as concluded would have admitted. It \
                 decides {agreed} of {decided} requests as the server did"
            )
        });
        figure(
            "Admitted and refused over time",
            &format!("<i class=\"admitted\"></i>admitted <i class=\"refused\"></i>refused{line}."),
            &picture,
            out,
        );
    }
    if let Some(picture) = charts::admitted_by_rate(report) {
        let text = "Each dot is a trial: how many were admitted at that rate before the first \
                    refusal (hollow: nobody was refused). The line is the limit as concluded, after \
                    a rest; the band is where in a window a trial may begin. A trial after less of a \
                    rest lies below.";
        figure("Admitted until refused, against the rate", text, &picture, out);
    }
    if let Some(matrix) = charts::matrix(&report.conclusion.pairs) {
        figure("Who shares it with whom", "", &matrix, out);
    }
    let kinds = report.conclusion.limits.first().map(|limit| limit.kinds.as_slice());
    if let Some(kinds) = kinds.filter(|kinds| !kinds.is_empty()) {
        figure("How likely each kind is", "", &charts::kinds(kinds), out);
    }
}

/// `caption` is HTML; the title is ours.
fn figure(title: &str, caption: &str, content: &str, out: &mut String) {
    let _ = write!(out, "<figure><h2>{title}</h2>{content}");
    if !caption.is_empty() {
        let _ = write!(out, "<figcaption>{caption}</figcaption>");
    }
    out.push_str("</figure>");
}

fn declared(declared: &[DeclaredFinding], out: &mut String) {
    if declared.is_empty() {
        return;
    }
    out.push_str(
        "<h2>Declared, beside measured</h2><div class=\"wide\"><table><thead><tr><th>who</th>\
         <th>says</th><th>measured</th><th></th></tr></thead><tbody>",
    );
    for one in declared {
        let (class, word) = match one.agrees {
            Some(true) => ("same", "agrees"),
            Some(false) => ("differs", "disagrees"),
            None => ("open", "cannot be compared"),
        };
        let _ = write!(
            out,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td class=\"{class}\">{word}</td></tr>",
            escape(&one.source),
            escape(&one.says),
            escape(&one.measured)
        );
    }
    out.push_str("</tbody></table></div>");
}

fn changes(report: &Report, out: &mut String) {
    let Some(changes) = &report.changes else { return };
    let since = changes.since.as_ref().map_or_else(String::new, |at| format!(" since {at}"));
    let (class, word) =
        if changes.any() { ("differs", "Changed") } else { ("same", "Nothing has changed") };
    let _ = write!(out, "<section class=\"changes {class}\"><h2>{word}{}</h2><ul>", escape(&since));
    for line in changes.lines(Standing::Changed) {
        let _ = write!(out, "<li><strong>{}</strong></li>", escape(&line));
    }
    for line in changes.lines(Standing::Unclear) {
        let _ = write!(out, "<li>cannot be compared: {}</li>", escape(&line));
    }
    for line in changes.lines(Standing::Same) {
        let _ = write!(out, "<li>as before: {}</li>", escape(&line));
    }
    out.push_str("</ul></section>");
}

fn asks(report: &Report, out: &mut String) {
    if report.asks.is_empty() {
        return;
    }
    out.push_str("<h2>What to ask the vendor</h2>");
    for ask in &report.asks {
        let (whom, text) = (escape(&ask.whom), escape(&ask.text));
        let _ = write!(out, "<p>{whom}</p><blockquote>{text}</blockquote>");
    }
}

fn remarks(report: &Report, out: &mut String) {
    let found = &report.conclusion;
    let mut lines = found.remarks.clone();
    lines.extend(without_prior(&found.without_prior));
    if lines.is_empty() {
        return;
    }
    out.push_str("<h2>What else to know</h2><ul>");
    for line in lines {
        let _ = write!(out, "<li>{}</li>", escape(&line));
    }
    out.push_str("</ul>");
}

/// What would be concluded without the prior on round numbers, in a sentence.
fn without_prior(without: &WithoutPrior) -> Option<String> {
    let figure = |what, figure: &Option<crate::infer::study::Figure>, show: fn(f64) -> String| {
        figure.map(|f| {
            let between = words::interval(&f, show);
            let between = if between.is_empty() { between } else { format!(" ({between})") };
            format!("{what} {}{between}", show(f.value))
        })
    };
    let parts = [
        without.kind.map(|kind| words::kind(kind).to_owned()),
        figure("rate", &without.rate, words::rate),
        figure("burst or limit", &without.burst, words::number),
        figure("window", &without.window, words::seconds),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    let joined = parts.join(", ");
    (!parts.is_empty()).then(|| format!("If round numbers were no likelier than others: {joined}."))
}

fn experiment(report: &Report, part: &ExperimentPart, out: &mut String) {
    let (budget, spent) = (&part.budget, &part.spent);
    let _ = write!(
        out,
        "<h2>What was done</h2><p>It ended because {}.</p><div class=\"wide\"><table><thead><tr><th></th>\
         <th>spent</th><th>allowed</th></tr></thead><tbody>",
        words::how(part.how)
    );
    let allowed = [
        ("requests", spent.requests.to_string(), budget.requests.to_string()),
        ("refusals", spent.throttles.to_string(), budget.throttles.to_string()),
        ("time", words::seconds(spent.seconds.round()), words::seconds(budget.seconds)),
        ("highest rate", String::new(), words::rate(budget.rate)),
        ("inside another credential's pause", spent.peeks.to_string(), String::new()),
        ("ordered and not sent", spent.skipped.to_string(), String::new()),
    ];
    for (what, spent, allowed) in allowed {
        let _ = write!(
            out,
            "<tr><th scope=\"row\">{what}</th><td class=\"number\">{spent}</td>\
             <td class=\"number\">{allowed}</td></tr>"
        );
    }
    out.push_str("</tbody></table></div>");
    trials(report, &part.trials, out);
}

fn trials(report: &Report, trials: &[Trial], out: &mut String) {
    let _ = write!(
        out,
        "<details><summary>{} trials</summary><div class=\"wide\"><table><thead><tr><th>at</th>\
         <th>who</th><th>rate</th><th>admitted</th><th>then</th><th>to find out</th></tr></thead><tbody>",
        trials.len()
    );
    for trial in trials {
        let who = report.parties.get(trial.party).map_or("", |party| party.name.as_str());
        let _ = write!(
            out,
            "<tr><td class=\"number\">{}</td><td>{}</td><td class=\"number\">{}</td>\
             <td class=\"number\">{}</td><td>{}</td><td>{}</td></tr>",
            escape(&words::seconds(trial.at)),
            escape(who),
            escape(&words::rate(trial.rate)),
            trial.admitted,
            if trial.refused { "refused" } else { "none refused" },
            escape(&trial.why)
        );
    }
    out.push_str("</tbody></table></div></details>");
}
