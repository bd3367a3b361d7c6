//! The web configuration file of Prometheus' exporter toolkit.
//!
//! What is written there and not known here is refused: an access rule that is silently ignored
//! would be worse than none.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::http::{HeaderName, HeaderValue};
use config::{Config, File, FileFormat};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::security::{Guard, SecurityError};

/// No certificate or configuration is longer.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The headers that the format knows.
const HEADERS: [&str; 5] = [
    "content-security-policy",
    "strict-transport-security",
    "x-content-type-options",
    "x-frame-options",
    "x-xss-protection",
];

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct WebFile {
    tls_server_config: Option<Tls>,
    http_server_config: Http,
    basic_auth_users: Option<HashMap<String, String>>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Tls {
    cert: Option<String>,
    key: Option<SecretString>,
    client_ca: Option<String>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    client_ca_file: Option<PathBuf>,
    client_auth_type: Option<ClientAuth>,
    min_version: Option<Version>,
    max_version: Option<Version>,
    cipher_suites: Option<Vec<String>>,
    /// Go has ignored it since 1.17.
    #[serde(rename = "prefer_server_cipher_suites")]
    _prefer_server_cipher_suites: Option<bool>,
}

/// The two that ask for a certificate without checking it are left out.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
enum ClientAuth {
    NoClientCert,
    VerifyClientCertIfGiven,
    RequireAndVerifyClientCert,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "UPPERCASE")]
enum Version {
    Tls12,
    Tls13,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Http {
    /// The surface speaks HTTP/1.1, which every client of HTTP/2 understands.
    #[serde(rename = "http2")]
    _http2: Option<bool>,
    headers: Option<BTreeMap<String, String>>,
}

/// Reads the file and what it names.
pub(super) fn read(file: &Path) -> Result<Guard, SecurityError> {
    let refused = |problem: String| SecurityError::new(file, problem);
    let text = content(file)?;
    let text = std::str::from_utf8(&text).map_err(|_| refused("not UTF-8".to_owned()))?;
    let web: WebFile = if text.trim().is_empty() { WebFile::default() } else { parse(file, text)? };
    let users = web.basic_auth_users.unwrap_or_default();
    for (user, hash) in &users {
        // The hash is not quoted: it may be the password itself.
        if hash.parse::<bcrypt::HashParts>().is_err() {
            let problem = format!("basic_auth_users.{user}: not a bcrypt hash");
            return Err(refused(problem));
        }
    }
    let mut files = vec![file.to_owned()];
    let tls = match &web.tls_server_config {
        Some(tls) => Some(Arc::new(server(file, tls, &mut files)?)),
        None => None,
    };
    let headers = web.http_server_config.headers.unwrap_or_default();
    let headers = headers.iter().map(|(name, value)| header(name, value).map_err(refused));
    Ok(Guard { tls, users, headers: headers.collect::<Result<_, _>>()?, files })
}

fn parse(file: &Path, text: &str) -> Result<WebFile, SecurityError> {
    let built = Config::builder().add_source(File::from_str(text, FileFormat::Yaml)).build();
    // The parser's message may quote what stands there, and what stands there may be a key.
    let yaml = built.map_err(|_| SecurityError::new(file, "not YAML"))?;
    yaml.try_deserialize().map_err(|error| {
        let at = match &error {
            config::ConfigError::At { key: Some(key), .. } => format!("{key}: "),
            config::ConfigError::Type { key: Some(key), .. } => format!("{key}: "),
            _ => String::new(),
        };
        let known = "see the exporter toolkit's web-configuration.md; rate_limit, curve_preferences, \
                     client_allowed_sans, versions before TLS12 and client certificates that are \
                     not verified are not supported";
        SecurityError::new(file, format!("{at}not known, or of the wrong type; {known}"))
    })
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let lower = name.to_ascii_lowercase();
    let refused =
        || format!("http_server_config.headers.{name}: not one of {}", HEADERS.join(", "));
    if !HEADERS.contains(&&*lower) {
        return Err(refused());
    }
    let value = HeaderValue::from_str(value)
        .map_err(|_| format!("http_server_config.headers.{name}: not a header's value"))?;
    Ok((HeaderName::try_from(lower).map_err(|_| refused())?, value))
}

/// PEM that stands in the configuration, or in a file that it names.
fn pem(
    base: &Path,
    key: &str,
    (inline, named): (Option<&str>, Option<&PathBuf>),
    files: &mut Vec<PathBuf>,
) -> Result<Option<Zeroizing<Vec<u8>>>, SecurityError> {
    let refused = |problem: String| SecurityError::new(base, problem);
    match (inline.filter(|text| !text.is_empty()), named) {
        (Some(_), Some(_)) => {
            Err(refused(format!("tls_server_config: one of {key} and {key}_file, not both")))
        }
        (Some(text), None) => Ok(Some(Zeroizing::new(text.as_bytes().to_vec()))),
        (None, Some(named)) => {
            let file = base.parent().unwrap_or(Path::new("")).join(named);
            files.push(file.clone());
            content(&file).map(Some)
        }
        (None, None) => Ok(None),
    }
}

fn server(base: &Path, tls: &Tls, files: &mut Vec<PathBuf>) -> Result<ServerConfig, SecurityError> {
    let refused = |problem: &str| SecurityError::new(base, format!("tls_server_config: {problem}"));
    let cert = pem(base, "cert", (tls.cert.as_deref(), tls.cert_file.as_ref()), files)?;
    let key = tls.key.as_ref().map(|key| key.expose_secret());
    let key = pem(base, "key", (key, tls.key_file.as_ref()), files)?;
    let ca =
        pem(base, "client_ca", (tls.client_ca.as_deref(), tls.client_ca_file.as_ref()), files)?;
    let (Some(cert), Some(key)) = (cert, key) else {
        return Err(refused("cert_file and key_file are missing"));
    };
    let chain = certificates(&cert).ok_or_else(|| refused("no certificate in PEM"))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| refused("no private key in PEM"))?;
    let provider = Arc::new(provider(tls.cipher_suites.as_deref()).map_err(|p| refused(&p))?);
    let versions = versions(tls).ok_or_else(|| refused("max_version is below min_version"))?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .map_err(|e| refused(&e.to_string()))?;
    let auth = tls.client_auth_type.unwrap_or(ClientAuth::NoClientCert);
    let builder = match (auth, ca) {
        (ClientAuth::NoClientCert, None) => builder.with_no_client_auth(),
        (ClientAuth::NoClientCert, Some(_)) => {
            // The toolkit refuses that, too: whoever names an authority wants clients to be checked.
            return Err(refused("client_ca without a client_auth_type that verifies"));
        }
        (_, None) => return Err(refused("client_auth_type needs client_ca_file")),
        (auth, Some(ca)) => {
            let mut roots = RootCertStore::empty();
            let found = certificates(&ca).ok_or_else(|| refused("client_ca: no certificate"))?;
            roots.add_parsable_certificates(found);
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = match auth {
                ClientAuth::VerifyClientCertIfGiven => verifier.allow_unauthenticated(),
                _ => verifier,
            };
            let verifier = verifier.build().map_err(|e| refused(&format!("client_ca: {e}")))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut server = builder
        .with_single_cert(chain, key)
        .map_err(|_| refused("certificate and key do not fit together"))?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(server)
}

fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    Some(all).filter(|all| !all.is_empty())
}

fn versions(tls: &Tls) -> Option<Vec<&'static SupportedProtocolVersion>> {
    let low = tls.min_version.unwrap_or(Version::Tls12);
    let high = tls.max_version.unwrap_or(Version::Tls13);
    let all = [(Version::Tls12, &TLS12), (Version::Tls13, &TLS13)];
    let chosen = all.iter().filter(|(v, _)| (low..=high).contains(v)).map(|(_, v)| *v);
    Some(chosen.collect::<Vec<_>>()).filter(|chosen| !chosen.is_empty())
}

