//! What is said of differences: in the proof, and as findings.

use std::collections::{BTreeMap, BTreeSet};

use fixedbitset::FixedBitSet;

use super::causes::{Subject, Teller};
use super::reasons::Reason;
use crate::finding::{Code, Finding, Flow};
use crate::migrate::analysis::Analysis;
use crate::migrate::limits::restore::Limits;
use crate::migrate::proof::differences::{Difference, Differences};
use crate::migrate::proof::pairs::Differing;
use crate::migrate::proof::strangers;
use crate::migrate::proof::unplaced;
use crate::model::ObjectRef;
use crate::netpol::Node;
use crate::plan::{Comparison, Proof, Verdict};

/// Pairs of endpoints are listed one by one up to this number; the others are counted.
const LISTED_PAIRS: usize = 10_000;

/// Writes all differences down.
pub(crate) fn report(
    mut differences: Differences,
    analysis: &Analysis<'_, '_>,
    limits: &Limits,
) -> (Proof, Vec<Finding>) {
    // What is lost and gained is listed first, should there be too much.
    differences
        .list
        .sort_by_key(|d| std::cmp::Reverse(d.verdict));
    let mut told = Told::new(analysis, limits);
    let mut differing = Differing::new(analysis);
    for difference in differences.list {
        differing.add(&difference);
        told.add(&difference);
    }
    let mut proof = Proof {
        equal: differing.equal(),
        unlisted: BTreeMap::new(),
        differences: told.comparisons.into_iter().collect(),
        classes: analysis.universe.classes().len(),
        address_ranges: analysis.universe.address_ranges().len(),
    };
    for (verdict, pairs) in differing.by_verdict() {
        let unlisted = pairs.saturating_sub(proof.count(verdict));
        if unlisted > 0 {
            proof.unlisted.insert(verdict, unlisted);
        }
    }
    let fixes = told.fixes.texts;
    let drafts = told.drafts.into_iter();
    let mut findings = drafts.map(|d| d.finding(&fixes)).collect();
    let gains = &differences.of_strangers;
    let unlisted = strangers::tell(
        analysis,
        limits,
        gains,
        LISTED_PAIRS,
        &mut proof.differences,
        &mut findings,
    );
    if unlisted > 0 {
        *proof.unlisted.entry(Verdict::Unknown).or_default() += unlisted;
    }
    let unplaced = &differences.of_unplaced;
    unplaced::tell(analysis, unplaced, &mut proof.differences, &mut findings);
    (proof, findings)
}

/// Which of the findings.
type DraftId = usize;

