//! SQL/JSON.

use ochre_base::{Error, Result, SqlState};

use super::expr::system_call;
use super::{K, Parser};
use crate::ast::*;
use crate::lexer::Tok;

impl Parser<'_> {
    /// A JSON function whose name is the current token, followed by a parenthesis.
    pub(super) fn json_function(&mut self, kw: K, pos: Pos) -> Result<Expr> {
        self.at += 2;
        let expr = match kw {
            K::JsonObject => return self.json_object(pos),
            K::JsonArray => self.json_array(pos)?,
            K::Json => {
                let value = self.json_value()?;
                let unique_keys = self.unique_keys()?;
                JsonExpr::Parse { value, unique_keys, pos }
            }
            K::JsonScalar => JsonExpr::Scalar { expr: self.expr()?, pos },
            K::JsonSerialize => {
                let value = self.json_value()?;
                JsonExpr::Serialize { value, output: self.json_output()?, pos }
            }
            K::JsonObjectagg | K::JsonArrayagg => return self.json_aggregate(kw, pos),
            _ => self.json_query(kw, pos)?,
        };
        self.expect(Tok::RightParen)?;
        Ok(Expr::Json(P::new(expr)))
    }

    fn json_object(&mut self, pos: Pos) -> Result<Expr> {
        let mut pairs = Vec::new();
        let mut absent_on_null = false;
        let mut unique_keys = false;
        if !self.is(Tok::RightParen) && !self.is_kw(K::Returning) {
            let first = self.func_arg()?;
            if first.name.is_some() || matches!(self.tok(), Tok::Comma | Tok::RightParen) {
                return self.json_object_call(first, pos);
            }
            pairs.push(self.json_pair_value(first.value)?);
            while self.eat(Tok::Comma) {
                let key = self.expr()?;
                pairs.push(self.json_pair_value(key)?);
            }
            absent_on_null = self.null_clause(false)?;
            unique_keys = self.unique_keys()?;
        }
        let output = self.json_output()?;
        self.expect(Tok::RightParen)?;
        Ok(Expr::Json(P::new(JsonExpr::Object { pairs, absent_on_null, unique_keys, output, pos })))
    }

    /// `JSON_OBJECT(a, b)`: the ordinary function.
    fn json_object_call(&mut self, first: FuncArg, pos: Pos) -> Result<Expr> {
        let mut args = vec![first];
        while self.eat(Tok::Comma) {
            args.push(self.func_arg()?);
        }
        self.expect(Tok::RightParen)?;
        let mut call = system_call("json_object", Vec::new(), CallSyntax::Ordinary, pos);
        if let Expr::Func(call) = &mut call {
            call.args = args;
        }
        Ok(call)
    }

    /// The value of a pair behind its key.
    fn json_pair_value(&mut self, key: Expr) -> Result<JsonKeyValue> {
        if !self.eat_kw(K::Value) {
            self.expect(Tok::Colon)?;
        }
        Ok(JsonKeyValue { key, value: self.json_value()? })
    }

    fn json_array(&mut self, pos: Pos) -> Result<JsonExpr> {
        if self.at_select() {
            let query = P::new(self.select_no_parens()?);
            let format = self.json_format()?;
            return Ok(JsonExpr::ArrayQuery { query, format, output: self.json_output()?, pos });
        }
        let mut items = Vec::new();
        let mut absent_on_null = true;
        if !self.is(Tok::RightParen) && !self.is_kw(K::Returning) {
            items = self.comma_list(Self::json_value)?;
            absent_on_null = self.null_clause(true)?;
        }
        Ok(JsonExpr::Array { items, absent_on_null, output: self.json_output()?, pos })
    }

    fn json_aggregate(&mut self, kw: K, pos: Pos) -> Result<Expr> {
        let expr = if kw == K::JsonObjectagg {
            let key = self.expr()?;
            let pair = self.json_pair_value(key)?;
            let absent_on_null = self.null_clause(false)?;
            let unique_keys = self.unique_keys()?;
            let output = self.json_output()?;
            self.expect(Tok::RightParen)?;
            let filter = self.filter_clause()?;
            let over = self.over_clause()?;
            JsonExpr::ObjectAgg { pair, absent_on_null, unique_keys, output, filter, over, pos }
        } else {
            let value = self.json_value()?;
            let order_by = self.sort_clause()?;
            let absent_on_null = self.null_clause(true)?;
            let output = self.json_output()?;
            self.expect(Tok::RightParen)?;
            let filter = self.filter_clause()?;
            let over = self.over_clause()?;
            JsonExpr::ArrayAgg { value, order_by, absent_on_null, output, filter, over, pos }
        };
        Ok(Expr::Json(P::new(expr)))
    }

    fn json_query(&mut self, kw: K, pos: Pos) -> Result<JsonExpr> {
        let kind = match kw {
            K::JsonExists => JsonQueryKind::Exists,
            K::JsonValue => JsonQueryKind::Value,
            _ => JsonQueryKind::Query,
        };
        let context = self.json_value()?;
        self.expect(Tok::Comma)?;
        let path = self.expr()?;
        let passing = self.json_passing()?;
        let output = if kind == JsonQueryKind::Exists { None } else { self.json_output()? };
        let (wrapper, quotes) = if kind == JsonQueryKind::Query {
            (self.json_wrapper()?, self.json_quotes()?)
        } else {
            (JsonWrapper::Unspecified, JsonQuotes::Unspecified)
        };
        let (on_empty, on_error) = self.json_behaviors(kind != JsonQueryKind::Exists)?;
        Ok(JsonExpr::Query(P::new(JsonQuery {
            kind,
            context,
            path,
            passing,
            output,
            wrapper,
            quotes,
            on_empty,
            on_error,
            pos,
        })))
    }

    /// json_value_expr.
    fn json_value(&mut self) -> Result<JsonValue> {
        let expr = self.expr()?;
        Ok(JsonValue { expr, format: self.json_format()? })
    }

    fn json_format(&mut self) -> Result<Option<JsonFormat>> {
        if !self.at_words(&[K::Format, K::Json]) {
            return Ok(None);
        }
        let pos = self.pos();
        self.at += 2;
        let encoding = if self.eat_kw(K::Encoding) {
            let name = self.col_id()?;
            if !["utf8", "utf16", "utf32"].contains(&name.to_ascii_lowercase().as_str()) {
                let message = format!("unrecognized JSON encoding: {name}");
                return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
            }
            Some(name)
        } else {
            None
        };
        Ok(Some(JsonFormat { encoding, pos }))
    }

    fn json_output(&mut self) -> Result<Option<JsonOutput>> {
        if !self.eat_kw(K::Returning) {
            return Ok(None);
        }
        let type_name = self.type_name()?;
        Ok(Some(JsonOutput { type_name, format: self.json_format()? }))
    }

    /// `NULL ON NULL`, `ABSENT ON NULL`; whether nulls are absent.
    fn null_clause(&mut self, default: bool) -> Result<bool> {
        let absent = if self.eat_kw(K::Absent) {
            true
        } else if self.eat_kw(K::Null) {
            false
        } else {
            return Ok(default);
        };
        self.expect_words(&[K::On, K::Null])?;
        Ok(absent)
    }

    /// `WITH UNIQUE KEYS`, `WITHOUT UNIQUE KEYS`.
    fn unique_keys(&mut self) -> Result<bool> {
        let with = if self.eat_words(&[K::With, K::Unique]) {
            true
        } else if self.eat_words(&[K::Without, K::Unique]) {
            false
        } else {
            return Ok(false);
        };
        self.eat_kw(K::Keys);
        Ok(with)
    }

    /// `JSON [kind] [WITH UNIQUE KEYS]` behind IS.
    pub(super) fn is_json(&mut self, expr: Expr, pos: Pos) -> Result<Expr> {
        self.advance();
        let kind = match self.kw() {
            Some(K::Object) => JsonKind::Object,
            Some(K::Array) => JsonKind::Array,
            Some(K::Scalar) => JsonKind::Scalar,
            Some(K::Value) => JsonKind::Any,
            _ => {
                let unique_keys = self.unique_keys()?;
                return Ok(is_json(expr, JsonKind::Any, unique_keys, pos));
            }
        };
        self.advance();
        let unique_keys = self.unique_keys()?;
        Ok(is_json(expr, kind, unique_keys, pos))
    }

    fn json_passing(&mut self) -> Result<Vec<JsonArgument>> {
        if !self.eat_kw(K::Passing) {
            return Ok(Vec::new());
        }
        self.comma_list(|p| {
            let value = p.json_value()?;
            p.expect_kw(K::As)?;
            Ok(JsonArgument { value, name: p.col_label()? })
        })
    }

    fn json_wrapper(&mut self) -> Result<JsonWrapper> {
        let wrapper = if self.is_kw(K::Without) && matches!(self.peek(1), Tok::Kw(K::Wrapper | K::Array)) {
            self.advance();
            JsonWrapper::Without
        } else if self.is_kw(K::With)
            && matches!(self.peek(1), Tok::Kw(K::Wrapper | K::Array | K::Conditional | K::Unconditional))
        {
            self.advance();
            if self.eat_kw(K::Conditional) {
                JsonWrapper::Conditional
            } else {
                self.eat_kw(K::Unconditional);
                JsonWrapper::Unconditional
            }
        } else {
            return Ok(JsonWrapper::Unspecified);
        };
        self.eat_kw(K::Array);
        self.expect_kw(K::Wrapper)?;
        Ok(wrapper)
    }

    fn json_quotes(&mut self) -> Result<JsonQuotes> {
        let quotes = if self.eat_words(&[K::Keep, K::Quotes]) {
            JsonQuotes::Keep
        } else if self.eat_words(&[K::Omit, K::Quotes]) {
            JsonQuotes::Omit
        } else {
            return Ok(JsonQuotes::Unspecified);
        };
        if self.eat_kw(K::On) {
            self.expect_words(&[K::Scalar, K::String])?;
        }
        Ok(quotes)
    }

    /// `behavior ON EMPTY behavior ON ERROR`.
    fn json_behaviors(&mut self, empty: bool) -> Result<(Option<JsonBehavior>, Option<JsonBehavior>)> {
        let (mut on_empty, mut on_error) = (None, None);
        while let Some(behavior) = self.json_behavior()? {
            self.expect_kw(K::On)?;
            if empty && on_empty.is_none() && on_error.is_none() && self.eat_kw(K::Empty) {
                on_empty = Some(behavior);
            } else {
                self.expect_kw(K::Error)?;
                on_error = Some(behavior);
                break;
            }
        }
        Ok((on_empty, on_error))
    }

    fn json_behavior(&mut self) -> Result<Option<JsonBehavior>> {
        let pos = self.pos();
        let kind = match self.kw() {
            Some(K::Default) => {
                self.advance();
                let value = self.expr()?;
                return Ok(Some(JsonBehavior { kind: JsonBehaviorKind::Default(value), pos }));
            }
            Some(K::Error) => JsonBehaviorKind::Error,
            Some(K::Null) => JsonBehaviorKind::Null,
            Some(K::True) => JsonBehaviorKind::True,
            Some(K::False) => JsonBehaviorKind::False,
            Some(K::Unknown) => JsonBehaviorKind::Unknown,
            Some(K::Empty) => {
                self.advance();
                let kind = if self.eat_kw(K::Array) {
                    JsonBehaviorKind::EmptyArray
                } else if self.eat_kw(K::Object) {
                    JsonBehaviorKind::EmptyObject
                } else {
                    JsonBehaviorKind::Empty
                };
                return Ok(Some(JsonBehavior { kind, pos }));
            }
            _ => return Ok(None),
        };
        self.advance();
        Ok(Some(JsonBehavior { kind, pos }))
    }

    /// `JSON_TABLE(…)` in FROM, the name being the current token.
    pub(super) fn json_table(&mut self, lateral: bool, pos: Pos) -> Result<FromItem> {
        self.at += 2;
        let context = self.json_value()?;
        self.expect(Tok::Comma)?;
        let path = self.expr()?;
        if !matches!(&path, Expr::Literal(Literal { value: LiteralValue::String(_), .. })) {
            let message = "only string constants are supported in JSON_TABLE path specification";
            return Err(Self::unsupported(message, path.pos()));
        }
        let path_name = if self.eat_kw(K::As) { Some(self.col_id()?) } else { None };
        let passing = self.json_passing()?;
        self.expect_kw(K::Columns)?;
        let columns = self.paren_list(Self::json_table_column)?;
        let (_, on_error) = self.json_behaviors(false)?;
        self.expect(Tok::RightParen)?;
        let alias = self.optional_alias()?;
        Ok(FromItem::JsonTable(P::new(JsonTable {
            lateral,
            context,
            path,
            path_name,
            passing,
            columns,
            on_error,
            alias,
            pos,
        })))
    }

    fn json_table_column(&mut self) -> Result<JsonTableColumn> {
        let pos = self.pos();
        if self.is_kw(K::Nested) && (self.peek_kw(1, K::Path) || Self::is_string(self.peek(1))) {
            self.advance();
            self.eat_kw(K::Path);
            let path = self.string()?;
            let path_name = if self.eat_kw(K::As) { Some(self.col_id()?) } else { None };
            self.expect_kw(K::Columns)?;
            let columns = P::new(self.nested(|p| p.paren_list(Self::json_table_column))?);
            return Ok(JsonTableColumn {
                kind: JsonTableColumnKind::Nested { path, path_name, columns },
                pos,
            });
        }
        let name = self.col_id()?;
        if self.eat_words(&[K::For, K::Ordinality]) {
            return Ok(JsonTableColumn { kind: JsonTableColumnKind::Ordinality(name), pos });
        }
        let type_name = self.type_name()?;
        let kind = if self.eat_kw(K::Exists) {
            let path = self.json_column_path()?;
            let (on_empty, on_error) = self.json_behaviors(false)?;
            JsonTableColumnKind::Exists { name, type_name, path, on_empty, on_error }
        } else {
            let format = self.json_format()?;
            let path = self.json_column_path()?;
            let wrapper = self.json_wrapper()?;
            let quotes = self.json_quotes()?;
            let (on_empty, on_error) = self.json_behaviors(true)?;
            JsonTableColumnKind::Regular {
                name,
                type_name,
                format,
                path,
                wrapper,
                quotes,
                on_empty,
                on_error,
            }
        };
        Ok(JsonTableColumn { kind, pos })
    }

    fn json_column_path(&mut self) -> Result<Option<Box<str>>> {
        if self.eat_kw(K::Path) { Ok(Some(self.string()?)) } else { Ok(None) }
    }
}

fn is_json(expr: Expr, kind: JsonKind, unique_keys: bool, pos: Pos) -> Expr {
    Expr::Json(P::new(JsonExpr::IsJson { value: JsonValue { expr, format: None }, kind, unique_keys, pos }))
}
