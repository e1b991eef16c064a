//! Any text is read, or refused with a problem: as YAML, as JSON, alone and twice over.

use kubectl_ambient::source::load_texts;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let once = load_texts([("a.yaml", text), ("b.json", text)], "default");
    let again = load_texts([("a.yaml", text), ("b.json", text)], "default");
    assert_eq!(once.problems, again.problems, "reading is deterministic");
    for problem in &once.problems {
        assert!(!problem.message.is_empty());
        // A lone carriage return ends a line too.
        let lines = text.matches(['\n', '\r']).count() + 1;
        assert!(
            problem.line as usize <= lines,
            "line {} of {lines}",
            problem.line
        );
    }
}
