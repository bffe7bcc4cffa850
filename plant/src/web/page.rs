//! Puts the page together, and starts it.

use super::guard::{App, headers};
use super::limits::DOWNLOADS;
use super::passwords;
use super::routes;
use super::server::Server;
use super::sessions::Sessions;
use super::throttle::{Failures, Rate};
use super::upload;
use super::users::Users;
use crate::board::Board;
use crate::certificate;
use crate::device::Device;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use hetmm::error::{Error, Kind, Result};
use hetmm::files;
use hetmm::line::config::LineConfig;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The most connections of the metrics at the same time.
const SCRAPERS: usize = 4;
/// The largest file of a certificate or key, in bytes.
const MAX_PEM: u64 = 1 << 20;
/// The logins whose passwords are checked or wait for it.
const LOGINS: usize = 9;

/// Starts the operator page, if the configuration wants one.
///
/// # Errors
/// [`Kind::Usage`] if certificate or key cannot be used, [`Kind::Io`] if the address cannot be listened on.
pub async fn page(config: &LineConfig, board: &Arc<Board>, device: &Device) -> Result<()> {
    let Some(listen) = config.web.listen else { return Ok(()) };
    let tls = match (&config.web.tls_cert, &config.web.tls_key) {
        (Some(cert), Some(key)) => Some(acceptor(cert, key)?),
        _ => None,
    };
    // A hash of a password that nobody has: unknown users cost the same time as known ones.
    let nobody = passwords::hash("nobody has this password")
        .map_err(|why| Error::new(Kind::Io, format!("passwords cannot be hashed: {why}")))?;
    let inbox = config.inbox();
    if let Some(inbox) = &inbox {
        upload::tidy(inbox);
    }
    let app = Arc::new(App {
        board: board.clone(),
        device: device.clone(),
        web: config.web.clone(),
        identity: config.device.clone(),
        archive: config.archive.folder.clone(),
        records: config.records.folder.clone(),
        inbox,
        floor_bytes: config
            .archive
            .min_free_mib
            .max(config.records.min_free_mib)
            .saturating_mul(1 << 20),
        configuration: config.to_toml()?,
        users: Users::new(&config.web.users),
        sessions: Sessions::default(),
        accounts: Failures::default(),
        addresses: Failures::default(),
        rate: Rate::default(),
        logins: Semaphore::new(LOGINS),
        hashing: Semaphore::new(1),
        streams: Arc::new(Semaphore::new(config.web.max_connections / 2)),
        pictures: Semaphore::new(1),
        uploads: Semaphore::new(1),
        downloads: Arc::new(Semaphore::new(DOWNLOADS)),
        nobody,
        is_encrypted: tls.is_some(),
    });
    let listener = bind(listen, "web.listen").await?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    log::info!("page: listening on {scheme}://{listen}");
    let router = routes::router(app);
    let (most, open) = (config.web.max_connections, board.connections.page.clone());
    let server = Server { router, tls, most, open, allow: vec![] };
    tokio::spawn(server.run(listener));
    Ok(())
}

/// Starts the metrics, if the configuration wants some.
///
/// # Errors
/// [`Kind::Io`] if the address cannot be listened on.
pub async fn metrics(config: &LineConfig, board: &Arc<Board>) -> Result<()> {
    let Some(listen) = config.metrics.listen else { return Ok(()) };
    let (board, open) = (board.clone(), board.connections.metrics.clone());
    let answer = move || {
        let text = crate::metrics::text(&board);
        async move { super::reply::bytes(StatusCode::OK, crate::metrics::MEDIA_TYPE, text) }
    };
    let router =
        Router::new().route("/metrics", get(answer)).layer(axum::middleware::map_response(headers));
    let listener = bind(listen, "metrics.listen").await?;
    log::info!("metrics: listening on http://{listen}/metrics");
    let allow = config.metrics.allow.clone();
    tokio::spawn(Server { router, tls: None, most: SCRAPERS, open, allow }.run(listener));
    Ok(())
}

async fn bind(listen: std::net::SocketAddr, key: &str) -> Result<TcpListener> {
    TcpListener::bind(listen).await.map_err(|why| {
        Error::new(Kind::Io, format!("{key}: {listen} cannot be listened on: {why}"))
            .advise("is another program there, and may this user use the port?")
    })
}

fn unusable(path: &Path, why: String) -> Error {
    Error::new(Kind::Usage, format!("{}: {why}", path.display())).advise("give a PEM file")
}

/// Reads a certificate and those that lead to it.
fn chain(cert: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let text = files::read_regular(cert, MAX_PEM, Kind::Usage)?;
    let chain = CertificateDer::pem_slice_iter(&text).collect::<std::result::Result<_, _>>();
    chain.map_err(|why| unusable(cert, format!("no certificate: {why}")))
}

/// Returns the fingerprint of the page's certificate, if the configuration names one.
///
/// # Errors
/// [`Kind::Usage`] or [`Kind::Io`] if it cannot be read.
pub fn fingerprint(config: &LineConfig) -> Result<Option<String>> {
    let Some(cert) = &config.web.tls_cert else { return Ok(None) };
    Ok(chain(cert)?.first().map(|own| certificate::fingerprint(own)))
}

/// Reads certificate and key.
fn acceptor(cert: &Path, key: &Path) -> Result<TlsAcceptor> {
    crate::secret::is_private(key)?;
    let chain = chain(cert)?;
    let text = files::read_regular(key, MAX_PEM, Kind::Usage)?;
    let secret = PrivateKeyDer::from_pem_slice(&text)
        .map_err(|why| unusable(key, format!("no private key: {why}")))?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|why| unusable(cert, why.to_string()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Reads certificate and key of a configuration, to see whether they can be used.
///
/// # Errors
/// [`Kind::Usage`] or [`Kind::Io`] if not.
pub fn check_certificate(config: &LineConfig) -> Result<()> {
    match (&config.web.tls_cert, &config.web.tls_key) {
        (Some(cert), Some(key)) => acceptor(cert, key).map(drop),
        _ => Ok(()),
    }
}
