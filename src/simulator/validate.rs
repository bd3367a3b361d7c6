//! From the file as written to a simulation that makes sense, or to all the reasons why it does not.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use http::Method;

use super::routes::{Operation, Template};
use super::settings::{ClientSettings, ErrorShape, FaultSettings, LatencySettings};
use super::settings::{QuotaHeaders, Shape, SimulatorSettings, StaticTokenSettings};
use super::settings_limits::{AppliesTo, LimitSettings, Refusal};
use super::validate_limits;
use crate::limiter::{Kind, Layer};
use crate::model::Moment;

/// One thing that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, such as `limits[0].window`.
    pub path: String,
    /// What is wrong, what was found, and what is allowed.
    pub message: String,
}

/// Collects problems, so that one run shows them all.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem { path: path.into(), message: message.into() });
    }
}

/// Validated settings: what a [`super::Simulator`] is made from.
#[derive(Clone, Debug)]
pub struct Simulation {
    pub(super) settings: SimulatorSettings,
    pub(super) operations: Vec<Operation>,
    pub(super) limits: Vec<Limit>,
}

/// A limit and the words in which it refuses.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    pub(super) layer: Layer,
    pub(super) applies_to: AppliesTo,
    pub(super) refusal: Refusal,
    pub(super) key: Arc<str>,
    pub(super) namespace: Arc<str>,
    /// In order of time.
    pub(super) changes: Vec<(Moment, Kind)>,
}

impl Simulation {
    /// The address that the settings ask to listen on.
    #[must_use]
    pub fn listen_address(&self) -> std::net::SocketAddr {
        self.settings.listen_address
    }
}

impl SimulatorSettings {
    /// Checks everything at once.
    ///
    /// # Errors
    /// All problems, in the order of the file.
    pub fn validate(self) -> Result<Simulation, Vec<Problem>> {
        let mut problems = Problems::default();
        self.check_bounds(&mut problems);
        check_headers(&self.quota_headers, &mut problems);
        check_clients(&self.clients, &mut problems);
        check_tokens(&self.tokens, &mut problems);
        let operations = self.check_operations(&mut problems);
        let limits = check_limits(&self.limits, &mut problems);
        check_latency(&self.latency, &mut problems);
        check_faults(&self.faults, &mut problems);
        if problems.0.is_empty() {
            Ok(Simulation { settings: self, operations, limits })
        } else {
            Err(problems.0)
        }
    }

    fn check_bounds(&self, problems: &mut Problems) {
        let mut positive = |path: &str, zero: bool| {
            if zero {
                problems.add(path, "got 0; allowed: more than 0");
            }
        };
        positive("connections_max", self.connections_max == 0);
        positive("body_bytes_max", self.body_bytes_max == 0);
        positive("idle_timeout", self.idle_timeout.0.is_zero());
        positive("oauth.token_lifetime", self.oauth.token_lifetime.0.is_zero());
        positive("oauth.tokens_max", self.oauth.tokens_max == 0);
        if let Err(reason) = Template::parse(&self.oauth.path) {
            problems.add("oauth.path", reason);
        }
    }

    fn check_operations(&self, problems: &mut Problems) -> Vec<Operation> {
        let mut operations = Vec::new();
        if self.operations.is_empty() {
            problems.add("operations", "got none; allowed: at least one");
        }
        let mut seen = BTreeSet::new();
        for (i, wanted) in self.operations.iter().enumerate() {
            let path = if wanted.path.is_empty() { wanted.shape.path() } else { &wanted.path };
            let method = wanted.method.parse::<Method>();
            if method.is_err() {
                let got = &wanted.method;
                problems.add(
                    format!("operations[{i}].method"),
                    format!("got {got:?}; allowed: an HTTP method, such as POST"),
                );
            }
            let template = Template::parse(path);
            if let Err(reason) = &template {
                problems.add(format!("operations[{i}].path"), reason.clone());
            }
            let status = wanted.status.unwrap_or(wanted.shape.status());
            if !(200..300).contains(&status) {
                let message = format!("got {status}; allowed: 200 to 299");
                problems.add(format!("operations[{i}].status"), message);
            }
            let (Ok(method), Ok(template)) = (method, template) else { continue };
            let operation = Operation::new(wanted.shape, method, template, status);
            if !seen.insert(Arc::clone(&operation.route)) {
                let message = format!("{} is there twice", operation.route);
                problems.add(format!("operations[{i}]"), message);
            }
            operations.push(operation);
        }
        operations
    }
}

impl Shape {
    /// The default operations.
    pub(super) const ALL: [Self; 4] =
        [Self::Generic, Self::GenesysConversation, Self::GenesysAgentless, Self::GenesysInbound];

