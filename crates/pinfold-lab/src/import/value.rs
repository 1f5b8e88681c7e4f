//! The arguments of a call, as strace writes them.
//!
//! INV-VALUE-1: every text has an answer: what is no argument ends the list with an error.
//! INV-VALUE-2: the depth is bounded by [`DEEPEST`], so that no text exhausts the stack.

/// The most structs and arrays inside each other.
const DEEPEST: usize = 24;

/// One argument, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A number; of a descriptor with its path (`3</dev/null>`) the number and the path.
    Number(u64, Option<String>),
    /// A quoted text, with escapes undone, as bytes; and whether strace cut it.
    Text(Vec<u8>, bool),
    /// Flags, the name of a constant, or any other word.
    Word(String),
    /// `{name=value, ...}`; a part without a name has an empty one.
    Struct(Vec<(String, Value)>),
    /// `[value, ...]`
    List(Vec<Value>),
}

impl Value {
    /// As a number.
    pub(super) fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number, _) => Some(*number),
            Self::Word(word) if word == "NULL" => Some(0),
            _ => None,
        }
    }

    /// The path behind a descriptor.
    pub(super) fn path(&self) -> Option<&str> {
        match self {
            Self::Number(_, path) => path.as_deref(),
            _ => None,
        }
    }

    /// Whether the flag is among these, by its name or, of raw arguments, its bit.
    pub(super) fn has(&self, name: &str, bit: u64) -> bool {
        match self {
            Self::Number(number, _) => bit != 0 && number & bit == bit,
            Self::Word(word) => word.split('|').any(|flag| flag == name),
            _ => false,
        }
    }

    /// Whether it is this constant.
    pub(super) fn is(&self, name: &str, number: u64) -> bool {
        match self {
            Self::Number(found, _) => *found == number,
            Self::Word(word) => word == name,
            _ => false,
        }
    }

    /// A part of a struct.
    pub(super) fn field(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Struct(parts) => {
                parts.iter().find(|(part, _)| part == name).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// The parts of an array.
    pub(super) fn items(&self) -> &[Value] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }
}

