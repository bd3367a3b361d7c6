//! The token desk: who has a token, who needs one fetched, and when the login server may be asked.
//!
//! A token is fetched once for all streams that share its credential, ahead of its expiry, and once
//! more when the API refuses it. The login server has a gate of its own, shared by the credentials
//! that use it; its requests are auxiliary and never in the sums of attempts.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;

use super::Output;
use super::plan::{CredentialPlan, TokenPlan};
use crate::model::{Advice, CredentialId, Event, Moment, TokenEvent};
use crate::policy::{BackoffSettings, RETRY_AFTER_OBEYED_MAX};

/// A token is renewed when this share of its life has passed: late enough to be seldom, early
/// enough that a login server which is down for a while goes unnoticed.
const RENEW_AT: f64 = 0.8;

/// Fetches at once to one login server, so that a process with many credentials does not trip the
/// limit of the login server when it starts.
const FETCHES_PER_HOST: usize = 4;

type Outbox = VecDeque<Output>;

/// What came of a token fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenAnswer {
    /// A token that lives this long from its receipt.
    Granted {
        /// Its life.
        expires_in: Duration,
    },
    /// The login server throttled us.
    Throttled {
        /// What it advised.
        advice: Advice,
    },
    /// The login server refused the client, or could not be reached or understood.
    Unavailable,
}

#[derive(Debug)]
struct Held {
    plan: CredentialPlan,
    token: Option<Token>,
    generation: u32,
    fetching: bool,
    /// The fetch that is under way asks with what is no longer right.
    outdated: bool,
    /// No fetch before this.
    not_before: Moment,
    failures: u32,
    last_delay: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Token {
    expires_at: Moment,
    renew_at: Moment,
    /// The API has accepted it, or at least answered something other than 401.
    proven: bool,
}

#[derive(Debug, Default)]
struct LoginHost {
    not_before: Moment,
    throttles: u32,
    last_delay: Duration,
    fetching: usize,
}

/// The desk.
#[derive(Debug, Default)]
pub(super) struct TokenDesk {
    credentials: BTreeMap<CredentialId, Held>,
    hosts: BTreeMap<Arc<str>, LoginHost>,
}

impl TokenDesk {
    /// Takes the credentials of a new plan; those that were there keep their tokens.
    pub(super) fn apply(&mut self, plans: Vec<CredentialPlan>, outbox: &mut Outbox) {
        let gone: Vec<_> = self
            .credentials
            .keys()
            .filter(|id| !plans.iter().any(|plan| plan.id == **id))
            .copied()
            .collect();
        for id in gone {
            self.release(id);
            self.credentials.remove(&id);
        }
        for plan in plans {
            let id = plan.id;
            if self.credentials.contains_key(&id) {
                continue;
            }
            if plan.token == TokenPlan::Static {
                let event = TokenEvent::Granted { expires_at: None };
                outbox.push_back(Output::Event(Event::Token(id, event)));
            }
            self.credentials.insert(id, Held::new(plan));
        }
    }

    /// The generation of the token to send with at `now`, if there is a valid one.
    pub(super) fn usable(&self, id: CredentialId, now: Moment) -> Option<u32> {
        let held = self.credentials.get(&id)?;
        match (&held.plan.token, held.token) {
            (TokenPlan::Static, _) => Some(0),
            (_, Some(token)) if now < token.expires_at => Some(held.generation),
            _ => None,
        }
    }

    pub(super) fn is_fetched(&self, id: CredentialId) -> bool {
        self.credentials.get(&id).is_some_and(|held| held.plan.token != TokenPlan::Static)
    }

    /// Starts the fetches that are due.
    pub(super) fn run(&mut self, now: Moment, outbox: &mut Outbox) {
        for (id, held) in &mut self.credentials {
            let TokenPlan::Fetched { login_host, .. } = &held.plan.token else { continue };
            let host = self.hosts.entry(Arc::clone(login_host)).or_default();
            if held.fetching || held.due_at(host) > now || host.fetching >= host.fetches_max() {
                continue;
            }
            held.fetching = true;
            host.fetching += 1;
            outbox.push_back(Output::Event(Event::Token(*id, TokenEvent::Fetching)));
            outbox.push_back(Output::FetchToken(*id));
        }
    }

    /// When [`Self::run`] has something to do next; an answer to a fetch may come first.
    pub(super) fn next_at(&self, now: Moment) -> Moment {
        let mut next = Moment::NEVER;
        for held in self.credentials.values().filter(|held| !held.fetching) {
            let TokenPlan::Fetched { login_host, .. } = &held.plan.token else { continue };
            let Some(host) = self.hosts.get(login_host) else { continue };
            let due_at = held.due_at(host);
            // One that is due and not started waits for a place, which an answer gives.
            if due_at > now {
                next = next.min(due_at);
            }
        }
        next
    }

    /// A token is to be fetched as soon as the login server may be asked.
    pub(super) fn renew(&mut self, id: CredentialId) {
        if let Some(held) = self.credentials.get_mut(&id) {
            held.outdated = held.fetching;
            held.fetch_now();
        }
    }

