use super::*;
use crate::demo::Check;
use crate::render::demo;

#[test]
fn checks_that_fail_are_told_apart_and_counted() {
    let check = |name, seen: Result<&str, &str>| Check {
        name,
        seen: seen.map(str::to_owned).map_err(str::to_owned),
    };
    let checks = [
        check("one is good", Ok("it is")),
        check("another is not", Err("a reason with\nsomething to escape")),
    ];
    insta::assert_snapshot!(demo::checks(&checks, Style::default()), @r"
    ok     one is good
           it is
    failed another is not
           a reason with\nsomething to escape

    1 of 2 as it should be
    ");
}
