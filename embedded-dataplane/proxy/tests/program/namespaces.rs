//! What goes through two pods with relays: see [`lab`](crate::lab).

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::harness::{Process, eventually, get};
use crate::lab::{
    CLIENT, CLIENT6, Inbound, Lab, Relay, SERVER, SERVER6, SERVICE, first_line, from_outside,
    is_outside, of_class, seen,
};

#[test]
fn traffic_that_rules_lead_to_relays_arrives_as_if_there_were_none() {
    if is_outside("traffic_that_rules_lead_to_relays_arrives_as_if_there_were_none") {
        return;
    }
    let lab = Lab::new();
    for (to, client) in [
        (format!("{SERVER}:8080"), CLIENT),
        (format!("[{SERVER6}]:8080"), CLIENT6),
        (format!("{SERVICE}:80"), CLIENT),
    ] {
        let mut stream = lab.connect(&to);
        assert_eq!(seen(&mut stream), client.parse::<IpAddr>().unwrap(), "{to}");
        stream.write_all(b"hello").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "hello", "{to}");
    }
    // In the clear, from who is not captured.
    for (to, client) in [
        (format!("{SERVER}:8080"), CLIENT),
        (format!("[{SERVER6}]:8081"), CLIENT6),
    ] {
        let mut stream = from_outside(&to, 0);
        assert_eq!(seen(&mut stream), client.parse::<IpAddr>().unwrap(), "{to}");
    }
    // An application that does not listen refuses, as it would without relays.
    let mut stream = lab.connect(&format!("{SERVER}:9999"));
    let error = stream.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    // The relays say that it went through tunnels, and who was there.
    let metrics = get(([127, 0, 0, 1], 15020).into(), "/metrics").unwrap();
    let tunnelled = metrics.lines().find(|line| {
        line.starts_with("istio_tcp_connections_opened_total{")
            && line.contains("connection_security_policy=\"mutual_tls\"")
            && line.contains("destination_service=\"db.shop\"")
    });
    assert!(tunnelled.is_some(), "{metrics}");
    lab.server
        .logs("src.identity=\"spiffe://cluster.local/ns/shop/sa/web\"");
}

#[test]
fn traffic_that_is_led_as_it_was_arrives_as_well() {
    if is_outside("traffic_that_is_led_as_it_was_arrives_as_well") {
        return;
    }
    let lab = Lab::with_inbound(Inbound::AsItWas);
    for (to, client) in [
        (format!("{SERVER}:8080"), CLIENT),
        (format!("[{SERVER6}]:8081"), CLIENT6),
    ] {
        for mut stream in [from_outside(&to, 0), lab.connect(&to)] {
            assert_eq!(seen(&mut stream), client.parse::<IpAddr>().unwrap(), "{to}");
            stream.write_all(b"hello").unwrap();
            let mut answer = [0; 5];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"hello", "{to}");
        }
    }
    // In the clear it went through the relay too.
    lab.server.logs("dst.addr=10.7.0.2:8080");
}

#[test]
fn a_client_that_connects_again_and_again_meets_the_application_and_not_the_relay() {
    if is_outside("a_client_that_connects_again_and_again_meets_the_application_and_not_the_relay")
    {
        return;
    }
    // Few ports, so that the relay would meet those of the client if it chose as the client does.
    let _lab = Lab::with_ports("40000 40099");
    let mut held = Vec::new();
    for _ in 0..60 {
        let start = Instant::now();
        let mut stream = from_outside(&format!("{SERVER}:8080"), 0);
        assert_eq!(seen(&mut stream).to_string(), CLIENT);
        // A connection that meets another is tried again after a second.
        assert!(start.elapsed() < Duration::from_millis(900));
        held.push(stream);
    }
}

#[test]
fn w13_one_client_may_have_more_connections_than_there_are_ports_for_an_address() {
    if is_outside("w13_one_client_may_have_more_connections_than_there_are_ports_for_an_address") {
        return;
    }
    let _lab = Lab::with_ports("32768 33367");
    // As many for one address of a client, where each is taken for all destinations at once.
    let kernel = 600;
    let mut held = Vec::new();
    for number in 0..kernel * 3 / 2 {
        // Redirection cannot tell apart connections from one port to two.
        let to = format!("{SERVER}:{}", 8080 + number % 2);
        let mut stream = from_outside(&to, 20_000 + number);
        assert_eq!(seen(&mut stream).to_string(), CLIENT, "{number}");
        held.push(stream);
    }
}

/// So many connections at once.
const CONNECTIONS: u64 = 120;

#[test]
fn w16_connections_that_were_busy_and_are_idle_hold_no_buffers() {
    if is_outside("w16_connections_that_were_busy_and_are_idle_hold_no_buffers") {
        return;
    }
    let lab = Lab::new();
    let much = vec![7; 1 << 20];
    let busy = || {
        let mut stream = lab.connect(&format!("{SERVER}:8080"));
        seen(&mut stream);
        let mut reader = stream.try_clone().unwrap();
        let length = much.len();
        let reading = std::thread::spawn(move || {
            let mut answer = vec![0; length];
            reader.read_exact(&mut answer).unwrap();
        });
        stream.write_all(&much).unwrap();
        reading.join().unwrap();
        stream
    };
    // What threads keep for the next that is busy is there once, and not for each.
    let _first: Vec<_> = (0..8).map(|_| busy()).collect();
    let before = [&lab.client, &lab.server].map(Process::memory);
    let held: Vec<_> = (0..CONNECTIONS).map(|_| busy()).collect();
    let after = [&lab.client, &lab.server].map(Process::memory);
    for (before, after) in before.into_iter().zip(after) {
        let each = after.saturating_sub(before) / CONNECTIONS;
        assert!(each < 20 << 10, "{each} octets for each");
    }
    drop(held);
}

