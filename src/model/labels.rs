//! Labels and selectors (`metav1.LabelSelector`).

use std::collections::{BTreeMap, BTreeSet};

/// Labels or annotations, sorted by key.
pub type Labels = BTreeMap<String, String>;

/// Whether labels include all of some; none are in all.
pub fn includes(labels: &Labels, some: &Labels) -> bool {
    some.iter()
        .all(|(key, value)| labels.get(key) == Some(value))
}

/// A `metav1.LabelSelector`. An empty one selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelSelector {
    /// `matchLabels`.
    pub match_labels: Labels,
    /// `matchExpressions`, in the order of the manifest.
    pub match_expressions: Vec<Requirement>,
}

/// One entry of `matchExpressions`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirement {
    /// Label key.
    pub key: String,
    /// What its value must be.
    pub operator: Operator,
}

/// Operator of a [`Requirement`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operator {
    /// The key is present with one of these values.
    In(BTreeSet<String>),
    /// The key is absent, or has none of these values.
    NotIn(BTreeSet<String>),
    /// The key is present.
    Exists,
    /// The key is absent.
    DoesNotExist,
}

impl LabelSelector {
    /// A selector of `matchLabels` only.
    pub fn labels<K: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        Self {
            match_labels: pairs
                .into_iter()
                .map(|(k, v)| (k.into(), v.into()))
                .collect(),
            match_expressions: Vec::new(),
        }
    }

    /// Whether the selector selects everything.
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }

    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &Labels) -> bool {
        includes(labels, &self.match_labels)
            && self.match_expressions.iter().all(|r| r.matches(labels))
    }

    /// Whether it selects all that another one does, as far as the requirements of the two show.
    pub fn includes(&self, other: &Self) -> bool {
        let mut fixed = other.match_labels.clone();
        for requirement in &other.match_expressions {
            if let Operator::In(values) = &requirement.operator
                && let (Some(value), 1) = (values.first(), values.len())
            {
                fixed.insert(requirement.key.clone(), value.clone());
            }
        }
        let is_asked = |r: &Requirement| {
            other.match_expressions.contains(r) || (fixed.contains_key(&r.key) && r.matches(&fixed))
        };
        includes(&fixed, &self.match_labels) && self.match_expressions.iter().all(is_asked)
    }

    /// The labels that are all it asks for, written as `matchLabels` or as `In` with one value; `None`
    /// when it asks for something else.
    pub fn only_labels(&self) -> Option<Labels> {
        let mut labels = self.match_labels.clone();
        for requirement in &self.match_expressions {
            let Operator::In(values) = &requirement.operator else {
                return None;
            };
            let (Some(value), 1) = (values.first(), values.len()) else {
                return None;
            };
            let known = labels.insert(requirement.key.clone(), value.clone());
            if known.is_some_and(|known| known != *value) {
                return None;
            }
        }
        Some(labels)
    }

    /// Whether no labels satisfy it, whatever they are.
    pub fn is_contradiction(&self) -> bool {
        let keys: BTreeSet<&str> = self.keys().collect();
        keys.into_iter().any(|key| {
            let (about, _) = self.split_at(key);
            // A value that nothing speaks of, for what may be anything else.
            let mut values = about.values();
            values.insert(values.iter().fold("x".to_owned(), |new, v| new + v));
            let labelled = |value: String| Labels::from([(key.to_owned(), value)]);
            let satisfied = values.into_iter().map(labelled).chain([Labels::new()]);
            !satisfied.into_iter().any(|labels| about.matches(&labels))
        })
    }

    /// Every value that it names.
    fn values(&self) -> BTreeSet<String> {
        let of = |r: &Requirement| match &r.operator {
            Operator::In(values) | Operator::NotIn(values) => values.clone(),
            Operator::Exists | Operator::DoesNotExist => BTreeSet::new(),
        };
        let named = self.match_expressions.iter().flat_map(of);
        self.match_labels.values().cloned().chain(named).collect()
    }

    /// What it asks about one key, and the rest.
    pub fn split_at(&self, key: &str) -> (Self, Self) {
        let (mut about, mut rest) = (Self::default(), Self::default());
        for (name, value) in &self.match_labels {
            let part = if name == key { &mut about } else { &mut rest };
            part.match_labels.insert(name.clone(), value.clone());
        }
        for requirement in &self.match_expressions {
            let part = if requirement.key == key {
                &mut about
            } else {
                &mut rest
            };
            part.match_expressions.push(requirement.clone());
        }
        (about, rest)
    }

    /// Every label key that decides whether something is selected.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let labels = self.match_labels.keys();
        labels
            .chain(self.match_expressions.iter().map(|r| &r.key))
            .map(String::as_str)
    }
}

