//! Peers of tests that send frames one by one, whatever they mean.

use std::time::Duration;

use http::HeaderMap;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

/// Types of frames (RFC 9113, section 6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
/// Flags of frames.
pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// `:status: 200`, by its number in the static table (RFC 7541, appendix A).
pub(crate) const STATUS_200: &[u8] = &[0x88];

/// What a client begins with (RFC 9113, section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut octets = length[1..].to_vec();
    octets.extend([kind, flags]);
    octets.extend(stream.to_be_bytes());
    octets.extend(payload);
    octets
}

/// A CONNECT as a header block, without compression.
pub(crate) fn connect(authority: &str) -> Vec<u8> {
    let mut block = vec![0x02, 7];
    block.extend(b"CONNECT");
    block.extend([0x01, u8::try_from(authority.len()).unwrap()]);
    block.extend(authority.as_bytes());
    block
}

pub(crate) fn open(stream: u32, authority: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &connect(authority))
}

pub(crate) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

/// A peer that sends what it is told.
#[derive(Debug)]
pub(crate) struct Raw {
    stream: DuplexStream,
}

impl Raw {
    /// A peer, and the end of the stream that it talks to.
    pub(crate) fn new(capacity: usize) -> (Self, DuplexStream) {
        let (ours, theirs) = duplex(capacity);
        (Self { stream: ours }, theirs)
    }

    pub(crate) async fn send(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).await.unwrap();
    }

    /// Sends the same over and over until the other end takes no more, or closed; how many octets
    /// went.
    pub(crate) async fn flood(&mut self, octets: &[u8]) -> usize {
        if octets.is_empty() {
            return 0;
        }
        let mut sent = 0;
        let second = Duration::from_secs(1);
        let rest = |sent: usize| &octets[sent % octets.len()..];
        while let Ok(Ok(now)) = tokio::time::timeout(second, self.stream.write(rest(sent))).await {
            sent += now;
        }
        sent
    }

    /// The client's greeting.
    pub(crate) async fn greet(&mut self) {
        self.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat())
            .await;
    }

    /// The server's greeting, when the client has sent its own.
    pub(crate) async fn welcome(&mut self, settings: &[u8]) {
        let mut preface = [0; PREFACE.len()];
        self.stream.read_exact(&mut preface).await.unwrap();
        assert_eq!(preface, PREFACE);
        self.send(&frame(SETTINGS, 0, 0, settings)).await;
        self.send(&frame(SETTINGS, ACK, 0, &[])).await;
    }

    /// The next frame; `None` at the end.
    pub(crate) async fn receive(&mut self) -> Option<Frame> {
        let mut header = [0; 9];
        self.stream.read_exact(&mut header).await.ok()?;
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some(Frame {
            kind: header[3],
            flags: header[4],
            stream: u32::from_be_bytes(*header[5..].first_chunk().unwrap()),
            payload,
        })
    }

    /// The next frame of a type, and not those before it.
    pub(crate) async fn receive_next(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.receive().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// Takes some octets, whatever they mean.
    pub(crate) async fn take(&mut self, octets: usize) {
        let mut taken = vec![0; octets];
        self.stream.read_exact(&mut taken).await.unwrap();
    }

    /// Everything until the end.
    pub(crate) async fn receive_all(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.receive().await {
            frames.push(frame);
        }
        frames
    }
}

/// The error code of a GOAWAY or RST_STREAM.
pub(crate) fn code(frame: &Frame) -> u32 {
    let at = if frame.kind == GOAWAY { 4 } else { 0 };
    u32::from_be_bytes(*frame.payload[at..].first_chunk().unwrap())
}

/// A request of the library's client.
pub(crate) fn request(method: &str, uri: &str, headers: HeaderMap) -> http::Request<()> {
    let mut request = http::Request::builder()
        .method(method)
        .uri(uri)
        .version(http::Version::HTTP_2)
        .body(())
        .unwrap();
    *request.headers_mut() = headers;
    request
}
