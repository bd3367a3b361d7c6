//! Reading a token request (RFC 6749 section 4.4): who asks, and for what.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::settings::ClientSettings;

/// Why a token request is refused: the `error` code and its description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) error: &'static str,
    pub(super) description: &'static str,
}

const WRONG_GRANT: Refused = Refused {
    status: 400,
    error: "unsupported_grant_type",
    description: "only client_credentials is supported",
};
const WRONG_CLIENT: Refused = Refused {
    status: 401,
    error: "invalid_client",
    description: "client not found, or its secret is wrong",
};
const UNREADABLE: Refused =
    Refused { status: 400, error: "invalid_request", description: "the form cannot be read" };

/// The client that a request proves itself to be, by Basic authentication or in the form.
pub(super) fn client<'a>(
    clients: &'a [ClientSettings],
    authorization: Option<&str>,
    form: &[u8],
) -> Result<&'a ClientSettings, Refused> {
    let fields = fields(form).ok_or(UNREADABLE)?;
    let field = |name: &str| fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    if field("grant_type").as_deref() != Some("client_credentials") {
        return Err(WRONG_GRANT);
    }
    let (id, secret) = match authorization {
        Some(header) => basic(header).ok_or(WRONG_CLIENT)?,
        None => field("client_id").zip(field("client_secret")).ok_or(WRONG_CLIENT)?,
    };
    let known = clients.iter().find(|c| c.id == id && c.secret == secret);
    known.ok_or(WRONG_CLIENT)
}

fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

fn fields(form: &[u8]) -> Option<Vec<(String, String)>> {
    let form = std::str::from_utf8(form).ok()?;
    let pairs = form.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decoded(name)?, decoded(value)?))
        })
        .collect()
}

/// `application/x-www-form-urlencoded`: plus is a blank, `%41` is a byte.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |b: Option<u8>| char::from(b?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients() -> Vec<ClientSettings> {
        let (tenant, user) = (String::new(), String::new());
        vec![ClientSettings { id: "app 1".into(), secret: "s&cret".into(), tenant, user }]
    }

    #[test]
    fn a_client_proves_itself_in_the_header_or_in_the_form() {
        let clients = clients();
        let header = format!("Basic {}", STANDARD.encode("app 1:s&cret"));
        let grant = b"grant_type=client_credentials";
        assert!(client(&clients, Some(&header), grant).is_ok());
        let form = b"grant_type=client_credentials&client_id=app+1&client_secret=s%26cret";
        assert!(client(&clients, None, form).is_ok());
    }

    #[test]
    fn anything_else_is_refused_with_the_code_of_the_rfc() {
        let clients = clients();
        let header = format!("Basic {}", STANDARD.encode("app 1:wrong"));
        let grant = b"grant_type=client_credentials".as_slice();
        for (authorization, form, expected) in [
            (Some(header.as_str()), grant, WRONG_CLIENT),
            (Some("Bearer x"), grant, WRONG_CLIENT),
            (Some("Basic %%%"), grant, WRONG_CLIENT),
            (None, grant, WRONG_CLIENT),
            (None, b"grant_type=password", WRONG_GRANT),
            (None, b"", WRONG_GRANT),
            (None, b"grant_type=%4", UNREADABLE),
            (None, b"\xff", UNREADABLE),
        ] {
            assert_eq!(client(&clients, authorization, form).err(), Some(expected), "{form:?}");
        }
    }
}
