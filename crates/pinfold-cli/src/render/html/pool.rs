//! Values of JSON that are mostly the same, each written once.
//!
//! Executions of one scenario under neighbouring rules differ in a few rows, and the machine at a
//! row differs in a few things from that at the row before. So every distinct value is one entry of
//! a table, and what holds others has their numbers. `history.js` puts them together again.
//!
//! - INV-POOL-1: an entry has only numbers of entries before it, so one pass makes all values.
//! - INV-POOL-2: an entry is a scalar as it is, `[0, values...]` for an array, and `[N, values...]`
//!   for an object whose keys are those of form N, counted from 1.

use serde_json::Value;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// A table of distinct values.
#[derive(Default)]
pub(super) struct Pool {
    /// Each entry by its text.
    known: HashMap<String, usize>,
    entries: Vec<String>,
    /// The keys of objects, each list once and as JSON.
    forms: Vec<String>,
    /// What the entries take.
    bytes: usize,
}

impl Pool {
    /// The bytes of all entries so far.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a value over; its number.
    pub(super) fn put(&mut self, value: &Value) -> usize {
        let entry = match value {
            Value::Array(items) => self.holder(0, items.iter()),
            Value::Object(fields) => {
                let keys: Vec<&String> = fields.keys().collect();
                let form = self.form(&Value::from_iter(keys.into_iter().cloned()).to_string());
                self.holder(form, fields.values())
            }
            scalar => scalar.to_string(),
        };
        match self.known.entry(entry) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(free) => {
                let number = self.entries.len();
                self.bytes += free.key().len() + 1;
                self.entries.push(free.key().clone());
                *free.insert(number)
            }
        }
    }

    fn holder<'v>(&mut self, form: usize, values: impl Iterator<Item = &'v Value>) -> String {
        let mut entry = format!("[{form}");
        for value in values {
            entry.push_str(&format!(",{}", self.put(value)));
        }
        entry + "]"
    }

    /// The number of a form.
    fn form(&mut self, keys: &str) -> usize {
        let known = self.forms.iter().position(|form| form == keys);
        known.unwrap_or_else(|| {
            self.forms.push(keys.to_owned());
            self.forms.len() - 1
        }) + 1
    }

    /// The table as JSON, with what is asked for of it.
    pub(super) fn json(&self, wanted: &Value) -> String {
        let (forms, entries) = (self.forms.join(","), self.entries.join(","));
        format!("{{\"forms\":[{forms}],\"entries\":[{entries}],\"wanted\":{wanted}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, json};

    /// What `history.js` does.
    fn unpacked(table: &str) -> Vec<Value> {
        let table: Value = serde_json::from_str(table).expect("it is JSON");
        let mut made: Vec<Value> = Vec::new();
        for entry in table["entries"].as_array().expect("a list") {
            let value = match entry.as_array().map(Vec::as_slice) {
                None => entry.clone(),
                Some([form, values @ ..]) => {
                    let number = |value: &Value| value.as_u64().expect("a number") as usize;
                    let values = values.iter().map(|value| made[number(value)].clone());
                    match number(form) {
                        0 => Value::from_iter(values),
                        form => {
                            let keys = table["forms"][form - 1].as_array().expect("keys").iter();
                            let keys = keys.map(|key| key.as_str().expect("a key").to_owned());
                            Value::Object(Map::from_iter(keys.zip(values)))
                        }
                    }
                }
                Some([]) => panic!("an entry says what it is"),
            };
            made.push(value);
        }
        made
    }

    #[test]
    fn every_value_comes_back_and_is_written_once() {
        let values = [
            json!({"rows": [{"a": 1, "b": ["x", "y"]}, {"a": 1, "b": ["x", "y"]}], "c": null}),
            json!([[], {}, "[0]", "", false, 0.5, {"b": 1}, {"b": "1"}]),
            json!({"rows": [{"a": 1, "b": ["x", "y"]}], "c": "</script>"}),
        ];
        let mut pool = Pool::default();
        let numbers: Vec<usize> = values.iter().map(|value| pool.put(value)).collect();
        let made = unpacked(&pool.json(&json!(numbers)));
        for (value, number) in values.iter().zip(&numbers) {
            assert_eq!(made[*number], *value);
        }
        let before = pool.bytes();
        assert_eq!(pool.put(&values[1]), numbers[1]);
        assert_eq!(pool.bytes(), before, "nothing new");
        let row = json!({"a": 1, "b": ["x", "y"]});
        assert_eq!(made.iter().filter(|one| **one == row).count(), 1);
    }
}
