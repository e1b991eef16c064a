//! Certificates and authorities that lie in a folder.

use std::path::{Path, PathBuf};

use ambient_facts::files;

use super::files::{FileError, Files};
use super::{FetchError, Pending, Source};
use crate::authority::Authority;
use crate::clock::Clock;
use crate::credentials::{Credentials, Issued};
use crate::roots::Roots;
use crate::spiffe::SpiffeId;

/// The most octets of a file with certificates or a key.
const MOST: u64 = 1 << 20;

/// A folder with the certificate of one workload: `cert-chain.pem`, `key.pem` and `root-cert.pem`, as
/// Istio mounts them. When they change, they are read again within seconds.
#[derive(Debug, Clone)]
pub struct CertificateFolder {
    folder: PathBuf,
    files: Files,
}

/// A folder with an authority, which signs for any identity: `ca-cert.pem` and `ca-key.pem`, and
/// where its certificate is not the root, `cert-chain.pem` and `root-cert.pem`, as in Istio's secret
/// `cacerts`. When they change, everybody gets a new certificate within seconds.
#[derive(Debug, Clone)]
pub struct AuthorityFolder {
    folder: PathBuf,
    files: Files,
    clock: Clock,
}

impl CertificateFolder {
    /// The certificate in this folder. It is read when it is asked for.
    pub fn new(folder: &Path) -> Self {
        let names = [files::CHAIN, files::KEY, files::ROOTS];
        Self {
            folder: folder.to_owned(),
            files: Files::new(names.map(|name| folder.join(name)), MOST),
        }
    }

    async fn issued(&self) -> Result<Issued, FetchError> {
        let mut contents = self.files.read().await?.into_iter();
        let mut next = |name| required(&self.folder, name, contents.next().flatten());
        let (chain, key, roots) = (next(files::CHAIN)?, next(files::KEY)?, next(files::ROOTS)?);
        Ok(Issued {
            credentials: Credentials::from_pem(&chain, &key)?,
            roots: Roots::from_pem(&roots)?,
        })
    }
}

impl AuthorityFolder {
    /// The authority in this folder. It is read when it is asked for.
    pub fn new(folder: &Path, clock: Clock) -> Self {
        let names = [
            files::AUTHORITY,
            files::AUTHORITY_KEY,
            files::CHAIN,
            files::ROOTS,
        ];
        Self {
            folder: folder.to_owned(),
            files: Files::new(names.map(|name| folder.join(name)), MOST),
            clock,
        }
    }

    async fn authority(&self) -> Result<Authority, FetchError> {
        let mut contents = self.files.read().await?.into_iter();
        let certificate = required(&self.folder, files::AUTHORITY, contents.next().flatten())?;
        let key = required(
            &self.folder,
            files::AUTHORITY_KEY,
            contents.next().flatten(),
        )?;
        let chain = contents.next().flatten().unwrap_or_default();
        let roots = contents.next().flatten();
        let roots = roots.as_ref().unwrap_or(&certificate);
        let authority = Authority::from_pem(&certificate, &key, &chain, roots, self.clock)?;
        Ok(authority)
    }
}

impl Source for CertificateFolder {
    fn fetch<'a>(&'a self, _: &'a SpiffeId) -> Pending<'a, Result<Issued, FetchError>> {
        Box::pin(self.issued())
    }

    fn changed(&self) -> Pending<'_, ()> {
        Box::pin(self.files.changed())
    }
}

impl Source for AuthorityFolder {
    fn fetch<'a>(&'a self, identity: &'a SpiffeId) -> Pending<'a, Result<Issued, FetchError>> {
        Box::pin(async { Ok(self.authority().await?.issue(identity)?) })
    }

    fn changed(&self) -> Pending<'_, ()> {
        Box::pin(self.files.changed())
    }
}

fn required(folder: &Path, name: &str, content: Option<Vec<u8>>) -> Result<Vec<u8>, FetchError> {
    content.ok_or_else(|| FetchError::File {
        path: folder.join(name),
        reason: "there is no such file".to_owned(),
    })
}

