//! The grammar of bodies.

use ochre_base::{Error, Result, SqlState};
use ochre_parser::scan::Tok;

use crate::ast::{
    Block, Body, CASE_VARIABLE, CaseBranch, Condition, Conflict, Declaration, DeclarationKind,
    FetchDirection, Fragment, Handler, Into, OpenSource, Raise, RaiseLevel, RaiseOption, RowSource,
    Statement, StatementKind, Subscript, Target, VariableType,
};
use crate::reader::{Reader, expression, statement};

/// Statements within statements.
const MAX_DEPTH: usize = 500;

/// Parses a routine's body.
///
/// # Errors
/// 42601 and what the parser of SQL says of the pieces; 54001 for statements nested too deep.
pub fn parse(text: &str) -> Result<Body> {
    let mut parser = Parser { reader: Reader::new(text), depth: 0 };
    let conflict = parser.options()?;
    let label = parser.label()?;
    let block = parser.block(label)?;
    parser.reader.take(Tok::Semicolon);
    match parser.reader.tok() {
        Tok::Eof => Ok(Body { block, conflict }),
        _ => Err(parser.reader.syntax_error()),
    }
}

struct Parser<'a> {
    reader: Reader<'a>,
    depth: usize,
}

fn syntax(message: impl std::convert::Into<String>) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, message)
}

