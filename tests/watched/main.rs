//! What people watch Plimsoll with: alerting rules, runbooks and dashboards, against the binary that they are about.

mod dashboards;
mod generated;
mod rules;
mod runbooks;
#[path = "../support/mod.rs"]
mod support;
mod yaml;
