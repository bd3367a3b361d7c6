//! Gives targets and credentials their ids: the same one across reloads while nothing about them
//! changes, and a new one when something does, so that the engine can tell.

use std::collections::HashMap;
use std::sync::Arc;

use crate::engine::{CredentialPlan, Plan, StreamPlan};
use crate::model::{CredentialId, EndpointId, Identity};
use crate::schedule::RequestTemplate;
use crate::sender::{ConnectionSettings, CredentialSettings, EndpointSettings};

use super::settings::{NamedCredential, Settings, StreamSettings, TargetSettings};

/// Remembers the ids of the configuration that runs. One for the life of the process.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    targets: HashMap<Arc<str>, TargetSettings>,
    credentials: HashMap<Arc<str>, NamedCredential>,
    next_target: u32,
    next_credential: u32,
}

/// A configuration with ids: what engine and sender are given.
#[derive(Clone, Debug, PartialEq)]
pub struct Assigned {
    /// For the engine.
    pub plan: Plan,
    /// For the sender: how to send to each target, and what to say.
    pub endpoints: Vec<(EndpointSettings, RequestTemplate, Arc<ConnectionSettings>)>,
    /// For the sender: how to authenticate.
    pub credentials: Vec<(CredentialSettings, Arc<ConnectionSettings>)>,
}

impl Registry {
    /// A registry that has seen no configuration.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Assigns ids. What equals its namesake in the last assignment keeps its id; ids are never
    /// used again for something else.
    pub fn assign(&mut self, settings: &Settings) -> Assigned {
        let mut targets = HashMap::new();
        for target in &settings.targets {
            let mut target = target.clone();
            let name = Arc::clone(&target.endpoint.name);
            if let Some(known) = self.targets.get(&name) {
                target.endpoint.id = known.endpoint.id;
            }
            if !self.targets.get(&name).is_some_and(|known| sends_alike(known, &target)) {
                self.next_target += 1;
                target.endpoint.id = EndpointId(self.next_target);
            }
            targets.insert(name, target);
        }
        let mut credentials = HashMap::new();
        for credential in &settings.credentials {
            let mut credential = credential.clone();
            let name = Arc::clone(&credential.settings.name);
            match self.credentials.get(&name).filter(|known| is_same(known, &credential)) {
                Some(known) => credential.settings.id = known.settings.id,
                None => {
                    self.next_credential += 1;
                    credential.settings.id = CredentialId(self.next_credential);
                }
            }
            credentials.insert(name, credential);
        }
        self.targets = targets;
        self.credentials = credentials;
        self.assigned(settings)
    }

    fn assigned(&self, settings: &Settings) -> Assigned {
        let targets: Vec<_> =
            settings.targets.iter().filter_map(|t| self.targets.get(&t.endpoint.name)).collect();
        let credentials: Vec<_> = settings
            .credentials
            .iter()
            .filter_map(|c| self.credentials.get(&c.settings.name))
            .collect();
        let streams = settings.streams.iter().filter_map(|stream| {
            let target = self.targets.get(&stream.target)?;
            Some(stream_plan(stream, target, self.credentials.get(&stream.credential)?))
        });
        Assigned {
            plan: Plan {
                in_flight_max: settings.in_flight_max,
                adaptive: settings.adaptive,
                false_alarm_interval: settings.false_alarm_interval,
                safety: settings.safety,
                streams: streams.collect(),
                credentials: credentials.iter().map(|c| credential_plan(c)).collect(),
            },
            endpoints: targets
                .iter()
                .map(|t| (t.endpoint.clone(), t.template.clone(), Arc::clone(&t.connection)))
                .collect(),
            credentials: credentials
                .iter()
                .map(|c| (c.settings.clone(), Arc::clone(&c.connection)))
                .collect(),
        }
    }
}

/// Whether two revisions of a target are one to the engine. How its server is reached is no part of
/// that: a proxy that changes must not begin a stream anew.
fn sends_alike(known: &TargetSettings, wanted: &TargetSettings) -> bool {
    let mut wanted = wanted.clone();
    wanted.connection = Arc::clone(&known.connection);
    *known == wanted
}

/// Whether two revisions authenticate alike and stand for the same. How long to wait between
/// failed fetches is no part of that, nor how the login server is reached.
fn is_same(known: &NamedCredential, wanted: &NamedCredential) -> bool {
    let mut wanted = wanted.clone();
    wanted.settings.id = known.settings.id;
    wanted.token = known.token.clone();
    wanted.connection = Arc::clone(&known.connection);
    *known == wanted
}

fn credential_plan(credential: &NamedCredential) -> CredentialPlan {
    CredentialPlan {
        id: credential.settings.id,
        name: Arc::clone(&credential.settings.name),
        token: credential.token.clone(),
    }
}

fn stream_plan(
    stream: &StreamSettings,
    target: &TargetSettings,
    credential: &NamedCredential,
) -> StreamPlan {
    let endpoint = &target.endpoint;
    let path_template = target.template.path_template();
    StreamPlan {
        name: Arc::clone(&stream.name),
        target: Arc::clone(&stream.target),
        endpoint: endpoint.id,
        credential_name: Arc::clone(&credential.settings.name),
        credential: credential.settings.id,
        domain: Arc::clone(&target.domain),
        scope: target.scope.clone(),
        identity: Identity {
            token: Arc::clone(&credential.settings.name),
            client: Arc::clone(&credential.client),
            user: Arc::clone(&credential.user),
            tenant: Arc::clone(&credential.tenant),
            address: "".into(),
            route: format!("{} {path_template}", endpoint.method).into(),
        },
        method: endpoint.method.as_str().into(),
        path_template: path_template.into(),
        server_address: Arc::clone(&target.server_address),
        server_port: target.server_port,
        // What HTTP itself calls idempotent may be repeated; else only the server's own
        // recognition of a key makes a second message harmless.
        resend_is_safe: endpoint.idempotency_key_header.is_some()
            || endpoint.method.is_idempotent(),
        in_flight_max: stream.in_flight_max,
        mode: stream.mode,
        weight: stream.weight,
        schedule: stream.schedule,
        policy: stream.policy,
        safety: stream.safety.clone(),
    }
}
