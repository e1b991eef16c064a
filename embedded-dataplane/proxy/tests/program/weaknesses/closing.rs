//! How the end of a connection is told to its other end.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use crate::harness::eventually;
use crate::lab::{Lab, SERVER, is_outside_of, seen};

/// What an application that logs says of a client that said this.
fn logged(lab: &Lab, said: &str) -> String {
    let log = lab.folder().join("8080");
    let mut line = None;
    eventually("the application tells of its client", || {
        let lines = std::fs::read_to_string(&log).unwrap();
        let mut lines = lines.lines();
        line = lines.find(|line| line.starts_with(said)).map(str::to_owned);
        line.is_some()
    });
    line.unwrap()
}

#[test]
fn w17_an_application_is_told_that_its_client_broke_off() {
    if is_outside_of("weaknesses::closing::w17_an_application_is_told_that_its_client_broke_off") {
        return;
    }
    let lab = Lab::new();
    let say = |text: &str| {
        let mut stream = lab.connect(&format!("{SERVER}:8080"));
        seen(&mut stream);
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = vec![0; text.len()];
        stream.read_exact(&mut answer).unwrap();
        stream
    };
    // Closed with nothing left to read, and broken off.
    drop(say("closed"));
    let broken = say("broken");
    socket2::SockRef::from(&broken)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(broken);
    assert_eq!(
        [logged(&lab, "`closed`"), logged(&lab, "`broken`")],
        ["`closed` finishes", "`broken` ends with ConnectionReset"]
    );
}
