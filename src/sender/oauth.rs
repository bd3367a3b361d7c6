//! Fetches a token with OAuth 2 client credentials (RFC 6749 section 4.4).
//!
//! One request and what came of it. Whether and when to try again is not decided here.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method};
use reqwest::Url;
use secrecy::zeroize::{Zeroize, Zeroizing};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::classify::{self, Response};
use super::clock::Clock;
use super::connections::{ClientError, Connections, Line, server_url};
use super::exchange::{Bounds, Exchange, exchange};
use super::secret::{SecretError, read_secret};
use super::settings::{ConnectionSettings, HttpVersion, OauthSettings, Success, ThrottleDialect};
use super::tokens::secret_header;
use crate::model::{Advice, FailureKind, Verdict};

/// Assumed where the server does not say how long a token lives: the shortest life that Genesys
/// Cloud can be set to. A fetch too many is cheaper than sending with a token that has expired.
pub const EXPIRES_IN_DEFAULT: Duration = Duration::from_secs(5 * 60);
/// A longer life is not believed: Genesys Cloud's longest. The token is then merely fetched earlier.
pub const EXPIRES_IN_MAX: Duration = Duration::from_secs(48 * 3_600);
/// A shorter life would mean fetching tokens all the time.
pub const EXPIRES_IN_MIN: Duration = Duration::from_secs(1);
/// A token response is well below a kilobyte.
const RESPONSE_BYTES_MAX: usize = 64 * 1024;
/// Longer error codes are cut.
const ERROR_CODE_CHARS_MAX: usize = 64;

/// What came of asking for a token.
#[derive(Debug)]
pub enum TokenAnswer {
    /// Here it is.
    Granted {
        /// The access token.
        token: SecretString,
        /// How long it lives, from the receipt of the answer. Between [`EXPIRES_IN_MIN`] and
        /// [`EXPIRES_IN_MAX`].
        expires_in: Duration,
    },
    /// The login server refused because of a limit.
    Throttled {
        /// When to come back, if it says so.
        advice: Advice,
    },
    /// It refused these credentials, or this way of asking.
    Refused {
        /// HTTP status.
        status: u16,
        /// The `error` of its answer, such as `invalid_client`: at most 64 characters out of
        /// letters, digits, `_`, `-` and `.`.
        error: Option<Box<str>>,
    },
    /// No usable answer.
    Failed(FailureKind),
    /// The client id or secret could not be read, so nothing was asked.
    NoSecret(SecretError),
}

/// Asks one login server for tokens of one client. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct TokenClient {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    line: Arc<Line>,
    url: Url,
    settings: OauthSettings,
    clock: Clock,
}

impl TokenClient {
    /// Prepares to ask for tokens.
    ///
    /// # Errors
    /// The token URL is not usable, a file that the connection needs is not, or no HTTP client can be
    /// built on this system.
    pub fn new(
        settings: OauthSettings,
        connection: &ConnectionSettings,
        connections: &mut Connections,
        clock: Clock,
    ) -> Result<Self, ClientError> {
        let url = server_url(&settings.token_url)?;
        let (version, timeout) = (HttpVersion::Auto, settings.timeout);
        let line = connections.line(&url, connection, version, timeout)?;
        Ok(Self { inner: Arc::new(Inner { line, url, settings, clock }) })
    }

    /// Asks once. The client id and secret are read anew, so that rotated ones are found.
    pub fn fetch(&self) -> impl Future<Output = TokenAnswer> + Send + use<> {
        let inner = Arc::clone(&self.inner);
        async move {
            let request = match inner.request() {
                Ok(request) => request,
                Err(error) => return TokenAnswer::NoSecret(error),
            };
            let bounds = Bounds {
                timeout: inner.settings.timeout,
                body_bytes_max: RESPONSE_BYTES_MAX,
                keep_body: &|_| true,
                on_head: &|_| {},
            };
            let done = exchange(&inner.line, request, &bounds, &inner.clock).await;
            read(done, &inner.clock)
        }
    }
}

impl Inner {
    fn request(&self) -> Result<reqwest::Request, SecretError> {
        let id = read_secret(&self.settings.client_id)?;
        let secret = read_secret(&self.settings.client_secret)?;
        let mut form = "grant_type=client_credentials".to_owned();
        if let Some(scope) = &self.settings.scope {
            form.push_str("&scope=");
            push_form_encoded(&mut form, scope);
        }
        let mut request = reqwest::Request::new(Method::POST, self.url.clone());
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, basic(&id, &secret));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, form_type);
        *request.body_mut() = Some(form.into());
        Ok(request)
    }
}

/// `Basic base64(id:secret)`, without the form encoding of id and secret that RFC 6749 section 2.3.1
/// asks for: Genesys Cloud and most others expect them as they are.
fn basic(id: &SecretString, secret: &SecretString) -> HeaderValue {
    let pair = Zeroizing::new(format!("{}:{}", id.expose_secret(), secret.expose_secret()));
    let encoded = Zeroizing::new(BASE64_STANDARD.encode(pair.as_bytes()));
    let mut text = Zeroizing::new(Vec::with_capacity(6 + encoded.len()));
    text.extend_from_slice(b"Basic ");
    text.extend_from_slice(encoded.as_bytes());
    secret_header(text).expect("base64 is printable ASCII")
}

