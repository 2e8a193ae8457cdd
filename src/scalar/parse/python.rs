//! Python text to the common [`tree`](super::tree), with the meaning DaCe gives it (see the parent module).

use ruff_python_ast as ast;
use ruff_python_parser::{parse_expression, parse_module};

use crate::diag::Diagnostic;

use super::tree::{Binary, Expr, IntSuffix, MAX_DEPTH, Stmt, Unary};
use super::unsupported;

/// Longest text that is read, in bytes.
const MAX_TEXT: usize = 1 << 20;
/// Most operators in one logical line; the parser's tree is freed recursively.
const MAX_OPERATORS: usize = 4000;

/// Reads the statements of a tasklet.
pub fn statements(text: &str) -> Result<Vec<Stmt>, Diagnostic> {
    let text = dedent(text);
    check_size(&text)?;
    let module = parse_module(&text).map_err(|error| syntax_error(&error.to_string(), &text))?;
    block(&module.syntax().body, 0)
}

/// Reads one expression.
pub fn expression(text: &str) -> Result<Expr, Diagnostic> {
    let text = text.trim();
    check_size(text)?;
    let module = parse_expression(text).map_err(|error| syntax_error(&error.to_string(), text))?;
    expr(&module.syntax().body, 0)
}

/// Reads a lambda: parameter names and body.
pub fn lambda(text: &str) -> Result<(Vec<String>, Expr), Diagnostic> {
    let text = text.trim();
    check_size(text)?;
    let module = parse_expression(text).map_err(|error| syntax_error(&error.to_string(), text))?;
    let ast::Expr::Lambda(lambda) = &*module.syntax().body else {
        return Err(Diagnostic::error("P0302", "expected a lambda").with_note(format!("text: {text}")));
    };
    lambda_parts(lambda, 0)
}

fn lambda_parts(lambda: &ast::ExprLambda, depth: usize) -> Result<(Vec<String>, Expr), Diagnostic> {
    let parameters = lambda.parameters.iter().flat_map(|list| list.iter());
    let names = parameters.map(|parameter| parameter.name().to_string()).collect();
    Ok((names, expr(&lambda.body, depth)?))
}

/// The depth of statements that stand in nothing.
const OUTERMOST: usize = 1;

fn syntax_error(message: &str, text: &str) -> Diagnostic {
    let shown: String = text.chars().take(200).collect();
    Diagnostic::error("P0301", format!("the code is not valid Python: {message}"))
        .with_note(format!("text: {shown}"))
}

/// Removes the indentation that all lines share, so that text cut out of a function parses.
fn dedent(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let margin = lines
        .iter()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.len() - line.trim_start().len())
        .min()
        .unwrap_or(0);
    let lines: Vec<&str> = lines.iter().map(|line| line.get(margin..).unwrap_or("")).collect();
    lines.join("\n")
}

/// Refuses text whose syntax tree would be too deep to walk: nothing below recurses without this bound.
fn check_size(text: &str) -> Result<(), Diagnostic> {
    let too_large = |what: &str| Err(Diagnostic::error("P0303", format!("the code is too large: {what}")));
    if text.len() > MAX_TEXT {
        return too_large("more than a megabyte of text");
    }
    // Operands between commas nest beside each other: each counts from where its bracket opened. Commas in strings and
    // comments are no commas, so text that has any counts as if there were none.
    let commas = !text.contains(['"', '\'', '#']);
    let mut opened: Vec<(usize, usize)> = Vec::new();
    let mut operators = 0;
    let mut word_start = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            continue;
        }
        let word = text.get(word_start..at).unwrap_or("");
        word_start = at + 1;
        if matches!(word, "not" | "and" | "or" | "if" | "else" | "lambda" | "is" | "in" | "await") {
            operators += 1;
        }
        match byte {
            b'(' | b'[' | b'{' => opened.push((operators, operators)),
            b')' | b']' | b'}' => {
                if let Some((_, most)) = opened.pop() {
                    operators = operators.max(most);
                }
            }
            b',' if commas => {
                if let Some((before, most)) = opened.last_mut() {
                    *most = operators.max(*most);
                    operators = *before;
                }
            }
            b'\n' | b';' if opened.is_empty() => operators = 0,
            b'+' | b'-' | b'*' | b'/' | b'%' | b'<' | b'>' | b'=' | b'&' | b'|' | b'^' | b'~' | b'.' => {
                operators += 1;
            }
            _ => {}
        }
        if opened.len() > MAX_DEPTH {
            return too_large("brackets nest too deeply");
        }
        if operators > MAX_OPERATORS {
            return too_large("too many operators in one statement");
        }
    }
    Ok(())
}

