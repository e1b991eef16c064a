mod closing;
mod failures;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use ambient_facts::tunnel::SPIFFE_SCHEME;
use tokio::time::{advance, sleep};

use super::*;
use crate::authority::Authority;
use crate::clock::Clock;
use crate::credentials::Issued;
use crate::source::Pending;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
/// Certificates are valid from two minutes ago until in 24 hours.
const HALF: Duration = Duration::from_mins(12 * 60 - 1);

fn id(name: &str) -> SpiffeId {
    let path = format!("{SPIFFE_SCHEME}cluster.local/ns/shop/sa/{name}");
    path.parse().unwrap()
}

/// An authority that is slow, refuses, hangs or breaks down as it is told, and notes who asked when.
struct Ca {
    authority: Mutex<Authority>,
    clock: Clock,
    begun: Instant,
    latency: Mutex<Duration>,
    refusing: AtomicBool,
    breaking: AtomicBool,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    asked: Mutex<Vec<(String, Duration)>>,
    changed: Notify,
}

/// The share of the store in it.
struct Shares(Arc<Ca>);

impl Ca {
    fn new() -> Arc<Self> {
        let clock = Clock::of_tokio();
        Arc::new(Self {
            authority: Mutex::new(Authority::generate("mesh", clock).unwrap()),
            clock,
            begun: Instant::now(),
            latency: Mutex::new(Duration::ZERO),
            refusing: AtomicBool::new(false),
            breaking: AtomicBool::new(false),
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
            asked: Mutex::default(),
            changed: Notify::new(),
        })
    }

    fn store(self: &Arc<Self>) -> Store {
        self.store_with(StoreOptions::default())
    }

    fn store_with(self: &Arc<Self>, options: StoreOptions) -> Store {
        let tls = TlsOptions {
            clock: self.clock,
            ..options.tls
        };
        let options = StoreOptions { tls, ..options };
        Store::start(Shares(Arc::clone(self)), Trust::new([]), options)
    }

    fn slow(&self, latency: Duration) {
        *self.latency.lock().unwrap() = latency;
    }

    /// Who asked so far, and when.
    fn asked(&self) -> Vec<(String, Duration)> {
        self.asked.lock().unwrap().clone()
    }

    fn names(&self) -> Vec<String> {
        self.asked().into_iter().map(|(name, _)| name).collect()
    }

    fn seconds(&self) -> Vec<f64> {
        let asked = self.asked().into_iter();
        asked.map(|(_, at)| at.as_secs_f64()).collect()
    }
}

impl Source for Shares {
    fn fetch<'a>(&'a self, identity: &'a SpiffeId) -> Pending<'a, Result<Issued, FetchError>> {
        Box::pin(async move {
            let ca = &self.0;
            let name = identity.service_account().to_owned();
            ca.asked.lock().unwrap().push((name, ca.begun.elapsed()));
            ca.most_at_once
                .fetch_max(ca.at_once.fetch_add(1, SeqCst) + 1, SeqCst);
            let _leaves = Leaves(&ca.at_once);
            // Signed now, and late in coming.
            let issued = ca.authority.lock().unwrap().issue(identity)?;
            let latency = *ca.latency.lock().unwrap();
            sleep(latency).await;
            assert!(!ca.breaking.load(SeqCst), "broken");
            if ca.refusing.load(SeqCst) {
                return Err(FetchError::Refused("no".to_owned()));
            }
            Ok(issued)
        })
    }

    fn changed(&self) -> Pending<'_, ()> {
        Box::pin(self.0.changed.notified())
    }
}