impl Parser<'_> {
    /// `#variable_conflict …`, `#option dump`, `#print_strict_params …`.
    fn options(&mut self) -> Result<Conflict> {
        let mut conflict = Conflict::Error;
        while self.reader.raw() == "#" {
            self.reader.advance();
            let name = self.reader.name()?;
            let value = self.reader.name()?;
            match (name.as_str(), value.as_str()) {
                ("variable_conflict", "error") => conflict = Conflict::Error,
                ("variable_conflict", "use_variable") => conflict = Conflict::UseVariable,
                ("variable_conflict", "use_column") => conflict = Conflict::UseColumn,
                ("print_strict_params", "on" | "off") => {}
                _ => return Err(syntax(format!("syntax error at or near \"{name}\""))),
            }
        }
        Ok(conflict)
    }

    fn label(&mut self) -> Result<Option<String>> {
        if !self.reader.take_operator("<<") {
            return Ok(None);
        }
        let name = self.reader.name()?;
        if !self.reader.take_operator(">>") {
            return Err(self.reader.syntax_error());
        }
        Ok(Some(name))
    }

    /// A label behind END must be the one before the block or loop.
    fn end_label(&mut self, label: Option<&str>) -> Result<()> {
        if self.reader.tok() == Tok::Semicolon || !self.reader.at_name() {
            return Ok(());
        }
        let end = self.reader.name()?;
        match label {
            Some(label) if label == end => Ok(()),
            Some(label) => Err(syntax(format!("end label \"{end}\" differs from block's label \"{label}\""))),
            None => Err(syntax(format!("end label \"{end}\" specified for unlabeled block"))),
        }
    }

    fn block(&mut self, label: Option<String>) -> Result<Block> {
        let mut declarations = Vec::new();
        while self.reader.take_word("declare") {
            while !self.reader.at_word("begin") && !self.reader.at_word("declare") {
                if self.reader.raw() == "<<" {
                    return Err(syntax("block label must be placed before DECLARE, not after"));
                }
                declarations.push(self.declaration()?);
            }
        }
        self.reader.expect_word("begin")?;
        let body = self.statements(&["end", "exception"])?;
        let mut handlers = Vec::new();
        if self.reader.take_word("exception") {
            while self.reader.at_word("when") {
                handlers.push(self.handler()?);
            }
            if handlers.is_empty() {
                return Err(self.reader.syntax_error());
            }
        }
        self.reader.expect_word("end")?;
        self.end_label(label.as_deref())?;
        Ok(Block { label, declarations, body, handlers })
    }

    fn handler(&mut self) -> Result<Handler> {
        let line = self.reader.line();
        self.reader.expect_word("when")?;
        let mut conditions = vec![self.condition()?];
        while self.reader.take_word("or") {
            conditions.push(self.condition()?);
        }
        self.reader.expect_word("then")?;
        let body = self.statements(&["when", "end"])?;
        Ok(Handler { conditions, body, line })
    }

    fn condition(&mut self) -> Result<Condition> {
        let name = self.reader.name()?;
        if name == "sqlstate" {
            let state = self.reader.string()?;
            return check_state(state).map(Condition::State);
        }
        Ok(if name == "others" { Condition::Others } else { Condition::Name(name) })
    }

    fn declaration(&mut self) -> Result<Declaration> {
        let line = self.reader.line();
        let name = self.reader.name()?;
        let kind = self.declaration_kind()?;
        self.reader.expect(Tok::Semicolon)?;
        Ok(Declaration { name, line, kind })
    }

    fn declaration_kind(&mut self) -> Result<DeclarationKind> {
        if self.reader.take_word("alias") {
            self.reader.expect_word("for")?;
            return Ok(DeclarationKind::Alias(self.reader.dotted_name()?));
        }
        let scroll = match (self.reader.at_word("no"), self.reader.at_word("scroll")) {
            (true, _) if self.reader.word_ahead(1, "scroll") => {
                self.reader.advance();
                self.reader.advance();
                Some(false)
            }
            (_, true) if self.reader.word_ahead(1, "cursor") => {
                self.reader.advance();
                Some(true)
            }
            _ => None,
        };
        if self.reader.take_word("cursor") {
            return self.cursor(scroll);
        }
        let constant = self.reader.at_word("constant") && self.reader.peek(1) != Tok::Semicolon;
        if constant {
            self.reader.advance();
        }
        let ty = self.variable_type()?;
        if self.reader.take_word("collate") {
            let name = self.reader.dotted_name()?;
            if !matches!(name.last().map(String::as_str), Some("C" | "default" | "POSIX")) {
                return Err(Error::unsupported("COLLATE of a variable"));
            }
        }
        let not_null = self.reader.take_word("not");
        if not_null {
            self.reader.expect_word("null")?;
        }
        let assigns = self.reader.take(Tok::ColonEquals)
            || self.reader.take(Tok::Equals)
            || self.reader.take_word("default");
        let default = if assigns { Some(self.reader.expression_until(Tok::Semicolon)?) } else { None };
        Ok(DeclarationKind::Variable { constant, ty, not_null, default })
    }

    fn cursor(&mut self, scroll: Option<bool>) -> Result<DeclarationKind> {
        let mut arguments = Vec::new();
        if self.reader.take(Tok::LeftParen) {
            loop {
                let name = self.reader.name()?;
                arguments.push((name, self.variable_type()?));
                if !self.reader.take(Tok::Comma) {
                    break;
                }
            }
            self.reader.expect(Tok::RightParen)?;
        }
        if !self.reader.take_word("for") {
            self.reader.expect_word("is")?;
        }
        let (text, line) = self.reader.text_until(|reader| reader.tok() == Tok::Semicolon)?;
        Ok(DeclarationKind::Cursor { scroll, arguments, query: statement(text, line)? })
    }

    fn variable_type(&mut self) -> Result<VariableType> {
        let start = self.reader.place();
        if self.reader.at_word("record") && !matches!(self.reader.peek(1), Tok::Dot | Tok::Percent) {
            self.reader.advance();
            return Ok(VariableType::Record);
        }
        // `name%TYPE` and `name%ROWTYPE`.
        if self.reader.at_name() {
            let name = self.reader.dotted_name();
            if let Ok(name) = name
                && self.reader.take(Tok::Percent)
            {
                if self.reader.take_word("type") {
                    let array = self.array_bounds()?;
                    return Ok(VariableType::TypeOf(name, array));
                }
                if self.reader.take_word("rowtype") {
                    return Ok(VariableType::RowOf(name));
                }
                return Err(self.reader.syntax_error());
            }
            self.reader.go_to(start);
        }
        let (text, _) = self.reader.text_until(|reader| {
            matches!(
                reader.tok(),
                Tok::Semicolon | Tok::ColonEquals | Tok::Equals | Tok::Comma | Tok::RightParen
            ) || ["not", "default", "collate"].iter().any(|word| reader.at_word(word))
        })?;
        if text.is_empty() {
            return Err(syntax("missing data type declaration"));
        }
        ochre_parser::parse_type_name(&text).map(VariableType::Named).map_err(|mut error| {
            error.fields_mut().position = None;
            error
        })
    }

    fn array_bounds(&mut self) -> Result<bool> {
        let mut found = false;
        while self.reader.take(Tok::LeftBracket) {
            self.reader.take(Tok::Integer);
            self.reader.expect(Tok::RightBracket)?;
            found = true;
        }
        Ok(found | self.reader.take_word("array"))
    }

    fn statements(&mut self, ends: &[&str]) -> Result<Vec<Statement>> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded"));
        }
        let mut list = Vec::new();
        while !ends.iter().any(|word| self.reader.at_word(word)) {
            list.push(self.statement()?);
        }
        self.depth -= 1;
        Ok(list)
    }

    fn statement(&mut self) -> Result<Statement> {
        let line = self.reader.line();
        let label = self.label()?;
        let kind = self.statement_kind(label)?;
        if !matches!(self.reader.tok(), Tok::Semicolon) {
            return Err(self.reader.syntax_error());
        }
        self.reader.advance();
        Ok(Statement { line, kind })
    }

    fn statement_kind(&mut self, label: Option<String>) -> Result<StatementKind> {
        let reader = &mut self.reader;
        if reader.at_word("declare") || reader.at_word("begin") {
            return Ok(StatementKind::Block(self.block(label)?));
        }
        if reader.take_word("loop") {
            let body = self.loop_body(label.as_deref())?;
            return Ok(StatementKind::Loop { label, body });
        }
        if reader.take_word("while") {
            let condition = reader.expression_until_word("loop")?;
            reader.advance();
            let body = self.loop_body(label.as_deref())?;
            return Ok(StatementKind::While { label, condition, body });
        }
        if reader.take_word("for") {
            return self.for_loop(label);
        }
        if reader.take_word("foreach") {
            return self.foreach(label);
        }
        if label.is_some() {
            return Err(reader.syntax_error());
        }
        if self.is_assignment() {
            let target = self.target()?;
            self.reader.advance();
            let value = self.reader.expression_until(Tok::Semicolon)?;
            return Ok(StatementKind::Assign { target, value });
        }
        let word = match self.reader.tok() {
            Tok::Kw(_) | Tok::Ident => self.reader.raw().to_ascii_lowercase(),
            _ => return Err(self.reader.syntax_error()),
        };
        let place = self.reader.place();
        self.reader.advance();
        match word.as_str() {
            "null" => Ok(StatementKind::Null),
            "if" => self.if_statement(),
            "case" => self.case_statement(),
            "exit" | "continue" => self.exit(word == "continue"),
            "return" => self.return_statement(),
            "raise" => Ok(StatementKind::Raise(self.raise()?)),
            "assert" => {
                let condition =
                    self.reader.expression(|reader| matches!(reader.tok(), Tok::Comma | Tok::Semicolon))?;
                let message = match self.reader.take(Tok::Comma) {
                    true => Some(self.reader.expression_until(Tok::Semicolon)?),
                    false => None,
                };
                Ok(StatementKind::Assert { condition, message })
            }
            "perform" => Ok(StatementKind::Perform(self.reader.expression_until(Tok::Semicolon)?)),
            "call" | "do" => {
                self.reader.go_to(place);
                let (text, line) = self.reader.text_until(|reader| reader.tok() == Tok::Semicolon)?;
                Ok(StatementKind::Call(statement(text, line)?))
            }
            "execute" => self.execute(),
            "get" => self.diagnostics(),
            "open" => self.open(),
            "fetch" => self.fetch(false),
            "move" => self.fetch(true),
            "close" => Ok(StatementKind::Close(self.target()?)),
            "commit" | "rollback" => {
                let chain = if self.reader.take_word("and") {
                    let no = self.reader.take_word("no");
                    self.reader.expect_word("chain")?;
                    !no
                } else {
                    false
                };
                Ok(match word.as_str() {
                    "commit" => StatementKind::Commit { chain },
                    _ => StatementKind::Rollback { chain },
                })
            }
            _ => {
                self.reader.go_to(place);
                self.sql()
            }
        }
    }

    /// Whether the statement begins with a target and `:=` or `=`.
    fn is_assignment(&mut self) -> bool {
        let place = self.reader.place();
        let mut found = false;
        if self.reader.at_name() && self.reader.dotted_name().is_ok() {
            let mut depth = 0_usize;
            loop {
                match self.reader.tok() {
                    Tok::LeftBracket => depth += 1,
                    Tok::RightBracket if depth > 0 => depth -= 1,
                    Tok::Eof | Tok::Error | Tok::Semicolon => break,
                    Tok::Dot if depth == 0 => {}
                    Tok::ColonEquals | Tok::Equals if depth == 0 => {
                        found = true;
                        break;
                    }
                    _ if depth == 0 => break,
                    _ => {}
                }
                self.reader.advance();
            }
        }
        self.reader.go_to(place);
        found
    }

    fn target(&mut self) -> Result<Target> {
        let line = self.reader.line();
        let name = self.reader.dotted_name()?;
        let mut subscripts = Vec::new();
        while self.reader.take(Tok::LeftBracket) {
            subscripts.push(self.subscript()?);
        }
        if self.reader.tok() == Tok::Dot {
            return Err(Error::unsupported("assignment to a field of an array's element"));
        }
        Ok(Target { name, subscripts, line })
    }

    fn subscript(&mut self) -> Result<Subscript> {
        let stop = |reader: &Reader<'_>| matches!(reader.tok(), Tok::Colon | Tok::RightBracket);
        let piece = |reader: &mut Reader<'_>| -> Result<Option<Fragment>> {
            let (text, line) = reader.text_until(stop)?;
            if text.is_empty() { Ok(None) } else { expression(text, line).map(Some) }
        };
        let first = piece(&mut self.reader)?;
        let found = match self.reader.take(Tok::Colon) {
            true => Subscript { lower: first, upper: piece(&mut self.reader)?, slice: true },
            false => Subscript { lower: None, upper: first, slice: false },
        };
        self.reader.expect(Tok::RightBracket)?;
        Ok(found)
    }

    fn targets(&mut self) -> Result<Vec<Target>> {
        let mut targets = vec![self.target()?];
        while self.reader.take(Tok::Comma) {
            targets.push(self.target()?);
        }
        Ok(targets)
    }

    fn loop_body(&mut self, label: Option<&str>) -> Result<Vec<Statement>> {
        let body = self.statements(&["end"])?;
        self.reader.expect_word("end")?;
        self.reader.expect_word("loop")?;
        self.end_label(label)?;
        Ok(body)
    }

    fn for_loop(&mut self, label: Option<String>) -> Result<StatementKind> {
        let targets = self.targets()?;
        self.reader.expect_word("in")?;
        if self.reader.take_word("execute") {
            let text = self.reader.expression(|reader| reader.at_word("loop") || reader.at_word("using"))?;
            let using = self.using(|reader| reader.at_word("loop"))?;
            self.reader.expect_word("loop")?;
            let body = self.loop_body(label.as_deref())?;
            return Ok(StatementKind::ForQuery {
                label,
                targets,
                source: RowSource::Dynamic { text, using },
                body,
            });
        }
        let place = self.reader.place();
        let reverse = self.reader.take_word("reverse");
        // `a .. b` is a range of integers; anything else a query or a cursor.
        let (first, line) =
            self.reader.text_until(|reader| reader.tok() == Tok::DotDot || reader.at_word("loop"))?;
        if self.reader.take(Tok::DotDot) {
            let lower = expression(first, line)?;
            let upper = self.reader.expression(|reader| reader.at_word("loop") || reader.at_word("by"))?;
            let step = match self.reader.take_word("by") {
                true => Some(self.reader.expression_until_word("loop")?),
                false => None,
            };
            self.reader.expect_word("loop")?;
            let [Target { name, .. }] = targets.as_slice() else {
                return Err(syntax("integer FOR loop must have only one target variable"));
            };
            let [variable] = name.as_slice() else { return Err(self.reader.syntax_error()) };
            let variable = variable.clone();
            let body = self.loop_body(label.as_deref())?;
            return Ok(StatementKind::ForInteger { label, variable, reverse, lower, upper, step, body });
        }
        if reverse {
            return Err(syntax("cannot specify REVERSE in query FOR loop"));
        }
        self.reader.go_to(place);
        let source = match self.cursor_source()? {
            Some(source) => source,
            None => {
                let (text, line) = self.reader.text_until(|reader| reader.at_word("loop"))?;
                RowSource::Query(statement(text, line)?)
            }
        };
        self.reader.expect_word("loop")?;
        let body = self.loop_body(label.as_deref())?;
        Ok(StatementKind::ForQuery { label, targets, source, body })
    }

    /// `cursor` or `cursor(arguments)` before LOOP.
    fn cursor_source(&mut self) -> Result<Option<RowSource>> {
        let place = self.reader.place();
        let is_query =
            ["select", "with", "values", "insert", "update", "delete", "table", "show", "explain", "merge"]
                .iter()
                .any(|word| self.reader.at_word(word));
        if is_query || !self.reader.at_name() {
            return Ok(None);
        }
        let name = self.reader.name()?;
        let arguments =
            if self.reader.tok() == Tok::LeftParen { self.cursor_arguments()? } else { Vec::new() };
        if self.reader.at_word("loop") {
            return Ok(Some(RowSource::Cursor { name, arguments }));
        }
        self.reader.go_to(place);
        Ok(None)
    }

    fn cursor_arguments(&mut self) -> Result<Vec<(Option<String>, Fragment)>> {
        self.reader.expect(Tok::LeftParen)?;
        let mut arguments = Vec::new();
        while self.reader.tok() != Tok::RightParen {
            let named =
                self.reader.at_name() && matches!(self.reader.peek(1), Tok::ColonEquals | Tok::EqualsGreater);
            let name = if named {
                let name = self.reader.name()?;
                self.reader.advance();
                Some(name)
            } else {
                None
            };
            let value =
                self.reader.expression(|reader| matches!(reader.tok(), Tok::Comma | Tok::RightParen))?;
            arguments.push((name, value));
            if !self.reader.take(Tok::Comma) {
                break;
            }
        }
        self.reader.expect(Tok::RightParen)?;
        Ok(arguments)
    }

    fn using(&mut self, stop: impl Fn(&Reader<'_>) -> bool + Copy) -> Result<Vec<Fragment>> {
        let mut values = Vec::new();
        if self.reader.take_word("using") {
            loop {
                values.push(self.reader.expression(|reader| reader.tok() == Tok::Comma || stop(reader))?);
                if !self.reader.take(Tok::Comma) {
                    break;
                }
            }
        }
        Ok(values)
    }

    fn foreach(&mut self, label: Option<String>) -> Result<StatementKind> {
        let targets = self.targets()?;
        let mut slice = 0;
        if self.reader.take_word("slice") {
            slice = self.reader.raw().parse().map_err(|_| self.reader.syntax_error())?;
            self.reader.advance();
        }
        self.reader.expect_word("in")?;
        self.reader.expect_word("array")?;
        let array = self.reader.expression_until_word("loop")?;
        self.reader.advance();
        let body = self.loop_body(label.as_deref())?;
        Ok(StatementKind::Foreach { label, targets, slice, array, body })
    }

    fn if_statement(&mut self) -> Result<StatementKind> {
        const ENDS: [&str; 4] = ["elsif", "elseif", "else", "end"];
        let mut branches = Vec::new();
        loop {
            let condition = self.reader.expression_until_word("then")?;
            self.reader.advance();
            branches.push((condition, self.statements(&ENDS)?));
            if !self.reader.take_word("elsif") && !self.reader.take_word("elseif") {
                break;
            }
        }
        let otherwise = if self.reader.take_word("else") { self.statements(&["end"])? } else { Vec::new() };
        self.reader.expect_word("end")?;
        self.reader.expect_word("if")?;
        Ok(StatementKind::If { branches, otherwise })
    }

    fn case_statement(&mut self) -> Result<StatementKind> {
        let operand = match self.reader.at_word("when") {
            true => None,
            false => Some(self.reader.expression_until_word("when")?),
        };
        let mut branches = Vec::new();
        while self.reader.take_word("when") {
            let condition = match operand {
                Some(_) => {
                    let (values, line) = self.reader.text_until(|reader| reader.at_word("then"))?;
                    expression(format!("\"{CASE_VARIABLE}\" IN ({values})"), line)?
                }
                None => self.reader.expression_until_word("then")?,
            };
            self.reader.expect_word("then")?;
            branches.push(CaseBranch { condition, body: self.statements(&["when", "else", "end"])? });
        }
        let otherwise = match self.reader.take_word("else") {
            true => Some(self.statements(&["end"])?),
            false => None,
        };
        self.reader.expect_word("end")?;
        self.reader.expect_word("case")?;
        Ok(StatementKind::Case { operand, branches, otherwise })
    }

    fn exit(&mut self, is_continue: bool) -> Result<StatementKind> {
        let label = match self.reader.at_name() && !self.reader.at_word("when") {
            true => Some(self.reader.name()?),
            false => None,
        };
        let condition = match self.reader.take_word("when") {
            true => Some(self.reader.expression_until(Tok::Semicolon)?),
            false => None,
        };
        Ok(StatementKind::Exit { is_continue, label, condition })
    }

    fn return_statement(&mut self) -> Result<StatementKind> {
        if self.reader.take_word("next") {
            return Ok(StatementKind::ReturnNext(self.optional_expression()?));
        }
        if self.reader.take_word("query") {
            if self.reader.take_word("execute") {
                let text = self
                    .reader
                    .expression(|reader| reader.tok() == Tok::Semicolon || reader.at_word("using"))?;
                let using = self.using(|reader| reader.tok() == Tok::Semicolon)?;
                return Ok(StatementKind::ReturnQuery(RowSource::Dynamic { text, using }));
            }
            let (text, line) = self.reader.text_until(|reader| reader.tok() == Tok::Semicolon)?;
            return Ok(StatementKind::ReturnQuery(RowSource::Query(statement(text, line)?)));
        }
        Ok(StatementKind::Return(self.optional_expression()?))
    }

    fn optional_expression(&mut self) -> Result<Option<Fragment>> {
        if self.reader.tok() == Tok::Semicolon {
            return Ok(None);
        }
        self.reader.expression_until(Tok::Semicolon).map(Some)
    }

    fn raise(&mut self) -> Result<Raise> {
        let mut raise = Raise {
            level: RaiseLevel::Exception,
            condition: None,
            format: None,
            arguments: Vec::new(),
            options: Vec::new(),
        };
        let levels = [
            ("debug", RaiseLevel::Debug),
            ("log", RaiseLevel::Log),
            ("info", RaiseLevel::Info),
            ("notice", RaiseLevel::Notice),
            ("warning", RaiseLevel::Warning),
            ("exception", RaiseLevel::Exception),
        ];
        if let Some((_, level)) = levels.iter().find(|(word, _)| self.reader.at_word(word)) {
            raise.level = *level;
            self.reader.advance();
        }
        if self.reader.at_string() {
            let format = self.reader.string()?;
            while self.reader.take(Tok::Comma) {
                raise.arguments.push(self.reader.expression(|reader| {
                    matches!(reader.tok(), Tok::Comma | Tok::Semicolon) || reader.at_word("using")
                })?);
            }
            let wanted = placeholders(&format);
            if raise.arguments.len() > wanted {
                return Err(syntax("too many parameters specified for RAISE"));
            }
            if raise.arguments.len() < wanted {
                return Err(syntax("too few parameters specified for RAISE"));
            }
            raise.format = Some(format);
        } else if self.reader.at_name() && !self.reader.at_word("using") {
            raise.condition = Some(self.condition()?);
        }
        if self.reader.take_word("using") {
            loop {
                let name = self.reader.name()?;
                let option =
                    raise_option(&name).ok_or_else(|| syntax("unrecognized RAISE statement option"))?;
                if !self.reader.take(Tok::Equals) && !self.reader.take(Tok::ColonEquals) {
                    return Err(self.reader.syntax_error());
                }
                let value =
                    self.reader.expression(|reader| matches!(reader.tok(), Tok::Comma | Tok::Semicolon))?;
                raise.options.push((option, value));
                if !self.reader.take(Tok::Comma) {
                    break;
                }
            }
        }
        Ok(raise)
    }

    fn execute(&mut self) -> Result<StatementKind> {
        let stop = |reader: &Reader<'_>| {
            reader.tok() == Tok::Semicolon || reader.at_word("into") || reader.at_word("using")
        };
        let text = self.reader.expression(stop)?;
        let mut into = None;
        let mut using = Vec::new();
        loop {
            if self.reader.take_word("into") {
                if into.is_some() {
                    return Err(self.reader.syntax_error());
                }
                into = Some(self.into()?);
            } else if self.reader.at_word("using") && using.is_empty() {
                using = self.using(|reader| reader.tok() == Tok::Semicolon || reader.at_word("into"))?;
            } else {
                break;
            }
        }
        Ok(StatementKind::Execute { text, into, using })
    }

    fn into(&mut self) -> Result<Into> {
        let strict = self.reader.take_word("strict");
        Ok(Into { strict, targets: self.targets()? })
    }

    fn diagnostics(&mut self) -> Result<StatementKind> {
        let stacked = self.reader.take_word("stacked");
        if !stacked {
            self.reader.take_word("current");
        }
        self.reader.expect_word("diagnostics")?;
        let mut items = Vec::new();
        loop {
            let target = self.target()?;
            if !self.reader.take(Tok::Equals) && !self.reader.take(Tok::ColonEquals) {
                return Err(self.reader.syntax_error());
            }
            let item = self.reader.name()?;
            let allowed: &[&str] = match stacked {
                true => &[
                    "returned_sqlstate",
                    "message_text",
                    "pg_exception_detail",
                    "pg_exception_hint",
                    "pg_exception_context",
                    "column_name",
                    "constraint_name",
                    "pg_datatype_name",
                    "table_name",
                    "schema_name",
                ],
                false => &["row_count", "pg_context", "pg_routine_oid"],
            };
            if !allowed.contains(&item.as_str()) {
                let what = if stacked { "STACKED" } else { "CURRENT" };
                return Err(syntax(format!(
                    "diagnostics item {} is not allowed in GET {what} DIAGNOSTICS",
                    item.to_ascii_uppercase()
                )));
            }
            items.push((target, item));
            if !self.reader.take(Tok::Comma) {
                break;
            }
        }
        Ok(StatementKind::GetDiagnostics { stacked, items })
    }

    fn open(&mut self) -> Result<StatementKind> {
        let cursor = self.target()?;
        if self.reader.tok() == Tok::LeftParen {
            let arguments = self.cursor_arguments()?;
            return Ok(StatementKind::Open { cursor, scroll: None, source: OpenSource::Bound(arguments) });
        }
        if self.reader.tok() == Tok::Semicolon {
            return Ok(StatementKind::Open { cursor, scroll: None, source: OpenSource::Bound(Vec::new()) });
        }
        let no = self.reader.take_word("no");
        let scroll = match self.reader.take_word("scroll") {
            true => Some(!no),
            false if no => return Err(self.reader.syntax_error()),
            false => None,
        };
        self.reader.expect_word("for")?;
        if self.reader.take_word("execute") {
            let text =
                self.reader.expression(|reader| reader.tok() == Tok::Semicolon || reader.at_word("using"))?;
            let using = self.using(|reader| reader.tok() == Tok::Semicolon)?;
            return Ok(StatementKind::Open { cursor, scroll, source: OpenSource::Dynamic { text, using } });
        }
        let (text, line) = self.reader.text_until(|reader| reader.tok() == Tok::Semicolon)?;
        Ok(StatementKind::Open { cursor, scroll, source: OpenSource::Query(statement(text, line)?) })
    }

    fn fetch(&mut self, is_move: bool) -> Result<StatementKind> {
        let direction = self.fetch_direction()?;
        if !self.reader.take_word("from") {
            self.reader.take_word("in");
        }
        let cursor = self.target()?;
        let into = match is_move {
            true => None,
            false => {
                self.reader.expect_word("into")?;
                Some(self.into()?)
            }
        };
        Ok(StatementKind::Fetch { cursor, direction, into })
    }

    fn fetch_direction(&mut self) -> Result<FetchDirection> {
        let reader = &mut self.reader;
        let ends = |reader: &Reader<'_>| reader.at_word("from") || reader.at_word("in");
        let plain = [
            ("next", FetchDirection::Next),
            ("prior", FetchDirection::Prior),
            ("first", FetchDirection::First),
            ("last", FetchDirection::Last),
        ];
        for (word, direction) in plain {
            if reader.at_word(word) && (reader.word_ahead(1, "from") || reader.word_ahead(1, "in")) {
                reader.advance();
                return Ok(direction);
            }
        }
        if reader.take_word("absolute") {
            return Ok(FetchDirection::Absolute(reader.expression(ends)?));
        }
        if reader.take_word("relative") {
            return Ok(FetchDirection::Relative(reader.expression(ends)?));
        }
        for (word, forward) in [("forward", true), ("backward", false)] {
            if reader.take_word(word) {
                let count = if reader.take_word("all") {
                    None
                } else if ends(reader) {
                    Some(expression("1".to_owned(), reader.line())?)
                } else {
                    Some(reader.expression(ends)?)
                };
                return Ok(if forward {
                    FetchDirection::Forward(count)
                } else {
                    FetchDirection::Backward(count)
                });
            }
        }
        Ok(FetchDirection::Next)
    }

    /// A statement of SQL, with its INTO taken out.
    fn sql(&mut self) -> Result<StatementKind> {
        let line = self.reader.line();
        let start = self.reader.place();
        let first_is_import = self.reader.at_word("import");
        let is_create = self.reader.at_word("create");
        let mut into = None;
        let mut text = String::new();
        let mut piece_start = start;
        let mut depth = 0_usize;
        let mut behind_insert = false;
        let mut atomic = 0_usize;
        loop {
            match self.reader.tok() {
                Tok::Semicolon if depth == 0 && atomic == 0 => break,
                Tok::Eof | Tok::Error => return Err(self.reader.syntax_error()),
                Tok::LeftParen => depth += 1,
                Tok::RightParen => depth = depth.saturating_sub(1),
                _ => {}
            }
            if is_create && self.reader.at_word("atomic") {
                atomic += 1;
            } else if atomic > 0 && self.reader.at_word("end") {
                atomic -= 1;
            }
            if self.reader.at_word("into") && !behind_insert && !first_is_import && atomic == 0 && !is_create
            {
                if into.is_some() {
                    return Err(syntax("INTO specified more than once"));
                }
                text.push_str(self.reader.text_between(piece_start, self.reader.place()));
                text.push(' ');
                self.reader.advance();
                into = Some(self.into()?);
                piece_start = self.reader.place();
                continue;
            }
            behind_insert = self.reader.at_word("insert") || self.reader.at_word("merge");
            self.reader.advance();
        }
        text.push_str(self.reader.text_between(piece_start, self.reader.place()));
        Ok(StatementKind::Sql { fragment: statement(text.trim_end().to_owned(), line)?, into })
    }
}

