//! The fewest labels of pods and namespaces that selectors ask for.

use crate::model::{LabelSelector, Labels, Operator, Requirement};

/// How labels are told: `key=value`, with commas between.
pub(crate) fn shown(labels: &Labels) -> String {
    let shown: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    shown.join(",")
}

/// Labels that satisfy a selector, unless it contradicts itself.
pub(crate) fn satisfying(selector: &LabelSelector) -> Labels {
    asked_by(&[selector])
}

/// Labels that satisfy two selectors; `None` when they contradict each other.
pub(crate) fn satisfying_both(one: &LabelSelector, other: &LabelSelector) -> Option<Labels> {
    let labels = asked_by(&[one, other]);
    (one.matches(&labels) && other.matches(&labels)).then_some(labels)
}

/// A value for each key that has to be there, of those that a requirement lists the first that the
/// others accept.
fn asked_by(selectors: &[&LabelSelector]) -> Labels {
    let mut labels = Labels::new();
    for (key, value) in selectors.iter().flat_map(|s| &s.match_labels) {
        labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    let requirements = || selectors.iter().flat_map(|s| &s.match_expressions);
    for requirement in requirements() {
        let Requirement { key, operator } = requirement;
        let Operator::In(values) = operator else {
            continue;
        };
        let is_accepted = |value: &&String| {
            let with = Labels::from([(key.clone(), (*value).clone())]);
            let mut others = requirements().filter(|r| r.key == *key);
            others.all(|r| r.matches(&with))
        };
        let value = values.iter().find(is_accepted).or(values.first());
        if let Some(value) = value {
            labels.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    for requirement in requirements().filter(|r| r.operator == Operator::Exists) {
        labels.entry(requirement.key.clone()).or_default();
    }
    labels
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn requirement(key: &str, operator: Operator) -> Requirement {
        Requirement {
            key: key.to_owned(),
            operator,
        }
    }

    fn values(values: &[&str]) -> BTreeSet<String> {
        values.iter().map(|&v| v.to_owned()).collect()
    }

    #[test]
    fn labels_are_made_to_satisfy_a_selector() {
        let mut selector = LabelSelector::labels([("app", "web")]);
        selector.match_expressions = vec![
            requirement("tier", Operator::In(values(&["b", "a"]))),
            requirement("team", Operator::Exists),
            requirement("old", Operator::DoesNotExist),
            requirement("app", Operator::NotIn(values(&["db"]))),
        ];
        let labels = satisfying(&selector);
        assert!(selector.matches(&labels), "{labels:?}");
        assert_eq!(labels.keys().collect::<Vec<_>>(), ["app", "team", "tier"]);
    }

    #[test]
    fn labels_are_made_to_satisfy_two_selectors_that_do_not_contradict_each_other() {
        let one = LabelSelector {
            match_labels: Labels::from([("app".to_owned(), "web".to_owned())]),
            match_expressions: vec![requirement("tier", Operator::In(values(&["a", "b"])))],
        };
        let mut other = LabelSelector::labels([("track", "canary")]);
        other.match_expressions = vec![
            requirement("tier", Operator::Exists),
            requirement("tier", Operator::NotIn(values(&["a"]))),
        ];
        let labels = satisfying_both(&one, &other).unwrap();
        assert_eq!(shown(&labels), "app=web,tier=b,track=canary");

        let opposed = LabelSelector::labels([("app", "db")]);
        assert_eq!(satisfying_both(&one, &opposed), None);
        let absent = LabelSelector {
            match_expressions: vec![requirement("app", Operator::DoesNotExist)],
            ..LabelSelector::default()
        };
        assert_eq!(satisfying_both(&one, &absent), None);
    }
}
