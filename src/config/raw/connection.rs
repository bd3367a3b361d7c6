//! Connections: how servers are reached.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::HumanDuration;

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsVersionName {
    /// TLS 1.2 and later.
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    Tls13,
}

/// How servers are reached. The one named `default` is for all targets and credentials that name none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConnectionFile {
    /// The proxy: `http://` or `https://HOST[:PORT]`. Unset: see `proxy_from_environment`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_url: Option<String>,
    /// Hosts, domains and networks that are reached without `proxy_url`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub no_proxy: Vec<String>,
    /// Whether `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` apply where no `proxy_url` is
    /// set. They never do to this machine's own loopback.
    pub proxy_from_environment: bool,
    /// The user at the proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_user: Option<String>,
    /// File that holds the password at the proxy, relative to this file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_password_file: Option<String>,
    /// Environment variable that holds the password at the proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_password_env: Option<String>,
    /// Certificate authorities in PEM to trust, relative to this file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// Whether the authorities that the system trusts are trusted, too.
    pub system_roots: bool,
    /// Certificate in PEM to show where a server asks for one, relative to this file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_file: Option<String>,
    /// Its private key in PEM, relative to this file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<String>,
    /// The oldest version of TLS that is spoken.
    pub tls_min_version: TlsVersionName,
    /// The address of this machine that connections start from. Unset: the system chooses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_address: Option<String>,
    /// After this no further request is sent on a connection: the next one looks its server's name up
    /// anew, and reads the files above anew; 1s to 24h.
    pub max_age: HumanDuration,
}

impl Default for ConnectionFile {
    fn default() -> Self {
        Self {
            proxy_url: None,
            no_proxy: Vec::new(),
            proxy_from_environment: true,
            proxy_user: None,
            proxy_password_file: None,
            proxy_password_env: None,
            ca_file: None,
            system_roots: true,
            cert_file: None,
            key_file: None,
            tls_min_version: TlsVersionName::default(),
            source_address: None,
            max_age: HumanDuration(Duration::from_secs(5 * 60)),
        }
    }
}
