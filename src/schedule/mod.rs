//! When the next slot of a stream is due, and what a request says: pure arithmetic and text.
//!
//! This room must not know whether a slot is sent, nor why not.

mod hours;
mod ramp;
mod settings;
mod slots;
mod template;
mod turns;

pub use hours::{ActiveHours, ParseHoursError, Timetable};
pub use settings::{Arrivals, ScheduleSettings};
pub use slots::Schedule;
pub use template::{
    PLACEHOLDERS, Rendered, RequestTemplate, TemplateError, TemplateSource, Values,
};
pub use turns::{Claim, Turns};