/// What is told so far.
struct Told<'t, 's, 'w> {
    teller: Teller<'t, 's, 'w>,
    comparisons: BTreeSet<Comparison>,
    drafts: Vec<Draft>,
    /// By code.
    ids: BTreeMap<(&'static str, Subject), DraftId>,
    by_name: BTreeMap<(&'static str, ObjectRef), DraftId>,
    fixes: Fixes,
}

/// A finding that is not complete yet.
struct Draft {
    finding: Finding,
    flows: BTreeSet<Flow>,
    /// In the order in which they came up.
    fixes: Vec<FixId>,
    known_fixes: FixedBitSet,
}

impl<'t, 's, 'w> Told<'t, 's, 'w> {
    fn new(analysis: &'t Analysis<'s, 'w>, limits: &'t Limits) -> Self {
        Self {
            teller: Teller::new(analysis, limits),
            comparisons: BTreeSet::new(),
            drafts: Vec::new(),
            ids: BTreeMap::new(),
            by_name: BTreeMap::new(),
            fixes: Fixes::default(),
        }
    }

    fn add(&mut self, difference: &Difference) {
        let mut about = self.teller.reasons.about(difference);
        // Sources in millions differ for the reason of the source before them.
        let mut last: Option<(Reason<'t>, Subject, DraftId)> = None;
        difference.sources.each(|source| {
            let reason = self.teller.reasons.reason(&mut about, source);
            let subject = self.teller.subject(difference, &mut about, source, reason);
            let code = reason.code();
            let room = LISTED_PAIRS.saturating_sub(self.comparisons.len());
            let known = match last {
                Some((before, same, id)) if same == subject && before.code().id == code.id => {
                    if room == 0 && before == reason {
                        return;
                    }
                    Some(id)
                }
                _ => self.known(code, subject),
            };
            let id = match known {
                Some(id) if room == 0 => id,
                // Each finding has one pair at least.
                _ => self.list(difference, source, reason, subject, room.max(1)),
            };
            let fix = self.fixes.of(&self.teller, reason, difference);
            if let (Some(fix), Some(draft)) = (fix, self.drafts.get_mut(id)) {
                draft.advise(fix);
            }
            last = Some((reason, subject, id));
        });
    }

    /// The finding that is about this, if there is one yet.
    fn known(&mut self, code: &'static Code, subject: Subject) -> Option<DraftId> {
        if let Some(&known) = self.ids.get(&(code.id, subject)) {
            return Some(known);
        }
        let (name, _) = self.teller.named(subject);
        let known = *self.by_name.get(&(code.id, name))?;
        self.ids.insert((code.id, subject), known);
        Some(known)
    }

    /// Lists the pairs of a source, as many as there is room for.
    fn list(
        &mut self,
        difference: &Difference,
        source: Node,
        reason: Reason<'t>,
        subject: Subject,
        room: usize,
    ) -> DraftId {
        let code = reason.code();
        let because = self.teller.because(reason, difference, source);
        let listed = self.teller.list(difference, source, &because, room);
        let id = self.known(code, subject).unwrap_or_else(|| {
            let id = self.drafts.len();
            let (name, origin) = self.teller.named(subject);
            self.by_name.insert((code.id, name.clone()), id);
            self.ids.insert((code.id, subject), id);
            let message = format!("{because} ({})", difference.relation);
            self.drafts.push(Draft {
                finding: Finding::new(code, name, origin, message),
                flows: BTreeSet::new(),
                fixes: Vec::new(),
                known_fixes: FixedBitSet::new(),
            });
            id
        });
        if let Some(draft) = self.drafts.get_mut(id) {
            draft.flows.extend(listed.iter().map(Comparison::flow));
        }
        self.comparisons.extend(listed);
        id
    }
}

impl Draft {
    fn advise(&mut self, fix: FixId) {
        self.known_fixes.grow(fix.saturating_add(1));
        if !self.known_fixes.put(fix) {
            self.fixes.push(fix);
        }
    }

    fn finding(self, fixes: &[String]) -> Finding {
        Finding {
            flows: self.flows.into_iter().collect(),
            fixes: self
                .fixes
                .iter()
                .filter_map(|&id| fixes.get(id))
                .cloned()
                .collect(),
            ..self.finding
        }
    }
}

/// Which of the fixes.
type FixId = usize;

/// What there is to do, in words that are made once.
#[derive(Default)]
struct Fixes {
    texts: Vec<String>,
    ids: BTreeMap<String, FixId>,
    /// By the source that needs a service account of its own.
    own_account: BTreeMap<Node, Option<FixId>>,
}

impl Fixes {
    fn of(
        &mut self,
        teller: &Teller<'_, '_, '_>,
        reason: Reason<'_>,
        difference: &Difference,
    ) -> Option<FixId> {
        if let Reason::SharedAccount { source, .. } = reason {
            if let Some(known) = self.own_account.get(&source) {
                return *known;
            }
            let id = self.id(teller.fix(reason, difference));
            self.own_account.insert(source, id);
            return id;
        }
        self.id(teller.fix(reason, difference))
    }

    fn id(&mut self, fix: Option<String>) -> Option<FixId> {
        let fix = fix?;
        if let Some(&known) = self.ids.get(&fix) {
            return Some(known);
        }
        let id = self.texts.len();
        self.texts.push(fix.clone());
        self.ids.insert(fix, id);
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::fixture::{Fixture, deployment, meta};
    use crate::migrate::{AuthzMode, Options, plan};
    use crate::model::{LabelSelector, NetworkPolicy, Peer, PortMatch, PortRule, Protocol, Rule};

    /// Lets the pods of an application use one port of everybody, and nobody else theirs.
    fn policy(app: &str) -> NetworkPolicy {
        let anybody = Rule {
            peers: vec![Peer::Pods {
                namespaces: None,
                pods: Some(LabelSelector::default()),
            }],
            ports: vec![PortRule {
                protocol: Protocol::Tcp,
                port: PortMatch::Range(80, 80),
            }],
            line: 8,
        };
        NetworkPolicy {
            meta: meta("shop", app, "policies.yaml"),
            pod_selector: LabelSelector::labels([("app", app)]),
            isolates_ingress: true,
            isolates_egress: true,
            ingress: vec![anybody.clone()],
            egress: vec![anybody],
        }
    }

    /// All pods differ, and each of them gains at each other: what is kept of them has a bound, and
    /// all are counted.
    #[test]
    fn what_is_kept_of_many_differences_is_bounded() {
        let apps = 110;
        let fixture = (0..apps).fold(Fixture::with_namespace("shop", &[]), |fixture, n| {
            let app = format!("app-{n:03}");
            fixture
                .workload(deployment("shop", &app))
                .network(policy(&app))
        });
        let options = Options {
            authz: AuthzMode::None,
            ..Options::default()
        };
        let plan = plan(&fixture.world, &options);
        let proof = &plan.proof;
        let gained = plan.findings.iter().filter(|f| f.code.id == "AMB0110");
        let gained: Vec<&Finding> = gained.collect();
        assert_eq!(proof.count(Verdict::Gained), apps * apps);
        // Each policy is told of, be it with a single pair.
        assert_eq!(gained.len() as u64, apps);
        assert!(
            gained
                .iter()
                .all(|f| !f.flows.is_empty() && f.fixes.len() == 1)
        );
        // What is listed as evidence is listed in the proof, which has room for so many and for one
        // of each finding.
        let flows: usize = gained.iter().map(|f| f.flows.len()).sum();
        let differences = proof.differences.iter();
        let differences = differences.filter(|d| d.verdict == Verdict::Gained);
        assert_eq!(flows, differences.count());
        let listed = LISTED_PAIRS..=LISTED_PAIRS + gained.len();
        assert!(listed.contains(&flows), "{flows}");
    }

    /// A rule for all namespaces of a label lets in others of each: of these, too, what is listed has a
    /// bound, and all are counted.
    #[test]
    fn what_is_kept_of_many_newcomers_is_bounded() {
        let (namespaces, apps) = (110, 110);
        let peers = Peer::Pods {
            namespaces: Some(LabelSelector::labels([("team", "red")])),
            pods: None,
        };
        let names = (0..namespaces).map(|n| format!("front-{n:03}"));
        let fixture = names.fold(Fixture::with_namespace("shop", &[]), |fixture, name| {
            let client = deployment(&name, "web");
            fixture
                .namespace(&name, &[("team", "red")])
                .workload(client)
        });
        let fixture = (0..apps).fold(fixture, |fixture, n| {
            let app = format!("app-{n:03}");
            let mut policy = policy(&app);
            policy.isolates_egress = false;
            for rule in &mut policy.ingress {
                rule.peers = vec![peers.clone()];
            }
            fixture.workload(deployment("shop", &app)).network(policy)
        });
        let options = Options {
            authz: AuthzMode::None,
            ..Options::default()
        };
        let plan = plan(&fixture.world, &options);
        let unknown = plan.proof.differences.iter();
        let unknown = unknown.filter(|d| d.verdict == Verdict::Unknown);
        let listed = LISTED_PAIRS..=LISTED_PAIRS + apps;
        assert!(listed.contains(&unknown.count()));
        // Those of the namespaces with pods, of one that the input does not hold, and of its pod.
        let all = (namespaces + 1) * apps;
        assert_eq!(plan.proof.count(Verdict::Unknown), all as u64);
    }
}
