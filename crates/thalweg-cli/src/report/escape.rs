//! Text made safe for HTML and SVG.
use minijinja::HtmlEscape;

/// `text` with the characters that have a meaning there replaced.
pub(super) fn escape(text: &str) -> String {
    HtmlEscape(text).to_string()
}
