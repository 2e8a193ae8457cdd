//! Splits a kernel between host and device.
//!
//! Where a nest can be a dispatch, a call of the companion takes its place, with the loop beside it for launches that turn
//! out to be impossible (bounds too large, conditions that do not hold). Around that, calls tell the companion what the
//! host is about to touch, so that it can move memory just then. The rest of the kernel stays as it is, and machine code
//! runs it.
//!
//! ```text
//! store block[..] = captured values
//! call launch 0, block, buffers          ; writes 1 to block[0] if it was launched
//! if block[0] == 0 {
//!   call host reads .. writes ..
//!   parallel for ..                      ; as it was
//! }
//! call host reads ..                     ; before the next statements of the host that touch device memory
//! ```
//!
//! A reduction has two launches, of which the second comes only if the first was launched; the loop is left to the host
//! unless both were.

use hashbrown::{HashMap, HashSet};

use crate::kernel::parallel::Region;
use crate::kernel::{
    BufferDecl, BufferId, BufferKind, Kernel, LibraryCall, Literal, Op, Stmt, TrapId, TrapInfo, TrapKind,
    ValueId, Variable,
};
use crate::scalar::{BinaryOp, DType};

use super::super::native::companion::CLASS;
use super::abilities::Abilities;
use super::facts::Facts;
use super::nest::{Nest, Spread, Use};
use super::partial::{self, Reduced};
use super::wgsl::{self, Shader, Source};

/// A nest that runs on the device.
#[derive(Debug)]
pub(super) struct Launch {
    /// Where its outermost loop comes from.
    pub title: String,
    /// Variables of its collapsed loops.
    pub loops: Vec<Spread>,
    /// How many conditions the block holds behind the bounds.
    pub conditions: usize,
    pub shader: Shader,
    /// Iterations below which the host is better at it.
    pub least: i64,
    region: Region,
    /// The loop, where it is none of the kernel's: which stage of what.
    own: Option<(Reduced, usize)>,
}

/// What a call of the companion means; its number is the call's first argument.
#[derive(Debug)]
pub(super) enum Site {
    /// Runs a nest: block, then addresses of its buffers.
    Launch(usize),
    /// The host is about to read and write these; their addresses follow, each once, in the order of their numbers.
    Host { reads: Vec<BufferId>, writes: Vec<BufferId> },
    /// Memory was taken: bytes. Its address comes with the first other call that names it, so that the life of the buffer does
    /// not begin before.
    Allocated { buffer: BufferId, zero: bool },
    /// Memory that is kept from call to call is there: address, bytes.
    Kept { buffer: BufferId },
    /// The end.
    Finish,
}

/// A kernel divided.
#[derive(Debug, Default)]
pub(super) struct Division {
    pub launches: Vec<Launch>,
    pub sites: Vec<Site>,
    /// Why regions stay on the host, by their variable.
    pub refused: HashMap<ValueId, String>,
    /// Loops that run on the device, collapsed or inside, by their variable.
    pub on_device: HashSet<ValueId>,
    /// Those of them that run there only if they have enough iterations.
    pub reduced: HashSet<ValueId>,
    /// Loops that would run there in fast mode.
    pub fast_only: HashSet<ValueId>,
    /// Buffers that some nest reaches.
    pub device: HashSet<BufferId>,
    /// Arguments that are read and written by a program that may stop after it has written them.
    pub spoilt: HashSet<BufferId>,
    /// Buffers of `float64` whose mirrors hold `float32`.
    pub narrowed: HashSet<BufferId>,
    /// Loops that stay on the host for want of `float64`.
    pub lacks_double: usize,
    /// The kernel as it was, for shaders in other forms.
    pub origin: Kernel,
}

/// Bytes of the parameter block's entries.
pub(super) const ENTRY: i64 = 8;

