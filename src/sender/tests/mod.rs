//! The client against small servers on loopback, which answer with the bytes they are told to.

mod client;
mod faults;
mod login;
mod secrets;
mod server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderName, Method};

use super::*;
use crate::model::{Answer, EndpointId, MessageId, Moment};

const CANARY: &str = "canary-0123456789";

fn clock() -> Clock {
    let start = Instant::now();
    let now = move || Moment::ZERO + start.elapsed();
    Clock::new(now, || 1_700_000_000_000_000_000)
}

fn settings(base_url: String) -> EndpointSettings {
    EndpointSettings {
        id: EndpointId(1),
        name: "test".into(),
        base_url,
        method: Method::POST,
        http_version: HttpVersion::Auto,
        timeout: Duration::from_secs(5),
        connect_timeout: Duration::from_secs(2),
        response_bytes_max: 1000,
        success: Success { statuses: vec![200, 202], body: None },
        dialect: ThrottleDialect::Genesys,
        idempotency_key_header: Some(HeaderName::from_static("idempotency-key")),
    }
}

/// Whatever the environment says.
pub(super) fn direct() -> ConnectionSettings {
    ConnectionSettings {
        name: "test".into(),
        proxy: ProxySettings::Environment,
        ca_file: None,
        system_roots: true,
        certificate: None,
        tls_version_min: TlsVersion::Tls12,
        source_address: None,
        age_max: Duration::from_secs(60),
    }
}

fn client(settings: EndpointSettings) -> EndpointClient {
    EndpointClient::new(settings, &direct(), &mut Connections::new(10, clock()), clock())
        .expect("a client")
}

fn rendered(path: &str) -> Rendered {
    let body = Bytes::from_static(br#"{"to":{"id":"participant-id"},"text":"message"}"#);
    Rendered::new(Arc::from(path), Vec::new(), body).expect("a path")
}

fn bearer() -> Bearer {
    Bearer::new(&CANARY.into(), 1).expect("a token")
}

async fn send(client: &EndpointClient) -> Answer {
    client.send(rendered("/messages"), Some(&bearer()), None, MessageId(0xabc), |_, _| {}).await
}
