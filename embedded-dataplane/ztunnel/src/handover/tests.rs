use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::*;

async fn soon<T>(what: impl Future<Output = T>) -> T {
    let done = timeout(Duration::from_secs(20), what).await;
    done.expect("it does not take so long")
}

fn listening() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn offered(name: &str, listener: &TcpListener) -> (String, OwnedFd) {
    (name.to_owned(), listener.try_clone().unwrap().into())
}

#[tokio::test]
async fn a_successor_gets_the_listeners_by_name_with_what_waits_in_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("handover");
    let [(one, at_one), (two, at_two)] = [listening(), listening()];
    let offer = Offer::at(&path, vec![offered("one", &one), offered("two", &two)]).unwrap();
    drop((one, two));
    let waiting = TcpStream::connect(at_two).await.unwrap();
    let successor = async {
        let mut inherited = Inheritance::from(&path).await.unwrap().unwrap();
        let two = inherited.take("two").unwrap();
        assert!(inherited.take("two").is_none() && inherited.take("three").is_none());
        assert_eq!(inherited.take("one").unwrap().local_addr().unwrap(), at_one);
        inherited.ready().await.unwrap();
        two
    };
    let ((), two) = soon(async { tokio::join!(offer.taken(), successor) }).await;
    drop(offer);
    let two = tokio::net::TcpListener::from_std(two).unwrap();
    let (_, from) = soon(two.accept()).await.unwrap();
    assert_eq!(from, waiting.local_addr().unwrap());
}

#[tokio::test]
async fn nobody_there_is_no_failure_and_a_successor_that_leaves_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("handover");
    assert!(Inheritance::from(&path).await.unwrap().is_none());
    let (listener, _) = listening();
    let offer = Offer::at(&path, vec![offered("one", &listener)]).unwrap();
    let successors = async {
        drop(Inheritance::from(&path).await.unwrap().unwrap());
        let next = Inheritance::from(&path).await.unwrap().unwrap();
        next.ready().await.unwrap();
    };
    soon(async { tokio::join!(offer.taken(), successors) }).await;
    drop(offer);
    assert!(Inheritance::from(&path).await.unwrap().is_none());
}

#[tokio::test]
async fn only_the_owner_may_come_near() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("handover");
    let _offer = Offer::at(&path, Vec::new()).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn whoever_serves_is_met_at_the_path_and_who_only_looks_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("handover");
    assert!(!is_somebody_at(&path).await);
    let (listener, _) = listening();
    let first = Offer::at(&path, vec![offered("of the first", &listener)]).unwrap();
    let successors = async {
        assert!(is_somebody_at(&path).await);
        // One that makes ready and gives up, and one that does not.
        let failing = Inheritance::from(&path).await.unwrap().unwrap();
        let failed = Offer::after(&failing, vec![offered("of one that gave up", &listener)]);
        drop((failing, failed));
        let mut inherited = Inheritance::from(&path).await.unwrap().unwrap();
        let second = Offer::after(&inherited, vec![offered("of the second", &listener)]).unwrap();
        assert!(inherited.take("of the first").is_some());
        inherited.ready().await.unwrap();
        second
    };
    let ((), second) = soon(async { tokio::join!(first.taken(), successors) }).await;
    drop(first);
    // The second has not come to it yet, and is found all the same.
    let third = async {
        let mut inherited = Inheritance::from(&path).await.unwrap().unwrap();
        assert!(inherited.take("of the second").is_some());
        inherited.ready().await.unwrap();
    };
    soon(async { tokio::join!(second.taken(), third) }).await;
    drop(second);
    assert!(!is_somebody_at(&path).await);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_successor_that_was_not_ready_in_time_learns_that_its_predecessor_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("handover");
    let (listener, _) = listening();
    let offer = Offer::at(&path, vec![offered("one", &listener)]).unwrap();
    let successor = async {
        let inherited = Inheritance::from(&path).await.unwrap().unwrap();
        tokio::time::sleep(PATIENCE + Duration::from_secs(1)).await;
        inherited.ready().await.unwrap_err()
    };
    let late = tokio::select! {
        () = offer.taken() => panic!("it was late"),
        late = successor => late,
    };
    let told = late
        .to_string()
        .replace(&path.display().to_string(), "PATH");
    insta::assert_snapshot!(told, @"the process at `PATH` did not wait any longer, and goes on itself");
}

