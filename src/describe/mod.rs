//! What a template is, promises and finds, in sentences that programs and pages share.

pub mod defects;
pub mod rules;
pub mod sensitivity;
pub mod threshold;
