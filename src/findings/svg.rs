//! Axes and marks of inline SVG. Colours are classes: the page's style sheet knows light and dark.

use std::fmt::Write as _;

use super::words;

/// Text as it may stand in HTML, between tags and in quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 44.0;

/// From a number to a place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scale {
    Linear { low: f64, high: f64 },
    Log { low: f64, high: f64 },
}

impl Scale {
    /// Where in `[0, 1]` a value lies.
    fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear { low, high } => (value - low) / (high - low),
            Self::Log { low, high } => (value / low).ln() / (high / low).ln(),
        }
    }

    fn ticks(self) -> Vec<f64> {
        match self {
            Self::Linear { low, high } => {
                let rough = (high - low) / 5.0;
                let power = 10_f64.powf(rough.log10().floor());
                let step = [1.0, 2.0, 5.0, 10.0].into_iter().find(|m| m * power >= rough);
                let step = step.unwrap_or(10.0) * power;
                let first = (low / step).ceil() as i64;
                (first..=(high / step).floor() as i64).map(|i| i as f64 * step).collect()
            }
            Self::Log { low, high } => {
                let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
                let wide = (high / low).log10() > 3.0;
                let marks: &[f64] = if wide { &[1.0] } else { &[1.0, 2.0, 5.0] };
                let all = decades.flat_map(|d| marks.iter().map(move |m| m * 10_f64.powi(d)));
                all.filter(|tick| (low..=high).contains(tick)).collect()
            }
        }
    }
}

/// A picture with two axes.
pub(super) struct Plot {
    x: Scale,
    y: Scale,
    marks: String,
    title: String,
    labels: (&'static str, &'static str),
}

impl Plot {
    /// `title` is for readers who do not see it.
    pub(super) fn new(
        x: Scale,
        y: Scale,
        title: &str,
        labels: (&'static str, &'static str),
    ) -> Self {
        Self { x, y, marks: String::new(), title: escape(title), labels }
    }

    pub(super) fn at_x(&self, value: f64) -> f64 {
        LEFT + self.x.place(value).clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }

    pub(super) fn at_y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.place(value).clamp(0.0, 1.0) * (HEIGHT - TOP - BOTTOM)
    }

    /// A bar between two values of each axis.
    pub(super) fn bar(&mut self, class: &str, x: (f64, f64), y: (f64, f64), title: &str) {
        let (left, right) = (self.at_x(x.0), self.at_x(x.1));
        let (low, high) = (self.at_y(y.0), self.at_y(y.1));
        let (width, height) = ((right - left).max(0.6), low - high);
        // Writing to a string cannot fail.
        let _ = write!(
            self.marks,
            r#"<rect class="{class}" x="{left:.1}" y="{high:.1}" width="{width:.2}" height="{height:.1}">"#
        );
        let _ = write!(self.marks, "<title>{}</title></rect>", escape(title));
    }

    pub(super) fn dot(&mut self, class: &str, x: f64, y: f64, title: &str) {
        let (x, y) = (self.at_x(x), self.at_y(y));
        let _ = write!(
            self.marks,
            r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="4"><title>{}</title></circle>"#,
            escape(title)
        );
    }

    pub(super) fn line(&mut self, class: &str, points: &[(f64, f64)]) {
        let places: Vec<_> = points
            .iter()
            .map(|(x, y)| format!("{:.1},{:.1}", self.at_x(*x), self.at_y(*y)))
            .collect();
        let _ = write!(self.marks, r#"<polyline class="{class}" points="{}"/>"#, places.join(" "));
    }

    pub(super) fn area(&mut self, class: &str, points: &[(f64, f64)]) {
        let places: Vec<_> = points
            .iter()
            .map(|(x, y)| format!("{:.1},{:.1}", self.at_x(*x), self.at_y(*y)))
            .collect();
        let _ = write!(self.marks, r#"<polygon class="{class}" points="{}"/>"#, places.join(" "));
    }

    pub(super) fn to_svg(&self) -> String {
        let (title, bottom) = (&self.title, HEIGHT - BOTTOM);
        let mut out = format!(
            r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}"><title>{title}</title>"#
        );
        for tick in self.y.ticks() {
            let (y, text) = (self.at_y(tick), words::number(tick));
            let (right, left, below) = (WIDTH - RIGHT, LEFT - 8.0, y + 4.0);
            let _ = write!(
                out,
                r#"<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1}" y2="{y:.1}"/><text x="{left}" y="{below:.1}" text-anchor="end">{text}</text>"#
            );
        }
        for tick in self.x.ticks() {
            let (x, text, below) = (self.at_x(tick), words::number(tick), bottom + 16.0);
            let _ =
                write!(out, r#"<text x="{x:.1}" y="{below}" text-anchor="middle">{text}</text>"#);
        }
        let (centre, middle) = ((LEFT + WIDTH - RIGHT) / 2.0, f64::midpoint(TOP, bottom));
        let (of_x, of_y, low) = (escape(self.labels.0), escape(self.labels.1), HEIGHT - 8.0);
        let _ = write!(
            out,
            r#"<text x="{centre}" y="{low}" text-anchor="middle">{of_x}</text><text transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">{of_y}</text>"#
        );
        out.push_str(&self.marks);
        let right = WIDTH - RIGHT;
        let _ = write!(
            out,
            r#"<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/></svg>"#
        );
        out
    }
}
