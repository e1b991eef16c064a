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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Write as _;

    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn whoever_gave_less_than_there_was_room_for_is_asked_again_when_there_is_more() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = std::net::TcpStream::connect(listener.local_addr().unwrap());
        let (mut peer, ours) = (peer.unwrap(), listener.accept().await.unwrap().0);
        let mut buffer = Vec::with_capacity(100);
        peer.write_all(b"some").unwrap();
        ours.readable().await.unwrap();
        assert_eq!(receive(&ours, &mut buffer).unwrap(), 4);
        // Nothing tells of it before the runtime looks at the socket.
        peer.write_all(b", and more").unwrap();
        let error = receive(&ours, &mut buffer).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        ours.readable().await.unwrap();
        assert_eq!(receive(&ours, &mut buffer).unwrap(), 10);
        assert_eq!(buffer, b"some, and more");
        drop(peer);
        ours.readable().await.unwrap();
        assert_eq!(receive(&ours, &mut buffer).unwrap(), 0);
        // That it is over does not pass.
        assert_eq!(receive(&ours, &mut buffer).unwrap(), 0);
    }

    #[tokio::test]
    async fn what_there_is_no_room_for_is_left() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let ours = listener.accept().await.unwrap().0;
        let octets = vec![7; 64 << 20];
        ours.writable().await.unwrap();
        let sent = send(&ours, &octets).unwrap();
        assert!((1..octets.len()).contains(&sent), "{sent}");
        let error = send(&ours, &octets).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        drop(peer);
    }
}
