//! The log goes to stderr through its own thread, so that a slow journal does not delay the thread that times pulses.

use hetmm::error::{Error, Kind};
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

/// The number of lines that may wait. Further lines are dropped.
const QUEUE: usize = 1024;

static WAITING: AtomicUsize = AtomicUsize::new(0);
static SENDER: OnceLock<SyncSender<Vec<u8>>> = OnceLock::new();

struct Queue;

impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        if let Some(sender) = SENDER.get() {
            WAITING.fetch_add(1, Ordering::SeqCst);
            if sender.try_send(line.to_vec()).is_err() {
                WAITING.fetch_sub(1, Ordering::SeqCst);
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Starts the log. `RUST_LOG` sets what is logged, or else the number of `-v`.
pub fn start(verbose: u8) -> Result<(), Error> {
    let (sender, lines) = sync_channel::<Vec<u8>>(QUEUE);
    let spawned = std::thread::Builder::new().name("log".into()).spawn(move || {
        while let Ok(line) = lines.recv() {
            // If the log cannot be written, nobody can be told.
            let _ = std::io::stderr().write_all(&line);
            WAITING.fetch_sub(1, Ordering::SeqCst);
        }
    });
    spawned.map_err(|e| {
        Error::new(Kind::Io, format!("the thread for the log cannot be started: {e}"))
    })?;
    let _ = SENDER.set(sender);
    let default = ["info,tract=warn", "debug,tract=warn", "trace"];
    let default = default.get(usize::from(verbose)).unwrap_or(&"trace");
    let mut logger =
        env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(*default));
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        // The journal has its own times.
        logger.format_timestamp(None);
    } else {
        logger.format_timestamp_millis();
    }
    logger.target(env_logger::Target::Pipe(Box::new(Queue))).init();
    Ok(())
}

/// Waits for a moment until the log is written.
pub fn drain() {
    for _ in 0..50 {
        if WAITING.load(Ordering::SeqCst) == 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(4));
    }
}
