//! A tunnel as a stream of `tokio`, for what is spoken through it (TLS, in double HBONE).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Stream;

/// Octets that one write takes over, which it copies.
const MOST_COPIED: usize = 64 << 10;

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let reader = &mut self.reader;
        if let Some(mut octets) = ready!(reader.poll_read(cx))? {
            let now = octets.split_to(octets.len().min(buffer.remaining()));
            buffer.put_slice(&now);
            reader.keep(octets);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        if octets.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let Self { reader, writer } = &mut *self;
        let room = ready!(writer.poll_room(cx, octets.len().min(MOST_COPIED)));
        let room = room.map_err(|error| reader.cause(error))?;
        let now = octets.get(..room).unwrap_or(octets);
        let length = now.len();
        let mut now = Bytes::copy_from_slice(now);
        // There is room for all of it.
        ready!(writer.poll_write(cx, &mut now)).map_err(|error| reader.cause(error))?;
        Poll::Ready(Ok(length))
    }

    /// What was written is under way already.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { reader, writer } = &mut *self;
        if writer.is_over {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(writer.finish().map_err(|error| reader.cause(error).into()))
    }
}
