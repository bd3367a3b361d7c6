//! Several limits in a row, each with one limiter for every holder of its scope.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::limit::Limiter;
use super::settings::{Decision, Kind, LimiterSettings, Quota};
use crate::model::{Identity, Moment, Scope, ScopeKey};

/// One limit of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its name, which a refusal quotes.
    pub name: Arc<str>,
    /// Who shares it.
    pub scope: Scope,
    /// The limit.
    pub limiter: LimiterSettings,
}

/// What a stack of limits says to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// Every layer admits it; the longest of their delays applies.
    Admitted {
        /// How long it waits before it is served.
        delay: Duration,
    },
    /// A layer refuses it; those before it would have admitted it, those after it were not asked.
    Refused {
        /// Which layer, in the order they were given.
        layer: usize,
        /// The earliest time at which that layer would admit a request, if nobody else comes.
        retry_after: Duration,
    },
}

/// Limits in a row. A request is admitted by all of them or counts in none, except in those that
/// count refused requests.
#[derive(Clone, Debug)]
pub struct Layers {
    layers: Vec<Keyed>,
}

#[derive(Clone, Debug)]
struct Keyed {
    layer: Layer,
    holders: HashMap<ScopeKey, Limiter>,
    holders_max: usize,
}

impl Keyed {
    fn holder(&mut self, at: Moment, identity: &Identity) -> &mut Limiter {
        let key = ScopeKey::of(&self.layer.name, &self.layer.scope, identity);
        if self.holders.len() >= self.holders_max && !self.holders.contains_key(&key) {
            self.make_room(at);
        }
        let settings = &self.layer.limiter;
        self.holders.entry(key).or_insert_with(|| Limiter::new(settings))
    }

    fn existing(&self, identity: &Identity) -> Option<&Limiter> {
        self.holders.get(&ScopeKey::of(&self.layer.name, &self.layer.scope, identity))
    }

    /// Forgets every idle holder; where all are busy, the one unheard of for longest, because
    /// memory is bounded first and the limits of strangers second.
    fn make_room(&mut self, at: Moment) {
        self.holders.retain(|_, limiter| !limiter.is_idle(at));
        if self.holders.len() < self.holders_max {
            return;
        }
        // Ordered by key as well, so that ties do not depend on the map's own order.
        let oldest = self.holders.iter().min_by_key(|(key, limiter)| (limiter.latest(), *key));
        if let Some(key) = oldest.map(|(key, _)| key.clone()) {
            self.holders.remove(&key);
        }
    }
}

impl Layers {
    /// Holders that one layer remembers, unless told otherwise.
    pub const HOLDERS_MAX: usize = 10_000;

    /// Limits in the order in which they are asked.
    #[must_use]
    pub fn new(layers: Vec<Layer>) -> Self {
        Self::with_holders_max(layers, Self::HOLDERS_MAX)
    }

    /// The same, remembering at most `holders_max` (at least one) holders for each limit.
    #[must_use]
    pub fn with_holders_max(layers: Vec<Layer>, holders_max: usize) -> Self {
        let keyed =
            |layer| Keyed { layer, holders: HashMap::new(), holders_max: holders_max.max(1) };
        Self { layers: layers.into_iter().map(keyed).collect() }
    }

    /// Decides one request, and remembers it.
    pub fn decide(&mut self, at: Moment, identity: &Identity) -> Ruling {
        let mut longest = Duration::ZERO;
        let mut refusing = None;
        for (i, keyed) in self.layers.iter_mut().enumerate() {
            match keyed.holder(at, identity).check(at) {
                Decision::Admitted { delay } => longest = longest.max(delay),
                Decision::Refused { .. } => {
                    refusing = Some(i);
                    break;
                }
            }
        }
        let Some(layer) = refusing else {
            for keyed in &mut self.layers {
                keyed.holder(at, identity).admit(at);
            }
            return Ruling::Admitted { delay: longest };
        };
        for keyed in &mut self.layers[..layer] {
            keyed.holder(at, identity).count_refused(at);
        }
        let retry_after = self.layers[layer].holder(at, identity).refuse(at);
        Ruling::Refused { layer, retry_after }
    }

