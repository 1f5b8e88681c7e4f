//! Reads the imports of a crate against the floors that its root publishes.
//!
//! The documentation of `lib.rs` (or `main.rs`) has a table with the columns `floor`, `rooms` and
//! what lives there. A room is a module with all below it that the table does not name as a room of
//! its own, such as `memory` and `memory::race`. A file may use what lies on its own floor or
//! below, and no file may lead back to itself.
//!
//! An arrow is a path that begins with `crate`, `super`, `self`, a child module or an imported name
//! of one of these, in a `use` or elsewhere. It ends in the file that has the item: a re-export is
//! followed to where the item lives. Modules under `#[cfg(test)]` are left out, and so is what the
//! root itself imports, which stands above all floors.
//!
//! A crate takes part with a file `tests/floors.rs`:
//!
//! ```ignore
//! #[path = "../../../tests/floors.rs"]
//! mod floors;
//!
//! #[test]
//! fn no_arrow_leads_upwards() {
//!     println!("{}", floors::check(env!("CARGO_MANIFEST_DIR")));
//! }
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::{Path, PathBuf},
};

/// What was looked at.
pub(crate) struct Counted {
    name: String,
    files: usize,
    rooms: usize,
    floors: usize,
    arrows: usize,
    /// Every fault in words.
    pub(crate) faults: Vec<String>,
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, files, rooms, floors, arrows, faults } = self;
        write!(
            f,
            "{name}: {files} files, {rooms} rooms on {floors} floors, {arrows} arrows, {} faults",
            faults.len()
        )
    }
}

/// Checks the crate whose manifest lies in `directory`.
///
/// # Panics
/// With every fault that was found, and when there is no source.
pub(crate) fn check(directory: &str) -> Counted {
    let source = Path::new(directory).join("src");
    let root = ["lib.rs", "main.rs"].map(|name| source.join(name)).into_iter().find(|p| p.exists());
    let root = root.unwrap_or_else(|| panic!("neither lib.rs nor main.rs in {}", source.display()));
    let read = |path: &Path| fs::read_to_string(path).ok();
    let counted = House::read(&root, &read).counted();
    assert!(counted.faults.is_empty(), "{counted}:\n{}", counted.faults.join("\n"));
    counted
}

/// The names that lead from the root to a module; none for the root.
type Module = Vec<String>;

/// A path as it is written, in the module that writes it.
struct Written {
    module: Module,
    segments: Vec<String>,
}

/// What a module can be asked for by name, besides its children.
#[derive(Default)]
struct Names {
    file: usize,
    /// What is imported, under which name.
    imports: BTreeMap<String, Vec<String>>,
    /// Of which modules everything is imported.
    globs: Vec<Vec<String>>,
    /// What is defined here.
    items: BTreeSet<String>,
}

/// All source files of a crate.
pub(crate) struct House {
    files: Vec<PathBuf>,
    modules: BTreeMap<Module, Names>,
    written: Vec<Written>,
    /// The floor of each room.
    rooms: BTreeMap<Module, u32>,
}

impl House {
    /// Reads the file at `root` and every module that it leads to; `read` gives the text of a file,
    /// if there is one.
    pub(crate) fn read(root: &Path, read: &dyn Fn(&Path) -> Option<String>) -> Self {
        let mut house = Self {
            files: Vec::new(),
            modules: BTreeMap::new(),
            written: Vec::new(),
            rooms: BTreeMap::new(),
        };
        let text = read(root).unwrap_or_else(|| panic!("cannot read {}", root.display()));
        house.rooms = table(&text);
        let below = root.parent().unwrap_or(Path::new("")).to_owned();
        let mut open = vec![(Module::new(), root.to_owned(), below, text)];
        while let Some((module, path, below, text)) = open.pop() {
            let file = house.files.len();
            house.files.push(path);
            let mut scan = Scan { house: &mut house, file, children: Vec::new() };
            scan.items(&mut Tokens::of(&text), &module);
            for (child, at) in scan.children {
                // The directories of inline modules lie between.
                let inline = &child[module.len()..child.len() - 1];
                let name = child[child.len() - 1].clone();
                let directory = inline.iter().fold(below.clone(), |path, name| path.join(name));
                let plain = directory.join(format!("{name}.rs"));
                let candidates = match at {
                    Some(at) => vec![directory.join(at)],
                    None => vec![plain, directory.join(&name).join("mod.rs")],
                };
                let found = candidates.into_iter().find_map(|path| Some((read(&path)?, path)));
                let (text, path) = found.unwrap_or_else(|| panic!("no file for {child:?}"));
                open.push((child, path, directory.join(name), text));
            }
        }
        house
    }

