//! Constants, sizes and offsets against what the C compiler says of scout.h (SCOUT_LAYOUT, the output
//! of the program that `generate.py --c` writes).
use std::collections::BTreeMap;

#[test]
fn layout_is_that_of_the_header() {
    let path = std::env::var("SCOUT_LAYOUT").expect("SCOUT_LAYOUT names the C compiler's layout");
    let text = std::fs::read_to_string(path).unwrap();
    let wanted: BTreeMap<&str, i64> = text
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, value)| (name, value.parse().unwrap()))
        .collect();
    let ours: BTreeMap<&str, i64> = scout_sys::layout().into_iter().collect();
    assert!(wanted.len() > 100, "only {} facts", wanted.len());
    assert_eq!(ours, wanted);
}
