//! Turns a valid configuration into what the send loop sends with: HTTP clients, tokens, a plan.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use secrecy::ExposeSecret;

use super::outbound::Endpoint;
use super::send_loop::Outfit;
use crate::clock::{self, Clock};
use crate::config::{Assigned, Registry, Settings};
use crate::sender::{
    self, AuthSettings, Bearer, ConnectionSettings, Connections, CredentialSettings,
    EndpointClient, TokenClient, read_secret,
};

/// Makes outfits, one for each configuration that is applied. Connections and ids live on from one
/// to the next, so that what did not change is not disturbed.
#[derive(Debug)]
pub(crate) struct Outfitter {
    registry: Registry,
    connections: Connections,
    clock: sender::Clock,
    marks: RandomState,
    /// There is a state file; a reload does not change that.
    recorded: bool,
}

impl Outfitter {
    pub(crate) fn new(clock: Clock, in_flight_max: u32, recorded: bool) -> Self {
        let clock = sender::Clock::new(move || clock.now(), clock::unix_nanos);
        let connections = Connections::new(in_flight_max as usize, clock.clone());
        Self { registry: Registry::new(), connections, clock, marks: RandomState::new(), recorded }
    }

    /// The outfit for these settings.
    ///
    /// # Errors
    /// Everything that is wrong with targets and credentials in this environment: a secret that
    /// cannot be read, a client that cannot be built. Nothing is changed then.
    pub(crate) fn outfit(&mut self, settings: &Settings) -> Result<Outfit, Vec<String>> {
        let mut registry = self.registry.clone();
        let Assigned { mut plan, endpoints, credentials } = registry.assign(settings);
        plan.safety.recorded = self.recorded;
        let mut outfit = Outfit {
            plan,
            endpoints: HashMap::new(),
            token_clients: HashMap::new(),
            static_tokens: Vec::new(),
            clients: HashMap::new(),
            credential_names: Vec::new(),
        };
        let mut problems = Vec::new();
        for (settings, template, connection) in endpoints {
            let (id, name) = (settings.id, Arc::clone(&settings.name));
            let (connections, clock) = (&mut self.connections, self.clock.clone());
            match EndpointClient::new(settings, &connection, connections, clock) {
                Ok(client) => {
                    let template = Arc::new(template);
                    outfit.endpoints.insert(id, Endpoint { client, template });
                }
                Err(error) => problems.push(format!("targets.{name}: {error}")),
            }
        }
        for (credential, connection) in credentials {
            outfit.credential_names.push((credential.id, Arc::clone(&credential.name)));
            if let Err(problem) = self.authenticate(&credential, &connection, &mut outfit) {
                problems.push(format!("credentials.{}: {problem}", credential.name));
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        self.registry = registry;
        Ok(outfit)
    }

    /// Makes connections anew that have come of age. Reads files.
    pub(super) fn renew_connections(&mut self) {
        for error in self.connections.renew().err().unwrap_or_default() {
            tracing::error!(%error, "connections are not renewed: the old ones go on");
        }
    }

    fn authenticate(
        &mut self,
        credential: &CredentialSettings,
        connection: &ConnectionSettings,
        outfit: &mut Outfit,
    ) -> Result<(), String> {
        match &credential.auth {
            None => {}
            Some(AuthSettings::Bearer(source)) => {
                let secret = read_secret(source).map_err(|e| e.to_string())?;
                Bearer::new(&secret, 1).map_err(|e| e.to_string())?;
                outfit.static_tokens.push((credential.id, secret));
            }
            Some(AuthSettings::Oauth(oauth)) => {
                // Read anew at each fetch; read here too, so that a missing file is told at once.
                let id = read_secret(&oauth.client_id).map_err(|e| e.to_string())?;
                let secret = read_secret(&oauth.client_secret).map_err(|e| e.to_string())?;
                let mark = self.marks.hash_one((id.expose_secret(), secret.expose_secret()));
                outfit.clients.insert(credential.id, mark);
                let clock = self.clock.clone();
                let connections = &mut self.connections;
                let client = TokenClient::new(oauth.clone(), connection, connections, clock)
                    .map_err(|e| e.to_string())?;
                outfit.token_clients.insert(credential.id, client);
            }
        }
        Ok(())
    }
}
