//! Known operations as data: what a target's preset fills in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::raw::{DialectName, MethodName};

/// A known operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PresetName {
    /// Genesys Cloud: a message from a customer through an open messaging integration. Params:
    /// `integration_id`, `from_id`.
    GenesysOpenInbound,
    /// Genesys Cloud: an outbound message without an agent. Params: `from_address`,
    /// `to_address`, `to_address_messenger_type`.
    GenesysAgentless,
    /// Genesys Cloud: a message of an agent in a conversation. Params: `conversation_id`,
    /// `communication_id`.
    GenesysConversationMessage,
}

/// What a preset fills in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Preset {
    pub(super) method: MethodName,
    pub(super) path: &'static str,
    pub(super) body: &'static str,
    pub(super) success_statuses: &'static [u16],
    pub(super) dialect: DialectName,
    pub(super) params: &'static [&'static str],
}

/// All of Genesys Cloud's send operations are documented with 200 and 202.
const GENESYS: Preset = Preset {
    method: MethodName::Post,
    path: "",
    body: "",
    success_statuses: &[200, 202],
    dialect: DialectName::Genesys,
    params: &[],
};

impl PresetName {
    pub(super) const fn preset(self) -> Preset {
        match self {
            Self::GenesysOpenInbound => Preset {
                path: "/api/v2/conversations/messages/{{param.integration_id}}/inbound/open/message",
                body: r#"{"channel":{"from":{"id":"{{param.from_id}}","idType":"Opaque"},"time":"{{timestamp}}","messageId":"{{message_id}}"},"text":"plimsoll {{stream}} {{sequence}}"}"#,
                params: &["integration_id", "from_id"],
                ..GENESYS
            },
            Self::GenesysAgentless => Preset {
                path: "/api/v2/conversations/messages/agentless",
                body: r#"{"fromAddress":"{{param.from_address}}","toAddress":"{{param.to_address}}","toAddressMessengerType":"{{param.to_address_messenger_type}}","textBody":"plimsoll {{stream}} {{sequence}}"}"#,
                params: &["from_address", "to_address", "to_address_messenger_type"],
                ..GENESYS
            },
            Self::GenesysConversationMessage => Preset {
                path: "/api/v2/conversations/messages/{{param.conversation_id}}/communications/{{param.communication_id}}/messages",
                body: r#"{"textBody":"plimsoll {{stream}} {{sequence}}"}"#,
                params: &["conversation_id", "communication_id"],
                ..GENESYS
            },
        }
    }
}

/// The regions of Genesys Cloud.
pub(super) const GENESYS_DOMAINS: [&str; 18] = [
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
