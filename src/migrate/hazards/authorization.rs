//! AuthorizationPolicies with a selector, as ztunnel enforces them: what their rules lose.
//!
//! The rules of conversion are istiod's (`pilot/pkg/serviceregistry/ambient/authorization.go`,
//! `handleRule`) and ztunnel's (`src/rbac.rs`: an entry without any condition matches nothing).

use super::identity::{has_layer4_operation, has_layer4_source, has_layer7, is_layer4_key};
use super::target::{copy_to_waypoint, covers, is_copied};
use super::{Context, about, at_line, list, workloads};
use crate::finding::{Code, Finding, codes};
use crate::model::{Action, AuthorizationPolicy, AuthorizationRule, Workload};

pub(super) fn find(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for policy in &context.world.authorization_policies {
        if !policy.targets.is_empty() {
            continue;
        }
        let selected = context.selected(&policy.meta, &policy.selector);
        if !selected.is_empty() {
            selector_policy(context, policy, &selected, findings);
        }
    }
}

fn selector_policy(
    context: &Context<'_>,
    policy: &AuthorizationPolicy,
    selected: &[&Workload],
    findings: &mut Vec<Finding>,
) {
    let whole = |code, predicate| {
        about(
            code,
            policy.reference(),
            policy.meta.origin.clone(),
            predicate,
        )
    };
    if policy.selects_nothing {
        let message = format!(
            "has an empty `spec.selector`, with which it holds for no pod in ambient mode; at {} \
             nothing enforces it",
            workloads(selected)
        );
        findings.push(whole(&codes::EMPTY_SELECTOR, message));
        return;
    }
    if policy.is_dry_run() {
        let message = format!("is in dry run and applies to {}", workloads(selected));
        findings.push(whole(&codes::DRY_RUN_POLICY, message));
        return;
    }
    match policy.action {
        Action::Audit => {
            let message = format!("audits requests to {}", workloads(selected));
            findings.push(whole(&codes::AUDIT_HAS_NO_EFFECT, message));
        }
        Action::Custom if is_asked_by_waypoint(context, selected) => {}
        Action::Custom => {
            let message = format!(
                "asks an external authorizer about requests to {}; from the moment of enrolment \
                 these requests are ALLOWED without asking",
                workloads(selected)
            );
            let mut finding = whole(&codes::EXTERNAL_AUTHORIZER_SKIPPED, message);
            finding.fixes = vec![copy_to_waypoint(context, policy, selected)];
            findings.push(finding);
        }
        Action::Allow | Action::Deny => {
            for (index, rule) in policy.rules.iter().enumerate() {
                if is_copied(context, policy, rule, selected) {
                    continue;
                }
                let mut found = match policy.action {
                    Action::Allow => allow_rule(policy, index, rule, selected),
                    _ => deny_rule(index, rule, selected),
                };
                found.extend(trust_domains(policy.action, index, rule));
                for (code, message) in found {
                    let origin = at_line(&policy.meta.origin, rule.line);
                    let mut finding = about(code, policy.reference(), origin, message);
                    if *code != codes::TRUST_DOMAIN_IGNORED {
                        finding.fixes = vec![copy_to_waypoint(context, policy, selected)];
                    }
                    if *code == codes::ALLOW_LOSES_RULES {
                        finding.fixes.push(
                            "let the policy with the selector allow the waypoint's service account \
                             under `principals` instead"
                                .to_owned(),
                        );
                    }
                    findings.push(finding);
                }
            }
        }
    }
}

/// Whether waypoints ask an external authorizer for every Service of the workloads.
fn is_asked_by_waypoint(context: &Context<'_>, selected: &[&Workload]) -> bool {
    let policies = context.world.authorization_policies.iter();
    let custom = policies.filter(|p| p.action == Action::Custom && !p.is_dry_run());
    covers(
        context,
        custom.map(|p| (&p.meta, p.targets.as_slice())),
        selected,
    )
}

