//! Names with several addresses.

use std::time::Duration;

use ambient_testkit::{ClientPolicy, Script, Secured};
use kubectl_ambient::probe::{Options, run_through};

use crate::memory::{Memory, Met};
use crate::mesh::{Mesh, told};

async fn named(all: Vec<Met>) -> String {
    let mesh = Mesh::new();
    let options = Options {
        timeout: Duration::from_secs(2),
        ..mesh.options()
    };
    let secured = || Script::tls(&mesh.server, ClientPolicy::Required, Secured::Silent);
    let way = Memory::new(all, secured);
    told(&run_through(&way, "db.shop".parse().unwrap(), &options).await)
}

#[tokio::test(start_paused = true)]
async fn it_is_told_which_were_tried_and_which_were_not() {
    let all = [
        named(vec![Met::Peer, Met::Peer, Met::Peer]).await,
        named(vec![Met::Nobody, Met::Reset, Met::Peer, Met::Peer]).await,
    ];
    insta::assert_snapshot!(all.join("\n"), @"
    healthy
    resolve ok: 10.0.0.1, 10.0.0.2, 10.0.0.3
    tcp ok: 10.0.0.1:80; not tried: 10.0.0.2, 10.0.0.3
    tls ok: TLS 1.3, TLS_AES_256_GCM_SHA384, X25519, ALPN h2
    identity ok: spiffe://cluster.local/ns/shop/sa/db (verified), alert 116 certificate_required

    healthy
    resolve ok: 10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4
    tcp ok: 10.0.0.1:80 no answer within 500ms; 10.0.0.2:80 answered with RST; 10.0.0.3:80; not tried: 10.0.0.4
    tls ok: TLS 1.3, TLS_AES_256_GCM_SHA384, X25519, ALPN h2
    identity ok: spiffe://cluster.local/ns/shop/sa/db (verified), alert 116 certificate_required
    warning: another address of the name failed: 10.0.0.1:80 no answer within 500ms
    warning: another address of the name failed: 10.0.0.2:80 answered with RST
    ");
}

#[tokio::test(start_paused = true)]
async fn where_none_answers_each_has_its_share_of_the_time() {
    let all = [
        named(vec![Met::Nobody, Met::Reset]).await,
        named(vec![Met::NoWay, Met::Reset, Met::Nobody]).await,
        named((0..12).map(|_| Met::Nobody).collect()).await,
    ];
    insta::assert_snapshot!(all.join("\n"), @"
    connect-timeout
    resolve ok: 10.0.0.1, 10.0.0.2
    tcp failed: 10.0.0.1:80 no answer within 1s; 10.0.0.2:80 answered with RST

    connect-refused
    resolve ok: 10.0.0.1, 10.0.0.2, 10.0.0.3
    tcp failed: 10.0.0.1:80 network unreachable; 10.0.0.2:80 answered with RST; 10.0.0.3:80 no answer within 2s

    connect-timeout
    resolve ok: 10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, 10.0.0.5, 10.0.0.6, 10.0.0.7, 10.0.0.8, 4 more
    tcp failed: 10.0.0.1:80 no answer within 250ms; 10.0.0.2:80 no answer within 250ms; 10.0.0.3:80 no answer within 250ms; 10.0.0.4:80 no answer within 250ms; 10.0.0.5:80 no answer within 250ms; 10.0.0.6:80 no answer within 250ms; 10.0.0.7:80 no answer within 250ms; 10.0.0.8:80 no answer within 250ms; not tried: 10.0.0.9, 10.0.0.10, 10.0.0.11, 10.0.0.12
    ");
}