#[test]
fn w15_no_connection_is_lost_when_a_successor_takes_over() {
    if is_outside("w15_no_connection_is_lost_when_a_successor_takes_over") {
        return;
    }
    let mut lab = Lab::new();
    // One that is there all the time, and many that come and go.
    let mut long = lab.connect(&format!("{SERVER}:8080"));
    seen(&mut long);
    let over = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let (over, count) = (Arc::clone(&over), Arc::clone(&count));
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let mut stream = TcpStream::connect(format!("{SERVER}:8081")).unwrap();
                    assert_eq!(seen(&mut stream).to_string(), CLIENT);
                    stream.write_all(b"hello").unwrap();
                    stream.shutdown(std::net::Shutdown::Write).unwrap();
                    let mut answer = String::new();
                    stream.read_to_string(&mut answer).unwrap();
                    assert_eq!(answer, "hello");
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let more = || {
        let before = count.load(Ordering::Relaxed);
        let some = || count.load(Ordering::Relaxed) > before + 20;
        eventually("connections come and go", some);
    };
    more();
    let first = lab.successor("first");
    more();
    let _second = lab.successor("second");
    more();
    first.logs("a successor has taken over");
    // What was there before goes on while its relay ends, for longer than a drain would last.
    let drain = std::time::Duration::from_secs(2);
    let handed_over = std::time::Instant::now();
    eventually("a drain would be over", || handed_over.elapsed() > drain);
    long.write_all(b"still here").unwrap();
    let mut answer = [0; 10];
    long.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"still here");
    drop(long);
    assert_eq!(lab.client.ended(), Some(0));
    over.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
}

#[test]
fn what_is_broken_off_when_time_is_up_is_logged_once_and_told_to_both_ends() {
    if is_outside("what_is_broken_off_when_time_is_up_is_logged_once_and_told_to_both_ends") {
        return;
    }
    let mut lab = Lab::new();
    let mut streams = [(); 3].map(|()| lab.connect(&format!("{SERVER}:8080")));
    for stream in &mut streams {
        seen(stream);
    }
    lab.server.terminate();
    assert_eq!(lab.server.ended(), Some(0));
    for mut stream in streams {
        let error = stream.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    let cut = "connection closed due to connection drain";
    let log = lab.server.log();
    assert_eq!(log.matches(cut).count(), 3, "{log}");
    // The other relay was told that it was no accident.
    eventually("the other relay tells of each", || {
        lab.client.log().matches("closed.how=\"reset\"").count() == 3
    });
}

#[test]
fn whoever_is_outside_reads_metrics_and_readiness_through_the_rules() {
    if is_outside("whoever_is_outside_reads_metrics_and_readiness_through_the_rules") {
        return;
    }
    let _lab = Lab::new();
    for (port, page) in [(15020, "/metrics"), (15021, "/healthz/ready")] {
        let mut stream = from_outside(&format!("{SERVER}:{port}"), 0);
        let request = format!("GET {page} HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        assert_eq!(first_line(&mut stream), "HTTP/1.1 200 OK\r", "{page}");
    }
}

#[test]
fn w28_packets_keep_their_class_in_tunnels_and_in_the_clear() {
    if is_outside("w28_packets_keep_their_class_in_tunnels_and_in_the_clear") {
        return;
    }
    let _lab = Lab::new();
    let (captured, past) = (0, ambient_facts::marks::RELAY);
    // Assured and expedited forwarding (RFC 2597, RFC 3246), and what asks for nothing.
    for class in [0x28, 0xb8, 0] {
        for mark in [captured, past] {
            let mut stream = of_class(&format!("{SERVER}:8080"), class, mark);
            assert_eq!(
                first_line(&mut stream),
                format!("{CLIENT} {class}"),
                "{mark:#x}"
            );
        }
    }
}

#[test]
fn idle_clients_that_take_all_descriptors_keep_nobody_from_readiness_and_metrics() {
    if is_outside("idle_clients_that_take_all_descriptors_keep_nobody_from_readiness_and_metrics") {
        return;
    }
    let lab = Lab::with_relays([&Relay::OursWithin(100), &Relay::Ours]);
    // There is a tunnel from then on.
    let mut first = lab.connect(&format!("{SERVER}:8080"));
    seen(&mut first);
    // Some come in from outside, and more than there is room for from the workload: the last of them wait.
    let outside = (0..20).map(|_| from_outside("127.0.0.1:15008", 0));
    let mut idle: Vec<_> = outside.collect();
    idle.extend((0..150).map(|_| lab.connect(&format!("{SERVER}:8080"))));
    lab.client.logs("cannot accept connections");
    for (port, path) in [(15021, "/healthz/ready"), (15020, "/metrics")] {
        for _ in 0..20 {
            let answer = get(([127, 0, 0, 1], port).into(), path).unwrap_or_default();
            assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        }
    }
    let files = lab.client.open_files();
    assert!((80..=100).contains(&files), "{files}");
    drop((first, idle));
}
