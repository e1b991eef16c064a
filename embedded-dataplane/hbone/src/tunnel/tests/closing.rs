//! W17: what an application does to its connection is what happens at the other end, in both
//! directions and whoever began.

use super::*;
use crate::testing::{END_STREAM, Frame, connect as block};

/// A stream of ours on a raw peer, to which it is the client or the server.
struct Ours {
    peer: Raw,
    stream: Stream,
    /// Moves frames for as long as it is held.
    _driving: tokio::task::JoinSet<()>,
}

/// Octets of `x-ambient-close: exact` in a header block.
fn promise() -> Vec<u8> {
    [&[0x00, 15][..], b"x-ambient-close", &[5], b"exact"].concat()
}

async fn as_client(is_exact: bool) -> Ours {
    let (mut peer, tunnel, ending) = welcomed(&[]).await;
    let mut answer = STATUS_200.to_vec();
    if is_exact {
        answer.extend(promise());
    }
    let answer = frame(HEADERS, END_HEADERS, 1, &answer);
    let stream = ask(&mut peer, &tunnel, &answer).await.unwrap().stream;
    let mut driving = tokio::task::JoinSet::new();
    driving.spawn(async move {
        _ = ending.await;
        drop(tunnel);
    });
    Ours {
        peer,
        stream,
        _driving: driving,
    }
}

async fn as_server(is_exact: bool) -> Ours {
    let (mut peer, stream) = Raw::new(1 << 20);
    peer.greet().await;
    let mut request = block("10.0.0.7:80");
    if is_exact {
        request.extend(promise());
    }
    peer.send(&frame(HEADERS, END_HEADERS, 1, &request)).await;
    let mut connection = server::accept(stream, &Limits::SERVER).await.unwrap();
    let Incoming::Connect(request) = connection.next().await.unwrap().unwrap() else {
        panic!("a CONNECT came");
    };
    let stream = request.accept(&Baggage::default()).unwrap();
    let mut driving = tokio::task::JoinSet::new();
    driving.spawn(async move { while let Ok(Some(_)) = connection.next().await {} });
    peer.receive_next(HEADERS).await.unwrap();
    Ours {
        peer,
        stream,
        _driving: driving,
    }
}

async fn both(is_exact: bool) -> [Ours; 2] {
    [as_client(is_exact).await, as_server(is_exact).await]
}

#[tokio::test]
async fn w17_what_comes_is_told_as_it_was_meant() {
    let fin = frame(DATA, END_STREAM, 1, b"");
    let is_reset = |code| Err(StreamError::Reset { code });
    let meanings = [
        (&fin, Ok(None), Ok(None)),
        (&reset(1, 10), is_reset(10), is_reset(10)),
        (&reset(1, 2), is_reset(2), is_reset(2)),
        // How ztunnel lets go of a stream, whatever the reason.
        (&reset(1, 8), Ok(None), is_reset(8)),
        (&reset(1, 0), Ok(None), is_reset(0)),
    ];
    for (octets, plain, exact) in meanings {
        for is_exact in [false, true] {
            for mut ours in both(is_exact).await {
                let expected = if is_exact { &exact } else { &plain };
                // What came before is not lost.
                ours.peer.send(&frame(DATA, 0, 1, b"before")).await;
                ours.peer.send(octets).await;
                let (reader, writer) = ours.stream.halves();
                assert_eq!(reader.read().await.unwrap().unwrap(), "before");
                assert_eq!(reader.read().await, *expected, "{octets:?} {is_exact}");
                // The other direction stays open only where it was not reset.
                let written = writer.write(Bytes::from_static(b"after")).await;
                assert_eq!(written.is_ok(), *octets == fin, "{octets:?} {is_exact}");
            }
        }
    }
}

