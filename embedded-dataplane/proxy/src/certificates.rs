//! Certificates of the relay's workload, and whom it believes.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use ambient_identity::{
    AuthorityFolder, CertificateFolder, Clock, RevocationFile, RevocationFileError, SpiffeId,
    Store, StoreOptions, Trust,
};
use ambient_runtime::readiness::Gate;
use ambient_runtime::tasks::Tasks;
use tokio::time::sleep;

use crate::settings::{Certificates, Settings};

/// How long to wait after a failure that comes at once.
const PAUSE: Duration = Duration::from_secs(1);

/// Keeps the certificates of workloads, from where the settings say that they come from.
pub(crate) fn store(settings: &Settings, trust: Arc<Trust>) -> Store {
    let options = StoreOptions::default();
    match &settings.certificates {
        Certificates::Folder(folder) => {
            Store::start(CertificateFolder::new(folder), trust, options)
        }
        Certificates::Authority(folder) => {
            let clock = Clock::system();
            Store::start(AuthorityFolder::new(folder, clock), trust, options)
        }
    }
}

/// Reads the revocation lists, and again whenever they change. Without those that are there nobody is
/// believed; those that are not there yet are waited for.
///
/// # Errors
///
/// When they are there, and cannot be read.
pub(crate) async fn revocations(
    settings: &Settings,
    trust: &Arc<Trust>,
    helpers: &Tasks,
) -> Result<(), RevocationFileError> {
    let Some(path) = &settings.revocations else {
        return Ok(());
    };
    let file = RevocationFile::new(path, Arc::clone(trust));
    if file.load().await?.is_none() {
        tracing::warn!(path = %path.display(), "there are no revocation lists yet");
    }
    helpers.spawn("revocation lists", async move {
        loop {
            file.changed().await;
            match file.load().await {
                Ok(Some(read)) => tracing::info!(
                    lists = read.lists,
                    ended = read.ended,
                    "revocation lists were read"
                ),
                Ok(None) => tracing::warn!("the revocation lists are gone, and count all the same"),
                Err(error) => tracing::error!(
                    error = error.to_string(),
                    "the revocation lists cannot be read, and those before count"
                ),
            }
        }
    });
    Ok(())
}

/// Opens a gate when a workload has a certificate, however long that takes. What is in the way is
/// told once, and so is what peers will not like of it.
pub(crate) async fn wait(store: Arc<Store>, own: SpiffeId, mut gate: Gate) {
    let mut told = String::new();
    let workload = loop {
        match store.get(&own).await {
            Ok(workload) => break workload,
            Err(error) => {
                let error = error.to_string();
                if error != told {
                    tracing::warn!(identity = %own, error, "no certificate yet");
                    told = error;
                }
            }
        }
        sleep(PAUSE).await;
    };
    gate.open();
    // Peers may believe more than this process does, as while an authority follows another. So it is
    // used, as ztunnel does, which does not look.
    if let Err(fault) = workload.check() {
        tracing::warn!(
            identity = %own,
            error = fault.to_string(),
            "peers that believe the same roots refuse the certificate of this workload"
        );
    }
    // A gate that is dropped is shut.
    pending::<()>().await;
}
