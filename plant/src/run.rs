//! Starts everything that the configuration names, and ends it.

use crate::board::Board;
use crate::device::Device;
use crate::mqtt::{Client, Secrets};
use crate::{feed, modbus, temperature, web};
use hetmm::error::{Error, Kind, Result};
use hetmm::line::config::LineConfig;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// The threads that serve connections. Passwords and pictures have threads of their own.
const THREADS: usize = 2;
/// The most threads for passwords, pictures, tables and requests to the device.
const WORKERS: usize = 16;

/// Serves until the program is asked to stop.
///
/// # Errors
/// [`Kind::Usage`] if the configuration names nothing to do, [`Kind::Io`] if something cannot be listened on or read.
pub fn run(config: &LineConfig) -> Result<ExitCode> {
    let socket = config.feed.socket.clone().filter(|_| has_work(config)).ok_or_else(|| {
        Error::usage("the configuration has nothing for hetmm-plant")
            .advise("set listen in [modbus], [metrics] or [web], or broker in [mqtt]")
    })?;
    let secrets = Secrets::read(&config.mqtt)?;
    let board = Board::new(config.reject.deadline_us);
    let reader = board.clone();
    let failed = |e| Error::new(Kind::Io, format!("no thread can be started: {e}"));
    std::thread::Builder::new()
        .name("feed".into())
        .spawn(move || feed::run(&socket, &reader))
        .map_err(failed)?;
    let (zones, limit) = (board.clone(), config.device.max_temperature_c.map(f64::from));
    std::thread::Builder::new()
        .name("temperature".into())
        .spawn(move || temperature::watch(&zones, limit))
        .map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .max_blocking_threads(WORKERS)
        .enable_all()
        .build()
        .map_err(failed)?;
    runtime.block_on(serve(config, secrets, board))?;
    // What still waits for a slow client or the device does not keep the program.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

fn has_work(config: &LineConfig) -> bool {
    let listens = [config.modbus.listen, config.metrics.listen, config.web.listen];
    listens.iter().any(Option::is_some) || config.mqtt.broker.is_some()
}

async fn serve(config: &LineConfig, secrets: Secrets, board: Arc<Board>) -> Result<()> {
    let unusable = |e| Error::new(Kind::Io, format!("signals cannot be received: {e}"));
    let mut end = signal(SignalKind::terminate()).map_err(unusable)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(unusable)?;
    let device = Device::new(&config.control);
    web::page(config, &board, &device).await?;
    web::metrics(config, &board).await?;
    modbus::serve(config, board.clone(), device.clone()).await?;
    let (stop, stopped) = watch::channel(false);
    let client = Client::new(config, secrets, &board, device);
    let client = client.map(|client| tokio::spawn(client.run(stopped)));
    // Without a service manager there is nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    tokio::select! {
        _ = end.recv() => {}
        _ = interrupt.recv() => {}
    }
    log::info!("asked to stop");
    let _ = stop.send(true);
    if let Some(client) = client {
        let _ = client.await;
    }
    Ok(())
}
