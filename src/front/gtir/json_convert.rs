//! From a JSON table to the terms of a program, with an explicit stack.

use hashbrown::HashMap;

use crate::diag::Result;
use crate::entity::Name;
use crate::scalar::{DType, Scalar};

use super::ast::{
    DimKind, Dimension, Function, OffsetLabel, Param, Program, Stmt, Temporary, Term, TermId, Type, TypeId,
};
use super::builtins::Builtin;
use super::json_tree::{Item, Json, Tree};

/// Statements and types nest a few levels in real programs; more than this is an attack.
const MAX_NESTING: usize = 200;

/// Builds a program from a document.
pub struct Converter<'t> {
    tree: &'t Tree,
    program: Program,
    types: Vec<TypeId>,
    /// The program's name for a string of the document.
    names: HashMap<Name, Name>,
    /// How many binders of a name enclose the place being read.
    bound: HashMap<Name, u32>,
}

/// What is left to do, innermost last.
enum Step {
    Visit(Item),
    EndLambda(Box<[Name]>),
    EndCall { item: Item, args: usize },
}

impl<'t> Converter<'t> {
    /// A converter of one document.
    pub fn new(tree: &'t Tree) -> Self {
        Self {
            tree,
            program: Program::default(),
            types: Vec::new(),
            names: HashMap::new(),
            bound: HashMap::new(),
        }
    }

    /// Reads program and types.
    pub fn convert(mut self, program: Item, types: Item) -> Result<Program> {
        let tree = self.tree;
        for item in tree.elements(types)? {
            let ty = self.ty(item, 0)?;
            self.types.push(ty);
        }
        self.program.name = tree.string(tree.required(program, "id")?)?.to_owned();
        for item in tree.elements(tree.required(program, "params")?)? {
            let name = self.name_member(item, "id")?;
            let ty = self.type_member(item)?;
            self.program.params.push(Param { name, ty });
        }
        self.functions(tree.required(program, "fundefs")?)?;
        let params: Vec<Name> = self.program.params.iter().map(|param| param.name).collect();
        self.bind(&params);
        if let Some(declarations) = tree.member(program, "declarations") {
            for item in tree.elements(declarations)? {
                let name = self.name_member(item, "id")?;
                let domain = self.term(tree.required(item, "domain")?)?;
                let dtype = self.type_member(item)?;
                self.program.temporaries.push(Temporary { name, domain, dtype });
                self.bind(&[name]);
            }
        }
        self.program.body = self.statements(tree.required(program, "body")?, 0)?;
        Ok(self.program)
    }

    fn functions(&mut self, fundefs: Item) -> Result<()> {
        let tree = self.tree;
        for item in tree.elements(fundefs)? {
            let name = self.name_member(item, "id")?;
            let params = self.binders(tree.required(item, "params")?)?;
            self.bind(&params);
            let body = self.term(tree.required(item, "expr")?)?;
            self.unbind(&params);
            self.program.functions.push(Function { name, params: params.into_vec(), body });
            self.bind(&[name]);
        }
        Ok(())
    }

    fn statements(&mut self, list: Item, depth: usize) -> Result<Vec<Stmt>> {
        let tree = self.tree;
        if depth > MAX_NESTING {
            return Err(tree.error(list, format!("statements nest more than {MAX_NESTING} levels deep")));
        }
        let mut statements = Vec::new();
        for item in tree.elements(list)? {
            let kind = tree.required(item, "k")?;
            statements.push(match tree.string(kind)? {
                "set_at" => Stmt::SetAt {
                    value: self.term(tree.required(item, "expr")?)?,
                    domain: self.term(tree.required(item, "domain")?)?,
                    target: self.term(tree.required(item, "target")?)?,
                },
                "if_stmt" => Stmt::If {
                    condition: self.term(tree.required(item, "cond")?)?,
                    then: self.statements(tree.required(item, "then")?, depth + 1)?,
                    otherwise: self.statements(tree.required(item, "else")?, depth + 1)?,
                },
                other => {
                    let message = format!("`{other}` is not a kind of statement");
                    return Err(tree.error(kind, message).with_note("expected `set_at` or `if_stmt`"));
                }
            });
        }
        Ok(statements)
    }

