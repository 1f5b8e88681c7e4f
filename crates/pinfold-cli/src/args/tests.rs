use super::*;
use crate::failure::Failure;

/// Words of which command lines are made: right ones, wrong ones, and right ones in wrong places.
const WORDS: [&str; 46] = [
    "run",
    "check",
    "merge",
    "replay",
    "matrix",
    "when",
    "cure",
    "rules",
    "fmt",
    "rdma-fork",
    "a.pf",
    "-",
    "--",
    "--rules",
    "5.9,numa-skip=never",
    "all",
    "--format",
    "json",
    "--format=json",
    "--jobs",
    "0",
    "1024",
    "65536",
    "--shard",
    "1/2",
    "9/2",
    "--out",
    "--checkpoint",
    "--resume",
    "--time",
    "1e400",
    "0.5",
    "NaN",
    "-1",
    "--pct",
    "4294967295",
    "4294967296",
    "--runs",
    "--random",
    "--seed",
    "--max-steps",
    "--max-executions",
    "18446744073709551615",
    "--model",
    "weak",
    "",
];

/// The words of the command line with this number; the same everywhere.
fn line(number: u64) -> Vec<&'static str> {
    let mut state = number;
    let mut roll = |sides: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % sides
    };
    let length = 1 + roll(9);
    ["pinfold"].into_iter().chain((0..length).map(|_| WORDS[roll(WORDS.len())])).collect()
}

#[test]
fn every_command_line_is_read_or_refused() {
    let (mut read, mut refused) = (0, 0);
    for number in 0..20_000 {
        match Cli::try_parse_from(line(number)) {
            Ok(Cli { command, .. }) => {
                read += 1;
                let search = match &command {
                    Command::Check(args) => Some(&args.search),
                    Command::Matrix(args) => Some(&args.search),
                    _ => None,
                };
                let options = search.map(|search| search.options(ModelArg::Weak));
                if let Some(Err(failure)) = options {
                    assert!(matches!(failure, Failure::Depth { .. }), "{failure}");
                }
            }
            Err(_) => refused += 1,
        }
    }
    assert!(read > 100 && refused > 100, "{read} read, {refused} refused");
}

#[test]
fn a_form_is_found_in_a_line_that_cannot_be_read() {
    let asked = |line: &str| asked_for(line.split(' ').map(OsString::from));
    assert_eq!(asked("pinfold check --bogus --format json"), TestFormat::Json);
    assert_eq!(asked("pinfold check --format=json --bogus"), TestFormat::Json);
    assert_eq!(asked("pinfold check --format ktap --bogus"), TestFormat::Ktap);
    assert_eq!(asked("pinfold check json --format human"), TestFormat::Human);
}
