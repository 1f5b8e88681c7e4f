use super::*;

#[test]
fn every_built_in_scenario_is_one() {
    for Shipped { name, .. } in SCENARIOS {
        let loaded = load(Path::new(name), Style::Plain).unwrap();
        assert_eq!(loaded.scenario.name.as_str(), *name);
        assert_eq!(argument(name, &loaded.path), *name);
    }
}

#[test]
fn a_missing_scenario_names_the_nearest() {
    for asked in ["bug-215166", "scenaros/bug-215166.pf"] {
        match find(Path::new(asked)) {
            Err(Failure::NoScenario { nearest: Some(nearest), .. }) => {
                assert_eq!(nearest, "bug-215616");
            }
            other => panic!("{other:?}"),
        }
    }
    let Err(Failure::NoScenario { nearest, .. }) = find(Path::new("something-else-entirely"))
    else {
        panic!()
    };
    assert_eq!(nearest, None);
}

#[test]
fn arguments_survive_a_shell() {
    assert_eq!(argument("a", "scenarios/a.pf"), "a");
    assert_eq!(argument("a", "elsewhere/a.pf"), "elsewhere/a.pf");
    assert_eq!(argument("a", "my files/it's.pf"), r"'my files/it'\''s.pf'");
}