    /// Reads a term of any depth.
    fn term(&mut self, root: Item) -> Result<TermId> {
        let tree = self.tree;
        let mut steps = vec![Step::Visit(root)];
        let mut done: Vec<TermId> = Vec::new();
        while let Some(step) = steps.pop() {
            let term = match step {
                Step::Visit(item) => {
                    let kind = tree.required(item, "k")?;
                    match tree.string(kind)? {
                        "call" => {
                            let args = tree.elements(tree.required(item, "args")?)?;
                            steps.push(Step::EndCall { item, args: args.len() });
                            steps.extend(args.rev().map(Step::Visit));
                            steps.push(Step::Visit(tree.required(item, "fun")?));
                            continue;
                        }
                        "lambda" => {
                            let params = self.binders(tree.required(item, "params")?)?;
                            self.bind(&params);
                            steps.push(Step::EndLambda(params));
                            steps.push(Step::Visit(tree.required(item, "expr")?));
                            continue;
                        }
                        kind => self.leaf(item, kind)?,
                    }
                }
                Step::EndLambda(params) => {
                    self.unbind(&params);
                    let body = done.pop().ok_or_else(|| tree.error(root, "a lambda has no body"))?;
                    Term::Lambda { params, body }
                }
                Step::EndCall { item, args } => {
                    let first = done.len().saturating_sub(args);
                    let args = done.split_off(first).into();
                    let callee = done.pop().ok_or_else(|| tree.error(item, "a call has no function"))?;
                    Term::Call { callee, args }
                }
            };
            done.push(self.program.term(term));
        }
        done.pop().ok_or_else(|| tree.error(root, "a term is expected here"))
    }

    fn leaf(&mut self, item: Item, kind: &str) -> Result<Term> {
        let tree = self.tree;
        Ok(match kind {
            "ref" => {
                let name = self.name_member(item, "id")?;
                match Builtin::from_name(self.program.text(name)) {
                    Some(builtin) if !self.is_bound(name) => Term::Builtin(builtin),
                    _ => Term::Ref(name),
                }
            }
            "lit" => {
                let text = tree.string(tree.required(item, "v")?)?;
                let ty = self
                    .type_member(item)?
                    .ok_or_else(|| tree.error(item, "a literal needs a type (`t`)"))?;
                match self.program.types[ty] {
                    Type::Scalar(dtype) => Term::Literal(literal(text, dtype).ok_or_else(|| {
                        let message = format!("`{text}` is not a literal of type {dtype}");
                        crate::diag::Diagnostic::error("P0603", message).at(tree.path(item))
                    })?),
                    Type::Text => Term::Text(text.into()),
                    _ => return Err(tree.error(item, "a literal is a number or a text")),
                }
            }
            "off" => {
                let value = tree.required(item, "v")?;
                Term::Offset(match tree.get(value) {
                    Json::String(name) => OffsetLabel::Name(self.name(name)),
                    _ => OffsetLabel::Index(tree.integer(value)?),
                })
            }
            "axis" => {
                let name = self.name_member(item, "v")?;
                let kind = self.dim_kind(tree.required(item, "kind")?)?;
                Term::Axis(Dimension { name, kind })
            }
            "coff" => Term::CartesianOffset {
                from: self.dimension_pair(tree.required(item, "from")?)?,
                to: self.dimension_pair(tree.required(item, "to")?)?,
            },
            "inf" => {
                let value = tree.required(item, "v")?;
                match tree.string(value)? {
                    "POSITIVE" => Term::Infinity(true),
                    "NEGATIVE" => Term::Infinity(false),
                    other => {
                        let message = format!("`{other}` is not a sign of infinity");
                        return Err(tree
                            .error(value, message)
                            .with_note("expected `POSITIVE` or `NEGATIVE`"));
                    }
                }
            }
            "none" => Term::None,
            other => {
                return Err(tree
                    .error(item, format!("`{other}` is not a kind of expression"))
                    .with_note("expected one of call, lambda, ref, lit, off, axis, coff, inf, none"));
            }
        })
    }

    fn ty(&mut self, item: Item, depth: usize) -> Result<TypeId> {
        let tree = self.tree;
        if depth > MAX_NESTING {
            return Err(tree.error(item, format!("types nest more than {MAX_NESTING} levels deep")));
        }
        let kind = tree.required(item, "k")?;
        let ty = match tree.string(kind)? {
            "scalar" => {
                let name = tree.required(item, "dtype")?;
                match tree.string(name)? {
                    "string" => Type::Text,
                    text => Type::Scalar(DType::from_name(text).ok_or_else(|| {
                        tree.error(name, format!("`{text}` is not an element type"))
                            .with_note("expected bool, int8 to int64, uint8 to uint64, float32 or float64")
                    })?),
                }
            }
            "field" => {
                let dims: Vec<Dimension> = tree
                    .elements(tree.required(item, "dims")?)?
                    .map(|dim| self.dimension(dim))
                    .collect::<Result<_>>()?;
                let element = self.ty(tree.required(item, "dtype")?, depth + 1)?;
                Type::Field { dims: dims.into(), element }
            }
            "list" => {
                let element = self.ty(tree.required(item, "elem")?, depth + 1)?;
                let offset = match tree.member(item, "offset") {
                    Some(offset) if !matches!(tree.get(offset), Json::Null) => Some(self.dimension(offset)?),
                    _ => None,
                };
                Type::List { element, offset }
            }
            "tuple" => {
                let members: Vec<TypeId> = tree
                    .elements(tree.required(item, "types")?)?
                    .map(|member| self.ty(member, depth + 1))
                    .collect::<Result<_>>()?;
                Type::Tuple(members.into())
            }
            _ => Type::Other(self.name(tree.string_name(kind)?)),
        };
        Ok(self.program.intern_type(ty))
    }

