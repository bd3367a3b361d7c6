//! Apache's way of writing a format: `%>s`, `%{Retry-After}o`. Its times are those at which requests came.

use super::compile::{Edge, Piece, Role, Unit, Variable};
use super::time::Form;

pub(super) fn pieces(format: &str) -> Result<Vec<Piece>, String> {
    // In its configuration a format stands in quotes.
    let format = format.replace("\\\"", "\"");
    let mut pieces = Vec::new();
    let mut rest = &*format;
    while let Some(at) = rest.find('%') {
        pieces.push(Piece::Text(rest[..at].to_owned()));
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            pieces.push(Piece::Text("%".to_owned()));
            rest = after;
            continue;
        }
        let modifiers = |c: char| matches!(c, '<' | '>' | '!' | ',') || c.is_ascii_digit();
        rest = rest.trim_start_matches(modifiers);
        let argument = match rest.strip_prefix('{') {
            Some(inside) => {
                let end = inside.find('}').ok_or("a { without its }")?;
                rest = &inside[end + 1..];
                Some(&inside[..end])
            }
            None => None,
        };
        let directive = rest.chars().next().filter(char::is_ascii_alphabetic);
        let directive = directive.ok_or("a % without a letter")?;
        rest = &rest[1..];
        pieces.extend(variable(directive, argument)?);
    }
    pieces.push(Piece::Text(rest.to_owned()));
    Ok(pieces)
}

fn variable(directive: char, argument: Option<&str>) -> Result<Vec<Piece>, String> {
    let named = |name: &str, role| vec![Piece::Variable(Variable { name: name.to_owned(), role })];
    let header = |name: &str| name.to_ascii_lowercase().replace('-', "_");
    Ok(match (directive, argument) {
        ('h' | 'a', _) => named("remote_addr", Role::Address),
        ('u', _) => named("remote_user", Role::Other),
        ('r', _) => named("request", Role::Request),
        ('m', _) => named("method", Role::Other),
        ('U', _) => named("path", Role::Other),
        ('v' | 'V', _) => named("host", Role::Other),
        ('s', _) => named("status", Role::Status),
        ('D', _) => named("request_time", Role::Took(Unit::Microseconds)),
        ('T', None | Some("s")) => named("request_time", Role::Took(Unit::Seconds)),
        ('T', Some("ms")) => named("request_time", Role::Took(Unit::Milliseconds)),
        ('T', Some("us")) => named("request_time", Role::Took(Unit::Microseconds)),
        ('i', Some(name)) => named(&format!("http_{}", header(name)), Role::Other),
        ('o', Some(name)) => {
            let role = name.parse().map_or(Role::Other, Role::Header);
            named(&format!("sent_http_{}", header(name)), role)
        }
        // Its brackets belong to it.
        ('t', None) => {
            let time = named("time", Role::Clock(Edge::Begin, Form::Clf));
            let text = |text: &str| Piece::Text(text.to_owned());
            [vec![text("[")], time, vec![text("]")]].concat()
        }
        ('t', Some(argument)) => {
            let (edge, form) = match argument.split_once(':') {
                Some(("begin", form)) => (Edge::Begin, form),
                Some(("end", form)) => (Edge::End, form),
                _ => (Edge::Begin, argument),
            };
            let form = match form {
                "sec" => Form::UnixSeconds,
                "msec" => Form::UnixMilliseconds,
                "usec" => Form::UnixMicroseconds,
                _ => {
                    return Err(format!(
                        "%{{{argument}}}t: read are %t and %{{sec}}t, %{{msec}}t, %{{usec}}t"
                    ));
                }
            };
            named("time", Role::Clock(edge, form))
        }
        (letter, argument) => {
            let name =
                argument.map_or_else(|| letter.to_string(), |a| format!("{letter}_{}", header(a)));
            named(&name, Role::Other)
        }
    })
}
