//! How far a probe is, on the terminal. Quiet when standard error is none.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::watch;

use crate::infer::study::{Budget, Progress};

/// Shows progress until it is aborted, or the probe is over.
pub(super) async fn show(mut progress: watch::Receiver<Progress>, budget: Budget) {
    let bar = ProgressBar::with_draw_target(Some(budget.requests), ProgressDrawTarget::stderr());
    let template = "{elapsed:>4} {bar:24} {pos}/{len} requests, {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    let bar = Cleared(bar);
    while progress.changed().await.is_ok() {
        let Progress { requests, throttles, doing, believes } = progress.borrow().clone();
        let believes = if believes.is_empty() { believes } else { format!("; {believes}") };
        bar.0.set_position(requests);
        bar.0.set_message(format!("{throttles} refused; {doing}{believes}"));
    }
}

/// A bar that leaves nothing behind.
struct Cleared(ProgressBar);

impl Drop for Cleared {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
