//! Which values are secret, or may be, and so must never be shown: by name and by place.
//!
//! A misspelt key can hold a password as well as a correct one can, so what is unknown counts as
//! secret too (its value is never shown by the callers of this module).

/// What stands in place of a secret.
pub(super) const MASK: &str = "<secret>";

/// Keys of a credential whose values may be shown.
const CREDENTIAL_SHOWN: [&str; 10] = [
    "type",
    "connection",
    "timeout",
    "tenant",
    "user",
    "client",
    "client_id",
    "token_url",
    "genesys_domain",
    "oauth_scope",
];

const SECRET_WORDS: [&str; 13] = [
    "secret",
    "token",
    "passw",
    "pwd",
    "api_key",
    "api-key",
    "apikey",
    "access_key",
    "private",
    "bearer",
    "authorization",
    "cookie",
    "credential",
];

/// Whether a name says that its value is a secret.
pub(super) fn sounds_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// Whether the value at a path is a secret by its meaning, so that it may not stand in a file.
pub(super) fn is_secret(path: &[&str]) -> bool {
    match path {
        ["credentials", _, key] => matches!(*key, "token" | "client_secret"),
        ["targets", _, "headers" | "params", name] => sounds_secret(name),
        _ => false,
    }
}

/// Whether an error message may show the value at a path. Stricter than [`is_secret`]: a person
/// may have pasted a token where the name of its file belongs.
pub(super) fn may_be_shown(path: &[&str]) -> bool {
    match path {
        ["credentials", _, key] => CREDENTIAL_SHOWN.contains(key),
        ["credentials", ..] | ["targets", _, "headers" | "params", ..] => false,
        ["targets", _, "body"] => false,
        ["streams", _, "credential"] | ["objectives", "token_validity"] => true,
        _ => !path.last().is_some_and(|key| sounds_secret(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        for path in [
            "credentials.main.token",
            "credentials.main.token_env",
            "credentials.main",
            "credentials.main.tokn",
            "targets.main.headers.x-api-key",
            "targets.main.body",
            "web.password",
        ] {
            assert!(!may_be_shown(&path.split('.').collect::<Vec<_>>()), "{path}");
        }
        for path in ["streams.main.rate", "credentials.main.type", "targets.main.base_url"] {
            assert!(may_be_shown(&path.split('.').collect::<Vec<_>>()), "{path}");
        }
    }
}
