//! The data step: what arrives, what comes back, and what is missing of it.

use ambient_testkit::Tunnel;
use kubectl_ambient::probe::Options;

use crate::mesh::{Mesh, http2, last};

/// Times differ from run to run.
fn without_times(text: &str) -> String {
    let is_time = |word: &str| {
        let number = word.trim_end_matches(',').strip_suffix('s');
        let number = number.map(|n| n.trim_end_matches(['m', 'µ', 'n']));
        number.is_some_and(|n| n.parse::<f64>().is_ok()) && !word.starts_with("500ms")
    };
    let words = text.split(' ').map(|word| match word {
        word if !is_time(word) => word,
        word if word.ends_with(',') => "TIME,",
        _ => "TIME",
    });
    words.collect::<Vec<_>>().join(" ")
}

async fn swept(tunnel: Tunnel, sizes: &[usize]) -> String {
    let mesh = Mesh::new();
    let options = Options {
        sizes: sizes.to_vec(),
        ..mesh.with_target()
    };
    without_times(&last(http2(&mesh, tunnel), &options).await)
}

#[tokio::test(start_paused = true)]
async fn an_echo_has_to_return_everything_as_it_was() {
    let all = [
        swept(Tunnel::Echo, &[1, 100_000, 20]).await,
        swept(Tunnel::Changed(4096), &[100, 9000, 1]).await,
        swept(Tunnel::Half(4000), &[100, 9000, 1]).await,
        swept(Tunnel::Stuck, &[100, 9000, 1]).await,
    ];
    insta::assert_snapshot!(all.join("\n"), @"
    healthy: data ok: 1 octet in TIME, 1 came back; 100000 octets in TIME, 100000 came back; 20 octets in TIME, 20 came back
    data-stalled: data failed: 100 octets in TIME, 100 came back; what was sent came back changed from octet 4097 on
    data-stalled: data failed: 100 octets in TIME, 100 came back; 9000 octets arrived, and 5100 did not come back within 500ms
    data-stalled: data failed: 100 octets in TIME, 100 came back; 9000 octets: no answer within 500ms
    ");
}

/// Nothing else ends a stream without a reset.
#[tokio::test(start_paused = true)]
async fn an_end_before_the_last_octet_is_the_application_s() {
    let all = [
        swept(Tunnel::Closed, &[]).await,
        swept(Tunnel::Closed, &[100, 9000]).await,
        swept(Tunnel::Cut(101), &[100, 9000]).await,
        swept(Tunnel::Cut(4000), &[9000]).await,
    ];
    insta::assert_snapshot!(all.join("\n"), @"
    app-closed: data failed: the stream ended after TIME, and no octet came
    app-closed: data failed: the stream ended TIME into 100 octets, and no octet came
    app-closed: data failed: 100 octets in TIME, 100 came back; the stream ended TIME into 9000 octets, when 101 octets had come back
    app-closed: data failed: the stream ended TIME into 9000 octets, when 4000 octets had come back
    ");
}

#[tokio::test(start_paused = true)]
async fn an_application_that_answers_something_else_is_no_echo() {
    let answer = Tunnel::Answer("HTTP/1.1 400 Bad Request\r\n\r\n");
    let all = [
        swept(answer, &[100]).await,
        swept(answer, &[100, 9000, 20]).await,
    ];
    insta::assert_snapshot!(all.join("\n"), @"
    healthy: data ok: 100 octets in TIME, 28 came back, and the application ended the stream
    app-closed: data failed: the stream ended TIME into 100 octets, when 28 octets had come back
    ");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_tiny_frames_is_the_peer_s() {
    insta::assert_snapshot!(swept(Tunnel::Flood, &[1 << 20]).await, @"http2-error: data failed: the peer sent too many tiny DATA frames, and we hung up");
}
