//! What becomes of a panic.

use crate::cli::EXIT_FAILURE;

/// From now on a panic in any task or thread ends the process: half a daemon is worse than none, and whoever
/// supervises it starts it afresh. The message is printed before; it cannot hold a secret, because no type
/// that does shows its content.
#[expect(clippy::disallowed_methods, reason = "a panic has no other way out of a task")]
pub fn end_the_process() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        std::process::exit(i32::from(EXIT_FAILURE));
    }));
}