/// Divides a kernel whose regions are found.
pub(super) fn divide(kernel: &mut Kernel, abilities: &Abilities) -> Division {
    let mut division = Division::default();
    let mut planned: HashMap<ValueId, Planned> = HashMap::new();
    let mut device: HashSet<BufferId> = HashSet::new();
    let persistent = kernel.buffers.values().any(|b| matches!(b.kind, BufferKind::Persistent(_)));
    // Whether a buffer holds `float64`, where that changes how it lies on the device.
    let mut holds_double: HashMap<BufferId, bool> = HashMap::new();
    if !abilities.fast {
        division.fast_only = partial::in_fast_mode(kernel);
    }
    let reduced = partial::find(kernel, abilities.fast);
    {
        let facts = Facts::of(kernel, reduced.values().flat_map(|reduced| reduced.all()));
        for stmt in Stmt::all(&kernel.body) {
            let Stmt::For { variable, .. } = stmt else { continue };
            let title = title(kernel, stmt);
            let parts: Vec<Part<'_>> = match (reduced.get(variable), kernel.regions.get(variable)) {
                (Some(reduced), _) => (0..2).map(|stage| Part::stage(reduced, stage, &title)).collect(),
                (None, Some(region)) => vec![Part { title, region, stmt, own: None }],
                (None, None) => continue,
            };
            let mut launches = Vec::with_capacity(parts.len());
            let made: Result<(), String> = parts.iter().try_for_each(|part| {
                let (launch, conditions) = part.launch(kernel, &facts, abilities)?;
                agree(kernel, &launch.shader, &holds_double)?;
                // What a program remembers cannot be put back, so that nobody could repeat the run.
                if persistent && launch.shader.may_stop {
                    return Err("a check may fail in it, and the program keeps containers from call to call"
                        .to_owned());
                }
                launches.push((launch, conditions));
                Ok(())
            });
            match made {
                Ok(()) => {
                    division.on_device.extend(loops_of(stmt));
                    if reduced.contains_key(variable) {
                        division.reduced.extend(loops_of(stmt));
                    }
                    let mut plan = Planned { launches: Vec::new(), reduced: reduced.get(variable).cloned() };
                    for (launch, conditions) in launches {
                        let types = launch.shader.bindings.iter();
                        if abilities.narrowed {
                            holds_double
                                .extend(types.map(|(buffer, known)| (*buffer, known.ty == DType::F64)));
                        }
                        device.extend(launch.shader.bindings.iter().map(|(buffer, _)| *buffer));
                        plan.launches.push((division.launches.len(), conditions));
                        division.launches.push(launch);
                    }
                    planned.insert(*variable, plan);
                }
                Err(reason) => {
                    division.lacks_double += usize::from(reason == wgsl::NO_DOUBLE);
                    division.refused.insert(*variable, reason);
                }
            }
        }
    }
    division.narrowed = holds_double.into_iter().filter(|(_, double)| *double).map(|(id, _)| id).collect();
    // Threads of the host would be in each other's way there.
    kernel.regions.retain(|_, region| !region.updates);
    if planned.is_empty() {
        return division;
    }
    division.origin = kernel.clone();
    let trap = kernel.traps.push(TrapInfo {
        kind: TrapKind::Library,
        message: "a check failed on the device".to_owned(),
        place: Vec::new(),
    });
    let block = kernel.buffers.push(BufferDecl { name: "launch".to_owned(), kind: BufferKind::Scratch });
    let entries =
        |launch: &Launch| 1 + 2 * launch.loops.len() + launch.conditions + launch.shader.slots.len();
    let bytes = ENTRY * division.launches.iter().map(entries).max().unwrap_or(1) as i64;
    let visible = kernel
        .buffers
        .iter()
        .filter(|(_, decl)| matches!(decl.kind, BufferKind::Argument(_) | BufferKind::Constant(_)))
        .map(|(buffer, _)| buffer)
        .collect();
    let body = std::mem::take(&mut kernel.body);
    let mut pass = Pass { kernel, division: &mut division, planned: &planned, device: &device, trap, block };
    let mut whole = Vec::new();
    let size = pass.int(bytes, &mut whole);
    whole.push(Stmt::Alloc { buffer: block, bytes: size, zero: false, trap });
    whole.extend(pass.list(body, visible));
    let written: Vec<BufferId> = pass
        .kernel
        .buffers
        .iter()
        .filter(|(buffer, decl)| device.contains(buffer) && matches!(decl.kind, BufferKind::Argument(_)))
        .map(|(buffer, _)| buffer)
        .collect();
    pass.call(Site::Finish, &written, &written, &written, &[], &mut whole);
    kernel.body = whole;
    division.spoilt = spoilt(kernel, &division);
    division.device = device;
    division
}

