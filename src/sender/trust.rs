//! What a connection needs out of files and the environment: authorities, a client certificate, the
//! password of a proxy.
//!
//! Read anew for every client, so that what was rotated is found.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use reqwest::{Certificate, Identity, NoProxy, Proxy};
use secrecy::ExposeSecret;
use secrecy::zeroize::Zeroizing;

use super::secret::{SecretError, read_secret};
use super::settings::{CertificateFiles, ConnectionSettings, FixedProxy, ProxySettings};

/// A bundle of all public authorities is a fifth of this.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What a connection needs and cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum MaterialError {
    /// The file cannot be read.
    #[error("file {path}: {problem}", path = .0.display(), problem = .1)]
    Io(PathBuf, io::ErrorKind),
    /// The file is not what it should be. Its content is not quoted.
    #[error("file {path}: {problem}", path = .0.display(), problem = .1)]
    Content(PathBuf, &'static str),
    /// The proxy's password.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The proxy's URL.
    #[error("proxy_url cannot be used")]
    Proxy,
}

/// What was read.
pub(super) struct Material {
    pub(super) authorities: Vec<Certificate>,
    pub(super) identity: Option<Identity>,
    pub(super) proxy: Option<Proxy>,
    hasher: DefaultHasher,
}

impl Material {
    /// Reads what these settings name; certificates only where there is TLS.
    pub(super) fn read(settings: &ConnectionSettings, tls: bool) -> Result<Self, MaterialError> {
        let mut material = Self {
            authorities: Vec::new(),
            identity: None,
            proxy: None,
            hasher: DefaultHasher::new(),
        };
        if let Some(path) = settings.ca_file.as_ref() {
            material.authorities = authorities(path, &mut material.hasher)?;
        }
        if let Some(files) = settings.certificate.as_ref().filter(|_| tls) {
            material.identity = Some(identity(files, &mut material.hasher)?);
        }
        if let ProxySettings::Fixed(fixed) = &settings.proxy {
            material.proxy = Some(proxy(fixed, &mut material.hasher)?);
        }
        Ok(material)
    }

    /// Tells whether two readings found the same.
    pub(super) fn fingerprint(&self) -> u64 {
        self.hasher.finish()
    }
}

fn authorities(path: &Path, hasher: &mut DefaultHasher) -> Result<Vec<Certificate>, MaterialError> {
    let bytes = content(path, hasher)?;
    let refused = |why| MaterialError::Content(path.to_owned(), why);
    let found = Certificate::from_pem_bundle(&bytes).map_err(|_| refused("not PEM"))?;
    if found.is_empty() { Err(refused("holds no certificate in PEM")) } else { Ok(found) }
}

fn identity(
    files: &CertificateFiles,
    hasher: &mut DefaultHasher,
) -> Result<Identity, MaterialError> {
    let (cert, key) = (content(&files.cert_file, hasher)?, content(&files.key_file, hasher)?);
    // Each alone first, so that the message names the one that is wrong.
    let of = |path: &Path, why| MaterialError::Content(path.to_owned(), why);
    let certificates = Certificate::from_pem_bundle(&cert).unwrap_or_default();
    if certificates.is_empty() {
        return Err(of(&files.cert_file, "holds no certificate in PEM"));
    }
    let mut both = Zeroizing::new(Vec::with_capacity(cert.len() + key.len() + 1));
    both.extend_from_slice(&key);
    both.push(b'\n');
    both.extend_from_slice(&cert);
    Identity::from_pem(&both)
        .map_err(|_| of(&files.key_file, "holds no private key in PEM that can be used"))
}

fn proxy(fixed: &FixedProxy, hasher: &mut DefaultHasher) -> Result<Proxy, MaterialError> {
    let mut proxy = Proxy::all(&fixed.url).map_err(|_| MaterialError::Proxy)?;
    if let Some((user, password)) = &fixed.login {
        let password = read_secret(password)?;
        password.expose_secret().hash(hasher);
        proxy = proxy.basic_auth(user, password.expose_secret());
    }
    Ok(proxy.no_proxy(NoProxy::from_string(&fixed.except.join(","))))
}

fn content(path: &Path, hasher: &mut DefaultHasher) -> Result<Zeroizing<Vec<u8>>, MaterialError> {
    let failed = |e: io::Error| MaterialError::Io(path.to_owned(), e.kind());
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(16 * 1024));
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(MaterialError::Content(path.to_owned(), "longer than 1 MiB"));
    }
    bytes.hash(hasher);
    Ok(bytes)
}
