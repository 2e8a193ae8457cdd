//! Loop nests as WGSL: one thread per element of the collapsed loops, the innermost fastest.
//!
//! Values keep the names they have in the kernel, so that a shader reads beside `--dump kernel`. An `int64` value has up
//! to two forms: its exact value (`i32` where it provably fits, else `i64`), and its lowest 32 bits as `u32`, which is
//! all that an address needs: offsets into a buffer below 4 GiB are sums and products modulo 2^32.
//!
//! Every operation is written so that its bits are those of [`scalar`](crate::scalar); operations of the driver are used only where the
//! probe found them right.

mod complex;
mod exact;
mod group;
mod helpers;
mod math;
mod memory;
mod needs;
mod small;
mod stmt;
mod together;
mod value;

use std::fmt::Write;

use hashbrown::HashMap;
use indexmap::IndexMap;

use crate::kernel::{BufferId, LabelId, Literal, ValueId, VarId};
use crate::scalar::DType;

use super::abilities::{Abilities, Operation};
use super::nest::{Nest, Reason, Use};
use super::partial::GROUP;
use needs::Needs;
use together::Combined;
use value::Held;

pub(super) use memory::NO_DOUBLE;
pub(super) use value::fits_size;

/// A shader and what a launch has to give it.
#[derive(Clone, Debug)]
pub(super) struct Shader {
    /// WGSL.
    pub text: String,
    /// What each launch passes, in the order of the kernel's parameter block.
    pub slots: Vec<Slot>,
    /// Buffers, in the order of their bindings.
    pub bindings: Vec<(BufferId, Use)>,
    /// For each of them, how many bindings it is split between.
    pub parts: Vec<u32>,
    /// Threads of a workgroup.
    pub threads: u32,
    /// Whether it may ask for the program to be stopped.
    pub may_stop: bool,
    /// Bytes of the uniform.
    pub uniform_bytes: usize,
    /// Where counts and starts of the collapsed loops lie in the uniform.
    pub count_at: usize,
}

/// A value from in front of the nest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub source: Source,
    pub form: Form,
    /// Where it lies in the uniform.
    pub at: usize,
}

/// Where a captured value comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Source {
    Value(ValueId),
    /// The distance of an address from its buffer.
    Offset(ValueId, BufferId),
    Variable(VarId),
}

/// How a captured value is passed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Form {
    /// As `i32`, of a size or index that is small enough.
    Size,
    /// The lowest 32 bits.
    Low,
    /// As a value of its type.
    Typed(DType),
    /// A `float64` as `float32`.
    Rounded,
}

impl Form {
    const fn bytes(self) -> usize {
        match self {
            Form::Size | Form::Low | Form::Rounded => 4,
            Form::Typed(ty) => {
                if ty.bytes() == 8 {
                    8
                } else {
                    4
                }
            }
        }
    }
}

/// What emitting something gives, or why it cannot be.
type Emit<T> = Result<T, Reason>;

/// How a buffer is bound.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct BindingForm {
    /// Bindings that it is split between.
    pub parts: u32,
    /// See [`Use::beside_written`].
    pub beside_written: bool,
}

impl Default for BindingForm {
    fn default() -> Self {
        BindingForm { parts: 1, beside_written: false }
    }
}

/// Buffers that are not bound as usual.
pub(super) type Forms = HashMap<BufferId, BindingForm>;

/// The shader of a nest; `title` says where it comes from.
pub(super) fn shader(nest: &Nest<'_>, abilities: &Abilities, forms: &Forms, title: &str) -> Emit<Shader> {
    let more: u32 = forms.values().map(|form| form.parts.saturating_sub(1)).sum();
    let bindings = u32::try_from(nest.buffers.len()).unwrap_or(u32::MAX).saturating_add(more);
    if bindings.saturating_add(1) > abilities.buffers {
        return Err(format!("it reaches {bindings} buffers, and the device binds {}", abilities.buffers));
    }
    let mut emitter = Emitter {
        nest,
        abilities,
        forms,
        needs: Needs::of(nest),
        out: String::new(),
        depth: 1,
        captured: IndexMap::new(),
        helpers: IndexMap::new(),
        held: nest.loops.iter().map(|spread| (spread.variable, Held::Narrow)).collect(),
        folded: HashMap::new(),
        names: HashMap::new(),
        blocks: Vec::new(),
        may_stop: nest.may_stop(),
    };
    emitter.name_buffers();
    let tail = nest.together.map_or(0, |together| together.tail);
    let (each, first) = nest.code.split_at(nest.code.len().saturating_sub(tail));
    for &stmt in each {
        if emitter.stmt(stmt)?.ends {
            break;
        }
    }
    let together = emitter.together(first)?;
    emitter.finish(title, together)
}

