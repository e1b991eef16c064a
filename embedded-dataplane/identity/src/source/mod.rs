//! Where certificates come from.

mod files;
mod folder;
mod istio;
mod revocations;

use std::future::{Future, pending};
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use crate::authority::{Authority, AuthorityError};
use crate::credentials::{CredentialsError, Issued};
use crate::roots::RootsError;
use crate::spiffe::SpiffeId;
use crate::workload::WorkloadError;

pub use folder::{AuthorityFolder, CertificateFolder};
pub use istio::{IstioAuthority, IstioOptions, fuzzing};
pub use revocations::{RevocationFile, RevocationFileError, Revocations};

/// What is to come of a source.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Gives certificates to workloads.
pub trait Source: Send + Sync + 'static {
    /// Fetches a chain, a key and roots for a workload. Whoever calls bounds the time, and drops
    /// what takes too long.
    fn fetch<'a>(&'a self, identity: &'a SpiffeId) -> Pending<'a, Result<Issued, FetchError>>;

    /// Ends when what was fetched before should be fetched again, although it is still valid. It may
    /// be dropped and asked again at any time.
    fn changed(&self) -> Pending<'_, ()> {
        Box::pin(pending())
    }
}

/// No certificate was to be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nobody gave an answer, or the answer was no.
    #[error("the certificate authority gives no certificate: {0}")]
    Refused(String),
    /// A file cannot be read.
    #[error("cannot read `{}`: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The authority at hand cannot sign.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The certificate or the key cannot be used.
    #[error("what was fetched cannot be used: {0}")]
    Credentials(#[from] CredentialsError),
    /// The roots cannot be used.
    #[error("the roots that came with the certificate: {0}")]
    Roots(#[from] RootsError),
    /// The certificate is for somebody else.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// The certificate has expired, by our clock.
    #[error("the certificate that was given has expired already")]
    Expired,
    /// It took too long.
    #[error("no certificate within {}s", .0.as_secs())]
    TimedOut(Duration),
    /// The source broke down, which is a bug of ours.
    #[error("fetching the certificate broke down")]
    Broken,
}

impl Source for Authority {
    fn fetch<'a>(&'a self, identity: &'a SpiffeId) -> Pending<'a, Result<Issued, FetchError>> {
        Box::pin(async { Ok(self.issue(identity)?) })
    }
}
