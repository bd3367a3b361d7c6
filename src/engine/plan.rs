//! What the engine is asked to do: the validated plan that configuration produces.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{CredentialId, EndpointId, Identity, Scope};
use crate::policy::{
    AdaptiveSettings, BackoffSettings, BreakerSettings, CapSettings, Jitter, Mode, PolicySettings,
};
use crate::schedule::{ScheduleSettings, Timetable};

/// Everything the engine runs. Applying a new plan keeps what did not change.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Requests in flight at once, over all streams.
    pub in_flight_max: u32,
    /// How the rate of a scope with adaptive streams is found and held.
    pub adaptive: AdaptiveSettings,
    /// Time of sending at the believed limit to a false alarm of a change of the limit, at least and on average.
    pub false_alarm_interval: Duration,
    /// What holds everything back, whatever the API admits.
    pub safety: SafetyPlan,
    /// The streams; names are unique.
    pub streams: Vec<StreamPlan>,
    /// The credentials that the streams refer to; ids are unique.
    pub credentials: Vec<CredentialPlan>,
}

impl Plan {
    /// Whether there is a cap on messages, of all streams together or of one.
    #[must_use]
    pub fn is_capped(&self) -> bool {
        let caps = self.streams.iter().map(|stream| &stream.safety.caps);
        caps.chain([&self.safety.caps]).any(|caps| !caps.is_none())
    }
}

/// One stream: target × credential × rate.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamPlan {
    /// Its name: the identity that survives a reload.
    pub name: Arc<str>,
    /// The name of its target.
    pub target: Arc<str>,
    /// The target revision. A different one makes this a new stream.
    pub endpoint: EndpointId,
    /// The credential revision. A different one makes this a new stream.
    pub credential: CredentialId,
    /// The name of its credential.
    pub credential_name: Arc<str>,
    /// The limit domain.
    pub domain: Arc<str>,
    /// Who shares the limit, as far as configuration knows.
    pub scope: Scope,
    /// What the stream's requests are keyed by.
    pub identity: Identity,
    /// HTTP method.
    pub method: Arc<str>,
    /// Path template, with placeholders.
    pub path_template: Arc<str>,
    /// Host of the target.
    pub server_address: Arc<str>,
    /// Port of the target.
    pub server_port: u16,
    /// Whether a message that may have reached the server may be sent again.
    pub resend_is_safe: bool,
    /// Requests of this stream in flight at once.
    pub in_flight_max: u32,
    /// Who decides how fast it sends.
    pub mode: Mode,
    /// Its part of an adaptive scope's rate, in relation to the scope's other streams; above zero.
    pub weight: f64,
    /// When its slots are due; in adaptive mode its rate is a ceiling, and arrivals are even.
    pub schedule: ScheduleSettings,
    /// How it behaves when refused.
    pub policy: PolicySettings,
    /// What holds it back, whatever the API admits.
    pub safety: StreamSafety,
}

/// The safety envelope of all streams together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SafetyPlan {
    /// Nothing is sent: at the start, and again when a later plan says so anew.
    pub paused: bool,
    /// Messages that all streams together may send.
    pub caps: CapSettings,
    /// Counts of caps are written ahead: [`super::Output::Record`] asks for it.
    pub recorded: bool,
    /// When a limit domain counts as down.
    pub breaker: BreakerSettings,
}

impl Default for SafetyPlan {
    /// Nothing is held back, and no breaker ever opens.
    fn default() -> Self {
        let second = Duration::from_secs(1);
        let pause = BackoffSettings { base: second, cap: second * 60, jitter: Jitter::Equal };
        Self {
            paused: false,
            caps: CapSettings::default(),
            recorded: false,
            breaker: BreakerSettings { failures: 0, pause },
        }
    }
}

/// The safety envelope of one stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamSafety {
    /// Nothing is sent: at the start, and again when a later plan says so anew.
    pub paused: bool,
    /// Messages that it may send.
    pub caps: CapSettings,
    /// When it may send; `None`: always.
    pub hours: Option<Arc<Timetable>>,
}

/// One credential, as far as the engine cares.
#[derive(Clone, Debug, PartialEq)]
pub struct CredentialPlan {
    /// This revision of the credential.
    pub id: CredentialId,
    /// Its name.
    pub name: Arc<str>,
    /// Whether it has to be fetched.
    pub token: TokenPlan,
}

/// How a credential's token comes to be.
#[derive(Clone, Debug, PartialEq)]
pub enum TokenPlan {
    /// It is there: static, or none is needed.
    Static,
    /// It is fetched from a login server and expires.
    Fetched {
        /// The login server: credentials of one server share the gate that a throttled fetch closes.
        login_host: Arc<str>,
        /// Delays between failed fetches.
        backoff: BackoffSettings,
    },
}
