//! Reads programs and their outcomes from the files in `tests/programs`, whose README says how they
//! are written.

use super::program::{Ins, Program};
use pinfold_explore::hook::{Mode, Order};
use std::collections::BTreeMap;

/// The programs of a file, by name, in order.
pub fn programs(text: &str) -> Vec<(String, Program)> {
    let mut words = Words::new(text);
    let mut programs = Vec::new();
    while words.take_if("program") {
        let name = words.next();
        programs.push((name.clone(), program(&name, &mut words)));
    }
    assert_eq!(words.peek(), None, "only programs stand in the file");
    programs
}

/// What a program does under one model.
#[derive(Debug, PartialEq, Eq)]
pub enum Expected {
    Outcomes(Vec<String>),
    Hang,
}

/// The rows of a table of outcomes: program, model, and what the program does under it.
pub fn table(text: &str) -> Vec<(String, String, Expected)> {
    let row = |line: &str| {
        let columns: Vec<&str> = line.split('\t').collect();
        let [program, model, count, outcomes] = columns[..] else { panic!("{line}") };
        let expected = match count.parse::<usize>() {
            Err(_) => Expected::Hang,
            Ok(count) => {
                let outcomes: Vec<_> = outcomes.split(" | ").map(outcome).collect();
                assert_eq!(outcomes.len(), count, "{line}");
                Expected::Outcomes(outcomes)
            }
        };
        (program.to_owned(), model.to_owned(), expected)
    };
    text.lines().skip(1).map(row).collect()
}

/// A row of such a table.
pub fn row(program: &str, model: &str, expected: &Expected) -> String {
    let Expected::Outcomes(outcomes) = expected else {
        return format!("{program}\t{model}\t-\ta hang is reported");
    };
    let short = |outcome: &String| {
        let (logs, finals) = outcome.rsplit_once(" [").expect("lanes and cells");
        let lanes = logs.trim_start_matches("[[").trim_end_matches("]]").split("], [");
        let lanes = lanes.map(|lane| {
            let reads = lane.split(", ").filter(|read| !read.is_empty());
            reads.map(|read| format!("{read},")).collect::<String>() + "/"
        });
        lanes.collect::<String>() + &finals.trim_end_matches(']').replace(", ", " ")
    };
    let outcomes: Vec<_> = outcomes.iter().map(short).collect();
    format!("{program}\t{model}\t{}\t{}", outcomes.len(), outcomes.join(" | "))
}

/// An outcome as programs write it: `0,/1,/2 3` is `[[0], [1]] [2, 3]`.
fn outcome(text: &str) -> String {
    let (lanes, finals) = text.rsplit_once('/').expect("lanes and cells");
    let numbers = |text: &str, by| -> Vec<u64> {
        let numbers = text.split(by).filter(|number| !number.is_empty());
        numbers.map(|number| number.parse().expect("a number")).collect()
    };
    let logs: Vec<_> = lanes.split('/').map(|log| numbers(log, ',')).collect();
    super::program::outcome(&logs, &numbers(finals, ' '))
}

/// The words of a text. Braces, brackets and semicolons are words of their own.
struct Words {
    words: Vec<String>,
    at: usize,
}

impl Words {
    fn new(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let mut words = Vec::new();
        for line in lines {
            let mut spaced = String::new();
            for letter in line.chars() {
                match letter {
                    '{' | '}' | ';' | '(' | ')' | '!' => spaced.extend([' ', letter, ' ']),
                    _ => spaced.push(letter),
                }
            }
            words.extend(spaced.split_ascii_whitespace().map(str::to_owned));
        }
        Self { words, at: 0 }
    }

    fn peek(&self) -> Option<&str> {
        self.words.get(self.at).map(String::as_str)
    }

    fn next(&mut self) -> String {
        let word = self.words.get(self.at).expect("a word").clone();
        self.at += 1;
        word
    }

    fn take_if(&mut self, word: &str) -> bool {
        let taken = self.peek() == Some(word);
        self.at += usize::from(taken);
        taken
    }

    fn expect(&mut self, word: &str) {
        assert_eq!(self.next(), word, "at word {}", self.at);
    }

    fn number(&mut self) -> u64 {
        self.next().parse().expect("a number")
    }
}

/// The names of a program's things, numbered.
#[derive(Default)]
struct Names {
    vars: BTreeMap<String, usize>,
    locks: BTreeMap<String, usize>,
    lanes: BTreeMap<String, usize>,
    /// Those of the current lane.
    registers: BTreeMap<String, usize>,
}

impl Names {
    fn register(&mut self, name: &str) -> usize {
        let next = self.registers.len();
        *self.registers.entry(name.to_owned()).or_insert(next)
    }
}

