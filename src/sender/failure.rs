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
    let http = find::<hyper::Error>(error);
    // hyper's word for a request that waited for its connection when that closed. It has not
    // started to write it, on HTTP/1 and HTTP/2 alike.
    if http.is_some_and(hyper::Error::is_canceled) {
        return nothing_sent;
    }
    let refused = find::<h2::Error>(error).is_some_and(is_refused_stream);
    let kind = if error.is_timeout() {
        FailureKind::Timeout
    } else if http.is_some_and(hyper::Error::is_parse) {
        FailureKind::BadResponse
    } else {
        FailureKind::Transport
    };
    Failure { kind, may_have_arrived: !refused }
}

/// Whether the server states that it has not looked at the request: its stream is beyond the last
/// one of an orderly GOAWAY, or was refused (RFC 9113 sections 6.8 and 8.7). Load balancers send
/// the first after every so many requests, so it happens to each long run.
fn is_refused_stream(error: &h2::Error) -> bool {
    let reason = error.reason();
    let left_over = error.is_go_away() && reason == Some(h2::Reason::NO_ERROR);
    let reset = error.is_reset() && reason == Some(h2::Reason::REFUSED_STREAM);
    error.is_remote() && (left_over || reset)
}

fn find<E: Error + 'static>(error: &reqwest::Error) -> Option<&E> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        source = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

    /// The failure of a request on HTTP/2 that the server answers with this frame.
    async fn failure_after(frame: &'static [u8]) -> Failure {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("bound"));
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            stream.write_all(&SETTINGS).await.expect("written");
            let mut buffer = [0; 4096];
            let mut seen = Vec::new();
            // A HEADERS frame for stream 1, wherever in the stream of frames it is.
            while !seen.windows(6).any(|w| w[0] == 1 && w[2..] == [0, 0, 0, 1]) {
                let n = stream.read(&mut buffer).await.expect("read");
                seen.extend_from_slice(&buffer[..n]);
            }
            stream.write_all(frame).await.expect("written");
            let _ = stream.read(&mut buffer).await;
        });
        let client = reqwest::Client::builder()
            .http2_prior_knowledge()
            .retry(reqwest::retry::never())
            .timeout(Duration::from_secs(5))
            .tls_certs_only([])
            .no_proxy()
            .build()
            .expect("a client");
        of(&client.get(url).send().await.expect_err("no response"))
    }

    #[tokio::test]
    async fn a_stream_that_the_server_never_looked_at_has_not_arrived() {
        for (frame, may_have_arrived) in [
            // GOAWAY, last stream 0, NO_ERROR
            (&[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], false),
            // GOAWAY, last stream 0, ENHANCE_YOUR_CALM
            (&[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11], true),
            // RST_STREAM of stream 1, REFUSED_STREAM
            (&[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7], false),
            // RST_STREAM of stream 1, INTERNAL_ERROR
            (&[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 2], true),
        ] {
            let failure = failure_after(frame).await;
            assert_eq!(failure.kind, FailureKind::Transport, "{frame:?}");
            assert_eq!(failure.may_have_arrived, may_have_arrived, "{frame:?}");
        }
    }
}