/// The cryptography, with only these suites of TLS 1.2. Those of 1.3 are not chosen in Go either.
fn provider(suites: Option<&[String]>) -> Result<CryptoProvider, String> {
    let mut provider = aws_lc_rs::default_provider();
    let Some(wanted) = suites.filter(|suites| !suites.is_empty()) else { return Ok(provider) };
    let name = |suite: &tokio_rustls::rustls::SupportedCipherSuite| format!("{:?}", suite.suite());
    // Go's names of two have an ending that the registry's do not.
    let wanted: Vec<String> =
        wanted.iter().map(|w| w.replace("CHACHA20_POLY1305", "CHACHA20_POLY1305_SHA256")).collect();
    let wanted: Vec<String> = wanted.iter().map(|w| w.replace("SHA256_SHA256", "SHA256")).collect();
    if let Some(unknown) =
        wanted.iter().find(|w| !provider.cipher_suites.iter().any(|s| name(s) == **w))
    {
        return Err(format!("cipher_suites: {unknown} is not supported"));
    }
    provider.cipher_suites.retain(|s| s.tls13().is_some() || wanted.contains(&name(s)));
    Ok(provider)
}

fn content(file: &Path) -> Result<Zeroizing<Vec<u8>>, SecurityError> {
    let failed = |e: std::io::Error| SecurityError::new(file, e.kind().to_string());
    let open = std::fs::File::open(file).map_err(failed)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(16 * 1024));
    open.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(SecurityError::new(file, "longer than 1 MiB"));
    }
    Ok(bytes)
}
