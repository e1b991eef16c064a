//! Weaknesses of Istio's ztunnel that ours has not, as they show from outside: each is named after its
//! row in the list of weaknesses. With `AMBIENT_TEST_RELAY` they are asked of that program, as
//! [`namespaces`](crate::namespaces) are, which have further ones.

mod certificates;
mod closing;
mod frames;
mod pool;
mod server;
mod signs;

use std::io::Read as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use ambient_testkit::{Authority, Leaf};

use crate::harness::MESH;
use crate::lab::Lab;

/// The authority of a lab.
fn authority(lab: &Lab) -> Authority {
    let key = std::fs::read_to_string(lab.folder().join("authority/ca-key.pem")).unwrap();
    Authority::again(MESH, &key)
}

/// The identity of the client's workload.
fn web() -> Leaf {
    Leaf::of("cluster.local/ns/shop/sa/web")
}

/// When each of these connections is over, which nothing is to come through, in the order in which
/// they were made; nothing where that is not so in time.
fn ends(streams: Vec<TcpStream>, within: Duration) -> Vec<Option<Duration>> {
    let begun = Instant::now();
    let waiting: Vec<_> = streams
        .into_iter()
        .map(|mut stream| {
            std::thread::spawn(move || {
                stream.set_read_timeout(Some(within)).unwrap();
                match stream.read(&mut [0]) {
                    Ok(octets) => assert_eq!(octets, 0),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return None,
                    Err(_) => {}
                }
                Some(begun.elapsed())
            })
        })
        .collect();
    let ends = waiting.into_iter().map(|each| each.join().unwrap());
    ends.collect()
}
