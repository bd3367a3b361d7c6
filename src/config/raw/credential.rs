//! Credentials: what authenticates a request, and whom it stands for.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::HumanDuration;
use crate::sender::InlineSecret;

/// Ways to authenticate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CredentialType {
    /// Requests carry no `Authorization`.
    #[default]
    None,
    /// A token that is there already.
    Bearer,
    /// A token fetched by OAuth 2 client credentials, and fetched again ahead of its end.
    OauthClientCredentials,
}

impl CredentialType {
    /// The word in configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bearer => "bearer",
            Self::OauthClientCredentials => "oauth_client_credentials",
        }
    }
}

/// What authenticates a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CredentialFile {
    /// The organisation it belongs to, by a name that may be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The user it acts for, by a name that may be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The OAuth client or API key, by a name that may be shown. Unset: `client_id`, if that is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// How it authenticates.
    #[serde(rename = "type")]
    pub kind: CredentialType,
    /// File that holds the bearer token, relative to this file; read again when it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<String>,
    /// Environment variable that holds the bearer token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_env: Option<String>,
    /// The bearer token itself: refused in a file unless `allow_inline_secrets`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub token: Option<InlineSecret>,
    /// OAuth client id. It is not a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// File that holds the OAuth client id, relative to this file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id_file: Option<String>,
    /// Environment variable that holds the OAuth client id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id_env: Option<String>,
    /// File that holds the OAuth client secret, relative to this file; read again when it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_file: Option<String>,
    /// Environment variable that holds the OAuth client secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_env: Option<String>,
    /// The OAuth client secret itself: refused in a file unless `allow_inline_secrets`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub client_secret: Option<InlineSecret>,
    /// Token endpoint: `https://login.example.com/oauth/token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_url: Option<String>,
    /// Region of Genesys Cloud, such as `mypurecloud.com`: instead of `token_url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub genesys_domain: Option<String>,
    /// Lets `token_url` be http to a host other than this machine.
    pub allow_plain_http: bool,
    /// How the login server is reached: a name of `connections`. Unset: `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// OAuth `scope` to ask for, where the login server wants one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth_scope: Option<String>,
    /// For a whole token request; 100ms to 5m.
    pub timeout: HumanDuration,
}

impl Default for CredentialFile {
    fn default() -> Self {
        Self {
            tenant: None,
            user: None,
            client: None,
            kind: CredentialType::None,
            token_file: None,
            token_env: None,
            token: None,
            client_id: None,
            client_id_file: None,
            client_id_env: None,
            client_secret_file: None,
            client_secret_env: None,
            client_secret: None,
            token_url: None,
            genesys_domain: None,
            allow_plain_http: false,
            connection: None,
            oauth_scope: None,
            timeout: HumanDuration(Duration::from_secs(10)),
        }
    }
}
