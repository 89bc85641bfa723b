//! What a program says of an event.
//!
//! As CEL has it, `&&`, `||`, `all` and `exists` pass over an error where the
//! rest decides without it.

use std::rc::Rc;

use serde_json::Value as Json;

use super::{
    Subject, Unanswered,
    program::{Loop, Node, Order, TextTest},
    value::{
        Answer, Value, calculate, double, int, name, no, numeric_order, of_json, too_large, unfit,
    },
};

/// Steps of one evaluation. Text costs one more for each piece of this length.
const MAX_STEPS: usize = 100_000;
const PIECE: usize = 64;

/// One evaluation.
pub(super) struct Evaluation<'a> {
    subject: &'a Subject<'a>,
    variables: Vec<Value<'a>>,
    steps_left: usize,
}

impl<'a> Evaluation<'a> {
    pub(super) fn of(subject: &'a Subject<'a>) -> Self {
        Self {
            subject,
            variables: Vec::new(),
            steps_left: MAX_STEPS,
        }
    }

    /// Whether the program says yes.
    pub(super) fn answer(&mut self, program: &'a Node) -> Answer<bool> {
        let answer = self.truth(program);
        // Running out is no error that another side may make up for.
        if self.steps_left == 0 {
            return no(format!("takes more than {MAX_STEPS} steps"));
        }
        answer
    }

    /// Steps that were taken.
    pub(super) fn spent(&self) -> usize {
        MAX_STEPS - self.steps_left
    }

    fn spend(&mut self, steps: usize) -> Answer<()> {
        self.steps_left = self.steps_left.saturating_sub(steps);
        match self.steps_left {
            0 => no("takes too many steps"),
            _ => Ok(()),
        }
    }

    fn read(&mut self, text: &str) -> Answer<()> {
        self.spend(text.len() / PIECE)
    }

