//! Watches for slow changes: light that ages, a lens that gets dirty, parts that become different.
//!
//! The watch sees the score and the appearance of every judged part. It joins the parts of about ten minutes to a block
//! and takes medians, because defects hardly move a median. From the first blocks it learns what is usual, the reference. Five charts
//! then add up small deviations in one direction (CUSUM, after Page 1954) and warn before the parts are rejected.
//!
//! ```text
//! part ── sample ── block (medians) ──┬── reference, while it learns
//!                                     └── charts ── warning
//!         ratio ── hours (95 % quantiles) ── forecast
//! ```
//!
//! The module reads no clock and no file. The caller passes the time and keeps the state. Nothing here can change a
//! verdict: no type of this module goes into an inspection.

mod block;
mod chart;
mod day_one;
mod expectation;
mod forecast;
mod reference;
mod sample;
mod saved;
mod settings;
mod statistics;
mod status;
mod thinned;
mod watch;

pub use block::Block;
pub use chart::{Chart, Cusum};
pub use day_one::GoodPictures;
pub use expectation::false_alarms_a_year;
pub use forecast::hours_to_threshold;
pub use reference::{Reference, Usual};
pub use sample::{Sample, Series};
pub use saved::{Binding, Decision};
pub use settings::Settings;
pub use status::{ChartStatus, Status};
pub use watch::{Notice, Watch};
