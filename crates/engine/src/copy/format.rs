//! COPY's text and csv formats as pure code: bytes to fields and fields to bytes.
//!
//! # Role
//! [`LineReader`] takes the stream in chunks of any size and hands out whole rows of fields; [`write_row`] does the
//! reverse. Values stay text; types are the caller's.
//!
//! # Failure
//! Malformed input is 22P04 with PostgreSQL's words; the caller adds the line as context.

use ochre_base::{Error, Result, SqlState};

/// Which of the formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Text,
    Csv,
}

/// Whether and how a first line with column names is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    None,
    Present,
    /// Its names must be the columns'.
    Match,
}

/// What a COPY statement's options amount to.
#[derive(Debug, Clone)]
pub struct CopyFormat {
    pub style: Style,
    pub delimiter: u8,
    pub null: Vec<u8>,
    pub header: Header,
    pub quote: u8,
    pub escape: u8,
    /// By position in the column list.
    pub force_quote: Vec<bool>,
    pub force_not_null: Vec<bool>,
    pub force_null: Vec<bool>,
}

impl CopyFormat {
    /// The defaults of a format.
    pub fn new(style: Style) -> CopyFormat {
        CopyFormat {
            style,
            delimiter: if style == Style::Text { b'\t' } else { b',' },
            null: if style == Style::Text { b"\\N".to_vec() } else { Vec::new() },
            header: Header::None,
            quote: b'"',
            escape: b'"',
            force_quote: Vec::new(),
            force_not_null: Vec::new(),
            force_null: Vec::new(),
        }
    }
}

/// The fields of one row, in one buffer.
#[derive(Debug, Default)]
pub struct Fields {
    /// The fields' bytes; empty when they are in `text`.
    bytes: Vec<u8>,
    /// The line, if nothing in it had to be changed and it is valid UTF-8.
    text: String,
    fields: Vec<FieldRange>,
}

/// Where a field is.
#[derive(Debug, Clone, Copy)]
struct FieldRange {
    start: usize,
    end: usize,
    null: bool,
}

impl Fields {
    /// How many fields.
    #[allow(clippy::len_without_is_empty, reason = "a row always has a field")]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// A field's bytes, or `None` for NULL.
    #[inline]
    pub fn field(&self, index: usize) -> Option<&[u8]> {
        let FieldRange { start, end, null } = self.fields[index];
        let bytes = if self.text.is_empty() { &self.bytes } else { self.text.as_bytes() };
        (!null).then(|| &bytes[start..end])
    }

    /// A field's text, or `None` for NULL.
    ///
    /// # Errors
    /// When it is not valid UTF-8.
    #[inline]
    pub fn text(&self, index: usize) -> Result<Option<&str>, std::str::Utf8Error> {
        let FieldRange { start, end, null } = self.fields[index];
        if null {
            return Ok(None);
        }
        if self.text.is_empty() {
            return std::str::from_utf8(&self.bytes[start..end]).map(Some);
        }
        Ok(Some(&self.text[start..end]))
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.text.clear();
        self.fields.clear();
    }

    /// Ends a field whose bytes were put behind those of the one before.
    fn end_field(&mut self, null: bool) {
        let start = self.fields.last().map_or(0, |field| field.end);
        self.fields.push(FieldRange { start, end: self.bytes.len(), null });
    }
}

/// What the reader found next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// A whole row is in the fields.
    Row,
    /// More bytes are needed.
    More,
    /// The end marker `\.` of the text format.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineEnd {
    Unknown,
    Newline,
    CarriageReturn,
    Both,
}

/// Splits a stream into rows.
#[derive(Debug)]
pub struct LineReader {
    format: CopyFormat,
    buffer: Vec<u8>,
    /// Where the unread part starts.
    start: usize,
    /// Up to where a line's end has been looked for, and whether that place is inside quotes.
    scanned: usize,
    in_quotes: bool,
    finished: bool,
    line_end: LineEnd,
    /// The number of the line handed out last, from 1.
    pub line: u64,
}