struct Leaves<'a>(&'a AtomicUsize);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// Lets everything happen that is due.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_one_identity_share_one_attempt() {
    let ca = Ca::new();
    ca.slow(SECOND);
    let store = ca.store();
    let web = id("web");
    let (a, b, c) = tokio::join!(store.get(&web), store.get(&web), store.get(&web));
    let (a, b, c) = (a.unwrap(), b.unwrap(), c.unwrap());
    assert!(Arc::ptr_eq(&a, &b) && Arc::ptr_eq(&b, &c));
    assert_eq!(*a.identity(), web);
    // And what is there is there at once.
    assert!(Arc::ptr_eq(&a, &store.get(&web).await.unwrap()));
    assert!(Arc::ptr_eq(&a, &store.held(&web).unwrap()));
    assert!(store.held(&id("db")).is_none());
    assert_eq!(ca.seconds(), [0.0]);
}

#[tokio::test(start_paused = true)]
async fn connections_come_before_warm_up_and_both_before_renewal() {
    let ca = Ca::new();
    let store = ca.store_with(StoreOptions {
        parallel: 1,
        ..StoreOptions::default()
    });
    store.get(&id("renewed")).await.unwrap();
    // From here on its renewal is due, and the one place is taken by another.
    ca.slow(SECOND);
    advance(HALF + 58 * SECOND).await;
    let blocking = id("blocking");
    let blocking = store.get(&blocking);
    let rest = async {
        settle().await;
        advance(Duration::from_millis(900)).await;
        for name in ["warm-1", "warm-2"] {
            store.warm_up(&id(name)).unwrap();
        }
        store.warm_up(&id("urgent-1")).unwrap();
        let (urgent_1, urgent_2) = (id("urgent-1"), id("urgent-2"));
        let (a, b) = tokio::join!(store.get(&urgent_2), store.get(&urgent_1));
        a.unwrap();
        b.unwrap();
    };
    let (blocked, ()) = tokio::join!(blocking, rest);
    blocked.unwrap();
    sleep(10 * SECOND).await;
    let order = [
        "renewed", "blocking", "urgent-2", "urgent-1", "warm-1", "warm-2", "renewed",
    ];
    assert_eq!(ca.names(), order);
}

