//! The pool over connections in memory, on a clock that stands still while anybody works.

mod bounds;
mod net;
mod weaknesses;

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep};

use self::net::{Net, Script, key, target};
use super::*;
use crate::stream::Stream;

fn pool(net: &Net) -> Pool<Net> {
    with(net, Settings::default())
}

fn with(net: &Net, settings: Settings) -> Pool<Net> {
    Pool::new(net.clone(), Limits::CLIENT, settings)
}

async fn connect(pool: &Pool<Net>, key: &Key) -> Result<Stream, PoolError<net::Down>> {
    let opened = pool.connect(key, &target(), &Headers::default()).await;
    opened.map(|(opened, _)| opened.stream)
}

/// Many at the same time; how each ended and when.
async fn burst(
    pool: &Pool<Net>,
    key: &Key,
    count: usize,
) -> Vec<(Result<Stream, PoolError<net::Down>>, Duration)> {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        let (pool, key) = (pool.clone(), key.clone());
        tasks.spawn(async move { (connect(&pool, &key).await, start.elapsed()) });
    }
    tasks.join_all().await
}

async fn streams(pool: &Pool<Net>, key: &Key, count: usize) -> Vec<Stream> {
    let outcomes = burst(pool, key, count).await;
    outcomes
        .into_iter()
        .map(|(outcome, _)| outcome.unwrap())
        .collect()
}

/// Lets everybody work who can, without time passing.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_admits_no_more_streams_ends_with_those_that_it_has() {
    let net = Net::new(&[]);
    let pool = pool(&net);
    let mut before = connect(&pool, &key(1)).await.unwrap();
    net.distrust();
    let _after = connect(&pool, &key(1)).await.unwrap();
    assert_eq!((net.dialled().len(), connections(&pool)), (2, 1));
    let (reader, writer) = before.halves();
    writer.write(vec![7; 5].into()).await.unwrap();
    assert_eq!(reader.read().await.unwrap().unwrap(), vec![7; 5]);
    assert_eq!(net.ended(), []);
    drop(before);
    settle().await;
    assert_eq!(net.ended(), [(key(1), true)]);
}

#[tokio::test(start_paused = true)]
async fn whether_a_connection_admits_streams_is_asked_by_nobody_who_brings_none() {
    let net = Net::new(&[]);
    let pool = pool(&net);
    let _stream = connect(&pool, &key(1)).await.unwrap();
    let asked = net.asked();
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!((net.asked(), connections(&pool)), (asked, 1));
    drop(connect(&pool, &key(1)).await.unwrap());
    assert!(net.asked() > asked);
}

#[tokio::test(start_paused = true)]
async fn whether_a_connection_admits_streams_is_asked_while_others_may_use_the_pool() {
    let net = Net::new(&[]);
    let pool = pool(&net);
    net.watch(&pool);
    let before = streams(&pool, &key(1), 300).await;
    net.distrust();
    // Some find places on connections that there are, and some wait for others.
    let after = streams(&pool, &key(1), 300).await;
    let dials = net.dialled().len();
    assert_eq!(net.locked(), 0);
    assert!(dials > 3 && net.asked() >= 600, "{dials} {}", net.asked());
    drop((before, after));
}