/// Reads arguments up to the parenthesis that closes the call; gives them and what follows it.
///
/// # Errors
/// What is expected and missing.
pub(super) fn arguments(text: &str) -> Result<(Vec<Value>, &str), &'static str> {
    let mut reader = Reader { text, at: 0 };
    let mut found = Vec::new();
    loop {
        reader.blanks();
        if reader.take(b')') {
            return Ok((found, &text[reader.at..]));
        }
        // An argument with a name, as clone has them, is a struct of one part.
        let name = reader.name();
        let value = reader.value(0)?;
        found.push(match name.is_empty() {
            true => value,
            false => Value::Struct(vec![(name, value)]),
        });
        reader.rest_of_value()?;
        if !reader.take(b',') && reader.peek() != Some(b')') {
            return Err("`,` or `)` is missing behind an argument");
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn blanks(&mut self) {
        while self.take(b' ') {}
    }

    fn value(&mut self, depth: usize) -> Result<Value, &'static str> {
        if depth > DEEPEST {
            return Err("structs lie too deep in each other");
        }
        self.blanks();
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.parts(depth),
            Some(b'[') => self.items(depth),
            _ => self.word(),
        }
    }

    /// What may stand behind a value: `...`, a comment, or `=>` and what the call left there.
    fn rest_of_value(&mut self) -> Result<(), &'static str> {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.quoted()?;
                    continue;
                }
                b'{' | b'[' | b'(' => depth += 1,
                b'}' | b']' | b')' if depth > 0 => depth -= 1,
                b'}' | b']' | b')' | b',' if depth == 0 => return Ok(()),
                _ => {}
            }
            self.at += 1;
        }
        Ok(())
    }

    fn quoted(&mut self) -> Result<Value, &'static str> {
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            let Some(byte) = self.peek() else { return Err("a quoted text does not end") };
            self.at += 1;
            match byte {
                b'"' => break,
                b'\\' => bytes.push(self.escape()?),
                other => bytes.push(other),
            }
        }
        let cut = self.text.as_bytes()[self.at..].starts_with(b"...");
        Ok(Value::Text(bytes, cut))
    }

    fn escape(&mut self) -> Result<u8, &'static str> {
        let Some(byte) = self.peek() else { return Err("a quoted text does not end") };
        self.at += 1;
        Ok(match byte {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'v' => 11,
            b'f' => 12,
            b'x' => self.digits(16, 2, 0),
            b'0'..=b'7' => self.digits(8, 2, byte - b'0'),
            other => other,
        })
    }

    /// At most so many digits more.
    fn digits(&mut self, base: u32, most: usize, start: u8) -> u8 {
        let mut value = u32::from(start);
        for _ in 0..most {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(base));
            let Some(digit) = digit else { break };
            value = value * base + digit;
            self.at += 1;
        }
        value.to_le_bytes()[0]
    }

    fn parts(&mut self, depth: usize) -> Result<Value, &'static str> {
        self.at += 1;
        let mut parts = Vec::new();
        loop {
            self.blanks();
            if self.take(b'}') {
                return Ok(Value::Struct(parts));
            }
            let name = self.name();
            parts.push((name, self.value(depth + 1)?));
            self.rest_of_value()?;
            if !self.take(b',') && self.peek() != Some(b'}') {
                return Err("a struct does not end");
            }
        }
    }

    /// The name before `=`, if there is one.
    fn name(&mut self) -> String {
        let rest = &self.text[self.at..];
        let end = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        let end = end.count();
        if rest.as_bytes().get(end) == Some(&b'=') && rest.as_bytes().get(end + 1) != Some(&b'>') {
            self.at += end + 1;
            return rest[..end].to_owned();
        }
        String::new()
    }

    fn items(&mut self, depth: usize) -> Result<Value, &'static str> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.blanks();
            if self.take(b']') {
                return Ok(Value::List(items));
            }
            items.push(self.value(depth + 1)?);
            self.rest_of_value()?;
            // Sets of signals have blanks between their parts, which are of no concern here.
            if !self.take(b',') && self.peek() != Some(b']') {
                return Err("an array does not end");
            }
        }
    }

    /// A number or a word, up to what ends an argument.
    fn word(&mut self) -> Result<Value, &'static str> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'(' => depth += 1,
                b')' if depth > 0 => depth -= 1,
                b'<' if self.at > start && bytes[start..self.at].iter().all(u8::is_ascii_digit) => {
                    return Ok(self.descriptor(start));
                }
                b',' | b')' | b'}' | b']' | b' ' | b'=' if depth == 0 => break,
                b'"' | b'{' | b'[' if depth == 0 => break,
                _ => {}
            }
            self.at += 1;
        }
        if self.at == start {
            // Something that strace invented: it is passed over with the rest of the value.
            return match self.peek() {
                None => Err("an argument is missing"),
                Some(_) => Ok(Value::Word(String::new())),
            };
        }
        let word = &self.text[start..self.at];
        Ok(number(word)
            .map_or_else(|| Value::Word(word.to_owned()), |number| Value::Number(number, None)))
    }

    /// A descriptor with its path, which ends with a `>` that no arrow of a connection has.
    fn descriptor(&mut self, start: usize) -> Value {
        let bytes = self.text.as_bytes();
        let open = self.at;
        let ends = |at: &usize| {
            let next = bytes.get(at + 1);
            bytes[*at] == b'>'
                && bytes[at - 1] != b'-'
                && next.is_none_or(|next| b",)]} (=".contains(next))
        };
        let end = (open + 1..bytes.len()).find(ends);
        let number = number(&self.text[start..open]).unwrap_or(u64::MAX);
        let path = end.map(|end| self.text[open + 1..end].to_owned());
        self.at = end.map_or(bytes.len(), |end| end + 1);
        Value::Number(number, path)
    }
}

/// A number as strace writes one: decimal, hexadecimal, octal, negative, or a product.
pub(super) fn number(word: &str) -> Option<u64> {
    if let Some((left, right)) = word.split_once('*') {
        return number(left)?.checked_mul(number(right)?);
    }
    if let Some(rest) = word.strip_prefix("0x") {
        return u64::from_str_radix(rest, 16).ok();
    }
    if let Some(rest) = word.strip_prefix('-') {
        return rest.parse::<i64>().ok().map(|number| number.wrapping_neg().cast_unsigned());
    }
    let octal = word.len() > 1 && word.starts_with('0');
    u64::from_str_radix(word, if octal { 8 } else { 10 }).ok()
}
