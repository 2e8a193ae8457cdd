//! Terms to values.

use std::rc::Rc;

use smallvec::SmallVec;

use crate::diag::Result;
use crate::front::gtir::{Builtin, Term, TermId};

use super::machine::Machine;
use super::value::{Env, Function, Iter, Poison, Value};

/// Arguments of one call.
pub type Args = SmallVec<[Value; 2]>;

impl Machine<'_, '_, '_> {
    /// The value of a term. Bodies of lets, calls and conditionals are evaluated in a loop, not by recursion.
    pub(super) fn eval(&self, term: TermId, env: &Env) -> Result<Value> {
        self.check_depth()?;
        let mut term = term;
        let mut env = env.clone();
        loop {
            let (callee, args) = match self.program.terms.get(term) {
                Some(Term::Call { callee, args }) => (*callee, args),
                Some(leaf) => return self.leaf(term, leaf, &env),
                None => return Err(self.error("a term does not exist")),
            };
            match self.program.terms.get(callee) {
                Some(Term::Builtin(Builtin::If)) => {
                    let &[condition, then, otherwise] = &args[..] else {
                        return Err(self.error("`if_` takes a condition and two values"));
                    };
                    match self.eval(condition, &env)? {
                        Value::Scalar(value) => term = if value.is_true() { then } else { otherwise },
                        Value::Poison(Poison::Traced) => {
                            let then = self.eval(then, &env)?;
                            return Ok(merge(&then, &self.eval(otherwise, &env)?));
                        }
                        poison @ Value::Poison(_) => return Ok(poison),
                        other => {
                            return Err(self.error(format!("the condition of `if_` is {}", other.kind())));
                        }
                    }
                }
                Some(Term::Builtin(builtin)) => return self.builtin(*builtin, self.values(args, &env)?),
                Some(Term::Lambda { params, body }) => {
                    let values = self.values(args, &env)?;
                    self.check_arity(params.len(), values.len())?;
                    env = env.bind(self.shared_params(callee, params), values);
                    term = *body;
                }
                _ => {
                    let function = self.eval(callee, &env)?;
                    let values = self.values(args, &env)?;
                    let Value::Function(known) = &function else {
                        return Err(self.error(format!("{} is called", function.kind())));
                    };
                    match &**known {
                        Function::Closure { params, body, env: captured } => {
                            self.check_arity(params.len(), values.len())?;
                            env = captured.bind(params.clone(), values);
                            term = *body;
                        }
                        _ => return self.call(&function, values),
                    }
                }
            }
        }
    }

    /// Calls a value that has to be a function.
    pub(super) fn call(&self, function: &Value, args: Args) -> Result<Value> {
        let Value::Function(known) = function else {
            return Err(self.error(format!("{} is called", function.kind())));
        };
        match &**known {
            Function::Closure { params, body, env } => {
                self.check_arity(params.len(), args.len())?;
                self.eval(*body, &env.bind(params.clone(), args))
            }
            Function::Builtin(builtin) => self.builtin(*builtin, args),
            Function::Applied { builtin, args: first } => self.applied(*builtin, first, args),
        }
    }

    fn values(&self, args: &[TermId], env: &Env) -> Result<Args> {
        args.iter().map(|arg| self.eval(*arg, env)).collect()
    }

    fn check_arity(&self, expected: usize, found: usize) -> Result<()> {
        if expected == found {
            return Ok(());
        }
        Err(self.error(format!("a function of {expected} parameters is called with {found} arguments")))
    }

    fn leaf(&self, id: TermId, term: &Term, env: &Env) -> Result<Value> {
        Ok(match term {
            Term::Literal(value) => Value::Scalar(*value),
            Term::Text(text) => Value::Text(text.as_ref().into()),
            Term::None => Value::None,
            Term::Infinity(positive) => Value::Infinity(*positive),
            Term::Offset(label) => Value::Offset(*label),
            Term::Axis(axis) => Value::Axis(axis.name),
            Term::CartesianOffset { from, to } => Value::CartesianOffset(*from, *to),
            Term::Builtin(builtin) => Value::Function(Rc::new(Function::Builtin(*builtin))),
            Term::Lambda { params, body } => Value::Function(Rc::new(Function::Closure {
                params: self.shared_params(id, params),
                body: *body,
                env: env.clone(),
            })),
            Term::Ref(name) => match env.get(*name) {
                Some(value) => value.clone(),
                None => return Err(self.error(format!("`{}` is not defined here", self.text(*name)))),
            },
            Term::Call { .. } => return Err(self.error("a call is not a leaf")),
        })
    }
}

/// What is known when either of two traced values may be meant.
fn merge(a: &Value, b: &Value) -> Value {
    match (a, b) {
        (Value::Tuple(left), Value::Tuple(right)) if left.len() == right.len() => {
            Value::tuple(left.iter().zip(&right[..]).map(|(x, y)| merge(x, y)).collect::<Vec<_>>())
        }
        (Value::Tuple(_), Value::Poison(_)) => a.clone(),
        (Value::Poison(_), Value::Tuple(_)) => b.clone(),
        (Value::Iterator(left), Value::Iterator(right)) => match (&**left, &**right) {
            (Iter::Traced(left), Iter::Traced(right)) => {
                Value::Iterator(Rc::new(Iter::Traced(left.iter().chain(right).cloned().collect())))
            }
            _ => a.clone(),
        },
        (Value::Function(_), _) => a.clone(),
        _ => Value::TRACED,
    }
}
