//! Credentials.

use super::connection::{self, Connections};
use super::url::{self, Plain, Url};
use super::{Check, MS, path, secs};
use crate::config::raw::{ConfigFile, CredentialFile, CredentialType};
use crate::config::settings::NamedCredential;
use crate::config::tree::Tree;
use crate::engine::TokenPlan;
use crate::model::CredentialId;
use crate::sender::{
    AuthSettings, CredentialSettings, InlineSecret, OauthSettings, SecretSource, genesys_servers,
};

/// The credential of streams that name none.
pub(super) const ANONYMOUS: &str = "none";

const BEARER_KEYS: [&str; 3] = ["token_file", "token_env", "token"];
const OAUTH_KEYS: [&str; 11] = [
    "connection",
    "client_id",
    "client_id_file",
    "client_id_env",
    "client_secret_file",
    "client_secret_env",
    "client_secret",
    "token_url",
    "genesys_domain",
    "oauth_scope",
    "allow_plain_http",
];

pub(super) fn all(
    check: &mut Check<'_>,
    file: &ConfigFile,
    connections: &Connections,
) -> Vec<NamedCredential> {
    let mut all: Vec<NamedCredential> = file
        .credentials
        .iter()
        .filter_map(|(name, credential)| one(check, file, connections, name, credential))
        .collect();
    if !file.credentials.contains_key(ANONYMOUS) {
        all.extend(one(check, file, connections, ANONYMOUS, &CredentialFile::default()));
    }
    all
}

fn one(
    check: &mut Check<'_>,
    file: &ConfigFile,
    connections: &Connections,
    name: &str,
    credential: &CredentialFile,
) -> Option<NamedCredential> {
    check.duration(&["credentials", name, "timeout"], credential.timeout, MS * 100..=secs(300));
    // Without a type, nothing is known of what the other keys should be.
    if check.is_reported(&["credentials", name, "type"]) {
        return None;
    }
    unused_keys(check, name, credential.kind);
    let named = credential.connection.as_deref();
    let at = ["credentials", name, "connection"];
    let connection = connection::named(check, connections, &at, named)?;
    let mut token = TokenPlan::Static;
    let auth = match credential.kind {
        CredentialType::None => None,
        CredentialType::Bearer => {
            let inline = credential.token.as_ref();
            let sources = (&credential.token_file, &credential.token_env, inline);
            Some(AuthSettings::Bearer(source(check, file, name, "token", sources)?))
        }
        CredentialType::OauthClientCredentials => {
            let (oauth, login_host) = oauth(check, file, name, credential)?;
            let backoff = super::stream::backoff(&file.policy);
            token = TokenPlan::Fetched { login_host: login_host.into(), backoff };
            Some(AuthSettings::Oauth(oauth))
        }
    };
    let stated = |value: &Option<String>| value.as_deref().unwrap_or_default().into();
    Some(NamedCredential {
        settings: CredentialSettings { id: CredentialId::default(), name: name.into(), auth },
        token,
        connection,
        tenant: stated(&credential.tenant),
        user: stated(&credential.user),
        client: stated(&credential.client.clone().or_else(|| credential.client_id.clone())),
    })
}

/// Keys that the type does not look at: whoever wrote them expected something else.
fn unused_keys(check: &mut Check<'_>, name: &str, kind: CredentialType) {
    let unused: Vec<&str> = match kind {
        CredentialType::None => BEARER_KEYS.iter().chain(&OAUTH_KEYS).copied().collect(),
        CredentialType::Bearer => OAUTH_KEYS.to_vec(),
        CredentialType::OauthClientCredentials => BEARER_KEYS.to_vec(),
    };
    for key in unused {
        let at = ["credentials", name, key];
        // What says no is not looked at, and not missed either.
        let set = check.tree.get(&path(&at)).is_some_and(|v| v != &serde_json::Value::Bool(false));
        if set {
            let owner = if BEARER_KEYS.contains(&key) {
                CredentialType::Bearer
            } else {
                CredentialType::OauthClientCredentials
            };
            check.problem(
                &at,
                format!("not used by a credential of type {}", kind.as_str()),
                format!("only with type = \"{}\"", owner.as_str()),
            );
        }
    }
}

type Sources<'a> = (&'a Option<String>, &'a Option<String>, Option<&'a InlineSecret>);

