//! What the network and the server take, from how long answers take.

use std::collections::VecDeque;

use super::families::Latency;

/// Latencies that are remembered.
const LATENCIES: usize = 1_024;

/// The latest latencies of admitted requests, and the shortest of all.
#[derive(Clone, Debug, Default)]
pub(super) struct Latencies {
    shortest: Option<f64>,
    ring: VecDeque<f64>,
    refused: VecDeque<f64>,
}

impl Latencies {
    /// An answer has come so long after its request.
    pub(super) fn note(&mut self, latency: f64, admitted: bool) {
        self.shortest = Some(self.shortest.map_or(latency, |s| s.min(latency)));
        let ring = if admitted { &mut self.ring } else { &mut self.refused };
        if ring.len() == LATENCIES {
            ring.pop_front();
        }
        ring.push_back(latency);
    }

    /// Of two ways whose jitter is uniform, together, no answer takes longer than this.
    fn usual(&self, jitter: f64) -> f64 {
        const LEAST: f64 = 0.000_5;
        let mut sorted: Vec<f64> = self.ring.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2] + (4.0 * jitter).max(LEAST)
    }

    /// What they tell.
    pub(super) fn summary(&self) -> Latency {
        if self.ring.is_empty() {
            return Latency::default();
        }
        // From one answer to the next: what a queue adds grows slowly, jitter is another every time.
        let neighbours = self.ring.iter().zip(self.ring.iter().skip(1));
        let mut differences: Vec<f64> = neighbours.map(|(a, b)| b - a).collect();
        differences.sort_by(f64::total_cmp);
        let last = differences.len().saturating_sub(1);
        let quantile = |q: f64| {
            differences.get((last as f64 * q).round() as usize).copied().unwrap_or_default()
        };
        let mean = |of: &VecDeque<f64>| of.iter().sum::<f64>() / of.len() as f64;
        let rtt = self.shortest.unwrap_or_default();
        let jitter = (quantile(0.84) - quantile(0.16)) / 4.0;
        Latency {
            rtt,
            refusal: if self.refused.is_empty() { rtt } else { mean(&self.refused) },
            // A difference is that of two answers, of two ways each: it has four times the variance of one.
            jitter,
            // If a way's jitter is uniform over J, these quantiles are 2.54 J apart.
            jitter_max: 0.39 * (quantile(0.99) - quantile(0.01)),
            answer: mean(&self.ring),
            usual: self.usual(jitter),
        }
    }
}