/// Frames that end the stream.
async fn endings(peer: &mut Raw, count: usize) -> Vec<(u8, Option<u32>)> {
    let mut endings = Vec::new();
    while endings.len() < count {
        match peer.receive().await.unwrap() {
            f @ Frame {
                kind: RST_STREAM, ..
            } => endings.push((RST_STREAM, Some(code(&f)))),
            Frame {
                kind: DATA, flags, ..
            } if flags & END_STREAM != 0 => {
                endings.push((DATA, None));
            }
            _ => {}
        }
    }
    endings
}

#[tokio::test]
async fn w17_what_is_done_is_said_as_it_was_meant() {
    for mut ours in both(true).await {
        ours.stream.halves().1.finish().unwrap();
        assert_eq!(endings(&mut ours.peer, 1).await, [(DATA, None)]);
        let again = ours.stream.halves().1.finish();
        assert_eq!(again, Err(StreamError::Finished));
    }
    for mut ours in both(true).await {
        let (_, writer) = ours.stream.halves();
        writer.reset();
        assert_eq!(endings(&mut ours.peer, 1).await, [(RST_STREAM, Some(10))]);
        let written = ours
            .stream
            .halves()
            .1
            .write(Bytes::from_static(b"after"))
            .await;
        assert_eq!(written, Err(StreamError::Finished));
        let end = StreamError::Reset { code: 10 };
        assert_eq!(ours.stream.halves().0.read().await, Err(end));
    }
    // Who drops a stream in its middle did not finish it.
    for Ours {
        mut peer,
        stream,
        _driving,
    } in both(true).await
    {
        drop(stream);
        assert_eq!(endings(&mut peer, 1).await, [(RST_STREAM, Some(8))]);
    }
    // Nor did who drops only the writer; that it was itself is no end to it, whatever the peer says.
    for Ours {
        mut peer,
        stream,
        _driving,
    } in both(false).await
    {
        let (mut reader, writer) = stream.split();
        drop(writer);
        assert_eq!(endings(&mut peer, 1).await, [(RST_STREAM, Some(8))]);
        let end = StreamError::Reset { code: 8 };
        assert_eq!(reader.read().await, Err(end));
    }
}

#[tokio::test]
async fn w17_what_was_sent_before_a_reset_arrives_before_it() {
    const LENGTH: usize = 60_000;
    for is_finished in [false, true] {
        for mut ours in both(true).await {
            let (_, writer) = ours.stream.halves();
            writer.write(Bytes::from(vec![7; LENGTH])).await.unwrap();
            if is_finished {
                writer.finish().unwrap();
            }
            poll_fn(|cx| writer.poll_sent(cx)).await;
            writer.reset();
            let mut came = 0;
            let mut has_ended = false;
            let code = loop {
                let frame = ours.peer.receive().await.unwrap();
                match frame.kind {
                    DATA => {
                        came += frame.payload.len();
                        has_ended |= frame.flags & END_STREAM != 0;
                    }
                    RST_STREAM => break code(&frame),
                    _ => {}
                }
            };
            assert_eq!((came, has_ended, code), (LENGTH, is_finished, 10));
        }
    }
}

#[tokio::test]
async fn a_reset_is_noticed_by_whoever_only_writes() {
    for mut ours in both(false).await {
        ours.peer.send(&frame(DATA, END_STREAM, 1, b"")).await;
        let (reader, writer) = ours.stream.halves();
        assert_eq!(reader.read().await, Ok(None));
        ours.peer.send(&reset(1, 8)).await;
        let broken = poll_fn(|cx| writer.poll_broken(cx)).await;
        assert_eq!(broken, StreamError::Reset { code: 8 });
        let error = StreamError::Reset { code: 8 };
        assert_eq!(writer.finish(), Err(error));
    }
}

