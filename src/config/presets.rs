//! The known operations of the sender, as a target's `preset` names them.

use schemars::{Schema, SchemaGenerator};
use serde_json::json;

use crate::sender::{GENESYS, Preset};

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