fn deeper(depth: usize) -> Result<usize, Diagnostic> {
    if depth >= MAX_DEPTH {
        return Err(Diagnostic::error("P0303", "the code is too large: it nests too deeply"));
    }
    Ok(depth + 1)
}

fn block(body: &[ast::Stmt], depth: usize) -> Result<Vec<Stmt>, Diagnostic> {
    let depth = deeper(depth)?;
    let mut list = Vec::with_capacity(body.len());
    for item in body {
        statement(item, depth, &mut list)?;
    }
    Ok(list)
}

fn statement(item: &ast::Stmt, depth: usize, list: &mut Vec<Stmt>) -> Result<(), Diagnostic> {
    list.push(match item {
        // Elsewhere it would depend on the run which function a name means.
        ast::Stmt::Assign(assign)
            if depth == OUTERMOST
                && let ([ast::Expr::Name(name)], ast::Expr::Lambda(lambda)) =
                    (&*assign.targets, &*assign.value) =>
        {
            let (parameters, body) = lambda_parts(lambda, depth)?;
            Stmt::Define(name.id.to_string(), parameters, body)
        }
        ast::Stmt::Assign(assign) => {
            let targets = assign.targets.iter().map(|target| expr(target, depth));
            Stmt::Assign(targets.collect::<Result<_, _>>()?, expr(&assign.value, depth)?)
        }
        ast::Stmt::AugAssign(assign) => {
            Stmt::Augment(expr(&assign.target, depth)?, operator(assign.op)?, expr(&assign.value, depth)?)
        }
        ast::Stmt::AnnAssign(assign) => {
            let target = expr(&assign.target, depth)?;
            let value = assign.value.as_ref().map(|value| expr(value, depth)).transpose()?;
            match (target, dotted(&assign.annotation), value) {
                (Expr::Name(name), Some(ty), value) => Stmt::Declare(name, ty, value),
                (target, _, Some(value)) => Stmt::Assign(vec![target], value),
                _ => return Err(unsupported("a declaration without a value")),
            }
        }
        ast::Stmt::If(branch) => {
            let mut otherwise = Vec::new();
            // Clauses nest to the right; built from the last one, so long chains cost no recursion.
            for clause in branch.elif_else_clauses.iter().rev() {
                let body = block(&clause.body, depth)?;
                otherwise = match &clause.test {
                    None => body,
                    Some(test) => vec![Stmt::If(expr(test, depth)?, body, otherwise)],
                };
            }
            if branch.elif_else_clauses.len() > MAX_DEPTH {
                return Err(Diagnostic::error("P0303", "the code is too large: too many elif branches"));
            }
            Stmt::If(expr(&branch.test, depth)?, block(&branch.body, depth)?, otherwise)
        }
        ast::Stmt::While(repeat) => {
            if !repeat.orelse.is_empty() {
                return Err(unsupported("`else` of a loop"));
            }
            Stmt::While(expr(&repeat.test, depth)?, block(&repeat.body, depth)?)
        }
        ast::Stmt::For(repeat) => range_loop(repeat, depth)?,
        ast::Stmt::Expr(value) => Stmt::Evaluate(expr(&value.value, depth)?),
        ast::Stmt::Pass(_) | ast::Stmt::Import(_) | ast::Stmt::ImportFrom(_) | ast::Stmt::Assert(_) => {
            return Ok(());
        }
        other => return Err(unsupported(statement_name(other))),
    });
    Ok(())
}

