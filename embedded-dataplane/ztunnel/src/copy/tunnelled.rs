//! A stream of a tunnel as an end.

use std::task::{Context, Poll};
use std::time::Duration;

use ambient_hbone::error::StreamError;
use ambient_hbone::stream::Stream;
use bytes::Bytes;

use super::{Broken, Endpoint};

/// A stream of a tunnel.
pub(crate) struct Tunnelled<'s>(&'s mut Stream);

impl<'s> Tunnelled<'s> {
    pub(crate) fn new(stream: &'s mut Stream) -> Self {
        Self(stream)
    }

    fn broke(&mut self, error: StreamError) -> Broken {
        let (reader, _) = self.0.halves();
        match reader.cause(error) {
            error if reader.is_let_go(&error) => Broken::Done,
            StreamError::Reset { .. } => Broken::Reset,
            error => Broken::Failed(error.to_string()),
        }
    }
}

impl Endpoint for Tunnelled<'_> {
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Broken>> {
        let (reader, _) = self.0.halves();
        reader.poll_read(cx).map_err(|error| self.broke(error))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, octets: &mut Bytes) -> Poll<Result<(), Broken>> {
        let (_, writer) = self.0.halves();
        writer
            .poll_write(cx, octets)
            .map_err(|error| self.broke(error))
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let (_, writer) = self.0.halves();
        Poll::Ready(writer.finish().map_err(|error| self.broke(error)))
    }

    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (_, writer) = self.0.halves();
        writer.poll_sent(cx)
    }

    /// What is written is only as much as the peer's window takes, and no more than a moment here.
    fn expect(&mut self, _: Duration) -> bool {
        false
    }

    fn poll_broken(&mut self, cx: &mut Context<'_>) -> Poll<Broken> {
        let (_, writer) = self.0.halves();
        writer.poll_broken(cx).map(|error| self.broke(error))
    }

    fn reset(&mut self) {
        let (_, writer) = self.0.halves();
        writer.reset();
    }
}
