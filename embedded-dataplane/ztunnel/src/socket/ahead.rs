//! A socket that is read in large steps, whatever is asked for.
//!
//! TLS takes a record at a time, and each is a system call. What the socket has beyond it is held here
//! until that is asked for, and nothing while the socket has no more.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::buffers::Buffer;
use super::steps;

/// A TCP connection below TLS.
#[derive(Debug)]
pub(crate) struct Ahead {
    stream: TcpStream,
    held: Option<Buffer>,
    /// Of what is held so many octets were taken.
    taken: usize,
}

impl Ahead {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            held: None,
            taken: 0,
        }
    }

    fn give(&mut self, buffer: &mut ReadBuf<'_>) {
        let Some(held) = &self.held else { return };
        let rest = held.as_ref().get(self.taken..).unwrap_or_default();
        let now = rest.get(..buffer.remaining()).unwrap_or(rest);
        buffer.put_slice(now);
        self.taken += now.len();
        if now.len() == rest.len() {
            self.held = None;
            self.taken = 0;
        }
    }
}

impl AsyncRead for Ahead {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.held.is_none() {
            ready!(self.stream.poll_read_ready(cx))?;
            let mut held = Buffer::take();
            match steps::receive(&self.stream, held.octets()) {
                Ok(0) => return Poll::Ready(Ok(())),
                Ok(_) => self.held = Some(held),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        self.give(buffer);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Ahead {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, octets)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_comes_at_once_is_given_as_it_is_asked_for_and_then_nothing_is_held() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (mut client, mut ahead) = (client.unwrap(), Ahead::new(accepted.unwrap().0));
        client.write_all(b"one, two, three").await.unwrap();
        client.shutdown().await.unwrap();
        let mut first = [0; 5];
        ahead.read_exact(&mut first).await.unwrap();
        assert_eq!((&first, ahead.held.is_some()), (b"one, ", true));
        let mut rest = String::new();
        ahead.read_to_string(&mut rest).await.unwrap();
        assert_eq!((rest.as_str(), ahead.held.is_some()), ("two, three", false));
        ahead.write_all(b"answer").await.unwrap();
        drop(ahead);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");
    }
}
