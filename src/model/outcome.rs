//! How slots, attempts and messages end. Each set is closed; each value is one label value.

use std::fmt;

use serde::Serialize;

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every value, in declaration order: the index of a value is its position here.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The label value.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// Position in [`Self::ALL`].
            #[must_use]
            pub const fn index(self) -> usize {
                self as usize
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(super) use labels;

labels!(
    /// How an attempt ended. Every attempt ends as exactly one of these.
    Outcome {
        /// The target's success criteria were met.
        Accepted = "accepted",
        /// Refused because of a limit.
        Throttled = "throttled",
        /// A final 4xx (or an answer that fails the success criteria) that is not throttling.
        Rejected = "rejected",
        /// 5xx, transport error, timeout, or abandoned at drain.
        Failed = "failed",
    }
);

labels!(
    /// Why a slot was not sent.
    SkipReason {
        /// Later than the bounded catch-up allows.
        Late = "late",
        /// A gate of the stream's scope was closed.
        Gated = "gated",
        /// No valid token at the time.
        NoToken = "no_token",
        /// The cap on requests in flight was reached.
        InFlight = "in_flight",
        /// The learned model of the limit says that the server would refuse now.
        Vetoed = "vetoed",
        /// An operator, or configuration, has paused the stream or everything.
        Paused = "paused",
        /// It was outside of the active hours.
        OffHours = "off_hours",
        /// A cap on messages was reached.
        Capped = "capped",
        /// A cap's count could not be written to the state file yet.
        Unrecorded = "unrecorded",
        /// The circuit breaker of the limit domain was open.
        CircuitOpen = "circuit_open",
    }
);

labels!(
    /// How a message ended. Every message ends as exactly one of these.
    MessageResult {
        /// An attempt was accepted.
        Delivered = "delivered",
        /// An attempt was rejected: sending it again would not help.
        Rejected = "rejected",
        /// The last allowed attempt did not succeed.
        AttemptsExhausted = "attempts_exhausted",
        /// The retry budget had nothing left.
        BudgetExhausted = "budget_exhausted",
        /// Its deadline came before another attempt could be made.
        DeadlineExceeded = "deadline_exceeded",
        /// It may have reached the server and the target names no idempotency key.
        Unsafe = "unsafe_to_resend",
        /// The queue of messages waiting for a retry was full.
        QueueFull = "queue_full",
        /// The daemon was told to stop, or the stream was removed, before it could be sent again.
        Drained = "drained",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_the_position() {
        for (i, outcome) in Outcome::ALL.iter().enumerate() {
            assert_eq!(outcome.index(), i);
        }
        assert_eq!(SkipReason::InFlight.to_string(), "in_flight");
    }
}
