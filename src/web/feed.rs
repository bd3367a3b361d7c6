//! Live events for everybody who listens: one bounded ring, from which slow readers lose the oldest.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

/// Events that are kept for those who come later.
const LASTING_MAX: usize = 256;

/// One live event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveEvent {
    /// Its kind: the `event` field of server-sent events.
    pub kind: &'static str,
    /// Its data: one line of JSON.
    pub json: String,
}

/// The sending end. Cheap to clone; sending never blocks.
#[derive(Clone, Debug)]
pub struct Feed {
    ring: broadcast::Sender<Arc<LiveEvent>>,
    lasting: Arc<Mutex<VecDeque<Arc<LiveEvent>>>>,
}

impl Feed {
    /// Events that a reader may lag behind before it loses some.
    pub const DEFAULT_EVENTS: usize = 256;

    /// A feed that keeps `events` (at least one) for slow readers.
    #[must_use]
    pub fn new(events: usize) -> Self {
        Self { ring: broadcast::Sender::new(events.max(1)), lasting: Arc::default() }
    }

    /// Whether anybody listens. Ask before making an event that costs something to make.
    #[must_use]
    pub fn wanted(&self) -> bool {
        self.ring.receiver_count() > 0
    }

    /// Tells everybody who listens.
    pub fn publish(&self, kind: &'static str, json: String) {
        if self.wanted() {
            // Fails only when the last listener has just gone.
            let _ = self.ring.send(Arc::new(LiveEvent { kind, json }));
        }
    }

    /// Tells everybody who listens, and keeps it for those who come later. Takes a lock that is held for as
    /// long as it takes to copy pointers.
    pub fn publish_lasting(&self, kind: &'static str, json: String) {
        let event = Arc::new(LiveEvent { kind, json });
        let mut lasting = self.lasting.lock().unwrap_or_else(PoisonError::into_inner);
        if lasting.len() >= LASTING_MAX {
            lasting.pop_front();
        }
        lasting.push_back(Arc::clone(&event));
        drop(lasting);
        if self.wanted() {
            let _ = self.ring.send(event);
        }
    }

    /// What was kept, the oldest first.
    pub(super) fn lasting(&self) -> Vec<Arc<LiveEvent>> {
        self.lasting.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub(super) fn listen(&self) -> broadcast::Receiver<Arc<LiveEvent>> {
        self.ring.subscribe()
    }
}