    /// An admitted request ended: concurrency limits have a place again.
    pub fn release(&mut self, at: Moment, identity: &Identity) {
        for keyed in &mut self.layers {
            if matches!(keyed.layer.limiter.kind, Kind::Concurrency { .. }) {
                keyed.holder(at, identity).release(at);
            }
        }
    }

    /// What one layer's headers would say to this holder. `None`: there is no such layer.
    #[must_use]
    pub fn quota(&self, layer: usize, at: Moment, identity: &Identity) -> Option<Quota> {
        let keyed = self.layers.get(layer)?;
        let quota = keyed.existing(identity).map(|limiter| limiter.quota(at));
        Some(quota.unwrap_or_else(|| Limiter::new(&keyed.layer.limiter).quota(at)))
    }

    /// A copy of one layer's limiter of this holder, as it stands. `None`: there is no such layer.
    #[must_use]
    pub fn limiter(&self, layer: usize, identity: &Identity) -> Option<Limiter> {
        let keyed = self.layers.get(layer)?;
        let known = keyed.existing(identity).cloned();
        Some(known.unwrap_or_else(|| Limiter::new(&keyed.layer.limiter)))
    }

    /// The layer with the smallest part of its quota left, and that quota.
    #[must_use]
    pub fn tightest(&self, at: Moment, identity: &Identity) -> Option<(usize, Quota)> {
        let quotas = (0..self.layers.len()).filter_map(|i| Some((i, self.quota(i, at, identity)?)));
        quotas.min_by(|(_, a), (_, b)| {
            // a.remaining / a.limit against b.remaining / b.limit, without division.
            let left = u128::from(a.remaining) * u128::from(b.limit);
            left.cmp(&(u128::from(b.remaining) * u128::from(a.limit)))
        })
    }

    /// Puts another limit in force for every holder of one layer. Nothing happens where there is no
    /// such layer.
    pub fn change(&mut self, layer: usize, at: Moment, kind: Kind) {
        let Some(keyed) = self.layers.get_mut(layer) else { return };
        keyed.layer.limiter.kind = kind;
        for limiter in keyed.holders.values_mut() {
            limiter.change(at, kind);
        }
    }

