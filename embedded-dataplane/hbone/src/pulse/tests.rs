use std::task::Waker;

use super::*;

/// TLS over a socket: holds what the socket has no room for, up to a limit.
#[derive(Default)]
struct Tls {
    held: usize,
    room: usize,
}

const LIMIT: usize = 64;

impl Tls {
    fn drain(&mut self) {
        let taken = self.held.min(self.room);
        self.held -= taken;
        self.room -= taken;
    }
}

impl AsyncWrite for Tls {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.drain();
        let taken = octets.len().min(LIMIT - self.held);
        self.held += taken;
        match taken {
            0 => Poll::Pending,
            _ => Poll::Ready(Ok(taken)),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.drain();
        match self.held {
            0 => Poll::Ready(Ok(())),
            _ => Poll::Pending,
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn what_tls_holds_back_is_no_sign_of_life_and_what_the_socket_takes_is() {
    let mut felt = Felt::of_server(Tls::default());
    let pulse = felt.pulse();
    let cx = &mut Context::from_waker(Waker::noop());
    let write = |felt: &mut Felt<Tls>, cx: &mut Context<'_>| {
        let written = Pin::new(felt).poll_write(cx, &[0; 24]);
        written.map(Result::unwrap)
    };
    let flush = |felt: &mut Felt<Tls>, cx: &mut Context<'_>| {
        let flushed = Pin::new(felt).poll_flush(cx);
        flushed.map(Result::unwrap)
    };
    // The socket takes nothing.
    for taken in [24, 24, 16] {
        assert_eq!(write(&mut felt, cx), Poll::Ready(taken));
        assert_eq!(flush(&mut felt, cx), Poll::Pending);
    }
    assert_eq!(write(&mut felt, cx), Poll::Pending);
    assert_eq!(pulse.beats(), 0);
    // It takes some, so that there is room in TLS, and then the rest.
    felt.stream.room = 24;
    assert_eq!(write(&mut felt, cx), Poll::Ready(24));
    assert_eq!(pulse.beats(), 1);
    assert_eq!(flush(&mut felt, cx), Poll::Pending);
    felt.stream.room = LIMIT;
    assert_eq!(flush(&mut felt, cx), Poll::Ready(()));
    assert_eq!(pulse.beats(), 2);
    // Who never has to wait learns nothing from it.
    felt.stream.room = LIMIT;
    assert_eq!(write(&mut felt, cx), Poll::Ready(24));
    assert_eq!(flush(&mut felt, cx), Poll::Ready(()));
    assert_eq!(pulse.beats(), 2);
}

fn settings(payload: usize) -> Vec<u8> {
    let length = u8::try_from(payload).unwrap();
    let mut frame = vec![0, 0, length, SETTINGS, 0, 0, 0, 0, 0];
    frame.resize(HEADER + payload, 7);
    frame
}

#[test]
fn a_greeting_is_followed_whatever_pieces_it_comes_in() {
    for preface in [0, PREFACE] {
        let mut octets = vec![b'x'; preface];
        octets.extend(settings(12));
        for size in 1..=octets.len() {
            let mut greeting = Greeting::after(preface);
            let pieces = octets.chunks(size).map(|p| greeting.pass(p));
            let answers: Vec<_> = pieces.collect();
            let (last, others) = answers.split_last().unwrap();
            assert_eq!(*last, Ok(true), "{size}");
            assert!(others.iter().all(|a| *a == Ok(false)), "{size}");
        }
    }
}

#[test]
fn another_first_frame_is_refused_by_its_type() {
    let mut greeting = Greeting::after(0);
    assert_eq!(greeting.pass(&[0, 0, 8]), Ok(false));
    assert_eq!(greeting.pass(&[6]), Err(NoSettings));
}

#[test]
fn an_empty_greeting_is_one() {
    assert_eq!(Greeting::after(0).pass(&settings(0)), Ok(true));
    let mut greeting = Greeting::after(PREFACE);
    let octets = [vec![b'x'; PREFACE], settings(0), settings(0)].concat();
    assert_eq!(greeting.pass(&octets), Ok(true));
}
