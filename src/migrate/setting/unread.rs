//! What the input holds and is not part of the plan: templates, and objects that become others.

use crate::finding::{Finding, codes};
use crate::model::{ObjectRef, Origin, Rebuilt, Reworked, Unlisted, World, shell_word};
use crate::plan::{Comparison, Relation, Verdict};

/// Templates may hold anything, so that nothing is certain beside them.
pub(crate) fn templates(
    world: &World,
    differences: &mut Vec<Comparison>,
    findings: &mut Vec<Finding>,
) {
    let subject = |origin: &Origin| ObjectRef::cluster("Template", &*origin.file);
    findings.extend(world.templates.iter().map(|origin| {
        let message = "policies and workloads that it makes are not part of the plan".to_owned();
        Finding::new(&codes::TEMPLATE, subject(origin), origin.clone(), message)
    }));
    if let Some(first) = world.templates.first() {
        let because = match world.templates.len() {
            1 => format!("`{}` is a template of Helm and was not read", first.file),
            n => format!(
                "`{}` and {} more are templates of Helm and were not read",
                first.file,
                n - 1
            ),
        };
        differences.push(unknown(Relation::Tunnel, &subject(first), because));
        differences.sort();
    }
}

/// Objects that kustomize moves or renames are not the ones that the plan is about: it changes no
/// names inside the policies that are added.
pub(crate) fn rebuilt(
    world: &World,
    differences: &mut Vec<Comparison>,
    findings: &mut Vec<Finding>,
) {
    for build in &world.rebuilt {
        let what = match (&build.namespace, build.renames) {
            (Some(namespace), false) => format!("into namespace `{namespace}`"),
            (Some(namespace), true) => format!("into namespace `{namespace}`, under other names"),
            (None, true) => "under other names".to_owned(),
            (None, false) => {
                findings.push(namespace_left_open(build));
                continue;
            }
        };
        let files = match build.files.as_slice() {
            [one] => format!("`{one}`"),
            [first, others @ ..] => format!("`{first}` and {} more", others.len()),
            [] => continue,
        };
        let subject = ObjectRef::cluster("Kustomization", &build.folder);
        let because = format!("`{subject}` puts the objects of {files} {what}");
        let message = format!(
            "puts the objects of {files} {what}, and not the names that the plan writes into \
             policies"
        );
        let origin = build.origin.clone();
        let mut finding = Finding::new(&codes::REBUILT, subject.clone(), origin, message);
        finding.fixes = vec![format!(
            "kubectl ambient migrate -k {} --output-dir DIR",
            shell_word(&build.folder)
        )];
        findings.push(finding);
        differences.push(unknown(Relation::Tunnel, &subject, because));
    }
    differences.sort();
}

/// What a kustomization changes is compared as it was before.
pub(crate) fn reworked(
    world: &World,
    differences: &mut Vec<Comparison>,
    findings: &mut Vec<Finding>,
) {
    for Reworked {
        folder,
        origin,
        field,
        objects,
    } in &world.reworked
    {
        let objects = match objects.as_slice() {
            [one] => format!("`{one}`"),
            [first, others @ ..] => format!("`{first}` and {} more", others.len()),
            [] => continue,
        };
        let subject = ObjectRef::cluster("Kustomization", folder);
        let because = format!("`{field}` of `{subject}` changes {objects}");
        let message = format!("`{field}` changes {objects}, and the plan is about the files");
        let mut finding = Finding::new(&codes::REWORKED, subject.clone(), origin.clone(), message);
        finding.fixes = vec![format!(
            "kubectl ambient migrate -k {} --output-dir DIR",
            shell_word(folder)
        )];
        findings.push(finding);
        differences.push(unknown(Relation::Tunnel, &subject, because));
    }
    differences.sort();
}

/// What no build takes in is not applied.
pub(crate) fn unlisted(
    world: &World,
    differences: &mut Vec<Comparison>,
    findings: &mut Vec<Finding>,
) {
    for Unlisted {
        folder,
        origin,
        file,
        entry,
        objects,
    } in &world.unlisted
    {
        let subject = ObjectRef::cluster("Kustomization", folder);
        let because = format!("`{subject}` does not take `{file}`");
        let policies = if *objects == 1 { "policy" } else { "policies" };
        let message = format!(
            "does not list `{entry}`, so a build leaves out {objects} {policies} of this program"
        );
        let mut finding = Finding::new(&codes::UNLISTED, subject.clone(), origin.clone(), message);
        finding.fixes = vec![format!(
            "add `- {entry}` under `resources` in `{}`",
            origin.file
        )];
        findings.push(finding);
        differences.push(unknown(Relation::Tunnel, &subject, because));
    }
    differences.sort();
}

/// Nobody says where objects go that were read in the default namespace.
fn namespace_left_open(build: &Rebuilt) -> Finding {
    let first = build.files.first().map_or("", |file| &**file);
    let message = format!("neither it nor `{first}` names a namespace, so `default` was assumed");
    let subject = ObjectRef::cluster("Kustomization", &build.folder);
    let (code, origin) = (&codes::NAMESPACE_LEFT_OPEN, build.origin.clone());
    Finding::new(code, subject, origin, message)
}

/// Everything about an object's namespace, or the cluster, as a comparison that came to nothing.
pub(crate) fn unknown(relation: Relation, object: &ObjectRef, because: String) -> Comparison {
    let pods = match &object.namespace {
        Some(namespace) => format!("{namespace}/(any pod)"),
        None => "(any pod)".to_owned(),
    };
    Comparison {
        source: "(any)".to_owned(),
        destination: pods,
        relation,
        verdict: Verdict::Unknown,
        before: "unknown".to_owned(),
        after: "unknown".to_owned(),
        difference: "unknown".to_owned(),
        example: String::new(),
        because,
        policies: [object.clone()].into(),
    }
}
