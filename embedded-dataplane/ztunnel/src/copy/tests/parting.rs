//! What an end said before it broke off, or took no more.

use super::*;

/// What is read, and how it ends.
async fn all_of(stream: &mut TcpStream) -> (Vec<u8>, Result<(), io::ErrorKind>) {
    let mut octets = Vec::new();
    let read = soon(stream.read_to_end(&mut octets)).await;
    (octets, read.map(|_| ()).map_err(|error| error.kind()))
}

/// A server that gives an answer while its client still sends, and does not read what comes. The
/// client does not read either, and has little room.
async fn answered(path: &mut Path) -> Vec<u8> {
    let client = socket2::SockRef::from(&path.client);
    client.set_recv_buffer_size(4096).unwrap();
    path.client.write_all(b"a question").await.unwrap();
    soon(path.server.read_exact(&mut [0; 10])).await.unwrap();
    let answer: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    path.server.write_all(&answer).await.unwrap();
    soon(poll_fn(|cx| Tcp::new(&path.server).poll_sent(cx))).await;
    answer
}

#[tokio::test]
async fn w17_an_answer_is_whole_when_the_server_closes_while_the_client_still_sends() {
    for mut path in Path::each().await {
        let answer = answered(&mut path).await;
        drop(path.server);
        fill(&mut path.client).await;
        let (octets, end) = all_of(&mut path.client).await;
        assert!(octets == answer, "{} octets", octets.len());
        assert_eq!(end, Ok(()));
        // It takes no more.
        let more = soon(async { while path.client.write_all(b"more").await.is_ok() {} });
        more.await;
        for (ending, [_, down]) in all(path.relays).await {
            assert_eq!((ending, down), (Ending::Reset(Side::Server), 100_000));
        }
    }
}

#[tokio::test]
async fn w17_what_a_server_sent_before_it_broke_off_arrives_before_that_is_told() {
    for mut path in Path::each().await {
        let answer = answered(&mut path).await;
        reset(path.server);
        fill(&mut path.client).await;
        let (octets, end) = all_of(&mut path.client).await;
        assert!(octets == answer, "{} octets", octets.len());
        assert_eq!(end, Err(io::ErrorKind::ConnectionReset));
        for (ending, [_, down]) in all(path.relays).await {
            assert_eq!((ending, down), (Ending::Reset(Side::Server), 100_000));
        }
    }
}

#[tokio::test]
async fn w17_what_was_sent_arrives_however_long_it_takes_as_long_as_it_moves() {
    const LENGTH: usize = 500_000;
    for mut path in Path::each_with(Duration::from_millis(300)).await {
        let client = socket2::SockRef::from(&path.client);
        client.set_recv_buffer_size(32_768).unwrap();
        path.client.write_all(b"a question").await.unwrap();
        soon(path.server.read_exact(&mut [0; 10])).await.unwrap();
        let answer = vec![7; LENGTH];
        let mut got = 0;
        let mut pace = tokio::time::interval(Duration::from_millis(10));
        let mut octets = vec![0; 10_000];
        let reading = async {
            loop {
                pace.tick().await;
                match path.client.read(&mut octets).await {
                    Ok(length) => got += length,
                    Err(error) => return error.kind(),
                }
            }
        };
        let answered = async {
            path.server.write_all(&answer).await.unwrap();
            poll_fn(|cx| Tcp::new(&path.server).poll_sent(cx)).await;
            reset(path.server);
        };
        let (end, ()) = soon(async { tokio::join!(reading, answered) }).await;
        assert_eq!((got, end), (LENGTH, io::ErrorKind::ConnectionReset));
        all(path.relays).await;
    }
}

#[tokio::test]
async fn a_peer_that_lets_go_after_its_end_has_finished() {
    let (client, near) = connected().await;
    let mut end = Scripted {
        reads: vec![Ok(None)],
        broken: Some(Broken::Done),
        ..Scripted::default()
    };
    let counts = Counts::default();
    let ending = soon(copied(Tcp::new(&near), &mut end, &counts)).await;
    assert_eq!(ending, Ending::Finished(Side::Server));
    assert!(!end.was_reset);
    drop(client);
    // What it takes no more has no place to go, and is none of its own.
    let (mut client, near) = connected().await;
    client.write_all(b"more").await.unwrap();
    let mut end = Scripted {
        reads: vec![Ok(None)],
        broken: Some(Broken::Done),
        is_full: true,
        ..Scripted::default()
    };
    near.readable().await.unwrap();
    let ending = soon(copied(Tcp::new(&near), &mut end, &counts)).await;
    assert_eq!(ending, Ending::Finished(Side::Server));
    assert!(!end.was_reset);
    // What it said before is read all the same.
    let (mut client, near) = connected().await;
    client.write_all(b"more").await.unwrap();
    let mut end = Scripted {
        reads: vec![Ok(None), Ok(Some(Bytes::from_static(b"an answer")))],
        refusal: Some(Broken::Done),
        ..Scripted::default()
    };
    near.readable().await.unwrap();
    let ending = soon(copied(Tcp::new(&near), &mut end, &counts)).await;
    assert_eq!(ending, Ending::Finished(Side::Server));
    assert_eq!(rest(&mut client).await.unwrap(), b"an answer");
}

/// An end that does as it is told.
#[derive(Default)]
struct Scripted {
    reads: Vec<Result<Option<Bytes>, Broken>>,
    broken: Option<Broken>,
    /// What becomes of writing.
    refusal: Option<Broken>,
    is_full: bool,
    was_reset: bool,
}

impl Endpoint for &mut Scripted {
    fn poll_read(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Broken>> {
        self.reads.pop().map_or(Poll::Pending, Poll::Ready)
    }

    fn poll_write(&mut self, _: &mut Context<'_>, octets: &mut Bytes) -> Poll<Result<(), Broken>> {
        if self.is_full {
            return Poll::Pending;
        }
        if let Some(refusal) = &self.refusal {
            return Poll::Ready(Err(refusal.clone()));
        }
        octets.clear();
        Poll::Ready(Ok(()))
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Poll::Ready(Ok(()))
    }

    fn poll_sent(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn expect(&mut self, _: Duration) -> bool {
        false
    }

    fn poll_broken(&mut self, _: &mut Context<'_>) -> Poll<Broken> {
        self.broken.take().map_or(Poll::Pending, Poll::Ready)
    }

    fn reset(&mut self) {
        self.was_reset = true;
    }
}
