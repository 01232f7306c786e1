use tenet_mapper::rules::Coverage;

use super::*;

#[test]
fn the_table_knows_every_field_of_the_fixture() {
    let table = table::table();
    for path in include_str!("../../tests/fixtures/pod-paths-1.37.txt").lines() {
        assert_eq!(table.coverage(path), Coverage::Ruled, "{path}");
    }
}