    fn value(&mut self, node: &'a Node) -> Answer<Value<'a>> {
        self.spend(1)?;
        Ok(match node {
            Node::Null => Value::Null,
            Node::Bool(value) => Value::Bool(*value),
            Node::Int(value) => Value::Int(*value),
            Node::Double(value) => Value::Double(*value),
            Node::Text(value) => Value::Text(value),
            Node::Event => Value::Event,
            Node::Variable(n) => self.variables[*n].clone(),
            Node::List(elements) => {
                let elements = elements.iter().map(|element| self.value(element));
                Value::List(elements.collect::<Answer<_>>()?)
            }
            Node::Field(of, field) => {
                let of = self.value(of)?;
                self.field(&of, field)?
            }
            Node::Has(of, field) => {
                let of = self.value(of)?;
                Value::Bool(self.has(&of, field)?)
            }
            Node::Index(args) => {
                let (of, key) = self.pair(args)?;
                self.element(&of, &key)?
            }
            Node::Not(of) => Value::Bool(!self.truth(of)?),
            Node::Negative(of) => match self.value(of)? {
                Value::Int(value) => Value::Int(value.checked_neg().ok_or_else(too_large)?),
                Value::Double(value) => Value::Double(-value),
                other => return unfit("a number", &other),
            },
            Node::And(args) => Value::Bool(self.decide(args, false)?),
            Node::Or(args) => Value::Bool(self.decide(args, true)?),
            Node::Choice(args) => {
                let [condition, yes, no] = &**args;
                let chosen = if self.truth(condition)? { yes } else { no };
                self.value(chosen)?
            }
            Node::Equal(args) => Value::Bool(self.are_equal(args)?),
            Node::Unequal(args) => Value::Bool(!self.are_equal(args)?),
            Node::Compared(order, args) => Value::Bool(self.compare(*order, args)?),
            Node::Calculated(operator, args) => {
                let (left, right) = self.pair(args)?;
                calculate(*operator, &left, &right)?
            }
            Node::In(args) => Value::Bool(self.is_in(args)?),
            Node::Size(of) => {
                let of = self.value(of)?;
                Value::Int(self.size(&of)?)
            }
            Node::Int64(of) => int(&self.value(of)?)?,
            Node::Float64(of) => double(&self.value(of)?)?,
            Node::TextTest(test, args) => Value::Bool(self.test(*test, args)?),
            Node::Matches(of, pattern) => {
                let text = self.text(of)?;
                Value::Bool(pattern.is_match(text))
            }
            Node::Loop(kind, args) => self.go_through(*kind, args)?,
        })
    }

    fn pair(&mut self, args: &'a [Node; 2]) -> Answer<(Value<'a>, Value<'a>)> {
        Ok((self.value(&args[0])?, self.value(&args[1])?))
    }

    fn truth(&mut self, node: &'a Node) -> Answer<bool> {
        match self.value(node)? {
            Value::Bool(value) => Ok(value),
            other => unfit("a boolean", &other),
        }
    }

    fn text(&mut self, node: &'a Node) -> Answer<&'a str> {
        match self.value(node)? {
            Value::Text(text) => self.read(text).map(|()| text),
            other => unfit("text", &other),
        }
    }

    /// `&&` if false decides, `||` if true does.
    fn decide(&mut self, args: &'a [Node; 2], decisive: bool) -> Answer<bool> {
        match self.truth(&args[0]) {
            Ok(left) if left == decisive => Ok(decisive),
            left => match self.truth(&args[1])? {
                right if right == decisive => Ok(decisive),
                _ => left,
            },
        }
    }

    fn field(&self, of: &Value<'a>, field: &str) -> Answer<Value<'a>> {
        let missing = || Unanswered(format!("there is no {field:?}"));
        match of {
            Value::Event => match field {
                "type" => Ok(Value::Text(self.subject.event_type.as_str())),
                "attributes" => Ok(Value::Attributes(self.subject.attributes.as_map())),
                _ => match self.subject.data() {
                    Some(data) => Ok(of_json(data)),
                    None => no("the event's data is not JSON that can be read"),
                },
            },
            Value::Attributes(map) => map
                .get(field)
                .map(|text| Value::Text(text))
                .ok_or_else(missing),
            Value::Json(Json::Object(map)) => map.get(field).map(of_json).ok_or_else(missing),
            other => no(format!("{} has no field {field:?}", name(other))),
        }
    }

    fn has(&self, of: &Value<'a>, field: &str) -> Answer<bool> {
        match of {
            Value::Event => Ok(field != "data" || self.subject.data().is_some()),
            Value::Attributes(map) => Ok(map.contains_key(field)),
            Value::Json(Json::Object(map)) => Ok(map.contains_key(field)),
            other => no(format!("{} has no field {field:?}", name(other))),
        }
    }

    fn element(&self, of: &Value<'a>, key: &Value<'a>) -> Answer<Value<'a>> {
        let found = match (of, key) {
            (Value::Attributes(_) | Value::Json(Json::Object(_)), Value::Text(key)) => {
                return self.field(of, key);
            }
            (Value::Json(Json::Array(array)), Value::Int(n)) => usize::try_from(*n)
                .ok()
                .and_then(|n| array.get(n))
                .map(of_json),
            (Value::List(list), Value::Int(n)) => {
                usize::try_from(*n).ok().and_then(|n| list.get(n)).cloned()
            }
            (of, key) => return no(format!("{} has no {} in it", name(of), name(key))),
        };
        found.ok_or_else(|| Unanswered("the list is shorter".to_owned()))
    }

    fn size(&mut self, of: &Value<'a>) -> Answer<i64> {
        let size = match of {
            Value::Text(text) => {
                self.read(text)?;
                text.chars().count()
            }
            Value::List(list) => list.len(),
            Value::Json(Json::Array(array)) => array.len(),
            Value::Json(Json::Object(map)) => map.len(),
            Value::Attributes(map) => map.len(),
            other => return unfit("text, a list or an object", other),
        };
        i64::try_from(size).map_err(|_| too_large())
    }

    fn test(&mut self, test: TextTest, args: &'a [Node; 2]) -> Answer<bool> {
        let (whole, part) = (self.text(&args[0])?, self.text(&args[1])?);
        Ok(match test {
            TextTest::StartsWith => whole.starts_with(part),
            TextTest::EndsWith => whole.ends_with(part),
            TextTest::Contains => whole.contains(part),
        })
    }

    fn are_equal(&mut self, args: &'a [Node; 2]) -> Answer<bool> {
        let (left, right) = self.pair(args)?;
        self.same(&left, &right)
    }

    fn same(&mut self, left: &Value<'a>, right: &Value<'a>) -> Answer<bool> {
        self.spend(1)?;
        if let (Value::Text(left), Value::Text(right)) = (left, right) {
            self.read(left)?;
            return Ok(left == right);
        }
        if let Some(order) = numeric_order(left, right) {
            return Ok(order.is_eq());
        }
        match (left, right) {
            (Value::Null, Value::Null) | (Value::Event, Value::Event) => Ok(true),
            (Value::Bool(left), Value::Bool(right)) => Ok(left == right),
            (Value::Json(Json::Object(left)), Value::Json(Json::Object(right))) => {
                for (key, left) in left {
                    let right = right.get(key).map(of_json);
                    let Some(right) = right else { return Ok(false) };
                    if !self.same(&of_json(left), &right)? {
                        return Ok(false);
                    }
                }
                Ok(left.len() == right.len())
            }
            (Value::Attributes(left), Value::Attributes(right)) => Ok(left == right),
            (Value::Json(Json::Array(_)) | Value::List(_), _) => {
                let (Ok(left), Ok(right)) = (self.items(left), self.items(right)) else {
                    return Ok(false);
                };
                if left.len() != right.len() {
                    return Ok(false);
                }
                for (left, right) in left.iter().zip(&right) {
                    if !self.same(left, right)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn compare(&mut self, order: Order, args: &'a [Node; 2]) -> Answer<bool> {
        let (left, right) = self.pair(args)?;
        let found = match (&left, &right) {
            (Value::Text(left), Value::Text(right)) => {
                self.read(left)?;
                left.cmp(right)
            }
            _ => match numeric_order(&left, &right) {
                Some(order) => order,
                None => {
                    return no(format!(
                        "{} has no order with {}",
                        name(&left),
                        name(&right)
                    ));
                }
            },
        };
        Ok(match order {
            Order::Less => found.is_lt(),
            Order::LessOrEqual => found.is_le(),
            Order::Greater => found.is_gt(),
            Order::GreaterOrEqual => found.is_ge(),
        })
    }

    fn is_in(&mut self, args: &'a [Node; 2]) -> Answer<bool> {
        let (sought, among) = self.pair(args)?;
        if let (Value::Text(key), Value::Attributes(_) | Value::Json(Json::Object(_))) =
            (&sought, &among)
        {
            return self.has(&among, key);
        }
        for item in self.items(&among)? {
            if self.same(&sought, &item)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What a loop goes through: the elements of a list, the names in an object.
    fn items(&mut self, of: &Value<'a>) -> Answer<Vec<Value<'a>>> {
        let size = match of {
            Value::Text(_) => return unfit("a list or an object", of),
            of => self.size(of)?,
        };
        self.spend(usize::try_from(size).unwrap_or(MAX_STEPS))?;
        Ok(match of {
            Value::List(list) => list.to_vec(),
            Value::Json(Json::Array(array)) => array.iter().map(of_json).collect(),
            Value::Json(Json::Object(map)) => map.keys().map(|key| Value::Text(key)).collect(),
            Value::Attributes(map) => map.keys().map(|key| Value::Text(key)).collect(),
            other => return unfit("a list or an object", other),
        })
    }

    fn go_through(&mut self, kind: Loop, args: &'a [Node; 2]) -> Answer<Value<'a>> {
        let [range, body] = args;
        let range = self.value(range)?;
        let items = self.items(&range)?;
        match kind {
            Loop::All => self
                .any(items, body, false)
                .map(|found| Value::Bool(!found)),
            Loop::Exists => self.any(items, body, true).map(Value::Bool),
            Loop::ExistsOne => {
                let kept = self.keep(items, body)?;
                Ok(Value::Bool(kept.len() == 1))
            }
            Loop::Filter => self.keep(items, body).map(Value::List),
            Loop::Map => {
                let made = items
                    .into_iter()
                    .map(|item| self.with(item, body, Self::value));
                made.collect::<Answer<_>>().map(Value::List)
            }
        }
    }

    /// Whether the body says this of any item, whatever errors the others give.
    fn any(&mut self, items: Vec<Value<'a>>, body: &'a Node, decisive: bool) -> Answer<bool> {
        let mut found = Ok(false);
        for item in items {
            match self.with(item, body, Self::truth) {
                Ok(said) if said == decisive => return Ok(true),
                Ok(_) => {}
                Err(error) => found = Err(error),
            }
        }
        found
    }

    fn keep(&mut self, items: Vec<Value<'a>>, body: &'a Node) -> Answer<Rc<[Value<'a>]>> {
        let mut kept = Vec::new();
        for item in items {
            if self.with(item.clone(), body, Self::truth)? {
                kept.push(item);
            }
        }
        Ok(kept.into())
    }

    fn with<T>(
        &mut self,
        item: Value<'a>,
        body: &'a Node,
        ask: fn(&mut Self, &'a Node) -> Answer<T>,
    ) -> Answer<T> {
        self.variables.push(item);
        let answer = ask(self, body);
        self.variables.pop();
        answer
    }
}
