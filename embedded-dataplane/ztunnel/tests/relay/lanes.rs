//! Relays that work on several threads.

use std::time::Duration;

use ambient_runtime::drain::Left;
use ambient_runtime::lanes::Lanes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{Mesh, Path, soon};

#[test]
fn connections_are_spread_over_threads_with_tunnels_of_their_own_and_end_with_the_drain() {
    let lanes = Lanes::start(3).unwrap();
    let tunnels = lanes.block_on(async {
        let mut mesh = Mesh::new([1, 2]);
        mesh.lanes = lanes.handles().into_iter().skip(1).collect();
        let mut path = Path::of(mesh).await;
        let mut held = Vec::new();
        for number in 0..6 {
            let (mut near, mut far) = path.connect().await;
            near.write_all(&[number; 1000]).await.unwrap();
            let mut seen = [0; 1000];
            soon(far.read_exact(&mut seen)).await.unwrap();
            assert_eq!(seen, [number; 1000]);
            held.push((near, far));
        }
        let counts = path.client.relay.pool();
        assert_eq!((counts.connections, counts.streams), (3, 6));
        assert_eq!(path.server.relay.inbound().tunnels, 3);
        let ended = async {
            for (mut near, mut far) in held {
                far.shutdown().await.unwrap();
                soon(near.read_to_end(&mut Vec::new())).await.unwrap();
                near.shutdown().await.unwrap();
                soon(far.read_to_end(&mut Vec::new())).await.unwrap();
            }
        };
        let drained = path.client.end(Duration::from_secs(20));
        let (left, ()) = tokio::join!(drained, ended);
        assert_eq!(left, Left::default());
        path.client.relay.close().await;
        assert_eq!(
            path.server.end(Duration::from_secs(20)).await,
            Left::default()
        );
        path.client.tells(9).await
    });
    lanes.end(Duration::from_secs(10));
    let tunnels = tunnels.lines().filter(|line| line.starts_with("TLS"));
    assert_eq!(tunnels.count(), 3);
}
