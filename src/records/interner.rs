//! Who sent: identities by their position, and names in place of secrets.

use std::collections::HashMap;
use std::sync::Arc;

use crate::infer::study::{Attempt, Named};
use crate::model::{Factor, Identity};

/// A record with more parties than this has a field taken for a party that is none.
pub(super) const PARTIES_MAX: usize = 10_000;

/// Words in the names of fields whose values are nobody's to read.
const SECRETIVE: [&str; 7] =
    ["authorization", "cookie", "token", "secret", "password", "api_key", "apikey"];

/// Identities, each once.
#[derive(Debug, Default)]
pub(super) struct Interner {
    by_identity: HashMap<Identity, usize>,
    parties: Vec<Identity>,
    /// What stands for values that may be secrets, such as `token-1`.
    aliases: HashMap<Factor, HashMap<Arc<str>, Arc<str>>>,
    pub(super) named: HashMap<Named, u64>,
    full: bool,
}

impl Interner {
    /// The position of an identity; `None`: there are too many.
    pub(super) fn party(&mut self, identity: Identity) -> Option<usize> {
        if let Some(known) = self.by_identity.get(&identity) {
            return Some(*known);
        }
        if self.parties.len() == PARTIES_MAX {
            self.full = true;
            return None;
        }
        let position = self.parties.len();
        self.parties.push(identity.clone());
        self.by_identity.insert(identity, position);
        Some(position)
    }

    /// The parties that some attempt is of; the attempts then refer to those.
    pub(super) fn used(&self, attempts: &mut [Attempt]) -> Vec<Identity> {
        let mut position = vec![None; self.parties.len()];
        let mut used = Vec::new();
        for attempt in attempts {
            attempt.party = *position[attempt.party].get_or_insert_with(|| {
                used.push(self.parties[attempt.party].clone());
                used.len() - 1
            });
        }
        used
    }

    /// Whether there were too many.
    pub(super) const fn is_full(&self) -> bool {
        self.full
    }

    /// The value of a factor as a report may show it.
    pub(super) fn shown(&mut self, factor: Factor, field: &str, value: &str) -> Arc<str> {
        let value = value.trim();
        if value.is_empty() || value == "-" {
            return Arc::default();
        }
        if !is_secretive(factor, field) {
            return value.into();
        }
        let aliases = self.aliases.entry(factor).or_default();
        if let Some(alias) = aliases.get(value) {
            return Arc::clone(alias);
        }
        let alias: Arc<str> = format!("{factor}-{}", aliases.len() + 1).into();
        if aliases.len() < PARTIES_MAX {
            aliases.insert(value.into(), Arc::clone(&alias));
        }
        alias
    }
}

fn is_secretive(factor: Factor, field: &str) -> bool {
    let field = field.to_ascii_lowercase().replace('-', "_");
    factor == Factor::Token || SECRETIVE.iter().any(|word| field.contains(word))
}

/// Sets one factor.
pub(super) fn set(identity: &mut Identity, factor: Factor, value: Arc<str>) {
    let place = match factor {
        Factor::Token => &mut identity.token,
        Factor::Client => &mut identity.client,
        Factor::User => &mut identity.user,
        Factor::Tenant => &mut identity.tenant,
        Factor::Address => &mut identity.address,
        Factor::Route => &mut identity.route,
    };
    *place = value;
}
