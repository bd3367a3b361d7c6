//! Sends one request and says what came of it: HTTP client, tokens, classification, hints.
//!
//! It must not know of rates, gates or retries.

mod body;
mod classify;
mod figure;
mod hints;
mod retry_after;
mod server_time;
mod settings;

pub use classify::{Reading, Response, read as read_response};
pub use settings::{
    AuthSettings, BodyMatch, CredentialSettings, EndpointSettings, OauthSettings, SecretSource,
    Success, ThrottleDialect,
};
