//! Genesys Cloud's operations and hosts as data, for configuration to turn into targets.
//!
//! Pure. Templates are in the payload-template syntax: `{{message_id}}`, `{{sequence}}`,
//! `{{timestamp}}`, `{{stream}}`, and `{{param.NAME}}` for what the target states once.

use http::Method;

use super::settings::ThrottleDialect;

/// One operation of a messaging API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preset {
    /// Its name in configuration.
    pub name: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// HTTP method.
    pub method: Method,
    /// Path template, below the base URL.
    pub path: &'static str,
    /// JSON body template.
    pub body: &'static str,
    /// The parameters of path and body.
    pub params: &'static [Param],
    /// Statuses that mean accepted.
    pub success_statuses: &'static [u16],
    /// How refusals are written.
    pub dialect: ThrottleDialect,
    /// A token of a user is refused (400 `not.a.client`): it takes client credentials.
    pub client_credentials_only: bool,
    /// The permission that the credential needs.
    pub permission: &'static str,
    /// The OAuth scope that the credential needs.
    pub oauth_scope: &'static str,
}

/// A parameter of a preset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param {
    /// Its name, as in `{{param.NAME}}`.
    pub name: &'static str,
    /// What stands there if the target does not say; `None`: it has to. A default may itself hold
    /// placeholders of the message.
    pub default: Option<&'static str>,
    /// The allowed values; empty: any.
    pub allowed: &'static [&'static str],
    /// What it is.
    pub doc: &'static str,
}

const fn required(name: &'static str, doc: &'static str) -> Param {
    Param { name, default: None, allowed: &[], doc }
}

const TEXT: Param = Param {
    name: "text",
    default: Some("Plimsoll {{stream}} {{sequence}} {{message_id}}"),
    allowed: &[],
    doc: "The text: at most 765 characters for SMS, 2000 elsewhere.",
};
const MESSENGER_TYPE: Param = Param {
    name: "messenger_type",
    default: Some("sms"),
    allowed: &["sms", "whatsapp", "open", "webmessaging", "apple"],
    doc: "Which messenger delivers it.",
};
const ID_TYPE: Param = Param {
    name: "from_id_type",
    default: Some("Opaque"),
    allowed: &["Email", "Phone", "Opaque"],
    doc: "What the sender's id is.",
};

/// Genesys Cloud's operations that send a message.
pub static GENESYS: [Preset; 3] = [
    Preset {
        name: "genesys-conversation-message",
        summary: "A message of an agent into a conversation that exists",
        method: Method::POST,
        path: "/api/v2/conversations/messages/{{param.conversation_id}}\
               /communications/{{param.communication_id}}/messages",
        body: r#"{"textBody":"{{param.text}}"}"#,
        params: &[
            required("conversation_id", "The conversation."),
            required("communication_id", "The agent's communication in it."),
            TEXT,
        ],
        success_statuses: &[200, 202],
        dialect: ThrottleDialect::Genesys,
        client_credentials_only: false,
        permission: "conversation:message:create",
        oauth_scope: "conversations",
    },
    Preset {
        name: "genesys-agentless",
        summary: "A message from the organisation to a person, without an agent",
        method: Method::POST,
        path: "/api/v2/conversations/messages/agentless",
        body: r#"{"fromAddress":"{{param.from_address}}","toAddress":"{{param.to_address}}","toAddressMessengerType":"{{param.messenger_type}}","textBody":"{{param.text}}"}"#,
        params: &[
            required("from_address", "The organisation's address, such as its number."),
            required("to_address", "The person's address."),
            MESSENGER_TYPE,
            TEXT,
        ],
        success_statuses: &[200, 202],
        dialect: ThrottleDialect::Genesys,
        client_credentials_only: true,
        permission: "conversation:message:create",
        oauth_scope: "conversations",
    },
    Preset {
        name: "genesys-open-inbound",
        summary: "A message of a person to the organisation, through an Open Messaging integration",
        method: Method::POST,
        path: "/api/v2/conversations/messages/{{param.integration_id}}/inbound/open/message",
        body: r#"{"channel":{"messageId":"{{message_id}}","from":{"id":"{{param.from_id}}","idType":"{{param.from_id_type}}"},"time":"{{timestamp}}"},"text":"{{param.text}}"}"#,
        params: &[
            required("integration_id", "The Open Messaging integration."),
            required("from_id", "The sender's id."),
            ID_TYPE,
            TEXT,
        ],
        success_statuses: &[200, 202],
        dialect: ThrottleDialect::Genesys,
        client_credentials_only: true,
        permission: "conversation:message:receive",
        oauth_scope: "conversations",
    },
];

