//! Runs `hetmm-edge` and `hetmm-plant` from outside: the real programs, a real template, and real clients.

#[path = "../../../tests/common/browser.rs"]
mod browser;
mod desk;
mod encryption;
mod http;
mod independence;
mod load;
mod metrics;
mod modbus;
mod mqtt;
mod page;
mod templates;
mod web;
