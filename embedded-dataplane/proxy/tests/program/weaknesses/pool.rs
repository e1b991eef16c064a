//! How a relay makes and keeps tunnels to a server.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::ends;
use crate::conformance::outbound::SERVER_TEST;
use crate::harness::eventually;
use crate::lab::{Lab, Relay, SERVER, is_outside_of};

/// Has the server's pod treat what comes for its tunnels like this.
fn tunnels(lab: &Lab, verdict: &str) {
    lab.in_server(&format!(
        "nft flush table inet hole 2>/dev/null
         nft -f - <<END
table inet hole {{
  chain input {{
    type filter hook input priority -10
    tcp dport 15008 {verdict}
  }}
}}
END"
    ));
}

fn connections(lab: &Lab, many: usize) -> Vec<TcpStream> {
    (0..many)
        .map(|_| lab.connect(&format!("{SERVER}:8080")))
        .collect()
}

#[test]
fn w2_who_waits_for_a_server_that_never_answers_waits_no_longer_than_one_attempt() {
    if is_outside_of(
        "weaknesses::pool::w2_who_waits_for_a_server_that_never_answers_waits_no_longer_than_one_attempt",
    ) {
        return;
    }
    let lab = Lab::new();
    tunnels(&lab, "drop");
    // An attempt is 10 seconds, of both; ours has one for all of them.
    let within = Duration::from_secs(14);
    let ends = ends(connections(&lab, 20), within);
    let late = ends.iter().filter(|end| end.is_none()).count();
    assert_eq!(late, 0, "{ends:?}");
}

#[test]
fn w4_tunnels_that_were_full_take_streams_again() {
    if is_outside_of("weaknesses::pool::w4_tunnels_that_were_full_take_streams_again") {
        return;
    }
    let relay = Relay::chosen();
    let lab = Lab::with_relays([&relay, &Relay::Played(SERVER_TEST)]);
    let count = |what: &str| {
        lab.server
            .log()
            .lines()
            .filter(|l| l.starts_with(what))
            .count()
    };
    let mut made = Vec::new();
    for burst in 1..=2 {
        let held = connections(&lab, 250);
        // All of them at once, as the server answers when its client is done.
        eventually("the server is asked for all", || {
            count("asked") == burst * 250
        });
        made.push(count("connected"));
        for mut stream in held {
            stream.write_all(b"hi").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert_eq!(answer, "hello");
        }
    }
    // The second burst needs none that the first has not made.
    assert_eq!(made[1], made[0], "{made:?}");
}
