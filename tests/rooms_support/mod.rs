//! Which paths a source file names: enough of Rust's grammar to follow `use` trees and paths in code, past comments
//! and strings, and no more. What a macro would make of its input is not seen.

use std::collections::BTreeSet;

/// Heads that make a path worth following; every other path begins with something that one of these brought in.
const HEADS: [&str; 4] = ["crate", "super", "self", "std"];

/// A path from the root of the crate (`["model", "Rate"]`) or of the standard library (`["std", "fs"]`). A `*` stands
/// for everything there; a path that is empty names the root of the crate itself.
type Path = Vec<String>;

/// The words and signs of a text, without comments, strings, characters and lifetimes.
pub(crate) fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let (mut tokens, mut i) = (Vec::new(), 0);
    while i < chars.len() {
        let (c, next) = (chars[i], chars.get(i + 1).copied().unwrap_or(' '));
        let word = |c: char| c.is_alphanumeric() || c == '_';
        if c == '/' && next == '/' {
            i += chars[i..].iter().take_while(|c| **c != '\n').count();
        } else if c == '/' && next == '*' {
            i = comment_end(&chars, i);
        } else if c == '"' {
            i = string_end(&chars, i);
        } else if c == '\'' {
            i = quote_end(&chars, i);
        } else if word(c) {
            let start = i;
            i += chars[i..].iter().take_while(|c| word(**c)).count();
            let text: String = chars[start..i].iter().collect();
            match (text.as_str(), chars.get(i)) {
                ("r" | "br" | "cr", Some('"' | '#')) => i = raw_end(&chars, i),
                _ => tokens.push(text),
            }
        } else if c == ':' && next == ':' {
            tokens.push("::".to_owned());
            i += 2;
        } else {
            if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
            i += 1;
        }
    }
    tokens
}

/// Block comments nest.
fn comment_end(chars: &[char], start: usize) -> usize {
    let (mut depth, mut i) = (0, start);
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => (depth, i) = (depth + 1, i + 2),
            ('*', Some('/')) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            break;
        }
    }
    i
}

fn string_end(chars: &[char], start: usize) -> usize {
    let mut i = start + 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// Of a character, or of a lifetime, which has no second quote.
fn quote_end(chars: &[char], start: usize) -> usize {
    match (chars.get(start + 1), chars.get(start + 2)) {
        (Some('\\'), _) => {
            let rest = chars.iter().skip(start + 3);
            start + 4 + rest.take_while(|c| **c != '\'').count()
        }
        (Some(_), Some('\'')) => start + 3,
        _ => start + 1,
    }
}

/// Of `#"…"#`, from its first `#` or `"` on. In `r#name` there is no quote, and only the `#` is skipped.
fn raw_end(chars: &[char], start: usize) -> usize {
    let hashes = chars[start..].iter().take_while(|c| **c == '#').count();
    if chars.get(start + hashes) != Some(&'"') {
        return start + hashes;
    }
    let mut i = start + hashes + 1;
    while i < chars.len() {
        let close = chars[i] == '"';
        i += 1;
        if close && chars[i..].iter().take(hashes).filter(|c| **c == '#').count() == hashes {
            break;
        }
    }
    i + hashes
}

/// Every path that a file names whose module is `module`, such as `["engine", "slots"]`. Modules inside the file count
/// as deeper ones.
pub(crate) fn paths(module: &[&str], text: &str) -> BTreeSet<Path> {
    let tokens = tokens(text);
    let mut found = BTreeSet::new();
    let mut here: Path = module.iter().map(|m| (*m).to_owned()).collect();
    // How many braces are open, and at how many each module inside the file began.
    let (mut depth, mut inner) = (0, Vec::new());
    let token = |i: usize| tokens.get(i).map_or("", String::as_str);
    let mut i = 0;
    while i < tokens.len() {
        match token(i) {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                if inner.last() == Some(&depth) {
                    inner.pop();
                    here.pop();
                }
            }
            "mod" if token(i + 2) == "{" => {
                inner.push(depth);
                here.push(token(i + 1).to_owned());
            }
            // `use crate as anything;`
            "crate" if token(i + 1) == "as" => drop(found.insert(Path::new())),
            "std" if token(i + 1) == "as" => drop(found.insert(vec!["std".to_owned()])),
            head if HEADS.contains(&head) && token(i + 1) == "::" => {
                i = follow(&tokens, i, &here, &here, &mut found);
                continue;
            }
            _ => {}
        }
        i += 1;
    }
    found
}