fn statement_name(item: &ast::Stmt) -> &'static str {
    match item {
        ast::Stmt::Return(_) => "a `return` statement",
        ast::Stmt::Break(_) => "a `break` statement",
        ast::Stmt::Continue(_) => "a `continue` statement",
        ast::Stmt::FunctionDef(_) => "a function definition",
        ast::Stmt::ClassDef(_) => "a class definition",
        ast::Stmt::With(_) => "a `with` statement",
        ast::Stmt::Try(_) => "a `try` statement",
        ast::Stmt::Raise(_) => "a `raise` statement",
        ast::Stmt::Delete(_) => "a `del` statement",
        ast::Stmt::Global(_) | ast::Stmt::Nonlocal(_) => "a `global` statement",
        _ => "this statement",
    }
}

fn range_loop(repeat: &ast::StmtFor, depth: usize) -> Result<Stmt, Diagnostic> {
    let (Expr::Name(variable), Expr::Call { function, arguments, .. }) =
        (expr(&repeat.target, depth)?, expr(&repeat.iter, depth)?)
    else {
        return Err(unsupported("a `for` over anything but `range`"));
    };
    if function != "range" || !repeat.orelse.is_empty() {
        return Err(unsupported("a `for` over anything but `range`"));
    }
    let mut arguments = arguments.into_iter();
    let (start, stop, step) = match (arguments.next(), arguments.next(), arguments.next()) {
        (Some(stop), None, _) => (Expr::int(0), stop, Expr::int(1)),
        (Some(start), Some(stop), step) => (start, stop, step.unwrap_or(Expr::int(1))),
        _ => return Err(unsupported("`range` without bounds")),
    };
    Ok(Stmt::Range { variable, start, stop, step, body: block(&repeat.body, depth)? })
}

fn boxed(item: &ast::Expr, depth: usize) -> Result<Box<Expr>, Diagnostic> {
    expr(item, depth).map(Box::new)
}

fn expr(item: &ast::Expr, depth: usize) -> Result<Expr, Diagnostic> {
    let depth = deeper(depth)?;
    Ok(match item {
        ast::Expr::NumberLiteral(literal) => number(&literal.value)?,
        ast::Expr::BooleanLiteral(literal) => Expr::Bool(literal.value),
        ast::Expr::NoneLiteral(_) => Expr::None,
        ast::Expr::StringLiteral(literal) => Expr::Text(literal.value.to_str().to_string()),
        ast::Expr::FString(_) => Expr::Text(String::new()),
        ast::Expr::Name(name) => match name.id.as_str() {
            "inf" => Expr::Float32(f32::INFINITY),
            "nan" => Expr::Float32(f32::NAN),
            other => Expr::Name(other.to_string()),
        },
        ast::Expr::UnaryOp(operation) => unary(operation, depth)?,
        ast::Expr::BinOp(_) => chain(item, depth)?,
        ast::Expr::BoolOp(operation) => {
            let mut values = operation.values.iter();
            let first = values.next().ok_or_else(|| unsupported("an empty condition"))?;
            let mut result = expr(first, depth)?;
            for value in values {
                let (left, right) = (Box::new(result), boxed(value, depth)?);
                result = match operation.op {
                    ast::BoolOp::And => Expr::And(left, right),
                    ast::BoolOp::Or => Expr::Or(left, right),
                };
            }
            result
        }
        ast::Expr::Compare(compare) => {
            let mut result = expr(&compare.left, depth)?;
            for (op, right) in compare.ops.iter().zip(&compare.comparators) {
                result = Expr::Binary(comparison(*op)?, Box::new(result), boxed(right, depth)?);
            }
            result
        }
        ast::Expr::If(choice) => Expr::Conditional {
            condition: boxed(&choice.test, depth)?,
            then: boxed(&choice.body, depth)?,
            otherwise: boxed(&choice.orelse, depth)?,
        },
        ast::Expr::Call(call) => call_expr(call, depth)?,
        ast::Expr::Subscript(subscript) => {
            let indices = match &*subscript.slice {
                ast::Expr::Tuple(tuple) => {
                    tuple.elts.iter().map(|index| expr(index, depth)).collect::<Result<_, _>>()?
                }
                index => vec![expr(index, depth)?],
            };
            Expr::Subscript(boxed(&subscript.value, depth)?, indices)
        }
        ast::Expr::Attribute(_) => match dotted(item) {
            Some(name) => attribute(&name),
            None => {
                let ast::Expr::Attribute(attribute) = item else {
                    return Err(unsupported("this expression"));
                };
                Expr::Field(boxed(&attribute.value, depth)?, attribute.attr.to_string())
            }
        },
        ast::Expr::Tuple(tuple) => {
            Expr::Tuple(tuple.elts.iter().map(|value| expr(value, depth)).collect::<Result<_, _>>()?)
        }
        ast::Expr::Slice(_) => return Err(unsupported("a slice: index every dimension")),
        ast::Expr::Lambda(_) => return Err(unsupported("a lambda inside code")),
        _ => return Err(unsupported("this expression")),
    })
}

