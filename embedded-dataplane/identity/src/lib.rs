//! Who a workload is: SPIFFE identities, the certificates that carry them, and the TLS that proves
//! them.
//!
//! # Making connections
//!
//! A process has one [`Trust`] (whom to believe) and one [`Store`] (who it is itself), which takes
//! certificates from a [`Source`]. For each connection, ask the store for the [`Workload`] that it
//! is made for: that costs a look-up, and TLS is set up already. What is being renewed, which roots
//! were added and what was revoked is taken care of.
//!
//! ```no_run
//! # use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};
//! # use ambient_identity::*;
//! # use tokio::{net::TcpStream, time::timeout};
//! # async fn example(server: SpiffeId, client: SpiffeId, tcp: TcpStream, to: TcpStream)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! let trust = Trust::new(["old.example".to_owned()]);
//! let source = CertificateFolder::new(Path::new("/var/run/secrets/workload"));
//! let store = Store::start(source, Arc::clone(&trust), StoreOptions::default());
//!
//! // A server. Who waits for a certificate and for a handshake bounds the time.
//! let workload = store.get(&server).await?;
//! let (stream, peer) = timeout(Duration::from_secs(5), workload.accept(tcp)).await??;
//! let principal = peer.identity();
//! // Ends the connection when its peer is revoked.
//! let mut watch = trust.watch(&peer);
//! tokio::select! {
//!     () = serve(stream, principal) => {}
//!     fault = watch.revoked() => println!("{fault}"),
//! }
//!
//! // A client, which says whom it expects.
//! let workload = store.get(&client).await?;
//! let expected = Arc::new(BTreeSet::from([server]));
//! let (stream, peer) = workload.connect(to, expected).await?;
//! # let _ = (stream, peer);
//! # Ok(()) }
//! # async fn serve<S>(_: S, _: &SpiffeId) {}
//! ```
//!
//! In TLS 1.3 the handshake of a client is over before the server has judged it, so a refusal comes
//! with the first read; [`TlsFault::of`] tells it from other errors. [`Inspector`] is for those who
//! want to know whom they talk to, whoever that is.
//!
//! The only crate that names `rustls`. It opens files and sockets only where a
//! source says so.
#![forbid(unsafe_code)]

mod authority;
mod certificate;
mod chain;
mod clock;
mod credentials;
mod crl;
mod csr;
mod fault;
mod inspect;
mod peer;
mod provider;
mod roots;
mod source;
mod spiffe;
mod standing;
mod store;
mod trust;
mod verify;
mod workload;

pub use authority::{Authority, AuthorityError};
pub use certificate::{Certificate, Unreadable};
pub use clock::Clock;
pub use credentials::{Credentials, CredentialsError, Issued};
pub use crl::{RevocationLists, RevocationListsError};
pub use csr::{SigningRequest, SigningRequestError};
pub use fault::{Alert, ChainFault, PeerFault, TlsFault};
pub use inspect::{Inspection, Inspector, Secured};
pub use peer::Peer;
pub use provider::TlsPolicy;
pub use roots::{Roots, RootsError};
pub use rustls::pki_types::UnixTime;
#[doc(hidden)]
pub use source::fuzzing;
pub use source::{
    AuthorityFolder, CertificateFolder, FetchError, IstioAuthority, IstioOptions, Pending,
    RevocationFile, RevocationFileError, Revocations, Source,
};
pub use spiffe::{ParseSpiffeIdError, SpiffeId};
pub use standing::Standing;
pub use store::{Status, Store, StoreError, StoreOptions};
pub use trust::{Trust, Watch};
pub use workload::{Accepted, Connected, HandshakeError, TlsOptions, Workload, WorkloadError};
