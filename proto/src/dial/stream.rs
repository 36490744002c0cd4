//! A TLS connection that tells the dial whether the controller really let it in.
//!
//! With TLS 1.3 a client has done its part of the handshake before the server has looked at its certificate, so a
//! refusal arrives with the first read. Only the first read, or its failure, is the verdict.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::client::TlsStream;

/// What the first read said.
pub(super) type Verdict = Result<(), io::Error>;

/// The connection. Its verdict sender is empty once the verdict is known.
pub(super) struct WatchedStream {
    inner: TlsStream<TcpStream>,
    verdict_tx: Option<oneshot::Sender<Verdict>>,
}

impl WatchedStream {
    pub(super) fn new(inner: TlsStream<TcpStream>) -> (WatchedStream, oneshot::Receiver<Verdict>) {
        let (verdict_tx, verdict_rx) = oneshot::channel();
        (WatchedStream { inner, verdict_tx: Some(verdict_tx) }, verdict_rx)
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        if let Poll::Ready(outcome) = &polled
            && let Some(verdict_tx) = self.verdict_tx.take()
        {
            let verdict = match outcome {
                Ok(()) if buf.filled().len() > before => Ok(()),
                Ok(()) => Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) => Err(copy(error)),
            };
            // The dial may have given up meanwhile: then nobody asks.
            verdict_tx.send(verdict).ok();
        }
        polled
    }
}

/// A second error like the first one: HTTP/2 needs the original.
fn copy(error: &io::Error) -> io::Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(tls) => io::Error::new(error.kind(), tls.clone()),
        None => error.kind().into(),
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
