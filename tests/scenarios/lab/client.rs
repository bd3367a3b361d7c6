//! What is examined: anything that decides when to send, given the answers so far.

use plimsoll::model::{Answer, AttemptId, Moment, SendOrder};

/// What a client does next.
#[derive(Debug)]
pub(crate) enum Next {
    Send(SendOrder),
    /// Nothing before this moment, unless an answer comes first.
    Wait(Moment),
}

/// A client under examination. Time is an argument, as it is for the engine.
pub(crate) trait Client {
    fn next(&mut self, now: Moment) -> Next;

    fn answered(&mut self, now: Moment, attempt: AttemptId, answer: Answer);

    /// Epochs so far, where the client knows such a thing.
    fn epochs(&self) -> u64 {
        0
    }
}
