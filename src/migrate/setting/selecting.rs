//! Which policies select a pod: found by its labels, instead of by asking every policy of its
//! namespace.

use std::collections::BTreeMap;

use crate::model::{AuthorizationPolicy, Labels, Meta, NetworkPolicy, Workload, includes};

/// What selects pods of its own namespace.
pub(crate) trait Selects {
    fn meta(&self) -> &Meta;

    /// Labels that pods must have to be selected.
    fn labels(&self) -> &Labels;

    /// Whether pods of its namespace with these labels are selected.
    fn selects(&self, labels: &Labels) -> bool;
}

impl Selects for NetworkPolicy {
    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn labels(&self) -> &Labels {
        &self.pod_selector.match_labels
    }

    fn selects(&self, labels: &Labels) -> bool {
        self.pod_selector.matches(labels)
    }
}

impl Selects for AuthorizationPolicy {
    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn labels(&self) -> &Labels {
        &self.selector
    }

    fn selects(&self, labels: &Labels) -> bool {
        self.targets.is_empty() && !self.selects_nothing && includes(labels, &self.selector)
    }
}

/// Policies by namespace and by one of the labels that they ask for.
pub(crate) struct Selecting<'p, T> {
    all: Vec<&'p T>,
    by_label: BTreeMap<(&'p str, &'p str, &'p str), Vec<usize>>,
    /// Those that ask for no value of a label.
    others: BTreeMap<&'p str, Vec<usize>>,
}

impl<'p, T: Selects> Selecting<'p, T> {
    pub(crate) fn of(policies: impl IntoIterator<Item = &'p T>) -> Self {
        let mut index = Self {
            all: policies.into_iter().collect(),
            by_label: BTreeMap::new(),
            others: BTreeMap::new(),
        };
        for (place, policy) in index.all.iter().enumerate() {
            let namespace = policy.meta().namespace.as_str();
            let here = match policy.labels().iter().next() {
                Some((key, value)) => index.by_label.entry((namespace, key, value)).or_default(),
                None => index.others.entry(namespace).or_default(),
            };
            here.push(place);
        }
        index
    }

    /// The places, in what the index is of, of those that select pods with these labels.
    pub(crate) fn places(&self, namespace: &str, labels: &Labels) -> Vec<usize> {
        let labelled = labels.iter().filter_map(|(key, value)| {
            let key = (namespace, key.as_str(), value.as_str());
            self.by_label.get(&key)
        });
        let asking = labelled.chain(self.others.get(namespace)).flatten();
        let selects = |place: &usize| self.get(*place).is_some_and(|p| p.selects(labels));
        let mut places: Vec<usize> = asking.copied().filter(selects).collect();
        places.sort_unstable();
        places
    }

    pub(crate) fn get(&self, place: usize) -> Option<&'p T> {
        self.all.get(place).copied()
    }

    /// Those that select the pods of a workload, in the order of what the index is of.
    pub(crate) fn at(&self, workload: &Workload) -> impl Iterator<Item = &'p T> {
        let places = self.places(&workload.meta.namespace, &workload.pod.labels);
        places.into_iter().filter_map(|place| self.get(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::fixture::{labelled, meta};
    use crate::model::{LabelSelector, Operator, Requirement};

    #[test]
    fn policies_are_found_by_any_label_in_their_order() {
        let policy = |namespace: &str, name: &str, labels: &[(&str, &str)]| NetworkPolicy {
            meta: meta(namespace, name, "policy.yaml"),
            pod_selector: LabelSelector::labels(labels.iter().copied()),
            isolates_ingress: true,
            isolates_egress: false,
            ingress: Vec::new(),
            egress: Vec::new(),
        };
        let mut by_key = policy("shop", "by-key", &[]);
        by_key.pod_selector.match_expressions = vec![Requirement {
            key: "tier".to_owned(),
            operator: Operator::Exists,
        }];
        let policies = [
            policy("shop", "tier", &[("tier", "front")]),
            policy("shop", "both", &[("app", "web"), ("tier", "back")]),
            by_key,
            policy("pay", "elsewhere", &[("app", "web")]),
            policy("shop", "all", &[]),
            policy("shop", "app", &[("app", "web")]),
        ];
        let index = Selecting::of(&policies);
        let at = |own: &[(&str, &str)]| {
            let workload = labelled("shop", "web", own);
            let found = index.at(&workload).map(|p| p.meta.name.as_str());
            found.collect::<Vec<_>>()
        };
        assert_eq!(at(&[]), ["all", "app"]);
        assert_eq!(at(&[("tier", "front")]), ["tier", "by-key", "all", "app"]);
        assert_eq!(at(&[("tier", "back")]), ["both", "by-key", "all", "app"]);
    }
}
