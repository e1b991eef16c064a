use super::*;

/// Names and messages come from manifests; no format may let them act on a terminal.
#[test]
fn no_format_lets_control_characters_through() {
    let hostile = "x\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}\r";
    let mut plan = plan();
    for finding in &mut plan.findings {
        finding.message = hostile.to_owned();
        finding.subject.name = hostile.to_owned();
        finding.origin.file = hostile.into();
        for flow in &mut finding.flows {
            flow.source = hostile.to_owned();
        }
    }
    for namespace in &mut plan.namespaces {
        namespace.name = hostile.to_owned();
        namespace.reason = hostile.to_owned();
        namespace.waypoint = Some(hostile.to_owned());
    }
    let mut prepared = prepared();
    prepared.changes = vec![file(hostile, None, hostile)];
    for refusal in &mut prepared.refusals {
        refusal.reason = hostile.to_owned();
        refusal.companion = Some(hostile.into());
    }
    for snippet in &mut prepared.snippets {
        snippet.file = hostile.into();
        snippet.text = hostile.to_owned();
    }
    let mut report = sample(&plan, &prepared);
    report.outcome = Outcome::Written(vec![hostile.to_owned()]);
    for problem in &mut report.problems {
        problem.message = hostile.to_owned();
        problem.file = hostile.into();
        problem.hint = Some(hostile.to_owned());
    }
    let style = Style {
        color: false,
        terminal: true,
        ..Style::default()
    };
    for format in FORMATS {
        let text = super::report(&report, format, style);
        // YAML is written by the emitter of manifests, which keeps printable characters.
        let reorders = format != Format::Yaml;
        let bad: Vec<char> = text
            .chars()
            .filter(|c| *c != '\n' && (c.is_control() || (*c == '\u{202e}' && reorders)))
            .collect();
        assert!(bad.is_empty(), "{format:?}: {bad:?}\n{text}");
    }
}
