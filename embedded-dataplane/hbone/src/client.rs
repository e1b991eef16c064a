//! The client's end of HBONE.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Ping, PingPong, Reason, RecvStream, SendStream};
use http::{Method, Request, StatusCode, Uri, Version};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;

use crate::notes::{Broken, Fault, Noted, Notes, fault, lock};

/// A connection to a peer that speaks HTTP/2. Dropping it closes it.
#[derive(Debug)]
pub struct ProbeConnection {
    requests: SendRequest<Bytes>,
    ping: PingPong,
    notes: Arc<Mutex<Notes>>,
    driver: Driver,
}

/// What a peer answers to a CONNECT.
#[derive(Debug)]
pub enum Answer {
    /// 200: the way is open.
    Open(ProbeTunnel),
    /// Any other status.
    Refused(StatusCode),
}

/// A way through a connection.
#[derive(Debug)]
pub struct ProbeTunnel {
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

impl ProbeConnection {
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
        let stream = Noted::new(stream, Arc::clone(&notes));
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
            notes.broken = outcome.err().and_then(|error| Broken::of(&error));
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
        Ok(Answer::Open(ProbeTunnel {
            send,
            receive: answer.into_body(),
            notes: Arc::clone(&self.notes),
        }))
    }
}

impl ProbeTunnel {
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

/// The task that moves the frames of a connection; it ends with its owner.
#[derive(Debug)]
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;
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
        let mut connection = ProbeConnection::open(ours).await.unwrap();
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
