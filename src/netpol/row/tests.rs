//! Rows agree with an evaluation port by port, for every way in which the unknowns may turn out.

use proptest::prelude::*;

use super::*;
use crate::model::Protocol;
use crate::netpol::PortSet;

const NODES: usize = 3;
/// Ports that rules speak of: those of the bits of a mask.
const PORTS: u16 = 4;

/// Whether a peer set matches each node; `None` when that is not known.
type Peers = [Option<bool>; NODES];

/// Tiers over peer sets, and the mask of ports of each [`PortSetId`] in them.
#[derive(Debug, Clone)]
struct Case {
    peers: Vec<Peers>,
    admin: Vec<(OrderedAction, usize, u8)>,
    isolated: [bool; 2],
    grants: Vec<(usize, [u8; 2])>,
    baseline: Vec<(OrderedAction, usize, u8)>,
}

impl Case {
    /// Gives every rule peers of its own.
    fn with_peers_apart(mut self) -> Self {
        let mut apart = Vec::new();
        let admin = self.admin.iter_mut().map(|(_, peers, _)| peers);
        let grants = self.grants.iter_mut().map(|(peers, _)| peers);
        let baseline = self.baseline.iter_mut().map(|(_, peers, _)| peers);
        for peers in admin.chain(grants).chain(baseline) {
            apart.push(self.peers[*peers]);
            *peers = apart.len() - 1;
        }
        self.peers = apart;
        self
    }

    fn evaluate(&self, sets: &mut PortSets) -> Row {
        let mut ports = |mask: u8| sets.intern(port_set(mask));
        let mut ordered = |rules: &[(OrderedAction, usize, u8)]| {
            let rule = |&(action, peers, mask): &(OrderedAction, usize, u8)| OrderedRule {
                action,
                peers: PeerSetId::numbered(peers),
                ports: ports(mask),
            };
            rules.iter().map(rule).collect::<Vec<_>>()
        };
        let (admin, baseline) = (ordered(&self.admin), ordered(&self.baseline));
        let grant = |&(peers, [before, after]): &(usize, [u8; 2])| Grant {
            peers: PeerSetId::numbered(peers),
            before: ports(before),
            after: ports(after),
        };
        let tiers = Tiers {
            admin,
            isolated_before: self.isolated[0],
            isolated_after: self.isolated[1],
            grants: self.grants.iter().map(grant).collect(),
            baseline,
        };
        let set = |peers: &Peers| {
            let nodes = |wanted: Option<bool>| {
                let mut nodes = FixedBitSet::with_capacity(NODES);
                nodes.extend((0..NODES).filter(|&n| peers[n] == wanted));
                nodes
            };
            PeerSet::of(nodes(Some(true)), nodes(None))
        };
        let peers: Vec<PeerSet> = self.peers.iter().map(set).collect();
        Row::evaluate(&tiers, NODES, &peers, sets)
    }

    /// Whether a port is allowed, when it is settled which peers match.
    fn allows(&self, side: usize, matches: &[bool], port: u16) -> bool {
        let speaks_of = |mask: u8| (1..=PORTS).contains(&port) && mask & (1 << (port - 1)) != 0;
        let first = |rules: &[(OrderedAction, usize, u8)]| {
            let mut applying = rules.iter().filter(|r| matches[r.1] && speaks_of(r.2));
            applying.next().map(|r| r.0)
        };
        match first(&self.admin) {
            Some(OrderedAction::Accept) => return true,
            Some(OrderedAction::Deny) => return false,
            Some(OrderedAction::Pass) | None => {}
        }
        if self.isolated[side] {
            let mut grants = self.grants.iter();
            return grants.any(|g| matches[g.0] && speaks_of(g.1[side]));
        }
        first(&self.baseline) != Some(OrderedAction::Deny)
    }

    /// The answers for a node and a port, over all ways in which the unknowns may turn out.
    fn answers(&self, side: usize, node: usize, port: u16) -> Vec<bool> {
        let unknown: Vec<usize> = (0..self.peers.len())
            .filter(|&p| self.peers[p][node].is_none())
            .collect();
        let mut answers = Vec::new();
        for outcome in 0..1_u32 << unknown.len() {
            let mut matches: Vec<bool> = self
                .peers
                .iter()
                .map(|p| p[node].unwrap_or_default())
                .collect();
            for (bit, &peers) in unknown.iter().enumerate() {
                matches[peers] = outcome & (1 << bit) != 0;
            }
            answers.push(self.allows(side, &matches, port));
        }
        answers
    }
}

fn port_set(mask: u8) -> PortSet {
    let ports = (1..=PORTS).filter(|p| mask & (1 << (p - 1)) != 0);
    ports.map(|p| PortSet::port(Protocol::Tcp, p)).collect()
}

fn cases() -> impl Strategy<Value = Case> {
    let matches = prop_oneof![Just(None), Just(Some(false)), Just(Some(true))];
    let mask = 0..1_u8 << PORTS;
    let action = prop_oneof![
        Just(OrderedAction::Accept),
        Just(OrderedAction::Deny),
        Just(OrderedAction::Pass)
    ];
    let peers = 0..3_usize;
    let rules = prop::collection::vec((action, peers.clone(), mask.clone()), 0..4);
    // A side that is not isolated has no grants.
    let isolated = any::<[bool; 2]>();
    (
        prop::collection::vec([matches.clone(), matches.clone(), matches], 3),
        rules.clone(),
        isolated,
        prop::collection::vec((peers, [mask.clone(), mask]), 0..3),
        rules,
    )
        .prop_map(|(peers, admin, isolated, mut grants, baseline)| {
            for (_, masks) in &mut grants {
                for side in 0..2 {
                    masks[side] *= u8::from(isolated[side]);
                }
            }
            Case {
                peers,
                admin,
                isolated,
                grants,
                baseline,
            }
        })
}

