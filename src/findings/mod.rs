//! What a study of a record found, put down for people and for programs: text, JSON, and a page with pictures.
//!
//! [`Report`] is the whole of it: both renderings are made of it alone, so that a file of JSON can be
//! compared with ([`Changes`]) and read long after. Pure: times are arguments, and nothing is written here.

mod baseline;
mod charts;
mod document;
mod html;
mod replay;
mod svg;
mod text;
mod vendor;
mod words;

#[cfg(test)]
mod tests;

pub use baseline::{Aspect, Change, Changes, Standing};
pub use document::{
    Cost, ExperimentPart, How, Party, Report, SCHEMA_VERSION, Source, Spent, Studied, Subject,
    Vendor,
};
pub use html::to_html;
pub use replay::{Bin, Timeline};
pub use text::to_text;
pub use vendor::Ask;
