//! This module writes names, counts and shares as they appear in sentences.

/// Adds a line to a `String`, with the arguments of `println!`.
#[macro_export]
#[doc(hidden)]
macro_rules! __say {
    ($text:expr, $($line:tt)*) => {{
        use std::fmt::Write as _;
        // Writing to memory cannot fail.
        let _ = writeln!($text, $($line)*);
    }};
}
pub use crate::__say as say;

/// A name that is safe to show. Characters that move the cursor, colour the terminal or break a line are escaped,
/// because files and templates can come from anywhere.
pub fn printable(name: &str) -> String {
    let spelled = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.into() };
    name.chars().map(spelled).collect()
}

/// A count with its noun, as "1 picture" or "2 pictures". `one` is the word for one of them.
pub fn counted(count: usize, one: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {one}s"),
    }
}

/// The form of a word for a count: `one` for 1, and `more` for any other count.
pub fn form<'a>(count: usize, one: &'a str, more: &'a str) -> &'a str {
    if count == 1 { one } else { more }
}

/// A fraction as a percentage, for people.
pub fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |v| format!("{:.2} %", 100.0 * v))
}
