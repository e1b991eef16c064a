//! A server that says farewell in the middle of a stream.

use tokio::io::DuplexStream;
use tokio::sync::oneshot;

use super::*;

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    let header = [0, 0, length, kind, flags, 0, 0, 0, stream];
    [&header[..], payload].concat()
}

/// Answers a CONNECT with 200 and these octets, and ends the connection when it is told to (RFC 9113,
/// sections 6 and 8.5).
async fn answer(mut stream: DuplexStream, data: Vec<u8>, end: oneshot::Receiver<Vec<u8>>) {
    stream.write_all(&frame(4, 0, 0, &[])).await.unwrap();
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.unwrap();
    loop {
        let mut header = [0; 9];
        stream.read_exact(&mut header).await.unwrap();
        let length = usize::from(header[1]) << 8 | usize::from(header[2]);
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.unwrap();
        if header[3] == 1 {
            break;
        }
    }
    // `:status: 200`, by its number.
    stream.write_all(&frame(1, 4, 1, &[0x88])).await.unwrap();
    stream.write_all(&data).await.unwrap();
    let end = end.await.unwrap();
    stream.write_all(&end).await.unwrap();
    // Until the other end hangs up.
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

#[tokio::test]
async fn w17_an_end_of_the_whole_connection_is_no_end_of_what_it_carries() {
    let farewell = |code: u8| frame(7, 0, 0, &[0, 0, 0, 0, 0, 0, 0, code]);
    let no_error = "connection error received: not a result of an error";
    let internal = "connection error received: unexpected internal error encountered";
    for (code, what) in [(0, no_error), (2, internal)] {
        for is_finished in [false, true] {
            let (ours, theirs) = duplex(1 << 16);
            let (sender, end) = oneshot::channel();
            let data = frame(0, u8::from(is_finished), 1, b"half of it");
            let peer = tokio::spawn(answer(theirs, data, end));
            let (tunnel, driver) = tunnel::open(ours, &Limits::CLIENT).await.unwrap();
            let driver = tokio::spawn(driver);
            let target = "10.0.0.1:80".parse().unwrap();
            let place = tunnel.reserve().unwrap();
            let opened = place.connect(&target, &Headers::default()).await.unwrap();
            let (mut client, near) = connected().await;
            let relay = tokio::spawn(async move {
                let (counts, mut stream) = (Counts::default(), opened.stream);
                copied(Tcp::new(&near), Tunnelled::new(&mut stream), &counts).await
            });
            let mut seen = [0; 10];
            soon(client.read_exact(&mut seen)).await.unwrap();
            if is_finished {
                assert_eq!(rest(&mut client).await, Ok(Vec::new()));
            } else {
                // More than the peer allows, so that it is the writer that hears of the end.
                fill(&mut client).await;
            }
            sender.send(farewell(code)).unwrap();
            let ending = Ending::Failed {
                at: Side::Server,
                detail: format!("the connection of the stream ended: {what}"),
            };
            assert_eq!(soon(relay).await.unwrap(), ending, "{code} {is_finished}");
            if !is_finished {
                let broken = Err(io::ErrorKind::ConnectionReset);
                assert_eq!(rest(&mut client).await, broken, "{code}");
            }
            drop(tunnel);
            let _ = soon(driver).await;
            soon(peer).await.unwrap();
        }
    }
}