type Found = Vec<(&'static Code, String)>;

fn allow_rule(
    policy: &AuthorizationPolicy,
    index: usize,
    rule: &AuthorizationRule,
    selected: &[&Workload],
) -> Found {
    if !has_layer7(rule) {
        return Found::new();
    }
    let rest = match policy.rules.iter().filter(|r| !has_layer7(r)).count() {
        0 => "the policy has no other rule, so every connection to them is refused".to_owned(),
        1 => "1 other rule of the policy still allows something".to_owned(),
        kept => format!("{kept} other rules of the policy still allow something"),
    };
    let fields = clauses(rule).into_iter().flat_map(|c| c.entries);
    let message = format!(
        "stops allowing in `spec.rules[{index}]`: it uses {}, so ztunnel drops the whole rule for \
         {}; {rest}",
        list(fields.flat_map(|e| e.layer7)),
        workloads(selected)
    );
    vec![(&codes::ALLOW_LOSES_RULES, message)]
}

fn deny_rule(index: usize, rule: &AuthorizationRule, selected: &[&Workload]) -> Found {
    let clauses = clauses(rule);
    let at = format!("spec.rules[{index}]");
    let dead = clauses
        .iter()
        .find(|c| c.entries.iter().all(|e| !e.layer4) && c.has_layer7());
    if let Some(clause) = dead {
        let message = format!(
            "stops denying in `{at}`: its `{}` says nothing but {}, which ztunnel drops, and what is \
             left matches nothing; from that moment the requests to {} that the rule denies are \
             ALLOWED",
            clause.name,
            list(clause.entries.iter().flat_map(|e| &e.layer7)),
            workloads(selected)
        );
        return vec![(&codes::DENY_HAS_NO_EFFECT, message)];
    }
    let mut found = Found::new();
    let entries = || clauses.iter().flat_map(|c| &c.entries);
    for entry in entries().filter(|e| !e.layer4 && !e.layer7.is_empty()) {
        let message = format!(
            "stops denying in `{at}.{}`: it says nothing but {}, which ztunnel drops, and what is \
             left matches nothing; from that moment the requests to {} that it denies are ALLOWED",
            entry.path,
            list(&entry.layer7),
            workloads(selected)
        );
        found.push((&codes::DENY_HAS_NO_EFFECT, message));
    }
    let mut mixed = entries()
        .filter(|e| e.layer4 && !e.layer7.is_empty())
        .peekable();
    if mixed.peek().is_some() {
        let message = format!(
            "denies more in `{at}`: ztunnel drops {} and refuses every connection to {} that the rest \
             of the rule matches",
            list(mixed.flat_map(|e| &e.layer7)),
            workloads(selected)
        );
        found.push((&codes::DENY_GETS_BROADER, message));
    }
    found
}

fn trust_domains(action: Action, index: usize, rule: &AuthorizationRule) -> Found {
    let mut found = Found::new();
    for (entry, source) in rule.from.iter().enumerate() {
        if source.ignored.is_empty() {
            continue;
        }
        let consequence = match (action, has_layer4_source(source)) {
            (Action::Allow, true) => "the rule also allows sources of every other trust domain",
            (Action::Allow, false) => "nothing is left that could match, so it allows nothing",
            (_, true) => "the rule also denies sources of every other trust domain",
            (_, false) => "nothing is left that could match, so it denies nothing",
        };
        let fields = source.ignored.iter();
        let message = format!(
            "limits trust domains with {}, which ztunnel ignores: {consequence}",
            list(fields.map(|f| format!("spec.rules[{index}].from[{entry}].source.{f}")))
        );
        found.push((&codes::TRUST_DOMAIN_IGNORED, message));
    }
    found
}

/// One of `from`, `to`, or a single condition of `when`: any of its entries has to match.
struct Clause {
    name: String,
    entries: Vec<Entry>,
}

/// One entry as ztunnel gets it.
struct Entry {
    /// Where it is in the rule, for example `to[0]`.
    path: String,
    /// The fields of HTTP that it loses, with their place in the rule.
    layer7: Vec<String>,
    /// Whether any condition is left.
    layer4: bool,
}

impl Clause {
    fn has_layer7(&self) -> bool {
        self.entries.iter().any(|e| !e.layer7.is_empty())
    }
}

/// The clauses that a rule has; all of them have to match.
fn clauses(rule: &AuthorizationRule) -> Vec<Clause> {
    let sources = rule.from.iter().enumerate().map(|(i, source)| Entry {
        path: format!("from[{i}]"),
        layer7: places(&source.layer7, &format!("from[{i}].source")),
        layer4: has_layer4_source(source),
    });
    let operations = rule.to.iter().enumerate().map(|(i, operation)| Entry {
        path: format!("to[{i}]"),
        layer7: places(&operation.layer7, &format!("to[{i}].operation")),
        layer4: has_layer4_operation(operation),
    });
    let conditions = rule.when.iter().enumerate().map(|(i, condition)| {
        let layer4 = is_layer4_key(&condition.key);
        let path = format!("when[{i}]");
        let lost = (!layer4).then(|| format!("{path}.key: {}", condition.key));
        Clause {
            name: path.clone(),
            entries: vec![Entry {
                path,
                layer7: lost.into_iter().collect(),
                layer4,
            }],
        }
    });
    let named = |name: &str, entries: Vec<Entry>| Clause {
        name: name.to_owned(),
        entries,
    };
    [
        named("from", sources.collect()),
        named("to", operations.collect()),
    ]
    .into_iter()
    .filter(|c| !c.entries.is_empty())
    .chain(conditions)
    .collect()
}

fn places(fields: &[String], prefix: &str) -> Vec<String> {
    fields.iter().map(|f| format!("{prefix}.{f}")).collect()
}

#[cfg(test)]
mod tests;
