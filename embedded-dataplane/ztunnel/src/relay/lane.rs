//! Threads that a relay works on, and which of them a connection goes to.
//!
//! A connection stays where it begins, with the tunnel that it goes through: each lane has tunnels of
//! its own, so that nothing that is carried goes from one thread to another.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::runtime::Handle;

use super::Shared;
use crate::socket::Accepted;

/// One of the threads.
pub(super) struct Lane {
    pub(super) handle: Handle,
    pub(super) shared: Arc<Shared>,
}

/// Gives a connection to the lane that has least to do, in case of doubt to the first, which is the
/// one that is here.
pub(super) fn give(lanes: &[Lane], accepted: Accepted, serve: impl FnOnce(&Arc<Shared>, Accepted)) {
    let all = lanes.iter().enumerate();
    let Some((number, lane)) = all.min_by_key(|(_, lane)| lane.shared.serving.len()) else {
        return;
    };
    let _within = lane.handle.enter();
    let stream = match accepted.stream {
        stream if number == 0 => Ok(stream),
        stream => moved(stream),
    };
    match stream {
        Ok(stream) => serve(&lane.shared, Accepted { stream, ..accepted }),
        Err(error) => tracing::warn!(
            source = %accepted.source,
            error = error.to_string(),
            "a connection was lost on its way to a thread"
        ),
    }
}

/// Has a socket wake the thread that this is called for, which is decided where it is registered. One
/// that cannot be breaks off.
fn moved(stream: TcpStream) -> io::Result<TcpStream> {
    let stream = stream.into_std()?;
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    let stream = TcpStream::from_std(stream)?;
    SockRef::from(&stream).set_linger(None)?;
    Ok(stream)
}
