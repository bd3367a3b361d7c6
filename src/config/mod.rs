//! Layered configuration: defaults, files, environment, flags; validated all at once.
