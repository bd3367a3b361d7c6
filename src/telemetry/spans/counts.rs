//! How many spans there were, and what became of each.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a span was lost before an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanDrop {
    /// More throttled or failed messages in a second than the configured bound.
    RateBound,
    /// Too many messages were waiting for another attempt to remember this one's.
    TableFull,
    /// The exporter could not keep up.
    QueueFull,
    /// The flush at exit took longer than it may.
    Shutdown,
}

impl SpanDrop {
    /// Every reason, in the order of their indices.
    pub const ALL: [Self; 4] = [Self::RateBound, Self::TableFull, Self::QueueFull, Self::Shutdown];

    /// The label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RateBound => "rate_bound",
            Self::TableFull => "table_full",
            Self::QueueFull => "queue_full",
            Self::Shutdown => "shutdown",
        }
    }

    /// Position in [`Self::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// What became of the spans so far: those admitted to the queue are exported, failed, still queued, or
/// dropped at shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SpanTotals {
    /// Taken by the collector.
    pub exported: u64,
    /// Lost in an export that failed.
    pub failed: u64,
    /// Waiting for an export, or in one.
    pub queued: u64,
    /// What may wait at once; 0 when traces are off.
    pub capacity: u64,
    /// Lost before an export, by [`SpanDrop::index`].
    pub dropped: [u64; SpanDrop::ALL.len()],
}

/// The counters. The queue's admission is decided here and not by the SDK, whose own queue drops
/// without telling how much.
#[derive(Default)]
pub(in crate::telemetry) struct SpanCounts {
    capacity: AtomicU64,
    queued: AtomicU64,
    exported: AtomicU64,
    failed: AtomicU64,
    dropped: [AtomicU64; SpanDrop::ALL.len()],
}

impl SpanCounts {
    pub(super) fn set_capacity(&self, spans: u64) {
        self.capacity.store(spans, Ordering::Relaxed);
    }

    /// Takes places in the queue for all of `spans`, or for none and counts them as dropped: half a
    /// trace misleads.
    pub(super) fn admit(&self, spans: u64) -> bool {
        let capacity = self.capacity.load(Ordering::Relaxed);
        let admitted = self.queued.fetch_update(Ordering::AcqRel, Ordering::Acquire, |queued| {
            (queued + spans <= capacity).then_some(queued + spans)
        });
        if admitted.is_err() {
            self.drop_spans(SpanDrop::QueueFull, spans);
        }
        admitted.is_ok()
    }

    pub(super) fn drop_spans(&self, reason: SpanDrop, spans: u64) {
        self.dropped[reason.index()].fetch_add(spans, Ordering::Relaxed);
    }

    pub(super) fn settle(&self, spans: u64, exported: bool) {
        let total = if exported { &self.exported } else { &self.failed };
        total.fetch_add(spans, Ordering::Relaxed);
        self.leave(spans);
    }

    /// Counts everything that still waits as lost. Returns how much that was.
    pub(super) fn abandon(&self) -> u64 {
        let left = self.queued.swap(0, Ordering::AcqRel);
        self.drop_spans(SpanDrop::Shutdown, left);
        left
    }

    pub(in crate::telemetry) fn totals(&self) -> SpanTotals {
        SpanTotals {
            exported: self.exported.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            queued: self.queued.load(Ordering::Acquire),
            capacity: self.capacity.load(Ordering::Relaxed),
            dropped: std::array::from_fn(|i| self.dropped[i].load(Ordering::Relaxed)),
        }
    }

    fn leave(&self, spans: u64) {
        // Saturating: an export that outlives the shutdown settles spans that were given up already.
        let _ = self.queued.fetch_update(Ordering::AcqRel, Ordering::Acquire, |queued| {
            Some(queued.saturating_sub(spans))
        });
    }
}
