//! Where the program spends its time, asked of it while it carries traffic.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use ambient_testkit::protobuf::{Field, fields};

use crate::harness::{eventually, get};
use crate::lab::{Lab, SERVER, is_outside_of, seen};

const PAGE: &str = "/debug/pprof/profile";

/// Where administration is, in each pod.
const ADMIN: ([u8; 4], u16) = ([127, 0, 0, 1], 15000);

/// Head and body.
fn ask(query: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(std::net::SocketAddr::from(ADMIN)).unwrap();
    let request = format!("GET {PAGE}{query} HTTP/1.1\r\nHost: relay\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|octets| octets == b"\r\n\r\n");
    let body = answer.split_off(end.unwrap() + 4);
    (String::from_utf8(answer).unwrap(), body)
}

/// The strings and the functions of a profile, and how many places and samples it has.
fn read(body: &[u8]) -> (Vec<String>, usize, u64) {
    let mut message = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(body);
    decoder.read_to_end(&mut message).unwrap();
    let all = fields(&message);
    let of = |number: u64| all.iter().filter(move |field| field.0 == number);
    let strings: Vec<_> = of(6).map(|(_, text)| text.text()).collect();
    let text = |field: &Field| strings[usize::try_from(field.number()).unwrap()].clone();
    let kinds: Vec<_> = of(1)
        .map(|(_, kind)| {
            let fields = kind.fields();
            fields
                .iter()
                .map(|(_, name)| text(name))
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(kinds, [["samples", "count"], ["cpu", "nanoseconds"]]);
    let samples = of(2).map(|(_, sample)| {
        let fields = sample.fields();
        let values = fields.iter().find(|field| field.0 == 2).unwrap();
        values.1.numbers()[0]
    });
    let samples = samples.sum();
    (strings, of(4).count(), samples)
}

#[test]
fn a_profile_is_taken_while_it_relays_and_one_at_a_time() {
    if is_outside_of("profile::a_profile_is_taken_while_it_relays_and_one_at_a_time") {
        return;
    }
    let lab = Lab::new();
    let mut stream = lab.connect(&format!("{SERVER}:8080"));
    seen(&mut stream);
    let profiling = std::thread::spawn(|| {
        // The other one may come first.
        loop {
            let (head, body) = ask("?seconds=2&frequency=250");
            if !head.starts_with("HTTP/1.1 409 ") {
                return (head, body);
            }
        }
    });
    let mut busy = None;
    let mut octets = 0;
    let mut buffer = vec![7; 64 << 10];
    while !profiling.is_finished() {
        stream.write_all(&buffer).unwrap();
        stream.read_exact(&mut buffer).unwrap();
        octets += buffer.len();
        if busy.is_none() {
            let (head, body) = ask("?seconds=1");
            if head.starts_with("HTTP/1.1 409 ") {
                busy = Some(String::from_utf8(body).unwrap());
            }
        }
    }
    let (head, body) = profiling.join().unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert_eq!(
        busy.as_deref(),
        Some("a profile is being taken: ask again when that is over\n")
    );
    let (strings, locations, samples) = read(&body);
    assert!(locations > 0 && samples > 0, "{locations}, {samples}");
    let ours = strings
        .iter()
        .any(|text| text.contains("ambient_ztunnel::"));
    assert!(ours, "{strings:?}");
    // What takes the samples is none of it.
    let profiler = strings
        .iter()
        .find(|text| text.contains("pprof::backtrace"));
    assert_eq!(profiler, None);
    // It did not stand still meanwhile, and nothing was lost.
    assert!(octets > 1 << 20, "{octets}");
    stream.write_all(b"still here").unwrap();
    let mut answer = [0; 10];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"still here");
    let (head, body) = ask("?seconds=soon");
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    assert_eq!(
        String::from_utf8(body).unwrap(),
        "`seconds=soon`: take 1 to 60\n\
         usage: GET /debug/pprof/profile[?seconds=NUMBER][&frequency=NUMBER]\n"
    );
    // The list of pages has it.
    let index = get(ADMIN.into(), "/").unwrap();
    assert!(index.contains("GET /debug/pprof/profile\n"), "{index}");
    eventually("the next is taken", || {
        ask("?seconds=1").0.starts_with("HTTP/1.1 200 OK")
    });
}
