//! The state behind the API: limits, tokens, chance and counts, under one lock that is held for a
//! decision and never while anything is waited for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::draw::{self, Fate};
use super::settings::{ClientSettings, QuotaHeaders, Shape};
use super::settings_limits::AppliesTo;
use super::stats::{LimitStats, LoginStats, RouteStats};
use super::tokens::{self, Tokens};
use super::validate::Simulation;
use crate::limiter::{Kind, Layers, Quota, Ruling};
use crate::model::{Identity, Moment};

/// The limits that apply to one kind of request.
#[derive(Debug)]
struct Stack {
    layers: Layers,
    /// Which limit of the settings each layer is.
    limits: Vec<usize>,
    /// What is still to change, in order of time.
    changes: VecDeque<(Moment, usize, Kind)>,
}

impl Stack {
    fn new(simulation: &Simulation, wanted: AppliesTo) -> Self {
        let all = simulation.limits.iter().enumerate();
        let (limits, ours): (Vec<_>, Vec<_>) = all.filter(|(_, l)| l.applies_to == wanted).unzip();
        let later = ours.iter().enumerate();
        let mut changes: Vec<_> =
            later.flat_map(|(i, l)| l.changes.iter().map(move |(at, k)| (*at, i, *k))).collect();
        changes.sort_by_key(|(at, ..)| *at);
        let layers = Layers::new(ours.iter().map(|l| l.layer.clone()).collect());
        Self { layers, limits, changes: changes.into() }
    }

    fn decide(&mut self, at: Moment, who: &Identity, counts: &mut [LimitStats]) -> Ruling {
        while let Some((due, layer, kind)) = self.changes.pop_front() {
            if due > at {
                self.changes.push_front((due, layer, kind));
                break;
            }
            self.layers.change(layer, due, kind);
        }
        let ruling = self.layers.decide(at, who);
        let passed = match ruling {
            Ruling::Admitted { .. } => self.limits.len(),
            Ruling::Refused { layer, .. } => {
                counts[self.limits[layer]].refused += 1;
                layer
            }
        };
        for limit in &self.limits[..passed] {
            counts[*limit].admitted += 1;
        }
        ruling
    }
}

/// What is decided about one call of an operation.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) outcome: Outcome,
    /// Quotas to describe in headers: limit and state. The one to prefer comes first.
    pub(super) quotas: Vec<(usize, Quota)>,
    /// Whether those headers are to be garbage.
    pub(super) malformed: bool,
    /// Random, for the message and for correlation.
    pub(super) ids: [u128; 2],
}

#[derive(Debug)]
pub(super) enum Outcome {
    Unauthorized,
    Refused { limit: usize, retry_after: Duration },
    Admitted { wait: Duration, fate: Fate, who: Identity, not_a_client: bool },
}

/// What is decided about a token request.
#[derive(Debug)]
pub(super) enum Login {
    Granted(Arc<str>),
    Refused { limit: usize, retry_after: Duration },
}

/// What a request says of itself.
pub(super) struct Call<'a> {
    pub(super) operation: usize,
    pub(super) token: Option<&'a str>,
    pub(super) address: &'a Arc<str>,
    pub(super) body_is_valid: bool,
}

#[derive(Debug)]
pub(super) struct Core {
    operations: Stack,
    logins: Stack,
    holds_places: bool,
    tokens: Tokens,
    rng: StdRng,
    pub(super) routes: Vec<RouteStats>,
    pub(super) limits: Vec<LimitStats>,
    pub(super) login: LoginStats,
    pub(super) connections: u64,
    pub(super) unmatched: u64,
}

impl Core {
    pub(super) fn new(simulation: &Simulation) -> Self {
        let operations = Stack::new(simulation, AppliesTo::Operations);
        let places =
            |layer: &crate::limiter::Layer| matches!(layer.limiter.kind, Kind::Concurrency { .. });
        let holds_places = operations.layers.iter().any(places);
        Self {
            holds_places,
            operations,
            logins: Stack::new(simulation, AppliesTo::Login),
            tokens: Tokens::new(&simulation.settings),
            rng: StdRng::seed_from_u64(simulation.settings.seed),
            routes: vec![RouteStats::default(); simulation.operations.len()],
            limits: vec![LimitStats::default(); simulation.limits.len()],
            login: LoginStats::default(),
            connections: 0,
            unmatched: 0,
        }
    }

    pub(super) fn id(&mut self) -> u128 {
        self.rng.random()
    }

    /// Whether the connection is to be reset before the request is read.
    pub(super) fn resets_before(&mut self, ratio: f64) -> bool {
        draw::chance(&mut self.rng, ratio)
    }

