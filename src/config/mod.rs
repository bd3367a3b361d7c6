//! Layered configuration: defaults, files, environment, flags; validated all at once.
//!
//! [`load`] answers with [`Settings`] or with every [`Problem`] there is: the merged tree is held
//! against the JSON Schema of the file format, what is unusable is left out, and the rest goes
//! through the checks that a schema cannot express. Secrets stay out of every message. Reading
//! configuration files is this room's only I/O; the environment is an argument. It must not
//! know how the settings are used.

mod dump;
mod layers;
mod presets;
mod problem;
mod raw;
mod registry;
mod schema;
mod secret;
mod semantic;
mod settings;
mod tree;
mod violations;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use layers::{ENV_PREFIX, FileSource, Override, Sources};
pub use problem::{Problem, Problems};
pub use raw::*;
pub use registry::{Assigned, Registry};
pub use schema::schema_of;
pub use settings::{
    AttemptLogSettings, LogSettings, NamedCredential, Settings, StateSettings, StreamSettings,
    TargetSettings, TracingSettings, WebSettings,
};

use tree::Tree;

/// Reads and checks the configuration of `plimsoll run`.
///
/// # Errors
/// Every problem of every layer, at once.
pub fn load(sources: &Sources) -> Result<Settings, Problems> {
    let schema = schema_of::<ConfigFile>();
    let tree = read(sources, &schema)?;
    let mut problems = Vec::new();
    let mut reported = Vec::new();
    // The tree as written is kept beside the usable part: a target whose content is refused is
    // still a target that streams may name.
    let mut usable = tree.clone();
    for violation in violations::all(&tree, &schema) {
        if violation.unusable {
            usable.remove(&violation.path);
        }
        reported.push(violation.path);
        problems.push(violation.problem);
    }
    let file: ConfigFile = deserialize(&usable)?;
    match semantic::settings(&file, &tree, &reported) {
        Ok(mut settings) => {
            Problems::check(problems)?;
            settings.sources = sources.paths();
            settings.effective = effective(&file);
            Ok(settings)
        }
        Err(more) => {
            problems.extend(more);
            Err(Problems::new(problems))
        }
    }
}

/// Reads and checks a file format that has nothing but a schema, such as the simulator's.
///
/// # Errors
/// Every problem of every layer, at once.
pub fn load_as<T: DeserializeOwned + JsonSchema>(sources: &Sources) -> Result<T, Problems> {
    let schema = schema_of::<T>();
    let tree = read(sources, &schema)?;
    Problems::check(violations::all(&tree, &schema).into_iter().map(|v| v.problem).collect())?;
    deserialize(&tree)
}

fn read(sources: &Sources, schema: &Value) -> Result<Tree, Problems> {
    let mut tree = Tree::new(layers::merged(sources).map_err(Problems::new)?);
    tree.coerce(schema);
    Ok(tree)
}

/// Only what no schema can express fails here, such as a type's own parser.
fn deserialize<T: DeserializeOwned>(tree: &Tree) -> Result<T, Problems> {
    serde_path_to_error::deserialize(&tree.root).map_err(|e| {
        let path = e.path().to_string();
        let path = if path == "." { "configuration".to_owned() } else { path };
        Problems::new(vec![Problem::new(path, e.into_inner().to_string())])
    })
}

/// The file with every default filled in, fit to be shown.
fn effective(file: &ConfigFile) -> Value {
    let mut tree = serde_json::to_value(file).unwrap_or_default();
    dump::mask(&mut tree, &mut Vec::new());
    tree
}
