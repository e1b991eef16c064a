use std::future::pending;

use super::*;

#[tokio::test]
async fn a_panic_is_told_to_whoever_waits_and_to_whoever_comes_later() {
    let panics = Panics::default();
    let tasks = Tasks::new(&panics);
    tasks.spawn("listener", pending());
    let waiting = panics.clone();
    let told = tokio::spawn(async move { waiting.any().await });
    tasks.spawn("relay", async { panic!("a bug of ours") });
    assert_eq!(told.await.unwrap().to_string(), "task `relay` panicked");
    assert_eq!(panics.any().await, Panic { task: "relay" });
    assert_eq!((panics.count(), tasks.len()), (1, 1));
}

#[tokio::test]
async fn a_panic_of_one_of_many_is_counted_and_concerns_nobody_else() {
    let panics = Panics::default();
    let connections = Tasks::apart(&panics);
    connections.spawn("other", pending());
    connections.spawn("connection", async { panic!("a bug of ours") });
    while connections.len() > 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(panics.count(), 1);
    let told = tokio::time::timeout(std::time::Duration::ZERO, panics.any()).await;
    assert!(told.is_err(), "{told:?}");
}

#[tokio::test]
async fn tasks_end_with_their_owner_and_are_not_kept_for_ever() {
    let panics = Panics::default();
    let tasks = Tasks::new(&panics);
    let (over, is_over) = watch::channel(());
    for _ in 0..1000 {
        let mut is_over = is_over.clone();
        tasks.spawn("short", async move {
            is_over.changed().await.unwrap_err();
        });
    }
    assert_eq!(tasks.len(), 1000);
    drop(over);
    tasks.ended().await;
    // A handle keeps the memory of its task.
    let kept = tasks.alive.running().all.len();
    assert_eq!(kept, 0);

    let held = Arc::new(());
    let holding = Arc::clone(&held);
    tasks.spawn("long", async move {
        pending::<()>().await;
        drop(holding);
    });
    tokio::task::yield_now().await;
    assert_eq!(Arc::strong_count(&held), 2);
    let alive = Arc::clone(&tasks.alive);
    drop(tasks);
    tokio::task::yield_now().await;
    assert_eq!(Arc::strong_count(&held), 1);
    assert!(alive.running().all.is_empty());
    assert_eq!(panics.count(), 0);
}

#[tokio::test]
async fn stopping_waits_until_every_task_has_let_go() {
    let tasks = Tasks::new(&Panics::default());
    let held = Arc::new(());
    for _ in 0..100 {
        let holding = Arc::clone(&held);
        tasks.spawn("long", async move {
            pending::<()>().await;
            drop(holding);
        });
    }
    tasks.stop().await;
    assert_eq!(Arc::strong_count(&held), 1);
    assert!(tasks.is_empty());
}

#[tokio::test]
async fn a_task_that_is_aborted_before_it_ran_is_not_counted_for_ever() {
    let tasks = Tasks::new(&Panics::default());
    tasks.spawn("never", async { panic!("aborted before") });
    tasks.stop().await;
    assert!(tasks.is_empty());
}

#[tokio::test]
async fn what_a_task_starts_as_it_is_dropped_is_waited_for() {
    struct Last(Arc<Tasks>);
    impl Drop for Last {
        fn drop(&mut self) {
            self.0.spawn("after", async {});
        }
    }
    let tasks = Arc::new(Tasks::new(&Panics::default()));
    let last = Last(Arc::clone(&tasks));
    tasks.spawn("before", async move {
        pending::<()>().await;
        drop(last);
    });
    tokio::task::yield_now().await;
    tasks.stop().await;
    assert!(tasks.is_empty());
}
