//! What every identity of a process believes.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::{Context, Poll, ready};

use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use tokio::sync::oneshot;

use crate::chain::Usage;
use crate::crl::RevocationLists;
use crate::fault::PeerFault;
use crate::peer::{Evidence, Peer};
use crate::roots::Roots;

/// Whom to believe: roots, revocations, and the other names of the own trust domain.
///
/// All identities of a process share one. What changes here counts for the next handshake of each,
/// and needs no new certificate: the roots are the union of those that any of them was given (so a
/// root that the mesh gains is believed from the first certificate on that comes with it), and the
/// revocation lists end connections that were made before.
#[derive(Debug, Default)]
pub struct Trust {
    aliases: BTreeSet<String>,
    beliefs: RwLock<Beliefs>,
    bundles: Mutex<Vec<Bundle>>,
    watched: Mutex<Watched>,
}

#[derive(Debug, Clone)]
pub(crate) struct Beliefs {
    pub(crate) anchors: Arc<[TrustAnchor<'static>]>,
    pub(crate) lists: Arc<RevocationLists>,
}

#[derive(Debug)]
struct Bundle {
    roots: Roots,
    holders: usize,
}

/// Roots that are believed until this is dropped.
#[derive(Debug)]
pub struct Belief {
    trust: Arc<Trust>,
    roots: Roots,
}

/// The connections that a revocation may end.
#[derive(Debug, Default)]
struct Watched {
    next: u64,
    connections: BTreeMap<u64, (Arc<Evidence>, oneshot::Sender<PeerFault>)>,
}

/// A connection of which is watched whether its peer is revoked, until this is dropped.
#[derive(Debug)]
pub struct Watch {
    trust: Arc<Trust>,
    number: u64,
    /// Where the fault comes from, until it is there.
    end: Option<oneshot::Receiver<PeerFault>>,
    fault: Option<PeerFault>,
}

impl Default for Beliefs {
    fn default() -> Self {
        Self {
            anchors: Arc::new([]),
            lists: Arc::default(),
        }
    }
}

impl Trust {
    /// No roots and no revocations yet. Clients of the trust domains in `aliases` are admitted like
    /// those of the server's own (istio `MeshConfig.trustDomainAliases`).
    pub fn new(aliases: impl IntoIterator<Item = String>) -> Arc<Self> {
        Arc::new(Self {
            aliases: aliases.into_iter().collect(),
            ..Self::default()
        })
    }

    /// Believes these roots too, from now on and as long as what it returns is held.
    pub fn believe(self: &Arc<Self>, roots: &Roots) -> Belief {
        let mut bundles = lock(&self.bundles);
        let held = bundles.iter_mut().find(|bundle| bundle.roots == *roots);
        let roots = if let Some(bundle) = held {
            bundle.holders += 1;
            // Most identities come with the same roots: they share one copy.
            bundle.roots.clone()
        } else {
            let (roots, holders) = (roots.clone(), 1);
            bundles.push(Bundle {
                roots: roots.clone(),
                holders,
            });
            self.unite(&bundles);
            roots
        };
        let trust = Arc::clone(self);
        Belief { trust, roots }
    }

    /// Replaces the revocation lists, and ends the watched connections that they name. Returns how
    /// many that are.
    ///
    /// It looks at every watched connection, which takes some microseconds each.
    pub fn revoke(&self, lists: RevocationLists) -> usize {
        let lists = Arc::new(lists);
        let beliefs = self.beliefs.write();
        beliefs.unwrap_or_else(PoisonError::into_inner).lists = Arc::clone(&lists);
        // Verification is not done under the lock, which handshakes wait for.
        let watched = lock(&self.watched).evidence();
        let judged = watched.into_iter().filter_map(|(number, evidence)| {
            let fault = evidence.judge(&lists).err()?;
            lock(&self.watched).end(number, fault)
        });
        judged.count()
    }

    /// Watches whether the peer of a connection is revoked.
    pub fn watch(self: &Arc<Self>, peer: &Peer) -> Watch {
        let (sender, end) = oneshot::channel();
        let evidence = Arc::clone(&peer.evidence);
        let number = lock(&self.watched).add(evidence, sender);
        // Lists may have come between the handshake and now. Whoever replaces them from here on sees
        // the connection.
        if let Err(fault) = peer.evidence.judge(&self.beliefs().lists) {
            lock(&self.watched).end(number, fault);
        }
        Watch {
            trust: Arc::clone(self),
            number,
            end: Some(end),
            fault: None,
        }
    }

    /// How many connections are watched.
    pub fn watched(&self) -> usize {
        lock(&self.watched).connections.len()
    }

    pub(crate) fn beliefs(&self) -> Beliefs {
        let beliefs = self.beliefs.read();
        beliefs.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn aliases(&self) -> &BTreeSet<String> {
        &self.aliases
    }

    pub(crate) fn check(
        &self,
        chain: &[CertificateDer<'_>],
        usage: Usage,
        now: UnixTime,
    ) -> Result<(), PeerFault> {
        let Beliefs { anchors, lists } = self.beliefs();
        lists.check(chain, &anchors, usage, now)
    }

    fn unite(&self, bundles: &[Bundle]) {
        let mut union: Vec<TrustAnchor<'static>> = Vec::new();
        for anchor in bundles.iter().flat_map(|b| b.roots.anchors.iter()) {
            if !union.contains(anchor) {
                union.push(anchor.clone());
            }
        }
        let mut beliefs = self.beliefs.write().unwrap_or_else(PoisonError::into_inner);
        beliefs.anchors = union.into();
    }
}

impl Drop for Belief {
    fn drop(&mut self) {
        let mut bundles = lock(&self.trust.bundles);
        let Some(place) = bundles.iter().position(|b| b.roots == self.roots) else {
            return;
        };
        if let Some(bundle) = bundles.get_mut(place) {
            bundle.holders -= 1;
            if bundle.holders == 0 {
                bundles.swap_remove(place);
                self.trust.unite(&bundles);
            }
        }
    }
}

impl Watch {
    /// Ends when the peer is revoked, and says by what; at once when it is asked again after that.
    /// What has waited for it may be dropped and nothing is lost.
    pub async fn revoked(&mut self) -> PeerFault {
        poll_fn(|cx| self.poll_revoked(cx)).await
    }

    /// As [`Self::revoked`].
    pub fn poll_revoked(&mut self, cx: &mut Context<'_>) -> Poll<PeerFault> {
        if let Some(end) = &mut self.end {
            self.fault = ready!(Pin::new(end).poll(cx)).ok();
            self.end = None;
        }
        match &self.fault {
            Some(fault) => Poll::Ready(fault.clone()),
            // Whoever could revoke it is gone.
            None => Poll::Pending,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        lock(&self.trust.watched).connections.remove(&self.number);
    }
}

impl Watched {
    fn add(&mut self, evidence: Arc<Evidence>, end: oneshot::Sender<PeerFault>) -> u64 {
        let number = self.next;
        self.next += 1;
        self.connections.insert(number, (evidence, end));
        number
    }

    fn end(&mut self, number: u64, fault: PeerFault) -> Option<()> {
        let (_, end) = self.connections.remove(&number)?;
        end.send(fault).ok()
    }

    fn evidence(&self) -> Vec<(u64, Arc<Evidence>)> {
        let connections = self.connections.iter();
        let evidence = connections.map(|(&number, (evidence, _))| (number, Arc::clone(evidence)));
        evidence.collect()
    }
}

/// What these locks guard is whole between any two statements, so a panic elsewhere spoils nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
