//! What the sender needs to know of targets and credentials, validated before it gets here.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::{CredentialId, EndpointId};

/// How to send to one target and how to read its answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSettings {
    /// This revision of the target.
    pub id: EndpointId,
    /// The target's name in configuration.
    pub name: Arc<str>,
    /// Scheme, host, port and optional path prefix, without a trailing slash.
    pub base_url: String,
    /// HTTP method.
    pub method: Method,
    /// Which HTTP is spoken with `https` servers.
    pub http_version: HttpVersion,
    /// From the hand-over to the HTTP client until the end of the response.
    pub timeout: Duration,
    /// For the connection, TLS included. Shorter than `timeout`: a request that ran out of time
    /// while still connecting is known not to have arrived, one that just ran out of time is not.
    pub connect_timeout: Duration,
    /// A longer response counts as [`crate::model::FailureKind::BadResponse`]. Bytes.
    pub response_bytes_max: usize,
    /// What counts as accepted.
    pub success: Success,
    /// Whose ways of saying "throttled" beyond 429 and 503 with Retry-After are understood.
    pub dialect: ThrottleDialect,
    /// The header that carries the message id, so that a second attempt is safe.
    pub idempotency_key_header: Option<HeaderName>,
}

/// How connections to servers are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionSettings {
    /// Its name in configuration.
    pub name: Arc<str>,
    /// What stands between.
    pub proxy: ProxySettings,
    /// Certificate authorities in PEM, trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether the system's certificate authorities are trusted.
    pub system_roots: bool,
    /// What this client shows of itself where a server asks.
    pub certificate: Option<CertificateFiles>,
    /// Older versions are not spoken.
    pub tls_version_min: TlsVersion,
    /// Where connections start from; `None`: the system chooses.
    pub source_address: Option<IpAddr>,
    /// A connection takes no further request after this, and names are looked up anew.
    pub age_max: Duration,
}

impl ConnectionSettings {
    /// The files that connections are made from.
    #[must_use]
    pub fn files(&self) -> Vec<&PathBuf> {
        let certificate = self.certificate.iter().flat_map(|c| [&c.cert_file, &c.key_file]);
        let mut files: Vec<_> = self.ca_file.iter().chain(certificate).collect();
        if let ProxySettings::Fixed(FixedProxy { login: Some((_, source)), .. }) = &self.proxy
            && let SecretSource::File(password) = source
        {
            files.push(password);
        }
        files
    }
}

/// Versions of TLS. What is older than these has known attacks, and rustls does not speak it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// A certificate and its key, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, and those between it and the authority.
    pub cert_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
}

/// Which proxy requests take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxySettings {
    /// The one that `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say; none to this
    /// machine's own loopback, which no proxy could reach.
    Environment,
    /// None.
    Direct,
    /// This one.
    Fixed(FixedProxy),
}

/// A proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedProxy {
    /// Scheme, host and port.
    pub url: String,
    /// Hosts, domains and networks that are reached without it, as `NO_PROXY` lists them.
    pub except: Vec<String>,
    /// User, and where the password is read from.
    pub login: Option<(String, SecretSource)>,
}

/// Versions of HTTP that may be agreed on in the TLS handshake. Plain `http` is always HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum HttpVersion {
    /// HTTP/2 where the server has it. All requests then share one connection: a lost packet delays
    /// them all, those beyond the server's limit of streams wait unseen, and each time that a load
    /// balancer replaces the connection some fail with a transport error, known not to have arrived.
    #[default]
    Auto,
    /// HTTP/1.1: a connection per request in flight, and nothing waits for anything else.
    Http1,
}

/// The success criteria of a target: the status is listed, and the body matches if asked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Success {
    /// Accepted statuses.
    pub statuses: Vec<u16>,
    /// What the response body must say.
    pub body: Option<BodyMatch>,
}

/// A condition on a JSON response body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyMatch {
    /// JSON pointer (RFC 6901) into the body.
    pub pointer: String,
    /// The value that must stand there; `None`: any value but null.
    pub equals: Option<serde_json::Value>,
}

/// A vendor's ways of refusing for a limit, beyond the standard ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ThrottleDialect {
    /// 429; 503 with Retry-After; 403 with Retry-After or with a quota that has nothing left
    /// or a message about a "rate limit" (GitHub); WhatsApp's body codes.
    #[default]
    Standard,
    /// Also Genesys Cloud's 409 and 400 body codes, and its `limit` object.
    Genesys,
}

/// What authenticates a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialSettings {
    /// This revision of the credential.
    pub id: CredentialId,
    /// Its name in configuration.
    pub name: Arc<str>,
    /// How it authenticates; `None`: no `Authorization` header is sent.
    pub auth: Option<AuthSettings>,
}

/// The ways to authenticate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthSettings {
    /// A bearer token that does not change unless its source does.
    Bearer(SecretSource),
    /// OAuth 2 client credentials.
    Oauth(OauthSettings),
}

/// OAuth 2 client credentials grant (RFC 6749 section 4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OauthSettings {
    /// Token endpoint.
    pub token_url: String,
    /// Where the client id is read from.
    pub client_id: SecretSource,
    /// Where the client secret is read from.
    pub client_secret: SecretSource,
    /// For the whole token request.
    pub timeout: Duration,
    /// Optional `scope` parameter.
    pub scope: Option<String>,
}

/// Where a secret is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A file; surrounding white space is trimmed.
    File(PathBuf),
    /// An environment variable of the process.
    Env(String),
    /// It stands in the configuration: a client id, or a secret where that was allowed by name.
    Inline(InlineSecret),
}

/// A secret that stands in the configuration: shown by nothing, wiped from memory when dropped.
#[derive(Clone)]
pub struct InlineSecret(SecretString);

impl InlineSecret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(secret: String) -> Self {
        Self(secret.into())
    }

    /// The secret, to authenticate with.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl PartialEq for InlineSecret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for InlineSecret {}

impl fmt::Debug for InlineSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl Serialize for InlineSecret {
    /// As `<secret>`: a configuration can be shown, not copied.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("<secret>")
    }
}

impl<'de> Deserialize<'de> for InlineSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}