struct Emitter<'n, 'k> {
    nest: &'n Nest<'k>,
    abilities: &'n Abilities,
    forms: &'n Forms,
    needs: Needs,
    /// The body of the entry point so far.
    out: String,
    depth: usize,
    captured: IndexMap<(Source, Form), String>,
    /// Functions by name.
    helpers: IndexMap<String, String>,
    /// How values defined so far are held.
    held: HashMap<ValueId, Held>,
    /// Values that turned out to be literals.
    folded: HashMap<ValueId, Literal>,
    /// Of buffers.
    names: HashMap<BufferId, String>,
    /// What `break` leaves, from the outside in: a block's label, or a loop.
    blocks: Vec<Option<LabelId>>,
    may_stop: bool,
}

impl Emitter<'_, '_> {
    fn line(&mut self, text: &str) {
        for _ in 0..self.depth {
            self.out.push_str("    ");
        }
        self.out.push_str(text);
        self.out.push('\n');
    }

    /// Refuses what the driver does not get right.
    fn trust(&self, operation: Operation) -> Emit<()> {
        if self.abilities.is_right(operation) {
            Ok(())
        } else {
            Err(format!("the driver's {operation} does not have the right bits"))
        }
    }

    /// Refuses it unless results may have other bits.
    fn trust_loosely(&self, operation: Operation) -> Emit<()> {
        if self.abilities.is_loose() { Ok(()) } else { self.trust(operation) }
    }

    /// The type in which numbers of a type are held and computed.
    fn real(&self, ty: DType) -> DType {
        if ty == DType::F64 && self.abilities.narrowed { DType::F32 } else { ty }
    }

    /// A float so that the driver's optimizer cannot see how it was computed, where it would reorder what is written.
    fn kept(&self, ty: DType, text: String) -> Emit<String> {
        if self.abilities.is_right(Operation::Kept) || self.abilities.fast {
            return Ok(text);
        }
        self.hidden(ty, text)
    }

    /// A number so that the driver's optimizer knows nothing about it: joined with a zero that it does not know. Not by an exclusive or,
    /// which twice is none.
    fn hidden(&self, ty: DType, text: String) -> Emit<String> {
        match ty {
            DType::F32 => Ok(format!("bitcast<f32>(bitcast<u32>({text}) | call.keep)")),
            DType::F64 => {
                self.element(DType::I64)?;
                self.trust(Operation::Bits)?;
                Ok(format!("bitcast<f64>(bitcast<u64>({text}) | u64(call.keep))"))
            }
            _ => Ok(text),
        }
    }

    /// Readable names for buffers.
    fn name_buffers(&mut self) {
        let all = self.nest.buffers.keys().chain(self.nest.own.keys());
        for &buffer in all {
            let text = &self.nest.kernel.buffers[buffer].name;
            let clean: String =
                text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
            self.names.insert(buffer, format!("b{}_{}", buffer.0, clean.trim_matches('_')));
        }
    }

