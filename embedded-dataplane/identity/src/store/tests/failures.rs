//! What goes wrong at the source.

use super::*;

#[tokio::test(start_paused = true)]
async fn failures_are_shared_too_and_are_over_then() {
    let ca = Ca::new();
    ca.refusing.store(true, SeqCst);
    let store = ca.store();
    let web = id("web");
    let (a, b) = tokio::join!(store.get(&web), store.get(&web));
    let text = "the certificate authority gives no certificate: no";
    assert_eq!(a.unwrap_err().to_string(), text);
    assert_eq!(b.unwrap_err().to_string(), text);
    assert_eq!(ca.names().len(), 1);
    ca.refusing.store(false, SeqCst);
    // Whoever comes now is not told of that failure: they wait for an attempt of their own.
    assert_eq!(*store.get(&web).await.unwrap().identity(), web);
}

#[tokio::test(start_paused = true)]
async fn a_certificate_is_used_as_long_as_it_is_valid_whatever_fails() {
    let ca = Ca::new();
    let store = ca.store();
    let first = store.get(&id("web")).await.unwrap();
    ca.refusing.store(true, SeqCst);
    sleep(23 * HOUR).await;
    let failures = ca.asked().len() - 1;
    assert!(failures > 200, "{failures} attempts in 11 hours");
    assert!(Arc::ptr_eq(&first, &store.get(&id("web")).await.unwrap()));
    let [status] = store.list().try_into().unwrap();
    assert_eq!(status.failures as usize, failures);
    assert!(status.workload.is_some() && status.error.is_some());
    // Once it has expired it is not used any more.
    sleep(HOUR + SECOND).await;
    assert!(store.held(&id("web")).is_none());
    store.get(&id("web")).await.unwrap_err();
    ca.refusing.store(false, SeqCst);
    let last = store.get(&id("web")).await.unwrap();
    assert!(!Arc::ptr_eq(&first, &last));
    let [status] = store.list().try_into().unwrap();
    assert_eq!((status.failures, status.error.is_some()), (0, false));
}

