//! The README shows what the program prints.

use std::path::Path;

use crate::harness::Ambient;

#[test]
fn the_plan_in_the_readme_is_the_one_that_is_printed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let (_, shown) = readme.split_once("The first prints this").unwrap();
    let (_, shown) = shown.split("```").nth(1).unwrap().split_once('\n').unwrap();
    let run = Ambient::new()
        .copied("testdata/shop", &root.join("testdata/shop"))
        .args(["migrate", "-f", "testdata/shop", "--diff"])
        .run();
    let mut rest = run.stdout.as_str();
    for piece in shown.split("[…]") {
        let piece = piece.trim_matches('\n');
        let place = rest.find(piece);
        assert!(
            place.is_some(),
            "not printed, or not here:\n{piece}\n\nbut:\n{rest}"
        );
        rest = &rest[place.unwrap() + piece.len()..];
    }
    assert_eq!(run.code, 0);
}