impl LineReader {
    /// A reader at the start of a stream.
    pub fn new(format: CopyFormat) -> LineReader {
        LineReader {
            format,
            buffer: Vec::new(),
            start: 0,
            scanned: 0,
            in_quotes: false,
            finished: false,
            line_end: LineEnd::Unknown,
            line: 0,
        }
    }

    /// Adds a chunk of the stream.
    pub fn push(&mut self, chunk: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.scanned -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(chunk);
    }

    /// Says that no more chunks come: what is left is the last row.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// The next row.
    ///
    /// # Errors
    /// 22P04 for input that breaks the format's rules.
    pub fn next(&mut self, fields: &mut Fields) -> Result<Next> {
        fields.clear();
        let (end, after) = match self.find_line_end()? {
            Some(found) => found,
            None if self.finished && self.start < self.buffer.len() => {
                if self.in_quotes {
                    self.line += 1;
                    return Err(bad_format("unterminated CSV quoted field"));
                }
                (self.buffer.len(), self.buffer.len())
            }
            None => return Ok(Next::More),
        };
        self.line += 1;
        let line = self.start..end;
        self.start = after;
        self.scanned = after;
        let bytes = &self.buffer[line];
        if bytes == b"\\." {
            return Ok(Next::End);
        }
        match self.format.style {
            Style::Text => split_text(&self.format, bytes, fields)?,
            Style::Csv => split_csv(&self.format, bytes, fields)?,
        }
        Ok(Next::Row)
    }

    /// Finds the end of the line that starts at `start`: its end, and where the next begins.
    fn find_line_end(&mut self) -> Result<Option<(usize, usize)>> {
        let csv = self.format.style == Style::Csv;
        let mut i = self.scanned.max(self.start);
        while i < self.buffer.len() {
            if !csv {
                // Other bytes mean nothing to the text format.
                match memchr::memchr3(b'\n', b'\r', b'\\', &self.buffer[i..]) {
                    Some(found) => i += found,
                    None => break,
                }
            }
            let byte = self.buffer[i];
            match byte {
                b'\n' if !self.in_quotes => {
                    self.expect_line_end(LineEnd::Newline)?;
                    self.scanned = i + 1;
                    return Ok(Some((i, i + 1)));
                }
                b'\r' if !self.in_quotes => {
                    if i + 1 == self.buffer.len() && !self.finished {
                        // Whether a newline follows decides what ends this line.
                        self.scanned = i;
                        return Ok(None);
                    }
                    if self.buffer.get(i + 1) == Some(&b'\n') {
                        self.expect_line_end(LineEnd::Both)?;
                        self.scanned = i + 2;
                        return Ok(Some((i, i + 2)));
                    }
                    self.expect_line_end(LineEnd::CarriageReturn)?;
                    self.scanned = i + 1;
                    return Ok(Some((i, i + 1)));
                }
                b'\\' if !csv => {
                    // An escaped byte never ends a line, a backslash before a newline included.
                    if i + 1 == self.buffer.len() {
                        self.scanned = i;
                        if self.finished {
                            self.scanned = self.buffer.len();
                        }
                        return Ok(None);
                    }
                    i += 1;
                }
                _ if csv && self.in_quotes && byte == self.format.escape && byte != self.format.quote => {
                    if i + 1 == self.buffer.len() && !self.finished {
                        self.scanned = i;
                        return Ok(None);
                    }
                    i += 1;
                }
                _ if csv && byte == self.format.quote => self.in_quotes = !self.in_quotes,
                _ => {}
            }
            i += 1;
        }
        self.scanned = self.buffer.len();
        Ok(None)
    }

