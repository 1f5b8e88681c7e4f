//! The manual of the scenario language against the language.

use pinfold_lab::report::Oracle;
use pinfold_lab::scenario::{Advice, Code, Failure, Path, RESERVED, Spent, Verb, parse};
use std::collections::BTreeSet;
use std::fs;

fn manual() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/scenario-language.md");
    fs::read_to_string(path).expect("the manual of the language")
}

#[test]
fn the_manual_has_every_code_and_every_word() {
    let manual = manual();
    for code in Code::ALL {
        assert!(manual.contains(&format!("| {code} |")), "{code}");
    }
    let verbs = Verb::ALL.iter().map(|word| word.as_str());
    let failures = Failure::ALL.iter().map(|word| word.as_str());
    let advice = Advice::ALL.iter().map(|word| word.as_str());
    let costs = Spent::ALL.iter().map(|word| word.as_str());
    for word in verbs.chain(failures).chain(advice).chain(costs) {
        assert!(manual.contains(&format!("`{word}")), "{word}");
    }
    for path in [Path::FastThenSlow, Path::FastOnly, Path::SlowOnly] {
        let word = path.as_str().unwrap_or_default();
        assert!(manual.contains(&format!("`{word}")), "{path:?}");
    }
}

#[test]
fn the_manual_has_every_reserved_word_and_no_other() {
    let manual = manual();
    let (_, rest) = manual.split_once("cannot be a name, nor can").expect("the sentence");
    let (sentence, _) = rest.split_once(".\n").expect("its end");
    let told: BTreeSet<&str> = sentence.split('`').skip(1).step_by(2).collect();
    assert_eq!(told, BTreeSet::from(RESERVED));
}

#[test]
fn the_manual_has_every_oracle_with_what_it_demands() {
    let manual = manual().to_lowercase();
    for oracle in Oracle::ALL {
        let demand = oracle.doc().trim_end_matches('.').to_lowercase();
        assert!(manual.contains(&format!("| `{oracle}` | {demand} |")), "{oracle}: {demand}");
        assert_eq!(oracle.name().parse(), Ok(*oracle));
    }
}

#[test]
fn the_examples_of_the_manual_are_scenarios() {
    let manual = manual();
    let examples: Vec<&str> = manual
        .split("```")
        .skip(1)
        .step_by(2)
        .filter_map(|block| block.strip_prefix("pinfold\n"))
        .collect();
    assert!(!examples.is_empty());
    for example in examples {
        parse(example).unwrap_or_else(|errors| panic!("{example}\n{errors:#?}"));
    }
}
