//! The client's end of HBONE.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Ping, PingPong, Reason, RecvStream, SendStream};
use http::{Method, Request, StatusCode, Uri, Version};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::frames::{Frames, GoAway};

/// A connection to a peer that speaks HTTP/2. Dropping it closes it.
#[derive(Debug)]
pub struct Connection {
    requests: SendRequest<Bytes>,
    ping: PingPong,
    notes: Arc<Mutex<Notes>>,
    driver: Driver,
}

/// What a peer answers to a CONNECT.
#[derive(Debug)]
pub enum Answer {
    /// 200: the way is open.
    Open(Tunnel),
    /// Any other status.
    Refused(StatusCode),
}

/// A way through a connection.
#[derive(Debug)]
pub struct Tunnel {
    send: SendStream<Bytes>,
    receive: RecvStream,
    notes: Arc<Mutex<Notes>>,
}

/// The direction to the other end.
#[derive(Debug)]
pub struct Sender<'t> {
    stream: &'t mut SendStream<Bytes>,
    notes: &'t Mutex<Notes>,
}

/// The direction from the other end.
#[derive(Debug)]
pub struct Receiver<'t> {
    stream: &'t mut RecvStream,
    notes: &'t Mutex<Notes>,
}

/// Why a connection or a stream came to an end.
#[derive(Debug)]
pub enum Fault {
    /// The stream below failed; the error is its own.
    Stream(io::Error),
    /// The peer said farewell (GOAWAY).
    GoAway(GoAway),
    /// The peer closed the connection, and said nothing.
    Closed,
    /// The peer reset the stream, for this reason (RFC 9113, section 7).
    Reset(u32),
    /// The peer broke the rules of HTTP/2, in the words of the library.
    Broken(String),
}

impl Connection {
    /// Sends our half of the greeting. That the peer understands it shows in [`Self::settle`].
    ///
    /// # Errors
    ///
    /// When the stream fails.
    pub async fn open<S>(stream: S) -> Result<Self, Fault>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let notes = Arc::new(Mutex::new(Notes::default()));
        let stream = Noted {
            stream,
            notes: Arc::clone(&notes),
        };
        let mut builder = h2::client::Builder::new();
        // As Istio's proxies have it (ztunnel `src/proxy/h2/client.rs`): headers of answers are few.
        builder.enable_push(false).max_header_list_size(16 << 10);
        let (requests, mut connection) = builder
            .handshake(stream)
            .await
            .map_err(|error| fault(&notes, &error))?;
        let Some(ping) = connection.ping_pong() else {
            return Err(Fault::Broken("no ping".to_owned()));
        };
        let ending = Arc::clone(&notes);
        let driver = Driver(tokio::spawn(async move {
            let outcome = connection.await;
            let mut notes = lock(&ending);
            if let Err(error) = outcome
                && !error.is_io()
            {
                notes.broken = Some(error.to_string());
            }
            notes.over = true;
            notes.progress.notify_one();
        }));
        Ok(Self {
            requests,
            ping,
            notes,
            driver,
        })
    }

    /// Waits until the peer has sent its settings and answered a PING: all octets sent so far have
    /// arrived there then.
    ///
    /// # Errors
    ///
    /// How the connection ended instead, or that it is about to (GOAWAY).
    pub async fn settle(&mut self) -> Result<(), Fault> {
        let answer = self.ping.ping(Ping::opaque()).await;
        if let Err(error) = answer {
            // The driver has more to say than whoever waits for a PING.
            if !self.driver.0.is_finished() {
                let _ = (&mut self.driver.0).await;
            }
            return Err(fault(&self.notes, &error));
        }
        let notes = lock(&self.notes);
        match &notes.frames.goaway {
            Some(goaway) => Err(Fault::GoAway(goaway.clone())),
            None if notes.frames.settings => Ok(()),
            None => Err(Fault::Broken(
                "a PING was answered before SETTINGS".to_owned(),
            )),
        }
    }

    /// Asks for a way to an address.
    ///
    /// # Errors
    ///
    /// When there is no answer, because the connection or the stream ended.
    pub async fn connect(&mut self, to: SocketAddr) -> Result<Answer, Fault> {
        let failed = |error: &h2::Error| fault(&self.notes, error);
        let uri = Uri::builder().authority(to.to_string()).build();
        let uri = uri.map_err(|error| Fault::Broken(error.to_string()))?;
        let mut request = Request::new(());
        *request.method_mut() = Method::CONNECT;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = uri;
        let mut requests = self
            .requests
            .clone()
            .ready()
            .await
            .map_err(|e| failed(&e))?;
        let (answer, send) = requests
            .send_request(request, false)
            .map_err(|e| failed(&e))?;
        let answer = answer.await.map_err(|e| failed(&e))?;
        if answer.status() != StatusCode::OK {
            return Ok(Answer::Refused(answer.status()));
        }
        Ok(Answer::Open(Tunnel {
            send,
            receive: answer.into_body(),
            notes: Arc::clone(&self.notes),
        }))
    }
}