    fn expect_line_end(&mut self, found: LineEnd) -> Result<()> {
        if self.line_end == LineEnd::Unknown {
            self.line_end = found;
        }
        if self.line_end == found {
            return Ok(());
        }
        self.line += 1;
        let csv = self.format.style == Style::Csv;
        let kind = if found == LineEnd::Newline { "newline" } else { "carriage return" };
        let (what, hint) = match csv {
            true => ("unquoted", format!("Use quoted CSV field to represent {kind}.")),
            false => {
                let escape = if found == LineEnd::Newline { "\\n" } else { "\\r" };
                ("literal", format!("Use \"{escape}\" to represent {kind}."))
            }
        };
        Err(bad_format(format!("{what} {kind} found in data")).hint(hint))
    }
}

fn split_text(format: &CopyFormat, line: &[u8], fields: &mut Fields) -> Result<()> {
    let mut start = 0;
    // Up to the first backslash fields are what stands in the line.
    let mut add = |end: usize, fields: &mut Fields| {
        fields.fields.push(FieldRange { start, end, null: line[start..end] == format.null[..] });
        start = end + 1;
    };
    for special in memchr::memchr2_iter(format.delimiter, b'\\', line) {
        if line[special] == b'\\' {
            fields.clear();
            return split_escaped(format, line, fields);
        }
        add(special, fields);
    }
    add(line.len(), fields);
    match std::str::from_utf8(line) {
        Ok(text) => fields.text.push_str(text),
        Err(_) => fields.bytes.extend_from_slice(line),
    }
    Ok(())
}

/// Splits a line with backslashes.
fn split_escaped(format: &CopyFormat, line: &[u8], fields: &mut Fields) -> Result<()> {
    let mut raw_start = 0;
    let mut i = 0;
    loop {
        match line.get(i) {
            None => {
                fields.end_field(line[raw_start..] == format.null[..]);
                return Ok(());
            }
            Some(byte) if *byte == format.delimiter => {
                fields.end_field(line[raw_start..i] == format.null[..]);
                i += 1;
                raw_start = i;
            }
            Some(b'\\') => i = unescape(line, i + 1, &mut fields.bytes),
            Some(_) => {
                // Copies the run up to the next special byte at once.
                let rest = &line[i..];
                let run =
                    rest.iter().position(|b| *b == b'\\' || *b == format.delimiter).unwrap_or(rest.len());
                fields.bytes.extend_from_slice(&rest[..run]);
                i += run;
            }
        }
    }
}

/// Reads the escape after a backslash at `i - 1`; returns where the rest begins.
fn unescape(line: &[u8], mut i: usize, out: &mut Vec<u8>) -> usize {
    let Some(byte) = line.get(i) else {
        out.push(b'\\');
        return i;
    };
    i += 1;
    match byte {
        b'b' => out.push(8),
        b'f' => out.push(12),
        b'n' => out.push(b'\n'),
        b'r' => out.push(b'\r'),
        b't' => out.push(b'\t'),
        b'v' => out.push(11),
        b'0'..=b'7' => {
            let mut value = u32::from(byte - b'0');
            for _ in 0..2 {
                match line.get(i) {
                    Some(digit @ b'0'..=b'7') => value = value * 8 + u32::from(digit - b'0'),
                    _ => break,
                }
                i += 1;
            }
            out.push(value as u8);
        }
        b'x' => {
            let hex = |i: usize| line.get(i).and_then(|b| (*b as char).to_digit(16));
            match hex(i) {
                None => out.push(b'x'),
                Some(first) => {
                    let mut value = first;
                    i += 1;
                    if let Some(second) = hex(i) {
                        value = value * 16 + second;
                        i += 1;
                    }
                    out.push(value as u8);
                }
            }
        }
        other => out.push(*other),
    }
    i
}

