//! What the web surface is handed: closures over the daemon's shared parts.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::Shared;
use super::send_loop::Command;
use super::telemetry_setup;
use crate::config::{LogLevel, WebSettings};
use crate::telemetry::LiveSink;
use crate::web::{Feed, GateOpening, Lifecycle, Security, WebContext};

/// Live events of telemetry, onto the feed of the web surface.
pub(super) struct FeedSink(pub(super) Feed);

impl LiveSink for FeedSink {
    fn wanted(&self) -> bool {
        self.0.wanted()
    }

    fn publish(&self, kind: &'static str, json: String) {
        self.0.publish(kind, json);
    }

    fn publish_lasting(&self, kind: &'static str, json: String) {
        self.0.publish_lasting(kind, json);
    }
}

/// The context of the web surface.
pub(super) fn context(
    shared: &Arc<Shared>,
    security: Security,
    settings: &WebSettings,
) -> WebContext {
    let heartbeat = settings.heartbeat;
    let telemetry = shared.telemetry.clone();
    let (beating, ready, config, status) =
        (Arc::clone(shared), Arc::clone(shared), Arc::clone(shared), Arc::clone(shared));
    WebContext {
        metrics: Arc::new(move |accept| {
            let exposition = telemetry.render(accept);
            (exposition.content_type, exposition.body)
        }),
        alive: Arc::new(move || {
            // A loop that has done what it was told to is not dead, merely done.
            let done = beating.commands.is_closed();
            done || beating.clock.now().since(beating.last_beat()) < heartbeat
        }),
        ready: Arc::new(move || {
            if ready.commands.is_closed() {
                Err("drained".to_owned())
            } else if *ready.signs.draining.borrow() {
                Err("draining".to_owned())
            } else {
                Ok(())
            }
        }),
        config: Arc::new(move || config.running().to_yaml()),
        status: Arc::new(move || {
            let shared = Arc::clone(&status);
            Box::pin(async move { shared.status().await })
        }),
        feed: shared.feed.clone(),
        security,
        lifecycle: settings.enable_lifecycle.then(|| controls(shared)),
    }
}

fn controls(shared: &Arc<Shared>) -> Lifecycle {
    let (reload, quit, gates) = (Arc::clone(shared), Arc::clone(shared), Arc::clone(shared));
    let logs = shared.logs.clone();
    let pauses = Arc::clone(shared);
    Lifecycle {
        reload: Arc::new(move || {
            let shared = Arc::clone(&reload);
            Box::pin(async move { shared.reload().await })
        }),
        quit: Arc::new(move || {
            // Full means that it was asked for already.
            let _ = quit.quit.try_send(());
        }),
        set_log_level: Arc::new(move |level| {
            let known = LogLevel::ALL.iter().find(|known| known.as_str() == level);
            let (Some(level), Some(logs)) = (known, &logs) else { return false };
            let filter = telemetry_setup::log_filter(level.as_str());
            let set = logs.set_filter(&filter).is_ok();
            // At a level that every filter lets through.
            tracing::error!(level = level.as_str(), "log level changed by an operator");
            set
        }),
        pause: Arc::new(move |stream, paused| {
            let shared = Arc::clone(&pauses);
            Box::pin(async move { shared.pause(stream.map(Into::into), paused).await })
        }),
        open_gate: Arc::new(move |name| {
            let shared = Arc::clone(&gates);
            Box::pin(async move {
                let (reply, answer) = oneshot::channel();
                shared.tell(Command::OpenGate(name, reply)).await;
                answer.await.unwrap_or(GateOpening::Unknown)
            })
        }),
    }
}
