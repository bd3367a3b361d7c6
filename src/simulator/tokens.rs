//! Bearer tokens: who holds which, and for how long. Bounded: the oldest is forgotten first.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::settings::{ClientSettings, SimulatorSettings};
use crate::model::{Identity, Moment};

#[derive(Debug)]
pub(super) struct Tokens {
    fixed: HashMap<Arc<str>, Identity>,
    granted: HashMap<Arc<str>, (Identity, Moment)>,
    /// All lifetimes are the same, so this is the order of expiry as well.
    order: VecDeque<(Arc<str>, Moment)>,
    lifetime: Duration,
    max: usize,
}

impl Tokens {
    pub(super) fn new(settings: &SimulatorSettings) -> Self {
        let fixed = settings.tokens.iter().map(|t| {
            let token: Arc<str> = t.value.as_str().into();
            let identity = Identity {
                token: Arc::clone(&token),
                client: t.client.as_str().into(),
                user: t.user.as_str().into(),
                tenant: t.tenant.as_str().into(),
                ..Identity::default()
            };
            (token, identity)
        });
        Self {
            fixed: fixed.collect(),
            granted: HashMap::new(),
            order: VecDeque::new(),
            lifetime: settings.oauth.token_lifetime.0,
            max: settings.oauth.tokens_max.max(1),
        }
    }

    /// Whom a token belongs to, if it is known and has not expired.
    pub(super) fn holder(&self, at: Moment, token: &str) -> Option<&Identity> {
        if let Some(identity) = self.fixed.get(token) {
            return Some(identity);
        }
        self.granted.get(token).filter(|(_, until)| at < *until).map(|(identity, _)| identity)
    }

    pub(super) fn grant(&mut self, at: Moment, token: Arc<str>, client: &ClientSettings) {
        let stale = |front: &(Arc<str>, Moment)| front.1 <= at;
        while self.order.front().is_some_and(stale) || self.order.len() >= self.max {
            if let Some((oldest, _)) = self.order.pop_front() {
                self.granted.remove(&oldest);
            }
        }
        let until = at + self.lifetime;
        let identity = Identity { token: Arc::clone(&token), ..of_client(client) };
        self.order.push_back((Arc::clone(&token), until));
        self.granted.insert(token, (identity, until));
    }
}

/// What a client is keyed by before it has a token.
pub(super) fn of_client(client: &ClientSettings) -> Identity {
    Identity {
        client: client.id.as_str().into(),
        user: client.user.as_str().into(),
        tenant: client.tenant.as_str().into(),
        ..Identity::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(lifetime_s: u64, max: usize) -> Tokens {
        let mut settings = SimulatorSettings::default();
        settings.oauth.token_lifetime.0 = Duration::from_secs(lifetime_s);
        settings.oauth.tokens_max = max;
        Tokens::new(&settings)
    }

    fn client() -> ClientSettings {
        ClientSettings {
            id: "app".into(),
            secret: "s".into(),
            tenant: "acme".into(),
            user: String::new(),
        }
    }

    #[test]
    fn a_token_is_good_until_it_expires() {
        let mut tokens = tokens(10, 5);
        let start = Moment::ZERO;
        tokens.grant(start, "a".into(), &client());
        let holder = |s| tokens.holder(start + Duration::from_secs(s), "a").map(|i| &*i.tenant);
        assert_eq!(holder(9), Some("acme"));
        assert_eq!(holder(10), None);
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut tokens = tokens(10, 2);
        for name in ["a", "b", "c"] {
            tokens.grant(Moment::ZERO, name.into(), &client());
        }
        let known = |name| tokens.holder(Moment::ZERO, name).is_some();
        assert_eq!([known("a"), known("b"), known("c")], [false, true, true]);
    }
}