/// Appends a value in the form encoding, with everything but unreserved characters escaped.
fn push_form_encoded(form: &mut String, value: &str) {
    use std::fmt::Write as _;
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                form.push(char::from(byte));
            }
            b' ' => form.push('+'),
            _ => {
                // Writing to a string cannot fail.
                let _ = write!(form, "%{byte:02X}");
            }
        }
    }
}

fn read(done: Exchange, clock: &Clock) -> TokenAnswer {
    let (head, body) = match done.result {
        Ok(response) => response,
        Err(failure) => return TokenAnswer::Failed(failure.kind),
    };
    let success = Success { statuses: vec![200], body: None };
    let response = Response {
        status: head.status,
        headers: &head.headers,
        body: body.as_deref().map_err(|kind| *kind),
    };
    let wall = || clock.unix_nanos();
    let reading = classify::read(response, &success, ThrottleDialect::Standard, &wall);
    let mut body = body.unwrap_or_default();
    let answer = match reading.verdict {
        Verdict::Accepted => granted(&body),
        Verdict::Throttled => TokenAnswer::Throttled { advice: reading.advice },
        Verdict::Unauthorized | Verdict::Rejected => {
            TokenAnswer::Refused { status: head.status, error: error_code(&body) }
        }
        Verdict::Failed(failure) => TokenAnswer::Failed(failure.kind),
    };
    body.zeroize();
    answer
}

#[derive(Deserialize)]
struct Grant {
    access_token: String,
    token_type: Option<String>,
    expires_in: Option<serde_json::Value>,
}

fn granted(body: &[u8]) -> TokenAnswer {
    let bad = TokenAnswer::Failed(FailureKind::BadResponse);
    let Ok(grant) = serde_json::from_slice::<Grant>(body) else { return bad };
    let token = SecretString::from(grant.access_token);
    let is_bearer = grant.token_type.is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
    let text = token.expose_secret();
    if !is_bearer || text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return bad;
    }
    TokenAnswer::Granted { expires_in: lifetime(grant.expires_in.as_ref()), token }
}

/// The stated lifetime, which some servers write as text, within bounds.
fn lifetime(stated: Option<&serde_json::Value>) -> Duration {
    let seconds = stated.and_then(|value| match value {
        serde_json::Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    });
    // `max` and `min` put what is not a number and what is out of range within bounds.
    seconds.map_or(EXPIRES_IN_DEFAULT, |seconds: f64| {
        let bounded = seconds.max(EXPIRES_IN_MIN.as_secs_f64()).min(EXPIRES_IN_MAX.as_secs_f64());
        Duration::from_secs_f64(bounded)
    })
}

#[derive(Deserialize)]
struct Refusal {
    error: Option<String>,
}

fn error_code(body: &[u8]) -> Option<Box<str>> {
    let code = serde_json::from_slice::<Refusal>(body).ok()?.error?;
    let clean: String = code
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        .take(ERROR_CODE_CHARS_MAX)
        .collect();
    (!clean.is_empty()).then(|| clean.into_boxed_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn lifetimes_stay_within_bounds() {
        for (stated, seconds) in [
            (json!(86_400), 86_400),
            (json!("3600"), 3_600),
            (json!(59.0), 59),
            (json!(0), 1),
            (json!(-5), 1),
            (json!(1e12), 172_800),
            (json!("soon"), 300),
            (json!("NaN"), 1),
            (json!([]), 300),
        ] {
            assert_eq!(lifetime(Some(&stated)).as_secs(), seconds, "{stated}");
        }
        assert_eq!(lifetime(None), EXPIRES_IN_DEFAULT);
    }

    #[test]
    fn a_grant_needs_a_bearer_token() {
        let ok = json!({"access_token": "abc", "token_type": "Bearer", "expires_in": 60});
        assert!(matches!(granted(ok.to_string().as_bytes()), TokenAnswer::Granted { .. }));
        for bad in [
            json!({"token_type": "bearer"}),
            json!({"access_token": ""}),
            json!({"access_token": "two words"}),
            json!({"access_token": "line\nbreak"}),
            json!({"access_token": "abc", "token_type": "mac"}),
        ] {
            let answer = granted(bad.to_string().as_bytes());
            assert!(matches!(answer, TokenAnswer::Failed(FailureKind::BadResponse)), "{bad}");
        }
    }

    #[test]
    fn scopes_are_encoded_for_a_form() {
        let mut form = String::new();
        push_form_encoded(&mut form, "a b&c=é");
        assert_eq!(form, "a+b%26c%3D%C3%A9");
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = granted(&bytes);
            let code = error_code(&bytes);
            prop_assert!(code.is_none_or(|c| c.len() <= ERROR_CODE_CHARS_MAX));
        }

        #[test]
        fn error_codes_are_cleaned(error in ".{0,200}") {
            let body = json!({ "error": error }).to_string();
            let code = error_code(body.as_bytes()).unwrap_or_default();
            prop_assert!(code.chars().all(|c| c.is_ascii_graphic() && !"\"<>&'".contains(c)));
            prop_assert!(code.len() <= ERROR_CODE_CHARS_MAX);
        }
    }
}
