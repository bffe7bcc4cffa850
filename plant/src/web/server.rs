//! Accepts connections. axum's own server has no time limit for the head of a request, so this one runs hyper itself.

use super::limits::{HANDSHAKE, HEAD, HEAD_BYTES};
use crate::place::Place;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// The answer to a connection that finds no place.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
/// The pause after a connection could not be accepted, for example without file descriptors.
const PAUSE: Duration = Duration::from_millis(200);
/// The most time that the end of a connection takes that finds no place.
const FAREWELL: Duration = Duration::from_millis(200);

/// The two ends of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// The address of the client.
    pub from: IpAddr,
    /// The address of this machine that the client has connected to.
    pub to: IpAddr,
}

/// Says how connections are served.
pub struct Server {
    /// What answers requests.
    pub router: Router,
    /// What encrypts connections.
    pub tls: Option<TlsAcceptor>,
    /// The most connections at the same time.
    pub most: usize,
    /// The number of connections.
    pub open: Arc<AtomicUsize>,
    /// The addresses that may connect. If there are none, every address may.
    pub allow: Vec<IpAddr>,
}

impl Server {
    /// Serves connections until the program ends.
    pub async fn run(self, listener: TcpListener) {
        let server = Arc::new(self);
        loop {
            let Ok((stream, from)) = listener.accept().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let from = from.ip().to_canonical();
            if !server.allow.is_empty() && !server.allow.contains(&from) {
                continue;
            }
            let to = stream.local_addr().map_or(from, |address| address.ip().to_canonical());
            match Place::take(&server.open, server.most) {
                Some(place) => {
                    tokio::spawn(server.clone().serve(stream, Peer { from, to }, place));
                }
                None if server.tls.is_none() => {
                    tokio::spawn(turn_away(stream));
                }
                // Encrypting would cost more than the connection is worth.
                None => {}
            }
        }
    }

    async fn serve(self: Arc<Self>, stream: TcpStream, peer: Peer, _place: Place) {
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => self.speak(stream, peer).await,
            Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                Ok(Ok(stream)) => self.speak(stream, peer).await,
                Ok(Err(why)) => log::debug!("web: {}: no encryption: {why}", peer.from),
                Err(_) => log::debug!("web: {}: no encryption in time", peer.from),
            },
        }
    }

    async fn speak(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
    ) {
        let router = self.router.clone().layer(Extension(peer));
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(HEAD_BYTES)
            .max_headers(64)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
            .await;
        if let Err(why) = served {
            log::debug!("web: {}: {why}", peer.from);
        }
    }
}

async fn turn_away(mut stream: TcpStream) {
    let told = async {
        let _ = stream.write_all(BUSY).await;
        let _ = stream.shutdown().await;
    };
    let _ = tokio::time::timeout(FAREWELL, told).await;
}
