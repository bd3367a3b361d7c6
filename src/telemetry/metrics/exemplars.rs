//! The side table of exemplars: for a bucket or a counter, the latest span that is exported.
//!
//! Only spans that were admitted to the export queue get here, so that a link from a graph leads
//! somewhere. The table is bounded, and entries whose series are gone are dropped by the next scrape.

use std::collections::HashMap;

use super::catalog::Family;

/// Series with exemplars. 8,192 series of at most 15 exemplars are some 8 MiB at the very worst.
const SERIES_MAX: usize = 8_192;

/// One exemplar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::telemetry) struct Exemplar {
    pub(in crate::telemetry) trace: u128,
    pub(in crate::telemetry) span: u64,
    pub(in crate::telemetry) value: f64,
    pub(in crate::telemetry) unix_s: f64,
}

/// Exemplars by family name, label values and bucket.
#[derive(Default)]
pub(in crate::telemetry) struct Exemplars {
    series: HashMap<(&'static str, String), Vec<Option<Exemplar>>>,
}

/// Label values as one key. The separator cannot appear in UTF-8 text.
fn joined<'a>(values: impl IntoIterator<Item = &'a str>) -> String {
    values.into_iter().collect::<Vec<_>>().join("\u{1f}")
}

impl Exemplars {
    /// Remembers `exemplar` for a bucket (0 for a counter), unless a later one is there: Prometheus
    /// refuses exemplars that are out of order.
    pub(in crate::telemetry) fn put(
        &mut self,
        family: &Family,
        labels: &[&str],
        bucket: usize,
        exemplar: Exemplar,
    ) {
        let full = self.series.len() >= SERIES_MAX;
        let key = (family.name, joined(labels.iter().copied()));
        if full && !self.series.contains_key(&key) {
            return;
        }
        let places = self.series.entry(key).or_default();
        if places.len() <= bucket {
            places.resize(bucket + 1, None);
        }
        if places[bucket].is_none_or(|kept| kept.unix_s <= exemplar.unix_s) {
            places[bucket] = Some(exemplar);
        }
    }

    /// The exemplars of one series.
    pub(in crate::telemetry) fn of<'a>(
        &self,
        family: &'static str,
        labels: impl IntoIterator<Item = &'a str>,
    ) -> &[Option<Exemplar>] {
        self.series.get(&(family, joined(labels))).map_or(&[], Vec::as_slice)
    }

    pub(in crate::telemetry) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Drops what does not belong to one of the series there are.
    pub(in crate::telemetry) fn retain(&mut self, exists: impl Fn(&str, &str) -> bool) {
        self.series.retain(|(family, labels), _| exists(family, labels));
    }

    /// The form of label values that [`Exemplars::retain`] shows.
    pub(in crate::telemetry) fn key<'a>(labels: impl IntoIterator<Item = &'a str>) -> String {
        joined(labels)
    }
}