#[tokio::test(start_paused = true)]
async fn while_nobody_waits_the_pauses_double_up_to_two_and_a_half_minutes() {
    let ca = Ca::new();
    ca.refusing.store(true, SeqCst);
    let store = ca.store();
    store.get(&id("web")).await.unwrap_err();
    sleep(HOUR).await;
    let seconds = ca.seconds();
    let pauses: Vec<_> = seconds.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let mut expected = 0.5;
    for pause in &pauses {
        let (least, most) = (
            f64::max(0.8 * expected, 0.5),
            f64::min(1.2 * expected, 150.0),
        );
        // Timers have a grain of a millisecond.
        assert!(
            (least - 0.001..most + 0.002).contains(pause),
            "{pause} for {expected}"
        );
        expected = f64::min(expected * 2.0, 150.0);
    }
    assert!(pauses.len() > 25, "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn w18_a_workload_that_starts_during_an_outage_is_served_soon_after_it() {
    let ca = Ca::new();
    ca.refusing.store(true, SeqCst);
    let store = ca.store();
    let started = Instant::now();
    let outage = async {
        sleep(60 * SECOND).await;
        ca.refusing.store(false, SeqCst);
    };
    let connections = async {
        let mut refused = 0;
        while store.get(&id("web")).await.is_err() {
            refused += 1;
            assert!(started.elapsed() < 70 * SECOND);
        }
        (refused, started.elapsed())
    };
    let ((), (refused, until)) = tokio::join!(outage, connections);
    assert!(until <= 62 * SECOND, "served after {until:?}");
    // One attempt in two seconds is sane.
    assert!((28..=40).contains(&refused), "{refused} attempts");
    assert_eq!(ca.names().len(), refused + 1);
}

#[tokio::test(start_paused = true)]
async fn who_hangs_holds_up_nobody_for_ever() {
    let ca = Ca::new();
    ca.slow(Duration::MAX);
    let store = ca.store();
    let hanging: Vec<_> = (0..8).map(|n| id(&format!("h{n}"))).collect();
    for identity in &hanging {
        store.warm_up(identity).unwrap();
    }
    settle().await;
    let web = id("web");
    let (refused, ()) = tokio::join!(store.get(&hanging[0]), async {
        settle().await;
        ca.slow(Duration::ZERO);
        store.get(&web).await.unwrap();
    });
    assert_eq!(
        refused.unwrap_err().to_string(),
        "no certificate within 10s"
    );
    assert_eq!(ca.most_at_once.load(SeqCst), 8);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_breaks_down_is_told_and_tried_again() {
    let ca = Ca::new();
    ca.breaking.store(true, SeqCst);
    let store = ca.store();
    let error = store.get(&id("web")).await.unwrap_err();
    assert_eq!(error.to_string(), "fetching the certificate broke down");
    ca.breaking.store(false, SeqCst);
    store.get(&id("web")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_expired_already_is_no_certificate() {
    let ca = Ca::new();
    let store = ca.store();
    {
        let mut authority = ca.authority.lock().unwrap();
        let short = Authority::generate("mesh", ca.clock).unwrap();
        *authority = short.with_lifetime(2 * SECOND);
    }
    // Valid for some seconds: used, and renewed in time.
    let first = store.get(&id("web")).await.unwrap();
    sleep(2 * SECOND).await;
    let second = store.get(&id("web")).await.unwrap();
    assert!(!Arc::ptr_eq(&first, &second));
    ca.slow(5 * SECOND);
    let error = store.get(&id("db")).await.unwrap_err();
    let text = "the certificate that was given has expired already";
    assert_eq!(error.to_string(), text);
}

#[tokio::test(start_paused = true)]
async fn what_came_with_a_certificate_is_believed_no_longer_than_that_is_valid() {
    for hangs in [false, true] {
        let ca = Ca::new();
        let store = ca.store_with(StoreOptions {
            // One attempt that hangs keeps all others from being made.
            parallel: 1,
            patience: 48 * HOUR,
            ..StoreOptions::default()
        });
        store.get(&id("web")).await.unwrap();
        store.get(&id("db")).await.unwrap();
        ca.refusing.store(true, SeqCst);
        if hangs {
            ca.slow(Duration::MAX);
        }
        sleep((24 * HOUR).saturating_sub(2 * SECOND)).await;
        let kept = |store: &Store| {
            let list = store.list();
            list.iter().filter(|s| s.workload.is_some()).count()
        };
        assert_eq!(
            (kept(&store), store.trust().beliefs().anchors.len()),
            (2, 1)
        );
        sleep(4 * SECOND).await;
        assert_eq!(
            (kept(&store), store.trust().beliefs().anchors.len()),
            (0, 0)
        );
        let list = store.list().into_iter();
        let told: Vec<_> = list.map(|status| status.error.is_some()).collect();
        assert_eq!(told, [true, true]);
    }
}

#[test]
fn what_expired_while_the_machine_slept_is_dropped_with_the_next_failure() {
    let (web, trust) = (id("web"), Trust::new([]));
    let authority = Authority::generate("mesh", Clock::system()).unwrap();
    let issued = authority.issue(&web).unwrap();
    let workload = Workload::new(&web, &issued, &trust, TlsOptions::default()).unwrap();
    let mut state = State::default();
    // Timers stood still, and clocks did not.
    let (now, today) = (Instant::now(), UnixTime::now());
    let tomorrow = UnixTime::since_unix_epoch(Duration::from_secs(today.as_secs()) + 25 * HOUR);
    state.ask(&web, Priority::WarmUp, now, 1).unwrap();
    let task = state.next(now).unwrap();
    state.done(&task, Ok(Arc::new(workload)), now, today, 0.5);
    state.outdate(now);
    let task = state.next(now).unwrap();
    state.done(&task, Err(FetchError::Broken), now, tomorrow, 0.5);
    let [status] = state.list().try_into().unwrap();
    assert!(status.workload.is_none());
    let told = status.error.unwrap().to_string();
    assert_eq!(told, "fetching the certificate broke down");
    assert_eq!(trust.beliefs().anchors.len(), 0);
}
