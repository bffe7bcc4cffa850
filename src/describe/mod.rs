//! Sentences about a template, its threshold, its rules and the defects that it finds. Programs and reports share them.

pub mod defects;
pub mod rules;
pub mod sensitivity;
pub mod threshold;
