//! Every metric name, span and log line: what the engine's events become.
