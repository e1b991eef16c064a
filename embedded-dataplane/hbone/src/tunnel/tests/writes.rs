//! What all streams have to say goes in one write.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio::io::ReadBuf;

use super::*;

/// A stream that counts what is written to it.
struct Counted {
    stream: DuplexStream,
    writes: Arc<AtomicUsize>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.stream).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn what_fifty_streams_say_at_the_same_time_is_a_write_or_two() {
    let (ours, theirs) = duplex(1 << 20);
    let counts = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
    let [ours, theirs] =
        [(ours, &counts[0]), (theirs, &counts[1])].map(|(stream, writes)| Counted {
            stream,
            writes: Arc::clone(writes),
        });
    let (opened, accepted) = tokio::join!(
        open(ours, &Limits::CLIENT),
        server::accept(theirs, &Limits::SERVER)
    );
    let (tunnel, driver) = opened.unwrap();
    tokio::spawn(driver);
    let mut connection = accepted.unwrap();
    tokio::spawn(async move {
        while let Ok(Some(Incoming::Connect(request))) = connection.next().await {
            let mut stream = request.accept(&Baggage::default()).unwrap();
            tokio::spawn(async move {
                let (reader, writer) = stream.halves();
                while let Ok(Some(octets)) = reader.read().await {
                    writer.write(octets).await.unwrap();
                }
            });
        }
    });
    let (target, headers) = (target(), Headers::default());
    let mut streams = Vec::new();
    for _ in 0..50 {
        let place = tunnel.reserve().unwrap();
        streams.push(place.connect(&target, &headers).await.unwrap().stream);
    }
    let before = counts.each_ref().map(|count| count.load(Ordering::Relaxed));
    let rounds = 10;
    for _ in 0..rounds {
        for stream in &mut streams {
            stream
                .halves()
                .1
                .write(Bytes::from_static(&[7; 2000]))
                .await
                .unwrap();
        }
        for stream in &mut streams {
            assert_eq!(stream.halves().0.read().await.unwrap().unwrap().len(), 2000);
        }
    }
    let after = counts.each_ref().map(|count| count.load(Ordering::Relaxed));
    for (before, after) in before.into_iter().zip(after) {
        // 500 without; some are of windows and what came too early or late for a turn.
        assert!(after - before <= rounds * 5, "{}", after - before);
    }
}
