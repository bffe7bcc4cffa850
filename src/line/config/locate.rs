//! Finds where a key stands in the configuration file.

use crate::error::Error;
use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// Holds a configuration file's text, with the places of its keys.
pub(super) struct Located<'a> {
    text: &'a str,
    name: &'a str,
    table: Option<toml::Spanned<DeTable<'a>>>,
}

impl<'a> Located<'a> {
    pub fn new(text: &'a str, name: &'a str) -> Self {
        Located { text, name, table: DeTable::parse(text).ok() }
    }

    /// Returns the line number, from 1, at which a span of the text begins.
    pub fn line_of(&self, span: Option<Range<usize>>) -> usize {
        let start = span.map_or(0, |s| s.start);
        self.text.bytes().take(start).filter(|b| *b == b'\n').count() + 1
    }

    /// Returns an error about the value at a path such as `reject.delay_us`. If the file has no such key, the error
    /// names the line of its table.
    pub fn error(&self, path: &str, why: &str, remedy: &str) -> Error {
        let line = self.line_of(self.span(path));
        Error::usage(format!("{}:{line}: {path}: {why}", self.name)).advise(remedy.to_owned())
    }

    fn span(&self, path: &str) -> Option<Range<usize>> {
        let mut table = self.table.as_ref().map(|t| t.get_ref())?;
        let mut found = None;
        for key in path.split('.') {
            let Some((name, value)) = table.iter().find(|(name, _)| name.get_ref() == key) else {
                break;
            };
            found = Some(name.span());
            match value.get_ref() {
                DeValue::Table(inner) => table = inner,
                _ => break,
            }
        }
        found
    }
}
