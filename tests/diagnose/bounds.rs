//! How long a probe takes, on a clock that goes on when nothing else does.

use std::time::Duration;

use ambient_testkit::{ClientPolicy, Script, Secured, Tunnel};
use kubectl_ambient::probe::{Cause, Options, Report, StepKind, run_through};
use rustls::CertificateError;
use tokio::time::Instant;

use crate::memory::{Memory, Met};
use crate::mesh::{Mesh, http2, told};

/// The probe, and how long it took by the clock.
async fn timed(way: &Memory, options: &Options) -> (Report, Duration) {
    let started = Instant::now();
    let report = run_through(way, "peer".parse().unwrap(), options).await;
    (report, started.elapsed())
}

const LIMIT: Duration = Duration::from_secs(2);

#[tokio::test(start_paused = true)]
async fn whatever_stalls_costs_the_time_of_its_step() {
    let mesh = Mesh::new();
    let options = Options {
        timeout: LIMIT,
        sizes: vec![9000; 100],
        ..mesh.with_target()
    };
    let peer = |turns| Memory::turns(vec![Met::Peer], turns);
    let silent = || Script::tls(&mesh.server, ClientPolicy::Required, Secured::Silent);
    let refused = CertificateError::UnknownIssuer;
    let refused = Script::tls(
        &mesh.server,
        ClientPolicy::Refused(refused),
        Secured::Silent,
    );
    let closing = Script::tls(&mesh.server, ClientPolicy::Required, Secured::Close);
    let optional = Script::tls(&mesh.server, ClientPolicy::Optional, Secured::Silent);
    let none = Options {
        credentials: None,
        ..options.clone()
    };
    let all = [
        (
            Memory::turns(vec![], vec![silent()]),
            &options,
            Cause::ResolveFailed,
            1,
        ),
        (
            Memory::turns(vec![Met::Nobody; 3], vec![silent()]),
            &options,
            Cause::ConnectTimeout,
            1,
        ),
        (peer(vec![Script::Silent]), &options, Cause::TlsStalled, 1),
        // The second handshake, with a certificate.
        (
            peer(vec![silent(), Script::Silent]),
            &options,
            Cause::TlsStalled,
            1,
        ),
        (peer(vec![silent()]), &options, Cause::Http2Stalled, 1),
        // A peer that goes away is asked once more what it has against the certificate.
        (
            peer(vec![silent(), closing.clone(), Script::Silent]),
            &options,
            Cause::Http2Error,
            1,
        ),
        (
            peer(vec![silent(), closing, refused]),
            &options,
            Cause::ClientUntrusted,
            0,
        ),
        // It may refuse what it did not get, and then does not greet.
        (peer(vec![optional]), &none, Cause::Http2Stalled, 2),
        (
            peer(vec![http2(&mesh, Tunnel::Silent)]),
            &options,
            Cause::ConnectStalled,
            1,
        ),
        (
            peer(vec![http2(&mesh, Tunnel::Stuck)]),
            &options,
            Cause::DataStalled,
            1,
        ),
        (
            peer(vec![http2(&mesh, Tunnel::Half(9001))]),
            &options,
            Cause::DataStalled,
            1,
        ),
        (
            peer(vec![http2(&mesh, Tunnel::Echo)]),
            &options,
            Cause::Healthy,
            0,
        ),
    ];
    for (place, (way, options, cause, stalls)) in all.into_iter().enumerate() {
        let (report, time) = timed(&way, options).await;
        let told = told(&report);
        assert_eq!(report.cause, cause, "{place}: {told}");
        assert_eq!(
            report.time(),
            time,
            "{place}: all time is some step's: {told}"
        );
        let most = LIMIT * stalls + Duration::from_millis(100);
        assert!(
            time >= LIMIT * stalls && time < most,
            "{place}: {time:?}: {told}"
        );
        for step in &report.steps {
            let most = LIMIT + Duration::from_millis(2);
            assert!(step.time <= most, "{place}: {step:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_parts_of_a_step_share_its_time() {
    let mesh = Mesh::new();
    let options = Options {
        timeout: LIMIT,
        sizes: vec![100; 50],
        ..mesh.with_target()
    };
    let peer = |turns| Memory::turns(vec![Met::Peer], turns);
    let silent = || Script::tls(&mesh.server, ClientPolicy::Required, Secured::Silent);
    let closing = Script::tls(&mesh.server, ClientPolicy::Required, Secured::Close);
    let all = [
        // A second connection takes most of the time, and the handshake on it the rest.
        (
            Memory {
                dial: LIMIT * 3 / 4,
                ..peer(vec![silent(), Script::Silent])
            },
            (Cause::TlsStalled, StepKind::Identity),
        ),
        // The peer goes away late, and is asked once more why.
        (
            Memory {
                delay: LIMIT / 2,
                ..peer(vec![silent(), closing, Script::Silent])
            },
            (Cause::Http2Error, StepKind::Http2),
        ),
        // Each size takes its time, and all of them too much.
        (
            Memory {
                delay: LIMIT / 8,
                ..peer(vec![http2(&mesh, Tunnel::Echo)])
            },
            (Cause::DataStalled, StepKind::Data),
        ),
    ];
    for (way, (cause, kind)) in all {
        let (report, time) = timed(&way, &options).await;
        let told = told(&report);
        assert_eq!(report.cause, cause, "{told}");
        assert_eq!(report.time(), time, "{told}");
        let step = report.steps.iter().find(|step| step.kind == kind).unwrap();
        let late = step.time.saturating_sub(LIMIT);
        assert!(step.time >= LIMIT, "{step:?}: {told}");
        assert!(late < Duration::from_millis(10), "{step:?}: {told}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_application_that_says_nothing_costs_a_moment_for_any_number_of_sizes() {
    let mesh = Mesh::new();
    let options = Options {
        timeout: LIMIT,
        sizes: vec![100; 50],
        ..mesh.with_target()
    };
    let way = Memory::new(vec![Met::Peer], || http2(&mesh, Tunnel::Half(0)));
    let (report, time) = timed(&way, &options).await;
    assert_eq!(report.cause, Cause::Healthy, "{}", told(&report));
    let data = report.steps.iter().find(|s| s.kind == StepKind::Data);
    assert!(data.unwrap().time < LIMIT / 4, "{time:?}: {data:?}");
}

/// Nobody knows how long the alert takes. When it comes after all, it is what it would have been.
#[tokio::test(start_paused = true)]
async fn a_late_demand_of_a_certificate_is_no_error() {
    let mesh = Mesh::new();
    let options = Options {
        timeout: LIMIT,
        ..mesh.options()
    };
    let way = Memory {
        delay: LIMIT + LIMIT / 2,
        ..Memory::new(vec![Met::Peer], || http2(&mesh, Tunnel::Echo))
    };
    let (report, time) = timed(&way, &options).await;
    insta::assert_snapshot!(told(&report), @"
    healthy
    resolve ok: 10.0.0.1
    tcp ok: 10.0.0.1:80
    tls ok: TLS 1.3, TLS_AES_256_GCM_SHA384, X25519, ALPN h2
    identity ok: spiffe://cluster.local/ns/shop/sa/db (verified), alert 116 certificate_required
    ");
    assert_eq!(
        (report.time(), time),
        (LIMIT + LIMIT / 2, LIMIT + LIMIT / 2)
    );
}
