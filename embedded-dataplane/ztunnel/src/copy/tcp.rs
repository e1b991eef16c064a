//! A TCP connection as an end.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use socket2::SockRef;
use tokio::io::{Interest, Ready};
use tokio::net::TcpStream;

use super::{Broken, Endpoint};
use crate::socket::buffers::{Buffer, SIZE};

/// Up to here octets are copied out of the buffer that they were read into, and hold no more memory
/// than they are long; beyond it the buffer goes with them, and they hold twice as much at most.
const COPIED: usize = SIZE / 2;

/// A TCP connection.
pub(crate) struct Tcp<'s> {
    stream: &'s TcpStream,
    /// Waits for an error, once that was asked for.
    broken: Option<Pin<Box<dyn Future<Output = io::Result<Ready>> + Send + 's>>>,
    /// How it ended before it finished. The system tells so once, and that there is no more after it.
    cut: Option<Broken>,
    is_reset: bool,
}

impl<'s> Tcp<'s> {
    pub(crate) fn new(stream: &'s TcpStream) -> Self {
        Self {
            stream,
            broken: None,
            cut: None,
            is_reset: false,
        }
    }

    /// What a failure means. A peer that does not answer has not said anything.
    fn broke(&mut self, error: &io::Error) -> Broken {
        let broken = match error.kind() {
            // It had finished before (tcp_reset, Linux `net/ipv4/tcp_input.c`), which may not have
            // been read yet.
            io::ErrorKind::BrokenPipe => return Broken::Reset,
            io::ErrorKind::ConnectionReset => Broken::Reset,
            _ => Broken::Failed(error.to_string()),
        };
        self.cut.get_or_insert(broken).clone()
    }

    fn read(&self) -> io::Result<Bytes> {
        let mut buffer = Buffer::take();
        Ok(if self.stream.try_read_buf(buffer.octets())? > COPIED {
            Bytes::from_owner(buffer)
        } else {
            Bytes::copy_from_slice(buffer.as_ref())
        })
    }
}

impl Endpoint for Tcp<'_> {
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Broken>> {
        loop {
            let ready = ready!(self.stream.poll_read_ready(cx));
            let outcome = ready.and_then(|()| self.read());
            return Poll::Ready(match outcome {
                Ok(octets) if octets.is_empty() => self.cut.clone().map_or(Ok(None), Err),
                Ok(octets) => Ok(Some(octets)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => Err(self.broke(&error)),
            });
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, octets: &mut Bytes) -> Poll<Result<(), Broken>> {
        while !octets.is_empty() {
            match self.stream.try_write(octets) {
                Ok(length) => octets.advance(length),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if let Err(error) = ready!(self.stream.poll_write_ready(cx)) {
                        return Poll::Ready(Err(self.broke(&error)));
                    }
                }
                Err(error) => return Poll::Ready(Err(self.broke(&error))),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// What was written goes first, because the system does not tell of it after that.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        ready!(self.poll_sent(cx));
        let finished = SockRef::from(self.stream).shutdown(std::net::Shutdown::Write);
        Poll::Ready(match finished {
            // The peer broke off before; that is told where it is read.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Err(Broken::Reset),
            Err(error) => Err(self.broke(&error)),
            Ok(()) => Ok(()),
        })
    }

    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // Whoever cannot be written to is not waited for.
            if ready!(self.stream.poll_write_ready(cx)).is_err() {
                return Poll::Ready(());
            }
            let sent = || {
                let unsent = || io::ErrorKind::WouldBlock.into();
                is_sent(self.stream).then_some(()).ok_or_else(unsent)
            };
            if self.stream.try_io(Interest::WRITABLE, sent).is_ok() {
                return Poll::Ready(());
            }
        }
    }

    /// The system sees it, where its peer takes no more as well (tcp(7), `TCP_USER_TIMEOUT`).
    #[cfg(target_os = "linux")]
    fn expect(&mut self, within: Duration) -> bool {
        let socket = SockRef::from(self.stream);
        socket.set_tcp_user_timeout(Some(within)).is_ok()
    }

    #[cfg(not(target_os = "linux"))]
    fn expect(&mut self, _: Duration) -> bool {
        false
    }

    fn poll_broken(&mut self, cx: &mut Context<'_>) -> Poll<Broken> {
        let stream = self.stream;
        loop {
            let broken = self
                .broken
                .get_or_insert_with(|| Box::pin(stream.ready(Interest::ERROR)));
            let event = ready!(broken.as_mut().poll(cx));
            // It must not be polled again.
            self.broken = None;
            match event.and_then(|_| stream.take_error()) {
                Ok(Some(error)) | Err(error) => return Poll::Ready(self.broke(&error)),
                // There was no error, or it was none of the connection: wait for the next event.
                Ok(None) => {
                    let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
                    let _ = stream.try_io(Interest::ERROR, nothing);
                }
            }
        }
    }

    fn reset(&mut self) {
        if !self.is_reset {
            self.is_reset = true;
            abort(self.stream);
        }
    }
}

/// Has a connection end by RST when it is dropped.
pub(crate) fn abort(stream: &TcpStream) {
    // Fails where there is no connection any more.
    let _ = stream.set_zero_linger();
}

/// Whether all that was written was sent. If not, the socket becomes writable when it is.
#[cfg(target_os = "linux")]
fn is_sent(stream: &TcpStream) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::io::Errno;

    // From now on only a socket with nothing to be sent takes more (tcp(7), `TCP_NOTSENT_LOWAT`). One
    // that cannot be asked is taken for done.
    if SockRef::from(stream).set_tcp_notsent_lowat(1).is_err() {
        return true;
    }
    let mut sockets = [PollFd::new(stream, PollFlags::OUT)];
    loop {
        match poll(&mut sockets, Some(&Timespec::default())) {
            // A signal came, which says nothing.
            Err(Errno::INTR) => {}
            polled => return polled != Ok(0),
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn is_sent(_: &TcpStream) -> bool {
    true
}