impl Requirement {
    /// Whether an object with these labels satisfies the requirement.
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match &self.operator {
            Operator::In(values) => value.is_some_and(|v| values.contains(v)),
            Operator::NotIn(values) => value.is_none_or(|v| !values.contains(v)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(requirements: &[(&str, Operator)]) -> LabelSelector {
        let requirement = |(key, operator): &(&str, Operator)| Requirement {
            key: (*key).to_owned(),
            operator: operator.clone(),
        };
        LabelSelector {
            match_labels: Labels::new(),
            match_expressions: requirements.iter().map(requirement).collect(),
        }
    }

    #[test]
    fn selectors_that_nothing_satisfies_are_known() {
        let set = |values: &[&str]| values.iter().map(|&v| v.to_owned()).collect();
        let (inside, outside) = (
            |values: &[&str]| Operator::In(set(values)),
            |values: &[&str]| Operator::NotIn(set(values)),
        );
        let contradictions = [
            vec![("a", Operator::Exists), ("a", Operator::DoesNotExist)],
            vec![("a", inside(&["1", "2"])), ("a", outside(&["1", "2"]))],
            vec![
                ("a", inside(&["1"])),
                ("b", Operator::Exists),
                ("a", inside(&["2"])),
            ],
            vec![("a", inside(&[]))],
        ];
        for requirements in contradictions {
            assert!(
                selector(&requirements).is_contradiction(),
                "{requirements:?}"
            );
        }
        let others = [
            vec![],
            vec![("a", Operator::Exists), ("b", Operator::DoesNotExist)],
            vec![("a", inside(&["1", "2"])), ("a", outside(&["1"]))],
            vec![("a", outside(&["x", "1"])), ("a", Operator::Exists)],
            vec![("a", outside(&["1"])), ("a", Operator::DoesNotExist)],
        ];
        for requirements in others {
            assert!(
                !selector(&requirements).is_contradiction(),
                "{requirements:?}"
            );
        }
        let mut both = selector(&[("a", inside(&["2"]))]);
        both.match_labels = Labels::from([("a".to_owned(), "1".to_owned())]);
        assert!(both.is_contradiction());
    }

    #[test]
    fn a_selector_includes_what_asks_for_as_much_and_more() {
        let set = |values: &[&str]| values.iter().map(|&v| v.to_owned()).collect();
        let everything = LabelSelector::default();
        let web = LabelSelector::labels([("app", "web")]);
        let front = LabelSelector::labels([("app", "web"), ("tier", "front")]);
        let one = selector(&[("app", Operator::In(set(&["web"])))]);
        let some = selector(&[("app", Operator::In(set(&["web", "db"])))]);
        let any = selector(&[("app", Operator::Exists)]);
        let other = selector(&[("app", Operator::NotIn(set(&["db"])))]);
        let all = [&everything, &web, &front, &one, &some, &any, &other];
        let included = |by: &LabelSelector| all.map(|selector| u8::from(by.includes(selector)));
        assert_eq!(included(&everything), [1, 1, 1, 1, 1, 1, 1]);
        assert_eq!(included(&web), [0, 1, 1, 1, 0, 0, 0]);
        assert_eq!(included(&front), [0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(included(&one), [0, 1, 1, 1, 0, 0, 0]);
        assert_eq!(included(&some), [0, 1, 1, 1, 1, 0, 0]);
        assert_eq!(included(&any), [0, 1, 1, 1, 0, 1, 0]);
        assert_eq!(included(&other), [0, 1, 1, 1, 0, 0, 1]);
    }

    #[test]
    fn labels_include_some_of_them_and_none() {
        let labels = |pairs: &[(&str, &str)]| -> Labels {
            let pairs = pairs.iter();
            pairs
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect()
        };
        let all = labels(&[("app", "web"), ("tier", "front")]);
        assert!(includes(&all, &all));
        assert!(includes(&all, &labels(&[("app", "web")])));
        assert!(includes(&all, &labels(&[])));
        assert!(!includes(&all, &labels(&[("app", "db")])));
        assert!(!includes(&labels(&[("app", "web")]), &all));
    }
}