#[tokio::test(start_paused = true)]
async fn w19_warm_up_is_parallel_and_loses_nobody() {
    let ca = Ca::new();
    ca.slow(Duration::from_millis(100));
    let store = ca.store();
    let names: Vec<_> = (0..200).map(|n| id(&format!("w{n}"))).collect();
    for name in &names {
        store.warm_up(name).unwrap();
        store.warm_up(name).unwrap();
    }
    sleep(Duration::from_millis(2501)).await;
    assert!(names.iter().all(|name| store.held(name).is_some()));
    assert_eq!(ca.names().len(), 200);
    assert_eq!(ca.most_at_once.load(SeqCst), 8);
    // Warming up what is there already does nothing.
    store.warm_up(&names[0]).unwrap();
    settle().await;
    assert_eq!(ca.names().len(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_certificate_is_renewed_at_half_of_its_life() {
    let ca = Ca::new();
    let store = ca.store();
    let first = store.get(&id("web")).await.unwrap();
    sleep(HALF.saturating_sub(SECOND)).await;
    assert_eq!(ca.names().len(), 1);
    sleep(2 * SECOND).await;
    assert_eq!(ca.names().len(), 2);
    let second = store.get(&id("web")).await.unwrap();
    assert!(!Arc::ptr_eq(&first, &second));
    assert!(second.certificate().not_after > first.certificate().not_after);
}

#[tokio::test(start_paused = true)]
async fn w11_tls_is_set_up_once_for_each_certificate() {
    let ca = Ca::new();
    let store = ca.store();
    let first = store.get(&id("web")).await.unwrap();
    for _ in 0..3 {
        // What TLS needs is a part of it, so the same workload is the same set-up.
        let web = store.get(&id("web")).await.unwrap();
        assert!(Arc::ptr_eq(&web, &first));
        let (near, far) = tokio::io::duplex(1 << 16);
        let expected = Arc::new([id("web")].into());
        let (client, server) = tokio::join!(web.connect(near, expected), web.accept(far));
        client.unwrap();
        server.unwrap();
    }
    sleep(HALF + SECOND).await;
    let renewed = store.get(&id("web")).await.unwrap();
    assert!(!Arc::ptr_eq(&renewed, &first));
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_identity_is_gone_with_its_attempt() {
    let ca = Ca::new();
    ca.slow(5 * SECOND);
    let store = ca.store();
    let web = id("web");
    let (told, ()) = tokio::join!(store.get(&web), async {
        settle().await;
        store.forget(&web);
    });
    assert!(matches!(told, Err(StoreError::Forgotten(_))));
    settle().await;
    assert_eq!(ca.at_once.load(SeqCst), 0);
    assert!(store.list().is_empty());
    store.get(&web).await.unwrap();
    store.forget(&web);
    assert!(store.held(&web).is_none());
    // No renewal is left over.
    sleep(48 * HOUR).await;
    assert_eq!(ca.names().len(), 2);
    store.forget(&web);
}

#[tokio::test]
async fn an_attempt_that_starts_after_its_identity_was_forgotten_is_given_back() {
    let mut state = State::default();
    let (web, now) = (id("web"), Instant::now());
    let next = |state: &mut State| {
        state.ask(&web, Priority::WarmUp, now, 1).unwrap();
        state.next(now).unwrap().attempt
    };
    let handle = || tokio::spawn(std::future::pending::<()>()).abort_handle();
    let first = next(&mut state);
    assert!(state.forget(&web).is_none());
    assert!(state.started(&web, first, handle()).is_some());
    let second = next(&mut state);
    assert!(state.started(&web, first, handle()).is_some());
    assert!(state.started(&web, second, handle()).is_none());
    assert!(state.forget(&web).is_some());
}

#[tokio::test(start_paused = true)]
async fn there_is_an_end_to_how_many_are_held() {
    let ca = Ca::new();
    let store = ca.store_with(StoreOptions {
        capacity: 2,
        ..StoreOptions::default()
    });
    store.get(&id("a")).await.unwrap();
    store.warm_up(&id("b")).unwrap();
    let error = store.get(&id("c")).await.unwrap_err();
    let text = "no room for the certificate of another workload: 2 are held";
    assert_eq!(error.to_string(), text);
    assert!(matches!(store.warm_up(&id("c")), Err(StoreError::Full(2))));
    store.get(&id("b")).await.unwrap();
    store.forget(&id("a"));
    store.get(&id("c")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_attempt_goes_on_when_who_asked_leaves() {
    let ca = Ca::new();
    ca.slow(SECOND);
    let store = ca.store();
    let web = id("web");
    let impatient = timeout(Duration::from_millis(10), store.get(&web)).await;
    assert!(impatient.is_err());
    sleep(SECOND).await;
    assert!(store.held(&web).is_some());
    assert_eq!(ca.names().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn w20_what_changes_at_the_source_reaches_everybody_at_once() {
    let ca = Ca::new();
    let store = ca.store();
    let (web, db) = (id("web"), id("db"));
    let old = store.get(&web).await.unwrap();
    store.get(&db).await.unwrap();
    ca.slow(SECOND);
    *ca.authority.lock().unwrap() = Authority::generate("new mesh", ca.clock).unwrap();
    ca.changed.notify_one();
    settle().await;
    // What changes during an attempt is fetched once more after it.
    ca.changed.notify_one();
    sleep(3 * SECOND).await;
    assert_eq!(ca.names().len(), 6);
    let new = store.get(&web).await.unwrap();
    assert_eq!(old.certificate().issuer, "O=mesh");
    assert_eq!(new.certificate().issuer, "O=new mesh");
    // Both roots are believed while both certificates are in use.
    assert_eq!(store.trust().beliefs().anchors.len(), 2);
    drop(old);
    assert_eq!(store.trust().beliefs().anchors.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_dropped_leaves_nothing_behind() {
    let ca = Ca::new();
    ca.slow(SECOND);
    let store = ca.store();
    store.warm_up(&id("web")).unwrap();
    settle().await;
    drop(store);
    settle().await;
    assert_eq!((ca.at_once.load(SeqCst), Arc::strong_count(&ca)), (0, 1));
}
