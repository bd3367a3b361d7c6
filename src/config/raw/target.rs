//! Targets: an API, an operation on it, and how its answers read.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::presets;
use crate::model::{Factor, HumanDuration};

/// Methods of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum MethodName {
    #[allow(missing_docs)]
    Get,
    #[allow(missing_docs)]
    Head,
    #[allow(missing_docs)]
    Post,
    #[allow(missing_docs)]
    Put,
    #[allow(missing_docs)]
    Patch,
    #[allow(missing_docs)]
    Delete,
}

/// Whose ways of refusing for a limit are understood, beyond 429 and 503 with Retry-After.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DialectName {
    /// Nobody's in particular.
    Standard,
    /// Those of Genesys Cloud: its body codes with 400 and 409, its named limit.
    Genesys,
}

/// Versions of HTTP that may be agreed on with an https server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HttpVersionName {
    /// A connection per request in flight, and nothing waits for anything else.
    #[default]
    #[serde(rename = "1.1")]
    Http1,
    /// HTTP/2 where the server has it: all requests share one connection.
    #[serde(rename = "auto")]
    Auto,
}

/// An API and an operation on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TargetFile {
    /// A known operation, which gives method, path, body, success statuses and dialect.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "presets::name_schema")]
    pub preset: Option<String>,
    /// Region of Genesys Cloud, such as `mypurecloud.com`: instead of `base_url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub genesys_domain: Option<String>,
    /// Scheme, host, optional port and path prefix: `https://api.example.com/v1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Lets `base_url` be http to a host other than this machine.
    pub allow_plain_http: bool,
    /// Version of HTTP.
    pub http_version: HttpVersionName,
    /// How its server is reached: a name of `connections`.
    pub connection: String,
    /// HTTP method. Unset: the preset's, or POST.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<MethodName>,
    /// Path and optional query; may hold placeholders. Unset: the preset's, or `/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Request headers; values may hold placeholders. `content-type` is JSON where there is a body.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// JSON body; may hold placeholders. Unset: the preset's, or none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// What `{{param.NAME}}` stands for. Values may hold the other placeholders.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, String>,
    /// Statuses that count as accepted. Unset: the preset's, or 200, 201, 202 and 204.
    #[schemars(length(min = 1, max = 32), inner(range(min = 100, max = 599)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_statuses: Option<Vec<u16>>,
    /// JSON pointer (RFC 6901) to a value that an accepted response must have, such as `/id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_body_pointer: Option<String>,
    /// What that value must be. Unset: anything but null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_body_equals: Option<serde_json::Value>,
    /// From sending until the end of the response; 10ms to 10m.
    pub timeout: HumanDuration,
    /// For the connection, TLS included; shorter than the timeout. Unset: 3s, or half the timeout
    /// if that is less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_timeout: Option<HumanDuration>,
    /// The header that carries the message id, so that the server recognises a message that is sent
    /// again. Without it a POST that may have arrived is never sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key_header: Option<String>,
    /// Bytes of a response that are read; a longer one counts as failed.
    #[schemars(range(min = 1024, max = 16_777_216))]
    pub response_bytes_max: u32,
    /// Joins this target's host with others that may share a limit. Unset: the host alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_domain: Option<String>,
    /// Who shares the limit: several together mean their combination, an empty list everybody in
    /// the limit domain. Unset: undecided, so everybody waits when one is refused.
    #[schemars(extend("uniqueItems" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Vec<Factor>>,
    /// Whose ways of refusing are understood. Unset: the preset's, or standard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialect: Option<DialectName>,
}

impl Default for TargetFile {
    fn default() -> Self {
        Self {
            preset: None,
            genesys_domain: None,
            base_url: None,
            allow_plain_http: false,
            http_version: HttpVersionName::default(),
            connection: "default".to_owned(),
            method: None,
            path: None,
            headers: BTreeMap::new(),
            body: None,
            params: BTreeMap::new(),
            success_statuses: None,
            success_body_pointer: None,
            success_body_equals: None,
            timeout: HumanDuration(Duration::from_secs(10)),
            connect_timeout: None,
            idempotency_key_header: None,
            response_bytes_max: 65_536,
            limit_domain: None,
            scope: None,
            dialect: None,
        }
    }
}
