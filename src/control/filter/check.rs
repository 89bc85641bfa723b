//! From what the parser read to a program: what a filter may say, and whether
//! it makes sense as far as that shows before there is an event.

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, SelectExpr, operators};
use regex::RegexBuilder;

use super::{
    program::{Arithmetic, Loop, Node, Order, TextTest},
    read::Source,
};
use crate::domain::Invalid;

/// Steps within each other. `a + b + c` nests as deep as it is long.
const MAX_DEPTH: usize = 100;
/// Memory of one compiled pattern, in bytes.
const MAX_PATTERN: usize = 64 * 1024;

/// What is known of a value before there is an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Anything,
    Null,
    Bool,
    Number,
    Text,
    List,
    Event,
    Attributes,
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Self::Anything => "any value",
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::Text => "text",
            Self::List => "a list",
            Self::Event => "the event",
            Self::Attributes => "the attributes",
        }
    }

    fn may_be(self, wanted: Self) -> bool {
        self == wanted || self == Self::Anything
    }
}

type Checked = Result<(Node, Type), Invalid>;
type Pair<'a> = [&'a IdedExpr; 2];

/// The program of an expression.
pub(super) fn program(root: &IdedExpr, source: &Source<'_>) -> Result<Node, Invalid> {
    let mut checker = Checker {
        source,
        variables: Vec::new(),
        depth: 0,
    };
    checker.of_type(root, Type::Bool)
}

struct Checker<'a> {
    source: &'a Source<'a>,
    /// Of the loops around, the outermost first.
    variables: Vec<&'a str>,
    depth: usize,
}

