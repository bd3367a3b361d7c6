//! The verdict, as text, JSON and JUnit.

use std::fmt::Write as _;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde_json::{Value, json};

use super::tally::Figures;
use super::threshold::{Measure, Quantity, Threshold};
use crate::model::Outcome;

/// A threshold, and how the run stands to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The threshold.
    pub threshold: Threshold,
    /// The figure; `None`: nothing happened that would tell. Then it is not kept.
    pub figure: Option<f64>,
    /// Whether it was kept.
    pub kept: bool,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Verdict {
    figures: Figures,
    whole: bool,
    thresholds: Vec<Judged>,
}

/// What the summary shows of each duration.
const SHOWN: [(&str, f64); 4] = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)];
const QUANTITIES: [Quantity; 4] =
    [Quantity::Response, Quantity::Service, Quantity::Lateness, Quantity::Delivery];

impl Verdict {
    /// Holds figures against thresholds. `whole`: the run came to its end, and was not stopped before.
    #[must_use]
    pub fn new(figures: Figures, whole: bool, thresholds: &[Threshold]) -> Self {
        let judge = |threshold: &Threshold| {
            let figure = figures.of(threshold.measure);
            let kept = figure.is_some_and(|f| threshold.comparison.holds(f, threshold.value));
            Judged { threshold: threshold.clone(), figure, kept }
        };
        let thresholds = thresholds.iter().map(judge).collect();
        Self { figures, whole, thresholds }
    }

    /// Whether the run came to its end.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.whole
    }

    /// The thresholds, in their order.
    #[must_use]
    pub fn thresholds(&self) -> &[Judged] {
        &self.thresholds
    }

    /// How many were not kept.
    #[must_use]
    pub fn broken(&self) -> usize {
        self.thresholds.iter().filter(|judged| !judged.kept).count()
    }

    /// For a terminal: some lines, the last of them ended.
    #[must_use]
    pub fn to_text(&self) -> String {
        let figures = &self.figures;
        let mut out = String::new();
        let show = |measure: Measure| {
            figures.of(measure).map_or("-".to_owned(), |figure| measure.unit().show(figure))
        };
        let outcomes: Vec<_> =
            Outcome::ALL.iter().map(|o| format!("{} {o}", figures.outcome(*o))).collect();
        let (goodput, rate) = (show(Measure::Goodput), show(Measure::SentRate));
        // Writing to a string cannot fail.
        let stopped = if self.whole { "" } else { ", stopped before its end" };
        let _ = writeln!(out, "run of {:.1}s{stopped}", figures.length.as_secs_f64());
        let _ = writeln!(
            out,
            "  messages  {} ended, {} delivered",
            figures.messages, figures.delivered
        );
        let _ = writeln!(out, "  attempts  {} sent: {}", figures.sent, outcomes.join(", "));
        let _ = writeln!(out, "  slots     {} skipped", figures.skipped);
        let _ = writeln!(out, "  rate      {rate} sent, {goodput} accepted");
        for quantity in QUANTITIES {
            let all: Vec<_> = SHOWN
                .iter()
                .map(|(name, share)| {
                    format!("{name} {}", show(Measure::Quantile(quantity, *share)))
                })
                .collect();
            let _ = writeln!(out, "  {:<9} {}", quantity.as_str(), all.join("  "));
        }
        for judged in &self.thresholds {
            let sign = if judged.kept { '✓' } else { '✗' };
            let _ = writeln!(out, "{sign} {:<32} {}", judged.threshold.to_string(), judged.shown());
        }
        out
    }

    /// For programs; the shape is part of the contract.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let figures = &self.figures;
        let outcomes: serde_json::Map<_, _> = Outcome::ALL
            .iter()
            .map(|o| (o.as_str().to_owned(), figures.outcome(*o).into()))
            .collect();
        let durations: serde_json::Map<_, _> = QUANTITIES
            .iter()
            .map(|quantity| {
                let of = |share: f64| figures.durations(*quantity).quantile(share);
                let all: serde_json::Map<_, _> =
                    SHOWN.iter().map(|(n, share)| ((*n).to_owned(), json!(of(*share)))).collect();
                (quantity.as_str().to_owned(), all.into())
            })
            .collect();
        let thresholds: Vec<_> = self
            .thresholds
            .iter()
            .map(|judged| {
                json!({
                    "threshold": judged.threshold.to_string(),
                    "figure": judged.figure,
                    "value": judged.threshold.value,
                    "kept": judged.kept,
                })
            })
            .collect();
        json!({
            "length_seconds": figures.length.as_secs_f64(),
            "messages": { "ended": figures.messages, "delivered": figures.delivered },
            "attempts": { "sent": figures.sent, "outcomes": outcomes },
            "slots": { "sent": figures.sent, "skipped": figures.skipped },
            "sent_rate": figures.of(Measure::SentRate),
            "goodput": figures.of(Measure::Goodput),
            "durations_seconds": durations,
            "thresholds": thresholds,
            "stopped": !self.whole,
            "passed": self.whole && self.broken() == 0,
        })
    }

    /// For continuous integration: a test case for each threshold, and an error for a run that was stopped.
    ///
    /// # Errors
    /// Never, unless a threshold's text cannot be written as XML.
    pub fn to_junit(&self) -> Result<String, quick_junit::SerializeError> {
        let mut suite = TestSuite::new("thresholds");
        for judged in &self.thresholds {
            let mut status = TestCaseStatus::success();
            if !judged.kept {
                status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(judged.shown());
            }
            let mut case = TestCase::new(judged.threshold.to_string(), status);
            case.set_classname("plimsoll");
            case.set_system_out(judged.shown());
            suite.add_test_case(case);
        }
        if !self.whole {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_message("stopped before its end");
            let mut case = TestCase::new("run", status);
            case.set_classname("plimsoll");
            suite.add_test_case(case);
        }
        suite.set_time(self.figures.length);
        let mut report = Report::new("plimsoll run");
        report.add_test_suite(suite);
        report.to_string()
    }
}

