//! The name, type, labels and help of every metric: the one place where names are written.
//! `METRICS.md` describes the same set for people, and a test holds the two together.

/// The type of a metric family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only goes up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Cumulative buckets.
    Histogram,
}

/// One metric family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// Its full name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its label names, in the order of the values.
    pub labels: &'static [&'static str],
    /// What it means, in a sentence.
    pub help: &'static str,
}

macro_rules! families {
    ($($id:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(pub(in crate::telemetry) static $id: Family = Family {
            name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help,
        };)+

        /// Every metric of our own, in the order of `METRICS.md`.
        pub static CATALOG: &[&Family] = &[$(&$id),+];
    };
}

families! {
    SLOTS_SCHEDULED = Counter "plimsoll_slots_scheduled_total" ["stream", "target"]
        "Slots that came due; each was sent or skipped.";
    SLOTS_SENT = Counter "plimsoll_slots_sent_total" ["stream", "target"]
        "Slots that were sent: one attempt each.";
    SLOTS_SKIPPED = Counter "plimsoll_slots_skipped_total" ["stream", "target", "reason"]
        "Slots that passed without a send, by reason.";
    CONFIGURED_RATE = Gauge "plimsoll_stream_configured_rate" ["stream", "target"]
        "Configured rate, in slots per second.";
    SCHEDULED_RATE = Gauge "plimsoll_stream_scheduled_rate" ["stream", "target"]
        "Rate the schedule aims at now, ramp included, in slots per second.";
    STREAM_INFO = Gauge "plimsoll_stream_info" ["stream", "target", "credential", "domain"]
        "Always 1; which credential and limit domain a stream belongs to.";

    ATTEMPTS = Counter "plimsoll_attempts_total" ["stream", "target", "outcome"]
        "Attempts that ended, by outcome.";
    IN_FLIGHT = Gauge "plimsoll_attempts_in_flight" ["stream", "target"]
        "Attempts that were sent and have not ended.";
    RESENDS = Counter "plimsoll_resends_total" ["stream", "target"]
        "Attempts that were not the first of their message.";
    MESSAGES_STARTED = Counter "plimsoll_messages_started_total" ["stream", "target"]
        "Messages whose first attempt was sent.";
    MESSAGES_ENDED = Counter "plimsoll_messages_ended_total" ["stream", "target", "result"]
        "Messages that ended, by result.";
    RETRIES_QUEUED = Counter "plimsoll_retries_queued_total" ["stream", "target"]
        "Times a message was put aside for another attempt.";
    ERRORS = Counter "plimsoll_errors_total" ["target", "kind"]
        "Failed attempts by kind of failure.";
    RESPONSES = Counter "plimsoll_responses_total" ["target", "code"]
        "Responses by status code; unlisted codes count under their class.";

    LATENESS = Histogram "plimsoll_send_lateness_seconds" ["target"]
        "From when a slot was due until its request was handed to the HTTP client.";
    SERVICE = Histogram "plimsoll_service_duration_seconds" ["target", "outcome"]
        "From when a request was handed to the HTTP client until its attempt ended.";
    RESPONSE = Histogram "plimsoll_response_duration_seconds" ["target", "outcome"]
        "From when a slot was due until its attempt ended, so that lateness cannot hide.";
    DELIVERY = Histogram "plimsoll_message_delivery_duration_seconds" ["target"]
        "From when a message's first slot was due until it was accepted, pauses included.";

    ADVICE = Counter "plimsoll_throttle_advice_total" ["target", "source"]
        "Throttled attempts by where their advice was found.";
    RETRY_AFTER = Histogram "plimsoll_retry_after_asked_seconds" ["target"]
        "Waits that throttled responses asked for, before any bound.";
    GATE_STATE = Gauge "plimsoll_gate_state" ["gate"]
        "0 open, 1 half open (one request asks whether traffic may resume), 2 closed.";
    GATE_UNTIL = Gauge "plimsoll_gate_closed_until_timestamp_seconds" ["gate"]
        "Unix time at which the latest pause ends or ended; 0 before the first.";
    GATE_LEVEL = Gauge "plimsoll_gate_backoff_level" ["gate"]
        "Epochs in a row without an admitted resume request, or with hardly anything admitted after it; 0 while open.";
    GATE_LONG = Gauge "plimsoll_gate_long" ["gate"]
        "1 while a pause longer than the configured maximum holds the gate.";
    GATE_EPOCHS = Counter "plimsoll_gate_epochs_total" ["gate"]
        "Times the gate was closed.";
    GATE_EXTENSIONS = Counter "plimsoll_gate_extensions_total" ["gate"]
        "Times a later throttle of the same epoch moved the end of the pause.";
    GATE_LONG_PAUSES = Counter "plimsoll_gate_long_pauses_total" ["gate"]
        "Pauses that were longer than the configured maximum.";
    GATE_HELD = Counter "plimsoll_gate_held_seconds_total" ["gate"]
        "Time the gate held traffic back, the present pause included.";
    GATE_VIOLATIONS = Counter "plimsoll_gate_violations_total" ["gate"]
        "Requests sent inside a pause: a defect of the sender.";

    PACE_RATE = Gauge "plimsoll_pace_rate" ["gate"]
        "Rate of an adaptive scope, its fixed streams included, in slots per second.";
    PACE_CEILING = Gauge "plimsoll_pace_ceiling" ["gate"]
        "Highest rate that configuration allows the scope, in slots per second.";
    PACE_STATE = Gauge "plimsoll_pace_state" ["gate", "state"]
        "What the adaptive policy is doing: 1 for its state, 0 for the others.";
    PACE_CHANGES = Counter "plimsoll_pace_changes_total" ["gate", "reason"]
        "Times a change of the rate was told, by its reason.";
    PACE_IN_FLIGHT = Gauge "plimsoll_pace_in_flight_max" ["gate"]
        "Requests in flight that a recognised concurrency limit allows.";
    ESTIMATE_RATE = Gauge "plimsoll_estimate_rate" ["gate"]
        "Highest rate that the server admits, as far as is known, in requests per second.";
    ESTIMATE_LOW = Gauge "plimsoll_estimate_rate_low" ["gate"]
        "Lower end of the 95 % interval of the estimated limit.";
    ESTIMATE_HIGH = Gauge "plimsoll_estimate_rate_high" ["gate"]
        "Upper end of the 95 % interval of the estimated limit.";
    ESTIMATE_CONFIDENCE = Gauge "plimsoll_estimate_confidence" ["gate"]
        "Probability that the limiter is of the estimated kind, 0 to 1.";
    ESTIMATE_INFO = Gauge "plimsoll_estimate_info" ["gate", "kind", "source", "scope"]
        "Always 1; the kind of limiter that explains the record best, what that rests on, and who shares it.";
    ESTIMATE_AT = Gauge "plimsoll_estimate_timestamp_seconds" ["gate"]
        "Unix time at which the estimate was made.";
    ESTIMATE_THROTTLES = Gauge "plimsoll_estimate_throttles" ["gate"]
        "Epochs that the estimate rests on.";
    ESTIMATE_HEADROOM = Gauge "plimsoll_estimate_headroom_ratio" ["gate"]
        "Share of the estimated limit that is not used: 1 less the rate admitted lately over the limit.";
    DECLARED_RATE = Gauge "plimsoll_declared_rate" ["gate"]
        "Rate that quota hints declare, over the window that they state or the limit is believed to have, in requests per second.";
    DECLARED_DISAGREEMENT = Gauge "plimsoll_declared_disagreement_ratio" ["gate"]
        "Estimated limit over the declared one, less 1: 0 when they agree, below when less is admitted than declared.";
    LIMIT_CHANGES = Counter "plimsoll_limit_changes_total" ["gate", "direction"]
        "Times the limit was found to have moved.";
    LIMIT_CHANGED_AT = Gauge "plimsoll_limit_last_change_timestamp_seconds" ["gate", "direction"]
        "Unix time of the first request whose answer speaks for the latest change; 0 before the first.";
    LIMIT_CHANGED_FROM = Gauge "plimsoll_limit_last_change_from_rate" ["gate"]
        "Limit before its latest change, in requests per second.";
    LIMIT_CHANGED_TO = Gauge "plimsoll_limit_last_change_to_rate" ["gate"]
        "Limit after its latest change, as far as it was known then, in requests per second.";
    LIMIT_CHANGED_CONFIDENCE = Gauge "plimsoll_limit_last_change_confidence" ["gate"]
        "Probability that the latest change was one, 0 to 1.";
    LIMIT_SIGHT = Gauge "plimsoll_limit_change_sight" ["gate", "sight"]
        "Which changes of the limit would show in the traffic as it is: 1 for what is true, 0 for the others.";
    HINTS_TRUSTED = Gauge "plimsoll_hints_trusted" ["gate"]
        "1 while quota hints agree with what is admitted, 0 when they turned out wrong.";

    PAUSED = Gauge "plimsoll_paused" ["stream"]
        "1 while the stream is paused by itself; of \"*\", while everything is.";
    ACTIVE = Gauge "plimsoll_stream_active" ["stream"]
        "0 outside of the stream's active hours.";
    CAP_LIMIT = Gauge "plimsoll_cap_limit" ["stream", "window"]
        "Messages that the cap allows; of \"*\", all streams together.";
    CAP_USED = Gauge "plimsoll_cap_used" ["stream", "window"]
        "Messages that count in the cap's window now.";
    CAP_REACHED = Gauge "plimsoll_cap_reached" ["stream", "window"]
        "1 while the cap lets no new message through.";
    CAPS_REACHED = Counter "plimsoll_cap_reached_times_total" ["stream", "window"]
        "Times the cap came to be reached.";
    BREAKER_STATE = Gauge "plimsoll_breaker_state" ["domain"]
        "Circuit breaker: 0 closed, 1 half open (one request asks if the API is back), 2 open.";
    BREAKER_UNTIL = Gauge "plimsoll_breaker_open_until_timestamp_seconds" ["domain"]
        "Unix time at which the latest pause of the breaker ends or ended; 0 before the first.";
    BREAKER_OPENED = Counter "plimsoll_breaker_opened_total" ["domain"]
        "Times the circuit breaker opened, failed trials included.";
    BREAKER_HELD = Counter "plimsoll_breaker_held_seconds_total" ["domain"]
        "Time the circuit breaker held traffic back, the present pause included.";

    HINTS = Counter "plimsoll_quota_hints_total" ["target", "dialect", "result"]
        "Quota hints in responses, by dialect and whether they could be read.";
    QUOTA_LIMIT = Gauge "plimsoll_quota_limit" ["stream", "target", "dialect"]
        "Quota that the latest response with one stated.";
    QUOTA_REMAINING = Gauge "plimsoll_quota_remaining" ["stream", "target", "dialect"]
        "What was left of the quota, as the latest response with one stated.";
    QUOTA_RESET = Gauge "plimsoll_quota_reset_timestamp_seconds" ["stream", "target", "dialect"]
        "Unix time of the quota's reset, as the latest response with one stated.";

    QUOTA_WINDOW = Gauge "plimsoll_quota_window_seconds" ["stream", "target", "dialect"]
        "Length of the quota's window, as the latest response with one stated.";

    TOKEN_FETCHES = Counter "plimsoll_token_fetches_total" ["credential", "result"]
        "Token fetches that ended, by result.";
    TOKEN_EXPIRY = Gauge "plimsoll_token_expiry_timestamp_seconds" ["credential"]
        "Unix time at which the token expires; +Inf for a static one, 0 without one.";
    TOKEN_REVOKED = Counter "plimsoll_tokens_revoked_total" ["credential"]
        "Tokens dropped because the API refused them.";
    AUXILIARY = Counter "plimsoll_auxiliary_requests_total" ["kind"]
        "Requests that are no attempts and in none of the sums.";

    SPANS_EXPORTED = Counter "plimsoll_spans_exported_total" []
        "Spans the collector took.";
    SPANS_FAILED = Counter "plimsoll_spans_failed_total" []
        "Spans lost because an export failed.";
    SPANS_DROPPED = Counter "plimsoll_spans_dropped_total" ["reason"]
        "Spans lost before an export, by reason.";
    SPANS_QUEUED = Gauge "plimsoll_spans_queued" []
        "Spans that wait for an export or are in one.";
    SPANS_CAPACITY = Gauge "plimsoll_spans_queue_capacity" []
        "Spans that may wait; 0 when traces are off.";
    LOG_LINES_LOST = Counter "plimsoll_log_lines_dropped_total" []
        "Log lines lost because the writer could not keep up.";
    ATTEMPT_LOG_LINES = Counter "plimsoll_attempt_log_lines_total" ["result"]
        "Lines of the attempt log: written, dropped because the disk could not keep up, or failed.";

    HEARTBEAT = Gauge "plimsoll_send_loop_heartbeat_timestamp_seconds" []
        "Unix time at which the send loop last woke.";
    WAKEUPS = Counter "plimsoll_send_loop_wakeups_total" []
        "Times the send loop woke.";
    WAKE_LAG = Histogram "plimsoll_send_loop_wake_lag_seconds" []
        "How much later than planned the send loop woke, where it had planned to.";
    RUNTIME_TASKS = Gauge "plimsoll_runtime_tasks" ["runtime"]
        "Tasks of a runtime that have not ended.";
    RUNTIME_QUEUE = Gauge "plimsoll_runtime_queue_depth" ["runtime"]
        "Tasks that were handed to a runtime from outside and wait for a worker.";
    RUNTIME_BUSY = Counter "plimsoll_runtime_busy_seconds_total" ["runtime"]
        "Time in which a runtime's workers were not idle, summed over its workers.";
    DRAINING = Gauge "plimsoll_draining" []
        "1 once no further slots are scheduled.";

    GOAL_THROTTLED = Gauge "plimsoll_objective_throttled_ratio" []
        "Share of the attempts that may be throttled, as configured.";
    GOAL_GOODPUT = Gauge "plimsoll_objective_goodput_ratio" []
        "Share of the scheduled rate that is to be accepted, as configured.";
    GOAL_LIMIT_FALL = Gauge "plimsoll_objective_limit_fall_ratio" []
        "A limit that falls by more than this share of its past has changed, as configured.";
    GOAL_GROWTH = Gauge "plimsoll_objective_growth_ratio" []
        "Latency and Retry-After may grow to this many times their past, as configured.";
    GOAL_LATENCY = Gauge "plimsoll_objective_latency_seconds" []
        "A 95th percentile of the service time below this is fast enough, as configured.";
    GOAL_HELD = Gauge "plimsoll_objective_held_ratio" []
        "Share of the time that gates may hold traffic back, as configured.";
    GOAL_SKIPPED = Gauge "plimsoll_objective_skipped_ratio" []
        "Share of the slots that may be skipped for reasons of our own, as configured.";
    GOAL_SPANS_LOST = Gauge "plimsoll_objective_spans_lost_ratio" []
        "Share of the spans that may be lost, as configured.";
    GOAL_TOKEN = Gauge "plimsoll_objective_token_validity_seconds" []
        "A token is to be valid for at least this long, as configured.";
    GOAL_HEARTBEAT = Gauge "plimsoll_objective_heartbeat_seconds" []
        "The send loop counts as dead when it has not woken for this long, as configured.";

    RELOAD_OK = Gauge "plimsoll_config_last_reload_successful" []
        "1 when the latest configuration was applied, 0 when it was refused.";
    RELOAD_AT = Gauge "plimsoll_config_last_reload_success_timestamp_seconds" []
        "Unix time at which a configuration was last applied.";
    RELOADS = Counter "plimsoll_config_reloads_total" ["result"]
        "Configurations that were applied or refused, the first included.";
    STATE_WRITES = Counter "plimsoll_state_writes_total" ["result"]
        "Times the state file was written, or could not be.";
    STATE_WRITTEN = Gauge "plimsoll_state_written_timestamp_seconds" []
        "Unix time at which the state file was last written; 0 before the first time.";
    BUILD_INFO = Gauge "plimsoll_build_info" ["version", "revision", "rustc"]
        "Always 1; what was built from what.";
    POD_INFO = Gauge "plimsoll_pod_info" ["k8s_namespace_name", "k8s_pod_name", "k8s_node_name"]
        "Always 1; where in Kubernetes it runs.";
    STARTED = Gauge "plimsoll_start_timestamp_seconds" []
        "Unix time at which the daemon started.";
}
