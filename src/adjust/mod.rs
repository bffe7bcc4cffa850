//! Changes a template that is built: its region rules and its threshold. Neither changes a score.

pub mod rules;
pub mod threshold;
