//! Whether a peer that was believed would be believed again.

use std::sync::{Arc, Mutex, PoisonError};

use crate::certificate::Certificate;
use crate::fault::PeerFault;
use crate::peer::{Evidence, Peer};
use crate::trust::{Beliefs, Trust};

/// A peer of which is known, for as long as its connection lasts, whether it would be believed in a
/// new handshake. To be asked whenever something new is to be entrusted to it: it looks again only
/// when roots or revocation lists have changed, or when one of the peer's certificates has expired.
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
            until: next(&expiries, evidence.seconds()),
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
        let holds = Arc::ptr_eq(&judged.by.anchors, &by.anchors)
            && Arc::ptr_eq(&judged.by.lists, &by.lists)
            && judged.until.is_none_or(|until| now <= until);
        if !holds {
            *judged = Judged {
                outcome: self.evidence.judge_again(&by.anchors, &by.lists),
                until: next(&self.expiries, now),
                by,
            };
        }
        judged.outcome.clone()
    }
}

/// The next of these times.
fn next(times: &[i64], now: i64) -> Option<i64> {
    times.iter().copied().filter(|time| *time >= now).min()
}
