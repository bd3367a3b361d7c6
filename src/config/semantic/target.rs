//! Targets.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderName, Method};

use super::connection::{self, Connections};
use super::url::{self, Plain, Url};
use super::{Check, Fault, MS, secs};
use crate::config::presets;
use crate::config::raw::{ConfigFile, DialectName, HttpVersionName, MethodName, TargetFile};
use crate::config::secret;
use crate::config::settings::TargetSettings;
use crate::model::{EndpointId, Scope};
use crate::schedule::{RequestTemplate, TemplateSource};
use crate::sender::{
    BodyMatch, EndpointSettings, HttpVersion, Preset, Success, ThrottleDialect, genesys_servers,
};

/// What a connection may take unless the target says otherwise.
const CONNECT_TIMEOUT: Duration = secs(3);

/// Headers that the HTTP client, the tracer or the credential sets.
const OWNED_HEADERS: [&str; 14] = [
    "authorization",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub(super) fn all(
    check: &mut Check<'_>,
    file: &ConfigFile,
    connections: &Connections,
) -> Vec<TargetSettings> {
    let targets: Vec<TargetSettings> = file
        .targets
        .iter()
        .filter_map(|(name, target)| one(check, file, connections, name, target))
        .collect();
    let mut domains: BTreeMap<(&str, u16), &TargetSettings> = BTreeMap::new();
    for target in &targets {
        let first = domains.entry((&target.server_address, target.server_port)).or_insert(target);
        if first.domain != target.domain {
            let (host, other) = (&target.server_address, &first.endpoint.name);
            check.problem(
                &["targets", &target.endpoint.name, "limit_domain"],
                format!("{host} is in another limit domain in targets.{other}"),
                format!("{}: a limit domain joins hosts and never divides one", first.domain),
            );
        }
    }
    targets
}

fn one(
    check: &mut Check<'_>,
    file: &ConfigFile,
    connections: &Connections,
    name: &str,
    target: &TargetFile,
) -> Option<TargetSettings> {
    let at = |key| ["targets", name, key];
    let preset = target.preset.as_deref().and_then(presets::named);
    let url = base_url(check, name, target);
    check.duration(&at("timeout"), target.timeout, MS * 10..=secs(600));
    let connect_timeout = target.connect_timeout.map_or_else(
        || CONNECT_TIMEOUT.min(target.timeout.0 / 2),
        |set| {
            let below = target.timeout.0.saturating_sub(MS).max(MS);
            check.duration(&at("connect_timeout"), set, MS..=below);
            set.0
        },
    );
    headers(check, file, name, target);
    let template = template(check, name, target, preset);
    let idempotency_key_header = idempotency_key_header(check, name, target);
    let success = success(check, name, target, preset);
    let domain = limit_domain(check, name, target);
    let connection = Some(&*target.connection);
    let connection = connection::named(check, connections, &at("connection"), connection);
    let url = url?;
    let dialect = match target.dialect {
        Some(DialectName::Standard) => ThrottleDialect::Standard,
        Some(DialectName::Genesys) => ThrottleDialect::Genesys,
        None => preset.map(|p| p.dialect).unwrap_or_default(),
    };
    let preset_method = preset.map_or(Method::POST, |p| p.method.clone());
    let endpoint = EndpointSettings {
        id: EndpointId::default(),
        name: name.into(),
        base_url: url.text,
        method: target.method.map_or(preset_method, http_method),
        http_version: match target.http_version {
            HttpVersionName::Http1 => HttpVersion::Http1,
            HttpVersionName::Auto => HttpVersion::Auto,
        },
        timeout: target.timeout.0,
        connect_timeout,
        response_bytes_max: usize::try_from(target.response_bytes_max).unwrap_or(usize::MAX),
        success,
        dialect,
        idempotency_key_header,
    };
    Some(TargetSettings {
        endpoint,
        template: template?,
        connection: connection?,
        domain: domain.unwrap_or(url.server).into(),
        scope: match &target.scope {
            None => Scope::Undecided,
            Some(factors) => Scope::Shared(factors.iter().copied().collect()),
        },
        server_address: url.host.into(),
        server_port: url.port,
    })
}

/// A gate holds back everybody whom a throttle of the domain may concern; that is only defined if the
/// targets of a domain agree on who shares its limit.
pub(super) fn one_scope_in_each_domain(check: &mut Check<'_>, targets: &[TargetSettings]) {
    let mut first: BTreeMap<&str, &TargetSettings> = BTreeMap::new();
    for target in targets {
        let known = *first.entry(&*target.domain).or_insert(target);
        if known.scope != target.scope {
            let (name, other) = (&*target.endpoint.name, &known.endpoint.name);
            let message = format!("targets.{other} is in the same limit domain, {}", target.domain);
            let allowed = format!("the scope of targets.{other}: {}", known.scope);
            check.problem(&["targets", name, "scope"], message, allowed);
        }
    }
}

fn base_url(check: &mut Check<'_>, name: &str, target: &TargetFile) -> Option<Url> {
    let plain = Plain::when(target.allow_plain_http);
    match (&target.base_url, &target.genesys_domain) {
        (Some(_), Some(_)) => {
            check.problem(
                &["targets", name, "genesys_domain"],
                "base_url is set as well",
                "one of base_url and genesys_domain",
            );
            None
        }
        (Some(url), None) => check.keep(&["targets", name, "base_url"], url::parse(url, plain)),
        (None, Some(domain)) => {
            let key = ["targets", name, "genesys_domain"];
            let servers = check.keep(&key, genesys_servers(domain).map_err(url::no_region))?;
            if servers.unknown {
                check.warn(format!(
                    "targets.{name}.genesys_domain: {domain} is no region known here"
                ));
            }
            check.keep(&key, url::parse(&servers.base_url, plain))
        }
        (None, None) => {
            if !check.is_reported(&["targets", name, "genesys_domain"]) {
                let allowed = "a URL such as https://api.example.com, or genesys_domain instead";
                check.problem(&["targets", name, "base_url"], "missing", allowed);
            }
            None
        }
    }
}

fn headers(check: &mut Check<'_>, file: &ConfigFile, name: &str, target: &TargetFile) {
    for (section, values) in [("headers", &target.headers), ("params", &target.params)] {
        for key in values.keys() {
            let at = ["targets", name, section, key.as_str()];
            let owned = OWNED_HEADERS.contains(&key.to_lowercase().as_str());
            if section == "headers" && owned {
                let allowed = "other headers; what authenticates belongs in a credential";
                check.problem(&at, "set by Plimsoll itself", allowed);
            } else if secret::is_secret(&at)
                && !file.allow_inline_secrets
                && !check.tree.is_from_env(&super::path(&at))
            {
                check.problem(
                    &at,
                    "looks like a secret, which may not stand in a file",
                    "a credential, or the environment variable PLIMSOLL__TARGETS__…, or \
                     allow_inline_secrets = true",
                );
            }
        }
    }
}

fn template(
    check: &mut Check<'_>,
    name: &str,
    target: &TargetFile,
    preset: Option<&'static Preset>,
) -> Option<RequestTemplate> {
    let (params, lacks) = params(check, name, target, preset);
    let path = target.path.as_deref().or(preset.map(|p| p.path)).unwrap_or("/");
    let body = target.body.as_deref().or(preset.map(|p| p.body));
    let mut headers = target.headers.clone();
    let has_type = headers.keys().any(|k| k.eq_ignore_ascii_case("content-type"));
    if !has_type && body.is_some_and(|b| !b.trim().is_empty()) {
        headers.insert("content-type".to_owned(), "application/json".to_owned());
    }
    let source = TemplateSource { path, headers: &headers, body, params: &params };
    match RequestTemplate::parse(&source) {
        Ok(template) => Some(template),
        Err(errors) => {
            for error in errors {
                let own = match error.part.as_str() {
                    "path" => target.path.is_some(),
                    "body" => target.body.is_some(),
                    _ => true,
                };
                if own || !lacks {
                    let (section, key) = error.part.split_once('.').unwrap_or((&error.part, ""));
                    let mut at = vec!["targets", name, section];
                    at.extend((!key.is_empty()).then_some(key));
                    let place = error.position.map(|p| format!(" at position {p}"));
                    let message = format!("{}{}", error.message, place.unwrap_or_default());
                    check.problem(&at, message, error.allowed);
                }
            }
            None
        }
    }
}

/// The target's parameters and, for those it leaves out, the preset's own values. Whether one is
/// missing that has none: then the template cannot be read, which is not another problem.
fn params(
    check: &mut Check<'_>,
    name: &str,
    target: &TargetFile,
    preset: Option<&Preset>,
) -> (BTreeMap<String, String>, bool) {
    let mut params = target.params.clone();
    let mut lacks = false;
    // A target may have a path and body of its own, which need not use the parameter.
    let texts = [
        target.path.as_deref().or(preset.map(|p| p.path)),
        target.body.as_deref().or(preset.map(|p| p.body)),
    ];
    for param in preset.map_or(&[][..], |p| p.params) {
        let at = ["targets", name, "params", param.name];
        let options = param.allowed.join(", ");
        match (target.params.get(param.name), param.default) {
            (Some(value), _) => {
                if !param.allowed.is_empty() && !param.allowed.contains(&value.as_str()) {
                    check.problem(&at, "not one of the allowed values", options);
                }
            }
            (None, Some(default)) => {
                params.insert(param.name.to_owned(), default.to_owned());
            }
            (None, None) if texts.iter().flatten().any(|t| t.contains(param.name)) => {
                lacks = true;
                check.problem(&at, "missing; the preset needs it", param.doc);
            }
            (None, None) => {}
        }
    }
    (params, lacks)
}

fn idempotency_key_header(
    check: &mut Check<'_>,
    name: &str,
    target: &TargetFile,
) -> Option<HeaderName> {
    let text = target.idempotency_key_header.as_ref()?;
    let header: Result<HeaderName, Fault> = text.parse().map_err(|_| {
        Fault::new("not a header name", "the name of a header, such as Idempotency-Key")
    });
    let header = check.keep(&["targets", name, "idempotency_key_header"], header)?;
    let taken = target.headers.keys().any(|k| k.eq_ignore_ascii_case(header.as_str()));
    if taken || OWNED_HEADERS.contains(&header.as_str()) {
        check.problem(
            &["targets", name, "idempotency_key_header"],
            "a header that is set already",
            "a header of its own",
        );
    }
    Some(header)
}

fn success(
    check: &mut Check<'_>,
    name: &str,
    target: &TargetFile,
    preset: Option<&Preset>,
) -> Success {
    let statuses = target
        .success_statuses
        .clone()
        .or(preset.map(|p| p.success_statuses.to_vec()))
        .unwrap_or_else(|| vec![200, 201, 202, 204]);
    if statuses.contains(&429) {
        let key = ["targets", name, "success_statuses"];
        check.problem(&key, "429 says throttled", "statuses of accepted requests");
    }
    if let Some(pointer) = &target.success_body_pointer {
        let escapes_are_whole =
            pointer.split('~').skip(1).all(|rest| rest.starts_with('0') || rest.starts_with('1'));
        if !(pointer.is_empty() || pointer.starts_with('/')) || !escapes_are_whole {
            let allowed = "a JSON pointer (RFC 6901), such as /id or /result/status";
            check.problem(&["targets", name, "success_body_pointer"], "not a pointer", allowed);
        }
    } else if target.success_body_equals.is_some() {
        let allowed = "success_body_pointer beside it";
        check.problem(&["targets", name, "success_body_equals"], "equals what?", allowed);
    }
    let equals = target.success_body_equals.clone();
    let body = target.success_body_pointer.clone().map(|pointer| BodyMatch { pointer, equals });
    Success { statuses, body }
}

fn limit_domain(check: &mut Check<'_>, name: &str, target: &TargetFile) -> Option<String> {
    let domain = target.limit_domain.as_ref()?;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-:[]".contains(&b);
    if domain.is_empty() || domain.len() > 253 || !domain.bytes().all(plain) {
        check.problem(
            &["targets", name, "limit_domain"],
            "not a name",
            "1 to 253 lower-case letters, digits and . _ - :",
        );
    }
    Some(domain.clone())
}

const fn http_method(name: MethodName) -> Method {
    match name {
        MethodName::Get => Method::GET,
        MethodName::Head => Method::HEAD,
        MethodName::Post => Method::POST,
        MethodName::Put => Method::PUT,
        MethodName::Patch => Method::PATCH,
        MethodName::Delete => Method::DELETE,
    }
}
