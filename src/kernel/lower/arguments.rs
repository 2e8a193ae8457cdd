//! What a program brings along or is given: arguments and constants as containers.

use std::rc::Rc;

use crate::ir::{Array, DataKind, Graph};
use crate::kernel::{BufferKind, Literal, Op, ValueId};
use crate::scalar::{DType, Scalar, Type};

use super::container::{Container, Memory, leaves};
use super::{ArrayArgument, Lowerer, Lowering};

impl Lowerer<'_> {
    /// Binds the arguments of the outermost graph.
    pub fn arguments(&mut self) -> Lowering<Vec<ArrayArgument>> {
        let graph = self.cx.graph;
        let mut arguments = Vec::new();
        for (&name, data) in graph.data.iter().filter(|(_, data)| !data.transient) {
            let (array, scalar) = match &data.kind {
                DataKind::Array(array) => (array.clone(), false),
                DataKind::Scalar(_) => (Array::default(), true),
                _ => continue,
            };
            let Ok(leaves) = leaves(data.ty, &self.program.structs) else { continue };
            let index = arguments.len() as u32;
            let text = self.text(name);
            if self.special.absent.contains(&name) {
                let container = self.absent_container(text, data.ty, array.shape.len());
                self.cx.data.insert(name, container);
                continue;
            }
            let written = self.cx.uses.written.contains(&name);
            let buffer = self.b.buffer(text, BufferKind::Argument(index));
            let base = self.b.value(Op::Base(buffer), DType::I64);
            arguments.push(ArrayArgument {
                name,
                ty: data.ty,
                scalar,
                shape: array.shape.clone(),
                strides: array.strides.clone(),
                start_offset: array.start_offset,
                total_size: array.total_size,
                optional: array.optional == Some(true),
                written,
            });
            let container = if scalar {
                let mut values = Vec::with_capacity(leaves.len());
                for &(ty, offset) in &leaves {
                    let op = Op::Load { buffer, address: base, displacement: offset, ty };
                    values.push(self.b.value(op, ty));
                }
                if written {
                    let mut variables = Vec::with_capacity(leaves.len());
                    for (&(ty, _), &value) in leaves.iter().zip(&values) {
                        let variable = self.b.variable(text, ty);
                        self.b.set(variable, value);
                        variables.push(variable);
                    }
                    Container::Register { ty: data.ty, variables: variables.into(), rank: 0 }
                } else {
                    Container::Fixed { ty: data.ty, values: values.into(), rank: 0 }
                }
            } else {
                // The caller sees to it that memory of this layout is there.
                let mut layout = self.layout(&array, text)?;
                layout.start = self.b.int(0);
                let bytes = self.in_bytes(layout.reach, data.ty);
                Container::Memory(self.memory(buffer, base, data.ty, &layout, bytes))
            };
            let container = match container {
                // Somebody needs its address: a copy in memory that is written back.
                Container::Register { .. } | Container::Fixed { .. }
                    if self.in_memory.contains(&(self.cx.id, name)) =>
                {
                    let bytes = self.b.int(data.ty.bytes(&self.program.structs) as i64);
                    Container::Memory(Memory {
                        buffer,
                        base,
                        ty: data.ty,
                        shape: Rc::new([]),
                        strides: Rc::new([]),
                        offset: Rc::new([]),
                        bytes,
                    })
                }
                other => other,
            };
            self.cx.data.insert(name, container);
        }
        Ok(arguments)
    }

    /// Stands for an argument that is absent: whoever reaches for an element of it stops.
    pub fn absent_container(&mut self, text: &str, ty: Type, rank: usize) -> Container {
        let buffer = self.b.buffer(text, BufferKind::Anywhere);
        self.absent.insert(buffer);
        let none = self.b.int(0);
        let nothing: Rc<[ValueId]> = vec![none; rank].into();
        Container::Memory(Memory {
            buffer,
            base: none,
            ty,
            shape: Rc::clone(&nothing),
            strides: nothing,
            offset: Rc::new([]),
            bytes: none,
        })
    }

    /// Whether a container stands for an argument that is absent.
    pub fn is_absent(&self, container: &Container) -> bool {
        matches!(container, Container::Memory(memory) if self.absent.contains(&memory.buffer))
    }

    /// Binds the compile-time constants of a graph.
    pub fn constants(&mut self, graph: &Graph) -> Lowering<()> {
        for (&name, constant) in &graph.constants {
            // A transient of that name is the constant; an argument would be something else.
            if graph.data.get(&name).is_some_and(|data| !data.transient) {
                return self.unsupported("a constant that hides an argument");
            }
            let Ok(leaves) = leaves(constant.data.ty, &self.program.structs) else {
                continue;
            };
            let container = match (&constant.data.kind, constant.values.as_slice()) {
                (DataKind::Scalar(_), [value]) => {
                    let values = self.number(*value);
                    Container::Fixed { ty: constant.data.ty, values: values.into(), rank: 0 }
                }
                (DataKind::Array(array), values) if leaves.len() <= 2 => {
                    let mut bytes = Vec::new();
                    for &value in values {
                        push_bytes(&mut bytes, value);
                    }
                    let elements = values.len();
                    let buffer = self.b.buffer(self.text(name), BufferKind::Constant(bytes));
                    let address = self.b.value(Op::Base(buffer), DType::I64);
                    let mut array = array.clone();
                    // Elements are stored in row-major order whatever the strides say.
                    array.offset.clear();
                    array.start_offset = None;
                    let shape = self.ints(&array.shape)?;
                    let mut strides = vec![self.b.int(1); shape.len()];
                    for dim in (1..shape.len()).rev() {
                        strides[dim - 1] = self.b.mul(strides[dim], shape[dim]);
                    }
                    let size = shape.iter().try_fold(1i64, |size, &v| size.checked_mul(self.b.as_int(v)?));
                    if size != Some(elements as i64) {
                        return self
                            .unsupported(format!("the constant `{}` with an odd shape", self.text(name)));
                    }
                    let available =
                        self.b.int((elements * constant.data.ty.bytes(&self.program.structs)) as i64);
                    Container::Memory(Memory {
                        buffer,
                        base: address,
                        ty: constant.data.ty,
                        shape: shape.into(),
                        strides: strides.into(),
                        offset: Rc::new([]),
                        bytes: available,
                    })
                }
                _ => continue,
            };
            self.constants.insert(name, container);
        }
        Ok(())
    }
}

fn push_bytes(bytes: &mut Vec<u8>, value: Scalar) {
    match value {
        Scalar::C64(z) => {
            bytes.extend(z.re.to_le_bytes());
            bytes.extend(z.im.to_le_bytes());
        }
        Scalar::C128(z) => {
            bytes.extend(z.re.to_le_bytes());
            bytes.extend(z.im.to_le_bytes());
        }
        other => {
            if let Some(literal) = Literal::from_scalar(other) {
                bytes.extend(&literal.bits.to_le_bytes()[..literal.ty.bytes()]);
            }
        }
    }
}
