//! Passwords of those who may look: basic authentication against bcrypt hashes.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secrecy::zeroize::Zeroizing;
use tokio::sync::Semaphore;

/// A hash takes a good part of a second of a core. One at a time: whoever guesses, guesses slowly.
const AT_ONCE: usize = 1;
/// Whoever waits longer for a turn is told to come again.
const TURN: Duration = Duration::from_secs(5);
/// Passwords that were right, remembered.
const REMEMBERED_MAX: usize = 100;
/// Nobody's password: an unknown user takes as long as a wrong password.
const NOBODY: &str = "$2b$10$QHZX7xKK6FQ7pnzZTWJ1mO7r6mmT5o2mrJKEuXgW3lg2vHJKaP1ae";

/// What came of a request's password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Allowed,
    Refused,
    /// Too many at once.
    Busy,
}

/// Checks passwords, and remembers those that were right. Cheap to clone.
#[derive(Clone)]
pub(super) struct Passwords {
    /// Of this process: what is remembered is useless outside of it.
    key: Arc<Option<hmac::Key>>,
    right: Arc<Mutex<HashSet<Vec<u8>>>>,
    turns: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        // Without randomness nothing is remembered, and each request pays for its hash.
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok();
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        Self { key: Arc::new(key), right: Arc::default(), turns }
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passwords")
    }
}

impl Passwords {
    /// Whether these headers hold the password of one of the users.
    pub(super) async fn check(
        &self,
        users: &HashMap<String, String>,
        headers: &HeaderMap,
    ) -> Access {
        let Some((user, password)) = credentials(headers) else { return Access::Refused };
        let hash = users.get(&user);
        let tag = hash.and_then(|hash| self.tag(&user, hash, &password));
        if tag.as_ref().is_some_and(|tag| self.right().contains(tag)) {
            return Access::Allowed;
        }
        let Ok(Ok(turn)) = tokio::time::timeout(TURN, self.turns.clone().acquire_owned()).await
        else {
            return Access::Busy;
        };
        let (hash, known) = (hash.map_or(NOBODY, String::as_str).to_owned(), hash.is_some());
        let checked = tokio::task::spawn_blocking(move || {
            let right = bcrypt::verify(password.as_slice(), &hash).unwrap_or(false);
            drop(turn);
            right && known
        });
        if !checked.await.unwrap_or(false) {
            return Access::Refused;
        }
        if let Some(tag) = tag {
            let mut right = self.right();
            if right.len() >= REMEMBERED_MAX {
                right.clear();
            }
            right.insert(tag);
        }
        Access::Allowed
    }

    /// Stands for a user, the user's hash and a password: another hash, and the password is asked anew.
    fn tag(&self, user: &str, hash: &str, password: &[u8]) -> Option<Vec<u8>> {
        let key = (*self.key).as_ref()?;
        let mut context = hmac::Context::with_key(key);
        for part in [user.as_bytes(), hash.as_bytes(), password] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        Some(context.sign().as_ref().to_vec())
    }

    fn right(&self) -> std::sync::MutexGuard<'_, HashSet<Vec<u8>>> {
        self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn credentials(headers: &HeaderMap) -> Option<(String, Zeroizing<Vec<u8>>)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, text) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = Zeroizing::new(BASE64_STANDARD.decode(text.trim()).ok()?);
    let colon = decoded.iter().position(|b| *b == b':')?;
    let user = std::str::from_utf8(&decoded[..colon]).ok()?.to_owned();
    Some((user, Zeroizing::new(decoded[colon + 1..].to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(text: &str) -> HeaderMap {
        let value = format!("Basic {}", BASE64_STANDARD.encode(text));
        HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().expect("printable"))])
    }

    #[tokio::test]
    async fn only_the_right_password_of_a_known_user_is_let_in() {
        let hash = |password: &str| bcrypt::hash(password, 4).expect("a hash");
        let mut users = HashMap::from([("alice".to_owned(), hash("secret:with colon"))]);
        let passwords = Passwords::default();
        for (text, access) in [
            ("alice:secret:with colon", Access::Allowed),
            ("alice:secret:with colon", Access::Allowed),
            ("alice:wrong", Access::Refused),
            ("alice:", Access::Refused),
            ("bob:secret:with colon", Access::Refused),
            ("alice", Access::Refused),
            ("", Access::Refused),
        ] {
            assert_eq!(passwords.check(&users, &headers(text)).await, access, "{text}");
        }
        assert_eq!(passwords.check(&users, &HeaderMap::new()).await, Access::Refused);
        assert_eq!(passwords.right().len(), 1, "the right one is remembered");
        users.insert("alice".to_owned(), hash("another"));
        let old = passwords.check(&users, &headers("alice:secret:with colon")).await;
        assert_eq!(old, Access::Refused, "and forgotten with its hash");
    }

    #[test]
    fn nobody_has_the_hash_of_nobody() {
        assert!(NOBODY.parse::<bcrypt::HashParts>().is_ok());
    }
}
