//! Statements. WGSL has no labels: a block is a loop that ends after one round, and an exit that crosses others sets a
//! flag that they look at.

use std::fmt::Write;

use crate::kernel::{LabelId, Stmt, VarId};
use crate::scalar::DType;

use super::value::{Held, int_literal, wgsl_type};
use super::{Emit, Emitter, Source};

/// How a list goes on.
#[derive(Clone, Debug, Default)]
pub(super) struct Flow {
    /// It never reaches its end.
    pub ends: bool,
    /// Labels around it that it may leave to.
    leaves: Vec<LabelId>,
}

impl Emitter<'_, '_> {
    /// Variables and flags, which live as long as the thread.
    pub(super) fn declare_variables(&self, text: &mut String) {
        let mut set: Vec<_> = self.nest.set.iter().filter(|v| self.needs.variables.contains(*v)).collect();
        set.sort_unstable();
        let together = self.nest.together;
        let own = |variable: &VarId| {
            together.is_some_and(|all| all.owns.iter().any(|own| own.variable == *variable))
        };
        for variable in set.into_iter().filter(|variable| !own(variable)) {
            let ty = self.variable_type(*variable);
            let _ = writeln!(text, "    var var{}: {ty};", variable.0);
        }
        for (buffer, (ty, bytes)) in &self.nest.own {
            let count = (*bytes as usize).div_ceil(ty.bytes()).max(1);
            let _ = writeln!(
                text,
                "    var {}: array<{}, {count}>;",
                self.names[buffer],
                wgsl_type(self.real(*ty))
            );
        }
        let mut labels: Vec<LabelId> = self
            .nest
            .statements()
            .filter_map(|stmt| if let Stmt::Block(label, _) = stmt { Some(*label) } else { None })
            .collect();
        labels.sort_unstable();
        for label in labels {
            let _ = writeln!(text, "    var leaves_{}: bool;", label.0);
        }
    }

    /// `i32` where all values fit.
    pub(super) fn variable_type(&self, variable: crate::kernel::VarId) -> &'static str {
        let ty = self.nest.kernel.variables[variable].ty;
        match self.nest.variables.get(&variable) {
            Some(interval) if ty == DType::I64 && interval.is_narrow() => "i32",
            _ => wgsl_type(self.real(ty)),
        }
    }

    fn list(&mut self, stmts: &[Stmt]) -> Emit<Flow> {
        self.depth += 1;
        let mut flow = Flow::default();
        for stmt in stmts {
            let one = self.stmt(stmt)?;
            flow.leaves.extend(one.leaves);
            if one.ends {
                flow.ends = true;
                break;
            }
        }
        self.depth -= 1;
        Ok(flow)
    }

    pub(super) fn stmt(&mut self, stmt: &Stmt) -> Emit<Flow> {
        match stmt {
            Stmt::Let(value, op) => self.define(*value, op)?,
            Stmt::Set(variable, value) => {
                if self.needs.variables.contains(variable) {
                    let ty = self.nest.kernel.variables[*variable].ty;
                    let held = self.variable_type(*variable);
                    if held != "i32" {
                        self.element(ty)?;
                    }
                    let text = match held {
                        "i64" => self.wide(*value)?,
                        _ => self.typed_or_narrow(*value)?,
                    };
                    self.line(&format!("var{} = {text};", variable.0));
                }
            }
            Stmt::Store { buffer, address, displacement, value } => {
                self.store(*buffer, *address, *displacement, *value)?;
            }
            Stmt::For { variable, start, stop, step, body, .. } => {
                let narrow = self.nest.interval(*variable).is_narrow();
                let (start, stop, step_text) = if narrow {
                    (self.narrow(*start)?, self.narrow(*stop)?, int_literal(*step))
                } else {
                    self.element(DType::I64)?;
                    (self.wide(*start)?, self.wide(*stop)?, super::value::long_literal(*step))
                };
                self.held.insert(*variable, if narrow { Held::Narrow } else { Held::Wide });
                let (name, ty) = (format!("v{}", variable.0), if narrow { "i32" } else { "i64" });
                let compare = if *step > 0 { '<' } else { '>' };
                self.line(&format!(
                    "for (var {name}: {ty} = {start}; {name} {compare} {stop}; {name} += {step_text}) {{"
                ));
                return self.breakable(None, body, false);
            }
            Stmt::Loop(body) => {
                self.line("loop {");
                return self.breakable(None, body, false);
            }
            Stmt::Block(label, body) => {
                self.line(&format!("leaves_{} = false;", label.0));
                self.line("loop {");
                return self.breakable(Some(*label), body, true);
            }
            Stmt::If { condition, then, otherwise } => {
                let condition = self.typed(*condition)?;
                self.line(&format!("if {condition} {{"));
                let mut flow = self.list(then)?;
                if !otherwise.is_empty() {
                    self.line("} else {");
                    let other = self.list(otherwise)?;
                    flow.leaves.extend(other.leaves);
                    flow.ends &= other.ends;
                } else {
                    flow.ends = false;
                }
                self.line("}");
                return Ok(flow);
            }
            Stmt::Exit(label) => {
                if self.blocks.last() != Some(&Some(*label)) {
                    self.line(&format!("leaves_{} = true;", label.0));
                }
                self.line("break;");
                return Ok(Flow { ends: true, leaves: vec![*label] });
            }
            Stmt::Check(condition, _) => {
                let condition = self.typed(*condition)?;
                self.line(&format!("if !({condition}) {{"));
                self.line("    atomicStore(&stop, 1u);");
                self.line("    return;");
                self.line("}");
            }
            Stmt::Alloc { buffer, bytes: _, zero, .. } => {
                let (ty, _) = self.nest.own[buffer];
                self.element(ty)?;
                if *zero {
                    let (_, bytes) = self.nest.own[buffer];
                    let count = (bytes as usize).div_ceil(ty.bytes()).max(1);
                    self.line(&format!(
                        "{} = array<{}, {count}>();",
                        self.names[buffer].clone(),
                        wgsl_type(self.real(ty))
                    ));
                }
            }
            Stmt::Cfg(_) => return Err("its control flow is unstructured".to_owned()),
            Stmt::Call(..) => return Err("it calls a library routine".to_owned()),
        }
        Ok(Flow::default())
    }

    /// The body and end of something that `break` leaves.
    fn breakable(&mut self, label: Option<LabelId>, body: &[Stmt], once: bool) -> Emit<Flow> {
        self.blocks.push(label);
        let inside = self.list(body)?;
        self.blocks.pop();
        if once && !inside.ends {
            self.line("    break;");
        }
        self.line("}");
        let mut flow = Flow::default();
        for leaves in inside.leaves {
            if Some(leaves) != label && !flow.leaves.contains(&leaves) {
                flow.leaves.push(leaves);
                // Out of the construct around this one as well, until the labelled block is reached.
                self.line(&format!("if leaves_{} {{", leaves.0));
                self.line("    break;");
                self.line("}");
            }
        }
        Ok(flow)
    }

    /// A captured variable, or one of the thread's own.
    pub(super) fn read_variable(&mut self, variable: crate::kernel::VarId) -> Emit<String> {
        let ty = self.nest.kernel.variables[variable].ty;
        if self.nest.set.contains(&variable) {
            return Ok(format!("var{}", variable.0));
        }
        self.element(ty)?;
        let text = self.capture(Source::Variable(variable), self.form(ty));
        Ok(if ty == DType::Bool { format!("({text} != 0u)") } else { text })
    }
}
