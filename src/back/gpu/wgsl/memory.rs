//! Loads and stores. Elements below 32 bits lie in words that threads share, so that writing one is atomic.
//!
//! A buffer that one binding cannot reach as a whole has several, one behind the other, and functions that find the
//! right one.

use std::fmt::Write;

use crate::kernel::parallel::Update;
use crate::kernel::{BufferId, ValueId};
use crate::scalar::{BinaryOp, DType};

use super::super::nest::Use;
use super::value::wgsl_type;
use super::{Emit, Emitter, Operation};

/// Why maps with such numbers stay on the host.
pub(in super::super) const NO_DOUBLE: &str = "the device has no float64";

/// Whether elements share words, which are written atomically.
const fn is_packed(known: &Use) -> bool {
    known.ty.bytes() < 4
}

impl Emitter<'_, '_> {
    /// Between how many bindings a buffer is split.
    pub(super) fn parts_of(&self, buffer: BufferId) -> u32 {
        self.forms.get(&buffer).map_or(1, |form| form.parts)
    }

    /// The element type of the array behind a binding.
    fn stored_as(&self, known: &Use) -> &'static str {
        match (is_packed(known), known.written) {
            (true, true) => "atomic<u32>",
            (true, false) => "u32",
            _ if known.updated && known.ty == DType::I32 => "atomic<i32>",
            _ if known.updated => "atomic<u32>",
            _ => wgsl_type(self.real(known.ty)),
        }
    }

    /// Bindings from that number on.
    pub(super) fn declare_buffers(&self, first: u32, text: &mut String) {
        let mut number = first;
        let mut declare = |name: &str, access: &str, element: &str, text: &mut String| {
            let _ = writeln!(
                text,
                "@group(0) @binding({number}) var<storage, {access}> {name}: array<{element}>;"
            );
            number += 1;
        };
        let mut functions = String::new();
        for (&buffer, known) in &self.nest.buffers {
            // A buffer has one kind of access in a launch, in all of its bindings.
            let access = if known.written || known.beside_written { "read_write" } else { "read" };
            let (name, element) = (&self.names[&buffer], self.stored_as(known));
            let parts = self.parts_of(buffer);
            if parts == 1 {
                declare(name, access, element, text);
                continue;
            }
            for part in 0..parts {
                declare(&format!("{name}_{part}"), access, element, text);
            }
            let elements = self.abilities.part_bytes() / self.stored_bytes(known);
            let found = |mode: &str, parameters: &str, result: &str, body: &dyn Fn(&str) -> String| {
                let mut function = format!("\nfn {mode}_{name}(at: u32{parameters}){result} {{\n");
                let _ = writeln!(function, "    let inside = at & {}u;", elements - 1);
                let _ = writeln!(function, "    switch at >> {}u {{", elements.ilog2());
                for part in 0..parts {
                    let case = if part + 1 < parts { format!("case {part}u") } else { "default".to_owned() };
                    let _ = writeln!(
                        function,
                        "        {case}: {{ {} }}",
                        body(&format!("{name}_{part}[inside]"))
                    );
                }
                function + "    }\n}\n"
            };
            let (word, one) = if is_packed(known) { ("u32", true) } else { (element, false) };
            functions += &found("read", "", &format!(" -> {word}"), &|place| match one && known.written {
                true => format!("return atomicLoad(&{place});"),
                false => format!("return {place};"),
            });
            if known.written && one {
                functions += &found("and", ", mask: u32", "", &|place| format!("atomicAnd(&{place}, mask);"));
                functions += &found("or", ", bits: u32", "", &|place| format!("atomicOr(&{place}, bits);"));
            } else if known.written {
                let parameter = format!(", value: {element}");
                functions += &found("write", &parameter, "", &|place| format!("{place} = value;"));
            }
        }
        text.push_str(&functions);
    }

    /// Bytes of a stored element, or of the word that holds it.
    fn stored_bytes(&self, known: &Use) -> u64 {
        self.real(known.ty).bytes().max(4) as u64
    }

    /// An element of a binding's array, read.
    fn read(&self, buffer: BufferId, index: &str) -> String {
        let name = &self.names[&buffer];
        let atomic = self.nest.buffers.get(&buffer).is_some_and(|known| is_packed(known) && known.written);
        match self.parts_of(buffer) {
            1 if atomic => format!("atomicLoad(&{name}[{index}])"),
            1 => format!("{name}[{index}]"),
            _ => format!("read_{name}({index})"),
        }
    }

    /// The statement that writes one.
    fn write(&self, buffer: BufferId, index: &str, value: &str) -> String {
        let name = &self.names[&buffer];
        match self.parts_of(buffer) {
            1 => format!("{name}[{index}] = {value};"),
            _ => format!("write_{name}({index}, {value});"),
        }
    }

    /// The statement that combines a word with another one: `and`, `or`.
    fn combine(&self, buffer: BufferId, operation: &str, index: &str, with: &str) -> String {
        let name = &self.names[&buffer];
        match (self.parts_of(buffer), operation) {
            (1, "and") => format!("atomicAnd(&{name}[{index}], {with});"),
            (1, _) => format!("atomicOr(&{name}[{index}], {with});"),
            _ => format!("{operation}_{name}({index}, {with});"),
        }
    }

    /// The byte offset of an access.
    fn offset(&mut self, address: ValueId, displacement: i64) -> Emit<String> {
        let low = self.low(address)?;
        Ok(match displacement as u32 {
            0 => low,
            bytes => format!("({low} + {bytes}u)"),
        })
    }

    /// Refuses element types that shaders do not have.
    pub(super) fn element(&self, ty: DType) -> Emit<()> {
        match ty {
            DType::F64 if self.abilities.narrowed => self.trust(Operation::Single),
            DType::F64 if !self.abilities.double => Err(NO_DOUBLE.to_owned()),
            DType::I64 | DType::U64 if !self.abilities.long => {
                Err("the device has no 64-bit integers".to_owned())
            }
            DType::F16 | DType::BF16 | DType::F32 => self.trust(Operation::Single),
            DType::F64 => self.trust(Operation::Double),
            DType::I64 | DType::U64 => self.trust(Operation::Long),
            DType::F8E4M3 | DType::F8E5M2 | DType::C64 | DType::C128 => {
                Err(format!("{ty} is not done on the device"))
            }
            _ => Ok(()),
        }
    }

    /// An element as a value.
    pub(super) fn load(
        &mut self,
        buffer: BufferId,
        address: ValueId,
        displacement: i64,
        ty: DType,
    ) -> Emit<String> {
        self.element(ty)?;
        let offset = self.offset(address, displacement)?;
        let name = self.names[&buffer].clone();
        if self.nest.own.contains_key(&buffer) {
            return Ok(format!("{name}[{offset} >> {}u]", ty.bytes().trailing_zeros()));
        }
        let word = self.read(buffer, &format!("{offset} >> 2u"));
        Ok(match ty {
            DType::Bool => format!("((({word} >> (({offset} & 3u) * 8u)) & 0xffu) != 0u)"),
            DType::U8 => format!("(({word} >> (({offset} & 3u) * 8u)) & 0xffu)"),
            DType::U16 => format!("(({word} >> (({offset} & 2u) * 8u)) & 0xffffu)"),
            DType::F16 | DType::BF16 => {
                self.widened(ty, &format!("(({word} >> (({offset} & 2u) * 8u)) & 0xffffu)"))
            }
            DType::I8 => format!("(bitcast<i32>({word} << (24u - ({offset} & 3u) * 8u)) >> 24u)"),
            DType::I16 => format!("(bitcast<i32>({word} << (16u - ({offset} & 2u) * 8u)) >> 16u)"),
            _ => self.read(buffer, &format!("{offset} >> {}u", ty.bytes().trailing_zeros())),
        })
    }

    /// Writes an element.
    pub(super) fn store(
        &mut self,
        buffer: BufferId,
        address: ValueId,
        displacement: i64,
        value: ValueId,
    ) -> Emit<()> {
        let ty = self.nest.kernel.values[value];
        self.element(ty)?;
        let offset = self.offset(address, displacement)?;
        if let Some(update) = self.nest.updates.get(&value).copied() {
            return self.update(update, &offset);
        }
        let text = self.typed(value)?;
        if self.nest.own.contains_key(&buffer) || ty.bytes() >= 4 {
            let index = format!("{offset} >> {}u", ty.bytes().trailing_zeros());
            self.line(&self.write(buffer, &index, &text));
            return Ok(());
        }
        let (mask, lane) = if ty.bytes() == 1 { ("0xffu", "3u") } else { ("0xffffu", "2u") };
        let bits = match ty {
            DType::Bool => format!("select(0u, 1u, {text})"),
            DType::I8 | DType::I16 => format!("(bitcast<u32>({text}) & {mask})"),
            DType::F16 | DType::BF16 => self.encoded(ty, &text),
            _ => text,
        };
        self.line("{");
        self.depth += 1;
        self.line(&format!("let at = {offset};"));
        self.line(&format!("let shift = (at & {lane}) * 8u;"));
        self.line(&self.combine(buffer, "and", "at >> 2u", &format!("~({mask} << shift)")));
        self.line(&self.combine(buffer, "or", "at >> 2u", &format!("{bits} << shift")));
        self.depth -= 1;
        self.line("}");
        Ok(())
    }

    /// Changes an element as one. 64 bits are two words: each carry out of the lower one is added to the upper one, in
    /// whatever order.
    fn update(&mut self, update: Update, offset: &str) -> Emit<()> {
        let name = self.names[&update.buffer].clone();
        if self.parts_of(update.buffer) > 1 {
            return Err(format!("`{name}` is updated by many threads, and larger than a binding"));
        }
        let function = match update.op {
            BinaryOp::Add => "atomicAdd",
            BinaryOp::Min => "atomicMin",
            BinaryOp::Max => "atomicMax",
            BinaryOp::BitAnd => "atomicAnd",
            BinaryOp::BitOr => "atomicOr",
            _ => "atomicXor",
        };
        let operand = self.typed(update.operand)?;
        if update.ty.bytes() == 4 {
            self.line(&format!("{function}(&{name}[{offset} >> 2u], {operand});"));
            return Ok(());
        }
        self.line("{");
        self.depth += 1;
        self.line(&format!("let at = {offset} >> 2u;"));
        self.line(&format!("let operand = {operand};"));
        self.line("let low = u32(u64(operand) & 4294967295lu);");
        self.line("let high = u32(u64(operand) >> 32u);");
        if update.op == BinaryOp::Add {
            self.line(&format!("let before = atomicAdd(&{name}[at], low);"));
            self.line(&format!("atomicAdd(&{name}[at + 1u], high + select(0u, 1u, before + low < low));"));
        } else {
            self.line(&format!("{function}(&{name}[at], low);"));
            self.line(&format!("{function}(&{name}[at + 1u], high);"));
        }
        self.depth -= 1;
        self.line("}");
        Ok(())
    }
}
