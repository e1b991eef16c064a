//! Clients that do not read for a while what they are sent.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ambient_hbone::limits::Limits;
use ambient_hbone::tunnel;
use ambient_ztunnel::relay::Bounds;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::{Sleep, sleep, timeout};

use crate::bounds::{secured, taking};
use crate::crowds::{bounded, connect};
use crate::harness::{Mesh, SERVER, soon};

/// A stream that is not read until some time has passed, once somebody says so.
struct Sleepy<S>(S, Arc<Mutex<Option<Pin<Box<Sleep>>>>>);

impl<S: AsyncRead + Unpin> AsyncRead for Sleepy<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(sleep) = &mut *self.1.lock().unwrap() {
            ready!(sleep.as_mut().poll(cx));
        }
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Sleepy<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn a_tunnel_is_not_idle_while_the_last_words_of_its_streams_are_on_their_way() {
    const ANSWER: usize = 8 << 20;
    let mesh = Mesh::new([1, 2]);
    let application = mesh.application().await;
    let to = application.local_addr().unwrap();
    let answered = tokio::spawn(async move {
        let (mut stream, _) = application.accept().await.unwrap();
        stream.read_exact(&mut [0; 8]).await.unwrap();
        stream.write_all(&vec![7; ANSWER]).await.unwrap();
        stream.shutdown().await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    });
    let bounds = Bounds {
        tunnels: 1,
        ..Bounds::default()
    };
    let mut settings = bounded(&mesh, bounds);
    settings.server.send_buffer = 2 * ANSWER;
    let (mut server, address) = taking(&mesh, settings);
    let asleep = Arc::default();
    let stream = Sleepy(soon(secured(&mesh, address)).await, Arc::clone(&asleep));
    // All of the answer fits into its windows.
    let limits = Limits {
        stream_window: 16 << 20,
        connection_window: 16 << 20,
        ..Limits::CLIENT
    };
    let (tunnel, driver) = soon(tunnel::open(stream, &limits)).await.unwrap();
    let _driver = tokio::spawn(driver);
    let mut opened = connect(&tunnel, to).await.unwrap();
    *asleep.lock().unwrap() = Some(Box::pin(sleep(Duration::from_secs(3))));
    let (reader, writer) = opened.stream.halves();
    writer.write(b"question"[..].into()).await.unwrap();
    writer.finish().unwrap();
    // The application is done with it, and nobody has read a word.
    soon(answered).await.unwrap();
    insta::assert_snapshot!(server.tells(2).await, @"
    TLS inbound with 127.0.0.1:PORT: spiffe://cluster.local/ns/shop/sa/web
    inbound 127.0.0.1:PORT of web to NET.2:PORT of db for NET.2:PORT at -: 8 up, 8388608 down, Finished(Client)
    ");
    let newcomer = soon(secured(&mesh, address)).await;
    soon(tunnel::open(newcomer, &Limits::CLIENT))
        .await
        .unwrap_err();
    let mut length = 0;
    while let Some(octets) = soon(reader.read()).await.unwrap() {
        length += octets.len();
    }
    assert_eq!(length, ANSWER);
    assert_eq!(server.relay.inbound().refused, 1);
}

#[tokio::test]
async fn w17_an_application_hears_at_once_of_a_client_that_broke_off_and_reads_nothing() {
    let mesh = Mesh::new([1, 2]);
    let application = mesh.application().await;
    let to = application.local_addr().unwrap();
    let (_server, address) = taking(&mesh, mesh.settings(SERVER));
    let asleep = Arc::default();
    let stream = Sleepy(soon(secured(&mesh, address)).await, Arc::clone(&asleep));
    let limits = Limits {
        stream_window: 64 << 20,
        connection_window: 64 << 20,
        ..Limits::CLIENT
    };
    let (tunnel, driver) = soon(tunnel::open(stream, &limits)).await.unwrap();
    let _driver = tokio::spawn(driver);
    let mut opened = connect(&tunnel, to).await.unwrap();
    let (mut application, _) = soon(application.accept()).await.unwrap();
    *asleep.lock().unwrap() = Some(Box::pin(sleep(Duration::from_mins(1))));
    // As much as everything between takes: a frame is on its way by half.
    let chunk = vec![7; 1 << 20];
    let stuck = Duration::from_millis(500);
    while let Ok(written) = timeout(stuck, application.write_all(&chunk)).await {
        written.unwrap();
    }
    opened.stream.halves().1.reset();
    let mut octet = [0];
    let heard = timeout(Duration::from_secs(15), application.read(&mut octet)).await;
    let heard = heard.unwrap();
    assert_eq!(heard.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}