    /// Follows every path, and finds the faults.
    pub(crate) fn counted(&self) -> Counted {
        let mut faults = Vec::new();
        for module in self.rooms.keys().filter(|room| !self.modules.contains_key(*room)) {
            faults.push(format!("the table has a room `{}`, the crate has not", module.join("::")));
        }
        let floors: Vec<Option<u32>> =
            (0..self.files.len()).map(|file| self.floor(&self.module_of(file))).collect();
        for file in (1..self.files.len()).filter(|&file| floors[file].is_none()) {
            faults.push(format!("{} belongs to no room of the table", self.name(file)));
        }
        let mut arrows: BTreeMap<(usize, usize), String> = BTreeMap::new();
        for Written { module, segments } in &self.written {
            let Some(target) = self.resolve(module, segments, 0) else { continue };
            let (from, to) = (self.modules[module].file, self.modules[&target].file);
            if from != to && from != 0 {
                arrows.entry((from, to)).or_insert_with(|| segments.join("::"));
            }
        }
        for (&(from, to), path) in &arrows {
            let (from_name, to_name) = (self.name(from), self.name(to));
            match (floors[from], floors[to]) {
                _ if to == 0 => {
                    faults.push(format!("{from_name} uses `{path}` of the root, above all floors"));
                }
                (Some(own), Some(other)) if other > own => faults.push(format!(
                    "{from_name} on floor {own} uses `{path}` of {to_name} on floor {other}"
                )),
                _ => {}
            }
        }
        faults.extend(self.circles(&arrows));
        let floors: BTreeSet<u32> = self.rooms.values().copied().collect();
        Counted {
            name: self.crate_name(),
            files: self.files.len(),
            rooms: self.rooms.len(),
            floors: floors.len(),
            arrows: arrows.len(),
            faults,
        }
    }

    /// Each set of files that all lead to each other.
    fn circles(&self, arrows: &BTreeMap<(usize, usize), String>) -> Vec<String> {
        let next = |from: usize| arrows.range((from, 0)..(from + 1, 0)).map(|(&(_, to), _)| to);
        let reach: Vec<BTreeSet<usize>> = (0..self.files.len())
            .map(|from| {
                let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
                while let Some(at) = open.pop() {
                    open.extend(next(at).filter(|&to| seen.insert(to)));
                }
                seen
            })
            .collect();
        let mut told = BTreeSet::new();
        let mut faults = Vec::new();
        for first in 0..self.files.len() {
            if !reach[first].contains(&first) || !told.insert(first) {
                continue;
            }
            let circle: BTreeSet<usize> =
                reach[first].iter().copied().filter(|&file| reach[file].contains(&first)).collect();
            told.extend(&circle);
            let inside = arrows
                .iter()
                .filter(|((from, to), _)| circle.contains(from) && circle.contains(to));
            let inside = inside.map(|(&(from, to), path)| {
                format!("\n    {} -> {}: `{path}`", self.name(from), self.name(to))
            });
            faults.push(format!(
                "a circle of {} files:{}",
                circle.len(),
                inside.collect::<String>()
            ));
        }
        faults
    }

