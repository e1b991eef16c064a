//! Whether a peer that was believed would be believed again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::certificate::Certificate;
use crate::fault::PeerFault;
use crate::peer::{Evidence, Peer};
use crate::trust::{Beliefs, Trust};

/// A peer of which is known, for as long as its connection lasts, whether it would be believed in a
/// new handshake. To be asked whenever something new is to be entrusted to it: it looks at signatures
/// again only when roots are gone, when revocation lists name one of the peer's certificates, or when
/// one of these has expired.
#[derive(Debug)]
pub struct Standing {
    trust: Arc<Trust>,
    evidence: Arc<Evidence>,
    /// When each certificate of the peer expires.
    expiries: Vec<i64>,
    judged: Mutex<Judged>,
}

/// What was found at the last look.
#[derive(Debug)]
struct Judged {
    by: Beliefs,
    /// Until when it holds, if nothing else changes.
    until: Option<i64>,
    outcome: Result<(), PeerFault>,
}

impl Standing {
    /// That of a peer whose handshake has just ended.
    pub fn of(trust: &Arc<Trust>, peer: &Peer) -> Self {
        let evidence = Arc::clone(&peer.evidence);
        let read = evidence.chain.iter().map(Certificate::read);
        let expiries: Vec<_> = read.flatten().map(|c| c.not_after).collect();
        let by = trust.beliefs();
        let outcome = if Arc::ptr_eq(&by.anchors, &evidence.anchors) {
            // The handshake has judged the rest a moment ago.
            evidence.judge(&by.lists)
        } else {
            evidence.judge_again(&by.anchors, &by.lists)
        };
        let judged = Judged {
            // It may have expired since, and is looked at again then.
            until: expiries.iter().copied().min(),
            by,
            outcome,
        };
        Self {
            trust: Arc::clone(trust),
            evidence,
            expiries,
            judged: Mutex::new(judged),
        }
    }

    /// Whether the peer would be believed at this moment.
    ///
    /// # Errors
    ///
    /// Why it would not.
    pub fn check(&self) -> Result<(), PeerFault> {
        let by = self.trust.beliefs();
        let now = self.evidence.seconds();
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        if judged.holds(&self.evidence, &by, now) {
            judged.by = by;
        } else {
            *judged = Judged {
                outcome: self.evidence.judge_again(&by.anchors, &by.lists),
                until: next(&self.expiries, now),
                by,
            };
        }
        judged.outcome.clone()
    }

    /// How long it takes until the next of the peer's certificates has expired.
    pub fn expires_in(&self) -> Option<Duration> {
        let now = self.evidence.seconds();
        let last = next(&self.expiries, now)?;
        // That second still counts.
        Some(Duration::from_secs((last - now).unsigned_abs()) + Duration::from_secs(1))
    }
}

impl Judged {
    /// Whether the same would be found, as far as that is known without a look at signatures, which
    /// costs a hundred times as much.
    fn holds(&self, evidence: &Evidence, by: &Beliefs, now: i64) -> bool {
        let are_roots_same = Arc::ptr_eq(&self.by.anchors, &by.anchors);
        let are_lists_same = Arc::ptr_eq(&self.by.lists, &by.lists);
        if self.until.is_some_and(|until| now > until) {
            return false;
        }
        if self.outcome.is_err() {
            return are_roots_same && are_lists_same;
        }
        let mut roots = self.by.anchors.iter();
        let leads_somewhere = are_roots_same || roots.all(|root| by.anchors.contains(root));
        leads_somewhere && (are_lists_same || !by.lists.mention(&evidence.chain))
    }
}

/// The next of these times.
fn next(times: &[i64], now: i64) -> Option<i64> {
    times.iter().copied().filter(|time| *time >= now).min()
}

#[cfg(test)]
mod tests {
    use ambient_testkit::{Authority, Details, Leaf, Validity};

    use super::*;
    use crate::chain::Usage;
    use crate::clock::Clock;
    use crate::credentials::Credentials;
    use crate::crl::RevocationLists;
    use crate::roots::Roots;

    #[test]
    fn signatures_are_looked_at_again_only_where_something_concerns_the_peer() {
        let [root, other] = ["root", "other"].map(Authority::new);
        let trust = Trust::new([]);
        let believe =
            |of: &Authority| trust.believe(&Roots::from_pem(of.root().as_bytes()).unwrap());
        let belief = believe(&root);
        let details = Details {
            serial: Some(70_000),
            ..Details::default()
        };
        let leaf = Leaf::of("cluster.local/ns/shop/sa/db");
        let issued = root.issue_with(&leaf, &details);
        let credentials = Credentials::from_pem(issued.chain.as_bytes(), issued.key.as_bytes());
        let credentials = credentials.unwrap();
        let identity = credentials.certificate().identities().next().unwrap();
        let clock = Clock::system();
        let evidence = Evidence {
            chain: credentials.key.cert.clone(),
            anchors: trust.beliefs().anchors,
            usage: Usage::Server,
            at: clock.now(),
            clock,
        };
        let standing = Standing::of(&trust, &Peer::new(identity, evidence));
        let is_known = |later: i64| {
            let judged = standing.judged.lock().unwrap();
            let now = standing.evidence.seconds() + later;
            judged.holds(&standing.evidence, &trust.beliefs(), now)
        };
        let list = |numbers: &[u64]| {
            let list = root.revoke(numbers, Validity::Now);
            trust.revoke(RevocationLists::read(list.as_bytes()).unwrap());
        };
        let expires_in = i64::try_from(standing.expires_in().unwrap().as_secs()).unwrap();
        assert!(is_known(expires_in - 1) && !is_known(expires_in));
        // What is added, and what is about others.
        let _other = believe(&other);
        list(&[1]);
        assert!(is_known(0));
        assert_eq!(standing.check(), Ok(()));
        drop(belief);
        assert!(!is_known(0));
        let _belief = believe(&root);
        assert!(is_known(0));
        list(&[70_000]);
        assert!(!is_known(0));
        // Who is not believed is believed again when something changes.
        assert_eq!(standing.check(), Err(PeerFault::Revoked));
        assert!(is_known(0));
        list(&[1]);
        assert!(!is_known(0));
        assert_eq!(standing.check(), Ok(()));
    }
}
