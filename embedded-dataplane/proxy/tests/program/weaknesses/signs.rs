//! What a relay takes for a sign that the other end of a tunnel is alive, and how much it lets it send.

use std::collections::VecDeque;
use std::io::{self, Read as _};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWrite, ReadHalf, WriteHalf, split};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, interval, sleep_until};
use tokio_rustls::server::TlsStream;

use super::frames::{
    ACK, DATA, END_HEADERS, Frame, HEADERS, PING, PREFACE, SETTINGS, STATUS_200, WINDOW_UPDATE,
    frame, receive, send,
};
use crate::conformance::outbound::{play, say};
use crate::lab::{Lab, Relay, SERVER, is_outside_of};

#[test]
fn w26_a_server_that_sends_is_alive_whatever_becomes_of_pings() {
    if is_outside_of(
        "weaknesses::signs::w26_a_server_that_sends_is_alive_whatever_becomes_of_pings",
    ) {
        return;
    }
    let relay = Relay::chosen();
    let lab = Lab::with_relays([&relay, &Relay::Played("weaknesses::signs::deaf")]);
    let mut stream = lab.connect(&format!("{SERVER}:8080"));
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    // The first is asked for after 10 seconds, and waited for 20.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(36) {
        let read = stream.read(&mut [0; 64]);
        let octets = read.unwrap_or_else(|error| panic!("{error} after {:?}", begun.elapsed()));
        assert!(octets > 0, "the end after {:?}", begun.elapsed());
    }
}

/// What the server says when more is under way than the first window allows.
const MORE: &str = "more than the first window";

#[test]
fn w27_a_server_far_away_sends_more_than_the_first_window_in_a_round_trip() {
    if is_outside_of(
        "weaknesses::signs::w27_a_server_far_away_sends_more_than_the_first_window_in_a_round_trip",
    ) {
        return;
    }
    let relay = Relay::chosen();
    let lab = Lab::with_relays([&relay, &Relay::Played("weaknesses::signs::distant")]);
    let mut stream = lab.connect(&format!("{SERVER}:8080"));
    std::thread::spawn(move || {
        let mut octets = vec![0; 1 << 20];
        while stream.read(&mut octets).is_ok_and(|octets| octets > 0) {}
    });
    lab.server.logs(MORE);
}

type Receiving = UnboundedReceiver<Frame>;
type Sending = WriteHalf<TlsStream<TcpStream>>;

/// A server that does this with each connection, and hears so much later what is said to it.
fn serve<F>(late: Duration, play_frames: fn(Receiving, Sending) -> F)
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    play(move |stream, acceptor| async move {
        let mut stream = acceptor.accept(stream).await?;
        stream.read_exact(&mut [0; PREFACE.len()]).await?;
        let (receiving, sending) = split(stream);
        play_frames(frames(receiving, late), sending).await
    });
}

/// What comes, so much later.
fn frames(mut from: ReadHalf<TlsStream<TcpStream>>, late: Duration) -> Receiving {
    let (note, mut noted) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok(frame) = receive(&mut from).await {
            _ = note.send((Instant::now(), frame));
        }
    });
    let (tell, told) = unbounded_channel();
    tokio::spawn(async move {
        while let Some((came, frame)) = noted.recv().await {
            sleep_until(came + late).await;
            _ = tell.send(frame);
        }
    });
    told
}

/// What every server says to a frame.
async fn answer(to: &mut (impl AsyncWrite + Unpin), asked: &Frame) -> io::Result<()> {
    match asked.kind {
        SETTINGS if !asked.is_ack() => send(to, &frame(SETTINGS, ACK, 0, b"")).await,
        HEADERS => {
            let answer = frame(HEADERS, END_HEADERS, asked.stream, STATUS_200);
            send(to, &answer).await
        }
        _ => Ok(()),
    }
}

/// A server that answers no PING, and sends an octet now and then. It stands for a link that is full,
/// where they take too long.
#[test]
fn deaf() {
    serve(Duration::ZERO, |mut receiving, mut sending| async move {
        send(&mut sending, &frame(SETTINGS, 0, 0, b"")).await?;
        let mut streams = Vec::new();
        let mut ticks = interval(Duration::from_millis(500));
        loop {
            tokio::select! {
                asked = receiving.recv() => {
                    let Some(asked) = asked else { return Ok(()) };
                    answer(&mut sending, &asked).await?;
                    if asked.kind == HEADERS {
                        streams.push(asked.stream);
                    }
                }
                _ = ticks.tick() => for stream in &streams {
                    send(&mut sending, &frame(DATA, 0, *stream, b".")).await?;
                },
            }
        }
    });
}

/// How long what a client says takes to a server far away.
const ROUND_TRIP: Duration = Duration::from_millis(300);

/// A server that hears everything late, and sends on one stream whatever it may.
#[test]
fn distant() {
    serve(ROUND_TRIP, |mut receiving, mut sending| async move {
        send(&mut sending, &frame(SETTINGS, 0, 0, b"")).await?;
        // Of the connection and of the stream (RFC 9113, section 6.9.2).
        let mut windows = [0xffff_i64; 2];
        let mut stream = None;
        let mut under_way = VecDeque::new();
        loop {
            let may_send = windows.into_iter().min().unwrap().clamp(0, 16 << 10);
            let octets = usize::try_from(may_send).unwrap();
            if let Some(stream) = stream
                && octets > 0
                && receiving.is_empty()
            {
                send(&mut sending, &frame(DATA, 0, stream, &vec![7; octets])).await?;
                windows = windows.map(|window| window - may_send);
                note(&mut under_way, octets);
                continue;
            }
            let Some(asked) = receiving.recv().await else {
                return Ok(());
            };
            answer(&mut sending, &asked).await?;
            match asked.kind {
                HEADERS => stream = Some(asked.stream),
                // The first window of streams (section 6.5.2).
                SETTINGS if !asked.is_ack() => {
                    let mut settings = asked.payload.chunks(6);
                    let first = settings.find(|setting| setting[..2] == [0, 4]);
                    if let Some([_, _, window @ ..]) = first {
                        windows[1] = u32::from_be_bytes(window.try_into().unwrap()).into();
                    }
                }
                WINDOW_UPDATE => {
                    let window = usize::from(asked.stream != 0);
                    windows[window] += i64::from(asked.number());
                }
                PING if !asked.is_ack() => {
                    send(&mut sending, &frame(PING, ACK, 0, &asked.payload)).await?;
                }
                _ => {}
            }
        }
    });
}

/// Tells when more than the first window of a stream is sent in less than a round trip.
fn note(under_way: &mut VecDeque<(Instant, usize)>, octets: usize) {
    let now = Instant::now();
    under_way.push_back((now, octets));
    while under_way
        .front()
        .is_some_and(|(when, _)| now - *when > ROUND_TRIP * 3 / 4)
    {
        under_way.pop_front();
    }
    let sum: usize = under_way.iter().map(|(_, octets)| octets).sum();
    if sum > 5 << 20 {
        say(MORE);
    }
}