#[tokio::test]
async fn that_a_connection_ended_is_not_told_as_a_reset_of_its_streams() {
    let farewell = |code: u32| frame(GOAWAY, 0, 0, &[[0; 4], code.to_be_bytes()].concat());
    // Our peer breaks a rule, which ends everything.
    let fault = frame(WINDOW_UPDATE, 0, 0, &[0; 4]);
    let unspecific = "connection error detected: unspecific protocol error detected";
    for is_finished in [false, true] {
        let ended = [
            (
                as_client(false).await,
                farewell(0),
                "connection error received: not a result of an error",
            ),
            (
                as_client(true).await,
                farewell(2),
                "connection error received: unexpected internal error encountered",
            ),
            (as_client(true).await, fault.clone(), unspecific),
            (as_server(false).await, fault.clone(), unspecific),
        ];
        for (mut ours, octets, detail) in ended {
            let flags = if is_finished { END_STREAM } else { 0 };
            ours.peer.send(&frame(DATA, flags, 1, b"before")).await;
            ours.peer.send(&octets).await;
            let (reader, writer) = ours.stream.halves();
            let broken = poll_fn(|cx| writer.poll_broken(cx)).await;
            let end = StreamError::Connection {
                detail: detail.to_owned(),
            };
            assert_eq!(reader.cause(broken), end, "{is_finished}");
            assert!(!reader.is_let_go(&end));
            let written = writer
                .write(Bytes::from_static(b"after"))
                .await
                .unwrap_err();
            assert_eq!(reader.cause(written), end, "{is_finished}");
            // What came before is not lost.
            assert_eq!(reader.read().await.unwrap().unwrap(), "before");
            assert_eq!(reader.read().await, Err(end));
        }
    }
}

#[tokio::test]
async fn a_writer_that_waits_for_credit_notices_a_reset() {
    for mut ours in both(false).await {
        let (_, writer) = ours.stream.halves();
        // More than the window of a peer that said nothing of it.
        let writing = writer.write(Bytes::from(vec![0; 100_000]));
        let resetting = async {
            let mut came = 0;
            while came < 65_535 {
                came += ours.peer.receive_next(DATA).await.unwrap().payload.len();
            }
            ours.peer.send(&reset(1, 10)).await;
        };
        let (written, ()) = tokio::join!(writing, resetting);
        assert_eq!(written, Err(StreamError::Reset { code: 10 }));
    }
}

#[tokio::test]
async fn as_a_stream_of_tokio_it_closes_the_same() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    for mut ours in both(false).await {
        ours.stream.write_all(b"hello").await.unwrap();
        ours.stream.shutdown().await.unwrap();
        let data = ours.peer.receive_next(DATA).await.unwrap();
        assert_eq!(data.payload, b"hello");
        ours.peer.send(&frame(DATA, 0, 1, b"good")).await;
        ours.peer.send(&frame(DATA, END_STREAM, 1, b"bye")).await;
        // Read in pieces, and to the end.
        let mut piece = [0; 3];
        ours.stream.read_exact(&mut piece).await.unwrap();
        let mut rest = String::new();
        ours.stream.read_to_string(&mut rest).await.unwrap();
        assert_eq!((&piece, &*rest), (b"goo", "dbye"));
    }
    for mut ours in both(false).await {
        ours.peer.send(&reset(1, 10)).await;
        let error = ours.stream.read(&mut [0; 9]).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
}

/// A stream that fails when it is read from.
struct Failing;

#[derive(Debug, thiserror::Error)]
#[error("what only the layer below knows")]
struct Known;

impl tokio::io::AsyncRead for Failing {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Poll::Ready(Err(std::io::Error::other(Known)))
    }
}

impl AsyncWrite for Failing {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn how_the_stream_below_failed_is_told_by_its_own_error() {
    let of_client = open(Failing, &Limits::CLIENT).await.map(|_| ());
    let of_server = server::accept(Failing, &Limits::SERVER).await.map(|_| ());
    for outcome in [of_client, of_server] {
        let Err(ConnectionError::Io(error)) = outcome else {
            panic!("{outcome:?}");
        };
        let inner = error.get_ref().unwrap();
        assert!(inner.is::<Known>(), "{inner:?}");
    }
}