/// Calls `check` with the bounds of every node, side and port, and the answers that are possible.
fn compare(
    case: &Case,
    mut check: impl FnMut((bool, bool), &[bool]) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let mut sets = PortSets::default();
    let row = case.evaluate(&mut sets);
    for node in 0..NODES {
        let value = row.at(node);
        for (side, bounds) in [value.before, value.after].into_iter().enumerate() {
            for port in 1..=PORTS + 1 {
                let holds = |set| sets.get(set).contains(Protocol::Tcp, port);
                let answers = case.answers(side, node, port);
                check((holds(bounds.low), holds(bounds.high)), &answers)?;
            }
        }
    }
    Ok(())
}

/// Calls `check` with whether a node is said to gain a port, and whether it can.
fn gains(
    case: &Case,
    mut check: impl FnMut(bool, bool) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let mut sets = PortSets::default();
    let row = case.evaluate(&mut sets);
    for node in 0..NODES {
        let gained = sets.get(row.at(node).gained);
        for port in 1..=PORTS + 1 {
            let [before, after] = [0, 1].map(|side| case.answers(side, node, port));
            let possible = before
                .iter()
                .zip(after)
                .any(|(before, after)| after && !before);
            check(gained.contains(Protocol::Tcp, port), possible)?;
        }
    }
    Ok(())
}

/// Two rules for peers that may match; only one of them is granted the port before.
#[test]
fn a_port_is_gained_where_only_the_peers_that_it_is_opened_for_match() {
    let gained = |second: usize, masks: [[u8; 2]; 2]| {
        let case = Case {
            peers: vec![[None; NODES], [None; NODES]],
            admin: Vec::new(),
            isolated: [true; 2],
            grants: vec![(0, masks[0]), (second, masks[1])],
            baseline: Vec::new(),
        };
        let mut sets = PortSets::default();
        let Value {
            before,
            after,
            gained,
        } = case.evaluate(&mut sets).at(0);
        assert_eq!(before, after);
        sets.get(gained).to_string()
    };
    assert_eq!(gained(1, [[1, 1], [0, 1]]), "TCP 1");
    assert_eq!(gained(1, [[1, 1], [1, 1]]), "No Connections");
    // The same peers match together.
    assert_eq!(gained(0, [[1, 1], [0, 1]]), "No Connections");
}

proptest! {
    #[test]
    fn bounds_are_the_least_and_the_most_that_may_be_allowed(case in cases()) {
        let case = case.with_peers_apart();
        compare(&case, |(low, high), answers| {
            prop_assert_eq!(low, answers.iter().all(|&a| a));
            prop_assert_eq!(high, answers.iter().any(|&a| a));
            Ok(())
        })?;
    }

    #[test]
    fn bounds_hold_when_rules_share_their_peers(case in cases()) {
        compare(&case, |(low, high), answers| {
            prop_assert!(!low || answers.iter().all(|&a| a));
            prop_assert!(high || answers.iter().all(|&a| !a));
            Ok(())
        })?;
    }

    #[test]
    fn what_is_gained_depends_on_which_peers_match(case in cases()) {
        let case = Case { admin: Vec::new(), baseline: Vec::new(), ..case }.with_peers_apart();
        gains(&case, |gained, possible| {
            prop_assert_eq!(gained, possible);
            Ok(())
        })?;
    }

    #[test]
    fn nothing_is_gained_that_is_not_told(case in cases()) {
        gains(&case, |gained, possible| {
            prop_assert!(gained || !possible);
            Ok(())
        })?;
    }

    #[test]
    fn cells_are_disjoint_and_none_has_the_value_of_another(case in cases()) {
        let row = case.evaluate(&mut PortSets::default());
        for (index, (value, nodes)) in row.cells.iter().enumerate() {
            prop_assert!(*value != row.rest && nodes.count() > 0);
            for (other, others) in &row.cells[..index] {
                let common = (0..NODES).any(|n| nodes.contains(n) && others.contains(n));
                prop_assert!(value != other && !common);
            }
        }
    }
}

/// What one node may use before the change, when the Admin rules match it or may.
fn with_admin(admin: &[(OrderedAction, Option<bool>)]) -> [String; 2] {
    let case = Case {
        peers: admin.iter().map(|&(_, matches)| [matches; NODES]).collect(),
        admin: admin
            .iter()
            .enumerate()
            .map(|(peers, &(action, _))| (action, peers, 1))
            .collect(),
        isolated: [true; 2],
        grants: Vec::new(),
        baseline: Vec::new(),
    };
    let mut sets = PortSets::default();
    let Bounds { low, high } = case.evaluate(&mut sets).at(0).before;
    [low, high].map(|set| sets.get(set).to_string())
}

#[test]
fn a_pass_that_may_apply_takes_the_certainty_from_an_accept_behind_it() {
    use OrderedAction::{Accept, Pass};
    let surely = with_admin(&[(Accept, Some(true))]);
    assert_eq!(surely, ["TCP 1", "TCP 1"]);
    let perhaps = with_admin(&[(Pass, None), (Accept, Some(true))]);
    assert_eq!(perhaps, ["No Connections", "TCP 1"]);
}

#[test]
fn a_deny_that_may_apply_leaves_only_the_upper_bound() {
    use OrderedAction::{Accept, Deny};
    let perhaps = with_admin(&[(Deny, None), (Accept, Some(true))]);
    assert_eq!(perhaps, ["No Connections", "TCP 1"]);
}
