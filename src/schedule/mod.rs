//! When the next slot of a stream is due, and what a request says: pure arithmetic and text.

mod settings;
mod template;

pub use settings::{Arrivals, ScheduleSettings};
pub use template::{
    PLACEHOLDERS, Rendered, RequestTemplate, TemplateError, TemplateSource, Values,
};