/// How many `%` of a format want an argument.
fn placeholders(format: &str) -> usize {
    let mut count = 0;
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '%' && chars.next_if_eq(&'%').is_none() {
            count += 1;
        }
    }
    count
}

fn raise_option(name: &str) -> Option<RaiseOption> {
    Some(match name {
        "errcode" => RaiseOption::Errcode,
        "message" => RaiseOption::Message,
        "detail" => RaiseOption::Detail,
        "hint" => RaiseOption::Hint,
        "column" => RaiseOption::Column,
        "constraint" => RaiseOption::Constraint,
        "datatype" => RaiseOption::Datatype,
        "table" => RaiseOption::Table,
        "schema" => RaiseOption::Schema,
        _ => return None,
    })
}

fn check_state(state: String) -> Result<String> {
    let valid = state.len() == 5 && state.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    if valid { Ok(state) } else { Err(syntax("invalid SQLSTATE code")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> Vec<Statement> {
        parse(text).expect("a body that parses").block.body
    }

    #[test]
    fn statements_are_told_apart() {
        let found = body(
            "begin x := 1; a.b[2] = 3; select 1 into x; insert into t values (1); for i in 1..3 loop null; end loop; \
             for r in select * from t loop perform f(r); end loop; if x > 1 then return; else null; end if; end",
        );
        assert!(matches!(&found[0].kind, StatementKind::Assign { .. }));
        assert!(
            matches!(&found[1].kind, StatementKind::Assign { target, .. } if target.subscripts.len() == 1)
        );
        assert!(matches!(&found[2].kind, StatementKind::Sql { into: Some(_), .. }));
        assert!(matches!(&found[3].kind, StatementKind::Sql { into: None, .. }));
        assert!(matches!(&found[4].kind, StatementKind::ForInteger { .. }));
        assert!(matches!(&found[5].kind, StatementKind::ForQuery { .. }));
        assert!(matches!(&found[6].kind, StatementKind::If { .. }));
    }

    #[test]
    fn errors_have_postgres_words() {
        let message = |text: &str| parse(text).expect_err("a broken body").message().to_owned();
        assert_eq!(message("begin x := ; end"), "missing expression");
        assert_eq!(message("begin raise notice '%'; end"), "too few parameters specified for RAISE");
        assert_eq!(message("begin foo"), "syntax error at end of input");
        assert_eq!(message("<<a>> begin null; end b"), "end label \"b\" differs from block's label \"a\"");
    }
}
