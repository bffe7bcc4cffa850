//! Names, counts and shares as they stand in sentences.

/// A name as it can be shown: what would move the cursor, colour the terminal or break a line is spelled
/// out. Names come from files and templates, and those from anywhere.
pub fn printable(name: &str) -> String {
    let spelled = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.into() };
    name.chars().map(spelled).collect()
}

/// A count with what is counted, as "1 picture" and "2 pictures"; `one` is the word for one of them.
pub fn counted(count: usize, one: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {one}s"),
    }
}

/// The form of a verb or of a word for a count: `one` for 1, `more` for any other.
pub fn form<'a>(count: usize, one: &'a str, more: &'a str) -> &'a str {
    if count == 1 { one } else { more }
}

/// A fraction as a percentage, for people.
pub fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |v| format!("{:.2} %", 100.0 * v))
}
