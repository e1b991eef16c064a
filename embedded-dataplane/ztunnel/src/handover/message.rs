//! The one message with descriptors: a line that says what it is, the names of the listeners in the
//! order of their descriptors, and an empty line.

use std::fmt::Write as _;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use socket2::Socket;
use tokio::net::UnixStream;

/// The first line.
const GREETING: &str = "ambient listeners 1";
/// Descriptors of one message.
const MOST: usize = 16;
/// Octets of one message.
const LONGEST: usize = 4096;

pub(super) fn send(stream: &UnixStream, listeners: &[(&str, BorrowedFd<'_>)]) -> io::Result<()> {
    let mut text = format!("{GREETING}\n");
    for (name, _) in listeners {
        // A `String` takes everything.
        let _ = writeln!(text, "{name}");
    }
    text.push('\n');
    let descriptors: Vec<BorrowedFd<'_>> = listeners.iter().map(|(_, fd)| *fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(wrong(
            "there are more listeners than one message has room for",
        ));
    }
    let octets = [IoSlice::new(text.as_bytes())];
    let sent = sendmsg(stream, &octets, &mut control, SendFlags::empty())?;
    if sent == text.len() {
        Ok(())
    } else {
        Err(wrong("the other process does not take the message"))
    }
}

pub(super) fn receive(stream: &UnixStream) -> io::Result<Vec<(String, OwnedFd)>> {
    let mut octets = [0; LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = recvmsg(
        stream,
        &mut [IoSliceMut::new(&mut octets)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    let text = octets.get(..message.bytes).unwrap_or_default();
    let names = names(text).ok_or_else(|| wrong("it sent something else"))?;
    if names.len() != descriptors.len() {
        return Err(wrong(
            "it sent names without listeners, or listeners without names",
        ));
    }
    let listeners = names.into_iter().zip(descriptors);
    listeners
        .map(|(name, fd)| Ok((name, listener(fd)?)))
        .collect()
}

/// The names in a message, if it is one.
pub(super) fn names(octets: &[u8]) -> Option<Vec<String>> {
    let text = std::str::from_utf8(octets).ok()?.strip_suffix("\n\n")?;
    let mut lines = text.split('\n');
    if lines.next() != Some(GREETING) {
        return None;
    }
    let names: Vec<_> = lines.map(str::to_owned).collect();
    (names.iter().all(|name| !name.is_empty())).then_some(names)
}

fn listener(descriptor: OwnedFd) -> io::Result<OwnedFd> {
    let socket = Socket::from(descriptor);
    if !socket.is_listener()? {
        return Err(wrong("one of the descriptors does not listen"));
    }
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn wrong(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}