/// The one source of a secret. `key` is its name without `_file` and `_env`.
fn source(
    check: &mut Check<'_>,
    file: &ConfigFile,
    name: &str,
    key: &str,
    (from_file, from_env, inline): Sources<'_>,
) -> Option<SecretSource> {
    let (file_key, env_key) = (format!("{key}_file"), format!("{key}_env"));
    let at = |key| ["credentials", name, key];
    let secret = key != "client_id";
    let from_variable = check.tree.is_from_env(&path(&at(key)));
    if inline.is_some() && secret && !from_variable && !file.allow_inline_secrets {
        let allowed = format!("{file_key} or {env_key}, or allow_inline_secrets = true");
        check.problem(&at(key), "a secret may not stand in a file", allowed);
        return None;
    }
    let keys = [
        (from_file.is_some(), &*file_key),
        (from_env.is_some(), &env_key),
        (inline.is_some(), key),
    ];
    let set: Vec<&str> = keys.iter().filter(|(set, _)| *set).map(|(_, key)| *key).collect();
    let one_of =
        format!("one of {file_key}, {env_key}{}", if secret { "" } else { " and client_id" });
    match set.as_slice() {
        [_] => {}
        [] => {
            let reported = keys.iter().any(|(_, key)| check.is_reported(&at(key)));
            if !reported {
                check.problem(&at(&file_key), "missing", one_of);
            }
            return None;
        }
        [first, rest @ ..] => {
            for extra in rest {
                check.problem(&at(extra), format!("{first} is set as well"), one_of.clone());
            }
            return None;
        }
    }
    if let Some(file) = from_file {
        if file.trim().is_empty() {
            check.problem(&at(&file_key), "empty", "the path of a file");
        }
        return Some(SecretSource::File(check.tree.resolved(&path(&at(&file_key)), file)));
    }
    if let Some(variable) = from_env {
        super::variable_name(check, &at(&env_key), variable);
        return Some(SecretSource::Env(variable.clone()));
    }
    if from_variable {
        return Some(SecretSource::Env(Tree::variable_name(&path(&at(key)))));
    }
    if inline.is_some_and(|inline| inline.expose().trim().is_empty()) {
        check.problem(&at(key), "empty", "a value");
    }
    inline.cloned().map(SecretSource::Inline)
}

fn oauth(
    check: &mut Check<'_>,
    file: &ConfigFile,
    name: &str,
    credential: &CredentialFile,
) -> Option<(OauthSettings, String)> {
    let url = token_url(check, name, credential);
    let id = credential.client_id.clone().map(InlineSecret::new);
    let ids = (&credential.client_id_file, &credential.client_id_env, id.as_ref());
    let client_id = source(check, file, name, "client_id", ids);
    let inline = credential.client_secret.as_ref();
    let secrets = (&credential.client_secret_file, &credential.client_secret_env, inline);
    let client_secret = source(check, file, name, "client_secret", secrets);
    let url = url?;
    let settings = OauthSettings {
        token_url: url.text,
        client_id: client_id?,
        client_secret: client_secret?,
        timeout: credential.timeout.0,
        scope: credential.oauth_scope.clone(),
    };
    Some((settings, url.server))
}

fn token_url(check: &mut Check<'_>, name: &str, credential: &CredentialFile) -> Option<Url> {
    let plain = Plain::when(credential.allow_plain_http);
    let at = |key| ["credentials", name, key];
    match (&credential.token_url, &credential.genesys_domain) {
        (Some(_), Some(_)) => {
            let allowed = "one of token_url and genesys_domain";
            check.problem(&at("genesys_domain"), "token_url is set as well", allowed);
            None
        }
        (Some(text), None) => check.keep(&at("token_url"), url::parse(text, plain)),
        (None, Some(domain)) => {
            let key = at("genesys_domain");
            let servers = check.keep(&key, genesys_servers(domain).map_err(url::no_region))?;
            check.keep(&key, url::parse(&servers.token_url, plain))
        }
        (None, None) => {
            if !check.is_reported(&at("genesys_domain")) {
                let allowed = "the URL of the token endpoint, or genesys_domain instead";
                check.problem(&at("token_url"), "missing", allowed);
            }
            None
        }
    }
}
