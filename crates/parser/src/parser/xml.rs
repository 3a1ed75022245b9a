//! SQL/XML.

use ochre_base::Result;

use super::expr::system_call;
use super::{K, Parser};
use crate::ast::*;
use crate::lexer::Tok;

impl Parser<'_> {
    /// An XML function whose name is the current token, followed by a parenthesis.
    pub(super) fn xml_function(&mut self, kw: K, pos: Pos) -> Result<Expr> {
        self.at += 2;
        let expr = match kw {
            K::Xmlconcat => XmlExpr::Concat { args: self.expr_list()?, pos },
            K::Xmlelement => self.xml_element(pos)?,
            K::Xmlexists => {
                let path = self.c_expr()?;
                let document = self.xml_passing()?;
                self.expect(Tok::RightParen)?;
                return Ok(system_call("xmlexists", vec![path, document], CallSyntax::XmlExists, pos));
            }
            K::Xmlforest => XmlExpr::Forest { items: self.comma_list(Self::xml_named)?, pos },
            K::Xmlparse => {
                let document = self.document_or_content()?;
                let expr = self.expr()?;
                let preserve_whitespace = if self.eat_words(&[K::Preserve, K::Whitespace]) {
                    true
                } else {
                    self.eat_words(&[K::Strip, K::Whitespace]);
                    false
                };
                XmlExpr::Parse { document, expr, preserve_whitespace, pos }
            }
            K::Xmlpi => {
                self.expect_kw(K::Name)?;
                let name = self.col_label()?;
                let expr = if self.eat(Tok::Comma) { Some(self.expr()?) } else { None };
                XmlExpr::Pi { name, expr, pos }
            }
            K::Xmlroot => self.xml_root(pos)?,
            _ => {
                let document = self.document_or_content()?;
                let expr = self.expr()?;
                self.expect_kw(K::As)?;
                let type_name = self.simple_type_name()?;
                let indent = if self.eat_kw(K::Indent) {
                    true
                } else {
                    self.eat_words(&[K::No, K::Indent]);
                    false
                };
                XmlExpr::Serialize { document, expr, type_name, indent, pos }
            }
        };
        self.expect(Tok::RightParen)?;
        Ok(Expr::Xml(P::new(expr)))
    }

    fn xml_element(&mut self, pos: Pos) -> Result<XmlExpr> {
        self.expect_kw(K::Name)?;
        let name = self.col_label()?;
        let mut attributes = Vec::new();
        let mut args = Vec::new();
        if self.eat(Tok::Comma) {
            if self.is_kw(K::Xmlattributes) && self.peek(1) == Tok::LeftParen {
                self.advance();
                attributes = self.paren_list(Self::xml_named)?;
                if self.eat(Tok::Comma) {
                    args = self.expr_list()?;
                }
            } else {
                args = self.expr_list()?;
            }
        }
        Ok(XmlExpr::Element { name, attributes, args, pos })
    }

    fn xml_root(&mut self, pos: Pos) -> Result<XmlExpr> {
        let expr = self.expr()?;
        self.expect(Tok::Comma)?;
        self.expect_kw(K::Version)?;
        let version = if self.eat_words(&[K::No, K::Value]) { None } else { Some(self.expr()?) };
        let standalone = if self.eat(Tok::Comma) {
            self.expect_kw(K::Standalone)?;
            if self.eat_kw(K::Yes) {
                XmlStandalone::Yes
            } else if self.eat_words(&[K::No, K::Value]) {
                XmlStandalone::NoValue
            } else {
                self.expect_kw(K::No)?;
                XmlStandalone::No
            }
        } else {
            XmlStandalone::Omitted
        };
        Ok(XmlExpr::Root { expr, version, standalone, pos })
    }

    fn document_or_content(&mut self) -> Result<bool> {
        if self.eat_kw(K::Document) {
            return Ok(true);
        }
        self.expect_kw(K::Content)?;
        Ok(false)
    }

    /// `expr [AS label]`.
    fn xml_named(&mut self) -> Result<XmlNamed> {
        let pos = self.pos();
        let expr = self.expr()?;
        let name = if self.eat_kw(K::As) { Some(self.col_label()?) } else { None };
        Ok(XmlNamed { expr, name, pos })
    }

    /// xmlexists_argument: `PASSING [BY REF] expr [BY REF]`.
    fn xml_passing(&mut self) -> Result<Expr> {
        self.expect_kw(K::Passing)?;
        self.eat_passing_mechanism();
        let document = self.c_expr()?;
        self.eat_passing_mechanism();
        Ok(document)
    }

    /// `[BY REF | BY VALUE]`; without the second word, `by` is a name.
    fn eat_passing_mechanism(&mut self) {
        if !self.eat_words(&[K::By, K::Ref]) {
            self.eat_words(&[K::By, K::Value]);
        }
    }

    /// `XMLTABLE(…)` in FROM, the name being the current token.
    pub(super) fn xml_table(&mut self, lateral: bool, pos: Pos) -> Result<FromItem> {
        self.at += 2;
        let mut namespaces = Vec::new();
        if self.is_kw(K::Xmlnamespaces) && self.peek(1) == Tok::LeftParen {
            self.advance();
            namespaces = self.paren_list(|p| {
                let pos = p.pos();
                if p.eat_kw(K::Default) {
                    return Ok(XmlNamed { expr: p.b_expr()?, name: None, pos });
                }
                let expr = p.b_expr()?;
                p.expect_kw(K::As)?;
                Ok(XmlNamed { expr, name: Some(p.col_label()?), pos })
            })?;
            self.expect(Tok::Comma)?;
        }
        let row = self.c_expr()?;
        let document = self.xml_passing()?;
        self.expect_kw(K::Columns)?;
        let columns = self.comma_list(Self::xml_table_column)?;
        self.expect(Tok::RightParen)?;
        let alias = self.optional_alias()?;
        Ok(FromItem::XmlTable(P::new(XmlTable { lateral, namespaces, row, document, columns, alias, pos })))
    }

    fn xml_table_column(&mut self) -> Result<XmlTableColumn> {
        let pos = self.pos();
        let name = self.col_id()?;
        let mut column =
            XmlTableColumn { name, type_name: None, path: None, default: None, not_null: false, pos };
        if self.eat_words(&[K::For, K::Ordinality]) {
            return Ok(column);
        }
        column.type_name = Some(self.type_name()?);
        let mut null_seen = false;
        loop {
            let at = self.pos();
            if self.eat_kw(K::Default) {
                if column.default.is_some() {
                    return Err(Self::syntax("only one DEFAULT value is allowed", at));
                }
                column.default = Some(self.b_expr()?);
            } else if self.is_kw(K::Null) || self.at_words(&[K::Not, K::Null]) {
                let not_null = self.eat_kw(K::Not);
                self.expect_kw(K::Null)?;
                if null_seen {
                    let message = format!(
                        "conflicting or redundant NULL / NOT NULL declarations for column \"{}\"",
                        column.name
                    );
                    return Err(Self::syntax(message, at));
                }
                null_seen = true;
                column.not_null = not_null;
            } else if self.eat_kw(K::Path) {
                if column.path.is_some() {
                    return Err(Self::syntax("only one PATH value per column is allowed", at));
                }
                column.path = Some(self.b_expr()?);
            } else if matches!(self.tok(), Tok::Ident | Tok::QuotedIdent) {
                let option = self.take_name()?;
                self.b_expr()?;
                return Err(Self::syntax(format!("unrecognized column option \"{option}\""), at));
            } else {
                return Ok(column);
            }
        }
    }
}
