//! Descriptors that are kept, in a process where nobody else takes or closes any.
#![cfg(unix)]

use std::fs::File;
use std::os::fd::{AsRawFd as _, RawFd};
use std::time::Duration;

use ambient_runtime::accept::Acceptor;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

#[tokio::test(start_paused = true)]
async fn descriptors_that_are_kept_are_left_and_the_client_waits_for_another() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let fill = || File::open("/dev/null").unwrap();
    let first = TcpStream::connect(address).await.unwrap();
    let kept = fill().as_raw_fd() + 20;
    let mut acceptor = Acceptor::new(listener, "test").before(usize::try_from(kept).unwrap());
    let is_kept = |number: RawFd| number >= kept;
    let mut taken: Vec<File> = std::iter::repeat_with(fill).take(40).collect();
    let wait = Duration::from_secs(5);
    timeout(wait, acceptor.accept()).await.unwrap_err();
    assert!(acceptor.failures().count() > 1);
    taken.retain(|file| is_kept(file.as_raw_fd()));
    let (stream, peer) = acceptor.accept().await;
    assert!(!is_kept(stream.as_raw_fd()));
    assert_eq!(peer, first.local_addr().unwrap());
    // Whoever waits is not lost if nobody waits until then.
    let second = TcpStream::connect(address).await.unwrap();
    taken.extend(std::iter::repeat_with(fill).take(40));
    timeout(wait, acceptor.accept()).await.unwrap_err();
    let (left, peer) = acceptor.left().unwrap();
    assert!(is_kept(left.as_raw_fd()));
    assert_eq!(peer, second.local_addr().unwrap());
    drop(taken);
}