/// A loop that may become a launch.
struct Part<'k> {
    title: String,
    region: &'k Region,
    stmt: &'k Stmt,
    own: Option<(&'k Reduced, usize)>,
}

impl<'k> Part<'k> {
    fn stage(reduced: &'k Reduced, stage: usize, title: &str) -> Part<'k> {
        let known = &reduced.stages[stage];
        let title = if stage == 0 { title.to_owned() } else { format!("{title}: partial results") };
        Part { title, region: &known.region, stmt: &known.stmt, own: Some((reduced, stage)) }
    }

    /// The launch, and what has to hold before it.
    fn launch(
        &self,
        kernel: &Kernel,
        facts: &Facts<'_>,
        abilities: &Abilities,
    ) -> Result<(Launch, Vec<ValueId>), String> {
        let together = self.own.map(|(reduced, stage)| &reduced.stages[stage].together);
        let nest = Nest::of(kernel, facts, self.region, self.stmt, together)?;
        let shader = valid(wgsl::shader(&nest, abilities, &wgsl::Forms::new(), &self.title)?)?;
        let launch = Launch {
            title: self.title.clone(),
            loops: nest.loops.clone(),
            conditions: nest.conditions.len(),
            shader,
            least: if self.own.is_some_and(|(_, stage)| stage == 0) { partial::LEAST } else { 0 },
            region: self.region.clone(),
            own: self.own.map(|(reduced, stage)| (reduced.clone(), stage)),
        };
        Ok((launch, nest.conditions))
    }
}

/// Refuses a shader that takes a buffer for `float64` where others do not, or the other way round.
fn agree(kernel: &Kernel, shader: &Shader, holds_double: &HashMap<BufferId, bool>) -> Result<(), String> {
    let differs = |(buffer, known): &&(BufferId, Use)| {
        holds_double.get(buffer).is_some_and(|&double| double != (known.ty == DType::F64))
    };
    match shader.bindings.iter().find(differs) {
        Some((buffer, _)) => {
            let name = &kernel.buffers[*buffer].name;
            Err(format!("`{name}` holds float64, as float32, and other elements elsewhere"))
        }
        None => Ok(()),
    }
}

/// See [`Division::spoilt`].
fn spoilt(kernel: &Kernel, division: &Division) -> HashSet<BufferId> {
    let is_companion = |library| kernel.libraries[library].class == CLASS;
    let launches = |stmt: &Stmt| matches!(stmt, Stmt::Call(library, _) if is_companion(*library));
    let stops = |stmt: &Stmt| match stmt {
        Stmt::Check(..) | Stmt::Alloc { .. } => true,
        Stmt::Call(library, _) => !is_companion(*library),
        _ => false,
    };
    let first = kernel.body.iter().position(|stmt| Stmt::all(std::slice::from_ref(stmt)).any(launches));
    let behind = first.and_then(|first| kernel.body.get(first..)).unwrap_or(&[]);
    let may_stop = division.launches.iter().any(|launch| launch.shader.may_stop);
    if !may_stop && !Stmt::all(behind).any(stops) {
        return HashSet::new();
    }
    let (mut read, mut written) = (HashSet::new(), HashSet::new());
    for stmt in Stmt::all(&kernel.body) {
        match stmt {
            Stmt::Let(_, Op::Load { buffer, .. }) => drop(read.insert(*buffer)),
            Stmt::Store { buffer, .. } => drop(written.insert(*buffer)),
            Stmt::Call(library, _) if !is_companion(*library) => {
                read.extend(&kernel.libraries[*library].reads);
                written.extend(&kernel.libraries[*library].writes);
            }
            _ => {}
        }
    }
    let is_argument = |buffer: &BufferId| matches!(kernel.buffers[*buffer].kind, BufferKind::Argument(_));
    written.into_iter().filter(|buffer| read.contains(buffer) && is_argument(buffer)).collect()
}

/// The shader of a nest whose buffers are bound in these forms; `kernel` is the one that was divided, as it was before.
pub(super) fn shader_in_forms(
    kernel: &Kernel,
    abilities: &Abilities,
    launch: &Launch,
    forms: &wgsl::Forms,
) -> Result<Shader, String> {
    let facts = Facts::of(kernel, launch.own.iter().flat_map(|(reduced, _)| reduced.all()));
    let outermost = launch.loops.first().map(|spread| spread.variable);
    let is_wanted = |stmt: &&Stmt| matches!(stmt, Stmt::For { variable, .. } if Some(*variable) == outermost);
    let stage = launch.own.as_ref().map(|(reduced, stage)| &reduced.stages[*stage]);
    let stmt = match stage {
        Some(stage) => &stage.stmt,
        None => Stmt::all(&kernel.body).find(is_wanted).ok_or("its loop is gone")?,
    };
    let mut nest = Nest::of(kernel, &facts, &launch.region, stmt, stage.map(|stage| &stage.together))?;
    for (buffer, form) in forms {
        if let Some(known) = nest.buffers.get_mut(buffer) {
            known.beside_written = form.beside_written;
        }
    }
    valid(wgsl::shader(&nest, abilities, forms, &launch.title)?)
}

/// Checks a shader as the driver's front end will.
fn valid(shader: Shader) -> Result<Shader, String> {
    let defect = |problem: String| {
        format!("its shader is not valid, which is a defect of Pelton: {problem}\n{}", shader.text)
    };
    let module = naga::front::wgsl::parse_str(&shader.text)
        .map_err(|error| defect(error.emit_to_string(&shader.text)))?;
    let mut validator =
        naga::valid::Validator::new(naga::valid::ValidationFlags::all(), naga::valid::Capabilities::all());
    validator.validate(&module).map_err(|error| defect(error.emit_to_string(&shader.text)))?;
    Ok(shader)
}

/// Where a nest comes from.
fn title(kernel: &Kernel, stmt: &Stmt) -> String {
    let variables = loops_of(stmt);
    let mut maps = kernel.maps.iter().filter(|map| variables.contains(&map.variable));
    let Some(first) = maps.next() else { return kernel.name.clone() };
    let parameters: Vec<&str> =
        std::iter::once(first.parameter.as_str()).chain(maps.map(|map| map.parameter.as_str())).collect();
    format!("{}, over {}", first.place.join(" / "), parameters.join(", "))
}

/// Variables of a loop and of those inside.
fn loops_of(stmt: &Stmt) -> Vec<ValueId> {
    Stmt::all(std::slice::from_ref(stmt))
        .filter_map(|stmt| if let Stmt::For { variable, .. } = stmt { Some(*variable) } else { None })
        .collect()
}

struct Planned {
    /// Their numbers, and what has to hold before each.
    launches: Vec<(usize, Vec<ValueId>)>,
    reduced: Option<Reduced>,
}

struct Pass<'k> {
    kernel: &'k mut Kernel,
    division: &'k mut Division,
    planned: &'k HashMap<ValueId, Planned>,
    /// Buffers that some nest reaches.
    device: &'k HashSet<BufferId>,
    trap: TrapId,
    block: BufferId,
}