impl Tunnel {
    /// Both directions, to be used at the same time.
    pub fn halves(&mut self) -> (Sender<'_>, Receiver<'_>) {
        let notes = &*self.notes;
        (
            Sender {
                stream: &mut self.send,
                notes,
            },
            Receiver {
                stream: &mut self.receive,
                notes,
            },
        )
    }
}

impl Sender<'_> {
    /// Sends octets, as fast as the peer takes them, until the last of them is in the stream below:
    /// what is sent on the connection from then on arrives after them.
    ///
    /// # Errors
    ///
    /// When the stream or the connection ended.
    pub async fn send(&mut self, mut octets: Bytes) -> Result<(), Fault> {
        let start = lock(self.notes).written;
        let end = start + octets.len() as u64;
        while !octets.is_empty() {
            self.stream.reserve_capacity(octets.len());
            let room = std::future::poll_fn(|cx| self.stream.poll_capacity(cx)).await;
            let room = match room {
                Some(room) => room.map_err(|error| fault(self.notes, &error))?,
                None => return Err(Fault::Closed),
            };
            let now = octets.split_to(room.min(octets.len()));
            self.stream
                .send_data(now, false)
                .map_err(|error| fault(self.notes, &error))?;
        }
        // HTTP/2 may still hold some, and would send a PING before them.
        loop {
            let progress = {
                let notes = lock(self.notes);
                if notes.written >= end {
                    return Ok(());
                }
                if notes.over {
                    return Err(Fault::Closed);
                }
                Arc::clone(&notes.progress)
            };
            progress.notified().await;
        }
    }
}

impl Receiver<'_> {
    /// The next octets from the other end; `None` when there are no more.
    ///
    /// # Errors
    ///
    /// When the stream or the connection ended otherwise.
    pub async fn receive(&mut self) -> Result<Option<Bytes>, Fault> {
        match self.stream.data().await {
            None => Ok(None),
            Some(Ok(octets)) => {
                // Fails only where the stream is over, which the next call tells.
                let _ = self.stream.flow_control().release_capacity(octets.len());
                Ok(Some(octets))
            }
            // How Istio's proxies close a tunnel (ztunnel `src/proxy/h2.rs`, `h2_to_io_error`).
            Some(Err(error))
                if matches!(error.reason(), Some(Reason::NO_ERROR | Reason::CANCEL))
                    && error.is_reset() =>
            {
                Ok(None)
            }
            Some(Err(error)) => Err(fault(self.notes, &error)),
        }
    }
}

/// What is known of an end: the notes know more than the error, which keeps only the text of what
/// failed below it.
fn fault(notes: &Mutex<Notes>, error: &h2::Error) -> Fault {
    let mut notes = lock(notes);
    // That the stream fails may follow from what the peer did in HTTP/2, but not if it is the layer
    // below that refuses.
    let is_refusal = |error: &mut io::Error| error.kind() == io::ErrorKind::InvalidData;
    if let Some(error) = notes.error.take_if(is_refusal) {
        return Fault::Stream(error);
    }
    if error.is_reset()
        && let Some(reason) = error.reason()
    {
        return Fault::Reset(reason.into());
    }
    if let Some(goaway) = &notes.frames.goaway {
        return Fault::GoAway(goaway.clone());
    }
    if let Some(text) = &notes.broken {
        return Fault::Broken(text.clone());
    }
    if let Some(error) = notes.error.take() {
        return Fault::Stream(error);
    }
    if notes.ended {
        return Fault::Closed;
    }
    Fault::Broken(error.to_string())
}

