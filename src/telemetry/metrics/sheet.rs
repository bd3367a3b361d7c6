//! Builds metric families for a scrape out of the catalog and plain values.

use std::collections::BTreeMap;

use prometheus::proto;

use super::catalog::{Family, Kind};
use super::histogram::Histogram;

/// Families under construction.
#[derive(Default)]
pub(in crate::telemetry) struct Sheet {
    families: BTreeMap<&'static str, proto::MetricFamily>,
}

impl Sheet {
    /// Adds one value of a counter or a gauge.
    pub(in crate::telemetry) fn put(&mut self, family: &Family, labels: &[&str], value: f64) {
        let mut metric = labelled(family, labels);
        match family.kind {
            Kind::Counter => {
                let mut counter = proto::Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            }
            Kind::Gauge | Kind::Histogram => {
                let mut gauge = proto::Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
        }
        self.push(family, metric);
    }

    /// As [`Sheet::put`], for whole numbers.
    pub(in crate::telemetry) fn count(&mut self, family: &Family, labels: &[&str], value: u64) {
        self.put(family, labels, value as f64);
    }

    /// Adds one histogram.
    pub(in crate::telemetry) fn histogram(
        &mut self,
        family: &Family,
        labels: &[&str],
        histogram: &Histogram,
    ) {
        let buckets = histogram.cumulative().map(|(bound, count)| {
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(count);
            bucket
        });
        let mut value = proto::Histogram::default();
        value.set_bucket(buckets.collect());
        value.set_sample_count(histogram.count());
        value.set_sample_sum(histogram.sum());
        let mut metric = labelled(family, labels);
        metric.set_histogram(value);
        self.push(family, metric);
    }

    /// The families, in the order of their names.
    pub(in crate::telemetry) fn finish(self) -> Vec<proto::MetricFamily> {
        self.families.into_values().collect()
    }

    fn push(&mut self, family: &Family, metric: proto::Metric) {
        let entry = self.families.entry(family.name).or_insert_with(|| {
            let mut fresh = proto::MetricFamily::default();
            fresh.set_name(family.name.to_owned());
            fresh.set_help(family.help.to_owned());
            fresh.set_field_type(match family.kind {
                Kind::Counter => proto::MetricType::COUNTER,
                Kind::Gauge => proto::MetricType::GAUGE,
                Kind::Histogram => proto::MetricType::HISTOGRAM,
            });
            fresh
        });
        entry.mut_metric().push(metric);
    }
}

fn labelled(family: &Family, values: &[&str]) -> proto::Metric {
    debug_assert_eq!(family.labels.len(), values.len(), "{}", family.name);
    let pairs = family.labels.iter().zip(values).map(|(name, value)| {
        let mut pair = proto::LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    });
    proto::Metric::from_label(pairs.collect())
}
