use super::*;

#[test]
fn a_plan_as_sarif() {
    insta::assert_snapshot!("sarif", show(Format::Sarif));
}
