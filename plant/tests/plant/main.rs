//! Runs `hetmm-edge` and `hetmm-plant` from outside: the real programs, a real template, and real clients.

mod desk;
mod http;
mod independence;
mod metrics;
mod modbus;
mod mqtt;
mod templates;
mod web;