fn program(name: &str, words: &mut Words) -> Program {
    let mut names = Names::default();
    // Lanes may be named before they are written.
    let mut at = words.at;
    while let Some(word) = words.words.get(at).filter(|word| *word != "program") {
        if word == "thread" || word == "child" {
            for lane in lane_names(&words.words[at + 1]) {
                let next = names.lanes.len();
                names.lanes.insert(lane, next);
            }
        }
        at += 1;
    }
    let mut lanes = Vec::new();
    loop {
        match words.peek() {
            Some("var") => declare(words, &mut names.vars),
            Some("lock") => declare(words, &mut names.locks),
            Some("thread" | "child") => {
                words.next();
                let count = lane_names(&words.next()).len();
                names.registers.clear();
                let code = block(words, &mut names);
                lanes.extend(std::iter::repeat_n(code, count));
            }
            _ => break,
        }
    }
    assert_eq!(lanes.len(), names.lanes.len(), "{name}");
    Program { vars: names.vars.len(), lanes }
}

/// `t*3` are three lanes.
fn lane_names(word: &str) -> Vec<String> {
    match word.split_once('*') {
        None => vec![word.to_owned()],
        Some((name, count)) => (0..count.parse().expect("a number"))
            .map(|lane: usize| format!("{name}{lane}"))
            .collect(),
    }
}

fn declare(words: &mut Words, names: &mut BTreeMap<String, usize>) {
    words.next();
    while words.peek().is_some_and(|word| !["var", "lock", "thread", "child"].contains(&word)) {
        let next = names.len();
        names.insert(words.next(), next);
    }
}

fn block(words: &mut Words, names: &mut Names) -> Vec<Ins> {
    words.expect("{");
    let mut code = Vec::new();
    while !words.take_if("}") {
        if !words.take_if(";") {
            statement(words, names, &mut code);
        }
    }
    code
}

fn order(text: &str) -> Order {
    match text {
        "rlx" => Order::Relaxed,
        "acq" => Order::Acquire,
        "rel" => Order::Release,
        "ar" => Order::AcqRel,
        "sc" => Order::SeqCst,
        "full" => Order::Full,
        _ => panic!("no ordering: {text}"),
    }
}

fn statement(words: &mut Words, names: &mut Names, code: &mut Vec<Ins>) {
    let word = words.next();
    let (verb, orders) = word.split_once('.').unwrap_or((&word, ""));
    match verb {
        "st" => {
            let var = names.vars[&words.next()];
            let store = store(words, names, code, var, order(orders));
            code.push(store);
        }
        "fence" => code.push(Ins::Fence(order(orders))),
        "lock" => code.push(Ins::Lock(names.locks[&words.next()], Mode::Exclusive)),
        "unlock" => code.push(Ins::Unlock(names.locks[&words.next()], Mode::Exclusive)),
        "rlock" => code.push(Ins::Lock(names.locks[&words.next()], Mode::Shared)),
        "runlock" => code.push(Ins::Unlock(names.locks[&words.next()], Mode::Shared)),
        "see" => code.push(Ins::See(names.locks[&words.next()])),
        "spawn" => code.push(Ins::Spawn(names.lanes[&words.next()])),
        "join" => code.push(Ins::Join(names.lanes[&words.next()])),
        "if" => {
            let inverted = words.take_if("!");
            code.push(Ins::With(names.register(&words.next())));
            let then = block(words, names);
            let otherwise = if words.take_if("else") { block(words, names) } else { Vec::new() };
            code.push(match inverted {
                false => Ins::IfElse(then, otherwise),
                true => Ins::IfElse(otherwise, then),
            });
        }
        register => {
            words.expect("=");
            code.push(reading(words, names));
            code.push(Ins::Keep(names.register(register)));
        }
    }
}

/// A store of a number, or of `(r + 1)` or `(1 + r)`.
fn store(
    words: &mut Words,
    names: &mut Names,
    code: &mut Vec<Ins>,
    var: usize,
    order: Order,
) -> Ins {
    if !words.take_if("(") {
        return Ins::Store(var, words.number(), order);
    }
    let first = words.next();
    words.expect("+");
    let second = words.next();
    words.expect(")");
    let (register, plus) = match first.parse() {
        Ok(plus) => (second, plus),
        Err(_) => (first, second.parse().expect("a number")),
    };
    code.push(Ins::With(names.register(&register)));
    Ins::StorePlus(var, plus, order)
}

/// What may appear to the right of `=`.
fn reading(words: &mut Words, names: &mut Names) -> Ins {
    let word = words.next();
    let mut parts = word.split('.');
    let verb = parts.next().unwrap_or_default();
    let mut order = || order(parts.next().unwrap_or_default());
    match verb {
        "ld" => Ins::Load(names.vars[&words.next()], order()),
        "fadd" => Ins::Add(names.vars[&words.next()], words.number(), order()),
        "cas" => {
            let var = names.vars[&words.next()];
            Ins::Cas(var, words.number(), words.number(), order(), order())
        }
        "trylock" => Ins::Attempt(names.locks[&words.next()], Mode::Exclusive),
        "tryrlock" => Ins::Attempt(names.locks[&words.next()], Mode::Shared),
        "await" => {
            let (var, order) = (names.vars[&words.next()], order());
            for word in ["(", "_", "=="] {
                words.expect(word);
            }
            let value = words.number();
            words.expect(")");
            Ins::WaitFor(var, value, order)
        }
        number => Ins::Set(number.parse().expect("a number")),
    }
}
