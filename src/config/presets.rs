//! Known operations as data: what a target's preset fills in.

use schemars::{Schema, SchemaGenerator};
use serde_json::json;

use super::raw::MethodName;
use crate::sender::ThrottleDialect;

/// A known operation.
#[derive(Debug)]
pub(super) struct Preset {
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    pub(super) method: MethodName,
    pub(super) path: &'static str,
    pub(super) body: &'static str,
    pub(super) params: &'static [Param],
    pub(super) success_statuses: &'static [u16],
    pub(super) dialect: ThrottleDialect,
}

/// A parameter of a preset.
#[derive(Debug)]
pub(super) struct Param {
    pub(super) name: &'static str,
    /// `None`: the target has to say.
    pub(super) default: Option<&'static str>,
    /// Empty: any value.
    pub(super) allowed: &'static [&'static str],
    pub(super) doc: &'static str,
}

const fn required(name: &'static str, doc: &'static str) -> Param {
    Param { name, default: None, allowed: &[], doc }
}

const TEXT: Param = Param {
    name: "text",
    default: Some("Plimsoll {{stream}} {{sequence}} {{message_id}}"),
    allowed: &[],
    doc: "the text",
};

/// The operations of Genesys Cloud that send a message, as its published API describes them.
static GENESYS: [Preset; 3] = [
    Preset {
        name: "genesys-conversation-message",
        summary: "Genesys Cloud: a message of an agent into a conversation that exists",
        method: MethodName::Post,
        path: "/api/v2/conversations/messages/{{param.conversation_id}}/communications/{{param.communication_id}}/messages",
        body: r#"{"textBody":"{{param.text}}"}"#,
        params: &[
            required("conversation_id", "the id of the conversation"),
            required("communication_id", "the id of the agent's communication in it"),
            TEXT,
        ],
        success_statuses: &[200, 202],
        dialect: ThrottleDialect::Genesys,
    },
    Preset {
        name: "genesys-agentless",
        summary: "Genesys Cloud: a message to a person, without an agent",
        method: MethodName::Post,
        path: "/api/v2/conversations/messages/agentless",
        body: r#"{"fromAddress":"{{param.from_address}}","toAddress":"{{param.to_address}}","toAddressMessengerType":"{{param.messenger_type}}","textBody":"{{param.text}}"}"#,
        params: &[
            required("from_address", "the organisation's address, such as its number"),
            required("to_address", "the person's address"),
            Param {
                name: "messenger_type",
                default: Some("sms"),
                allowed: &["sms", "whatsapp", "open", "webmessaging", "apple"],
                doc: "the messenger that delivers it",
            },
            TEXT,
        ],
        success_statuses: &[200, 202],
        dialect: ThrottleDialect::Genesys,
    },
    Preset {
        name: "genesys-open-inbound",
        summary: "Genesys Cloud: a message of a person, through an Open Messaging integration",
        method: MethodName::Post,
        path: "/api/v2/conversations/messages/{{param.integration_id}}/inbound/open/message",
        body: r#"{"channel":{"messageId":"{{message_id}}","from":{"id":"{{param.from_id}}","idType":"{{param.from_id_type}}"},"time":"{{timestamp}}"},"text":"{{param.text}}"}"#,
        params: &[
            required("integration_id", "the id of the Open Messaging integration"),
            required("from_id", "the id of the person"),
            Param {
                name: "from_id_type",
                default: Some("Opaque"),
                allowed: &["Email", "Phone", "Opaque"],
                doc: "what that id is",
            },
            TEXT,
        ],
        success_statuses: &[200, 202],
        dialect: ThrottleDialect::Genesys,
    },
];

/// The preset of this name.
pub(super) fn named(name: &str) -> Option<&'static Preset> {
    GENESYS.iter().find(|preset| preset.name == name)
}

/// The names as a closed set, each with what it does.
pub(super) fn name_schema(_: &mut SchemaGenerator) -> Schema {
    let choices: Vec<_> = GENESYS
        .iter()
        .map(|preset| json!({"const": preset.name, "description": preset.summary}))
        .collect();
    schemars::json_schema!({"type": "string", "oneOf": choices})
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