fn split_csv(format: &CopyFormat, line: &[u8], fields: &mut Fields) -> Result<()> {
    let mut i = 0;
    loop {
        let start = fields.bytes.len();
        let mut quoted = false;
        let mut in_quotes = false;
        let mut ended_line = true;
        while let Some(byte) = line.get(i) {
            i += 1;
            if in_quotes {
                if *byte == format.escape
                    && line.get(i).is_some_and(|next| *next == format.escape || *next == format.quote)
                {
                    fields.bytes.push(line[i]);
                    i += 1;
                } else if *byte == format.quote {
                    in_quotes = false;
                } else {
                    fields.bytes.push(*byte);
                }
            } else if *byte == format.delimiter {
                ended_line = false;
                break;
            } else if *byte == format.quote {
                quoted = true;
                in_quotes = true;
            } else {
                fields.bytes.push(*byte);
            }
        }
        if in_quotes {
            return Err(bad_format("unterminated CSV quoted field"));
        }
        let index = fields.len();
        let is_null_text = fields.bytes[start..] == format.null[..];
        let null = if quoted {
            is_null_text && format.force_null.get(index) == Some(&true)
        } else {
            is_null_text && format.force_not_null.get(index) != Some(&true)
        };
        fields.end_field(null);
        if ended_line {
            return Ok(());
        }
    }
}

/// Appends one field in the format's form.
pub fn write_field(
    format: &CopyFormat,
    index: usize,
    value: Option<&[u8]>,
    columns: usize,
    out: &mut Vec<u8>,
) {
    if index > 0 {
        out.push(format.delimiter);
    }
    let Some(value) = value else {
        out.extend_from_slice(&format.null);
        return;
    };
    match format.style {
        Style::Text => write_text(format, value, out),
        Style::Csv => write_csv(format, index, value, columns, out),
    }
}

/// Appends a row's end.
pub fn write_line_end(out: &mut Vec<u8>) {
    out.push(b'\n');
}

/// Whether the text format writes a byte in another way.
#[inline]
fn is_special(format: &CopyFormat, byte: u8) -> bool {
    (8..=13).contains(&byte) || byte == b'\\' || byte == format.delimiter
}

