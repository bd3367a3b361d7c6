//! The two text formats that Prometheus scrapes, and which of them a client asked for.
//!
//! The `prometheus` crate writes the old text format alone. OpenMetrics 1.0 is written here from the
//! same gathered families, because only it carries exemplars.

use std::collections::HashSet;
use std::fmt::Write;
use std::sync::PoisonError;

use prometheus::TextEncoder;
use prometheus::proto::{Metric, MetricFamily, MetricType};

use super::metrics::catalog;
use super::metrics::exemplars::{Exemplar, Exemplars};
use super::metrics::shared::Shared;

/// Content type of the old text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Content type of OpenMetrics.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A rendered scrape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposition {
    /// The `Content-Type` to send.
    pub content_type: &'static str,
    /// The text.
    pub body: String,
}

pub(super) fn render(shared: &Shared, accept: Option<&str>) -> Exposition {
    let families = shared.registry.gather();
    // Held while writing: kept spans skip their exemplar meanwhile, and nobody waits for it.
    let mut exemplars = shared.exemplars.lock().unwrap_or_else(PoisonError::into_inner);
    prune(&mut exemplars, &families);
    if accept.is_some_and(wants_open_metrics) {
        let body = open_metrics(&families, &exemplars);
        return Exposition { content_type: OPEN_METRICS, body };
    }
    drop(exemplars);
    // The encoder refuses only families without a name, a type or a metric; the catalog has none.
    let body = TextEncoder::new().encode_to_string(&families).unwrap_or_default();
    Exposition { content_type: TEXT, body }
}

/// Whether an `Accept` header ranks OpenMetrics at least as high as plain text.
fn wants_open_metrics(accept: &str) -> bool {
    let weight = |wanted: &str| {
        accept
            .split(',')
            .filter_map(|range| {
                let mut parts = range.split(';').map(str::trim);
                if !parts.next()?.eq_ignore_ascii_case(wanted) {
                    return None;
                }
                let mut q = 1.0;
                for part in parts {
                    match part.split_once('=') {
                        Some(("q", value)) => q = value.trim().parse().unwrap_or(0.0),
                        Some(("version", v))
                            if !matches!(v.trim(), "1.0.0" | "0.0.1" | "0.0.4") =>
                        {
                            return None;
                        }
                        _ => {}
                    }
                }
                Some(q)
            })
            .fold(0.0, f64::max)
    };
    let open = weight("application/openmetrics-text");
    open > 0.0 && open >= weight("text/plain")
}

/// The families that have exemplars.
static WITH_EXEMPLARS: [&str; 4] =
    [catalog::ATTEMPTS.name, catalog::LATENESS.name, catalog::SERVICE.name, catalog::RESPONSE.name];

/// Forgets the exemplars of series that are gone.
fn prune(exemplars: &mut Exemplars, families: &[MetricFamily]) {
    if exemplars.is_empty() {
        return;
    }
    let mut present = HashSet::new();
    for family in families.iter().filter(|f| WITH_EXEMPLARS.contains(&f.name())) {
        for metric in family.get_metric() {
            present.insert((family.name(), Exemplars::key(values(metric))));
        }
    }
    exemplars.retain(|family, labels| present.contains(&(family, labels.to_owned())));
}

fn values(metric: &Metric) -> impl Iterator<Item = &str> {
    metric.get_label().iter().map(|pair| pair.value())
}

fn open_metrics(families: &[MetricFamily], exemplars: &Exemplars) -> String {
    let mut out = String::with_capacity(families.len() * 1024);
    for family in families {
        // Writing to a String cannot fail.
        let _ = write_family(&mut out, family, exemplars);
    }
    out.push_str("# EOF\n");
    out
}

