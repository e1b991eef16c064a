//! One call of gRPC over HTTP/2 (grpc `doc/PROTOCOL-HTTP2.md`).

use std::fmt::Write as _;
use std::pin::pin;

use bytes::Bytes;
use h2::{RecvStream, client};
use http::{HeaderMap, HeaderValue, Request};
use tokio::io::{AsyncRead, AsyncWrite};

/// What stands before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// The most octets of an answer.
const MOST: usize = 1 << 20;

/// The most characters of what a server says about an error.
const WORDS: usize = 300;

/// The most octets of headers and of trailers.
const HEADERS: u32 = 16 << 10;

/// Makes the call, and gives the answer's message. The connection is used for this call alone, and
/// ends with it.
///
/// # Errors
///
/// What went wrong, in words.
pub(super) async fn call<S>(
    stream: S,
    request: Request<()>,
    message: &[u8],
) -> Result<Vec<u8>, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut builder = client::Builder::new();
    builder.enable_push(false).max_header_list_size(HEADERS);
    let handshake = builder.handshake::<_, Bytes>(stream).await;
    let (send, connection) = handshake.map_err(words)?;
    let mut answer = pin!(exchange(send, request, message));
    tokio::select! {
        biased;
        answer = &mut answer => return answer,
        ended = connection => ended.map_err(words)?,
    }
    // A connection may end with the answer. What has come is there to be read, the rest is an error.
    answer.await
}

async fn exchange(
    send: client::SendRequest<Bytes>,
    request: Request<()>,
    message: &[u8],
) -> Result<Vec<u8>, String> {
    let length = u32::try_from(message.len()).map_err(|_| "the request is too long")?;
    let mut framed = vec![0];
    framed.extend(length.to_be_bytes());
    framed.extend(message);
    let mut send = send.ready().await.map_err(words)?;
    let (response, mut body) = send.send_request(request, false).map_err(words)?;
    body.send_data(framed.into(), true).map_err(words)?;
    let (head, mut body) = response.await.map_err(words)?.into_parts();
    if head.status != http::StatusCode::OK {
        return Err(format!("HTTP status {}", head.status));
    }
    // An error may come without a body: then its status is among the headers.
    status(&head.headers, true)?;
    let answer = collect(&mut body).await?;
    let trailers = body.trailers().await.map_err(words)?.unwrap_or_default();
    status(&trailers, head.headers.contains_key(STATUS))?;
    unframed(answer)
}

async fn collect(body: &mut RecvStream) -> Result<Vec<u8>, String> {
    let mut answer = Vec::new();
    while let Some(octets) = body.data().await {
        let octets = octets.map_err(words)?;
        if answer.len() + octets.len() > MOST + PREFIX {
            return Err(format!("the answer has more than {MOST} bytes"));
        }
        answer.extend_from_slice(&octets);
        _ = body.flow_control().release_capacity(octets.len());
    }
    Ok(answer)
}

pub(super) fn unframed(mut answer: Vec<u8>) -> Result<Vec<u8>, String> {
    let framed = || match answer.split_first_chunk() {
        Some((&[compressed, a, b, c, d], message)) => {
            let length = u32::from_be_bytes([a, b, c, d]) as usize;
            compressed == 0 && length == message.len()
        }
        None => false,
    };
    if !framed() {
        return Err("the answer is not one message that is not compressed".to_owned());
    }
    answer.drain(..PREFIX);
    Ok(answer)
}

#[expect(clippy::needless_pass_by_value, reason = "`map_err` passes it so")]
fn words(error: h2::Error) -> String {
    if error.is_io() {
        return "the connection broke before the answer was there".to_owned();
    }
    error.to_string()
}

const STATUS: &str = "grpc-status";

/// Whether the status says that all is well.
fn status(headers: &HeaderMap, may_lack: bool) -> Result<(), String> {
    let text = |name| headers.get(name).map(HeaderValue::as_bytes);
    match text(STATUS) {
        Some(b"0") => Ok(()),
        None if may_lack => Ok(()),
        None => Err("the answer ended without a status".to_owned()),
        Some(code) => {
            let words = readable(text("grpc-message").unwrap_or_default());
            let code = readable(code);
            Err(format!("gRPC status {code}: {}", words.trim_end()))
        }
    }
}

/// What a server says, for a line of a log: decoded, without control characters, not too long.
pub(super) fn readable(text: &[u8]) -> String {
    let mut octets = Vec::new();
    let mut rest = text;
    while let Some((&octet, after)) = rest.split_first() {
        rest = after;
        let digits = after.split_at_checked(2).filter(|_| octet == b'%');
        let decoded = digits.and_then(|(digits, after)| {
            let digits = std::str::from_utf8(digits).ok()?;
            Some((u8::from_str_radix(digits, 16).ok()?, after))
        });
        match decoded {
            Some((octet, after)) => {
                octets.push(octet);
                rest = after;
            }
            None => octets.push(octet),
        }
    }
    let mut words = String::new();
    for character in String::from_utf8_lossy(&octets).chars().take(WORDS) {
        let shown = if character.is_control() {
            ' '
        } else {
            character
        };
        // Writing into a text cannot fail.
        _ = words.write_char(shown);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_readable() {
        let said = b"no such node%0Afoo %C3%A9 100% %zz";
        assert_eq!(readable(said), "no such node foo é 100% %zz");
        assert_eq!(readable(&[b'x'; 1000]).len(), WORDS);
        assert_eq!(readable(b"%ff%1"), "\u{fffd}%1");
    }

    #[test]
    fn only_one_whole_message_is_an_answer() {
        assert_eq!(unframed(b"\0\0\0\0\x02ab".to_vec()).unwrap(), b"ab");
        for other in [
            &b""[..],
            b"\0\0\0\0",
            b"\x01\0\0\0\x02ab",
            b"\0\0\0\0\x03ab",
            b"\0\0\0\0\x01ab",
        ] {
            unframed(other.to_vec()).unwrap_err();
        }
    }
}
