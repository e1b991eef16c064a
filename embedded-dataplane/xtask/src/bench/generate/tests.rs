use std::collections::{BTreeMap, BTreeSet};

use kubectl_ambient::yaml::{Document, split};

use super::*;

fn shape() -> Shape {
    Shape {
        pods: 203,
        namespaces: 4,
        policies: 121,
        distinct: false,
        seed: 7,
    }
}

/// For each kind and policy feature, how often it occurs.
fn census(manifests: &[Manifest]) -> BTreeMap<String, usize> {
    let mut census = BTreeMap::new();
    for chunk in manifests.iter().flat_map(|m| split(&m.text)) {
        let document = Document::parse(chunk).unwrap();
        let object = document.root().unwrap();
        let kind = object.get("kind").unwrap().text().unwrap();
        *census.entry(kind.to_owned()).or_default() += 1;
        let features = [
            "podSelector: {}",
            "egress:",
            "endPort:",
            "port: http",
            "ipBlock:",
            "operator: In",
            "operator: NotIn",
            "operator: Exists",
            "namespaceSelector:",
        ];
        for feature in features.into_iter().filter(|f| chunk.text.contains(f)) {
            *census.entry(feature.to_owned()).or_default() += usize::from(kind != "Pod");
        }
    }
    census
}

#[test]
fn a_cluster_has_the_size_asked_for_and_every_feature() {
    let census = census(&manifests(&shape()));
    insta::assert_debug_snapshot!(census, @r#"
    {
        "Namespace": 4,
        "NetworkPolicy": 121,
        "Pod": 203,
        "egress:": 35,
        "endPort:": 27,
        "ipBlock:": 26,
        "namespaceSelector:": 77,
        "operator: Exists": 37,
        "operator: In": 32,
        "operator: NotIn": 54,
        "podSelector: {}": 11,
        "port: http": 30,
    }
    "#);
}

#[test]
fn the_same_seed_gives_the_same_cluster_and_another_gives_another() {
    let other = Shape { seed: 8, ..shape() };
    assert_eq!(manifests(&shape()), manifests(&shape()));
    assert_ne!(manifests(&shape()), manifests(&other));
}

#[test]
fn distinct_pods_are_each_selected_by_a_set_of_policies_of_their_own() {
    let distinct = Shape {
        distinct: true,
        ..shape()
    };
    let mut selected: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    let mut pods = 0;
    for manifest in manifests(&distinct) {
        for (number, chunk) in split(&manifest.text).into_iter().enumerate() {
            pods += usize::from(chunk.text.contains("kind: Pod\n"));
            let values = chunk.text.split_once("key: id\n");
            let values = values.and_then(|(_, v)| v.split(['[', ']']).nth(1));
            for value in values.into_iter().flat_map(|v| v.split(", ")) {
                selected.entry(value.to_owned()).or_default().insert(number);
            }
        }
    }
    // Pod 0 of each namespace has no bit set.
    assert_eq!((pods, selected.len()), (203, 203 - 4));
    for namespace in 0..4 {
        let own = format!("id-{namespace}-");
        let sets = selected.iter().filter(|(id, _)| id.starts_with(&own));
        let sets: Vec<_> = sets.map(|(_, policies)| policies).collect();
        assert_eq!(sets.iter().collect::<BTreeSet<_>>().len(), sets.len());
    }
}

#[test]
fn addresses_are_unique() {
    let mut seen = BTreeSet::new();
    for manifest in manifests(&shape()) {
        for line in manifest.text.lines().filter(|l| l.contains("- ip: ")) {
            assert!(seen.insert(line.to_owned()), "{line}");
        }
    }
    assert_eq!(seen.len(), 203);
}
