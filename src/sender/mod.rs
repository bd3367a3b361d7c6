//! Sends one request and says what came of it: HTTP client, tokens, classification, hints.
//!
//! It must not know of rates, gates or retries.

mod settings;

pub use settings::{
    AuthSettings, BodyMatch, CredentialSettings, EndpointSettings, InlineSecret, OauthSettings,
    SecretSource, Success, ThrottleDialect,
};
