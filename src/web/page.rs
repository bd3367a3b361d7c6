//! The live page: a few files that are part of the binary. It asks for nothing that is not served here.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

/// Name, type and text of each file beside the page itself.
const FILES: [(&str, &str, &str); 8] = [
    ("page.css", CSS, include_str!("page/page.css")),
    ("icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
    ("page.js", JAVASCRIPT, include_str!("page/page.js")),
    ("record.js", JAVASCRIPT, include_str!("page/record.js")),
    ("charts.js", JAVASCRIPT, include_str!("page/charts.js")),
    ("words.js", JAVASCRIPT, include_str!("page/words.js")),
    ("uplot.js", JAVASCRIPT, include_str!("page/vendor/uplot-1.6.32/uPlot.iife.min.js")),
    ("uplot.css", CSS, include_str!("page/vendor/uplot-1.6.32/uPlot.min.css")),
];

const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

pub(super) async fn index() -> Html<&'static str> {
    Html(include_str!("page/index.html"))
}

pub(super) async fn file(Path(name): Path<String>) -> Response {
    let Some((_, kind, text)) = FILES.iter().find(|(known, ..)| *known == name) else {
        return (StatusCode::NOT_FOUND, "no such file\n").into_response();
    };
    // Another version of the daemon is another page: a browser asks each time.
    ([(header::CONTENT_TYPE, *kind), (header::CACHE_CONTROL, "no-cache")], *text).into_response()
}
