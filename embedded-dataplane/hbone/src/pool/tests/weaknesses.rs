//! What ztunnel's pool does to those who wait, and this one does not.

use super::*;

#[track_caller]
fn assert_down(outcome: &Result<Stream, PoolError<net::Down>>) -> &Arc<DialError<net::Down>> {
    match outcome {
        Err(PoolError::Dial(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn w2_a_peer_that_never_answers_fails_for_all_who_wait_at_once() {
    for (script, wait) in [
        (Script::Hang, Settings::default().dial),
        (Script::Mute, Limits::CLIENT.settle),
    ] {
        let net = Net::new(&[]);
        net.then(script);
        let pool = pool(&net);
        let outcomes = burst(&pool, &key(1), 20).await;
        let first = Arc::clone(assert_down(&outcomes[0].0));
        for (outcome, when) in &outcomes {
            assert_eq!(when.as_secs(), wait.as_secs());
            // The same one.
            assert!(Arc::ptr_eq(assert_down(outcome), &first));
        }
        let text = match script {
            Script::Hang => "connecting took too long",
            _ => "http2 handshake failed",
        };
        assert_eq!(
            (first.to_string(), net.dialled().len()),
            (text.to_owned(), 1)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn w2_a_peer_that_never_answers_holds_up_nobody_else() {
    let net = Net::new(&[Script::Hang]);
    // One lock for all.
    let pool = with(
        &net,
        Settings {
            shards: 1,
            ..Settings::default()
        },
    );
    let stuck = tokio::spawn({
        let pool = pool.clone();
        async move { connect(&pool, &key(1)).await.map(drop) }
    });
    settle().await;
    let start = Instant::now();
    connect(&pool, &key(2)).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(stuck.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn w3_the_first_failure_of_a_key_is_told_to_all_who_wait_for_it() {
    let net = Net::new(&[Script::Fail]);
    let pool = pool(&net);
    let outcomes = burst(&pool, &key(1), 2).await;
    for (outcome, when) in &outcomes {
        assert!(matches!(
            **assert_down(outcome),
            DialError::Connect(net::Down)
        ));
        assert_eq!(when.as_secs(), 1);
    }
    assert_eq!(net.dialled().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn w3_a_connection_for_one_stream_serves_all_who_wait_in_turn() {
    let net = Net::new(&[]);
    net.then(Script::Allow(1));
    let pool = pool(&net);
    let outcomes = burst(&pool, &key(1), 10).await;
    assert!(
        outcomes.iter().all(|(outcome, _)| outcome.is_ok()),
        "{outcomes:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn w3_a_fault_of_ours_is_told_to_all_who_wait_for_it() {
    let net = Net::new(&[Script::Panic]);
    let pool = pool(&net);
    let outcomes = burst(&pool, &key(1), 2).await;
    for (outcome, when) in &outcomes {
        assert!(matches!(**assert_down(outcome), DialError::Abandoned));
        assert_eq!(*when, Duration::ZERO);
    }
    connect(&pool, &key(1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn w4_connections_that_were_full_take_streams_again() {
    let net = Net::new(&[]);
    let pool = pool(&net);
    for _ in 0..5 {
        let held = streams(&pool, &key(1), 250).await;
        let counts = Counts {
            keys: 1,
            connections: 3,
            streams: 250,
            dialing: 0,
        };
        assert_eq!(pool.counts(), counts);
        drop(held);
        settle().await;
    }
    assert_eq!(net.dialled().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn w4_a_place_that_becomes_free_goes_to_whoever_waits() {
    let net = Net::new(&[]);
    let pool = pool(&net);
    let mut held = streams(&pool, &key(1), 74).await;
    // The next connection is not to come.
    net.then(Script::Hang);
    held.extend(streams(&pool, &key(1), 26).await);
    assert_eq!(net.dialled().len(), 2);
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move { connect(&pool, &key(1)).await }
    });
    settle().await;
    assert!(!waiting.is_finished());
    let start = Instant::now();
    held.pop();
    waiting.await.unwrap().unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[test]
fn a_runtime_that_ends_while_somebody_dials_does_not_hang() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let first = runtime();
    let net = Net::new(&[]);
    net.then(Script::Hang);
    let pool = first.block_on(async {
        let pool = pool(&net);
        // More than one dial, so that the end of one leads to another.
        for _ in 0..250 {
            let pool = pool.clone();
            tokio::spawn(async move { connect(&pool, &key(1)).await.map(drop) });
        }
        settle().await;
        pool
    });
    assert_eq!(pool.counts().dialing, 3);
    drop(first);
    assert_eq!(pool.counts().dialing, 0);
}
