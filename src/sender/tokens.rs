//! The tokens that requests are sent with, ready as header values.

use std::collections::HashMap;
use std::fmt;

use bytes::Bytes;
use http::HeaderValue;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use crate::model::CredentialId;

/// A token that a header cannot carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token holds characters that no header can carry")]
pub struct TokenError;

/// A header value that shows its content to nobody but the wire, and is wiped when its last copy goes.
pub(super) fn secret_header(text: Zeroizing<Vec<u8>>) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(text)).ok()?;
    // Kept out of Debug output and out of HTTP/2's compression table.
    value.set_sensitive(true);
    Some(value)
}

/// An `Authorization` header value. Cloning it is cheap; it never shows its content.
#[derive(Clone, PartialEq, Eq)]
pub struct Bearer {
    header: HeaderValue,
    generation: u32,
}

impl Bearer {
    /// The header value for a bearer token, which is the `generation`th of its credential.
    ///
    /// # Errors
    /// The token holds a character that a header value cannot.
    pub fn new(token: &SecretString, generation: u32) -> Result<Self, TokenError> {
        let token = token.expose_secret();
        let mut text = Zeroizing::new(Vec::with_capacity(7 + token.len()));
        text.extend_from_slice(b"Bearer ");
        text.extend_from_slice(token.as_bytes());
        Ok(Self { header: secret_header(text).ok_or(TokenError)?, generation })
    }

    /// Which token of its credential this is, counted from 1.
    #[must_use]
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    pub(super) const fn header(&self) -> &HeaderValue {
        &self.header
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bearer(generation {})", self.generation)
    }
}

/// The current token of every credential that has one.
#[derive(Debug, Default)]
pub struct TokenStore {
    current: HashMap<CredentialId, Bearer>,
}

impl TokenStore {
    /// Makes `token` the current one of a credential, and returns its generation: 1 for the first.
    ///
    /// # Errors
    /// The token holds a character that a header value cannot; the current one stays.
    pub fn put(
        &mut self,
        credential: CredentialId,
        token: &SecretString,
    ) -> Result<u32, TokenError> {
        let generation =
            self.current.get(&credential).map_or(0, Bearer::generation).saturating_add(1);
        self.current.insert(credential, Bearer::new(token, generation)?);
        Ok(generation)
    }

    /// The current token of a credential.
    #[must_use]
    pub fn get(&self, credential: CredentialId) -> Option<&Bearer> {
        self.current.get(&credential)
    }

    /// Forgets the credentials that are no longer configured. Ids are never reused, so their
    /// generations cannot begin again.
    pub fn retain(&mut self, configured: impl Fn(CredentialId) -> bool) {
        self.current.retain(|id, _| configured(*id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_count_from_the_first_token() {
        let mut store = TokenStore::default();
        let id = CredentialId(3);
        assert_eq!(store.get(id), None);
        assert_eq!(store.put(id, &"canary-one".into()), Ok(1));
        assert_eq!(store.put(id, &"canary-two".into()), Ok(2));
        assert_eq!(store.put(id, &"bad\ntoken".into()), Err(TokenError));
        let bearer = store.get(id).expect("the second");
        assert_eq!(bearer.header().as_bytes(), b"Bearer canary-two");
        assert_eq!(bearer.generation(), 2);
        let shown = format!("{store:?} {:?} {:?}", bearer.header(), TokenError);
        assert!(!shown.contains("canary"), "{shown}");
        store.retain(|known| known != id);
        assert_eq!(store.get(id), None);
    }
}
