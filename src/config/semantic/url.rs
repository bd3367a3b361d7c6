//! URLs of targets, login servers and collectors.

use std::net::IpAddr;

use http::Uri;

use super::Fault;
use crate::sender::{DomainError, GENESYS_DOMAINS};

/// The parts of a URL that others ask for.
#[derive(Debug)]
pub(super) struct Url {
    /// Without a trailing slash.
    pub(super) text: String,
    /// Without the brackets of IPv6.
    pub(super) host: String,
    pub(super) port: u16,
    /// Host, and port where it is not the scheme's own: names a server.
    pub(super) server: String,
}

const HTTPS: &str = "https://HOST[:PORT][/PATH]";
const HTTP: &str = "http:// or https://HOST[:PORT][/PATH]";

/// Reads a URL without user, query and fragment; https, unless it may be plain.
pub(super) fn parse(text: &str, plain_http: Plain) -> Result<Url, Fault> {
    let form = if matches!(plain_http, Plain::Allowed) { HTTP } else { HTTPS };
    let uri: Uri = text.parse().map_err(|_| Fault::new("not a URL", form))?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(Fault::new("not an absolute URL", form));
    };
    if authority.as_str().contains('@') {
        return Err(Fault::new("has a user or password in it", form));
    }
    if text.contains(['?', '#']) {
        return Err(Fault::new("has a query or fragment", form));
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_lowercase();
    if host.is_empty() {
        return Err(Fault::new("has no host", form));
    }
    let usual = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return Err(Fault::new("neither http nor https", form)),
    };
    if scheme == "http" && matches!(plain_http, Plain::LoopbackOnly) && !is_loopback(&host) {
        return Err(Fault::new(
            "credentials and messages would be sent unencrypted",
            "https, or http to this machine, or allow_plain_http = true beside it",
        ));
    }
    let port = match authority.as_str().rsplit_once(':') {
        Some((_, port)) if !port.contains(']') => {
            let port = port.parse().ok().filter(|p| *p > 0);
            port.ok_or_else(|| Fault::new("not a port", "1 to 65535"))?
        }
        _ => usual,
    };
    let shown = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let server = if port == usual { shown } else { format!("{shown}:{port}") };
    Ok(Url { text: text.trim_end_matches('/').to_owned(), host, port, server })
}

/// Where plain http may go.
#[derive(Clone, Copy, Debug)]
pub(super) enum Plain {
    Allowed,
    LoopbackOnly,
}

impl Plain {
    pub(super) const fn when(allowed: bool) -> Self {
        if allowed { Self::Allowed } else { Self::LoopbackOnly }
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// What is wrong with a text that is no region of Genesys Cloud.
pub(super) fn no_region(error: DomainError) -> Fault {
    Fault::new(error.to_string(), GENESYS_DOMAINS.join(", "))
}