    /// Counts a request at `unix` seconds.
    pub(super) fn received(&mut self, operation: usize, unix: f64) -> &mut RouteStats {
        let route = &mut self.routes[operation];
        route.received += 1;
        route.first_at = route.first_at.or(Some(unix));
        route.last_at = Some(unix);
        route
    }

    pub(super) fn judge(
        &mut self,
        sim: &Simulation,
        at: Moment,
        unix: f64,
        call: &Call<'_>,
    ) -> Judged {
        self.received(call.operation, unix);
        let ids = [self.id(), self.id()];
        let operation = &sim.operations[call.operation];
        let holder = call.token.and_then(|t| self.tokens.holder(at, t)).cloned();
        let known = holder.is_some();
        if !known && sim.settings.require_token {
            self.routes[call.operation].unauthorized += 1;
            let outcome = Outcome::Unauthorized;
            return Judged { outcome, quotas: Vec::new(), malformed: false, ids };
        }
        let stranger =
            || Identity { token: call.token.unwrap_or("").into(), ..Identity::default() };
        let mut who = holder.unwrap_or_else(stranger);
        who.address = Arc::clone(call.address);
        who.route = Arc::clone(&operation.route);
        let ruling = self.operations.decide(at, &who, &mut self.limits);
        let quotas = self.quotas(&sim.settings.quota_headers, at, &who, ruling);
        let malformed = draw::chance(&mut self.rng, sim.settings.faults.malformed_ratio);
        let outcome = match ruling {
            Ruling::Refused { layer, retry_after } => {
                self.routes[call.operation].refused += 1;
                Outcome::Refused { limit: self.operations.limits[layer], retry_after }
            }
            Ruling::Admitted { delay } => {
                let wait = delay + draw::latency(&mut self.rng, &sim.settings.latency);
                let fate = draw::fate(&mut self.rng, &sim.settings.faults);
                let not_a_client = known && who.client.is_empty() && needs_client(operation.shape);
                let valid = call.body_is_valid && !not_a_client;
                self.count_admitted(call.operation, fate, valid);
                Outcome::Admitted { wait, fate, who, not_a_client }
            }
        };
        Judged { outcome, quotas, malformed, ids }
    }

    fn count_admitted(&mut self, operation: usize, fate: Fate, valid: bool) {
        let route = &mut self.routes[operation];
        route.admitted += 1;
        let count = match fate {
            Fate::Serve if valid => &mut route.accepted,
            Fate::Serve => &mut route.invalid,
            Fate::Error(_) => &mut route.errors,
            Fate::Reset => &mut route.resets,
            Fate::Stall => &mut route.stalls,
        };
        *count += 1;
    }

    fn quotas(
        &self,
        headers: &[QuotaHeaders],
        at: Moment,
        who: &Identity,
        ruling: Ruling,
    ) -> Vec<(usize, Quota)> {
        if headers.is_empty() {
            return Vec::new();
        }
        let Stack { layers, limits, .. } = &self.operations;
        let first = match ruling {
            Ruling::Refused { layer, .. } => layers.quota(layer, at, who).map(|q| (layer, q)),
            Ruling::Admitted { .. } => layers.tightest(at, who),
        };
        let Some((first, quota)) = first else { return Vec::new() };
        let mut quotas = vec![(limits[first], quota)];
        if headers.contains(&QuotaHeaders::IetfStructured) {
            let others = (0..limits.len()).filter(|i| *i != first);
            quotas.extend(others.filter_map(|i| Some((limits[i], layers.quota(i, at, who)?))));
        }
        quotas
    }

    /// An admitted request has ended.
    pub(super) fn release(&mut self, at: Moment, who: &Identity) {
        self.operations.layers.release(at, who);
    }

    /// Whether any limit wants to know when a request ends.
    pub(super) const fn holds_places(&self) -> bool {
        self.holds_places
    }

    /// Decides the token request of a client that has proved who it is.
    pub(super) fn log_in(
        &mut self,
        at: Moment,
        client: &ClientSettings,
        address: &Arc<str>,
    ) -> Login {
        let who = Identity { address: Arc::clone(address), ..tokens::of_client(client) };
        match self.logins.decide(at, &who, &mut self.limits) {
            Ruling::Refused { layer, retry_after } => {
                self.login.refused += 1;
                Login::Refused { limit: self.logins.limits[layer], retry_after }
            }
            Ruling::Admitted { .. } => {
                self.login.granted += 1;
                let token: Arc<str> = format!("{:032x}{:032x}", self.id(), self.id()).into();
                self.tokens.grant(at, Arc::clone(&token), client);
                Login::Granted(token)
            }
        }
    }
}

const fn needs_client(shape: Shape) -> bool {
    matches!(shape, Shape::GenesysAgentless | Shape::GenesysInbound)
}
