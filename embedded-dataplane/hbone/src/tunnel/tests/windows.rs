//! W27: what a window bounds on a long link, and who pays for larger ones.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::{sleep, sleep_until};

use super::*;
use crate::limits::Budget;

/// One way of a link takes so long.
const DELAY: Duration = Duration::from_millis(50);
const OCTETS: usize = 16 << 20;

/// A link on which everything takes a while, and nothing is lost.
fn link() -> (DuplexStream, DuplexStream) {
    let (ours, near) = duplex(64 << 20);
    let (theirs, far) = duplex(64 << 20);
    let (near_in, near_out) = tokio::io::split(near);
    let (far_in, far_out) = tokio::io::split(far);
    tokio::spawn(carry(near_in, far_out));
    tokio::spawn(carry(far_in, near_out));
    (ours, theirs)
}

async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin + Send + 'static) {
    let (put, mut take) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    tokio::spawn(async move {
        while let Some((when, octets)) = take.recv().await {
            sleep_until(when).await;
            if to.write_all(&octets).await.is_err() {
                return;
            }
        }
        _ = to.shutdown().await;
    });
    let mut buffer = vec![0; 1 << 20];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        _ = put.send((Instant::now() + DELAY, buffer[..count].to_vec()));
    }
}

fn limits(budget: Option<&Arc<Budget>>) -> Limits {
    Limits {
        stream_window: 256 << 10,
        connection_window: 1 << 20,
        budget: budget.cloned(),
        ..Limits::CLIENT
    }
}

/// A stream, as both ends of a link have it.
async fn pair(limits: &Limits) -> (Stream, Stream, Tunnel) {
    let (ours, theirs) = link();
    let (opened, accepted) = tokio::join!(open(ours, limits), server::accept(theirs, limits));
    let (tunnel, driver) = opened.unwrap();
    tokio::spawn(driver);
    let mut connection = accepted.unwrap();
    let place = tunnel.reserve().unwrap();
    let asking = tokio::spawn(async move { place.connect(&target(), &Headers::default()).await });
    let Some(Incoming::Connect(request)) = connection.next().await.unwrap() else {
        panic!("a CONNECT comes first");
    };
    let theirs = request.accept(&Baggage::default()).unwrap();
    tokio::spawn(async move { while let Ok(Some(_)) = connection.next().await {} });
    (asking.await.unwrap().unwrap().stream, theirs, tunnel)
}

/// How long it takes to carry some octets.
async fn time(from: Stream, to: Stream) -> Duration {
    let start = Instant::now();
    let (_from_reader, mut writer) = from.split();
    let (mut reader, _to_writer) = to.split();
    let sending = tokio::spawn(async move {
        writer.write(Bytes::from(vec![7; OCTETS])).await.unwrap();
        writer.finish().unwrap();
        sleep(DELAY * 4).await;
    });
    let mut left = OCTETS;
    while let Some(octets) = reader.read().await.unwrap() {
        left -= octets.len();
    }
    assert_eq!(left, 0);
    let took = start.elapsed();
    sending.await.unwrap();
    took
}

#[tokio::test(start_paused = true)]
async fn w27_windows_grow_on_a_long_link_in_both_directions() {
    let fixed = Duration::from_millis(64 * 100);
    for is_upload in [true, false] {
        let (ours, theirs, _tunnel) = pair(&limits(None)).await;
        let (from, to) = if is_upload {
            (ours, theirs)
        } else {
            (theirs, ours)
        };
        let without = time(from, to).await;
        // A window for each round trip.
        assert!(without.abs_diff(fixed) < DELAY * 4, "{without:?}");

        let budget = Arc::new(Budget::new(1 << 30));
        let (ours, theirs, _tunnel) = pair(&limits(Some(&budget))).await;
        let (from, to) = if is_upload {
            (ours, theirs)
        } else {
            (theirs, ours)
        };
        let with = time(from, to).await;
        assert!(with * 3 < without, "{with:?} {without:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn w27_windows_take_no_more_than_the_budget_and_give_it_back() {
    let budget = Arc::new(Budget::new(0));
    let (ours, theirs, _tunnel) = pair(&limits(Some(&budget))).await;
    let without = time(ours, theirs).await;
    // The streams may grow within the connection.
    assert!(without > Duration::from_millis(16 * 100), "{without:?}");

    let budget = Arc::new(Budget::new(1 << 30));
    let (ours, theirs, tunnel) = pair(&limits(Some(&budget))).await;
    time(ours, theirs).await;
    assert!(budget.left() < 1 << 30);
    sleep(Limits::CLIENT.quiet * 3).await;
    assert_eq!(budget.left(), 1 << 30);
    drop(tunnel);
}

#[tokio::test(start_paused = true)]
async fn w27_whoever_does_not_read_gets_no_larger_window() {
    let budget = Arc::new(Budget::new(1 << 30));
    let (ours, _unread, _tunnel) = pair(&limits(Some(&budget))).await;
    let (_reader, mut writer) = ours.split();
    let sending = writer.write(Bytes::from(vec![7; OCTETS]));
    assert!(
        tokio::time::timeout(Duration::from_secs(5), sending)
            .await
            .is_err()
    );
    assert_eq!(budget.left(), 1 << 30);
}