/// Appends a field that `print` appends the text of, and that is printed in place if it has nothing to escape.
///
/// # Errors
/// Those of `print`; the field is not whole then.
pub fn write_printed(
    format: &CopyFormat,
    index: usize,
    columns: usize,
    out: &mut Vec<u8>,
    print: impl FnOnce(&mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    if index > 0 {
        out.push(format.delimiter);
    }
    let start = out.len();
    print(out)?;
    let plain = format.style == Style::Text && !out[start..].iter().any(|byte| is_special(format, *byte));
    if !plain {
        let value = out.split_off(start);
        match format.style {
            Style::Text => write_text(format, &value, out),
            Style::Csv => write_csv(format, index, &value, columns, out),
        }
    }
    Ok(())
}

fn write_text(format: &CopyFormat, value: &[u8], out: &mut Vec<u8>) {
    let mut rest = value;
    while let Some(position) = rest.iter().position(|b| is_special(format, *b)) {
        out.extend_from_slice(&rest[..position]);
        out.push(b'\\');
        out.push(match rest[position] {
            8 => b'b',
            12 => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            11 => b'v',
            other => other,
        });
        rest = &rest[position + 1..];
    }
    out.extend_from_slice(rest);
}

fn write_csv(format: &CopyFormat, index: usize, value: &[u8], columns: usize, out: &mut Vec<u8>) {
    let forced = format.force_quote.get(index) == Some(&true);
    let quote = forced
        || value == &format.null[..]
        || (columns == 1 && value == b"\\.")
        || value.iter().any(|b| *b == format.delimiter || *b == format.quote || *b == b'\n' || *b == b'\r');
    if !quote {
        out.extend_from_slice(value);
        return;
    }
    out.push(format.quote);
    for byte in value {
        if *byte == format.quote || *byte == format.escape {
            out.push(format.escape);
        }
        out.push(*byte);
    }
    out.push(format.quote);
}

#[cold]
fn bad_format(message: impl Into<String>) -> Error {
    Error::new(SqlState::BAD_COPY_FILE_FORMAT, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: &CopyFormat, chunks: &[&[u8]]) -> Vec<Vec<Option<String>>> {
        let mut reader = LineReader::new(format.clone());
        let mut fields = Fields::default();
        let mut rows = Vec::new();
        let mut drain = |reader: &mut LineReader| {
            while reader.next(&mut fields).unwrap() == Next::Row {
                rows.push(
                    (0..fields.len())
                        .map(|i| fields.field(i).map(|b| String::from_utf8(b.to_vec()).unwrap()))
                        .collect(),
                );
            }
        };
        for chunk in chunks {
            reader.push(chunk);
            drain(&mut reader);
        }
        reader.finish();
        drain(&mut reader);
        rows
    }

    fn row(fields: &[Option<&str>]) -> Vec<Option<String>> {
        fields.iter().map(|f| f.map(str::to_string)).collect()
    }

    #[test]
    fn text_is_unescaped_and_null_is_told_from_its_escape() {
        let format = CopyFormat::new(Style::Text);
        let rows = read(&format, &[b"1\ta\\tb\\\\\t\\N\n2\t\\\\N\t\\x41\\101\n"]);
        assert_eq!(
            rows,
            [row(&[Some("1"), Some("a\tb\\"), None]), row(&[Some("2"), Some("\\N"), Some("AA")])]
        );
    }

    #[test]
    fn printed_fields_are_escaped_like_given_ones() {
        for style in [Style::Text, Style::Csv] {
            let format = CopyFormat::new(style);
            for value in ["", "12.5", "a\tb\\", "\\N", "a,\"b\"", "x\ny"] {
                let (mut given, mut printed) = (b"1".to_vec(), b"1".to_vec());
                write_field(&format, 1, Some(value.as_bytes()), 2, &mut given);
                let print = |out: &mut Vec<u8>| {
                    out.extend_from_slice(value.as_bytes());
                    Ok(())
                };
                write_printed(&format, 1, 2, &mut printed, print).unwrap();
                assert_eq!(given, printed, "{style:?} {value:?}");
            }
        }
    }

    #[test]
    fn chunks_may_cut_anywhere() {
        let format = CopyFormat::new(Style::Csv);
        let input = b"1,\"a \"\"q\"\"\r\nx\",\r\n2,\"\",z\r\n";
        let whole = read(&format, &[input]);
        assert_eq!(
            whole,
            [row(&[Some("1"), Some("a \"q\"\r\nx"), None]), row(&[Some("2"), Some(""), Some("z")])]
        );
        for cut in 0..input.len() {
            assert_eq!(read(&format, &[&input[..cut], &input[cut..]]), whole, "cut at {cut}");
        }
        let format = CopyFormat::new(Style::Text);
        let input = b"1\t\\N\tplain\n2\ta\\\tb\\\nc\t\n\t\t\\\\\n";
        let whole = read(&format, &[input]);
        let rows = [
            row(&[Some("1"), None, Some("plain")]),
            row(&[Some("2"), Some("a\tb\nc"), Some("")]),
            row(&[Some(""), Some(""), Some("\\")]),
        ];
        assert_eq!(whole, rows);
        for cut in 0..input.len() {
            assert_eq!(read(&format, &[&input[..cut], &input[cut..]]), whole, "cut at {cut}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let values: [Option<&[u8]>; 4] = [Some(b"a\tb\n\\"), None, Some(b""), Some(b"\\N,\"x\"")];
        for style in [Style::Text, Style::Csv] {
            let format = CopyFormat::new(style);
            let mut out = Vec::new();
            for (i, value) in values.iter().enumerate() {
                write_field(&format, i, *value, values.len(), &mut out);
            }
            write_line_end(&mut out);
            let rows = read(&format, &[&out]);
            let expected: Vec<Option<String>> =
                values.iter().map(|v| v.map(|b| String::from_utf8(b.to_vec()).unwrap())).collect();
            assert_eq!(rows, [expected], "{style:?}");
        }
    }

    #[test]
    fn an_open_quote_is_an_error() {
        let mut reader = LineReader::new(CopyFormat::new(Style::Csv));
        reader.push(b"1,\"abc\n");
        reader.finish();
        let error = reader.next(&mut Fields::default()).unwrap_err();
        assert_eq!(error.message(), "unterminated CSV quoted field");
    }
}