#[tokio::test]
async fn processes_of_others_are_given_nothing_and_nothing_is_taken_from_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("handover");
    let (listener, _) = listening();
    let mut offer = Offer::at(&path, vec![offered("one", &listener)]).unwrap();
    let own = rustix::process::geteuid().as_raw();
    let others = [own + 1, own + 2];
    let refused = Inheritance::of(&path, others).await.unwrap_err();
    let HandoverError::Predecessor { reason, .. } = refused else {
        panic!("it is there");
    };
    assert_eq!(
        reason,
        format!("it runs as user {own}, and this process as {}", own + 1)
    );
    offer.trusted = others;
    tokio::select! {
        () = offer.taken() => panic!("it was given away"),
        asked = soon(Inheritance::from(&path)) => assert!(asked.is_err(), "{asked:?}"),
    }
}

#[tokio::test]
async fn who_is_no_predecessor_is_told_by_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("handover");
    let mut told = Vec::new();
    for text in [
        "hello\n\n",
        "ambient listeners 1\none\n\n",
        "",
        "ambient listeners 1\n\n\n",
    ] {
        _ = std::fs::remove_file(&path);
        let stranger = UnixListener::bind(&path).unwrap();
        let answer = async {
            let (mut stream, _) = stranger.accept().await.unwrap();
            stream.read_exact(&mut [0; ASK.len()]).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
        };
        let ((), asked) = soon(async { tokio::join!(answer, Inheritance::from(&path)) }).await;
        let HandoverError::Predecessor { reason, .. } = asked.unwrap_err() else {
            panic!("it is there");
        };
        told.push(reason);
    }
    insta::assert_snapshot!(told.join("\n"), @"
    it sent something else
    it sent names without listeners, or listeners without names
    it sent something else
    it sent something else
    ");
    let missing = Offer::at(&folder.path().join("no/such"), Vec::new()).unwrap_err();
    assert!(matches!(missing, HandoverError::Listen { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w15_no_connection_is_lost_while_listeners_pass_on() {
    const CLIENTS: usize = 4;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("handover");
    let (first, address) = listening();
    let offer = Offer::at(&path, vec![offered("one", &first)]).unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let over = Arc::clone(&over);
            tokio::spawn(async move {
                let mut served = 0_usize;
                while !over.load(Ordering::Relaxed) {
                    let mut stream = TcpStream::connect(address).await?;
                    let mut octet = [0];
                    stream.read_exact(&mut octet).await?;
                    served += 1;
                }
                io::Result::Ok(served)
            })
        })
        .collect();
    let stops = [(); 2].map(|()| Arc::new(Notify::new()));
    let serve = |listener: TcpListener, count: Arc<AtomicUsize>, stop: &Arc<Notify>| {
        let stop = Arc::clone(stop);
        async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let accepted = tokio::select! {
                    biased;
                    () = stop.notified() => return,
                    accepted = listener.accept() => accepted,
                };
                let (mut stream, _) = accepted.unwrap();
                stream.write_all(b"1").await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let counts = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let [before, after] = counts.each_ref().map(Arc::clone);
    let predecessor = tokio::spawn(serve(first, before, &stops[0]));
    let ending = async {
        while counts[0].load(Ordering::Relaxed) < 200 {
            tokio::task::yield_now().await;
        }
        offer.taken().await;
        stops[0].notify_one();
        predecessor.await.unwrap();
        drop(offer);
    };
    let (started, mut successors) = tokio::sync::mpsc::unbounded_channel();
    let beginning = async {
        let mut inherited = Inheritance::from(&path).await.unwrap().unwrap();
        let successor = tokio::spawn(serve(inherited.take("one").unwrap(), after, &stops[1]));
        inherited.ready().await.unwrap();
        while counts[1].load(Ordering::Relaxed) < 200 {
            tokio::task::yield_now().await;
        }
        over.store(true, Ordering::Relaxed);
        started.send(successor).unwrap();
    };
    soon(async { tokio::join!(ending, beginning) }).await;
    let mut served = 0;
    for client in clients {
        served += soon(client).await.unwrap().unwrap();
    }
    stops[1].notify_one();
    soon(successors.recv()).await.unwrap().await.unwrap();
    assert!(served >= 400, "{served}");
}

#[tokio::test]
async fn a_successor_that_dies_as_it_is_ready_leaves_its_predecessor_to_be_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("handover");
    let (listener, _) = listening();
    let first = Offer::at(&path, vec![offered("of the first", &listener)]).unwrap();
    let successors = async {
        let mut inherited = Inheritance::from(&path).await.unwrap().unwrap();
        let second = Offer::after(&inherited, vec![offered("of the second", &listener)]);
        inherited.stream.write_all(READY).await.unwrap();
        drop((inherited, second));
        let mut next = Inheritance::from(&path).await.unwrap().unwrap();
        assert!(next.take("of the first").is_some());
        next.ready().await.unwrap();
    };
    soon(async { tokio::join!(first.taken(), successors) }).await;
}

/// A predecessor that has handed over and answers nothing from then on.
async fn silent(path: &Path) -> (Offer, UnixStream, Inheritance) {
    let offer = Offer::at(path, Vec::new()).unwrap();
    let handing = async {
        let (mut stream, _) = offer.listener.accept().await.unwrap();
        stream.read_exact(&mut [0; ASK.len()]).await.unwrap();
        let sent = || message::send(&stream, &offer.all());
        stream.async_io(Interest::WRITABLE, sent).await.unwrap();
        stream
    };
    let (stream, inherited) = tokio::join!(handing, Inheritance::from(path));
    (offer, stream, inherited.unwrap().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_successor_without_an_answer_is_not_to_serve_and_its_predecessor_learns_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("handover");
    let (_offer, mut stream, inherited) = silent(&path).await;
    let error = inherited.ready().await.unwrap_err().to_string();
    let told = error.replace(&path.display().to_string(), "PATH");
    insta::assert_snapshot!(told, @"the process at `PATH` does not hand over its listeners: no answer within 30s");
    let unheard = stream.write_all(READY).await.unwrap_err();
    assert_eq!(unheard.kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn an_answer_counts_that_was_there_before_the_successor_took_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("handover");
    let (_offer, mut stream, inherited) = silent(&path).await;
    stream.write_all(READY).await.unwrap();
    assert_eq!(last_word(&inherited.stream).unwrap(), READY);
    stream.write_all(READY).await.unwrap_err();
}

#[tokio::test]
async fn a_predecessor_that_ends_without_a_word_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("handover");
    let (_offer, stream, inherited) = silent(&path).await;
    drop(stream);
    let error = inherited.ready().await.unwrap_err();
    assert!(matches!(error, HandoverError::Gone { .. }), "{error:?}");
}

#[tokio::test]
async fn a_file_that_is_no_socket_stays_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("precious");
    std::fs::write(&path, "precious").unwrap();
    assert!(!is_somebody_at(&path).await);
    let error = Offer::at(&path, Vec::new()).unwrap_err();
    assert!(matches!(error, HandoverError::Listen { .. }), "{error:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn whoever_comes_and_says_nothing_holds_up_nobody_for_long() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("handover");
    let offer = Offer::at(&path, Vec::new()).unwrap();
    let _silent = tokio::net::UnixStream::connect(&path).await.unwrap();
    let begun = std::time::Instant::now();
    let successor = async {
        let inherited = Inheritance::from(&path).await.unwrap().unwrap();
        inherited.ready().await.unwrap();
    };
    soon(async { tokio::join!(offer.taken(), successor) }).await;
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
}
