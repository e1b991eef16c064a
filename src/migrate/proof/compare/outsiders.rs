//! What changes for pods that the input does not hold.

use super::Comparer;
use super::through::Through;
use crate::authz::{Allowance, selects};
use crate::migrate::analysis::ways::Way;
use crate::migrate::proof::authorizer::SelectionId;
use crate::migrate::proof::newcomers::{Behind, Newcomers};
use crate::migrate::proof::strangers::{self, ANYBODY, Gain};
use crate::migrate::proof::unplaced::{Change, Stranger, Why};
use crate::netpol::{Node, PortSet};
use crate::plan::Relation;

impl Comparer<'_, '_, '_, '_, '_> {
    /// Connections through the tunnel of pods that the input does not hold and that rules for
    /// everybody, or for a block, are about.
    pub(super) fn tunnel_of_strangers(
        &mut self,
        class: Node,
        workloads: &[usize],
        authorized: &Allowance,
        today: &Allowance,
    ) {
        let analysis = self.analysis;
        if self.has_left_over(workloads) {
            // Namespaces with the same labels may come too.
            let by_labels = analysis.for_namespaces.get(class).into_iter().flatten();
            let by_labels = by_labels.fold(PortSet::none(), |all, (ports, _)| all.union(ports));
            let others = analysis.is_open_to_strangers(class);
            let others = others.then(|| analysis.for_others(class)).flatten();
            let before = others.unwrap_or_default().union(&by_labels);
            let before = before.intersection(&analysis.tunnelled);
            let after = authorized.high.intersection(&analysis.tunnelled);
            self.found.of_strangers.extend(Gain::lost_by_left_over(
                class,
                workloads,
                &before,
                &before.difference(&after),
            ));
        }
        let strangers = analysis.strangers(class);
        let has_blocks = strangers.iter().any(|s| s.by_block);
        let authorized = authorized.high.intersection(&analysis.tunnelled);
        for Stranger {
            before,
            opens,
            by_block,
            places,
        } in strangers
        {
            let change = Change {
                class,
                workloads: workloads.to_vec(),
                relation: Relation::Tunnel,
                before: before.intersection(&analysis.tunnelled),
                after: if opens {
                    authorized.clone()
                } else {
                    PortSet::none()
                },
                places,
                why: Why::Block,
            };
            if by_block || analysis.is_open_to_strangers(class) {
                self.of_stranger(change, today, by_block && !opens, has_blocks);
            }
        }
    }

    /// Writes down what changes for pods that the input does not hold. What they lose counts where
    /// they are shut out: by nothing else than people's policies do limits refuse them anything.
    fn of_stranger(&mut self, change: Change, today: &Allowance, is_shut: bool, has_blocks: bool) {
        let Change { before, after, .. } = &change;
        self.found.add_change(Change {
            before: before.intersection(after).intersection(&today.low),
            after: before.intersection(after),
            why: Why::Identity,
            ..change.clone()
        });
        if has_blocks {
            let lost = if is_shut {
                Stranger::lost(&before.intersection(&today.high))
            } else {
                PortSet::none()
            };
            self.found.add_change(Change {
                before: after.intersection(before).union(&lost),
                ..change.clone()
            });
        } else {
            self.found.add_gain(Gain {
                class: change.class,
                workloads: change.workloads,
                relation: change.relation,
                gained: change.after.difference(&change.before),
                before: change.before,
                source: ANYBODY.to_owned(),
                change: strangers::Change::Gained,
            });
        }
    }

    /// Whether a limit of an earlier run that the plan does not make again selects some of these.
    fn has_left_over(&self, workloads: &[usize]) -> bool {
        let world = &self.analysis.setting.world;
        let root = world.mesh.root_namespace();
        let workloads = workloads.iter().filter_map(|&w| world.workloads.get(w));
        let mut left = self.left_over.iter();
        left.any(|policy| {
            let mut workloads = workloads.clone();
            workloads.any(|w| selects(policy, root, &w.meta.namespace, &w.pod.labels))
        })
    }

    /// The same through pods of a waypoint.
    pub(super) fn strangers_through(&mut self, through: &Through<'_>, waypoint: Node) {
        let Through { class, way, .. } = *through;
        let analysis = self.analysis;
        let last = analysis.value_at(waypoint, class).after.high;
        let leaves = way.plain || analysis.opens_tunnel(last);
        let at_waypoint = self.authorizer.stranger(through.at_waypoint);
        let led = way.leading_to(&at_waypoint.high, true, analysis);
        let universe = analysis.targets_of(way);
        let (entering, today) = (analysis.strangers(waypoint), analysis.strangers(class));
        let mut both = entering.iter().chain(&today);
        let has_blocks = both.any(|s| s.by_block);
        for (selection, workloads) in &through.at_server {
            let led = led.intersection(&self.passed_on(through, waypoint, *selection));
            let at_server = self.at_server(through.way, waypoint, *selection);
            let stranger_today = self.today_through(through, waypoint, *selection, &at_server);
            for entering in &entering {
                for now in &today {
                    let mut places = entering.places.clone();
                    places.intersect_with(&now.places);
                    let by_block = entering.by_block || now.by_block;
                    let is_open = entering.opens && leaves;
                    let is_meant = by_block || (is_open && analysis.is_open_to_strangers(waypoint));
                    if places.is_clear() || !is_meant {
                        continue;
                    }
                    let change = Change {
                        class,
                        workloads: workloads.clone(),
                        relation: Relation::Waypoint,
                        places,
                        before: now.before.intersection(&universe),
                        after: if is_open {
                            led.clone()
                        } else {
                            PortSet::none()
                        },
                        why: Why::Block,
                    };
                    self.of_stranger(change, &stranger_today, by_block && !is_open, has_blocks);
                }
            }
        }
    }

    /// The same for pods that rules admit by the name of their namespace or by labels.
    pub(super) fn newcomers_through(
        &mut self,
        newcomers: &Newcomers<'_, '_, '_>,
        through: &Through<'_>,
        waypoint: Node,
    ) {
        let Through { class, way, .. } = *through;
        let decision = self.authorizer.decision(through.at_waypoint);
        let judged = newcomers.judge(self.authorizer, decision);
        for (selection, workloads) in &through.at_server {
            let at_server = self.at_server(way, waypoint, *selection);
            let today = self.today_through(through, waypoint, *selection, &at_server);
            let behind = Behind {
                way,
                waypoint,
                passed_on: self.passed_on(through, waypoint, *selection),
                today: today.low,
            };
            for gain in newcomers.gains_behind(class, workloads, &behind, &judged) {
                self.found.add_gain(gain);
            }
        }
    }

    /// What is let through of strangers today to pods that a way leads to.
    fn today_through(
        &self,
        through: &Through<'_>,
        waypoint: Node,
        selection: SelectionId,
        at_server: &Allowance,
    ) -> Allowance {
        let authorizer = self.authorizer;
        if !through.is_used_today {
            return authorizer.stranger_today(selection).clone();
        }
        let at_waypoint = authorizer.stranger_today(through.at_waypoint);
        let passed_on = authorizer.passed_on_today(self.analysis, selection, waypoint, at_server);
        let led = through.way.led_to(at_waypoint, true, self.analysis);
        led.both(&passed_on.allowed)
    }

    /// What may get from pods of a waypoint to a class, at the most.
    fn passed_on(&self, through: &Through<'_>, waypoint: Node, selection: SelectionId) -> PortSet {
        let Through { class, way, .. } = *through;
        let last = self.analysis.value_at(waypoint, class).after.high;
        let at_server = self.at_server(way, waypoint, selection).high;
        if way.plain {
            at_server.intersection(self.analysis.sets.get(last))
        } else if self.analysis.opens_tunnel(last) {
            at_server
        } else {
            PortSet::none()
        }
    }

    /// What pods let a waypoint use once everything is in place.
    fn at_server(&self, way: &Way, waypoint: Node, selection: SelectionId) -> Allowance {
        if way.plain {
            self.authorizer.in_the_clear(selection)
        } else {
            self.authorizer.party(self.analysis, selection, waypoint)
        }
    }
}