    fn crate_name(&self) -> String {
        let directory = self.files[0].ancestors().nth(2).and_then(Path::file_name);
        directory.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    fn name(&self, file: usize) -> String {
        let shown = self.files[file].components().rev().collect::<Vec<_>>();
        let from_source = shown.iter().position(|part| part.as_os_str() == "src");
        let kept = shown.iter().take(from_source.unwrap_or(shown.len())).rev();
        kept.collect::<PathBuf>().display().to_string()
    }

    fn module_of(&self, file: usize) -> Module {
        let inside = self.modules.iter().filter(|(_, names)| names.file == file);
        inside
            .map(|(module, _)| module)
            .min_by_key(|module| module.len())
            .cloned()
            .unwrap_or_default()
    }

    /// The floor of the smallest room around a module.
    fn floor(&self, module: &Module) -> Option<u32> {
        (1..=module.len()).rev().find_map(|length| self.rooms.get(&module[..length]).copied())
    }

    /// The module that has the item to which a path leads; none if it leads out of the crate.
    fn resolve(&self, from: &Module, segments: &[String], depth: usize) -> Option<Module> {
        if depth > 16 {
            return None;
        }
        let (first, mut rest) = segments.split_first()?;
        let mut at = match first.as_str() {
            "crate" => Module::new(),
            "self" => from.clone(),
            "super" => from[..from.len().checked_sub(1)?].to_vec(),
            _ => {
                rest = segments;
                from.clone()
            }
        };
        let outside = matches!(first.as_str(), "crate" | "self" | "super");
        let mut steps = 0;
        while let Some((next, after)) = rest.split_first() {
            if next == "super" {
                at.pop();
            } else {
                let child = [&at[..], std::slice::from_ref(next)].concat();
                if self.modules.contains_key(&child) {
                    at = child;
                } else if next != "self" {
                    return self.member(from, &at, rest, depth, outside || steps > 0);
                }
            }
            steps += 1;
            rest = after;
        }
        Some(at)
    }

    /// Where the first of `rest` lives, which the module `at` has by name.
    fn member(
        &self,
        from: &Module,
        at: &Module,
        rest: &[String],
        depth: usize,
        inside: bool,
    ) -> Option<Module> {
        let names = self.modules.get(at)?;
        if names.items.contains(&rest[0]) {
            return Some(at.clone());
        }
        if let Some(path) = names.imports.get(&rest[0]) {
            // `use name;` of a crate, or of a child.
            let path = [&path[..], &rest[1..]].concat();
            let itself = at == from && path == rest;
            return if itself { None } else { self.resolve(at, &path, depth + 1) };
        }
        let through = names.globs.iter().find_map(|glob| {
            let module = self.resolve(at, glob, depth + 1)?;
            let known = self.modules.get(&module)?;
            let has = known.items.contains(&rest[0]) || known.imports.contains_key(&rest[0]);
            has.then(|| self.member(from, &module, rest, depth + 1, true)).flatten()
        });
        through.or_else(|| inside.then(|| at.clone()))
    }
}

/// The rooms of the table in the documentation of the root.
fn table(text: &str) -> BTreeMap<Module, u32> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("//!")?.trim().strip_prefix('|'));
    let mut rooms = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let Some(floor) = cells.first().and_then(|cell| cell.parse().ok()) else { continue };
        let names = cells.get(1).copied().unwrap_or_default().split('`').skip(1).step_by(2);
        for name in names {
            rooms.insert(name.split("::").map(str::to_owned).collect(), floor);
        }
    }
    assert!(!rooms.is_empty(), "the root has no table of floors in its documentation");
    rooms
}

/// Goes through the tokens of one file.
struct Scan<'a> {
    house: &'a mut House,
    file: usize,
    /// Modules with files of their own, and the path that an attribute gives.
    children: Vec<(Module, Option<String>)>,
}

