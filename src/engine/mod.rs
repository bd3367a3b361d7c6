//! The sans-IO core: joins schedule and policy, owns every timer and the invariants.

mod plan;

pub use plan::{CredentialPlan, Plan, StreamPlan, TokenPlan};