/// Follows one path or use tree from `at`, below `prefix`; says where it ends.
fn follow(
    tokens: &[String],
    mut at: usize,
    here: &Path,
    prefix: &Path,
    found: &mut BTreeSet<Path>,
) -> usize {
    let token = |i: usize| tokens.get(i).map_or("", String::as_str);
    let mut path = prefix.clone();
    loop {
        match token(at) {
            "crate" => path.clear(),
            "self" => {}
            "super" => {
                path.pop();
            }
            "std" if path == *here => path = vec!["std".to_owned()],
            "{" => {
                at += 1;
                while !matches!(token(at), "}" | "") {
                    at = follow(tokens, at, here, &path, found);
                    // A name given with `as`, and the comma.
                    while !matches!(token(at), "," | "}" | "") {
                        at += 1;
                    }
                    at += usize::from(token(at) == ",");
                }
                return at + 1;
            }
            segment => path.push(segment.to_owned()),
        }
        at += 1;
        let goes_on = token(at) == "::" && token(at + 1) != "<";
        if !goes_on {
            found.insert(path);
            return at;
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Vec<String> {
        paths(&["engine", "slots"], text).iter().map(|path| path.join("::")).collect()
    }

    #[test]
    fn use_trees_are_followed_to_their_leaves() {
        assert_eq!(named("use crate::web::serve;"), ["web::serve"]);
        assert_eq!(
            named("pub use crate::{model::{Rate, time as t}, web::{self, feed::*}, sender as s};"),
            ["model::Rate", "model::time", "sender", "web", "web::feed::*"]
        );
        assert_eq!(named("use super::{super::web, Engine};"), ["engine::Engine", "web"]);
        assert_eq!(named("use std::{fs, time::{Duration, Instant}};").len(), 3);
        assert_eq!(named("use crate::*; use crate as all;"), ["", "*"]);
        assert_eq!(named("use ::std::fs; use std as s;"), ["std", "std::fs"]);
    }

    #[test]
    fn paths_in_code_count_too() {
        let text = "fn f(x: &crate::web::Feed) -> Vec<super::super::sender::Clock> {
            if x == crate::policy::Gate::<u8>::new() { std::fs::read(\"x\") } self::deep::g()
        }";
        let expected = [
            "engine::slots::deep::g",
            "policy::Gate",
            "sender::Clock",
            "std::fs::read",
            "web::Feed",
        ];
        assert_eq!(named(text), expected);
    }

    #[test]
    fn modules_inside_a_file_are_deeper() {
        let text = "mod tests { use super::super::Engine; fn f() {} mod deep { use super::super::super::super::web; } }
                    fn g() { super::super::telemetry::init() }";
        assert_eq!(named(text), ["engine::Engine", "telemetry::init", "web"]);
    }

    #[test]
    fn comments_strings_and_characters_do_not_count() {
        let text = r###"//! use crate::web; [`crate::web::Feed`]
            /* use crate::web; /* crate::web */ crate::web::x */
            const A: &str = "crate::web \" crate::web"; const B: &[u8] = br#"" crate::web "#;
            const C: [char; 3] = ['"', '\'', '\u{22}']; fn r#f<'a>(x: &'a str) {} const D: &str = r"\";
            use crate::model::Rate;"###;
        assert_eq!(named(text), ["model::Rate"]);
    }
}