impl Pass<'_> {
    fn is_launch(&self, stmt: &Stmt) -> bool {
        matches!(stmt, Stmt::For { variable, .. } if self.planned.contains_key(variable))
    }

    /// A list, and which buffers may be named in it.
    fn list(&mut self, stmts: Vec<Stmt>, mut visible: HashSet<BufferId>) -> Vec<Stmt> {
        let mut result = Vec::with_capacity(stmts.len());
        let mut host: Vec<Stmt> = Vec::new();
        for stmt in stmts {
            if self.is_launch(&stmt) {
                self.host(&mut host, &visible, &mut result);
                self.launch(stmt, &visible, &mut result);
            } else if Stmt::all(std::slice::from_ref(&stmt)).any(|stmt| self.is_launch(stmt)) {
                self.host(&mut host, &visible, &mut result);
                result.push(self.inside(stmt, &visible));
            } else if let Stmt::Alloc { buffer, bytes, zero, .. } = stmt
                && self.device.contains(&buffer)
            {
                let persists = matches!(self.kernel.buffers[buffer].kind, BufferKind::Persistent(_));
                if persists {
                    // If its size changes, it moves, and what it held is gone: the host's memory has to be there for that.
                    self.host(&mut host, &visible, &mut result);
                    let site = Site::Host { reads: vec![buffer], writes: Vec::new() };
                    self.call(site, &[], &[], &[], &[], &mut result);
                }
                host.push(stmt);
                self.host(&mut host, &visible, &mut result);
                visible.insert(buffer);
                match persists {
                    true => self.call(Site::Kept { buffer }, &[buffer], &[], &[], &[bytes], &mut result),
                    false => {
                        let site = Site::Allocated { buffer, zero };
                        self.call(site, &[], &[], &[], &[bytes], &mut result);
                    }
                }
            } else {
                host.push(stmt);
            }
        }
        self.host(&mut host, &visible, &mut result);
        result
    }

    fn inside(&mut self, mut stmt: Stmt, visible: &HashSet<BufferId>) -> Stmt {
        for list in stmt.lists_mut() {
            *list = self.list(std::mem::take(list), visible.clone());
        }
        stmt
    }

    /// Statements of the host, behind a call that makes what they touch current.
    fn host(&mut self, stmts: &mut Vec<Stmt>, visible: &HashSet<BufferId>, result: &mut Vec<Stmt>) {
        self.before_host(stmts, visible, result);
        result.append(stmts);
    }

    fn before_host(&mut self, stmts: &[Stmt], visible: &HashSet<BufferId>, result: &mut Vec<Stmt>) {
        let (mut reads, mut writes): (Vec<BufferId>, Vec<BufferId>) = (Vec::new(), Vec::new());
        for stmt in Stmt::all(stmts) {
            match stmt {
                Stmt::Let(_, Op::Load { buffer, .. }) => reads.push(*buffer),
                Stmt::Store { buffer, .. } => writes.push(*buffer),
                Stmt::Call(library, _) => {
                    let call = &self.kernel.libraries[*library];
                    reads.extend(&call.reads);
                    writes.extend(&call.writes);
                }
                _ => {}
            }
        }
        let anywhere =
            |list: &[BufferId]| list.iter().any(|&b| self.kernel.buffers[b].kind == BufferKind::Anywhere);
        let all: Vec<BufferId> = self.device.iter().copied().collect();
        if anywhere(&reads) {
            reads.clone_from(&all);
        }
        if anywhere(&writes) {
            writes = all;
        }
        for list in [&mut reads, &mut writes] {
            list.retain(|buffer| {
                self.device.contains(buffer)
                    && visible.contains(buffer)
                    && !matches!(self.kernel.buffers[*buffer].kind, BufferKind::Constant(_))
            });
            list.sort_unstable();
            list.dedup();
        }
        if reads.is_empty() && writes.is_empty() {
            return;
        }
        let mut named = reads.clone();
        named.extend(&writes);
        named.sort_unstable();
        named.dedup();
        let site = Site::Host { reads, writes };
        // Bringing the newest bytes to the host writes its memory.
        self.call(site, &named, &named, &named, &[], result);
    }

    fn launch(&mut self, stmt: Stmt, visible: &HashSet<BufferId>, result: &mut Vec<Stmt>) {
        let Stmt::For { variable, .. } = &stmt else { return };
        let planned = self.planned;
        let Some(plan) = planned.get(variable) else { return };
        let (mut then, mut otherwise) = (Vec::new(), Vec::new());
        self.before_host(std::slice::from_ref(&stmt), visible, &mut then);
        then.push(stmt);
        let Some(reduced) = &plan.reduced else {
            let condition = self.refused(&plan.launches[0], result);
            result.push(Stmt::If { condition, then, otherwise });
            return;
        };
        let mut visible = visible.clone();
        for stmt in &reduced.before {
            result.push(stmt.clone());
            if let Stmt::Alloc { buffer, bytes, zero, .. } = stmt {
                visible.insert(*buffer);
                let site = Site::Allocated { buffer: *buffer, zero: *zero };
                self.call(site, &[], &[], &[], &[*bytes], result);
            }
        }
        // Whether the host has to do it, after each launch.
        let host = self.kernel.variables.push(Variable { name: "host".to_owned(), ty: DType::Bool });
        let [first, second] = &plan.launches[..] else { return };
        let refused = self.refused(first, result);
        result.push(Stmt::Set(host, refused));
        let mut more = Vec::new();
        let refused_too = self.refused(second, &mut more);
        more.push(Stmt::Set(host, refused_too));
        result.push(Stmt::If { condition: refused, then: Vec::new(), otherwise: more });
        let condition = self.value(Op::Get(host), DType::Bool, result);
        self.before_host(&reduced.after, &visible, &mut otherwise);
        otherwise.extend(reduced.after.iter().cloned());
        result.push(Stmt::If { condition, then, otherwise });
    }

    /// A launch; whether it was refused.
    fn refused(&mut self, planned: &(usize, Vec<ValueId>), result: &mut Vec<Stmt>) -> ValueId {
        let (number, conditions) = planned;
        let launch = &self.division.launches[*number];
        let (loops, slots) = (launch.loops.clone(), launch.shader.slots.clone());
        let bindings = launch.shader.bindings.clone();
        let block = self.value(Op::Base(self.block), DType::I64, result);
        let mut at = ENTRY;
        let mut store = |value: ValueId, result: &mut Vec<Stmt>| {
            result.push(Stmt::Store { buffer: self.block, address: block, displacement: at, value });
            at += ENTRY;
        };
        for spread in &loops {
            store(spread.start, result);
            store(spread.stop, result);
        }
        for &condition in conditions {
            store(condition, result);
        }
        let mut values = Vec::with_capacity(slots.len());
        for slot in &slots {
            values.push(match slot.source {
                Source::Value(value) => value,
                Source::Offset(value, buffer) => {
                    let base = self.kernel.values.push(DType::I64);
                    result.push(Stmt::Let(base, Op::Base(buffer)));
                    let offset = self.kernel.values.push(DType::I64);
                    result.push(Stmt::Let(offset, Op::Binary(BinaryOp::Sub, value, base)));
                    offset
                }
                Source::Variable(variable) => {
                    let value = self.kernel.values.push(self.kernel.variables[variable].ty);
                    result.push(Stmt::Let(value, Op::Get(variable)));
                    value
                }
            });
        }
        for value in values {
            result.push(Stmt::Store { buffer: self.block, address: block, displacement: at, value });
            at += ENTRY;
        }
        let named: Vec<BufferId> = bindings.iter().map(|(buffer, _)| *buffer).collect();
        let written: Vec<BufferId> =
            bindings.iter().filter(|(_, known)| known.written).map(|(buffer, _)| *buffer).collect();
        self.call(Site::Launch(*number), &named, &named, &written, &[block], result);
        let load = Op::Load { buffer: self.block, address: block, displacement: 0, ty: DType::I64 };
        let answer = self.value(load, DType::I64, result);
        let zero = self.int(0, result);
        self.value(Op::Binary(BinaryOp::Eq, answer, zero), DType::Bool, result)
    }

    fn value(&mut self, op: Op, ty: DType, result: &mut Vec<Stmt>) -> ValueId {
        let value = self.kernel.values.push(ty);
        result.push(Stmt::Let(value, op));
        value
    }

    fn int(&mut self, number: i64, result: &mut Vec<Stmt>) -> ValueId {
        self.value(Op::Const(Literal::i64(number)), DType::I64, result)
    }

    /// A call: its site, `before`, and the addresses of `named`.
    fn call(
        &mut self,
        site: Site,
        named: &[BufferId],
        reads: &[BufferId],
        writes: &[BufferId],
        extra: &[ValueId],
        result: &mut Vec<Stmt>,
    ) {
        let number = self.division.sites.len() as i64;
        self.division.sites.push(site);
        let mut arguments = vec![self.int(number, result)];
        arguments.extend(extra);
        for &buffer in named {
            arguments.push(self.value(Op::Base(buffer), DType::I64, result));
        }
        let library = self.kernel.libraries.push(LibraryCall {
            class: CLASS.to_owned(),
            properties: serde_json::Map::new(),
            operands: Vec::new(),
            factor: None,
            reads: reads.to_vec(),
            writes: writes.to_vec(),
            trap: self.trap,
        });
        result.push(Stmt::Call(library, arguments));
    }
}
