//! What kind of failure an error of the HTTP client is, and whether the server may have acted.
//!
//! Where the chain of errors does not prove that nothing was written, the answer is "may have
//! arrived": a wrong "no" would send a second message to a person.

use std::error::Error;

use crate::model::{Failure, FailureKind};

/// The failure behind an error of a request or of the reading of its response.
pub(super) fn of(error: &reqwest::Error) -> Failure {
    let nothing_sent = Failure { kind: FailureKind::Connect, may_have_arrived: false };
    // Refused, unreachable, DNS, TLS, a proxy, or the connect timeout; and what could not even be
    // made a request.
    if error.is_connect() || error.is_builder() {
        return nothing_sent;
    }
    let http = http_error(error);
    // hyper's word for a request that waited for its connection when that closed. It has not
    // started to write it, on HTTP/1 and HTTP/2 alike.
    if http.is_some_and(hyper::Error::is_canceled) {
        return nothing_sent;
    }
    let kind = if error.is_timeout() {
        FailureKind::Timeout
    } else if http.is_some_and(hyper::Error::is_parse) {
        FailureKind::BadResponse
    } else {
        FailureKind::Transport
    };
    Failure { kind, may_have_arrived: true }
}

fn http_error(error: &reqwest::Error) -> Option<&hyper::Error> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        source = error.source();
    }
    None
}