    fn finish(mut self, title: &str, together: Option<Combined>) -> Emit<Shader> {
        let loops = self.nest.loops.len();
        let threads = match together {
            Some(_) => GROUP as u32,
            None => group::threads(self.nest, &self.needs).min(self.abilities.threads),
        };
        let mut text = String::new();
        for line in title.lines() {
            let _ = writeln!(text, "// {line}");
        }
        // Wide members first: no padding inside.
        self.captured.sort_by(|(_, a), _, (_, b), _| b.bytes().cmp(&a.bytes()));
        let mut at = 0;
        let mut slots = Vec::new();
        let _ = writeln!(text, "\nstruct Call {{");
        for ((source, form), name) in &self.captured {
            let _ = writeln!(text, "    {name}: {},", form.wgsl());
            slots.push(Slot { source: *source, form: *form, at });
            at += form.bytes();
        }
        let count_at = at;
        let _ = writeln!(text, "    count: u32,");
        for number in 0..loops {
            let _ = writeln!(text, "    extent_{number}: u32,\n    start_{number}: i32,");
        }
        // Always zero, which the driver does not know.
        let _ = writeln!(text, "    keep: u32,");
        at += 8 + 8 * loops;
        let _ = writeln!(text, "}}\n\n@group(0) @binding(0) var<uniform> call: Call;");
        if self.may_stop {
            let _ = writeln!(text, "@group(0) @binding(1) var<storage, read_write> stop: atomic<u32>;");
        }
        self.declare_buffers(if self.may_stop { 2 } else { 1 }, &mut text);
        for helper in self.helpers.values() {
            let _ = write!(text, "\n{helper}");
        }
        let element = format!("let element = (group.y * groups.x + group.x) * {threads}u + thread;");
        match &together {
            None => {
                let _ = writeln!(text, "\n{}    {element}", entry(threads));
                self.leave_early(&mut text);
                self.positions(&mut text);
                self.declare_variables(&mut text);
                text.push_str(&self.out);
                text.push_str("}\n");
            }
            Some(combined) => {
                text.push_str(&combined.memory);
                text.push_str("\nfn accumulate(element: u32) {\n");
                self.leave_early(&mut text);
                self.positions(&mut text);
                self.declare_variables(&mut text);
                text.push_str(&combined.each);
                let _ = writeln!(text, "}}\n\n{}    {element}", entry(threads));
                text.push_str(&combined.start);
                text.push_str("    accumulate(element);\n");
                text.push_str(&combined.steps);
                text.push_str("    if thread > 0u || element >= call.count {\n        return;\n    }\n");
                self.positions(&mut text);
                text.push_str(&self.out);
                text.push_str("}\n");
            }
        }
        let bindings: Vec<_> = self.nest.buffers.iter().map(|(&buffer, &known)| (buffer, known)).collect();
        let parts = bindings.iter().map(|(buffer, _)| self.parts_of(*buffer)).collect();
        let uniform_bytes = at.next_multiple_of(16);
        Ok(Shader { text, slots, bindings, parts, threads, may_stop: self.may_stop, uniform_bytes, count_at })
    }

    /// Threads that have nothing to do leave.
    fn leave_early(&self, text: &mut String) {
        text.push_str("    if element >= call.count {\n        return;\n    }\n");
        if self.may_stop {
            text.push_str("    if atomicLoad(&stop) != 0u {\n        return;\n    }\n");
        }
    }

    /// Variables of the collapsed loops, from the number of the element.
    fn positions(&self, text: &mut String) {
        let mut rest = "element".to_owned();
        for (number, spread) in self.nest.loops.iter().enumerate().rev() {
            let position = if number == 0 {
                rest.clone()
            } else {
                let position = format!("position_{number}");
                let _ = writeln!(text, "    let {position} = {rest} % call.extent_{number};");
                let _ = writeln!(text, "    let rest_{number} = {rest} / call.extent_{number};");
                rest = format!("rest_{number}");
                position
            };
            let step = match spread.step {
                1 => format!("i32({position})"),
                step => format!("i32({position}) * {}", value::int_literal(step)),
            };
            let _ = writeln!(text, "    let v{} = call.start_{number} + {step};", spread.variable.0);
        }
    }

    /// How a captured value of a type is passed.
    fn form(&self, ty: DType) -> Form {
        if self.real(ty) == ty { Form::Typed(ty) } else { Form::Rounded }
    }

    /// The name of a captured value in the uniform.
    fn capture(&mut self, source: Source, form: Form) -> String {
        let name = match (source, form) {
            (Source::Variable(variable), _) => format!("var{}", variable.0),
            (Source::Value(value) | Source::Offset(value, _), Form::Low) => format!("o{}", value.0),
            (Source::Value(value) | Source::Offset(value, _), _) => format!("v{}", value.0),
        };
        let text = format!("call.{name}");
        self.captured.entry((source, form)).or_insert(name);
        text
    }
}

/// The head of the entry point.
fn entry(threads: u32) -> String {
    format!(
        "@compute @workgroup_size({threads})\nfn main(\n    @builtin(workgroup_id) group: vec3<u32>,\n    \
         @builtin(num_workgroups) groups: vec3<u32>,\n    @builtin(local_invocation_index) thread: u32,\n) {{\n"
    )
}

impl Form {
    fn wgsl(self) -> &'static str {
        match self {
            Form::Size => "i32",
            Form::Low => "u32",
            Form::Rounded => "f32",
            Form::Typed(DType::Bool) => "u32",
            Form::Typed(ty) => value::wgsl_type(ty),
        }
    }
}
