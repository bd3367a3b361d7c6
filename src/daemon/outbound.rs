//! The way from an order to the wire and back: renders the message, adds the token and the trace
//! context, hands it to the sender, and brings the answer home.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderValue;
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedSender;

use crate::engine::{Input, TokenAnswer};
use crate::infer::Job;
use crate::model::{
    Answer, CredentialId, EndpointId, Failure, FailureKind, GateId, Moment, SendOrder, StreamId,
    Verdict, WallOffset,
};
use crate::schedule::{RequestTemplate, Values};
use crate::sender::{self, EndpointClient, Rendered, TokenClient, TokenStore};

/// What a target's requests are made and sent with.
pub(crate) struct Endpoint {
    pub(super) client: EndpointClient,
    pub(super) template: Arc<RequestTemplate>,
}

/// What came back from a task of the send loop.
pub(super) enum Returned {
    /// An input for the engine.
    Input(Input),
    /// A token, still to be stored.
    Token(CredentialId, sender::TokenAnswer),
}

/// Everything that leaves the process as a request.
pub(super) struct Outbound {
    pub(super) endpoints: HashMap<EndpointId, Endpoint>,
    pub(super) token_clients: HashMap<CredentialId, TokenClient>,
    pub(super) tokens: TokenStore,
    pub(super) stream_names: HashMap<StreamId, Arc<str>>,
    returned: UnboundedSender<Returned>,
}

impl Outbound {
    /// Nothing to send to yet. The channel needs no bound of its own: what comes through it is
    /// bounded by the cap on requests in flight.
    pub(super) fn new(returned: UnboundedSender<Returned>) -> Self {
        Self {
            endpoints: HashMap::new(),
            token_clients: HashMap::new(),
            tokens: TokenStore::default(),
            stream_names: HashMap::new(),
            returned,
        }
    }

    /// Starts one attempt.
    pub(super) fn send(&self, order: SendOrder, wall: WallOffset, now: Moment, sampled: bool) {
        let Some((client, request)) = self.prepare(&order, wall, now) else {
            // Settings are checked before they get here; an order that cannot be carried out is
            // answered all the same, because every attempt ends.
            let failure = Failure { kind: FailureKind::Connect, may_have_arrived: false };
            let answer = Answer::bare(Verdict::Failed(failure), now, now);
            self.give_back(Returned::Input(Input::Answered { attempt: order.attempt, answer }));
            return;
        };
        let bearer = self.tokens.get(order.credential);
        let attempt = order.attempt;
        let warnings = self.returned.clone();
        let warn = move |headers_at, advice| {
            let input = Input::Warned { attempt, headers_at, advice };
            // Fails only when the loop has ended, and then nobody has to be warned.
            let _ = warnings.send(Returned::Input(input));
        };
        let traceparent = traceparent(&order, sampled);
        let answering = client.send(request, bearer, traceparent, order.message, warn);
        let returned = self.returned.clone();
        tokio::spawn(async move {
            let answer = answering.await;
            let _ = returned.send(Returned::Input(Input::Answered { attempt, answer }));
        });
    }

    fn prepare(
        &self,
        order: &SendOrder,
        wall: WallOffset,
        now: Moment,
    ) -> Option<(&EndpointClient, Rendered)> {
        let endpoint = self.endpoints.get(&order.endpoint)?;
        let values = Values {
            message: order.message,
            sequence: order.sequence,
            unix_ns: wall.unix_nanos(now),
            stream: self.stream_names.get(&order.stream)?,
        };
        let rendered = endpoint.template.render(&values);
        let path = Arc::from(&*rendered.path);
        let request = Rendered::new(path, rendered.headers.into_owned(), rendered.body).ok()?;
        Some((&endpoint.client, request))
    }

    /// Starts one token fetch.
    pub(super) fn fetch_token(&self, credential: CredentialId) {
        let Some(client) = self.token_clients.get(&credential) else { return };
        let fetching = client.fetch();
        let returned = self.returned.clone();
        tokio::spawn(async move {
            let _ = returned.send(Returned::Token(credential, fetching.await));
        });
    }

    /// Starts a fit. One that dies is as one that tells nothing.
    pub(super) fn fit(&self, background: &Handle, gate: GateId, job: Box<Job>) {
        let returned = self.returned.clone();
        let computing = background.spawn_blocking(move || job.run());
        background.spawn(async move {
            let found = computing.await.unwrap_or_default();
            let _ = returned.send(Returned::Input(Input::Fitted(gate, found)));
        });
    }

    /// Stores a token that was granted and says what the engine has to know of the answer.
    pub(super) fn token_answered(
        &mut self,
        credential: CredentialId,
        answer: sender::TokenAnswer,
    ) -> TokenAnswer {
        match answer {
            sender::TokenAnswer::Granted { token, expires_in } => {
                match self.tokens.put(credential, &token) {
                    Ok(_) => return TokenAnswer::Granted { expires_in },
                    Err(error) => tracing::error!(%error, "the token that was granted is unusable"),
                }
            }
            sender::TokenAnswer::Throttled { advice } => return TokenAnswer::Throttled { advice },
            sender::TokenAnswer::Refused { status, error } => {
                let error = error.as_deref().unwrap_or("none given");
                tracing::error!(status, error, "the login server refused the client");
            }
            sender::TokenAnswer::Failed(kind) => {
                tracing::warn!(error = kind.as_str(), "the login server gave no usable answer");
            }
            sender::TokenAnswer::NoSecret(error) => {
                tracing::error!(%error, "no token can be fetched");
            }
        }
        TokenAnswer::Unavailable
    }

    fn give_back(&self, returned: Returned) {
        let _ = self.returned.send(returned);
    }
}

/// The W3C trace context of an attempt: the trace is the message, the span the attempt.
fn traceparent(order: &SendOrder, sampled: bool) -> Option<HeaderValue> {
    let flags = u8::from(sampled);
    HeaderValue::try_from(format!("00-{}-{}-{flags:02x}", order.message, order.span)).ok()
}