fn lock(notes: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What came by below HTTP/2.
#[derive(Debug, Default)]
struct Notes {
    frames: Frames,
    error: Option<io::Error>,
    /// How HTTP/2 was broken, in the words of the library.
    broken: Option<String>,
    ended: bool,
    /// Octets that went into the stream below.
    written: u64,
    /// Nothing is moved any more.
    over: bool,
    /// Tells whoever waits for more of them; one at a time.
    progress: Arc<Notify>,
}

/// The task that moves the frames of a connection; it ends with its owner.
#[derive(Debug)]
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A stream that takes notes for what is above it.
struct Noted<S> {
    stream: S,
    notes: Arc<Mutex<Notes>>,
}

impl<S> Noted<S> {
    /// Keeps an error, and gives one of its kind.
    fn note<T>(&self, outcome: io::Result<T>) -> io::Result<T> {
        outcome.map_err(|error| {
            let kind = error.kind();
            // The first is the cause of the others.
            lock(&self.notes).error.get_or_insert(error);
            kind.into()
        })
    }
}

impl<S: AsyncRead + Unpin> Noted<S> {
    /// What the peer said before it went away: that writing fails is a consequence of it.
    fn parting_words(&mut self, cx: &mut Context<'_>) -> Option<io::Error> {
        let mut scratch = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Err(error)) => return Some(error),
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    lock(&self.notes).frames.pass(buffer.filled());
                }
                _ => return None,
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Noted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let has_room = buffer.remaining() > 0;
        let outcome = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        self.note(outcome)?;
        let new = &buffer.filled()[before..];
        let mut notes = lock(&self.notes);
        notes.ended |= has_room && new.is_empty();
        notes.frames.pass(new);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Noted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = ready!(Pin::new(&mut self.stream).poll_write(cx, octets));
        if let Ok(written) = outcome {
            let mut notes = lock(&self.notes);
            notes.written += written as u64;
            notes.progress.notify_one();
        }
        let outcome = outcome.map_err(|error| self.parting_words(cx).unwrap_or(error));
        Poll::Ready(self.note(outcome))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = ready!(Pin::new(&mut self.stream).poll_flush(cx));
        let outcome = outcome.map_err(|error| self.parting_words(cx).unwrap_or(error));
        Poll::Ready(self.note(outcome))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = ready!(Pin::new(&mut self.stream).poll_shutdown(cx));
        Poll::Ready(self.note(outcome))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Response;
    use tokio::io::{DuplexStream, duplex};
    use tokio::time::{sleep, timeout};

    use super::*;

    /// A peer that opens the tunnel, reads nothing from then on, and goes away.
    async fn leaving(stream: DuplexStream) {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let (_request, mut respond) = connection.accept().await.unwrap().unwrap();
        let _send = respond.send_response(Response::new(()), false).unwrap();
        // Once is enough for the answer to go out.
        std::future::poll_fn(|cx| {
            _ = connection.poll_accept(cx);
            Poll::Ready(())
        })
        .await;
        sleep(Duration::from_millis(50)).await;
    }

    #[tokio::test]
    async fn a_peer_that_goes_away_keeps_nobody_waiting() {
        // What is written waits in so small a stream until it is read.
        let (ours, theirs) = duplex(300);
        let peer = tokio::spawn(leaving(theirs));
        let mut connection = Connection::open(ours).await.unwrap();
        let to = "10.0.0.7:80".parse().unwrap();
        let Answer::Open(mut tunnel) = connection.connect(to).await.unwrap() else {
            unreachable!("the peer answers 200");
        };
        let soon = Duration::from_secs(10);
        let (mut sender, _) = tunnel.halves();
        let sent = timeout(soon, sender.send(Bytes::from(vec![0; 20_000]))).await;
        assert!(sent.unwrap().is_err());
        peer.await.unwrap();
        for _ in 0..2 {
            let settled = timeout(soon, connection.settle()).await;
            assert!(settled.unwrap().is_err());
        }
    }
}
