//! nginx's way of writing a format: `$variable`.

use super::compile::{Edge, Piece, Role, Unit, Variable};
use super::time::Form;

pub(super) fn pieces(format: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = format;
    while let Some(at) = rest.find('$') {
        pieces.push(Piece::Text(rest[..at].to_owned()));
        rest = &rest[at + 1..];
        let name = if let Some(inside) = rest.strip_prefix('{') {
            let end = inside.find('}').ok_or("a { without its }")?;
            rest = &inside[end + 1..];
            &inside[..end]
        } else {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
            rest = after;
            name
        };
        if name.is_empty() {
            return Err("a $ without a name".to_owned());
        }
        pieces.push(Piece::Variable(Variable { name: name.to_owned(), role: role(name) }));
    }
    pieces.push(Piece::Text(rest.to_owned()));
    Ok(pieces)
}

fn role(name: &str) -> Role {
    match name {
        "msec" => Role::Clock(Edge::End, Form::UnixSeconds),
        "time_iso8601" => Role::Clock(Edge::End, Form::Iso),
        "time_local" => Role::Clock(Edge::End, Form::Clf),
        "request_time" => Role::Took(Unit::Fractions),
        "status" => Role::Status,
        "limit_req_status" => Role::LimitStatus,
        "request" => Role::Request,
        "remote_addr" | "realip_remote_addr" => Role::Address,
        _ => {
            let header = ["sent_http_", "upstream_http_"].iter().find_map(|p| name.strip_prefix(p));
            let header = header.and_then(|name| name.replace('_', "-").parse().ok());
            header.map_or(Role::Other, Role::Header)
        }
    }
}