    fn path(self) -> &'static str {
        match self {
            Self::Generic => "/messages",
            Self::GenesysConversation => {
                "/api/v2/conversations/messages/{conversationId}/communications/{communicationId}/messages"
            }
            Self::GenesysAgentless => "/api/v2/conversations/messages/agentless",
            Self::GenesysInbound => {
                "/api/v2/conversations/messages/{integrationId}/inbound/open/message"
            }
        }
    }

    const fn status(self) -> u16 {
        match self {
            Self::Generic | Self::GenesysConversation => 200,
            Self::GenesysAgentless | Self::GenesysInbound => 202,
        }
    }
}

fn check_headers(headers: &[QuotaHeaders], problems: &mut Problems) {
    let both = [QuotaHeaders::IetfStructured, QuotaHeaders::IetfDraft07];
    if both.iter().all(|h| headers.contains(h)) {
        let message = "got ietf_structured and ietf_draft07; allowed: one of them, because both \
                       write the header RateLimit";
        problems.add("quota_headers", message);
    }
}

fn check_clients(clients: &[ClientSettings], problems: &mut Problems) {
    let mut seen = BTreeSet::new();
    for (i, client) in clients.iter().enumerate() {
        if client.id.is_empty() || client.id.contains(':') {
            let got = &client.id;
            let message = format!("got {got:?}; allowed: not empty, without a colon");
            problems.add(format!("clients[{i}].id"), message);
        }
        if !seen.insert(&client.id) {
            problems.add(format!("clients[{i}].id"), format!("{:?} is there twice", client.id));
        }
    }
}

fn check_tokens(tokens: &[StaticTokenSettings], problems: &mut Problems) {
    let mut seen = BTreeSet::new();
    for (i, token) in tokens.iter().enumerate() {
        let path = format!("tokens[{i}].value");
        if token.value.is_empty() || !token.value.bytes().all(|b| b.is_ascii_graphic()) {
            problems.add(path, "allowed: not empty, printable ASCII without blanks");
        } else if !seen.insert(&token.value) {
            problems.add(path, "is there twice");
        }
    }
}

fn check_limits(limits: &[LimitSettings], problems: &mut Problems) -> Vec<Limit> {
    let mut seen = BTreeSet::new();
    let mut valid = Vec::new();
    for (i, limit) in limits.iter().enumerate() {
        if !seen.insert(&limit.name) {
            problems.add(format!("limits[{i}].name"), format!("{:?} is there twice", limit.name));
        }
        valid.extend(validate_limits::limit(&format!("limits[{i}]"), limit, problems));
    }
    valid
}

fn check_latency(latency: &LatencySettings, problems: &mut Problems) {
    let LatencySettings { mean, sigma, min, max, .. } = latency;
    if min > max {
        problems.add("latency.min", format!("got {min}; allowed: at most max, which is {max}"));
    }
    if mean > max {
        problems.add("latency.mean", format!("got {mean}; allowed: at most max, which is {max}"));
    }
    if !(0.0..=5.0).contains(sigma) {
        problems.add("latency.sigma", format!("got {sigma}; allowed: 0 to 5"));
    }
    if max.0 > Duration::from_secs(3_600) {
        problems.add("latency.max", format!("got {max}; allowed: at most 1h"));
    }
}

fn check_faults(faults: &FaultSettings, problems: &mut Problems) {
    for (name, ratio) in [
        ("error_ratio", faults.error_ratio),
        ("reset_before_ratio", faults.reset_before_ratio),
        ("reset_after_ratio", faults.reset_after_ratio),
        ("stall_ratio", faults.stall_ratio),
        ("malformed_ratio", faults.malformed_ratio),
    ] {
        if !(0.0..=1.0).contains(&ratio) {
            problems.add(format!("faults.{name}"), format!("got {ratio}; allowed: 0 to 1"));
        }
    }
    // They are drawn as one fate, so that each ratio is what the file says.
    let sum = faults.error_ratio + faults.reset_after_ratio + faults.stall_ratio;
    if sum > 1.0 {
        let message = format!(
            "error_ratio, reset_after_ratio and stall_ratio come to {sum}; allowed: 1 at most"
        );
        problems.add("faults", message);
    }
    if faults.error_statuses.is_empty() {
        problems.add("faults.error_statuses", "got none; allowed: at least one");
    }
    for (i, status) in faults.error_statuses.iter().enumerate() {
        if !(400..600).contains(status) {
            let message = format!("got {status}; allowed: 400 to 599");
            problems.add(format!("faults.error_statuses[{i}]"), message);
        }
    }
    if faults.stall_time.0 > Duration::from_secs(3_600) {
        let message = format!("got {}; allowed: at most 1h", faults.stall_time);
        problems.add("faults.stall_time", message);
    }
}

/// What the shape of an error body adds to every answer.
impl ErrorShape {
    pub(super) const fn is_genesys(self) -> bool {
        matches!(self, Self::Genesys)
    }
}
