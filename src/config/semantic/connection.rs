//! Connections.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::url::{self, Plain};
use super::{Check, DAY, Fault, path, secs};
use crate::config::raw::{ConfigFile, ConnectionFile, TlsVersionName};
use crate::sender::{
    CertificateFiles, ConnectionSettings, FixedProxy, ProxySettings, SecretSource, TlsVersion,
};

/// The connection of those who name none.
const DEFAULT: &str = "default";

/// The connections by their names.
pub(super) type Connections = BTreeMap<String, Arc<ConnectionSettings>>;

pub(super) fn all(check: &mut Check<'_>, file: &ConfigFile) -> Connections {
    let mut all: Connections = file
        .connections
        .iter()
        .map(|(name, connection)| (name.clone(), Arc::new(one(check, name, connection))))
        .collect();
    all.entry(DEFAULT.to_owned())
        .or_insert_with(|| Arc::new(one(check, DEFAULT, &ConnectionFile::default())));
    all
}

/// The connection that the value at a path names.
pub(super) fn named(
    check: &mut Check<'_>,
    all: &Connections,
    keys: &[&str],
    name: Option<&str>,
) -> Option<Arc<ConnectionSettings>> {
    let known = all.get(name.unwrap_or(DEFAULT)).cloned();
    // A connection whose name is reported is there all the same.
    if known.is_none() && !check.names("connections").contains(&name.unwrap_or_default()) {
        let names: Vec<&str> = all.keys().map(String::as_str).collect();
        check.problem(keys, "unknown connection", names.join(", "));
    }
    known
}

fn one(check: &mut Check<'_>, name: &str, connection: &ConnectionFile) -> ConnectionSettings {
    let at = |key| ["connections", name, key];
    check.duration(&at("max_age"), connection.max_age, secs(1)..=DAY);
    let source = connection.source_address.as_ref().and_then(|text| {
        let parsed = text.parse::<IpAddr>();
        let fault = |_| Fault::new("not an address", "an IP address of this machine");
        check.keep(&at("source_address"), parsed.map_err(fault))
    });
    let ca_file = file(check, name, "ca_file", connection.ca_file.as_deref());
    if !connection.system_roots && ca_file.is_none() {
        let allowed = "true, or ca_file beside it";
        check.problem(&at("system_roots"), "no server could be trusted", allowed);
    }
    ConnectionSettings {
        name: name.into(),
        proxy: proxy(check, name, connection),
        ca_file,
        system_roots: connection.system_roots,
        certificate: certificate(check, name, connection),
        tls_version_min: match connection.tls_min_version {
            TlsVersionName::Tls12 => TlsVersion::Tls12,
            TlsVersionName::Tls13 => TlsVersion::Tls13,
        },
        source_address: source,
        age_max: connection.max_age.0,
    }
}

/// A file that a key names, relative to the file that it stands in.
fn file(check: &mut Check<'_>, name: &str, key: &str, named: Option<&str>) -> Option<PathBuf> {
    let keys = ["connections", name, key];
    let named = named?;
    if named.trim().is_empty() {
        check.problem(&keys, "empty", "the path of a file");
    }
    Some(check.tree.resolved(&path(&keys), named))
}

fn certificate(
    check: &mut Check<'_>,
    name: &str,
    connection: &ConnectionFile,
) -> Option<CertificateFiles> {
    let cert_file = file(check, name, "cert_file", connection.cert_file.as_deref());
    let key_file = file(check, name, "key_file", connection.key_file.as_deref());
    match (cert_file, key_file) {
        (Some(cert_file), Some(key_file)) => Some(CertificateFiles { cert_file, key_file }),
        (Some(_), None) => {
            let keys = ["connections", name, "key_file"];
            check.problem(&keys, "missing", "the private key of cert_file");
            None
        }
        (None, Some(_)) => {
            let keys = ["connections", name, "cert_file"];
            check.problem(&keys, "missing", "the certificate of key_file");
            None
        }
        (None, None) => None,
    }
}

fn proxy(check: &mut Check<'_>, name: &str, connection: &ConnectionFile) -> ProxySettings {
    let at = |key| ["connections", name, key];
    let Some(text) = &connection.proxy_url else {
        let unused = [
            ("no_proxy", !connection.no_proxy.is_empty()),
            ("proxy_user", connection.proxy_user.is_some()),
            ("proxy_password_file", connection.proxy_password_file.is_some()),
            ("proxy_password_env", connection.proxy_password_env.is_some()),
        ];
        for (key, _) in unused.iter().filter(|(_, set)| *set) {
            check.problem(&at(key), "of which proxy?", "proxy_url beside it");
        }
        return match connection.proxy_from_environment {
            true => ProxySettings::Environment,
            false => ProxySettings::Direct,
        };
    };
    let url = check.keep(&at("proxy_url"), url::parse(text, Plain::Allowed));
    if connection.no_proxy.iter().any(|host| host.trim().is_empty() || host.contains(',')) {
        let allowed = "hosts, domains and networks, such as 10.0.0.0/8";
        check.problem(&at("no_proxy"), "not a host", allowed);
    }
    let login = login(check, name, connection);
    match url {
        Some(url) => ProxySettings::Fixed(FixedProxy {
            url: url.text,
            except: connection.no_proxy.clone(),
            login,
        }),
        None => ProxySettings::Direct,
    }
}

fn login(
    check: &mut Check<'_>,
    name: &str,
    connection: &ConnectionFile,
) -> Option<(String, SecretSource)> {
    let at = |key| ["connections", name, key];
    let (from_file, from_env) = (&connection.proxy_password_file, &connection.proxy_password_env);
    let one_of = "one of proxy_password_file and proxy_password_env";
    let source = match (from_file, from_env) {
        (Some(_), Some(_)) => {
            let message = "proxy_password_file is set as well";
            check.problem(&at("proxy_password_env"), message, one_of);
            None
        }
        (Some(named), None) => {
            file(check, name, "proxy_password_file", Some(named)).map(SecretSource::File)
        }
        (None, Some(variable)) => {
            super::variable_name(check, &at("proxy_password_env"), variable);
            Some(SecretSource::Env(variable.clone()))
        }
        (None, None) => None,
    };
    match (&connection.proxy_user, source) {
        (Some(user), Some(source)) => {
            if user.contains(':') || user.chars().any(char::is_control) {
                check.problem(&at("proxy_user"), "not a user name", "text without a colon");
            }
            Some((user.clone(), source))
        }
        (Some(_), None) => {
            if from_file.is_none() && from_env.is_none() {
                check.problem(&at("proxy_password_file"), "missing", one_of);
            }
            None
        }
        (None, Some(_)) => {
            check.problem(&at("proxy_user"), "missing", "the user whose password it is");
            None
        }
        (None, None) => None,
    }
}
