//! Envoy's way of writing a format: `%OPERATOR(ARGUMENT):LENGTH%`.

use super::compile::{Edge, Piece, Role, Unit, Variable};
use super::time::Form;

/// Whether a format is written so: Apache's directives are single letters.
pub(super) fn is_envoy(format: &str) -> bool {
    let is_of_operator = |b: &u8| b.is_ascii_uppercase() || *b == b'_';
    let mut after = format.split('%').skip(1).map(str::as_bytes);
    after.any(|text| text.len() >= 2 && text[..2].iter().all(is_of_operator))
}

pub(super) fn pieces(format: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        pieces.push(Piece::Text(rest[..at].to_owned()));
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            pieces.push(Piece::Text("%".to_owned()));
            rest = after;
            continue;
        }
        let end = end(rest).ok_or("a % without its other %")?;
        let variable = variable(&rest[..end])?;
        pieces.push(Piece::Variable(variable));
        rest = &rest[end + 1..];
    }
    pieces.push(Piece::Text(rest.to_owned()));
    Ok(pieces)
}

/// Where the operator ends. A format of time inside of brackets has percent signs of its own.
fn end(text: &str) -> Option<usize> {
    let mut inside = false;
    text.char_indices().find_map(|(at, c)| {
        inside = (inside || c == '(') && c != ')';
        (c == '%' && !inside).then_some(at)
    })
}

fn variable(text: &str) -> Result<Variable, String> {
    let (operator, rest) = text.split_once('(').map_or((text, None), |(o, rest)| (o, Some(rest)));
    let operator = operator.split(':').next().unwrap_or_default();
    let known = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    if operator.len() < 2 || !operator.chars().all(known) {
        return Err(format!("%{text}% is no operator"));
    }
    let argument = rest.and_then(|rest| rest.rsplit_once(')')).map(|(argument, _)| argument);
    let name = argument.map_or_else(|| operator.to_owned(), |a| format!("{operator}({a})"));
    let role = match (operator, argument) {
        ("START_TIME", argument) => Role::Clock(Edge::Begin, form(argument)?),
        ("DURATION", _) => Role::Took(Unit::Milliseconds),
        ("RESPONSE_CODE", _) => Role::Status,
        (
            "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT"
            | "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
            _,
        ) => Role::Address,
        ("RESP", Some(header)) => {
            let header = header.split('?').next().unwrap_or_default().to_ascii_lowercase();
            header.parse().map_or(Role::Other, Role::Header)
        }
        _ => Role::Other,
    };
    Ok(Variable { name, role })
}

fn form(argument: Option<&str>) -> Result<Form, String> {
    match argument {
        None | Some("") => Ok(Form::Iso),
        Some("%s") => Ok(Form::UnixSeconds),
        Some(text) if text.starts_with("%s.%") => Ok(Form::UnixSeconds),
        Some(text) if text.starts_with("%Y-%m-%dT%H:%M:%S") => Ok(Form::Iso),
        Some(text) => Err(format!(
            "START_TIME({text}): read are its default, %s, %s.%3f and %Y-%m-%dT%H:%M:%S"
        )),
    }
}