/// A left-leaning chain of binary operators, read without recursion along its spine.
fn chain(item: &ast::Expr, depth: usize) -> Result<Expr, Diagnostic> {
    let mut spine = Vec::new();
    let mut left = item;
    while let ast::Expr::BinOp(operation) = left {
        spine.push(operation);
        left = &operation.left;
    }
    let mut result = expr(left, depth)?;
    for operation in spine.into_iter().rev() {
        result = Expr::Binary(operator(operation.op)?, Box::new(result), boxed(&operation.right, depth)?);
    }
    Ok(result)
}

fn unary(operation: &ast::ExprUnaryOp, depth: usize) -> Result<Expr, Diagnostic> {
    let operand = expr(&operation.operand, depth)?;
    // DaCe applies the operator to literals before it prints them, which decides their C type.
    Ok(match (operation.op, operand) {
        (ast::UnaryOp::USub, Expr::Int(value, suffix)) => Expr::Int(-value, suffix),
        (ast::UnaryOp::USub, Expr::Float(value)) => Expr::Float(-value),
        (ast::UnaryOp::USub, Expr::Complex(re, im)) => Expr::Complex(-re, -im),
        (ast::UnaryOp::Invert, Expr::Int(value, suffix)) => Expr::Int(!value, suffix),
        (ast::UnaryOp::UAdd, literal @ (Expr::Int(..) | Expr::Float(_) | Expr::Complex(..))) => literal,
        (op, operand) => {
            let op = match op {
                ast::UnaryOp::USub => Unary::Minus,
                ast::UnaryOp::UAdd => Unary::Plus,
                ast::UnaryOp::Not => Unary::Not,
                ast::UnaryOp::Invert => Unary::Invert,
            };
            Expr::Unary(op, Box::new(operand))
        }
    })
}

fn number(value: &ast::Number) -> Result<Expr, Diagnostic> {
    Ok(match value {
        ast::Number::Int(value) => {
            let wide = value.as_u64().map(i128::from).or_else(|| value.to_string().parse().ok());
            Expr::Int(wide.ok_or_else(|| unsupported("an integer of more than 64 bits"))?, IntSuffix::Fit)
        }
        ast::Number::Float(value) => Expr::Float(*value),
        ast::Number::Complex { real, imag } => Expr::Complex(*real, *imag),
    })
}

