//! Reading and writing a socket, a step at a time.

use std::io;

use tokio::io::Interest;
use tokio::net::TcpStream;

/// Appends what there is to a buffer that has room for some.
#[cfg(target_os = "linux")]
pub(crate) fn receive(stream: &TcpStream, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let room = buffer.capacity() - buffer.len();
    at_once(stream, Interest::READABLE, room, || {
        rustix::io::read(stream, rustix::buffer::spare_capacity(buffer))
    })
}

/// Sends as many of these as there is room for.
#[cfg(target_os = "linux")]
pub(crate) fn send(stream: &TcpStream, octets: &[u8]) -> io::Result<usize> {
    use rustix::net::SendFlags;

    at_once(stream, Interest::WRITABLE, octets.len(), || {
        rustix::net::send(stream, octets, SendFlags::NOSIGNAL)
    })
}

/// Does something for so many octets that needs the socket to be ready. Where it came to fewer the
/// socket is not ready any more (epoll(7), edge-triggered), and is not asked again only to say so.
#[cfg(target_os = "linux")]
fn at_once(
    stream: &TcpStream,
    interest: Interest,
    octets: usize,
    work: impl FnOnce() -> rustix::io::Result<usize>,
) -> io::Result<usize> {
    let mut fewer = None;
    // INVARIANT: told as an error within, so that what made the socket ready before is forgotten, and
    // not what does meanwhile.
    let all = stream.try_io(interest, || match work()? {
        done if done < octets => {
            fewer = Some(done);
            Err(io::ErrorKind::WouldBlock.into())
        }
        done => Ok(done),
    });
    fewer.map_or(all, Ok)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn receive(stream: &TcpStream, buffer: &mut Vec<u8>) -> io::Result<usize> {
    stream.try_read_buf(buffer)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn send(stream: &TcpStream, octets: &[u8]) -> io::Result<usize> {
    stream.try_write(octets)
}
