//! Serves the operator page and the metrics.
//!
//! `server` accepts connections and limits them, `guard` lets no request through that its role may not make, `routes`
//! says which requests there are, and the other modules answer them.

mod api;
mod assets;
mod downloads;
mod events;
mod guard;
mod limits;
mod page;
mod passwords;
mod pictures;
mod reply;
mod routes;
mod server;
mod sessions;
pub mod setup;
mod taught;
mod templates;
mod throttle;
mod upload;
pub mod users;

pub use page::{check_certificate, fingerprint, metrics, page};
