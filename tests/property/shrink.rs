//! Makes a failing cluster smaller: whole groups of objects first, then parts of those that are
//! left. Each step halves what is to be tried next, so that big clusters get small soon.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::generate::{Authorization, Cluster, Request};

/// What is wrong, without the names and numbers of where: what a smaller cluster has to keep, lest
/// it shrinks to another fault.
fn kind(violation: &str) -> String {
    let is_name = |word: &str| word.contains(|c: char| c.is_ascii_digit() || "/[]`".contains(c));
    let words = violation.split_whitespace().filter(|word| !is_name(word));
    words.collect::<Vec<_>>().join(" ")
}

/// The kinds of some violations.
pub(crate) fn kinds(violations: &[String]) -> BTreeSet<String> {
    violations.iter().map(|v| kind(v)).collect()
}

/// The smallest cluster that is found to fail.
pub(crate) fn smallest(mut cluster: Cluster, fails: impl Fn(&Cluster) -> bool) -> Cluster {
    loop {
        let before = cluster.clone();
        drop_objects(&mut cluster, &fails);
        for index in 0..cluster.objects.len() {
            drop_parts(&mut cluster, index, &fails);
        }
        ask_for_less(&mut cluster, &fails);
        if cluster == before {
            return cluster;
        }
    }
}

/// Drops groups of objects, each half as large as the one before.
fn drop_objects(cluster: &mut Cluster, fails: &impl Fn(&Cluster) -> bool) {
    let mut size = cluster.objects.len().div_ceil(2);
    while size > 0 {
        let mut start = 0;
        while start < cluster.objects.len() {
            let end = (start + size).min(cluster.objects.len());
            let mut fewer = cluster.clone();
            fewer.objects.drain(start..end);
            if fails(&fewer) {
                *cluster = fewer;
            } else {
                start = end;
            }
        }
        size /= 2;
    }
}

/// Drops what an object is also valid without.
fn drop_parts(cluster: &mut Cluster, index: usize, fails: &impl Fn(&Cluster) -> bool) {
    let mut next = 0;
    loop {
        let mut parts = Vec::new();
        let object = &cluster.objects[index];
        find_parts(object, &object["kind"], &mut String::new(), &mut parts);
        let Some(part) = parts.get(next) else { return };
        let mut less = cluster.clone();
        remove(&mut less.objects[index], part);
        if fails(&less) {
            *cluster = less;
        } else {
            next += 1;
        }
    }
}

/// Fields that may be left out.
const OPTIONAL: [&str; 13] = [
    "annotations",
    "egress",
    "except",
    "from",
    "ingress",
    "matchExpressions",
    "policyTypes",
    "portLevelMtls",
    "ports",
    "rules",
    "status",
    "to",
    "when",
];

/// The places of all parts that may be left out, outer ones first.
fn find_parts(value: &Value, kind: &Value, place: &mut String, parts: &mut Vec<String>) {
    let length = place.len();
    let mut visit = |key: &str, value: &Value, is_optional: bool| {
        place.push('/');
        place.push_str(&key.replace('~', "~0").replace('/', "~1"));
        if is_optional {
            parts.push(place.clone());
        }
        find_parts(value, kind, place, parts);
        place.truncate(length);
    };
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let is_needed = key == "ports" && kind == "Service";
                visit(key, value, OPTIONAL.contains(&key.as_str()) && !is_needed);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                visit(&index.to_string(), item, items.len() > 1);
            }
        }
        _ => {}
    }
}

fn remove(object: &mut Value, place: &str) {
    let Some((parent, key)) = place.rsplit_once('/') else {
        return;
    };
    match object.pointer_mut(parent) {
        Some(Value::Object(fields)) => {
            fields.shift_remove(&key.replace("~1", "/").replace("~0", "~"));
        }
        Some(Value::Array(items)) => {
            if let Ok(index) = key.parse::<usize>() {
                items.remove(index);
            }
        }
        _ => {}
    }
}

/// Makes the request as plain as it can be.
fn ask_for_less(cluster: &mut Cluster, fails: &impl Fn(&Cluster) -> bool) {
    let simpler: [fn(&mut Request); 4] = [
        |request| request.exclude.clear(),
        |request| request.waypoints.clear(),
        |request| request.authorization = Authorization::Deny,
        |request| request.edit = true,
    ];
    for simplify in simpler {
        let mut less = cluster.clone();
        simplify(&mut less.request);
        if less != *cluster && fails(&less) {
            *cluster = less;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_cluster_shrinks_to_what_makes_it_fail() {
        let peer = |label: &str| json!({ "podSelector": { "matchLabels": { "app": label } } });
        let block = json!({ "ipBlock": { "cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"] } });
        let policy = json!({ "kind": "NetworkPolicy", "spec": {
            "podSelector": {},
            "policyTypes": ["Ingress"],
            "ingress": [
                { "from": [peer("web"), block, peer("db")], "ports": [{ "port": 80 }] },
                { "from": [peer("api")] },
            ],
        }});
        let service = json!({ "kind": "Service", "spec": { "ports": [{ "port": 80 }] } });
        let mut objects = vec![json!({ "kind": "Pod" }); 40];
        objects[13] = policy;
        objects[31] = service;
        let cluster = Cluster {
            objects,
            request: Request {
                exclude: vec!["shop".to_owned()],
                ..Request::default()
            },
            layout: 0,
        };
        let tries = Cell::new(0);
        let has = |cluster: &Cluster, text: &str| {
            let mut objects = cluster.objects.iter();
            objects.any(|object| object.to_string().contains(text))
        };
        let small = smallest(cluster, |cluster| {
            tries.set(tries.get() + 1);
            has(cluster, "10.0.0.0/8") && has(cluster, "Service")
        });
        let Cluster {
            objects, request, ..
        } = small;
        let objects = serde_json::to_string(&objects).unwrap();
        insta::assert_snapshot!(objects, @r#"[{"kind":"NetworkPolicy","spec":{"podSelector":{},"ingress":[{"from":[{"ipBlock":{"cidr":"10.0.0.0/8"}}]}]}},{"kind":"Service","spec":{"ports":[{"port":80}]}}]"#);
        let plain = Request {
            edit: true,
            ..Request::default()
        };
        assert_eq!(request, plain);
        assert!(tries.get() < 60, "{}", tries.get());
    }

    #[test]
    fn violations_of_one_kind_differ_in_names_and_numbers_only() {
        let kinds = kinds(&[
            "bank/w0[Job] => bank/w1[Pod] by tunnel: TCP 80,443 lost and not reported".to_owned(),
            "shop/w2[Job] => bank/w1[Pod] by tunnel: TCP 8080 lost and not reported".to_owned(),
            "shop/w2[Job] => bank/w1[Pod] by tunnel: TCP 8080 gained and not reported".to_owned(),
        ]);
        insta::assert_debug_snapshot!(kinds, @r#"
        {
            "=> by tunnel: TCP gained and not reported",
            "=> by tunnel: TCP lost and not reported",
        }
        "#);
    }
}