#[tokio::test(start_paused = true)]
async fn connections_that_are_full_and_admit_no_streams_are_in_nobodys_way() {
    let net = Net::new(&[]);
    let settings = Settings {
        connections: 1,
        ..Settings::default()
    };
    let pool = with(&net, settings);
    let full: Vec<_> = (burst(&pool, &key(1), 1000).await.into_iter())
        .filter_map(|(outcome, _)| outcome.ok())
        .collect();
    assert!((50..1000).contains(&full.len()), "{}", full.len());
    assert!(matches!(
        connect(&pool, &key(1)).await,
        Err(PoolError::Crowded)
    ));
    net.distrust();
    connect(&pool, &key(1)).await.unwrap();
    assert_eq!((net.dialled().len(), connections(&pool)), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_closed_has_everything_arrive_that_was_said() {
    const LENGTH: usize = 500_000;
    let net = Net::new(&[Script::Take]);
    let pool = pool(&net);
    let mut stream = connect(&pool, &key(1)).await.unwrap();
    let (reader, writer) = stream.halves();
    assert_eq!(reader.read().await, Ok(None));
    writer.write(vec![7; LENGTH].into()).await.unwrap();
    writer.finish().unwrap();
    drop(stream);
    assert!(net.taken() < LENGTH);
    pool.close().await;
    drop(pool);
    settle().await;
    assert_eq!((net.taken(), net.ended()), (LENGTH, vec![(key(1), true)]));
}

fn connections(pool: &Pool<Net>) -> usize {
    pool.counts().connections
}

#[tokio::test(start_paused = true)]
async fn streams_of_a_key_share_a_connection_and_others_do_not() {
    let net = Net::new(&[]);
    let pool = pool(&net);
    let mut held = streams(&pool, &key(1), 50).await;
    held.extend(streams(&pool, &key(2), 1).await);
    assert_eq!(net.dialled(), [key(1), key(2)]);
    let counts = Counts {
        keys: 2,
        connections: 2,
        streams: 51,
        dialing: 0,
    };
    assert_eq!(pool.counts(), counts);
    drop(held);
    assert_eq!(pool.counts().streams, 0);
}

#[tokio::test(start_paused = true)]
async fn octets_pass() {
    let net = Net::new(&[]);
    let pool = pool(&net);
    let mut stream = connect(&pool, &key(1)).await.unwrap();
    let (reader, writer) = stream.halves();
    writer.write("hello".into()).await.unwrap();
    assert_eq!(reader.read().await.unwrap().unwrap(), "hello");
    writer.finish().unwrap();
    assert_eq!(reader.read().await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_made_ahead_of_need_when_three_quarters_are_taken() {
    let net = Net::new(&[]);
    let pool = pool(&net);
    let mut held = streams(&pool, &key(1), 74).await;
    settle().await;
    assert_eq!(net.dialled().len(), 1);
    held.extend(streams(&pool, &key(1), 1).await);
    settle().await;
    assert_eq!((net.dialled().len(), connections(&pool)), (2, 2));
    // That nobody needed yet; now somebody does, and does not wait.
    net.then(Script::Hang);
    held.extend(streams(&pool, &key(1), 60).await);
    assert_eq!(net.dialled().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_idle_is_let_go_and_one_in_use_is_not() {
    let net = Net::new(&[]);
    let pool = pool(&net);
    let idle = Settings::default().idle;
    let start = Instant::now();
    drop(streams(&pool, &key(1), 3).await);
    let held = connect(&pool, &key(2)).await.unwrap();
    while connections(&pool) == 2 {
        sleep(Duration::from_secs(1)).await;
    }
    let kept = start.elapsed();
    assert!(
        (idle..=idle * 5 / 4 + Duration::from_secs(1)).contains(&kept),
        "{kept:?}"
    );
    settle().await;
    assert_eq!(net.ended(), [(key(1), true)]);
    sleep(idle * 10).await;
    assert_eq!(
        pool.counts(),
        Counts {
            keys: 1,
            connections: 1,
            streams: 1,
            dialing: 0
        }
    );
    drop(held);
    sleep(idle * 2).await;
    assert_eq!(pool.counts(), Counts::default());
}

#[tokio::test(start_paused = true)]
async fn connections_that_a_burst_needed_fall_idle_after_it() {
    let net = Net::new(&[]);
    let pool = pool(&net);
    drop(streams(&pool, &key(1), 250).await);
    settle().await;
    assert_eq!(connections(&pool), 3);
    // Three streams that begin and end all the time.
    let mut held = Vec::new();
    for _ in 0..Settings::default().idle.as_secs() * 2 {
        held = streams(&pool, &key(1), 3).await;
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!((connections(&pool), net.dialled().len()), (1, 3));
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_its_leave_is_followed_to_its_successor() {
    let net = Net::new(&[]);
    let pool = pool(&net);
    let mut old = connect(&pool, &key(1)).await.unwrap();
    net.drain(0);
    settle().await;
    let new = connect(&pool, &key(1)).await.unwrap();
    assert_eq!((net.dialled().len(), connections(&pool)), (2, 1));
    // What was there before goes on, and its connection ends with it.
    let (reader, writer) = old.halves();
    writer.write("still here".into()).await.unwrap();
    assert_eq!(reader.read().await.unwrap().unwrap(), "still here");
    assert!(net.ended().is_empty());
    writer.finish().unwrap();
    assert_eq!(reader.read().await, Ok(None));
    drop(old);
    settle().await;
    assert_eq!(net.ended(), [(key(1), true)]);
    drop(new);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ended_is_forgotten_at_once() {
    let net = Net::new(&[]);
    let pool = pool(&net);
    drop(connect(&pool, &key(1)).await.unwrap());
    settle().await;
    assert_eq!(connections(&pool), 1);
    net.drain(0);
    settle().await;
    assert_eq!((connections(&pool), net.ended()), (0, vec![(key(1), true)]));
}

#[tokio::test(start_paused = true)]
async fn a_connect_that_meets_a_farewell_is_tried_again() {
    let net = Net::new(&[Script::LeaveWhenAsked]);
    let pool = pool(&net);
    connect(&pool, &key(1)).await.unwrap();
    assert_eq!(net.dialled().len(), 2);
    // But not for ever.
    let net = Net::new(&[Script::LeaveWhenAsked; 9]);
    let pool = with(&net, Settings::default());
    let error = connect(&pool, &key(1)).await.unwrap_err();
    let is_unprocessed = matches!(error, PoolError::Connect(ConnectError::Unprocessed(_)));
    assert!(is_unprocessed, "{error:?}");
    assert_eq!(net.dialled().len(), ATTEMPTS);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_takes_nothing_from_others() {
    let net = Net::new(&[Script::Slow]);
    let pool = pool(&net);
    let first = tokio::spawn({
        let pool = pool.clone();
        async move { connect(&pool, &key(1)).await.map(drop) }
    });
    settle().await;
    let second = tokio::spawn({
        let pool = pool.clone();
        async move { connect(&pool, &key(1)).await }
    });
    settle().await;
    first.abort();
    second.await.unwrap().unwrap();
    assert_eq!(net.dialled().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_dropped_leaves_nothing_behind() {
    let net = Net::new(&[Script::Serve, Script::Hang]);
    let pool = pool(&net);
    let mut stream = connect(&pool, &key(1)).await.unwrap();
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move { connect(&pool, &key(2)).await.map(drop) }
    });
    settle().await;
    waiting.abort();
    _ = waiting.await;
    drop(pool);
    let start = Instant::now();
    stream.halves().0.read().await.unwrap_err();
    settle().await;
    assert_eq!((start.elapsed(), net.watchers()), (Duration::ZERO, 1));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_of_connections_that_have_gone() {
    let net = Net::new(&[]);
    let pool = pool(&net);
    for number in 1..=100 {
        drop(connect(&pool, &key(number)).await.unwrap());
    }
    // The dial and the driver of each, and what lets go of idle ones.
    assert!(pool.inner.tasks.len() > 100);
    sleep(Settings::default().idle * 2).await;
    assert_eq!(pool.counts(), Counts::default());
    assert_eq!(pool.inner.tasks.len(), 1);
}
