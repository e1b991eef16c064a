//! What a sidecar decides today, by whether its clients have an identity.

use super::in_force::Sidecar;
use crate::authz::{Allowance, Decision};
use crate::migrate::setting::role::ClientToday;

/// What a sidecar decides.
#[derive(Clone)]
pub(super) struct SidecarToday {
    pub(super) by_identity: Decision,
    pub(super) anonymous: Allowance,
    pub(super) sidecar: Sidecar,
}

impl SidecarToday {
    /// What a client may use, given what it may where it is known.
    pub(super) fn of(&self, identified: Option<&Allowance>, client: ClientToday) -> Allowance {
        let everything = Allowance::all();
        let identified = identified.unwrap_or(&everything);
        let in_tunnel = match self.sidecar.takes_tunnel {
            Some(true) => client.tunnels,
            Some(false) => Some(false),
            None => client.tunnels.filter(|tunnels| !tunnels),
        };
        let known = match (client.vouched, in_tunnel) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        };
        let sidecar = &self.sidecar;
        let identified = match client.vouched {
            Some(true) => self.where_identified(identified),
            Some(false) => self.where_shown(identified, &sidecar.unidentified),
            None => {
                let hidden = sidecar.unidentified.either(&self.hidden());
                self.where_shown(identified, &hidden)
            }
        };
        one_if(known, &identified, &self.anonymous)
    }

    /// Where clients with a sidecar have no identity.
    fn hidden(&self) -> Allowance {
        let (by_server, by_client) = (&self.sidecar.unidentified, &self.sidecar.not_presented);
        Allowance {
            low: by_server.low.union(&by_client.low),
            high: by_server.high.union(&by_client.high),
        }
    }

    /// What a client with a sidecar may use, given that it has no identity on some ports.
    pub(super) fn where_identified(&self, identified: &Allowance) -> Allowance {
        self.where_shown(identified, &self.hidden())
    }

    fn where_shown(&self, identified: &Allowance, hidden: &Allowance) -> Allowance {
        let anonymous = &self.anonymous;
        let either_way = identified.low.intersection(&anonymous.low);
        let low = identified.low.difference(&hidden.high);
        let high = identified.high.difference(&hidden.low);
        Allowance {
            low: low
                .union(&anonymous.low.intersection(&hidden.low))
                .union(&either_way),
            high: high.union(&anonymous.high.intersection(&hidden.high)),
        }
        .with(&self.sidecar.past)
    }
}

/// What a client may use, which is known or not.
pub(super) fn one_if(
    known: Option<bool>,
    identified: &Allowance,
    anonymous: &Allowance,
) -> Allowance {
    match known {
        Some(true) => identified.clone(),
        Some(false) => anonymous.clone(),
        None => identified.either(anonymous),
    }
}
