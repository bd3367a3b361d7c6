//! Traces: one span per message, one per attempt, one per epoch of a gate or breaker.
//!
//! Spans are built after the fact, when a message has ended and it is known whether it is worth
//! keeping: the SDK's own samplers decide at the start, when nobody knows that an attempt will be
//! throttled. Kept spans go to the SDK's batch processor, which exports them on a thread of its own.
//! Each span that is lost is counted, with the reason.

mod build;
mod counts;
mod export;
mod keeper;
mod settings;

pub use counts::{SpanDrop, SpanTotals};
pub use opentelemetry_sdk::trace::SpanExporter;
pub use settings::{Protocol, Sampling, SpanSettingsError, TracingSettings, resource_attributes};

pub(super) use counts::SpanCounts;
pub(super) use export::Pipeline;
pub(super) use keeper::{Keeper, Kept};

/// Sixty-four bits that look random and are never zero, for the span of a message or a gate: always
/// the same for the same input (the finaliser of `SplitMix64`, Steele et al. 2014).
#[must_use]
pub const fn mix_span_id(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    if z == 0 { 1 } else { z }
}