impl Judged {
    fn shown(&self) -> String {
        let unit = self.threshold.measure.unit();
        self.figure.map_or_else(|| "nothing to judge by".to_owned(), |figure| unit.show(figure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn verdict(thresholds: &[&str]) -> Verdict {
        let figures = Figures {
            length: Duration::from_secs(10),
            sent: 1_000,
            skipped: 1_000,
            outcomes: [990, 10, 0, 0],
            ..Figures::default()
        };
        let thresholds: Vec<_> =
            thresholds.iter().map(|text| text.parse().expect("a threshold")).collect();
        Verdict::new(figures, true, &thresholds)
    }

    #[test]
    fn figures_are_held_against_thresholds() {
        let verdict = verdict(&[
            "goodput>95/s",
            "goodput>99/s",
            "throttled_ratio<=1%",
            "skipped_ratio<0.5",
            "failed<1",
            // Nothing was delivered, so nobody can tell how fast.
            "delivery_p99<1h",
        ]);
        let kept: Vec<_> = verdict.thresholds().iter().map(|judged| judged.kept).collect();
        assert_eq!(kept, [true, false, true, false, true, false]);
        assert_eq!(verdict.broken(), 3);
        let text = verdict.to_text();
        assert!(text.contains("✓ goodput>95/s") && text.contains("✗ goodput>99/s"), "{text}");
        assert!(text.contains("nothing to judge by"), "{text}");
        let json = verdict.to_json();
        assert_eq!((&json["passed"], &json["goodput"]), (&json!(false), &json!(99.0)));
        assert_eq!(json["thresholds"][1]["kept"], json!(false));
        let junit = verdict.to_junit().expect("XML");
        assert!(junit.contains(r#"tests="6""#) && junit.contains(r#"failures="3""#), "{junit}");
        assert!(junit.contains("goodput&gt;99/s"), "{junit}");
    }

    #[test]
    fn a_run_that_was_stopped_passes_nothing_and_says_so() {
        let whole = verdict(&["goodput>95/s"]);
        let stopped = Verdict { whole: false, ..whole.clone() };
        assert_eq!((whole.broken(), stopped.broken()), (0, 0));
        for (verdict, is_whole) in [(&whole, true), (&stopped, false)] {
            assert_eq!(
                verdict.to_text().contains("run of 10.0s, stopped before its end"),
                !is_whole
            );
            let json = verdict.to_json();
            assert_eq!((&json["passed"], &json["stopped"]), (&json!(is_whole), &json!(!is_whole)));
            let junit = verdict.to_junit().expect("XML");
            let errors = format!(r#"errors="{}""#, u8::from(!is_whole));
            assert!(junit.contains(&errors) && junit.contains(r#"failures="0""#), "{junit}");
        }
    }
}
