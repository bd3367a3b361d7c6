//! Records of attempts as files hold them, read into what the learner studies: Plimsoll's own attempt log,
//! result files of JMeter, access logs of servers.
//!
//! Pure: bytes come in, observations and every problem with its line go out. It must not know where the bytes come
//! from, nor what is concluded from them. What a response means is told by the sender's own parsers.

mod access;
mod attempt_line;
mod declared;
mod gather;
mod gathered;
mod guard;
mod interner;
mod jtl;
mod jtl_csv;
mod jtl_xml;
mod options;
mod own;
mod problem;
mod read;
mod response;

#[cfg(test)]
mod tests;

pub use access::LogFormat;
pub use attempt_line::{AttemptLine, NamedLine, QuotaLine};
pub use declared::{declared_limits, of_rates};
pub use gather::Gatherer;
pub use gathered::{FileSummary, Gathered};
pub use options::{Only, Options, PartyRule, RecordFormat};
pub use problem::Problem;
