//! What is wrong with the input, as compilers show it.

use std::fmt::Write as _;

use crate::model::{Excerpt, Note, Problem};

use super::text::{Count, Role, Style, escape, escape_line};

/// A line of the input is shown this wide at most, in characters.
const EXCERPT_WIDTH: usize = 100;
/// Notes beyond this many are counted, not shown.
const NOTES_SHOWN: usize = 10;

/// Problems of one file beyond this many are counted, not shown.
const PROBLEMS_SHOWN: usize = 20;

/// The first problems of each file, one after the other, each with its place and the line in
/// question.
pub fn problems(problems: &[Problem], style: Style) -> String {
    let mut text = String::new();
    for of_file in problems.chunk_by(|a, b| a.file == b.file) {
        let (shown, hidden) = of_file.split_at(of_file.len().min(PROBLEMS_SHOWN));
        for problem in shown {
            if !text.is_empty() {
                text.push('\n');
            }
            show(problem, style, &mut text);
        }
        if let Some(first) = hidden.first() {
            let label = style.paint(Role::Error, "error");
            let more = Count(hidden.len(), "more problem");
            let file = file_of(first);
            _ = writeln!(
                text,
                "\n{label}: {more} in {file}; `-o json` lists all of them"
            );
        }
    }
    text
}

fn show(problem: &Problem, style: Style, text: &mut String) {
    let label = style.paint(Role::Error, "error");
    _ = writeln!(text, "{label}: {}", escape(&problem.message));
    _ = write!(text, "  --> {}", place(problem));
    if let Some(object) = &problem.object {
        _ = write!(text, " ({})", escape(&object.to_string()));
    }
    text.push('\n');
    if let Some(excerpt) = &problem.excerpt {
        text.push_str(&quote(excerpt, problem.line, problem.column, style));
    }
    if let Some(hint) = &problem.hint {
        let label = style.paint(Role::Information, "hint");
        _ = writeln!(text, "{label}: {}", escape(hint));
    }
}

/// The first notes, a line each.
pub fn notes(notes: &[Note], style: Style) -> String {
    let mut text = String::new();
    let label = style.paint(Role::Information, "note");
    for note in notes.iter().take(NOTES_SHOWN) {
        let file = escape(&note.file);
        let message = escape(&note.message);
        _ = match note.line {
            0 => writeln!(text, "{label}: {file}: {message}"),
            line => writeln!(text, "{label}: {file}:{line}: {message}"),
        };
    }
    let hidden = notes.len().saturating_sub(NOTES_SHOWN);
    if hidden > 0 {
        let more = Count(hidden, "more note");
        _ = writeln!(text, "{label}: {more}; `-o json` lists all of them");
    }
    text
}

/// `file:line:column`, as far as they are known.
pub(super) fn place(problem: &Problem) -> String {
    let file = file_of(problem);
    match (problem.line, problem.column) {
        (0, _) => file,
        (line, 0) => format!("{file}:{line}"),
        (line, column) => format!("{file}:{line}:{column}"),
    }
}

fn file_of(problem: &Problem) -> String {
    match &*problem.file {
        "-" => "standard input".to_owned(),
        file => escape(file).into_owned(),
    }
}

/// The line with a caret below the column.
fn quote(excerpt: &Excerpt, number: u32, column: u32, style: Style) -> String {
    let gutter = " ".repeat(number.to_string().len());
    let excerpt = excerpt.within(EXCERPT_WIDTH, column);
    let line = excerpt.to_string();
    let mut text = format!("{gutter} |\n{number} | {}\n", escape_line(&line));
    if let Some(before) = usize::try_from(column).ok().and_then(|c| c.checked_sub(1)) {
        // What is left out is shown as one character.
        let left_out = usize::from(excerpt.skipped > 0);
        let before = before.saturating_sub(excerpt.skipped) + left_out;
        let prefix: String = line.chars().take(before).collect();
        // Tabs stay tabs, so that the caret stands below its character whatever a tab's width.
        let indent: String = escape_line(&prefix)
            .chars()
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let caret = style.paint(Role::Error, "^");
        _ = writeln!(text, "{gutter} | {indent}{caret}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ObjectRef;

    fn problem(line: u32, column: u32, excerpt: &str) -> Problem {
        Problem {
            file: "k8s/web.yaml".into(),
            line,
            column,
            object: None,
            message: "mapping values are not allowed here".to_owned(),
            excerpt: Some(Excerpt::of(excerpt, column)),
            hint: None,
        }
    }

    #[test]
    fn a_problem_points_at_its_character() {
        let mut first = problem(12, 9, "\tname: x: y\n");
        first.object = Some(ObjectRef::namespaced("shop", "NetworkPolicy", "web"));
        first.hint = Some("quote the value".to_owned());
        let second = Problem {
            file: "-".into(),
            excerpt: None,
            ..problem(0, 0, "")
        };
        insta::assert_snapshot!(problems(&[first, second], Style::default()), @"
        error: mapping values are not allowed here
          --> k8s/web.yaml:12:9 (shop/networkpolicy/web)
           |
        12 | 	name: x: y
           | 	       ^
        hint: quote the value

        error: mapping values are not allowed here
          --> standard input
        ");
    }

    #[test]
    fn a_long_line_is_cut_around_the_column() {
        let line = format!("{}\u{1b}!{}", "a".repeat(400), "b".repeat(400));
        insta::assert_snapshot!(problems(&[problem(1, 402, &line)], Style::default()), @r"
        error: mapping values are not allowed here
          --> k8s/web.yaml:1:402
          |
        1 | …aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\u{1b}!bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb…
          |                                                         ^
        ");
    }

    #[test]
    fn many_problems_of_one_file_are_counted() {
        let mut all: Vec<Problem> = (1..=22).map(|line| problem(line, 0, "")).collect();
        all.push(Problem {
            file: "other.yaml".into(),
            ..problem(1, 0, "")
        });
        let text = problems(&all, Style::default());
        let shown = text.lines().filter(|line| line.starts_with("  --> "));
        assert_eq!(shown.count(), 21, "{text}");
        let tail = text.split("\n\n").skip(20);
        insta::assert_snapshot!(tail.collect::<Vec<_>>().join("\n\n"), @"
        error: 2 more problems in k8s/web.yaml; `-o json` lists all of them

        error: mapping values are not allowed here
          --> other.yaml:1
          |
        1 |
        ");
    }

    #[test]
    fn many_notes_are_counted() {
        let all: Vec<Note> = (0..12)
            .map(|line| Note {
                file: "chart/templates/web.yaml".into(),
                line,
                message: "left alone: a Helm template".to_owned(),
            })
            .collect();
        insta::assert_snapshot!(notes(&all, Style::default()), @"
        note: chart/templates/web.yaml: left alone: a Helm template
        note: chart/templates/web.yaml:1: left alone: a Helm template
        note: chart/templates/web.yaml:2: left alone: a Helm template
        note: chart/templates/web.yaml:3: left alone: a Helm template
        note: chart/templates/web.yaml:4: left alone: a Helm template
        note: chart/templates/web.yaml:5: left alone: a Helm template
        note: chart/templates/web.yaml:6: left alone: a Helm template
        note: chart/templates/web.yaml:7: left alone: a Helm template
        note: chart/templates/web.yaml:8: left alone: a Helm template
        note: chart/templates/web.yaml:9: left alone: a Helm template
        note: 2 more notes; `-o json` lists all of them
        ");
    }
}
