use std::time::Duration;

use super::*;

fn after(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_as_soon_as_all_work_has() {
    let (drain, draining) = Drain::new();
    let group = draining.group("connections");
    let mut work = tokio::task::JoinSet::new();
    for seconds in 1..=3 {
        let (draining, guard) = (draining.clone(), group.enter());
        work.spawn(async move {
            draining.requested().await;
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            drop(guard);
        });
    }
    assert_eq!(drain.present().to_string(), "3 connections");
    let begun = Instant::now();
    let left = drain.start(after(60)).await;
    assert_eq!(
        (left.to_string(), begun.elapsed().as_secs()),
        ("nobody".to_owned(), 3)
    );
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_it_and_tells_who_was_left() {
    let (drain, draining) = Drain::new();
    let (one, other) = (
        draining.group("inbound tunnels"),
        draining.group("outbound connections"),
    );
    let guards = [one.enter(), one.enter(), other.enter()];
    drop(draining.group("listeners").enter());
    let begun = Instant::now();
    let left = drain.start(after(5)).await;
    assert_eq!(
        left.to_string(),
        "2 inbound tunnels, 1 outbound connections"
    );
    assert_eq!(begun.elapsed().as_secs(), 5);
    draining.over().await;
    drop(guards);
    assert!(drain.start(after(5)).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_second_call_brings_the_deadline_forward_and_never_back() {
    let (drain, draining) = Drain::new();
    let _guard = draining.group("connections").enter();
    let begun = Instant::now();
    let (first, second, third) = tokio::join!(
        drain.start(after(60)),
        async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drain.start(after(2)).await
        },
        async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            drain.start(after(60)).await
        },
    );
    assert_eq!(begun.elapsed().as_secs(), 3);
    for left in [first, second, third] {
        assert_eq!(left.to_string(), "1 connections");
    }
}

#[tokio::test(start_paused = true)]
async fn work_learns_until_when_it_may_go_on() {
    let (drain, draining) = Drain::new();
    let _guard = draining.group("connections").enter();
    assert!(!draining.is_requested());
    let deadline = after(7);
    let (_, told) = tokio::join!(drain.start(deadline), draining.requested());
    assert_eq!(told, deadline);
    assert!(draining.is_requested());
}

#[tokio::test]
async fn without_its_owner_everything_is_over() {
    let (drain, draining) = Drain::new();
    drop(drain);
    draining.requested().await;
    draining.over().await;
    assert!(draining.is_requested());
}
