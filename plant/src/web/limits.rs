//! Holds the limits of the web server.

use std::time::Duration;

/// The time in which the head of a request has to come.
pub const HEAD: Duration = Duration::from_secs(5);
/// The largest head of a request, in bytes.
pub const HEAD_BYTES: usize = 8192;
/// The time in which the content of a request has to come. Of an upload, each block has so much time.
pub const BODY: Duration = Duration::from_secs(10);
/// The largest content of a request, in bytes.
pub const BODY_BYTES: usize = 65_536;
/// The largest signature of an uploaded template, in bytes.
pub const SIGNATURE_BYTES: usize = 4096;
/// The files that are handed out at the same time.
pub const DOWNLOADS: usize = 2;
/// The time in which an encrypted connection has to be agreed upon.
pub const HANDSHAKE: Duration = Duration::from_secs(5);
/// The requests that one address may make in a second, and those that it may make at once after a pause.
pub const REQUESTS_A_SECOND: f64 = 20.0;
/// The requests that one address may make at once after a pause.
pub const REQUESTS_AT_ONCE: f64 = 60.0;
/// The most addresses whose requests are counted.
pub const ADDRESSES: usize = 1024;
