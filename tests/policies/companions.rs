//! Objects beside policies that cannot be edited.

use std::fmt::Write as _;

use kubectl_ambient::migrate::{self, Strategy};
use kubectl_ambient::plan::{ChangeAction, Plan};
use kubectl_ambient::sink::{self, Input, InputKind};
use kubectl_ambient::yaml::Format;
use kubectl_ambient::yamledit;

use super::{Case, cases, connections, options, world};

/// A policy whose file cannot be edited gets an object beside it. What is proved is proved of the
/// edit, so the object has to allow just the same.
#[test]
fn an_object_beside_a_policy_allows_what_its_edit_does() {
    let mut failures = String::new();
    for case in cases() {
        let mut options = options(&case.options);
        options.strategy = Strategy::Edit;
        let mut plan = migrate::plan(&world(&case.manifests), &options);
        let mut beside = case.manifests.clone();
        for step in &mut plan.steps {
            step.changes.retain(|change| match &change.action {
                ChangeAction::Edit { companion, .. } => {
                    let bodies = companion.iter().map(|body| yamledit::emit(&body.value()));
                    beside.extend(bodies.flat_map(|body| ["\n---\n".to_owned(), body]));
                    companion.is_some()
                }
                ChangeAction::Create { .. } | ChangeAction::Replace { .. } => false,
            });
        }
        let (edited, beside) = (connections(&edited(&case, &plan)), connections(&beside));
        if edited != beside {
            writeln!(failures, "{}\n{edited}\nbut\n{beside}", case.name).unwrap();
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

/// The manifests of a case with the changes of a plan, which are edits.
fn edited(case: &Case, plan: &Plan) -> String {
    let input = Input {
        name: "case.yaml".into(),
        path: None,
        link_to: None,
        text: case.manifests.as_str().into(),
        format: Format::Yaml,
        kind: InputKind::Text,
    };
    let prepared = sink::prepare(plan, &[input]);
    assert!(prepared.refusals.is_empty(), "{:?}", prepared.refusals);
    let after = prepared.changes.first().map(|c| c.after.to_string());
    after.unwrap_or_else(|| case.manifests.clone())
}
