//! What people watch Plimsoll with: alerting rules, runbooks and dashboards, against the binary that they are about.

mod browser;
mod dashboards;
mod fall;
mod generated;
mod limit_page;
mod page;
mod preview;
mod queries;
mod rules;
mod runbooks;
mod stack;
#[path = "../support/mod.rs"]
mod support;
mod world;
mod yaml;