fn write_family(out: &mut String, family: &MetricFamily, table: &Exemplars) -> std::fmt::Result {
    let full = family.name();
    let (name, kind) = match family.get_field_type() {
        MetricType::COUNTER => (full.strip_suffix("_total").unwrap_or(full), "counter"),
        MetricType::HISTOGRAM => (full, "histogram"),
        _ => (full, "gauge"),
    };
    writeln!(out, "# HELP {name} {}", escaped(family.help()))?;
    writeln!(out, "# TYPE {name} {kind}")?;
    for metric in family.get_metric() {
        let of_series = table.of(known_name(full), values(metric));
        match family.get_field_type() {
            MetricType::COUNTER => {
                let exemplar = of_series.first().copied().flatten();
                let value = metric.get_counter().get_value();
                write_sample(out, name, "_total", metric, None, value, exemplar)?;
            }
            MetricType::HISTOGRAM => write_histogram(out, name, metric, of_series)?,
            _ => write_sample(out, name, "", metric, None, metric.get_gauge().get_value(), None)?,
        }
    }
    Ok(())
}

/// The catalog's own copy of a name that has exemplars, which the table is keyed by.
fn known_name(name: &str) -> &'static str {
    WITH_EXEMPLARS.iter().find(|known| **known == name).copied().unwrap_or("")
}

fn write_histogram(
    out: &mut String,
    name: &str,
    metric: &Metric,
    exemplars: &[Option<Exemplar>],
) -> std::fmt::Result {
    let histogram = metric.get_histogram();
    let bounded = histogram.get_bucket().iter().map(|b| (b.upper_bound(), b.cumulative_count()));
    let all = bounded.chain([(f64::INFINITY, histogram.get_sample_count())]);
    for (i, (bound, count)) in all.enumerate() {
        let exemplar = exemplars.get(i).copied().flatten();
        write_sample(out, name, "_bucket", metric, Some(bound), count as f64, exemplar)?;
    }
    let count = histogram.get_sample_count() as f64;
    write_sample(out, name, "_count", metric, None, count, None)?;
    write_sample(out, name, "_sum", metric, None, histogram.get_sample_sum(), None)
}

fn write_sample(
    out: &mut String,
    name: &str,
    suffix: &str,
    metric: &Metric,
    bound: Option<f64>,
    value: f64,
    exemplar: Option<Exemplar>,
) -> std::fmt::Result {
    write!(out, "{name}{suffix}")?;
    let mut opening = '{';
    for pair in metric.get_label() {
        write!(out, "{opening}{}=\"{}\"", pair.name(), escaped(pair.value()))?;
        opening = ',';
    }
    if let Some(bound) = bound {
        write!(out, "{opening}le=\"{}\"", float(bound))?;
        opening = ',';
    }
    if opening == ',' {
        out.push('}');
    }
    write!(out, " {}", number(value))?;
    if let Some(Exemplar { trace, span, value, unix_s }) = exemplar {
        write!(out, " # {{trace_id=\"{trace:032x}\",span_id=\"{span:016x}\"}} ")?;
        write!(out, "{} {unix_s:.3}", number(value))?;
    }
    out.push('\n');
    Ok(())
}

/// A number as both formats read it.
fn number(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    value.to_string()
}

/// A bucket bound, which OpenMetrics wants as a float even where it is a whole number.
fn float(value: f64) -> String {
    let text = number(value);
    if text.contains(['.', 'I']) { text } else { text + ".0" }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_header_decides() {
        // What Prometheus 2.42 sends.
        let modern = "application/openmetrics-text;version=1.0.0;q=0.5,\
                      application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert!(wants_open_metrics(modern));
        assert!(wants_open_metrics("application/openmetrics-text"));
        assert!(!wants_open_metrics("text/plain;version=0.0.4;q=1,*/*;q=0.1"));
        assert!(!wants_open_metrics("text/plain;q=0.9, application/openmetrics-text;q=0.1"));
        assert!(!wants_open_metrics("application/openmetrics-text;q=0"));
        assert!(!wants_open_metrics("application/openmetrics-text;version=2.0.0"));
        assert!(!wants_open_metrics("*/*"), "a browser reads plain text");
        assert!(!wants_open_metrics(""));
    }

    #[test]
    fn bounds_are_written_as_floats() {
        for (value, text) in [
            (1.0, "1.0"),
            (0.005, "0.005"),
            (3600.0, "3600.0"),
            (0.000_01, "0.00001"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(float(value), text);
        }
        assert_eq!(number(f64::INFINITY), "+Inf");
    }

    #[test]
    fn label_values_cannot_break_a_line() {
        assert_eq!(escaped("a\\b\"c\nd"), "a\\\\b\\\"c\\nd");
    }
}
