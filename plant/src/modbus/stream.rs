//! Guards a connection: one that is silent for too long, or asks too often, ends with an error.

use crate::place::Place;
use std::future::Future;
use std::io::{Error, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// Ends a connection from elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Cut(Arc<AtomicBool>);

impl Cut {
    /// Ends the connection at its next read.
    pub fn cut(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A connection with its limits.
pub struct Guarded {
    stream: TcpStream,
    idle: Duration,
    sleep: Pin<Box<Sleep>>,
    cut: Cut,
    _place: Place,
}

impl Guarded {
    /// Guards a connection, which keeps its place as long as it lasts.
    pub fn new(stream: TcpStream, idle: Duration, cut: Cut, place: Place) -> Self {
        let sleep = Box::pin(tokio::time::sleep(idle));
        Guarded { stream, idle, sleep, cut, _place: place }
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.cut.0.load(Ordering::SeqCst) {
            return Poll::Ready(Err(Error::new(ErrorKind::ConnectionAborted, "it asks too often")));
        }
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(done) => {
                let until = Instant::now() + self.idle;
                self.sleep.as_mut().reset(until);
                Poll::Ready(done)
            }
            Poll::Pending => {
                let silent = || Err(Error::new(ErrorKind::TimedOut, "it is silent"));
                self.sleep.as_mut().poll(context).map(|()| silent())
            }
        }
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            // A client that does not read its answers is as silent as one that does not ask.
            Poll::Pending => {
                let silent = || Err(Error::new(ErrorKind::TimedOut, "it does not read"));
                self.sleep.as_mut().poll(context).map(|()| silent())
            }
            done => done,
        }
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
