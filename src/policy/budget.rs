//! The retry budget: retries are paid for by messages, so a bad hour cannot double the traffic.
//!
//! A token bucket filled by messages rather than by time (as in Finagle's and gRPC's retry
//! budgets): over any stretch, `retries ≤ reserve + ratio × messages`.

use super::RetryBudgetSettings;

/// Millionths of a retry, so that the sum is exact whatever the ratio.
const UNIT: u64 = 1_000_000;

/// What is left to spend on retries.
#[derive(Clone, Debug)]
pub struct RetryBudget {
    per_message: u64,
    most: u64,
    left: u64,
}

impl RetryBudget {
    /// A full bucket.
    #[must_use]
    pub fn new(settings: &RetryBudgetSettings) -> Self {
        let most = u64::from(settings.reserve) * UNIT;
        Self {
            per_message: (settings.ratio.max(0.0) * UNIT as f64).round() as u64,
            most,
            left: most,
        }
    }

    /// Takes new settings; what is left is kept, up to the new most.
    pub fn reconfigure(&mut self, settings: &RetryBudgetSettings) {
        let fresh = Self::new(settings);
        *self = Self { left: self.left.min(fresh.most), ..fresh };
    }

    /// Earns a message's share.
    pub fn earn(&mut self) {
        self.left = (self.left + self.per_message).min(self.most);
    }

    /// Pays for one retry, if there is enough.
    #[must_use]
    pub fn spend(&mut self) -> bool {
        let enough = self.left >= UNIT;
        if enough {
            self.left -= UNIT;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn retries_stay_within_reserve_and_ratio(reserve in 0_u32..50, ratio in 0.0_f64..1.0, steps in prop::collection::vec(any::<bool>(), 0..500)) {
            let mut budget = RetryBudget::new(&RetryBudgetSettings { ratio, reserve });
            let (mut messages, mut retries) = (0_u32, 0_u32);
            for is_message in steps {
                if is_message {
                    budget.earn();
                    messages += 1;
                } else if budget.spend() {
                    retries += 1;
                }
                prop_assert!(f64::from(retries) <= f64::from(reserve) + ratio * f64::from(messages) + 1e-3);
            }
        }
    }

    #[test]
    fn a_quiet_hour_earns_no_more_than_the_reserve() {
        let mut budget = RetryBudget::new(&RetryBudgetSettings { ratio: 0.1, reserve: 2 });
        (0..1_000).for_each(|_| budget.earn());
        assert_eq!([budget.spend(), budget.spend(), budget.spend()], [true, true, false]);
        (0..10).for_each(|_| budget.earn());
        assert_eq!([budget.spend(), budget.spend()], [true, false]);
    }
}
