//! Sends one request and says what came of it: HTTP client, tokens, classification, hints.
//!
//! It must not know of rates, gates or retries. The parsers (`body`, `classify`, `figure`, `hints`,
//! `presets`, `retry_after`, `server_time`) are pure; sockets, files and environment are the others'.

mod body;
mod classify;
mod clock;
mod connections;
mod endpoint;
mod exchange;
mod failure;
mod figure;
mod hints;
mod names;
mod oauth;
mod presets;
mod retry_after;
mod secret;
mod server_time;
mod settings;
mod tokens;
mod trust;

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests talk to real sockets in real time")]
mod tests;

pub use classify::{Reading, Response, read as read_response};
pub use clock::Clock;
pub use connections::{ClientError, Connections};
pub use endpoint::{EndpointClient, PathError, Rendered};
pub use oauth::{EXPIRES_IN_DEFAULT, EXPIRES_IN_MAX, EXPIRES_IN_MIN, TokenAnswer, TokenClient};
pub use presets::{
    DomainError, GENESYS, GENESYS_DOMAINS, GenesysServers, Param, Preset, genesys_servers,
};
pub use secret::{SecretError, SecretProblem, read_secret};
pub use settings::{
    AuthSettings, BodyMatch, CertificateFiles, ConnectionSettings, CredentialSettings,
    EndpointSettings, FixedProxy, HttpVersion, InlineSecret, OauthSettings, ProxySettings,
    SecretSource, Success, ThrottleDialect, TlsVersion,
};
pub use tokens::{Bearer, TokenError, TokenStore};
pub use trust::MaterialError;