    /// The limits, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Layer> {
        self.layers.iter().map(|keyed| &keyed.layer)
    }

    /// Holders that are remembered, over all layers.
    #[must_use]
    pub fn holders(&self) -> usize {
        self.layers.iter().map(|keyed| keyed.holders.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limiter::Lockout;
    use crate::model::Factor;

    fn layer(name: &str, factors: &[Factor], limit: u64) -> Layer {
        let kind = Kind::SlidingLog { limit, window: Duration::from_secs(1) };
        let scope = Scope::Shared(factors.iter().copied().collect());
        Layer { name: name.into(), scope, limiter: LimiterSettings::plain(kind) }
    }

    fn caller(tenant: &str, token: &str) -> Identity {
        Identity { tenant: tenant.into(), token: token.into(), ..Identity::default() }
    }

    fn left(layers: &Layers, layer: usize, who: &Identity) -> u64 {
        layers.quota(layer, Moment::ZERO, who).expect("a layer").remaining
    }

    #[test]
    fn a_request_refused_by_one_layer_uses_no_other() {
        let mut layers = Layers::new(vec![
            layer("org", &[Factor::Tenant], 9),
            layer("token", &[Factor::Token], 1),
        ]);
        let a = caller("acme", "a");
        assert_eq!(layers.decide(Moment::ZERO, &a), Ruling::Admitted { delay: Duration::ZERO });
        let retry_after = Duration::from_secs(1);
        for _ in 0..5 {
            assert_eq!(layers.decide(Moment::ZERO, &a), Ruling::Refused { layer: 1, retry_after });
        }
        assert_eq!(left(&layers, 0, &a), 8);
    }

    #[test]
    fn a_layer_that_counts_refusals_counts_those_of_others() {
        let mut org = layer("org", &[Factor::Tenant], 9);
        org.limiter.counts_refused = true;
        let mut layers = Layers::new(vec![org, layer("token", &[Factor::Token], 1)]);
        let a = caller("acme", "a");
        for _ in 0..6 {
            layers.decide(Moment::ZERO, &a);
        }
        assert_eq!(left(&layers, 0, &a), 3);
    }

    #[test]
    fn a_limit_is_shared_by_its_scope_and_by_nobody_else() {
        let mut layers = Layers::new(vec![layer("pair", &[Factor::Tenant, Factor::Token], 1)]);
        let now = Moment::ZERO;
        assert!(matches!(layers.decide(now, &caller("x", "a")), Ruling::Admitted { .. }));
        assert!(matches!(layers.decide(now, &caller("x", "b")), Ruling::Admitted { .. }));
        assert!(matches!(layers.decide(now, &caller("y", "a")), Ruling::Admitted { .. }));
        assert!(matches!(layers.decide(now, &caller("x", "a")), Ruling::Refused { .. }));
        assert_eq!(layers.holders(), 3);
    }

    #[test]
    fn memory_is_bounded_and_the_idle_go_first() {
        let mut layers = Layers::with_holders_max(vec![layer("token", &[Factor::Token], 1)], 2);
        let second = Moment::ZERO + Duration::from_secs(1);
        layers.decide(Moment::ZERO, &caller("", "idle"));
        layers.decide(second, &caller("", "busy"));
        layers.decide(second, &caller("", "new"));
        assert_eq!(layers.holders(), 2);
        assert_eq!(layers.quota(0, second, &caller("", "busy")).map(|q| q.remaining), Some(0));
        layers.decide(second, &caller("", "newer"));
        assert_eq!(layers.holders(), 2, "all were busy, so one had to go all the same");
    }

    #[test]
    fn a_place_is_given_back_to_the_concurrency_limit_it_came_from() {
        let limiter = LimiterSettings {
            kind: Kind::Concurrency { limit: 1 },
            lockout: Lockout::None,
            counts_refused: true,
        };
        let scope = Scope::Shared([Factor::Tenant].into());
        let mut layers = Layers::new(vec![Layer { name: "open".into(), scope, limiter }]);
        let a = caller("acme", "a");
        assert!(matches!(layers.decide(Moment::ZERO, &a), Ruling::Admitted { .. }));
        assert!(matches!(layers.decide(Moment::ZERO, &a), Ruling::Refused { .. }));
        layers.release(Moment::ZERO, &a);
        assert!(matches!(layers.decide(Moment::ZERO, &a), Ruling::Admitted { .. }));
    }

    #[test]
    fn the_tightest_layer_is_the_one_with_least_left() {
        let mut layers = Layers::new(vec![layer("big", &[], 100), layer("small", &[], 2)]);
        let a = caller("", "");
        layers.decide(Moment::ZERO, &a);
        assert_eq!(layers.tightest(Moment::ZERO, &a).map(|(i, q)| (i, q.remaining)), Some((1, 1)));
    }

    #[test]
    fn a_copy_of_a_limiter_goes_on_where_the_layer_stands() {
        let mut layers = Layers::new(vec![layer("token", &[Factor::Token], 2)]);
        layers.decide(Moment::ZERO, &caller("", "a"));
        let admitted_now = |who: &str| {
            let mut copy = layers.limiter(0, &caller("", who)).expect("a layer");
            (0..5).filter(|_| copy.decide(Moment::ZERO).is_admitted()).count()
        };
        assert_eq!((admitted_now("a"), admitted_now("b")), (1, 2));
        assert_eq!(left(&layers, 0, &caller("", "a")), 1, "the layer itself is as it was");
        assert_eq!(layers.limiter(1, &caller("", "a")), None);
    }

    #[test]
    fn a_change_reaches_the_known_and_the_unknown() {
        let mut layers = Layers::new(vec![layer("token", &[Factor::Token], 5)]);
        layers.decide(Moment::ZERO, &caller("", "known"));
        layers.change(
            0,
            Moment::ZERO,
            Kind::SlidingLog { limit: 1, window: Duration::from_secs(1) },
        );
        assert_eq!(left(&layers, 0, &caller("", "known")), 0);
        assert_eq!(left(&layers, 0, &caller("", "unknown")), 1);
    }
}
