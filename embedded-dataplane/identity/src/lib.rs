//! Who a workload is: SPIFFE identities, the certificates that carry them, and the TLS that proves
//! them.
//!
//! The only crate that names `rustls`. It opens no file and no socket: text and streams are given
//! to it.
#![forbid(unsafe_code)]

mod certificate;
mod credentials;
mod fault;
mod inspect;
mod provider;
mod roots;
mod spiffe;

pub use certificate::{Certificate, Unreadable};
pub use credentials::{Credentials, CredentialsError};
pub use fault::{Alert, TlsFault};
pub use inspect::{Inspection, Inspector, Secured};
pub use roots::{ChainFault, Roots, RootsError};
pub use rustls::pki_types::UnixTime;
pub use spiffe::{ParseSpiffeIdError, SpiffeId};