impl From<FileError> for FetchError {
    fn from(FileError { path, reason }: FileError) -> Self {
        Self::File { path, reason }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;
    use std::time::Duration;

    use ambient_facts::tunnel::SPIFFE_SCHEME;
    use ambient_testkit::{self as testkit, Leaf};
    use tokio::time::sleep;

    use super::*;
    use crate::store::{Store, StoreOptions};
    use crate::trust::Trust;

    const WEB: &str = "cluster.local/ns/shop/sa/web";

    fn web() -> SpiffeId {
        format!("{SPIFFE_SCHEME}{WEB}").parse().unwrap()
    }

    fn store(source: impl Source) -> Store {
        Store::start(source, Trust::new([]), StoreOptions::default())
    }

    fn write(folder: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
    }

    fn workload(folder: &Path, authority: &testkit::Authority) {
        let issued = authority.issue(&Leaf::of(WEB));
        let (chain, key, roots) = (&issued.chain, &issued.key, authority.root());
        write(
            folder,
            &[
                (files::CHAIN, chain),
                (files::KEY, key),
                (files::ROOTS, &roots),
            ],
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_certificate_in_a_folder_is_used_and_exchanged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let (old, new) = (
            testkit::Authority::new("old"),
            testkit::Authority::new("new"),
        );
        workload(path, &old);
        let store = store(CertificateFolder::new(path));
        let first = store.get(&web()).await.unwrap();
        assert!(first.certificate().issuer.ends_with("O=old"));
        // Half of it is there: the certificate is of another key. The old one stays.
        let next = new.issue(&Leaf::of(WEB));
        write(path, &[(files::CHAIN, &next.chain)]);
        sleep(Duration::from_secs(3)).await;
        assert!(Arc::ptr_eq(&first, &store.get(&web()).await.unwrap()));
        let [status] = store.list().try_into().unwrap();
        let error = status.error.unwrap().to_string();
        assert_eq!(
            error,
            "what was fetched cannot be used: it is not the key of the certificate"
        );
        write(
            path,
            &[(files::KEY, &next.key), (files::ROOTS, &new.root())],
        );
        sleep(Duration::from_secs(3)).await;
        let second = store.get(&web()).await.unwrap();
        assert!(second.certificate().issuer.ends_with("O=new"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_wrong_with_a_folder_is_told_with_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let authority = testkit::Authority::new("a");
        workload(path, &authority);
        let certificate = CertificateFolder::new(path);
        let db = format!("{SPIFFE_SCHEME}cluster.local/ns/shop/sa/db").parse();
        let mut told = vec![
            store(certificate.clone())
                .get(&db.unwrap())
                .await
                .unwrap_err(),
        ];
        write(path, &[(files::ROOTS, "")]);
        told.push(store(certificate.clone()).get(&web()).await.unwrap_err());
        fs::remove_file(path.join(files::KEY)).unwrap();
        told.push(store(certificate.clone()).get(&web()).await.unwrap_err());
        write(path, &[(files::CHAIN, &"x".repeat(1 << 21))]);
        told.push(store(certificate).get(&web()).await.unwrap_err());
        let told: Vec<_> = told.iter().map(ToString::to_string).collect();
        let told = told.join("\n").replace(&path.display().to_string(), "DIR");
        insta::assert_snapshot!(told, @r"
        the certificate is for `spiffe://cluster.local/ns/shop/sa/web`, and not for `spiffe://cluster.local/ns/shop/sa/db`
        the roots that came with the certificate: there is no certificate in it
        cannot read `DIR/key.pem`: there is no such file
        cannot read `DIR/cert-chain.pem`: more than 1048576 bytes
        ");
    }

    #[tokio::test(start_paused = true)]
    async fn an_authority_in_a_folder_signs_for_everybody_and_is_exchanged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let root = testkit::Authority::new("root");
        let middle = root.below("middle");
        write(
            path,
            &[
                (files::AUTHORITY, &root.root()),
                (files::AUTHORITY_KEY, &root.key()),
            ],
        );
        let store = store(AuthorityFolder::new(path, Clock::system()));
        let first = store.get(&web()).await.unwrap();
        assert!(first.certificate().issuer.ends_with("O=root"));
        write(
            path,
            &[
                (files::AUTHORITY, &middle.root()),
                (files::AUTHORITY_KEY, &middle.key()),
                (files::CHAIN, &middle.chain()),
                (files::ROOTS, &root.root()),
            ],
        );
        // Somebody who reads the files first does not take the news from the others.
        let db = format!("{SPIFFE_SCHEME}cluster.local/ns/shop/sa/db").parse();
        let other = store.get(&db.unwrap()).await.unwrap();
        assert!(other.certificate().issuer.ends_with("O=middle"));
        sleep(Duration::from_secs(3)).await;
        let second = store.get(&web()).await.unwrap();
        assert!(second.certificate().issuer.ends_with("O=middle"));
    }
}
