//! Who sends what to whom: streams, messages, attempts, and the scopes that limits apply to.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Rate;

macro_rules! index {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
        pub struct $name(pub $inner);
    };
}

index!(
    /// A stream, for as long as its target and credential stay the same. Never reused.
    StreamId(u32)
);
index!(
    /// One revision of a target's settings: what the sender needs to build a request. Never reused.
    EndpointId(u32)
);
index!(
    /// One revision of a credential. Never reused.
    CredentialId(u32)
);
index!(
    /// A gate of the engine's gate table. Never reused.
    GateId(u32)
);
index!(
    /// The circuit breaker of a limit domain. Never reused.
    BreakerId(u32)
);
index!(
    /// An attempt, counted from the start of the process.
    AttemptId(u64)
);
index!(
    /// The trace span of one attempt (W3C trace context: never zero).
    SpanId(u64)
);

/// A message: random, so that it can serve as idempotency key and as trace id (never zero).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(pub u128);

impl fmt::Display for MessageId {
    /// Thirty-two lower-case hexadecimal digits, the form of a W3C trace id.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for SpanId {
    /// Sixteen lower-case hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What a limit can be keyed by.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Factor {
    /// The access token. Two tokens of one client differ in this factor alone.
    Token,
    /// The OAuth client, or API key.
    Client,
    /// The user on whose behalf requests are made.
    User,
    /// The organisation.
    Tenant,
    /// The address requests come from.
    Address,
    /// The operation: method and path template.
    Route,
}

impl Factor {
    /// Every factor, in declaration order.
    pub const ALL: [Self; 6] =
        [Self::Token, Self::Client, Self::User, Self::Tenant, Self::Address, Self::Route];

    /// The word used in configuration, labels and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Client => "client",
            Self::User => "user",
            Self::Tenant => "tenant",
            Self::Address => "address",
            Self::Route => "route",
        }
    }
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Factor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|f| f.as_str() == text).ok_or(())
    }
}

/// Who shares a limit. Several factors together mean their combination: `tenant` + `route` is one
/// limit for each route of each tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub enum Scope {
    /// Not known, so everybody in the limit domain is treated as sharing it.
    #[default]
    Undecided,
    /// Shared by the requests that agree in all of these factors; the empty set is the whole domain.
    Shared(BTreeSet<Factor>),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Shared(factors) = self else { return f.write_str("undecided") };
        if factors.is_empty() {
            return f.write_str("domain");
        }
        for (i, factor) in factors.iter().enumerate() {
            let plus = if i == 0 { "" } else { "+" };
            write!(f, "{plus}{factor}")?;
        }
        Ok(())
    }
}

/// The values of a request's factors, as configuration states them. Unstated ones are empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Identity {
    /// The credential's name: it stands for its token, whatever generation that is.
    pub token: Arc<str>,
    /// OAuth client id or API key, by a name that may be shown.
    pub client: Arc<str>,
    /// User, by a name that may be shown.
    pub user: Arc<str>,
    /// Organisation, by a name that may be shown.
    pub tenant: Arc<str>,
    /// Source address; empty for the machine's own choice.
    pub address: Arc<str>,
    /// Method and path template.
    pub route: Arc<str>,
}

impl Identity {
    /// The value of one factor.
    #[must_use]
    pub fn value(&self, factor: Factor) -> &Arc<str> {
        match factor {
            Factor::Token => &self.token,
            Factor::Client => &self.client,
            Factor::User => &self.user,
            Factor::Tenant => &self.tenant,
            Factor::Address => &self.address,
            Factor::Route => &self.route,
        }
    }
}

/// One holder of a limit: a limit domain, and the values of the factors that the scope names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScopeKey {
    /// The limit domain: a host, or the name that configuration joins hosts under.
    pub domain: Arc<str>,
    /// The factors of the scope with this holder's values, in [`Factor`] order.
    pub values: Vec<(Factor, Arc<str>)>,
}

impl ScopeKey {
    /// The holder of `scope` that `identity` belongs to within `domain`.
    #[must_use]
    pub fn of(domain: &Arc<str>, scope: &Scope, identity: &Identity) -> Self {
        let values = match scope {
            Scope::Undecided => Vec::new(),
            Scope::Shared(factors) => {
                factors.iter().map(|f| (*f, Arc::clone(identity.value(*f)))).collect()
            }
        };
        Self { domain: Arc::clone(domain), values }
    }

    /// Who shares it: the factors of the scope, such as `tenant+route`, or `undecided`.
    #[must_use]
    pub fn factors(&self) -> String {
        if self.values.is_empty() {
            return "undecided".to_owned();
        }
        let names: Vec<_> = self.values.iter().map(|(factor, _)| factor.to_string()).collect();
        names.join("+")
    }

    /// Whether a request of this domain with that identity is one of this holder's.
    #[must_use]
    pub fn covers(&self, identity: &Identity) -> bool {
        self.values.iter().all(|(factor, value)| identity.value(*factor) == value)
    }
}

impl fmt::Display for ScopeKey {
    /// `api.example.com`, or `api.example.com tenant=acme route=POST /messages`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.domain)?;
        for (factor, value) in &self.values {
            write!(f, " {factor}={value}")?;
        }
        Ok(())
    }
}

/// What is fixed about a stream for as long as it lives, for telemetry to label things with.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamInfo {
    /// The stream.
    pub id: StreamId,
    /// Its name in configuration.
    pub name: Arc<str>,
    /// The name of its target.
    pub target: Arc<str>,
    /// The name of its credential.
    pub credential: Arc<str>,
    /// The limit domain it belongs to.
    pub domain: Arc<str>,
    /// What its requests are keyed by.
    pub identity: Identity,
    /// HTTP method.
    pub method: Arc<str>,
    /// Path template, with placeholders (low cardinality).
    pub path_template: Arc<str>,
    /// Host and port of the target, for span attributes.
    pub server_address: Arc<str>,
    /// Port of the target.
    pub server_port: u16,
    /// The configured rate: a ceiling that no policy exceeds.
    pub rate: Rate,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_undecided_scope_holds_the_whole_domain() {
        let domain: Arc<str> = "api.example.com".into();
        let a = Identity { tenant: "acme".into(), ..Identity::default() };
        let b = Identity { tenant: "other".into(), ..Identity::default() };
        let undecided = Scope::Undecided;
        assert_eq!(ScopeKey::of(&domain, &undecided, &a), ScopeKey::of(&domain, &undecided, &b));
        let by_tenant = Scope::Shared([Factor::Tenant].into());
        assert_ne!(ScopeKey::of(&domain, &by_tenant, &a), ScopeKey::of(&domain, &by_tenant, &b));
    }

    #[test]
    fn a_compound_scope_reads_as_its_factors() {
        let scope = Scope::Shared([Factor::Route, Factor::Tenant].into());
        assert_eq!(scope.to_string(), "tenant+route");
        let identity =
            Identity { tenant: "acme".into(), route: "POST /m".into(), ..Identity::default() };
        let key = ScopeKey::of(&"api".into(), &scope, &identity);
        assert_eq!(key.to_string(), "api tenant=acme route=POST /m");
    }
}