    /// A fetch ended.
    pub(super) fn answered(
        &mut self,
        id: CredentialId,
        answer: TokenAnswer,
        now: Moment,
        rng: &mut impl Rng,
        outbox: &mut Outbox,
    ) {
        self.release(id);
        let Some(held) = self.credentials.get_mut(&id) else { return };
        let TokenPlan::Fetched { login_host, backoff } = held.plan.token.clone() else { return };
        let host = self.hosts.entry(login_host).or_default();
        let event = match answer {
            TokenAnswer::Granted { expires_in } => {
                host.throttles = 0;
                held.granted(expires_in, now)
            }
            TokenAnswer::Throttled { advice } => {
                let retry_at = host.throttled(advice, &backoff, now, rng);
                TokenEvent::Unavailable { throttled: true, retry_at }
            }
            TokenAnswer::Unavailable => held.unavailable(&backoff, now, rng),
        };
        if std::mem::take(&mut held.outdated) {
            held.fetch_now();
        }
        outbox.push_back(Output::Event(Event::Token(id, event)));
    }

    /// The API answered 401 to this generation. A token that has worked is dropped and fetched
    /// again at once; one that never worked is no better the second time, so the fetch backs off.
    pub(super) fn unauthorized(
        &mut self,
        id: CredentialId,
        generation: u32,
        now: Moment,
        rng: &mut impl Rng,
        outbox: &mut Outbox,
    ) {
        let Some(held) = self.credentials.get_mut(&id) else { return };
        let TokenPlan::Fetched { backoff, .. } = held.plan.token.clone() else { return };
        let Some(token) = held.token.filter(|_| held.generation == generation) else { return };
        held.token = None;
        outbox.push_back(Output::Event(Event::Token(id, TokenEvent::Revoked)));
        if !token.proven {
            let event = held.unavailable(&backoff, now, rng);
            outbox.push_back(Output::Event(Event::Token(id, event)));
        }
    }

    /// The API answered something other than 401 to this generation.
    pub(super) fn proven(&mut self, id: CredentialId, generation: u32) {
        if let Some(held) = self.credentials.get_mut(&id)
            && held.generation == generation
            && let Some(token) = &mut held.token
        {
            token.proven = true;
            held.failures = 0;
        }
    }

    /// Name, usability and expiry of every credential.
    pub(super) fn overview(&self, now: Moment) -> Vec<(Arc<str>, bool, Option<Moment>)> {
        self.credentials
            .iter()
            .map(|(id, held)| {
                let expires_at = held.token.map(|token| token.expires_at);
                (Arc::clone(&held.plan.name), self.usable(*id, now).is_some(), expires_at)
            })
            .collect()
    }

    /// Gives back the place of a fetch that ended or no longer matters.
    fn release(&mut self, id: CredentialId) {
        if let Some(held) = self.credentials.get_mut(&id)
            && held.fetching
            && let TokenPlan::Fetched { login_host, .. } = &held.plan.token
            && let Some(host) = self.hosts.get_mut(login_host)
        {
            held.fetching = false;
            host.fetching -= 1;
        }
    }
}

impl Held {
    fn new(plan: CredentialPlan) -> Self {
        Self {
            plan,
            token: None,
            generation: 0,
            fetching: false,
            outdated: false,
            not_before: Moment::ZERO,
            failures: 0,
            last_delay: Duration::ZERO,
        }
    }

    fn due_at(&self, host: &LoginHost) -> Moment {
        let wanted = self.token.map_or(Moment::ZERO, |token| token.renew_at);
        wanted.max(self.not_before).max(host.not_before)
    }

    fn fetch_now(&mut self) {
        self.not_before = Moment::ZERO;
        self.failures = 0;
        if let Some(token) = &mut self.token {
            token.renew_at = Moment::ZERO;
        }
    }

    fn granted(&mut self, expires_in: Duration, now: Moment) -> TokenEvent {
        let expires_at = now + expires_in;
        let renew_at = now + expires_in.mul_f64(RENEW_AT);
        self.token = Some(Token { expires_at, renew_at, proven: false });
        self.generation += 1;
        TokenEvent::Granted { expires_at: Some(expires_at) }
    }

    fn unavailable(
        &mut self,
        backoff: &BackoffSettings,
        now: Moment,
        rng: &mut impl Rng,
    ) -> TokenEvent {
        self.failures = self.failures.saturating_add(1);
        self.last_delay = backoff.pause(self.failures, self.last_delay, rng);
        self.not_before = now + self.last_delay;
        TokenEvent::Unavailable { throttled: false, retry_at: self.not_before }
    }
}

impl LoginHost {
    /// After a throttle, one request at a time until one is granted.
    const fn fetches_max(&self) -> usize {
        if self.throttles > 0 { 1 } else { FETCHES_PER_HOST }
    }

    fn throttled(
        &mut self,
        advice: Advice,
        backoff: &BackoffSettings,
        now: Moment,
        rng: &mut impl Rng,
    ) -> Moment {
        self.throttles = self.throttles.saturating_add(1);
        self.last_delay = backoff.pause(self.throttles, self.last_delay, rng);
        let advised = advice.wait().filter(|wait| *wait <= RETRY_AFTER_OBEYED_MAX);
        let until = now + advised.map_or(self.last_delay, |wait| wait.max(self.last_delay));
        self.not_before = self.not_before.max(until);
        self.not_before
    }
}