/// The domains of Genesys Cloud's regions, as published.
pub const GENESYS_DOMAINS: [&str; 18] = [
    "mypurecloud.com",
    "mypurecloud.ie",
    "mypurecloud.com.au",
    "mypurecloud.jp",
    "mypurecloud.de",
    "usw2.pure.cloud",
    "cac1.pure.cloud",
    "apne2.pure.cloud",
    "euw2.pure.cloud",
    "aps1.pure.cloud",
    "sae1.pure.cloud",
    "mec1.pure.cloud",
    "apne3.pure.cloud",
    "euc2.pure.cloud",
    "mxc1.pure.cloud",
    "apse1.pure.cloud",
    "use2.us-gov-pure.cloud",
    "edee1.eusc-pure.cloud",
];

/// The servers of a Genesys Cloud region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenesysServers {
    /// Base URL of the API.
    pub base_url: String,
    /// Token endpoint.
    pub token_url: String,
    /// The domain is not among [`GENESYS_DOMAINS`]: worth a warning, as regions are added rarely.
    pub unknown: bool,
}

/// A text that cannot be a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a domain such as mypurecloud.com or euw2.pure.cloud")]
pub struct DomainError;

/// The servers of the region with this domain, such as `mypurecloud.com`.
///
/// # Errors
/// It does not look like a host name, or names the API's or login server's host itself.
pub fn genesys_servers(domain: &str) -> Result<GenesysServers, DomainError> {
    if !looks_like_domain(domain) || domain.starts_with("api.") || domain.starts_with("login.") {
        return Err(DomainError);
    }
    Ok(GenesysServers {
        base_url: format!("https://api.{domain}"),
        token_url: format!("https://login.{domain}/oauth/token"),
        unknown: !GENESYS_DOMAINS.contains(&domain),
    })
}

/// Several dot-separated labels in lower case (RFC 1123 section 2.1), and not an address.
fn looks_like_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= 240
        && text.contains('.')
        && text.split('.').all(label)
        && !last.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names between `{{param.` and `}}`, in order of appearance.
    fn used(preset: &Preset) -> Vec<&str> {
        let texts = [preset.path, preset.body];
        let mut names = Vec::new();
        for part in texts.iter().flat_map(|text| text.split("{{param.").skip(1)) {
            names.push(part.split("}}").next().expect("split gives one"));
        }
        names
    }

    #[test]
    fn every_parameter_is_used_and_every_use_declared() {
        for preset in &GENESYS {
            let mut declared: Vec<_> = preset.params.iter().map(|p| p.name).collect();
            let mut used = used(preset);
            declared.sort_unstable();
            used.sort_unstable();
            assert_eq!(declared, used, "{}", preset.name);
        }
    }

    #[test]
    fn bodies_are_json_and_defaults_are_allowed() {
        for preset in &GENESYS {
            let body: serde_json::Value = serde_json::from_str(preset.body).expect(preset.name);
            assert!(body.is_object(), "{}", preset.name);
            assert!(preset.path.starts_with("/api/v2/conversations/messages/"));
            assert!(!preset.path.contains(char::is_whitespace), "{}", preset.path);
            for param in preset.params.iter().filter(|p| !p.allowed.is_empty()) {
                assert!(param.default.is_some_and(|d| param.allowed.contains(&d)), "{param:?}");
            }
        }
    }

    #[test]
    fn regions_have_an_api_and_a_login_server() {
        for domain in GENESYS_DOMAINS {
            assert!(!genesys_servers(domain).expect(domain).unknown, "{domain}");
        }
        let ireland = genesys_servers("mypurecloud.ie").expect("a region");
        assert_eq!(ireland.base_url, "https://api.mypurecloud.ie");
        assert_eq!(ireland.token_url, "https://login.mypurecloud.ie/oauth/token");
        assert!(genesys_servers("new1.pure.cloud").expect("looks like one").unknown);
    }

    #[test]
    fn what_is_not_a_domain_is_refused() {
        for text in [
            "",
            "localhost",
            "127.0.0.1",
            "https://api.mypurecloud.com",
            "api.mypurecloud.com",
            "mypurecloud.com/",
            "mypurecloud.com:443",
            "user@mypurecloud.com",
            "evil.example#.pure.cloud",
            "-a.pure.cloud",
            "a..cloud",
            "A.pure.cloud",
        ] {
            assert_eq!(genesys_servers(text), Err(DomainError), "{text}");
        }
    }
}
