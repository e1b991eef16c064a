//! Who a workload is: SPIFFE identities, the certificates that carry them, and the TLS that proves
//! them.
//!
//! The only crate that names `rustls`. It opens no file and no socket: text and streams are given
//! to it.
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
pub use source::{FetchError, Pending, Source};
pub use spiffe::{ParseSpiffeIdError, SpiffeId};
pub use store::{Status, Store, StoreError, StoreOptions};
pub use trust::{Trust, Watch};
pub use workload::{Accepted, Connected, HandshakeError, TlsOptions, Workload, WorkloadError};
