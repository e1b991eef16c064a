//! Nothing grows without bound, and nobody is dialled without pause.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_down_is_dialled_now_and_then() {
    let net = Net::new(&[]);
    net.then(Script::Fail);
    let pool = pool(&net);
    let start = Instant::now();
    let mut asked = 0;
    while start.elapsed() < Duration::from_mins(1) {
        // A hundred at a time, and again as soon as these failed.
        let outcomes = burst(&pool, &key(1), 100).await;
        for (outcome, when) in &outcomes {
            assert!(outcome.is_err());
            // The pause, and the failure itself.
            assert!(*when <= Settings::default().longest_backoff + Duration::from_secs(1));
        }
        asked += outcomes.len();
    }
    let dials = net.dialled().len();
    assert!((30..=45).contains(&dials), "{dials} for {asked}");
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_by_chance_and_end_with_a_success() {
    let net = Net::new(&[Script::Fail; 7]);
    let pool = pool(&net);
    let mut waits = Vec::new();
    for _ in 0..8 {
        let outcomes = burst(&pool, &key(1), 1).await;
        waits.extend(outcomes.into_iter().map(|(_, when)| when.as_millis()));
    }
    let pauses: Vec<_> = waits[1..7].iter().map(|wait| wait - 1000).collect();
    let most = [50, 100, 200, 400, 800, 1000];
    for (pause, most) in pauses.iter().zip(most) {
        assert!((most / 2..=most).contains(pause), "{pauses:?}");
    }
    // By chance it is not always the same part; six times would be.
    let parts: Vec<_> = pauses.iter().zip(most).map(|(p, m)| p * 100 / m).collect();
    assert!(parts.iter().any(|p| p.abs_diff(parts[0]) > 2), "{parts:?}");
    net.drain(7);
    settle().await;
    let start = Instant::now();
    connect(&pool, &key(1)).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_no_streams_is_no_peer() {
    for script in [Script::Allow(0), Script::Leave] {
        let net = Net::new(&[]);
        net.then(script);
        let pool = pool(&net);
        for (outcome, _) in burst(&pool, &key(1), 10).await {
            let Err(PoolError::Dial(error)) = outcome else {
                panic!("{outcome:?}");
            };
            assert!(matches!(*error, DialError::NoStreams), "{error:?}");
        }
        settle().await;
        // Its connections close, as nobody needs them.
        assert_eq!(
            (connections(&pool), net.ended().len()),
            (0, net.dialled().len())
        );
        // And it is not dialled again without pause.
        let start = Instant::now();
        burst(&pool, &key(1), 1).await;
        assert!(start.elapsed() >= Settings::default().backoff / 2);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_longer_than_said() {
    let net = Net::new(&[Script::Hang]);
    let patience = Duration::from_secs(3);
    let pool = with(
        &net,
        Settings {
            patience,
            ..Settings::default()
        },
    );
    let outcomes = burst(&pool, &key(1), 1).await;
    assert!(matches!(outcomes[..], [(Err(PoolError::Late), when)] if when.as_secs() == 3));
}

#[tokio::test(start_paused = true)]
async fn keys_are_bounded_and_the_oldest_is_forgotten() {
    let net = Net::new(&[]);
    let pool = with(
        &net,
        Settings {
            shards: 1,
            keys: 2,
            ..Settings::default()
        },
    );
    let mut first = connect(&pool, &key(1)).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let _second = connect(&pool, &key(2)).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let _third = connect(&pool, &key(3)).await.unwrap();
    assert_eq!(
        pool.counts(),
        Counts {
            keys: 2,
            connections: 2,
            streams: 2,
            dialing: 0
        }
    );
    // What it carries goes on.
    let (reader, writer) = first.halves();
    writer.write("still here".into()).await.unwrap();
    assert_eq!(reader.read().await.unwrap().unwrap(), "still here");
    // And it closes with that.
    drop(first);
    settle().await;
    assert_eq!(net.ended(), [(key(1), true)]);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_dialled_is_not_forgotten() {
    let net = Net::new(&[]);
    net.then(Script::Slow);
    let pool = with(
        &net,
        Settings {
            shards: 1,
            keys: 1,
            ..Settings::default()
        },
    );
    let slow = tokio::spawn({
        let pool = pool.clone();
        async move { connect(&pool, &key(1)).await }
    });
    settle().await;
    let error = connect(&pool, &key(2)).await.unwrap_err();
    assert!(matches!(error, PoolError::Crowded), "{error:?}");
    slow.await.unwrap().unwrap();
    connect(&pool, &key(2)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_bounded_and_who_gave_up_does_not_count() {
    let net = Net::new(&[]);
    net.then(Script::Hang);
    let pool = with(
        &net,
        Settings {
            waiting: 3,
            ..Settings::default()
        },
    );
    let mut waiting = JoinSet::new();
    for _ in 0..3 {
        let pool = pool.clone();
        waiting.spawn(async move { connect(&pool, &key(1)).await.map(drop) });
    }
    settle().await;
    let error = connect(&pool, &key(1)).await.unwrap_err();
    assert!(matches!(error, PoolError::Crowded), "{error:?}");
    waiting.shutdown().await;
    let error = connect(&pool, &key(1)).await.unwrap_err();
    assert!(matches!(error, PoolError::Dial(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn connections_of_a_key_are_bounded() {
    let net = Net::new(&[]);
    let pool = with(
        &net,
        Settings {
            connections: 2,
            ..Settings::default()
        },
    );
    let outcomes = burst(&pool, &key(1), 250).await;
    let (held, refused): (Vec<_>, Vec<_>) = outcomes
        .into_iter()
        .map(|(outcome, _)| outcome)
        .partition(Result::is_ok);
    assert_eq!(
        (held.len(), refused.len(), net.dialled().len()),
        (200, 50, 2)
    );
    for outcome in refused {
        assert!(matches!(outcome, Err(PoolError::Crowded)), "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_failed_once_is_forgotten_too() {
    let net = Net::new(&[Script::Fail]);
    let pool = pool(&net);
    connect(&pool, &key(1)).await.unwrap_err();
    assert_eq!(pool.counts().keys, 1);
    advance(Settings::default().idle).await;
    settle().await;
    assert_eq!(pool.counts(), Counts::default());
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_keeps_nothing_is_no_busy_one() {
    let net = Net::new(&[]);
    let idle = Duration::ZERO;
    let pool = with(
        &net,
        Settings {
            idle,
            ..Settings::default()
        },
    );
    drop(connect(&pool, &key(1)).await.unwrap());
    sleep(Duration::from_secs(1)).await;
    assert_eq!(pool.counts(), Counts::default());
}