impl<'a> Checker<'a> {
    fn check(&mut self, node: &'a IdedExpr) -> Checked {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.wrong(node, format_args!("nests deeper than {MAX_DEPTH} steps")));
        }
        let checked = match &node.expr {
            Expr::Literal(literal) => self.literal(node, literal),
            Expr::Ident(name) => self.name(node, name),
            Expr::Select(select) => self.field(node, select),
            Expr::Call(call) => self.call(node, call),
            Expr::List(list) => {
                let elements = list.elements.iter();
                let elements = elements.map(|element| Ok(self.check(element)?.0));
                Ok((Node::List(elements.collect::<Result<_, _>>()?), Type::List))
            }
            Expr::Map(_) | Expr::Struct(_) | Expr::Comprehension(_) | Expr::Unspecified => {
                Err(self.wrong(node, "objects cannot be made in a filter"))
            }
        };
        self.depth -= 1;
        checked
    }

    /// What can be of this type.
    fn of_type(&mut self, node: &'a IdedExpr, wanted: Type) -> Result<Node, Invalid> {
        let (checked, found) = self.check(node)?;
        if found.may_be(wanted) {
            Ok(checked)
        } else {
            let (wanted, found) = (wanted.name(), found.name());
            Err(self.wrong(node, format_args!("must be {wanted}, is {found}")))
        }
    }

    fn both(&mut self, args: Pair<'a>, wanted: Type) -> Result<Box<[Node; 2]>, Invalid> {
        let left = self.of_type(args[0], wanted)?;
        Ok(Box::new([left, self.of_type(args[1], wanted)?]))
    }

    fn wrong(&self, node: &IdedExpr, wrong: impl std::fmt::Display) -> Invalid {
        self.source.invalid(node, wrong)
    }

    fn literal(&self, node: &IdedExpr, literal: &LiteralValue) -> Checked {
        Ok(match literal {
            LiteralValue::Null => (Node::Null, Type::Null),
            LiteralValue::Boolean(value) => (Node::Bool(*value.inner()), Type::Bool),
            LiteralValue::Int(value) => (Node::Int(*value.inner()), Type::Number),
            LiteralValue::UInt(value) => {
                let value = i64::try_from(*value.inner());
                let value = value.map_err(|_| self.wrong(node, "is too large a number"))?;
                (Node::Int(value), Type::Number)
            }
            LiteralValue::Double(value) => (Node::Double(*value.inner()), Type::Number),
            LiteralValue::String(value) => (Node::Text(value.inner().to_owned()), Type::Text),
            LiteralValue::Bytes(_) => return Err(self.wrong(node, "bytes are not in JSON")),
        })
    }

    fn name(&self, node: &IdedExpr, name: &str) -> Checked {
        if let Some(variable) = self.variables.iter().rposition(|known| *known == name) {
            return Ok((Node::Variable(variable), Type::Anything));
        }
        match name {
            "event" => Ok((Node::Event, Type::Event)),
            _ => Err(self.wrong(node, format_args!("there is no {name:?}, only \"event\""))),
        }
    }

    fn field(&mut self, node: &'a IdedExpr, select: &'a SelectExpr) -> Checked {
        let (of, found) = self.check(&select.operand)?;
        let field = select.field.as_str();
        let found = match (found, field) {
            (Type::Event, "type") | (Type::Attributes, _) => Type::Text,
            (Type::Event, "attributes") => Type::Attributes,
            (Type::Event, "data") | (Type::Anything, _) => Type::Anything,
            (Type::Event, _) => {
                let wrong = format_args!("event has type, attributes and data, not {field:?}");
                return Err(self.wrong(node, wrong));
            }
            (other, _) => {
                let wrong = format_args!("{} has no field {field:?}", other.name());
                return Err(self.wrong(node, wrong));
            }
        };
        Ok((Node::Field(Box::new(of), field.to_owned()), found))
    }

    fn call(&mut self, node: &'a IdedExpr, call: &'a CallExpr) -> Checked {
        let name = call.func_name.as_str();
        match (&call.target, call.args.as_slice()) {
            (None, [arg]) => self.of_one(node, name, arg),
            (None, [left, right]) => self.of_two(node, name, [left, right]),
            (None, [condition, yes, no]) if name == operators::CONDITIONAL => {
                let condition = self.of_type(condition, Type::Bool)?;
                let ((yes, first), (no, second)) = (self.check(yes)?, self.check(no)?);
                let found = if first == second {
                    first
                } else {
                    Type::Anything
                };
                Ok((Node::Choice(Box::new([condition, yes, no])), found))
            }
            (Some(target), []) if name == "size" => self.size(target),
            (Some(target), [arg]) => self.of_target(node, name, target, arg),
            (Some(target), [variable, body]) => self.of_loop(node, name, target, variable, body),
            _ => Err(self.unknown(node, name)),
        }
    }

    fn of_one(&mut self, node: &'a IdedExpr, name: &str, arg: &'a IdedExpr) -> Checked {
        let boxed = |node: Node| Box::new(node);
        Ok(match name {
            operators::LOGICAL_NOT => {
                let of = self.of_type(arg, Type::Bool)?;
                (Node::Not(boxed(of)), Type::Bool)
            }
            operators::NEGATE => {
                let of = self.of_type(arg, Type::Number)?;
                (Node::Negative(boxed(of)), Type::Number)
            }
            operators::HAS => return self.has(arg),
            "size" => return self.size(arg),
            "int" => (Node::Int64(boxed(self.number_or_text(arg)?)), Type::Number),
            "double" => (
                Node::Float64(boxed(self.number_or_text(arg)?)),
                Type::Number,
            ),
            _ => return Err(self.unknown(node, name)),
        })
    }

    fn of_two(&mut self, node: &'a IdedExpr, name: &str, args: Pair<'a>) -> Checked {
        let number = |operator, args| (Node::Calculated(operator, args), Type::Number);
        Ok(match name {
            operators::LOGICAL_AND => (Node::And(self.both(args, Type::Bool)?), Type::Bool),
            operators::LOGICAL_OR => (Node::Or(self.both(args, Type::Bool)?), Type::Bool),
            operators::EQUALS => (Node::Equal(self.comparable(node, args)?.0), Type::Bool),
            operators::NOT_EQUALS => (Node::Unequal(self.comparable(node, args)?.0), Type::Bool),
            operators::LESS => return self.ordered(node, Order::Less, args),
            operators::LESS_EQUALS => return self.ordered(node, Order::LessOrEqual, args),
            operators::GREATER => return self.ordered(node, Order::Greater, args),
            operators::GREATER_EQUALS => return self.ordered(node, Order::GreaterOrEqual, args),
            operators::ADD => number(Arithmetic::Add, self.both(args, Type::Number)?),
            operators::SUBSTRACT => number(Arithmetic::Subtract, self.both(args, Type::Number)?),
            operators::MULTIPLY => number(Arithmetic::Multiply, self.both(args, Type::Number)?),
            operators::DIVIDE => number(Arithmetic::Divide, self.both(args, Type::Number)?),
            operators::MODULO => number(Arithmetic::Remainder, self.both(args, Type::Number)?),
            operators::IN => {
                let (sought, _) = self.check(args[0])?;
                let (among, found) = self.check(args[1])?;
                self.enumerable(args[1], found)?;
                (Node::In(Box::new([sought, among])), Type::Bool)
            }
            operators::INDEX => return self.index(args),
            _ => return Err(self.unknown(node, name)),
        })
    }

    fn of_target(
        &mut self,
        node: &'a IdedExpr,
        name: &str,
        target: &'a IdedExpr,
        arg: &'a IdedExpr,
    ) -> Checked {
        let test = match name {
            "startsWith" => TextTest::StartsWith,
            "endsWith" => TextTest::EndsWith,
            "contains" => TextTest::Contains,
            "matches" => return self.matches(target, arg),
            _ => return Err(self.unknown(node, name)),
        };
        let args = self.both([target, arg], Type::Text)?;
        Ok((Node::TextTest(test, args), Type::Bool))
    }

    fn of_loop(
        &mut self,
        node: &'a IdedExpr,
        name: &str,
        target: &'a IdedExpr,
        variable: &'a IdedExpr,
        body: &'a IdedExpr,
    ) -> Checked {
        let (kind, asked, found) = match name {
            operators::ALL => (Loop::All, Type::Bool, Type::Bool),
            operators::EXISTS => (Loop::Exists, Type::Bool, Type::Bool),
            operators::EXISTS_ONE | "existsOne" => (Loop::ExistsOne, Type::Bool, Type::Bool),
            operators::FILTER => (Loop::Filter, Type::Bool, Type::List),
            operators::MAP => (Loop::Map, Type::Anything, Type::List),
            _ => return Err(self.unknown(node, name)),
        };
        let (range, range_type) = self.check(target)?;
        self.enumerable(target, range_type)?;
        let Expr::Ident(variable) = &variable.expr else {
            return Err(self.wrong(variable, "must be the name of a variable"));
        };
        self.variables.push(variable);
        let body = match asked {
            Type::Bool => self.of_type(body, asked),
            _ => self.check(body).map(|(body, _)| body),
        };
        self.variables.pop();
        Ok((Node::Loop(kind, Box::new([range, body?])), found))
    }

    fn has(&mut self, arg: &'a IdedExpr) -> Checked {
        match self.check(arg)? {
            (Node::Field(of, field), _) => Ok((Node::Has(of, field), Type::Bool)),
            _ => Err(self.wrong(arg, "must be a field, such as event.data.total")),
        }
    }

    fn size(&mut self, arg: &'a IdedExpr) -> Checked {
        let (of, found) = self.check(arg)?;
        if found != Type::Text {
            self.enumerable(arg, found)?;
        }
        Ok((Node::Size(Box::new(of)), Type::Number))
    }

    fn index(&mut self, args: Pair<'a>) -> Checked {
        let (of, found) = self.check(args[0])?;
        self.enumerable(args[0], found)?;
        let (key, element) = match found {
            Type::List => (self.of_type(args[1], Type::Number)?, Type::Anything),
            Type::Attributes => (self.of_type(args[1], Type::Text)?, Type::Text),
            _ => (self.check(args[1])?.0, Type::Anything),
        };
        Ok((Node::Index(Box::new([of, key])), element))
    }

    fn matches(&mut self, target: &'a IdedExpr, pattern: &'a IdedExpr) -> Checked {
        let text = self.of_type(target, Type::Text)?;
        let (Node::Text(pattern_text), _) = self.check(pattern)? else {
            return Err(self.wrong(pattern, "must be a pattern written out as text"));
        };
        let mut regex = RegexBuilder::new(&pattern_text);
        let regex = regex.size_limit(MAX_PATTERN).build();
        let regex = regex.map_err(|error| {
            let error = error.to_string();
            self.wrong(pattern, error.lines().last().unwrap_or_default())
        })?;
        Ok((Node::Matches(Box::new(text), regex), Type::Bool))
    }

    fn number_or_text(&mut self, arg: &'a IdedExpr) -> Result<Node, Invalid> {
        let (of, found) = self.check(arg)?;
        if found.may_be(Type::Number) || found == Type::Text {
            Ok(of)
        } else {
            let wrong = format_args!("must be a number or text, is {}", found.name());
            Err(self.wrong(arg, wrong))
        }
    }

    fn enumerable(&self, node: &IdedExpr, found: Type) -> Result<(), Invalid> {
        match found {
            Type::Anything | Type::List | Type::Attributes => Ok(()),
            other => {
                let wrong = format_args!("must be a list or an object, is {}", other.name());
                Err(self.wrong(node, wrong))
            }
        }
    }

    /// Both sides, and the type they share.
    fn comparable(
        &mut self,
        node: &'a IdedExpr,
        args: Pair<'a>,
    ) -> Result<(Box<[Node; 2]>, Type), Invalid> {
        let ((left, first), (right, second)) = (self.check(args[0])?, self.check(args[1])?);
        let shared = match (first, second) {
            (Type::Anything | Type::Null, other) | (other, Type::Anything | Type::Null) => other,
            (first, second) if first == second => first,
            (first, second) => {
                let (first, second) = (first.name(), second.name());
                let wrong = format_args!("{first} cannot be compared with {second}");
                return Err(self.wrong(node, wrong));
            }
        };
        Ok((Box::new([left, right]), shared))
    }

    fn ordered(&mut self, node: &'a IdedExpr, order: Order, args: Pair<'a>) -> Checked {
        let (args, shared) = self.comparable(node, args)?;
        match shared {
            Type::Anything | Type::Number | Type::Text => {
                Ok((Node::Compared(order, args), Type::Bool))
            }
            other => Err(self.wrong(node, format_args!("{} has no order", other.name()))),
        }
    }

    fn unknown(&self, node: &IdedExpr, name: &str) -> Invalid {
        let wrong = format_args!("filters have no function {name:?} with these arguments");
        self.wrong(node, wrong)
    }
}