fn call_expr(call: &ast::ExprCall, depth: usize) -> Result<Expr, Diagnostic> {
    let arguments = &call.arguments;
    let positional = arguments.args.iter().map(|value| expr(value, depth)).collect::<Result<Vec<_>, _>>()?;
    if let ast::Expr::Call(inner) = &*call.func
        && dotted(&inner.func).as_deref() == Some("decltype")
        && let [ast::Expr::Name(name)] = &*inner.arguments.args
        && let Ok([value]) = <[Expr; 1]>::try_from(positional.clone())
    {
        return Ok(Expr::CastLike(name.id.to_string(), Box::new(value)));
    }
    let mut keywords = Vec::with_capacity(arguments.keywords.len());
    for keyword in &arguments.keywords {
        let name = keyword.arg.as_ref().ok_or_else(|| unsupported("`**` in a call"))?;
        keywords.push((name.to_string(), expr(&keyword.value, depth)?));
    }
    match (dotted(&call.func), &*call.func) {
        (Some(function), _) => Ok(Expr::Call { function, arguments: positional, keywords }),
        (None, ast::Expr::Attribute(method)) => {
            Ok(Expr::Method(boxed(&method.value, depth)?, method.attr.to_string(), positional))
        }
        _ => Err(unsupported("a call of anything but a name")),
    }
}

/// `a.b.c` of plain names.
fn dotted(item: &ast::Expr) -> Option<String> {
    let mut parts = Vec::new();
    let mut item = item;
    loop {
        match item {
            ast::Expr::Attribute(attribute) => {
                parts.push(attribute.attr.as_str());
                item = &attribute.value;
            }
            ast::Expr::Name(name) => {
                parts.push(name.id.as_str());
                break;
            }
            _ => return None,
        }
    }
    parts.reverse();
    Some(parts.join("."))
}

/// A dotted name as a value: a constant of a module, or fields of a record.
fn attribute(name: &str) -> Expr {
    match name {
        "math.pi" | "dace.math.pi" | "numpy.pi" | "np.pi" => Expr::Float(std::f64::consts::PI),
        "math.e" | "numpy.e" | "np.e" => Expr::Float(std::f64::consts::E),
        "math.inf" | "numpy.inf" | "np.inf" => Expr::Float(f64::INFINITY),
        "math.nan" | "numpy.nan" | "np.nan" | "dace.math.nan" => Expr::Float(f64::NAN),
        _ => {
            let mut parts = name.split('.');
            let mut value = Expr::Name(parts.next().unwrap_or(name).to_string());
            for field in parts {
                value = Expr::Field(Box::new(value), field.to_string());
            }
            value
        }
    }
}

fn operator(op: ast::Operator) -> Result<Binary, Diagnostic> {
    Ok(match op {
        ast::Operator::Add => Binary::Add,
        ast::Operator::Sub => Binary::Sub,
        ast::Operator::Mult => Binary::Mul,
        ast::Operator::Div => Binary::Div,
        ast::Operator::FloorDiv => Binary::FloorDiv,
        ast::Operator::Mod => Binary::Rem,
        ast::Operator::Pow => Binary::Pow,
        ast::Operator::LShift => Binary::Shl,
        ast::Operator::RShift => Binary::Shr,
        ast::Operator::BitAnd => Binary::BitAnd,
        ast::Operator::BitOr => Binary::BitOr,
        ast::Operator::BitXor => Binary::BitXor,
        ast::Operator::MatMult => return Err(unsupported("the `@` operator")),
    })
}

fn comparison(op: ast::CmpOp) -> Result<Binary, Diagnostic> {
    Ok(match op {
        ast::CmpOp::Eq => Binary::Eq,
        ast::CmpOp::NotEq => Binary::Ne,
        ast::CmpOp::Lt => Binary::Lt,
        ast::CmpOp::LtE => Binary::Le,
        ast::CmpOp::Gt => Binary::Gt,
        ast::CmpOp::GtE => Binary::Ge,
        ast::CmpOp::Is => Binary::Is,
        ast::CmpOp::IsNot => Binary::IsNot,
        ast::CmpOp::In | ast::CmpOp::NotIn => return Err(unsupported("`in`")),
    })
}