    fn type_member(&self, item: Item) -> Result<Option<TypeId>> {
        let tree = self.tree;
        let Some(index) = tree.member(item, "t").filter(|t| !matches!(tree.get(*t), Json::Null)) else {
            return Ok(None);
        };
        let position = tree.integer(index)?;
        let found = usize::try_from(position).ok().and_then(|n| self.types.get(n).copied());
        match found {
            Some(ty) => Ok(Some(ty)),
            None => Err(tree
                .error(index, format!("there is no type {position}"))
                .with_note(format!("the document has {} types", self.types.len()))),
        }
    }

    fn dimension(&mut self, item: Item) -> Result<Dimension> {
        let name = self.name_member(item, "name")?;
        let kind = self.dim_kind(self.tree.required(item, "kind")?)?;
        Ok(Dimension { name, kind })
    }

    fn dimension_pair(&mut self, item: Item) -> Result<Dimension> {
        let parts: Vec<Item> = self.tree.elements(item)?.collect();
        let &[name, kind] = &parts[..] else {
            return Err(self.tree.error(item, "a dimension is a pair of name and kind here"));
        };
        let name = self.name(self.tree.string_name(name)?);
        Ok(Dimension { name, kind: self.dim_kind(kind)? })
    }

    fn dim_kind(&self, item: Item) -> Result<DimKind> {
        let text = self.tree.string(item)?;
        DimKind::from_name(text).ok_or_else(|| {
            self.tree
                .error(item, format!("`{text}` is not a kind of dimension"))
                .with_note("expected horizontal, vertical or local")
        })
    }

    fn binders(&mut self, list: Item) -> Result<Box<[Name]>> {
        self.tree.elements(list)?.map(|item| self.name_member(item, "id")).collect()
    }

    fn name_member(&mut self, item: Item, key: &str) -> Result<Name> {
        let name = self.tree.string_name(self.tree.required(item, key)?)?;
        Ok(self.name(name))
    }

    fn name(&mut self, string: Name) -> Name {
        let (tree, program) = (self.tree, &mut self.program);
        *self.names.entry(string).or_insert_with(|| program.names.intern(tree.strings.get(string)))
    }

    fn bind(&mut self, names: &[Name]) {
        for name in names {
            *self.bound.entry(*name).or_default() += 1;
        }
    }

    fn unbind(&mut self, names: &[Name]) {
        for name in names {
            if let Some(count) = self.bound.get_mut(name) {
                *count = count.saturating_sub(1);
            }
        }
    }

    fn is_bound(&self, name: Name) -> bool {
        self.bound.get(&name).is_some_and(|count| *count > 0)
    }
}

/// The value of a literal's text: Python's spelling of numbers, `True` and `False`.
pub(super) fn literal(text: &str, dtype: DType) -> Option<Scalar> {
    Some(match dtype {
        DType::Bool => match text {
            "True" | "true" => Scalar::Bool(true),
            "False" | "false" => Scalar::Bool(false),
            _ => return None,
        },
        DType::I8 => Scalar::I8(text.parse().ok()?),
        DType::I16 => Scalar::I16(text.parse().ok()?),
        DType::I32 => Scalar::I32(text.parse().ok()?),
        DType::I64 => Scalar::I64(text.parse().ok()?),
        DType::U8 => Scalar::U8(text.parse().ok()?),
        DType::U16 => Scalar::U16(text.parse().ok()?),
        DType::U32 => Scalar::U32(text.parse().ok()?),
        DType::U64 => Scalar::U64(text.parse().ok()?),
        DType::F32 => Scalar::F32(text.parse().ok()?),
        DType::F64 => Scalar::F64(text.parse().ok()?),
        DType::F16 | DType::BF16 => crate::scalar::arith::cast(dtype, Scalar::F64(text.parse().ok()?)),
        _ => return None,
    })
}
