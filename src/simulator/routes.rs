//! Which operation a request calls: method and path against templates.

use std::sync::Arc;

use http::Method;

use super::settings::Shape;

/// A path with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    text: Box<str>,
    /// `None`: any segment that is not empty.
    segments: Vec<Option<Box<str>>>,
}

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(format!("got {text:?}; allowed: a path that begins with /"));
        };
        if text.contains(['?', '#', ' ']) {
            return Err(format!("got {text:?}; allowed: a path without query or blanks"));
        }
        let segments = rest.split('/').map(|segment| {
            let placeholder = segment.starts_with('{') && segment.ends_with('}');
            (!placeholder).then(|| segment.into())
        });
        Ok(Self { text: text.into(), segments: segments.collect() })
    }

    pub(super) fn matches(&self, path: &str) -> bool {
        let Some(rest) = path.strip_prefix('/') else { return false };
        let mut parts = rest.split('/');
        let fits = self.segments.iter().all(|wanted| match (wanted, parts.next()) {
            (Some(wanted), Some(part)) => **wanted == *part,
            (None, Some(part)) => !part.is_empty(),
            (_, None) => false,
        });
        fits && parts.next().is_none()
    }
}

/// One operation of the API.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) shape: Shape,
    pub(super) method: Method,
    pub(super) status: u16,
    /// `POST /messages`: the route that limits and statistics are keyed by.
    pub(super) route: Arc<str>,
    template: Template,
}

impl Operation {
    pub(super) fn new(shape: Shape, method: Method, template: Template, status: u16) -> Self {
        let route = format!("{method} {}", template.text).into();
        Self { shape, method, status, route, template }
    }
}

/// What a request calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Called {
    Operation(usize),
    /// The path is there, under another method: that of this operation.
    WrongMethod(usize),
    Nothing,
}

pub(super) fn find(operations: &[Operation], method: &Method, path: &str) -> Called {
    let mut called = Called::Nothing;
    for (i, operation) in operations.iter().enumerate() {
        if operation.template.matches(path) {
            if operation.method == *method {
                return Called::Operation(i);
            }
            called = Called::WrongMethod(i);
        }
    }
    called
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(path: &str) -> Operation {
        let template = Template::parse(path).expect("a path");
        Operation::new(Shape::Generic, Method::POST, template, 200)
    }

    #[test]
    fn placeholders_take_one_segment_that_is_not_empty() {
        let operations = [operation("/a/{id}/b"), operation("/a/fixed")];
        let find = |path| find(&operations, &Method::POST, path);
        assert_eq!(find("/a/1/b"), Called::Operation(0));
        assert_eq!(find("/a/fixed"), Called::Operation(1));
        for path in ["/a//b", "/a/1/b/", "/a/1", "/a/1/2/b", "/", "", "a/1/b"] {
            assert_eq!(find(path), Called::Nothing, "{path:?}");
        }
    }

    #[test]
    fn another_method_is_not_another_path() {
        let operations = [operation("/messages")];
        assert_eq!(find(&operations, &Method::GET, "/messages"), Called::WrongMethod(0));
    }
}