impl Scan<'_> {
    /// Reads until the end of the block, or of the file.
    fn items(&mut self, tokens: &mut Tokens, module: &Module) {
        let names = Names { file: self.file, ..Names::default() };
        self.house.modules.insert(module.clone(), names);
        let (mut depth, mut visible_path) = (0_usize, None);
        while let Some(token) = tokens.next() {
            match token.as_str() {
                "#" if tokens.peek() == "[" => {
                    let attribute = tokens.block();
                    let text = attribute.concat();
                    if text == "[cfg(test)]" || text.starts_with("[cfg(all(test") {
                        tokens.skip_item();
                    } else if let Some(path) = text.strip_prefix("[path=\"") {
                        visible_path = path.strip_suffix("\"]").map(str::to_owned);
                    }
                }
                "{" => depth += 1,
                "}" if depth == 0 => return,
                "}" => depth -= 1,
                "use" => {
                    let tree = tokens.until_semicolon();
                    self.tree(&mut Tokens { list: tree, at: 0 }, module, &[]);
                }
                "mod" => {
                    let Some(name) = tokens.next() else { return };
                    let child = [&module[..], &[name]].concat();
                    match tokens.next().as_deref() {
                        Some("{") => self.items(tokens, &child),
                        _ => self.children.push((child, visible_path.take())),
                    }
                }
                // A visibility is no use.
                "pub" if tokens.peek() == "(" => drop(tokens.block()),
                "struct" | "enum" | "trait" | "fn" | "const" | "static" | "type" | "union"
                | "macro_rules"
                    if depth == 0 =>
                {
                    if tokens.peek() == "!" {
                        tokens.next();
                    }
                    let name = tokens.peek().to_owned();
                    self.names(module).items.insert(name);
                }
                first if is_name(first) && !tokens.follows_path() => {
                    let mut segments = vec![token];
                    while tokens.peek() == "::" && is_name(tokens.peek_at(1)) {
                        tokens.next();
                        segments.extend(tokens.next());
                    }
                    if segments.len() > 1 {
                        self.house.written.push(Written { module: module.clone(), segments });
                    }
                }
                _ => {}
            }
        }
    }

    fn names(&mut self, module: &Module) -> &mut Names {
        self.house.modules.entry(module.clone()).or_default()
    }

    /// The tree of a `use`, up to the end of the branch.
    fn tree(&mut self, tokens: &mut Tokens, module: &Module, prefix: &[String]) {
        let mut segments = prefix.to_vec();
        while let Some(token) = tokens.next() {
            match token.as_str() {
                "{" => {
                    while !matches!(tokens.peek(), "}" | "") {
                        self.tree(tokens, module, &segments);
                    }
                    tokens.next();
                    if tokens.peek() == "," {
                        tokens.next();
                    }
                    return;
                }
                "*" => {
                    self.names(module).globs.push(segments.clone());
                    self.used(module, segments);
                    segments = Vec::new();
                }
                "::" => {}
                "as" => {
                    let name = tokens.next().unwrap_or_default();
                    self.import(module, name, std::mem::take(&mut segments));
                }
                "," => break,
                _ => segments.push(token),
            }
            if tokens.peek() == "}" {
                break;
            }
        }
        if segments.len() > prefix.len() {
            if segments.last().is_some_and(|last| last == "self") {
                segments.pop();
            }
            let name = segments.last().cloned().unwrap_or_default();
            self.import(module, name, segments);
        }
    }

    fn import(&mut self, module: &Module, name: String, path: Vec<String>) {
        self.names(module).imports.insert(name, path.clone());
        self.used(module, path);
    }

    fn used(&mut self, module: &Module, segments: Vec<String>) {
        self.house.written.push(Written { module: module.clone(), segments });
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// The tokens of a text, without comments. Of a literal only its quotes and what they hold are
/// left.
struct Tokens {
    list: Vec<String>,
    at: usize,
}

impl Tokens {
    fn of(text: &str) -> Self {
        let mut list = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let length = match first {
                _ if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
                _ if rest.starts_with("/*") => block_comment(rest),
                '"' => quoted(rest),
                'r' | 'b' | 'c' if let Some(length) = prefixed(rest) => length,
                '\'' => character(rest),
                _ if is_name(rest) || first.is_ascii_digit() => {
                    let inside = |c: char| c.is_alphanumeric() || c == '_';
                    rest.find(|c: char| !inside(c)).unwrap_or(rest.len())
                }
                _ if rest.starts_with("::") => 2,
                _ => first.len_utf8(),
            };
            let (token, after) = rest.split_at(length);
            // `$crate` in a macro is `crate`.
            let silent = first.is_whitespace() || first == '$' || token.starts_with("/*");
            if !silent && !token.starts_with("//") {
                list.push(token.to_owned());
            }
            rest = after;
        }
        Self { list, at: 0 }
    }

    fn next(&mut self) -> Option<String> {
        let token = self.list.get(self.at)?.clone();
        self.at += 1;
        Some(token)
    }

    fn peek(&self) -> &str {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> &str {
        self.list.get(self.at + ahead).map_or("", String::as_str)
    }

    /// Whether the token that was read last goes on a path or names a field.
    fn follows_path(&self) -> bool {
        let before = self.at.checked_sub(2).map(|at| self.list[at].as_str());
        matches!(before, Some("::" | "."))
    }

    /// Reads a group in brackets.
    fn block(&mut self) -> Vec<String> {
        let start = self.at;
        let mut depth = 0;
        while let Some(token) = self.next() {
            match token.as_str() {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        self.list[start..self.at].to_vec()
    }

    fn until_semicolon(&mut self) -> Vec<String> {
        let start = self.at;
        while !matches!(self.peek(), ";" | "") {
            self.at += 1;
        }
        self.list[start..self.at].to_vec()
    }

    /// Reads what an attribute belongs to: an item, a statement, a field or a variant.
    fn skip_item(&mut self) {
        while self.peek() == "#" {
            self.next();
            self.block();
        }
        let starts = self.peek().to_owned();
        let is_use = starts == "use";
        let is_item = matches!(
            starts.as_str(),
            "mod"
                | "fn"
                | "impl"
                | "struct"
                | "enum"
                | "trait"
                | "const"
                | "static"
                | "type"
                | "pub"
                | "unsafe"
                | "extern"
                | "macro_rules"
                | "use"
        );
        loop {
            match self.peek() {
                "" => return,
                "{" => {
                    self.block();
                    if is_item && !is_use {
                        return;
                    }
                }
                "(" | "[" => drop(self.block()),
                "}" => return,
                "," if !is_item => return,
                ";" => {
                    self.next();
                    return;
                }
                _ => drop(self.next()),
            }
        }
    }
}

/// The length of a comment that may hold others.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if text[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of a literal in quotes.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|&(_, c)| {
        let ends = c == text.chars().next().unwrap_or('"') && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

/// The length of a raw, byte or C string.
fn prefixed(text: &str) -> Option<usize> {
    let prefix = text.find(|c: char| !matches!(c, 'r' | 'b' | 'c'))?;
    let raw = text[..prefix].contains('r');
    let hashes = text[prefix..].chars().take_while(|&c| c == '#').count();
    let quote = &text[prefix + hashes..];
    if !quote.starts_with('"') || prefix > 2 || (hashes > 0 && !raw) {
        return None;
    }
    if !raw {
        return Some(prefix + quoted(quote));
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let length = quote[1..].find(&end).map_or(quote.len(), |at| 1 + at + end.len());
    Some(prefix + hashes + length)
}

/// The length of a character, or of a lifetime.
fn character(text: &str) -> usize {
    let mut after = text.chars().skip(1);
    match (after.next(), after.next()) {
        (Some('\\'), _) | (Some(_), Some('\'')) => quoted(text),
        _ => {
            let end = text[1..].find(|c: char| !c.is_alphanumeric() && c != '_');
            end.map_or(text.len(), |end| end + 1)
        }
    }
}
