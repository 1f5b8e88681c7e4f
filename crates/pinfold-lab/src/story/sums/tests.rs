use pinfold::rules::Rules;

use super::*;
use crate::report::Report;
use crate::scenario::parse;
use crate::shipped::SCENARIOS;
use crate::{Order, Prepared};

const RULES: [&str; 8] = ["3.1", "4.4", "4.5", "5.8", "5.16", "5.18", "latest", "pinfold"];

#[test]
fn pages_in_a_row_are_told_by_the_first_and_the_last() {
    let told =
        |names: &[&str]| listed(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    assert_eq!(told(&["P:A"]), "P:A");
    assert_eq!(told(&["P:A[0]", "P:A[1]"]), "P:A[0], P:A[1]");
    assert_eq!(told(&["P:A[0]", "P:A[1]", "P:A[2]"]), "P:A[0] to P:A[2]");
    let two = ["P:A[0]", "P:A[1]", "P:A[2]", "C:A[3]", "C:A[5]", "h0"];
    assert_eq!(told(&two), "P:A[0] to P:A[2], C:A[3], C:A[5], h0");
}

/// The number that a part of a sum stands for.
fn number(part: &str) -> u32 {
    if let Some((part, less)) = part.split_once(" - ") {
        return number(part) - number(less);
    }
    let first = part.split(' ').next().expect("a part has words");
    let Ok(many) = first.parse::<u32>() else {
        assert_eq!(part, "the swap cache");
        return 1;
    };
    let counts = part.split_once(" counts ").map(|(_, each)| each.trim_end_matches(','));
    many * counts.map_or(1, |each| each.parse().expect("a number"))
}

/// The sums of a text, each with its number; how many there are.
fn adds_up(text: &str) -> usize {
    let sums = text.split("; ").filter_map(|clause| clause.split_once(" = "));
    let each = sums.map(|(value, parts)| {
        let value: u32 = value.rsplit(' ').next().and_then(|one| one.parse().ok()).expect(text);
        assert_eq!(parts.split(" + ").map(number).sum::<u32>(), value, "{text}");
    });
    each.count()
}

/// INV-SUM-1, and more: where no step is interrupted all is known by name.
#[test]
fn where_nothing_runs_beside_a_step_every_reference_is_accounted_for() {
    let (mut told, mut wrong) = (0, Vec::new());
    for rules in RULES {
        let set = Rules::parse(rules).expect("there are such rules");
        for shipped in SCENARIOS {
            let scenario = parse(shipped.text).expect("it is right");
            let Ok(prepared) = Prepared::new(&scenario, shipped.name, &set) else { continue };
            let Report { explained, trace, .. } = prepared.run(Order::AsWritten);
            let rows = trace.map(|trace| trace.rows).unwrap_or_default();
            for (row, sum) in rows.iter().zip(explained.iter().map(|row| row.sum.as_ref())) {
                let Some(sum) = sum else { continue };
                told += adds_up(sum);
                let vague = ["by steps under way", "of nobody told here"];
                if vague.iter().any(|words| sum.contains(words)) {
                    wrong.push(format!("{} under {rules}: {}: {sum}", shipped.name, row.text));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(told > 300, "{told} sums");
}
